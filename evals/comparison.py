"""Compare two runs of one benchmark sample by sample: differences with tests, and differences between the manifests.

    compare(record_a, record_b) -> Comparison

Both runs must have the same samples and the same protocol; any difference is an error that names it. Each value that
the samples of both runs have is tested on the clusters of the samples: by an exact test if it is 0 or 1 (McNemar's
where each sample is its own cluster), and by Student's t otherwise. Metrics that are not means of sample values (a
correlation, F1) are listed without a test. Timings are compared by their ratio, and only if the two models alternated.

Runs on one random subset of a split are compared as samples of what the split was drawn from, not of the finite split
alone. A run that stopped early is compared by its confidence sequence, on the samples that both runs have.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evals.errors import InputError, RecordError, shorten
from evals.logs.matching import common_samples, compared_fields, is_matched, prompt_notes
from evals.records.digests import PROTOCOL, differences, protocol_value, value_at
from evals.records.folder import Record
from evals.records.sequential.stopped import TESTS, common_samples_of_stopped, difference_of_stopped, is_stopped
from evals.records.types import SampleValues
from evals.schema import Json
from evals.statistics import paired
from evals.statistics.clusters import Floats
from evals.statistics.intervals import Interval
from evals.timing import statistics

_SHOWN = 3
"""Maximum number of metrics that an error names."""
_OF_LOGS = frozenset({"harness", "version", "task", "protocol"})
_SUBSETS = ("task.limit", "task.first")
_LIKELY = (
    ("imported.harness", "another harness: other prompts, other readings of answers"),
    ("imported.protocol", "another protocol of the harness"),
    ("imported.", "another log"),
    ("task.blind", "one of the two is a blind control"),
    ("model.digest", "other weights"),
    ("model.revision", "other weights"),
    ("model.checkpoint", "other weights"),
    ("model.name", "another model"),
    ("model.", "another model, or other settings of it"),
    ("data.", "other data under the same ids"),
    ("task.prompt", "another prompt"),
    ("task.seed", "other draws"),
    ("task.", "other settings of the task"),
    ("packages.transformers", "the library that runs the model"),
    ("packages.tokenizers", "the library that tokenises text"),
    ("packages.torch", "the library that computes"),
    ("packages.", "a library"),
    ("code.digest", "this suite's own code"),
    ("plan.", "batches: on a CPU in float32 they change nothing"),
    ("code.", "this suite's own code"),
    ("machine.", "the machine"),
)
"""Prefixes of manifest fields and what they may explain, the likeliest first; the first match counts."""
_OTHER_READINGS = frozenset({"contains", "given-up", "run-on"})
"""Values of samples that describe the form of the headline's answers, or read them by a laxer rule."""


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """The comparison of one metric between two runs."""

    name: str
    a: float
    b: float
    n: int
    """Number of samples that have the value in both runs."""
    difference: float  # a - b
    low: float | None = None  # the 95 % interval of the difference
    high: float | None = None
    p: float | None = None
    """Two-sided p-value; None if there is no suitable test."""
    adjusted: float | None = None
    """The p-value after Holm's correction for the tested metrics of the family; None outside the family."""
    family: int = 0
    """Number of metrics that Holm's correction covers. Other readings of the headline's answers are not among them."""
    test: str = "none: the metric is not a mean of the samples' values"
    """How `p` was computed."""
    detectable: float | None = None
    """Minimum detectable difference at 80 % power with this number of samples; None if none can be detected."""
    wins: int = 0
    losses: int = 0
    """Numbers of samples on which a is better, and on which b is."""
    ratio: float | None = None
    """a / b, for timings of models that alternated; its 95 % interval follows."""
    ratio_low: float | None = None
    ratio_high: float | None = None


