"""Read the statements with numbers from the text of an article: value, subject, baseline, quantity, conditions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from evals.reports.claims.drafting.language import settings, wording
from evals.reports.claims.drafting.language.exclusions import conditions
from evals.reports.claims.drafting.language.labels import is_label
from evals.reports.claims.drafting.language.lexicon import QuantityWords
from evals.reports.claims.drafting.language.listed import LIST_JOINT
from evals.reports.claims.drafting.language.numbers import PrintedNumber
from evals.reports.claims.drafting.language.words import pattern
from evals.reports.claims.drafting.proposals import Proposal
from evals.reports.claims.drafting.text.names import LISTED_PATH, Names
from evals.reports.claims.drafting.text.passages import Passage
from evals.reports.claims.drafting.text.subjects import Attribution, acting_subject, attribute, leading_subject
from evals.reports.claims.language.sources.articles import Article, Block, Text

_RELATIVE_UNITS = {"percent", "points", "times"}
_SPLIT = pattern("statements.split")
_SPLITS = {"测试集": "test", "验证集": "dev", "开发集": "dev", "development": "dev", "validation": "dev", "val": "dev"}

_RUN = re.compile(r"\bpretrained=[\"']?([\w./-]+)")
_RELATIVES = re.compile(
    r"distill|student|draft model|smaller|variants?\b|versions\b|series|family|蒸馏|系列|变体", re.I
)
"""Words for the relatives of a model, whose number of parameters is not its own."""


_LEAD = 160
"""Number of characters before a table that may say what it holds."""
_LABEL = 60
"""A text shorter than this may be the label of the table below it."""


@dataclass(slots=True)
class Surroundings:
    """What the parts of an article before a text say about it."""

    heading: str = ""
    heading_subject: str | None = None
    heading_level: int = 0
    item_subject: str | None = None
    """The subject of the text that introduces a list: "Otter 2 is:"."""
    item_level: int = -1
    """The level of the list items that it introduces; deeper ones belong to them."""
    run_subject: str | None = None
    """The model of the run that an evaluation harness printed last: `hf (pretrained=otter/otter-7b)`."""
    label_subject: str | None = None
    """The one system that the short text just before names, such as the label of a table."""
    text_subject: str | None = None
    """The one system that the last text below this heading names, if it names one alone."""
    lead: str = ""
    """The end of the text just before, which may announce a table: "The CERs are:"."""
    quantity: QuantityWords | None = None
    """The benchmark that was named last in this paragraph."""

    def follow(self, block: Block) -> None:
        """Forget what introduced a list once its last item was read."""
        if block.kind != "item" or block.level < self.item_level:
            self.item_subject, self.item_level = None, -1


def introduce(place: Surroundings, block: Block, passage: Passage) -> None:
    """Note the subject of a text that ends with a colon: it stands for the list items below. Note a run's model too."""
    if run := _RUN.search(passage.text.text):
        mentioned = [mention.subject for mention in passage.mentions if mention.start >= run.start(1)]
        place.run_subject = next(iter(mentioned), None)
    if block.kind in {"paragraph", "item"}:
        subjects = {mention.subject for mention in passage.mentions}
        only = next(iter(subjects)) if len(subjects) == 1 else None
        place.label_subject = only if len(block.text.text) < _LABEL else None
        place.text_subject = only or place.text_subject
        place.lead = re.split(r"(?<=[.!?])\s", " ".join(block.text.text.split()))[-1][-_LEAD:]
    alone = [
        mention for mention in passage.mentions if mention.end - mention.start >= len(passage.text.text.strip()) - 1
    ]
    if block.kind == "paragraph" and alone:  # a name above its description
        place.item_subject, place.item_level = alone[0].subject, 0
    elif block.kind in {"paragraph", "item"} and re.search(r":\W*$", passage.text.text) and passage.sentences:
        place.item_subject = acting_subject(passage, passage.sentences[-1])
        place.item_level = block.level + 1 if block.kind == "item" else 0


