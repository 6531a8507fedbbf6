"""A part of an article with what was found in it: numbers, names, clauses, and what is no claim."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from evals.reports.claims.drafting.language.exclusions import Excluded, find_excluded
from evals.reports.claims.drafting.language.lexicon import BENCHMARKS
from evals.reports.claims.drafting.language.numbers import PrintedNumber, find_numbers
from evals.reports.claims.drafting.language.words import pattern
from evals.reports.claims.drafting.text.names import Mention, Names
from evals.reports.claims.drafting.text.relatives import relatives
from evals.reports.claims.language.sources.articles import Text

_SENTENCE = re.compile(r"[。!?;;!?]+|\.(?=\s+[A-Z\u4e00-\u9fff*(\"“]|\s*$)|\n(?=\s*\n)")
_LONGEST_SENTENCE = 1_000
"""A longer one, a list without full stops, is read in pieces."""
_ABBREVIATION = re.compile(
    r"(?:\b(?:vs|e\.g|i\.e|approx|cf|etc|al|Fig|Tab|Sec|Eq|No|Inc|Corp|Dr|Mr|Ms|St|resp|ca|max|min|avg|[A-Z]))$"
)
_VARIANT = re.compile(
    r"-(?:base|chat|instruct|it|code|coder|math|vl|vision|v\d|sft|dpo|rl|hf|gguf|awq|gptq|int\d)\b", re.I
)
"""What follows a size that is part of a name: `7B-chat`."""
_CLAUSE = pattern("passages.clause")
_VERSION_OF_BENCH = re.compile(r"[Bb]ench(?:mark)?[ -]?v?\d+(?:\.\d+)*(?![\d%])")
_SECTION_NUMBER = re.compile(r"\s*\d{1,2}(?:\.\d{1,2}){0,3}\.?\s+(?=[A-Z\u4e00-\u9fff])")


@dataclass(frozen=True, slots=True)
class Passage:
    """A text and what stands in it."""

    text: Text
    numbers: tuple[PrintedNumber, ...]
    """The numbers that may be claims."""
    mentions: tuple[Mention, ...]
    excluded: tuple[Excluded, ...]
    sentences: tuple[tuple[int, int], ...]

    def sentence(self, place: int) -> tuple[int, int]:
        """Return the start and end of the sentence that holds a place."""
        return next((pair for pair in self.sentences if pair[0] <= place < pair[1]), (0, len(self.text.text)))

    def clause(self, place: int) -> tuple[int, int]:
        """Return the start and end of the clause that holds a place."""
        start, end = self.sentence(place)
        cuts = [match.start() for match in _CLAUSE.finditer(self.text.text, start, end)]
        return max([start, *(cut for cut in cuts if cut <= place)]), min([end, *(cut for cut in cuts if cut > place)])


def read_passage(text: Text, names: Names, *, is_heading: bool = False) -> Passage:
    """Find the numbers, names and sentences of a text; numbers inside names and exclusions are left out."""
    content = text.text
    mentions = tuple(_mentions(content, names))
    excluded = (*find_excluded(content), *_benchmarks(content))
    if is_heading and (match := _SECTION_NUMBER.match(content)):
        excluded = (*excluded, Excluded(0, match.end(), "reference", match[0].strip()))
    numbers = tuple(
        number
        for number in _without_sizes(content, find_numbers(content), mentions)
        if not _inside(number, mentions, excluded) and not _is_part_of_word(content, number)
    )
    return Passage(text, numbers, mentions, excluded, _sentences(content))


def _mentions(text: str, names: Names) -> list[Mention]:
    """The names in a text, and the words that stand for a system."""
    named = names.mentions(text)
    places = [(mention.start, mention.end, mention.subject) for mention in named]
    standing = (
        Mention(words.start, words.end, words.subject) for words in relatives(text, places, names.names, names.main)
    )
    return sorted([*named, *standing], key=lambda mention: mention.start)


def _without_sizes(
    text: str, numbers: Iterator[PrintedNumber], mentions: tuple[Mention, ...]
) -> Iterator[PrintedNumber]:
    """Leave out the further sizes after a name that ends with one: "Llama 2 7B and 13B"."""
    ends = {mention.end for mention in mentions if _ENDS_WITH_SIZE.search(text[mention.start : mention.end])}
    for number in numbers:
        is_bare = _BARE_SIZE.fullmatch(text[number.start : number.end]) and not _OF_PARAMETERS.match(text[number.end :])
        if is_bare and any(_AND.fullmatch(text[end : number.start]) for end in ends if 0 < number.start - end < 12):
            ends.add(number.end)
            continue
        yield number


_BARE_SIZE = re.compile(r"\d+(?:\.\d+)?[BM]")
_ENDS_WITH_SIZE = re.compile(r"\d+(?:\.\d+)?[BbMm]$")
_OF_PARAMETERS = re.compile(r"\s?-?\s?(?:param|token|activ|total|个|的?参数)")
_AND = re.compile(r"\s?(?:,|/|、|和|与|&|,?\s(?:and|or))\s?(?:the\s)?")


def _benchmarks(text: str) -> Iterator[Excluded]:
    """The names of benchmarks, whose digits are no claims."""
    for words in BENCHMARKS:
        if words.pattern is not None:
            for match in words.pattern.finditer(text):
                yield Excluded(match.start(), match.end(), "benchmark", match[0])
    for match in _VERSION_OF_BENCH.finditer(text):
        yield Excluded(match.start(), match.end(), "benchmark", match[0])


def _inside(number: PrintedNumber, mentions: tuple[Mention, ...], excluded: tuple[Excluded, ...]) -> bool:
    spans = [*((part.start, part.end) for part in mentions), *((part.start, part.end) for part in excluded)]
    return any(start < number.end and number.start < end for start, end in spans)


def _is_part_of_word(text: str, number: PrintedNumber) -> bool:
    """Whether the digits belong to a word: `GPT4`, `R1`, `x86`, `phi-2`, `1st`."""
    before, after = text[: number.start], text[number.end :]
    if number.is_word:
        return False
    if re.search(r"[A-Za-z_][-_]?\Z|[A-Za-z]\.\Z", before[-2:]) and not re.search(
        r"(?:^|[^A-Za-z])[xX]\Z", before[-2:]
    ):
        return (
            re.search(r"(?:US|[A-Za-z]{3,}-)\Z", before[-8:]) is None
            or re.search(r"[A-Z][A-Za-z]*-\Z", before[-12:]) is not None
        )
    if number.times >= 1_000_000 and re.search(r"[A-Za-z][\w.]*(?:-[\w.]+)*\d-\Z", before[-20:]):  # Llama-3.1-405B
        return True
    if (number.times >= 1_000_000 and _VARIANT.match(after)) or re.match(r"[bB]-(?!param|token)[A-Za-z]", after):
        return True
    if re.search(r"[A-Z]/\Z|\w@\Z", before[-2:]):  # ViT-B/16, ViT-L/14@336px
        return True
    if number.unit is None and re.match(r"[A-Za-z_]", after) and not re.match(r"(?:token|GPU|epoch|h\b)", after):
        return True
    return bool(re.match(r"(?:st|nd|rd|th)\b", after))


def _sentences(text: str) -> tuple[tuple[int, int], ...]:
    cuts = [0]
    for match in _SENTENCE.finditer(text):
        if match[0] == "." and _ABBREVIATION.search(text[max(0, match.start() - 8) : match.start()]):
            continue
        cuts.append(match.end())
    if cuts[-1] < len(text):
        cuts.append(len(text))
    cuts = [place for first, last in pairwise(cuts) for place in range(first, last, _LONGEST_SENTENCE)] + cuts[-1:]
    return tuple((first, last) for first, last in pairwise(cuts) if first < last)