@dataclass(frozen=True, slots=True)
class ManifestDifference:
    """One field in which two manifests differ."""

    field: str
    a: Json
    b: Json
    why: str
    """How the field may explain a change."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of comparing two runs."""

    a: Record
    b: Record
    metrics: tuple[MetricComparison, ...]
    """The comparisons by metric, the headline first."""
    differences: tuple[ManifestDifference, ...]
    """The differences between the manifests, the likeliest explanation of a change first."""
    notes: tuple[str, ...] = ()
    """For imported runs: how the samples were matched, and in which fields the protocols differ."""


def compare(a: Record, b: Record) -> Comparison:
    """Compare two finished runs on their samples.

    Raises:
        RecordError: a run is not finished.
        InputError: the protocols or the samples differ; the message names the difference.
    """
    for record in (a, b):
        record.finished()
    check_protocol(a, b)
    explained = tuple(explain_differences(_explaining(a), _explaining(b)))
    if a.timed:
        return Comparison(a, b, tuple(_timed(a, b)), explained)
    a_rows, b_rows = ({row.id: row for row in record.values()} for record in (a, b))
    check_means(a, a_rows)
    check_means(b, b_rows)
    notes: tuple[str, ...] = ()
    if is_matched(a, b):
        counts = len(a_rows), len(b_rows)
        a_rows, b_rows, matched = common_samples(a, b).of_one_target(a_rows, b_rows)
        notes = (*matched, *_protocol_notes(a, b))
    if stopped := is_stopped(a) or is_stopped(b):
        a_rows, b_rows = common_samples_of_stopped(a, b, a_rows, b_rows)
    _check_ids(a, b, a_rows, b_rows)
    metrics = tuple(_metrics(a, b, a_rows, b_rows))
    if not metrics:
        names = (", ".join(list(record.finished().metrics)[:_SHOWN]) for record in (a, b))
        raise InputError(f"{a.folder} and {b.folder} have no metric in common: {' in one, '.join(names)} in the other")
    if stopped:
        shown = {metric.name: difference_of_stopped(metric.name, a, b, a_rows, b_rows) for metric in metrics}
        metrics = tuple(_without_test(m, TESTS[not shown[m.name]], shown[m.name]) for m in metrics if m.p is not None)
    if notes and (len(a_rows), len(b_rows)) != counts:  # the metrics that are no means of samples are of other samples
        metrics = tuple(metric for metric in metrics if metric.p is not None)
    if "first" in (a.manifest.subset, b.manifest.subset):
        metrics = tuple(_without_test(m, "none: the first samples are not chosen at random") for m in metrics)
    return Comparison(a, b, metrics, explained, notes)


def _explaining(record: Record) -> Mapping[str, Json]:
    """Return a manifest as far as it may explain a difference: of an imported log, the harness and its settings."""
    manifest = record.manifest.to_dict()
    origin = {key: value for key, value in manifest.get("imported", {}).items() if key in _OF_LOGS}
    return {**manifest, "imported": origin}


def _protocol_notes(a: Record, b: Record) -> Iterator[str]:
    """Say in which fields the protocols of imported runs differ, or may differ."""
    for field in PROTOCOL:
        a_value, b_value = (protocol_value(record.manifest, field) for record in (a, b))
        unknown = field == "task.shots" and None in (a_value, b_value)  # a log that does not state it
        if a_value != b_value and field not in _SUBSETS and not unknown:
            values = f"{shorten(a_value)} in the first run, {shorten(b_value)} in the second"
            yield f"the protocols differ: {field} is {values}"
    yield from prompt_notes(a, b)


def check_means(record: Record, rows: Mapping[str, SampleValues] | None = None) -> None:
    """Check that the means of a result are those of its samples' values.

    Args:
        record: a finished run.
        rows: its samples' values by id, if they were read.

    Raises:
        RecordError: they are not.
    """
    rows = {row.id: row for row in record.values()} if rows is None else rows
    for name, entry in record.finished().metrics.items():
        values = [row.values[name] for row in rows.values() if name in row.values]
        if entry.statistic != "mean" or not values:
            continue
        if len(values) == len(rows) < entry.n:  # it counts parts of samples: the captions of an image
            continue
        mean = math.fsum(values) / len(values)
        if len(values) != entry.n or not math.isclose(mean, entry.value, rel_tol=1e-9, abs_tol=1e-12):
            raise RecordError(
                f"{record.folder} does not agree with itself: {name} is {entry.value:.6g} of {entry.n:,} samples in "
                f"its result, {mean:.6g} of {len(values):,} in its samples; score it again (python -m evals score "
                f"{record.folder}), or restore what was changed"
            )