def enter(place: Surroundings, block: Block, passage: Passage) -> None:
    """Note a heading: the subject that it names stands for the texts below it."""
    mentioned = list(dict.fromkeys(mention.subject for mention in passage.mentions))
    if mentioned and len(mentioned) == 1:
        place.heading_subject, place.heading_level = mentioned[0], block.level
    elif block.level <= place.heading_level or len(mentioned) > 1:
        place.heading_subject, place.heading_level = None, block.level
    place.heading, place.item_subject, place.quantity, place.run_subject = block.text.text, None, None, None
    place.label_subject = place.text_subject = None
    place.lead = ""


def read_block(article: Article, passage: Passage, names: Names, place: Surroundings) -> Iterator[Proposal]:
    """Yield the statements of one text."""
    path = LISTED_PATH.match(passage.text.text)
    lead = names.find(path["name"]) if path else leading_subject(passage)
    context = lead or place.item_subject or place.heading_subject or names.main
    claims = [number for number in passage.numbers if wording.is_claim(passage, number)]
    claims = [number for number in claims if not is_label(passage.text.text, number)]
    listed: PrintedNumber | None = None
    last = Attribution(None, None, "")
    for number in claims:
        sentence = passage.sentence(number.start)
        running = _running(passage, sentence, names) or lead
        attribution = attribute(passage, number, claims, running or context)
        if _follows(passage, listed, number) and attribution.named != "named in the same order":
            attribution = last
        if attribution.subject is None and attribution.named == "" and context is None:
            attribution = Attribution(names.main, attribution.baseline, "")
        listed, last = number, attribution
        yield _proposal(article, passage, number, attribution, place)


def _running(passage: Passage, sentence: tuple[int, int], names: Names) -> str | None:
    """Whom a sentence without a name goes on with: the article's own system after "we", else the last that acted."""
    if names.main is not None and _OWN.search(passage.text.text, *sentence):
        return names.main
    before = (acting_subject(passage, other) for other in reversed(passage.sentences) if other[1] <= sentence[0])
    return next((subject for subject in before if subject is not None), None)


_OWN = re.compile(r"\b(?:we|our|ours)\b|我们|本文", re.I)


def _follows(passage: Passage, before: PrintedNumber | None, number: PrintedNumber) -> bool:
    """Whether a list joins a number to the one before it: "A's 32.2, 69.2 and 80.2"."""
    if before is None or before.unit != number.unit or before.is_word or number.is_word:
        return False
    return LIST_JOINT.fullmatch(passage.text.text[before.stop : number.begin]) is not None


def _proposal(
    article: Article, passage: Passage, number: PrintedNumber, attribution: Attribution, place: Surroundings
) -> Proposal:
    text = passage.text.text
    clause, sentence = passage.clause(number.start), passage.sentence(number.start)
    span = passage.text.span(number.start, number.end)
    quote, place_of_quote = _quote(article, passage.text, clause, number)
    proposal = Proposal(
        span=span,
        quote=quote,
        line=article.line(place_of_quote),
        printed=number.digits,
        times=number.times,
        unit=number.unit,
        is_implied=number.is_word,
        is_hedged=number.is_word and number.bound == "about",
        upto=number.upto,
        plus_minus=number.plus_minus,
        bound=number.bound,
        subject=attribution.subject,
        baseline=attribution.baseline,
        sentence=passage.text.span(*sentence),
        words=text[clause[0] : clause[1]],
    )
    if attribution.named:
        proposal.grounds.append(f"subject {attribution.named}")
    else:
        proposal.doubt(
            "no subject is named; taken from the text before" if attribution.subject else "no subject is named", 0.8
        )
    proposal.is_change = wording.is_change(text, number, clause)
    proposal.conditions = conditions(list(passage.excluded), *sentence)
    _measure(passage, number, proposal, place)
    if not proposal.is_change:
        proposal.baseline = None
    else:
        is_below = _is_below_zero(text, number)
        proposal.is_negative = is_below and number.unit in {"percent", "points"}
        proposal.direction = -1 if proposal.is_negative else wording.direction(text, number, clause)
    _shape(proposal, passage, number)
    return proposal


