"""Read what the name of a benchmark says of the protocol: `HellaSwag (5-shot, test)`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

METRICS: Mapping[str, str] = {
    **dict.fromkeys(("accuracy", "acc", "acc,none"), "accuracy"),
    **dict.fromkeys(("exact_match", "exact match", "em"), "exact match"),
    **dict.fromkeys(("acc_norm", "normalized accuracy"), "normalised accuracy"),
    "f1": "f1",
    "recall": "recall",
    "precision": "precision",
}
"""Names of metrics that are shares of a whole, in lower case, with our words for them."""
PASS = re.compile(r"(?:pass|recall)@\d+")
_SPLITS = frozenset(("test", "dev", "development", "validation", "val", "train"))
_SHOTS = re.compile(r"(?P<number>\d{1,3}|zero|one|few)[- ]?shots?", re.IGNORECASE)
_WORDS = {"zero": "0", "one": "1"}
_BRACKETS = re.compile(r"\s*(?:\((?P<round>[^()]*)\)|\[(?P<square>[^\[\]]*)\]|（(?P<full>[^（）]*)）)\s*$")
_LONGEST = 200
"""A longer text is no name of a benchmark."""
_PLAIN_SHOTS = re.compile(r"\b\d{1,3}[- ]shot\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NamedBenchmark:
    """A benchmark, and what its name says of how a score was obtained."""

    name: str
    shots: str | None = None
    split: str | None = None
    metric: str | None = None
    """In our words."""


def named_benchmark(text: str) -> NamedBenchmark:
    """Take the shots, the split and the metric out of the name of a benchmark.

    A bracket counts if it says nothing else: "(8-shot, CoT)" stays in the name, which then is that of no benchmark.

    Args:
        text: the name as it is published.

    Example:
        >>> named_benchmark("HellaSwag (5-shot, test)")
        NamedBenchmark(name='HellaSwag', shots='5', split='test', metric=None)
        >>> named_benchmark("5-shot MBPP (pass@1) [val]")
        NamedBenchmark(name='MBPP', shots='5', split='val', metric='pass@1')
        >>> named_benchmark("GSM8K (8-shot, CoT)").name
        'GSM8K (8-shot, CoT)'
    """
    if len(text) > _LONGEST:
        return NamedBenchmark(text)
    name, stated = text.strip(), {"shots": set[str](), "split": set[str](), "metric": set[str]()}
    while bracket := _BRACKETS.search(name):
        parts = [_setting(part) for part in re.split(r"[,;，；]", next(filter(None, bracket.groups()), ""))]
        if None in parts:
            return NamedBenchmark(text.strip())
        for part in parts:
            assert part is not None
            stated[part[0]].add(part[1])
        name = name[: bracket.start()].strip()
    if plain := _PLAIN_SHOTS.search(name):
        stated["shots"].add(re.split(r"[- ]", plain[0])[0])
        name = " ".join(f"{name[: plain.start()]} {name[plain.end() :]}".split()).strip(" ,:-–")
    if not name or any(len(values) > 1 for values in stated.values()):
        return NamedBenchmark(text.strip())
    return NamedBenchmark(name, **{key: next(iter(values), None) for key, values in stated.items()})


def _setting(part: str) -> tuple[str, str] | None:
    """What a part of a bracket says: which setting, and its value; None if it is none of these."""
    plain = " ".join(part.lower().split())
    if shots := _SHOTS.fullmatch(plain):
        number = shots["number"]
        return None if number == "few" else ("shots", _WORDS.get(number, number))
    if (split := re.sub(r" (?:set|split)$", "", plain)) in _SPLITS:
        return "split", split
    if plain in METRICS or PASS.fullmatch(plain):
        return "metric", METRICS.get(plain, plain)
    return None