def explain_differences(a: Mapping[str, Json], b: Mapping[str, Json]) -> list[ManifestDifference]:
    """List the fields in which two manifests differ, the likeliest explanation of a change first.

    Example:
        >>> [d.field for d in explain_differences({"machine": {"cores": 2}, "model": {"digest": "a"}},
        ...                             {"machine": {"cores": 4}, "model": {"digest": "b"}})]
        ['model.digest', 'machine.cores']
    """
    ranked = []
    for field in differences(a, b):
        rank = next((n for n, (start, _) in enumerate(_LIKELY) if f"{field}.".startswith(start)), len(_LIKELY))
        why = _LIKELY[rank][1] if rank < len(_LIKELY) else "recorded, with no known effect"
        ranked.append((rank, ManifestDifference(field, value_at(a, field), value_at(b, field), why)))
    return [difference for _, difference in sorted(ranked, key=lambda pair: (pair[0], pair[1].field))]


def check_protocol(a: Record, b: Record) -> None:
    """Raise `InputError` if two runs, finished or not, have protocols that cannot be compared."""
    for field in compared_fields(a, b, PROTOCOL):
        a_value, b_value = (protocol_value(record.manifest, field) for record in (a, b))
        if field in _SUBSETS and a.manifest.subset == b.manifest.subset is None:
            continue  # a limit that is not smaller than the split leaves nothing out
        if a_value != b_value:
            raise InputError(
                f"{a.folder} and {b.folder} have different protocols: {field} is {a_value!r} in one, "
                f"{b_value!r} in the other"
            )


def _check_ids(a: Record, b: Record, a_rows: Mapping[str, Any], b_rows: Mapping[str, Any]) -> None:
    for record, other, rows, other_rows in ((a, b, a_rows, b_rows), (b, a, b_rows, a_rows)):
        missing = [id for id in rows if id not in other_rows]
        if missing:
            more = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
            verb = "are" if len(missing) > 1 else "is"
            subsets = ""
            if a.manifest.subset == "random" and a.manifest.task.seed != b.manifest.task.seed:
                seeds = f"{a.manifest.task.seed} and {b.manifest.task.seed}"
                subsets = f": --limit chose different samples, because the seeds are {seeds}"
            raise InputError(f"sample {missing[0]!r}{more} of {record.folder} {verb} not in {other.folder}{subsets}")


def _metrics(
    a: Record, b: Record, a_rows: Mapping[str, SampleValues], b_rows: Mapping[str, SampleValues]
) -> Iterator[MetricComparison]:
    """Compare each metric that both runs have; those with sample values are tested, those of the family corrected."""
    tested = list(_tested(a_rows, b_rows))
    a_metrics, b_metrics, headline = a.finished().metrics, b.finished().metrics, a.finished().headline
    lower_is_better = {name for name, entry in a_metrics.items() if entry.higher_is_better is False}
    family = {metric.name: p for metric, p in tested if not is_other_reading(metric.name, headline)}
    adjusted = dict(zip(family, paired.holm(list(family.values())), strict=True))
    tested_by_name = {
        metric.name: replace(
            metric,
            adjusted=adjusted.get(metric.name),
            family=len(family),
            wins=metric.losses if metric.name in lower_is_better else metric.wins,
            losses=metric.wins if metric.name in lower_is_better else metric.losses,
        )
        for metric, _ in tested
    }
    names = dict.fromkeys([*(name for name in a_metrics if name in b_metrics), *tested_by_name])
    for name in sorted(names, key=lambda name: (name != headline, name not in tested_by_name, name)):
        if name in tested_by_name:
            yield tested_by_name[name]
        elif name.count("/") < 2:
            a_value, b_value = a_metrics[name]["value"], b_metrics[name]["value"]
            yield MetricComparison(name, a_value, b_value, n=a_metrics[name]["n"], difference=a_value - b_value)