def _is_below_zero(text: str, number: PrintedNumber) -> bool:
    """Whether a minus stands at the digits themselves: "−2.4 %", unlike the dash of "faster - 5 %"."""
    is_minus = number.is_negative and re.search(r"(?<![-−])[-−]$", text[max(0, number.start - 2) : number.start])
    return bool(is_minus) and number.upto is None and number.bound in {"exactly", "about"}


def _with_whole_brackets(text: str, start: int, end: int, number: PrintedNumber) -> tuple[int, int]:
    """Begin after a bracket that closes without having been opened, and end with one that was opened."""
    depth = 0
    for place in range(start, end):
        if text[place] in "()（）":
            depth += 1 if text[place] in "(（" else -1
            if depth < 0:
                start, depth = (place + 1 if place < number.begin else start), 0
    closed = re.match(r"[^()（）\n]{0,60}[)）]", text[end:]) if depth == 1 else None
    return start, end + (closed.end() if closed else 0)


def _quote(article: Article, text: Text, clause: tuple[int, int], number: PrintedNumber) -> tuple[str, int]:
    """The words of the clause, and their place: as the file prints them, of a file with marks as a reader sees them."""
    start, end = clause
    end = max(end, min(number.stop, len(text.text)))
    start, end = _with_whole_brackets(text.text, start, end, number)
    while start < number.start and text.text[start] in " \n,,::、。;;-–—":
        start += 1
    if end - start > 160:
        start, end = max(start, number.begin - 70), min(end, number.stop + 60)
    first, last = text.span(start, end)
    if article.is_marked_up:
        return " ".join(text.text[start:end].split()), first
    raw = article.source[first:last]
    return raw.strip(), first + len(raw) - len(raw.lstrip())


def _change(passage: Passage, number: PrintedNumber) -> tuple[QuantityWords | None, str]:
    """Return what a change in percent, points or times is a change of, and where that is named."""
    text = passage.text.text
    clause, sentence = passage.clause(number.start), passage.sentence(number.start)
    words = wording.change_quantity(text, number, clause)
    if words is not None and number.unit != "points":
        return words, "named in the clause"
    benchmark, where = wording.score_quantity(passage, number)
    in_sentence = wording.change_quantity(text, number, sentence)
    inner = text[clause[0] : clause[1]]
    is_cost = in_sentence is not None and number.unit != "points" and where != "named after the number"
    if benchmark is not None and not (is_cost and not re.search(re.escape(benchmark.id[:3]), inner, re.I)):
        return QuantityWords(f"{benchmark.id}-change", f"change of {benchmark.says}", "quality"), where
    return (in_sentence, "named in the sentence") if number.unit != "points" else (None, "")


