"""Judge a claimed relation of two systems (difference, ratio, error reduction, order) by two runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from evals.comparison import sample_clusters, sample_values
from evals.records.folder import Record
from evals.reports.claims.evidence.measured_rows import (
    Hypothesis,
    MeasuredRow,
    band_text,
    detectable_text,
    value_text,
)
from evals.reports.claims.language.schema import Relation
from evals.reports.runs.sections import higher_is_better
from evals.statistics import paired
from evals.statistics.decisions import (
    EQUIVALENCE_LEVEL,
    Decision,
    against_band,
    against_bound,
    equivalent,
    ordered,
)
from evals.statistics.paired import TwoSystemEstimate, one_sided_bounds
from evals.timing import statistics

EQUIVALENCE_BAND = (0.8, 1.25)
"""Ratios that count as about the same where the claim gives no margin."""
SIGNIFICANCE = 0.05
_OPPOSITE: Mapping[Decision, Decision] = {
    "supported": "refuted", "refuted": "supported", "inconclusive": "inconclusive",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RelationEstimate:
    """An estimated relation of two runs."""

    estimate: TwoSystemEstimate | None
    """None if the runs share no value, or a divisor may be zero."""
    null: float
    """The value that means no difference: 0 for differences, 1 for ratios."""
    p: float | None
    """Two-sided p-value against `null`."""
    significance: float = SIGNIFICANCE
    """The p-value below which the relation differs from `null`; less if several comparisons share the 5 %."""

    @property
    def significant(self) -> bool:
        """Whether the relation differs from `null`."""
        return self.p is not None and self.p < self.significance


def judge_relation(hypothesis: Hypothesis, records: Sequence[Record]) -> tuple[MeasuredRow, list[str]]:
    """Compare a relation of two runs, estimated on the samples they share, with the claimed interval.

    Args:
        hypothesis: a reading of a claim with a relation other than `level`.
        records: the finished runs of the subject and of the baseline, with all of their samples.

    Returns:
        The row, with a decision as if the described systems had been run, and lines that explain it.
    """
    relation = hypothesis.relation
    timed = any(record.timed for record in records)
    estimated = (_estimate_timed if timed else estimate_relation)(hypothesis.measure.metric, relation, records)
    percent = in_percent(relation) and not timed
    row = related_row(hypothesis, estimated, percent=percent)
    estimate = estimated.estimate
    if estimate is None:
        reason = "the runs share no sample with this metric, or the baseline's value may be zero"
        return row, [f"no {relation}: {statistics.not_in_turn(*records) if timed else reason}"]
    basis = "repetitions that were timed in turn" if timed else "shared samples"
    lines = [f"{relation_text(row, percent)} on {estimate.n:,} {basis}; {claimed_text(hypothesis, percent)}"]
    if row.decision == "inconclusive" or row.direction == "undecided":
        lines.append(detectable_text(row.detectable, relation, row.n, percent))
    return row, lines


def in_percent(relation: Relation) -> bool:
    """Whether a relation of two shares is itself a share, and printed in percent."""
    return relation in {"difference", "error-reduction", "retention", "order"}


def related_row(hypothesis: Hypothesis, estimated: RelationEstimate, *, percent: bool) -> MeasuredRow:
    """Return the row of an estimated relation, with a decision as if the described systems had been run.

    Args:
        hypothesis: a reading of a claim.
        estimated: the relation; without an estimate, the row has no value.
        percent: whether the value is a share.
    """
    row = MeasuredRow(
        task=hypothesis.measure.task,
        metric=hypothesis.measure.metric,
        relation=hypothesis.relation,
        value=None,
        low=None,
        high=None,
        n=0,
        claimed_low=hypothesis.low,
        claimed_high=hypothesis.high,
        decision="inconclusive",
        unit="fraction" if percent else "x",
    )
    estimate = estimated.estimate
    if estimate is None:
        return row
    low, high = estimate.interval() or (None, None)
    return replace(
        row,
        value=estimate.value,
        low=low,
        high=high,
        n=estimate.n,
        decision=_decide(hypothesis, estimate, estimated),
        decided_by_p=_tests_equality(hypothesis, estimated.null),
        p=estimated.p,
        detectable=estimate.minimum_detectable,
        direction=_direction(hypothesis, estimate, estimated),
    )


def relation_text(row: MeasuredRow, percent: bool) -> str:
    """Write a measured relation with its interval, if it has one."""
    spread = f" ({value_text(row.low, percent)} to {value_text(row.high, percent)})" if row.low is not None else ""
    return f"{row.relation} {value_text(row.value, percent)}{spread}"


def claimed_text(hypothesis: Hypothesis, percent: bool) -> str:
    """Write what a hypothesis claims."""
    return f"claimed {band_text(hypothesis.low, hypothesis.high, percent)}"


def estimate_relation(metric: str, relation: str, records: Sequence[Record]) -> RelationEstimate:
    """Estimate a relation over the samples for which both runs have a value; see `early` for runs that stopped."""
    first, second = ({row.id: row for row in record.values()} for record in records)
    shared = [id for id in first if id in second]
    ids = [id for id in shared if metric in first[id].values and metric in second[id].values]
    if not ids:
        return RelationEstimate(None, 0.0, None)
    a_N, b_N, cluster_N = (
        sample_values(first, ids, metric),
        sample_values(second, ids, metric),
        sample_clusters(first, ids),
    )
    match relation:
        case "error-reduction":
            estimate, null = paired.error_reduction(a_N, b_N, cluster_N), 0.0
        case "retention" | "ratio":
            estimate, null = paired.ratio(a_N, b_N, cluster_N), 1.0
        case "speed-up":
            estimate, null = paired.ratio(b_N, a_N, cluster_N), 1.0
        case _:
            swap = relation == "order" and not higher_is_better(records[0], metric)
            estimate, null = paired.difference(*((b_N, a_N) if swap else (a_N, b_N)), cluster_N), 0.0
    if estimate is None:
        return RelationEstimate(None, null, None)
    return RelationEstimate(estimate, null, estimate.p_value(null))


def _estimate_timed(metric: str, relation: str, records: Sequence[Record]) -> RelationEstimate:
    """Estimate a relation of runs that were timed in turn; no estimate if they were not.

    `order` and `speed-up` are ratios, inverted for metrics whose lower values are better: the better system has the
    larger ratio.
    """
    a, b = records
    if relation in {"order", "speed-up"} and not higher_is_better(a, metric):
        a, b = b, a
    timed = statistics.TimedMetric.of(metric, a.finished().metrics[metric])
    pairs = statistics.in_turn(a, b, timed.value)
    if not pairs or relation == "error-reduction":
        return RelationEstimate(None, 1.0, None)
    relate, null = (statistics.difference, 0.0) if relation == "difference" else (statistics.ratio, 1.0)
    estimate = relate(timed.statistic, pairs)
    return RelationEstimate(estimate, null, estimate.p_value(null) if estimate.interval() else None)


def _decide(hypothesis: Hypothesis, estimate: TwoSystemEstimate, estimated: RelationEstimate) -> Decision:
    """Compare an estimate with the claim: equivalence, order, a band, or a one-sided bound."""
    low, high, null = hypothesis.low, hypothesis.high, estimated.null
    if hypothesis.bound == "about":
        band = (low if low is not None else EQUIVALENCE_BAND[0], high if high is not None else EQUIVALENCE_BAND[1])
        return equivalent(estimate.interval(EQUIVALENCE_LEVEL), band)
    if _tests_equality(hypothesis, null):
        decision = ordered(estimate.interval(), null) if estimated.significant else "inconclusive"
        return decision if hypothesis.relation == "order" or high is None else _OPPOSITE[decision]
    if low is not None and high is not None:
        return against_band(estimate.interval(), (low, high))
    bound = low if low is not None else high
    assert bound is not None
    return against_bound(*one_sided_bounds(estimate), bound, least=low is not None)


def _tests_equality(hypothesis: Hypothesis, null: float) -> bool:
    """Whether the test against equality decides the claim: it claims an order and no size."""
    ends = [end for end in (hypothesis.low, hypothesis.high) if end is not None]
    return hypothesis.bound != "about" and (hypothesis.relation == "order" or ends in ([], [null]))


def _direction(hypothesis: Hypothesis, estimate: TwoSystemEstimate, estimated: RelationEstimate) -> str | None:
    """Whether the difference has the claimed sign at the scale that was run; None if the claim allows either sign."""
    if hypothesis.relation == "retention" or hypothesis.bound == "about":
        return None
    null = estimated.null
    low, high = (None, None) if hypothesis.relation == "order" else (hypothesis.low, hypothesis.high)
    upwards = (low is None and high is None) or (low is not None and low >= null)
    if not upwards and (high is None or high > null):
        return None
    if not estimated.significant:
        return "undecided"
    return "holds" if (estimate.value > null) == upwards else "fails"
