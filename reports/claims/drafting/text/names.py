"""Find the names of systems in an article, the spellings of each, and where they stand in a text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from evals.reports.claims.drafting.language.exclusions import Excluded, find_excluded
from evals.reports.claims.drafting.language.lexicon import is_benchmark, is_measure, slug
from evals.reports.claims.drafting.language.words import entries, pattern
from evals.reports.claims.drafting.tables.labels import is_named_benchmark
from evals.reports.claims.drafting.tables.layout import certain_names, system_names
from evals.reports.claims.drafting.text.chinese_names import chinese_names
from evals.reports.claims.drafting.text.relatives import tier_names
from evals.reports.claims.drafting.text.titles import COMMON, ORGANISATIONS, TITLE_WORDS, title_name
from evals.reports.claims.language.sources.articles import Article, Block

_SIZE = r"(?:[ -]?(?:\d+(?:\.\d+)?[x×*✕])?\d+(?:\.\d+)?[BMbm](?:-A\d+B)?)"
_TAIL = r"(?:-(?:[A-Za-z]+\d*(?:\.\d+)*|\d+(?:\.\d+)?[BMKk]?|v\d+(?:\.\d+)*))*"
_TOKEN = pattern("names.token")
_SUBJECT = pattern("names.subject")
_INTRODUCED = pattern("names.introduced")
_APPOSED = pattern("names.apposed")
"""A name that the text explains: "Tern, a rival of the same size"."""
_DEVICE_BEFORE = re.compile(r"\b(?:RTX|GTX|RX|Radeon|GeForce|TPU)\s{1,2}(?:[A-Z]*\d+\s{1,2})?$")
"""What stands before a word that ends the name of a device: RX 7900 XTX."""
_CUSTOMER = re.compile(
    r"(?<![\w-])((?:[A-Z][A-Za-z]+ ){1,2}(?:Corp|Inc|Ltd|GmbH|Labs|Bank|Group|University|Hospital))\.?"
    r"(?=\s(?:cut|saved|reduced|saw|improved|boosted|increased|lowered|grew|doubled|handles|resolves|now|has)\b)"
)
"""A customer of whom a page tells what it gained: "Acme Corp. cut its costs by 30 %"."""
_DEVICE = pattern("names.device")
_NOT_SYSTEMS = frozenset(
    (
        "address",
        "path",
        "date",
        "version",
        "hardware",
        "format",
        "reference",
        "metric name",
        "citation",
        "statistics",
        "shots",
        "phone",
        "identifier",
    )
)
LISTED_PATH = re.compile(
    r"(?:https?://[^\s()]*/)?(?P<name>(?=[\w.-]*[A-Za-z])(?=[\w.-]*[_\d])[\w.-]{3,80})\s{0,2}(?:[::]\s|[-–—]\s|[((])"
    r"(?=[^\n]{0,40}\d)"
)
"""A name in code or at the end of an address that an item begins with: `vit_base.in1k (84.2 % top-1)`."""
_HUB_ID = re.compile(
    r"(?<![\w./:@-])(?P<organisation>[A-Za-z0-9][\w.-]{1,60})/(?P<name>[A-Za-z][\w.-]{2,90}\w)(?![\w/])"
)
"""A name on a hub of models: `Qwen/Qwen2-7B`."""
_DATASET_AFTER = re.compile(r"\s?(?:[a-z]+\s)?(?:datasets?|data sets?|corpus|benchmarks?|数据集|语料库?)\b", re.I)
_METRIC_NAME = re.compile(r"(?:m?AP|AR|AUC|Acc|IoU|mIoU|Hit|Hits|Recall|P|R|F)@?[-_]?\d[\d:.]*|m?AP\w?")
_LABEL = re.compile(r"[A-Z]\.\d[\d.]*|(?:[A-Z]{4,}[ -]){1,3}[A-Z]{4,}|[A-Z]{1,4}0?-?\d\.0")
"""A number of an appendix, words of a heading in capitals, a licence."""
_ACRONYM = re.compile(r"[A-Z]{2,4}s?")
"""The name of a field, such as TTS, which does not stand for Orpheus-TTS."""
_ADJECTIVES = frozenset(" ".join(entries("adjectives")).split())
_LATIN_EDGE = r"(?<![A-Za-z0-9_./-])"


@dataclass(frozen=True, slots=True)
class Mention:
    """A name in a text."""

    start: int
    end: int
    subject: str
    """The ID of the subject."""


@dataclass(slots=True)
class Names:
    """The systems of an article."""

    names: dict[str, str] = field(default_factory=dict)
    """For each subject its name as the article writes it."""
    spellings: dict[str, str] = field(default_factory=dict)
    """For each spelling its subject."""
    main: str | None = None
    """The subject that the article is about, if there is one."""
    known: frozenset[str] = frozenset()
    """Subjects of the public record."""
    stated: frozenset[str] = frozenset()
    """Names, in small letters and digits, that the text has outside its tables or that tables leave no doubt of."""
    _pattern: re.Pattern[str] | None = None

    def add(self, name: str, id: str | None = None) -> str:
        """Add a spelling; names that differ in case, spaces and hyphens only are one subject."""
        key = normal(name)
        subject = id or next((other for spelling, other in self.spellings.items() if normal(spelling) == key), None)
        if subject is None:
            subject = _free_id(slug(name), self.names)
        self.names.setdefault(subject, name)
        self.spellings[name] = subject
        self._pattern = None
        return subject

    def mentions(self, text: str) -> list[Mention]:
        """Find the names in a text, the longest where several begin at one place."""
        if not self.spellings:
            return []
        if self._pattern is None:
            alternatives = "|".join(re.escape(name) for name in sorted(self.spellings, key=len, reverse=True))
            self._pattern = re.compile(rf"{_LATIN_EDGE}(?:{alternatives})(?![A-Za-z0-9]|-[A-Za-z0-9]|\.\d)")
        return [Mention(*match.span(), self.spellings[match[0]]) for match in self._pattern.finditer(text)]

    def find(self, name: str) -> str | None:
        """Return the subject of a name, whatever its case, spaces and hyphens."""
        key = normal(name)
        return next((subject for spelling, subject in self.spellings.items() if normal(spelling) == key), None)


def normal(name: str) -> str:
    """Return a name without case, spaces and hyphens."""
    name = re.sub(r"(?<=\d)[×*✕](?=\d)", "x", name.lower())
    return re.sub(r"[^a-z0-9.\u4e00-\u9fff]", "", name)


def _free_id(id: str, taken: Mapping[str, str]) -> str:
    id = f"{id}-model" if id in {"document", "r1", "v2", "v3", "vl", "r1-zero", "deepseek"} else id
    number = 2
    while id in taken:
        id, number = f"{id.rstrip('0123456789').rstrip('-')}-{number}", number + 1
    return id


def find_names(article: Article, record: Mapping[str, str]) -> Names:
    """Find the systems that an article is about.

    Args:
        article: its blocks.
        record: names of the subjects of the public record, by ID; those that the article mentions keep their ID.
    """
    names = Names()
    texts = [block.text.text for block in article.blocks if block.kind != "table"]
    cells = [cell.text for block in article.blocks for row in block.rows for cell in row]
    everything = "\n".join([article.title, *texts, *cells])
    _add_known(names, record, everything)
    counts = Counter(match["name"].strip() for text in [article.title, *texts, *cells] for match in _candidates(text))
    repeated = Counter(
        match["name"] or match["name2"]
        for text in texts
        for match in _SUBJECT.finditer(text)
        if not _DEVICE_BEFORE.search(text[: match.start()][-24:])
    )
    for name, count in repeated.items():
        in_title = re.search(rf"\b{re.escape(name)}\b", article.title) is not None
        if (
            (count > 1 or in_title)
            and name not in ORGANISATIONS
            and name.split()[0] not in COMMON | TITLE_WORDS
            and not is_measure(name)
            and (article.title.startswith(name) or not (_is_word(name, everything) or name.endswith("ing")))
        ):
            counts[name] += count
    for text in [article.title, *texts]:
        counts.update(match["name"].strip(" .-") for match in _INTRODUCED.finditer(text))
        counts.update(match["name"] for match in _APPOSED.finditer(text) if not _is_word(match["name"], everything))
        counts.update(match[1] for match in _CUSTOMER.finditer(text))
    for name in [name for name in counts if " " in name and counts[name] == 1]:
        if name.split()[0] in repeated and re.fullmatch(r"[\d.]+", name.split()[-1]):
            del counts[name]  # "Tern makes 11 and Wren 5.2": a value, no version
    if title := title_name(article):
        counts[title] += 2
    for block in article.blocks:
        if block.kind == "item" and (path := LISTED_PATH.match(block.text.text)) and not is_measure(path["name"]):
            names.add(path["name"])
    names.stated = _stated(names, article, counts, texts)
    for name in _table_names(article.blocks, names.stated):
        counts[name] += 2
    for name in sorted(counts, key=lambda name: (-len(name), name)):
        if (_is_system(name) and names.find(name) is None) or names.find(name) is not None:
            names.add(name)
    for name in tier_names([*names.spellings], everything):
        names.add(name)
    _add_hub_ids(names, everything)
    _add_short_forms(names, everything)
    if title and (bare := re.sub(r" v?\d+(?:\.\d+)+\w*$", "", title)) and names.find(bare) is None:
        names.add(bare, names.find(title))  # "Otter" in the notes on "Otter v0.9.0"
    names.main = _main_subject(names, article, counts)
    return names


def _is_word(name: str, text: str) -> bool:
    """Whether a capital alone makes a name of a word that the text has in small letters too: "Routing takes 2 ms"."""
    return re.search(rf"(?<![\w./-]){re.escape(name.lower())}(?![\w/-]|\.\w)", text) is not None


def _candidates(text: str) -> list[re.Match[str]]:
    excluded = [part for part in find_excluded(text) if part.kind in _NOT_SYSTEMS]
    chinese = [*chinese_names(text)]
    spans = [match.span("name") for match in chinese]
    return chinese + [
        match
        for match in _TOKEN.finditer(text)
        if not any(first < match.end("name") and match.start("name") < last for first, last in spans)
        and not _DATASET_AFTER.match(text, match.end("name"))
        and not any(_spoils(part, match) for part in excluded)
    ]


def _spoils(part: Excluded, match: re.Match[str]) -> bool:
    """Whether what is no name overlaps a candidate.

    "V3.2" in "DeepSeek V3.2" is its version, and "Int4" in "Otter-7B-Int4" what it was made to: parts of the names.
    """
    is_inside = match.start("name") < part.start and part.end <= match.end("name")
    is_joined = part.kind == "format" and match.string[part.start - 1] == "-" and part.end == match.end("name")
    return (
        not (is_inside and (part.kind == "version" or is_joined))
        and part.start < match.end("name")
        and match.start("name") < part.end
    )


def _is_system(name: str) -> bool:
    first = re.split(r"[ \-]", name)[0]
    is_known_word = (first in COMMON and not re.search(r"[a-z]\d|\d[a-z]", name)) or name in COMMON
    return not (
        is_known_word
        or "CO2" in name
        or is_benchmark(name)
        or _METRIC_NAME.fullmatch(name)
        or _LABEL.fullmatch(name)
        or _is_adjective(name)
        or _DEVICE.match(name)
        or re.search(r"-(?:specific|like|style|class|compatible|based|powered|optimi[sz]ed|[CG]PUs?)$", name, re.I)
        or len(name) < 2
        or (re.fullmatch(r"[A-Z]?\d.*", name) and len(name) < 2)
    )


def _is_adjective(name: str) -> bool:
    """Whether a hyphenated name is made of ordinary words: Real-World, Scale-Adaptive."""
    parts = name.split(" ")[0].split("-")
    return (
        len(parts) > 1
        and all(re.fullmatch(r"[A-Z]?[a-z]+", part) for part in parts)
        and any(part.lower() in _ADJECTIVES for part in parts)
    )


def _add_known(names: Names, record: Mapping[str, str], text: str) -> None:
    """Add the subjects of the record that the article names, with their short forms."""
    known = []
    for id, name in record.items():
        family, _, short = name.partition("-")
        if id != short.lower() or family not in text:
            continue
        if any(
            re.search(rf"{_LATIN_EDGE}{re.escape(form)}(?![A-Za-z0-9]|-[A-Za-z0-9]|\.\d)", text)
            for form in (name, short)
        ):
            for form in (name, short, name.replace("-", " ")):
                names.add(form, id)
            known.append(id)
    names.known = frozenset(known)


def _add_hub_ids(names: Names, text: str) -> None:
    """Add the names of models on a hub, and their last parts; "Otter-7B/Otter-13B" are two models and no such name."""
    for match in _HUB_ID.finditer(text):
        organisation, name = match["organisation"], match["name"]
        is_model = re.search(r"\d", name) and (
            _TOKEN.fullmatch(name) or re.fullmatch(r"[A-Za-z][\w.]*(?:-[\w.]+)+", name)
        )
        is_pair = _TOKEN.fullmatch(organisation) or is_benchmark(organisation) or is_measure(organisation)
        if names.find(name) is not None or (is_model and not is_pair and _is_system(name)):
            names.add(match[0], names.add(name))


def _stated(names: Names, article: Article, counts: Mapping[str, int], texts: Sequence[str]) -> frozenset[str]:
    """The names of systems that the text states, and those of tables whose header says which side they stand on."""
    text = "\n".join([article.title, *texts])
    stated = [n for n in {*counts, *names.spellings} if len(n) > 2 and n in text and not is_named_benchmark(n)]
    tables = [name for block in article.blocks if block.kind == "table" for name in certain_names(block)]
    return frozenset(re.sub(r"[^a-z0-9]", "", name.lower()) for name in (*filter(_is_system, stated), *tables)) - {""}


def _table_names(blocks: Iterable[Block], stated: frozenset[str]) -> list[str]:
    """The names in the first column or the header of tables whose other cells are numbers."""
    return [name for block in blocks if block.kind == "table" for name in system_names(block, stated)]


def _add_short_forms(names: Names, text: str) -> None:
    """Let a name without its family, or without its size, stand for the one subject that it fits."""
    forms: dict[str, set[str]] = {}
    for subject, name in names.names.items():
        parts = re.split(r"[- ]", name)
        for short in ("-".join(parts[1:]), " ".join(parts[1:])):
            is_name = re.match(r"[A-Z]", short) and len(short) > 1 and not re.fullmatch(_SIZE, short)
            if len(parts) > 1 and is_name and not _ACRONYM.fullmatch(short):
                forms.setdefault(short, set()).add(subject)
        bare = re.sub(rf"{_SIZE}$", "", name)
        if bare != name and re.search(r"\d", bare):
            forms.setdefault(bare, set()).add(subject)
    for form, subjects in forms.items():
        is_used = re.search(rf"{_LATIN_EDGE}{re.escape(form)}(?![A-Za-z0-9]|-[A-Za-z0-9])", text)
        if (
            len(subjects) == 1
            and is_used
            and names.find(form) is None
            and form not in COMMON
            and not is_benchmark(form)
        ):
            names.add(form, next(iter(subjects)))


def _main_subject(names: Names, article: Article, counts: Mapping[str, int]) -> str | None:
    """The subject of the title; failing that, the one that is named most, if it leads clearly."""
    for block in [*(b for b in article.blocks if b.kind in {"title", "heading"})][:2]:
        mentioned = [mention.subject for mention in names.mentions(block.text.text)]
        if mentioned:
            return mentioned[0]
    if mentioned := [mention.subject for mention in names.mentions(article.title)]:
        return mentioned[0]
    if first := _defined_first(names, article):
        return first
    totals: Counter[str] = Counter()
    for block in article.blocks:
        totals.update(mention.subject for mention in names.mentions(block.text.text))
    common = totals.most_common(2)
    return common[0][0] if common and (len(common) == 1 or common[0][1] > common[1][1]) else None


def _defined_first(names: Names, article: Article) -> str | None:
    """The first subject with which a paragraph begins that says what it is: "Otter 2 is", "Otter 2, which"."""
    for block in article.blocks[:_BEGINNING]:
        mentions = names.mentions(block.text.text[:80]) if block.kind == "paragraph" else []
        if mentions and mentions[0].start <= 1 and _DEFINED.match(block.text.text, mentions[0].end):
            return mentions[0].subject
    return None


_BEGINNING = 24
"""Number of parts of an article in which it says what it is about."""
_DEFINED = re.compile(r"\s(?:is|are)\s|,\s(?:which|our|the|an?)\s|\s?(?:是|作为|为|,是)")