def _measure(passage: Passage, number: PrintedNumber, proposal: Proposal, place: Surroundings) -> None:
    """Find the quantity of a number."""
    text = passage.text.text
    clause, sentence = passage.clause(number.start), passage.sentence(number.start)
    inner, whole = text[clause[0] : clause[1]], text[sentence[0] : sentence[1]]
    words, where = None, ""
    if proposal.is_change and number.unit in _RELATIVE_UNITS:
        words, where = _change(passage, number)
    elif number.unit == "times" and wording.REAL_TIME.match(text, number.stop):
        words = QuantityWords("real-time-speed", "speed as a multiple of real time", "latency")
        where = "named after the number"
    elif number.unit in {*_RELATIVE_UNITS, None}:
        words, where = wording.score_quantity(passage, number)
        if words is None and place.quantity is not None:
            words, where = place.quantity, "named before"
            proposal.doubt("the benchmark is taken from the text before", 0.9)
        if words is not None and words.is_score:
            place.quantity = words
    elif number.unit in {"parameters", "experts", "tokens"}:
        words, where = wording.size_quantity(passage, number, place.heading)
    elif number.unit == "items":
        words, where = wording.cost_quantity("items", text[max(clause[0], number.begin - 20) : number.stop + 20])
    else:
        words, where = wording.cost_quantity(number.unit or "", inner, whole, place.heading)
    if words is None:
        proposal.doubt("what it measures is not named", 0.75)
        return
    if words.id == "parameters" and (number.upto is not None or _RELATIVES.search(inner)):
        words = QuantityWords("parameters-of-a-series", "parameters of models of its series", "size")
        proposal.doubt("a range of sizes, or a relative of the model", 0.8)
    proposal.quantity, proposal.quantity_says, proposal.kind = words.id, words.says, words.kind
    proposal.is_score = words.is_score
    if where:
        proposal.grounds.append(f"{words.says} {where}")
    else:
        proposal.doubt(f"{words.says} follows from the unit alone", 0.9)
    if words.is_score and (split := _split_beside(text, number, sentence)):
        proposal.protocol["split"] = split
    if words.is_score and (shots := proposal.conditions.pop("shots", None)):
        digits = re.match(r"\d+|zero|one|few|five|three|eight", shots, re.I)
        if digits and "," not in shots:
            proposal.protocol["shots"] = {"zero": "0", "one": "1", "three": "3", "five": "5", "eight": "8"}.get(
                digits[0].lower(), digits[0].lower()
            )
    if words.is_score:
        known = (*words.says.split(" on "), *(text[mention.start : mention.end] for mention in passage.mentions))
        if how := settings.setting(whole, known) or settings.qualifier(place.heading):
            proposal.protocol["setting"] = how


def _split_beside(text: str, number: PrintedNumber, sentence: tuple[int, int]) -> str | None:
    """The split that stands nearest to a score: of "84.1 % on the dev set and 82.9 % on the test set" each its own."""
    matches = _SPLIT.finditer(text, max(sentence[0], number.start - 60), min(sentence[1], number.stop + 40))
    nearest = min(matches, key=lambda match: max(match.start() - number.stop, number.start - match.end()), default=None)
    if nearest is None:
        return None
    name = next(group for group in nearest.groups() if group).lower()
    return _SPLITS.get(name, name)


def _shape(proposal: Proposal, passage: Passage, number: PrintedNumber) -> None:
    """Complete the unit, and mark start and end of "from 12 % to 67 %"."""
    text = passage.text.text
    if proposal.unit is None:
        is_share = proposal.is_score and (proposal.quantity or "").partition("-on-")[0] not in wording.OPEN_METRICS
        if re.match(r"\s*/\s*(?:5|10)\b", text[number.stop :]) or not is_share or not 1 <= proposal.value <= 100:
            proposal.unit = "number"
        else:
            proposal.unit = "percent"
        proposal.doubt("no unit is printed", 0.9)
    before = text[max(0, number.begin - 14) : number.begin]
    if not proposal.is_change:
        if re.search(r"(?:instead of|rather than|(?:up|down) from|原来的|此前的|之前的)\s*[$€]?$", before) or (
            re.search(r"(?:from|由|从|自)\s*(?:about\s|约)?[$€]?$", before)
            and re.match(r"[^,。.;;]{0,40}?(?:\bto\b|提升|降|增|压缩|扩|至|到)", text[number.stop :])
        ):
            proposal.conditions.setdefault("at", "start")
        elif re.search(
            r"(?:from|由|从)[^。;;]{1,60}(?:\bto|至|到)\s*(?:about\s|约)?[$€]?$",
            text[max(0, number.begin - 80) : number.begin],
        ):
            proposal.conditions.setdefault("at", "end")
    if proposal.unit == "milliseconds" and re.search(
        r"99\s?%|p99", text[max(0, number.begin - 24) : number.begin], re.I
    ):
        proposal.quantity, proposal.quantity_says, proposal.kind = (
            "latency-p99",
            "time within which 99 % of the answers come",
            "latency",
        )
