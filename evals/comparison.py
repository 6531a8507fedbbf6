"""Two runs of one benchmark, sample by sample: what differs in the result, how surely, and what differs in the making.

    compare(record_a, record_b) -> Comparison

The samples must be the same and asked by the same protocol; what differs is named and refused. Every figure that both
runs have of their samples is compared on the samples that have it: by McNemar's exact test where it is 0 or 1, and by
a bootstrap of the paired differences over clusters. Metrics that are no mean of samples' figures (a correlation, F1)
stand beside each other without a test. Timings are compared by their ratio, and only where the two were timed in turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evals.errors import InputError
from evals.records.folder import Record, differences
from evals.schema import Json
from evals.statistics import paired
from evals.statistics.bootstrap import Floats
from evals.timing import statistics

PROTOCOL = (
    "task.name", "task.version", "task.split", "task.limit", "task.shots", "task.same_shots", "task.method",
    "task.temperature", "task.top_p", "task.samples", "data.protocol",
)  # fmt: skip
"""What must be equal for two runs to have been asked the same thing, and the samples' ids."""
_LIKELY = (
    ("task.blind", "one of them saw no pictures or heard no recordings"),
    ("model.digest", "other weights"),
    ("model.revision", "other weights"),
    ("model.checkpoint", "other weights"),
    ("model.name", "another model"),
    ("model.", "another model, or other settings of it"),
    ("data.", "other data under the same ids"),
    ("task.seed", "other draws"),
    ("task.", "asked otherwise"),
    ("packages.transformers", "the library that runs the model"),
    ("packages.tokenizers", "the library that cuts text into tokens"),
    ("packages.torch", "the library that computes"),
    ("packages.", "a library"),
    ("code.digest", "this suite's own code"),
    ("plan.", "batches: on a CPU in float32 they change nothing"),
    ("code.", "this suite's own code"),
    ("machine.", "the machine"),
)
"""What may explain a change, the likeliest first; a field counts under the first that it begins with."""


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """One metric of two runs."""

    name: str
    a: float
    b: float
    n: int
    """How many samples both have it of."""
    difference: float
    """a - b."""
    low: float | None = None
    high: float | None = None
    """The 95 % interval of the difference."""
    p: float | None = None
    """Two-sided; None where no test fits."""
    adjusted: float | None = None
    """The same, corrected by Holm for how many metrics are compared."""
    test: str = "none: it is no mean of samples' figures"
    """How p was computed."""
    detectable: float | None = None
    """The smallest true difference that so many samples find significant four times in five."""
    wins: int = 0
    """Samples on which a is better."""
    losses: int = 0
    """Samples on which b is better."""
    ratio: float | None = None
    """a / b, of what was timed in turn; its own 95 % interval follows."""
    ratio_low: float | None = None
    ratio_high: float | None = None


@dataclass(frozen=True, slots=True)
class ManifestDifference:
    """One field in which two signatures differ."""

    field: str
    a: Json
    b: Json
    why: str
    """What it may explain."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of comparing two runs."""

    a: Record
    b: Record
    metrics: tuple[MetricComparison, ...]
    """The headline first."""
    differences: tuple[ManifestDifference, ...]
    """What differs in how they were made, the likeliest to explain a change first."""


def compare(a: Record, b: Record) -> Comparison:
    """Compare two finished runs on their samples.

    Raises:
        RecordError: a run is not finished.
        InputError: the protocols or the samples differ; the message names in what.
    """
    for record in (a, b):
        record.finished()
    _check_protocol(a, b)
    found = tuple(explain_differences(a.manifest, b.manifest))
    if a.timed:
        return Comparison(a, b, tuple(_timed(a, b)), found)
    ours, theirs = ({row["id"]: row for row in record.samples()} for record in (a, b))
    _check_ids(a, b, ours, theirs)
    return Comparison(a, b, tuple(_metrics(a, b, ours, theirs)), found)


def explain_differences(a: Mapping[str, Json], b: Mapping[str, Json]) -> list[ManifestDifference]:
    """List the fields in which two manifests differ, the likeliest to explain a change first.

    Example:
        >>> [d.field for d in explain_differences({"machine": {"cores": 2}, "model": {"digest": "a"}},
        ...                             {"machine": {"cores": 4}, "model": {"digest": "b"}})]
        ['model.digest', 'machine.cores']
    """
    found = []
    for field in differences(a, b):
        rank = next((n for n, (start, _) in enumerate(_LIKELY) if f"{field}.".startswith(start)), len(_LIKELY))
        why = _LIKELY[rank][1] if rank < len(_LIKELY) else "recorded, and not known to matter"
        found.append((rank, ManifestDifference(field, _at(a, field), _at(b, field), why)))
    return [difference for _, difference in sorted(found, key=lambda pair: (pair[0], pair[1].field))]


