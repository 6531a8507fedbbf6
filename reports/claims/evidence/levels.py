"""Judge a claimed level ("78.3 % on SST-2") by one run."""

from __future__ import annotations

from dataclasses import replace

from evals.errors import counted
from evals.records.folder import Record
from evals.records.sequential.stopped import of_set_and_population
from evals.reports.claims.evidence.cross_document import PROTOCOL_MARGIN
from evals.reports.claims.evidence.measured_rows import Hypothesis, MeasuredRow, band_text, detectable_text
from evals.reports.claims.language.values import ValueTable
from evals.statistics.decisions import Decision, against_band, against_bound, against_tail
from evals.statistics.power import minimum_detectable, successes_needed
from evals.timing import replays, statistics

_TWO_SIDED, _ONE_SIDED = 1.959964, 1.644854
"""Normal quantiles of 95 % intervals and of one-sided 95 % bounds."""


def judge_level(hypothesis: Hypothesis, record: Record, table: ValueTable) -> tuple[MeasuredRow, list[str]]:
    """Compare the interval of a measured value with the claimed interval, widened by the margin of the protocol.

    Args:
        hypothesis: a reading of a claim with relation `level`.
        record: a finished run that has the metric.
        table: the values of the document, for its units.

    Returns:
        The row, with a decision as if the described system had been run, and lines that explain it.
    """
    name = hypothesis.measure.metric
    metric = record.finished().metrics[name]
    if metric.unit in {"seconds", "bytes"}:
        hypothesis = _in_unit(hypothesis, float(table.units[metric.unit].factor))
    value, low, high = metric.value, metric.low, metric.high
    stopped = record.finished().stopped
    if stopped is not None and low is not None:
        low, high = of_set_and_population(record, name) or (None, None)
    percent = metric.unit == "fraction"
    margin = protocol_margin(hypothesis) if percent else 0.0
    decision, explanation = _judge_at_a_rate(hypothesis, record) or _judge_tail(hypothesis, record) or (None, "")
    row = MeasuredRow(
        task=hypothesis.measure.task,
        metric=name,
        relation="level",
        value=value,
        low=low,
        high=high,
        n=metric.n,
        claimed_low=hypothesis.low,
        claimed_high=hypothesis.high,
        decision=decision or decide_level(value, low, high, hypothesis, margin, sequential=stopped is not None),
        unit=metric.unit,
    )
    tolerance = f", and {margin * 100:g} points for the protocol" if margin else ""
    lines = [f"claimed {band_text(hypothesis.low, hypothesis.high, percent, metric.unit)}{tolerance}"]
    if stopped is not None:
        lines.append(
            f"on the first {row.n:,} of {stopped.of:,} samples in random order; its interval is a 95 % confidence "
            "sequence, valid at every look"
        )
    elif row.decision == "inconclusive" and low is not None and high is not None:
        row = replace(row, detectable=minimum_detectable((high - low) / (2 * _TWO_SIDED)))
        lines.append(detectable_text(row.detectable, "level", row.n, percent))
    return row, [*lines, *([explanation] if explanation else [])]


def protocol_margin(hypothesis: Hypothesis) -> float:
    """Return by how much a share may differ from the claim, since the protocols may differ, as a fraction."""
    declared = hypothesis.measure.margin
    return float(declared) / 100 if declared else float(PROTOCOL_MARGIN)


def _in_unit(hypothesis: Hypothesis, factor: float) -> Hypothesis:
    """Convert the claimed interval from base units to a unit of this size."""
    low, high = (None if end is None else end / factor for end in (hypothesis.low, hypothesis.high))
    return replace(hypothesis, low=low, high=high)


def _judge_at_a_rate(hypothesis: Hypothesis, record: Record) -> tuple[Decision, str] | None:
    """Judge a time under a request rate by its interval over the replays, if the system bears the rate.

    Requests that wait for each other are not independent, so exceedances are not counted as if they were.
    """
    metrics = record.finished().metrics
    metric = metrics[hypothesis.measure.metric]
    if not record.at_a_rate or metric.unit != "seconds":
        return None
    rate = f"{metrics['request-rate/asked'].value:g} requests per second"
    growth, load = (metrics.get(name) for name in ("queue-growth", "utilisation"))
    assert growth is not None
    overloaded = replays.is_overloaded(
        replays.ReplayEstimate(growth.value, growth.low, growth.high),
        None if load is None else replays.ReplayEstimate(load.value, load.low, load.high),
    )
    if overloaded:
        within = hypothesis.low is None and hypothesis.high is not None
        return "refuted" if within else "inconclusive", f"the system cannot bear {rate}: its queue grows without end"
    if overloaded is None:
        return "inconclusive", f"the run does not show whether the system bears {rate}"
    if metric.low is None:
        return "inconclusive", f"at {rate} the value has no interval: {metric.note or 'one replay'}"
    decision = decide_level(metric.value, metric.low, metric.high, hypothesis, 0.0)
    return decision, f"at {rate}, which the system bears; the interval rests on independent replays"


def _judge_tail(hypothesis: Hypothesis, record: Record) -> tuple[Decision, str] | None:
    """Judge a percentile claim ("99 % within 20 ms") by counting the repetitions beyond it; None for other claims."""
    if not record.timed or record.at_a_rate or hypothesis.low is not None or hypothesis.high is None:
        return None
    name = hypothesis.measure.metric
    metric = statistics.TimedMetric.of(name, record.finished().metrics[name])
    level = statistics.TAILS.get(metric.statistic)
    if level is None:
        return None
    times = [row.values[metric.value] for row in record.values() if metric.value in row.values]
    beyond, allowed = sum(time > hypothesis.high for time in times), round(1 - level, 9)
    decision = against_tail(beyond, len(times), allowed)
    minimum_text = (
        f"; at least {successes_needed(level)} repetitions within the time are needed to show it" if not beyond else ""
    )
    return (
        decision,
        f"{beyond} of {counted(len(times), 'repetition')} took longer, {allowed * 100:g} % may{minimum_text}",
    )


def decide_level(
    value: float,
    low: float | None,
    high: float | None,
    hypothesis: Hypothesis,
    margin: float,
    *,
    sequential: bool = False,
) -> Decision:
    """Compare a 95 % interval with a claimed band, or a one-sided 95 % bound with a claim that has one end only.

    Args:
        value: the measured value.
        low: the low end of its 95 % interval, or None.
        high: the high end.
        hypothesis: what is claimed.
        margin: by how much the claimed band is widened.
        sequential: whether the interval is that of a confidence sequence, which has no narrower one-sided bounds.
    """
    if low is None or high is None or (hypothesis.low is None and hypothesis.high is None):
        return "inconclusive"
    if hypothesis.low is not None and hypothesis.high is not None:
        return against_band((low, high), (hypothesis.low - margin, hypothesis.high + margin))
    scale = 1.0 if sequential else _ONE_SIDED / _TWO_SIDED
    lower, upper = (value - (value - end) * scale for end in (low, high))
    bound = hypothesis.low - margin if hypothesis.low is not None else (hypothesis.high or 0.0) + margin
    return against_bound(lower, upper, bound, least=hypothesis.low is not None)