def _without_test(metric: MetricComparison, why: str, interval: Interval = None) -> MetricComparison:
    """Leave out what only a random choice of a fixed number of samples allows."""
    low, high = interval or (None, None)
    return replace(metric, low=low, high=high, p=None, adjusted=None, detectable=None, test=why)


def _timed(a: Record, b: Record) -> Iterator[MetricComparison]:
    """Compare the timings of two models that alternated. Raises `InputError` if they did not alternate."""
    a_metrics, b_metrics, headline = a.finished().metrics, b.finished().metrics, a.finished().headline
    timed = {name: statistics.TimedMetric.of(name, a_metrics[name]) for name in a_metrics if name in b_metrics}
    pairs = {name: statistics.in_turn(a, b, metric.value) for name, metric in timed.items()}
    if not pairs.get(headline):
        raise InputError(statistics.not_in_turn(a, b))
    for name in sorted(pairs, key=lambda name: name != headline):
        if not pairs[name]:
            continue
        statistic = timed[name].statistic
        difference, ratio = statistics.difference(statistic, pairs[name]), statistics.ratio(statistic, pairs[name])
        (low, high), (ratio_low, ratio_high) = statistics.interval(difference), statistics.interval(ratio)
        yield MetricComparison(
            name, a_metrics[name]["value"], b_metrics[name]["value"], n=ratio.n,
            difference=difference.value, low=low, high=high,
            test="Student's t on the logarithms of the sessions' ratios, timed in turn",
            ratio=ratio.value, ratio_low=ratio_low, ratio_high=ratio_high,
        )  # fmt: skip


def _tested(
    a_rows: Mapping[str, SampleValues], b_rows: Mapping[str, SampleValues]
) -> Iterator[tuple[MetricComparison, float]]:
    """Test every value that samples have in both runs; yields the comparison and its uncorrected p-value."""
    names = dict.fromkeys(name for row in a_rows.values() for name in row.values)
    for name in names:
        ids = [id for id, row in a_rows.items() if name in row.values and name in b_rows[id]["values"]]
        if not ids:
            continue
        a_N, b_N = (sample_values(rows, ids, name) for rows in (a_rows, b_rows))
        estimate = paired.difference(a_N, b_N, sample_clusters(a_rows, ids))
        low, high = estimate.interval() or (None, None)
        p = estimate.p_value()
        yield MetricComparison(
            name, float(a_N.mean()), float(b_N.mean()), n=estimate.n,
            difference=estimate.value, low=low, high=high, p=p,
            test=estimate.test,
            detectable=estimate.minimum_detectable, wins=int((a_N > b_N).sum()), losses=int((a_N < b_N).sum()),
        ), p  # fmt: skip


def is_other_reading(name: str, headline: str) -> bool:
    """Whether a metric reads the same answers as the headline once more, so that it is no further hypothesis.

    Example:
        >>> is_other_reading("accuracy-strict", "accuracy"), is_other_reading("recall@5", "accuracy")
        (True, False)
    """
    return name != headline and (name.startswith(f"{headline}-") or name in _OTHER_READINGS)


def sample_values(rows: Mapping[str, SampleValues], ids: Sequence[str], name: str) -> Floats:
    """Return the samples' values under a name, in the order of the ids."""
    return np.array([float(rows[id].values[name]) for id in ids])


def sample_clusters(rows: Mapping[str, SampleValues], ids: Sequence[str]) -> list[str]:
    """Return the samples' clusters, in the order of the ids; a sample without a cluster is a cluster of its own."""
    return [rows[id].cluster or f"sample {id}" for id in ids]