def _check_protocol(a: Record, b: Record) -> None:
    for field in PROTOCOL:
        ours, theirs = _at(a.manifest, field), _at(b.manifest, field)
        if ours != theirs:
            raise InputError(
                f"{a.folder} and {b.folder} were asked otherwise: {field} is {ours!r} in one, {theirs!r} in the other"
            )


def _check_ids(a: Record, b: Record, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    for record, other, own, foreign in ((a, b, ours, theirs), (b, a, theirs, ours)):
        missing = [id for id in own if id not in foreign]
        if missing:
            more = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
            raise InputError(f"sample {missing[0]!r}{more} of {record.folder} is not in {other.folder}")


def _metrics(
    a: Record, b: Record, ours: Mapping[str, dict[str, Any]], theirs: Mapping[str, dict[str, Any]]
) -> Iterator[MetricComparison]:
    """Compare each metric that both runs have: those with samples' figures by tests, corrected together."""
    tested = list(_tested(ours, theirs))
    adjusted = paired.holm([p for _, p in tested])
    found = {each.name: replace(each, adjusted=p) for (each, _), p in zip(tested, adjusted, strict=True)}
    one, other, headline = a.finished()["metrics"], b.finished()["metrics"], a.finished()["headline"]
    names = dict.fromkeys([*(name for name in one if name in other), *found])
    for name in sorted(names, key=lambda name: (name != headline, name not in found, name)):
        if name in found:
            yield found[name]
        elif name.count("/") < 2:
            value, against = one[name]["value"], other[name]["value"]
            yield MetricComparison(name, value, against, one[name]["n"], value - against)


def _timed(a: Record, b: Record) -> Iterator[MetricComparison]:
    """Compare what was timed in turn, by the ratio. Raises `InputError` where it was not."""
    one, other, headline = a.finished()["metrics"], b.finished()["metrics"], a.finished()["headline"]
    pairs = {name: statistics.in_turn(a, b, name) for name in one if name in other}
    if not pairs.get(headline):
        raise InputError(statistics.not_in_turn(a, b))
    for name in sorted(pairs, key=lambda name: name != headline):
        if not pairs[name]:
            continue
        difference, ratio = statistics.difference(name, pairs[name]), statistics.ratio(name, pairs[name])
        (low, high), (ratio_low, ratio_high) = statistics.interval(difference), statistics.interval(ratio)
        yield MetricComparison(
            name, one[name]["value"], other[name]["value"], ratio.n, difference.value, low, high,
            test="bootstrap of the ratio over sessions and the repetitions of each, timed in turn",
            ratio=ratio.value, ratio_low=ratio_low, ratio_high=ratio_high,
        )  # fmt: skip


def _tested(
    ours: Mapping[str, dict[str, Any]], theirs: Mapping[str, dict[str, Any]]
) -> Iterator[tuple[MetricComparison, float]]:
    """Test every figure that samples have in both runs; yields it with its p-value, which is still to be corrected."""
    names = dict.fromkeys(name for row in ours.values() for name in row["values"])
    for name in names:
        ids = [id for id, row in ours.items() if name in row["values"] and name in theirs[id]["values"]]
        if not ids:
            continue
        a_N, b_N = (sample_values(rows, ids, name) for rows in (ours, theirs))
        estimate = paired.difference(a_N, b_N, sample_clusters(ours, ids))
        low, high = estimate.interval() or (None, None)
        binary = bool(np.isin(np.concatenate([a_N, b_N]), (0, 1)).all())
        p = paired.mcnemar(a_N, b_N) if binary else estimate.p_value()
        yield MetricComparison(
            name, float(a_N.mean()), float(b_N.mean()), estimate.n, estimate.value, low, high, p,
            test="McNemar, exact" if binary else "bootstrap of paired differences by cluster",
            detectable=estimate.minimum_detectable, wins=int((a_N > b_N).sum()), losses=int((a_N < b_N).sum()),
        ), p  # fmt: skip


def sample_values(rows: Mapping[str, dict[str, Any]], ids: Sequence[str], name: str) -> Floats:
    """The samples' figures of a metric, in the order of the ids."""
    return np.array([float(rows[id]["values"][name]) for id in ids])


def sample_clusters(rows: Mapping[str, dict[str, Any]], ids: Sequence[str]) -> list[str]:
    """The samples' clusters; a sample without one is its own."""
    return [rows[id]["cluster"] or f"sample {id}" for id in ids]


def _at(manifest: Mapping[str, Json], field: str) -> Json:
    """The value at a dotted path; None where there is none. Keys may hold points themselves."""
    value: Json = manifest
    while field and isinstance(value, Mapping):
        key = next((key for key in sorted(value, key=len, reverse=True) if f"{field}.".startswith(f"{key}.")), None)
        if key is None:
            return None
        value, field = value[key], field[len(key) + 1 :]
    return None if field else value
