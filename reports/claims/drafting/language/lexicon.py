"""The words of quantities: benchmarks, metrics, costs, sizes, and what a change may be a change of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evals.reports.claims.drafting.language.words import entries, pattern


@dataclass(frozen=True, slots=True)
class QuantityWords:
    """A quantity that a text names."""

    id: str
    """A quantity of the vocabulary, or one that the draft declares."""
    says: str
    kind: str
    """The kind of claim."""
    pattern: re.Pattern[str] | None = None
    """The words that name it; None: it is only the default of its unit."""
    is_score: bool = False


def slug(name: str) -> str:
    """Return a name in small letters, digits and hyphens, which begins with a letter.

    Example:
        >>> slug("HumanEval+"), slug("2WikiMultihopQA")
        ('humaneval-plus', 'q-2wikimultihopqa')
    """
    text = re.sub(r"[^a-z0-9]+", "-", name.lower().replace("+", "-plus")).strip("-")
    return text if text[:1].isalpha() else f"q-{text or 'quantity'}"


def _benchmark(id: str, name: str, words: str, says: str = "accuracy on") -> QuantityWords:
    edges = re.compile(rf"(?<![A-Za-z0-9])(?:{words})(?=(?:val|dev|test)?(?![A-Za-z0-9]))")
    return QuantityWords(id, f"{says} {name}", "quality", edges, True)


def _quantity(row: Mapping[str, Any], *, is_score: bool = False) -> QuantityWords:
    return QuantityWords(row["id"], row["says"], row["kind"], re.compile(row["pattern"], re.I), is_score)


BENCHMARKS: tuple[QuantityWords, ...] = (
    *(_benchmark(row["id"], row["name"], row["pattern"]) for row in entries("benchmarks")),
    *(
        _benchmark(slug(name), name, re.escape(name), "score on")
        for name in sorted(map(str, entries("other_benchmarks")), key=len, reverse=True)
    ),
)
"""Benchmarks; those that the vocabulary has come first."""
METRICS: tuple[QuantityWords, ...] = tuple(_quantity(row, is_score=True) for row in entries("metrics"))
"""Metrics of quality that are no benchmark."""
CHANGES: tuple[QuantityWords, ...] = tuple(map(_quantity, entries("changes")))
"""What a change in percent or times may be a change of."""
BY_UNIT: dict[str, tuple[QuantityWords, ...]] = {
    unit: tuple(map(_quantity, row["any"])) for row in entries("quantities") for unit in row["units"]
}
"""For each unit the quantities that it may measure; the last is the default."""
INCREASE = pattern("lexicon.increase")
DECREASE = pattern("lexicon.decrease")
_MEASURE = pattern("lexicon.measure")


def is_benchmark(name: str) -> bool:
    """Whether a name begins with that of a benchmark.

    Example:
        >>> is_benchmark("SST-2"), is_benchmark("Otter-2")
        (True, False)
    """
    return _BENCH.search(name) is not None or any(
        words.pattern is not None and words.pattern.match(name) for words in BENCHMARKS
    )


_BENCH = re.compile(r"[Bb]ench(?:mark)?(?![a-z])")


def is_measure(name: str) -> bool:
    """Whether a name is that of a benchmark, a metric or a cost, rather than of a system.

    Example:
        >>> is_measure("Latency (ms)"), is_measure("Otter-2")
        (True, False)
    """
    if is_benchmark(name) or any(words.pattern is not None and words.pattern.search(name) for words in METRICS):
        return True
    return _MEASURE.search(name) is not None
