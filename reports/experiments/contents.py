"""Gather what a report of an experiment shows: the log, the verdicts, warnings and tables."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from evals.reports.experiments.sentences import Wording, relative, rows_text, time_text, verdict, warnings
from evals.reports.rendering.formatting import one_line, p_value, probability
from evals.reports.rendering.table_formats import Table
from evals.statistics.experiments.analysis import ExperimentAnalysis
from evals.statistics.experiments.comparison import EstimatedValue, VariantComparison
from evals.statistics.experiments.sample_ratio import THRESHOLD


@dataclass(frozen=True, kw_only=True)
class ExperimentReport:
    """One experiment, with what was read."""

    log: str
    """The name of the log."""
    columns: dict[str, str]
    """What was read from which column."""
    rows: int
    left_out: dict[str, int]
    """Numbers of rows that are not counted, by what they lack."""
    analysis: ExperimentAnalysis
    lower_is_better: bool = False
    times: tuple[int, int] | None = None
    """The first and the last time, in milliseconds since 1970; None if the rows have none of their own."""

    @property
    def timed(self) -> bool:
        """Whether the rows have times of their own."""
        return self.times is not None

    @property
    def wording(self) -> Wording:
        """How outcomes are printed."""
        analysis = self.analysis
        return Wording(analysis.is_share, self.lower_is_better, analysis.growing, analysis.variants[0].name)

    @property
    def about(self) -> str:
        """One line on the log."""
        columns = ", ".join(f"{what} in column {name}" for what, name in self.columns.items())
        better = "lower" if self.lower_is_better else "higher"
        planned = " : ".join(f"{100 * share:.4g}" for share in self.analysis.ratio.planned)
        return one_line(
            f"{self.log}: {self.rows:,} rows; {columns}. {better.capitalize()} is better. The baseline is "
            f"{self.analysis.variants[0].name}; planned shares {planned} %.{self._period}"
        )

    @property
    def _period(self) -> str:
        if self.times is None:
            return ""
        first, last = map(time_text, self.times)
        return f" Times from {first} to {last}."

    @property
    def verdicts(self) -> list[str]:
        """One sentence per variant that is compared with the baseline; one in all, if the shares do not hold."""
        sentences = [verdict(self.analysis, comparison, self.wording) for comparison in self.analysis.comparisons]
        return sentences if self.analysis.is_comparable else sentences[:1]

    @property
    def warnings(self) -> list[str]:
        """What a reader should know before trusting the log."""
        return warnings(
            self.analysis, self.wording, left_out=self.left_out, has_units="unit" in self.columns, times=self.times
        )

    @property
    def ratio_line(self) -> str:
        """What the test of the planned shares says."""
        ratio, analysis = self.analysis.ratio, self.analysis
        counts = " : ".join(f"{count:,}" for count in ratio.counts)
        p, test = (ratio.anytime_p, "sequential test") if analysis.growing else (ratio.p, "chi-square test")
        units = "units" if "unit" in self.columns else "rows"
        holds = "as planned" if analysis.ratio_holds else "NOT as planned"
        return f"Sample ratio: {counts} {units}, {holds} ({test}: {p_value(p)}; {THRESHOLD} is the threshold)."


def variants_table(report: ExperimentReport) -> Table:
    """One row per variant: rows, units, total and rate."""
    wording, analysis = report.wording, report.analysis
    has_units = "unit" in report.columns
    total, mean = ("successes", "rate") if analysis.is_share else ("sum", "mean")
    columns = ("variant", "rows", *(("units",) if has_units else ()), total, mean, "95 % interval")
    rows = [
        (
            one_line(summary.name, 60),
            f"{summary.counted:,}",
            *((f"{summary.units:,}",) if has_units else ()),
            f"{summary.total:,.0f}" if analysis.is_share else f"{summary.total:,.6g}",
            wording.value(summary.mean.value),
            _interval(summary.mean, wording),
        )
        for summary in analysis.variants
    ]
    return Table("Variants", columns, "l" + "r" * (len(columns) - 1), tuple(rows))


def _interval(estimate: EstimatedValue, wording: Wording) -> str:
    if estimate.low is None or estimate.high is None:
        return "–"
    return f"{wording.value(estimate.low)} to {wording.value(estimate.high)}"


def comparisons_table(report: ExperimentReport, comparisons: tuple[VariantComparison, ...], *, segments: bool) -> Table:
    """One row per comparison with the baseline."""
    wording = report.wording
    several = len(comparisons) > 1
    columns = (
        *(("segment",) if segments else ()), "variant", *(("rows",) if segments else ()), "difference", "relative", "p",
        *(("p (Holm)",) if several else ()), "at any time", "detectable",
    )  # fmt: skip
    rows = [
        (
            *((one_line(row.segment, 40),) if segments else ()),
            one_line(row.variant, 60),
            *((f"{row.baseline_rows:,} : {row.variant_rows:,}",) if segments else ()),
            wording.difference(row.difference),
            relative(row.lift),
            probability(row.p),
            *((probability(row.adjusted_p),) if several else ()),
            _sequence(row, wording),
            wording.size(row.detectable),
        )
        for row in comparisons
    ]
    title = f"Against {one_line(wording.baseline, 60)}" + (", by segment" if segments else "")
    return Table(title, columns, "l" * (1 + segments) + "r" * (len(columns) - 1 - segments), tuple(rows))


def _sequence(row: VariantComparison, wording: Wording) -> str:
    if row.sequence is None:
        return "too few rows"
    text = wording.difference(EstimatedValue(row.sequence.low, row.sequence.low, row.sequence.high))
    return text.partition("(")[2].rstrip(")")


NOTES = (
    "difference: the variant less the baseline, with its 95 % interval for one look at a finished log. at any time: "
    "the 95 % interval that holds however often a growing log is looked at. detectable: the smallest true difference "
    "that these rows show with 80 % chance, by the test that decides (at any time, for a growing log; with Holm's "
    "correction, for several variants)."
)


def needed_lines(report: ExperimentReport) -> list[str]:
    """Say how many rows would show the seen differences."""
    baseline = one_line(report.wording.baseline, 60)
    lines = []
    for row in report.analysis.comparisons:
        if row.rows_for_power is None:
            continue
        lines.append(
            f"A difference of {report.wording.size(abs(row.difference.value or 0))} between "
            f"{one_line(row.variant, 60)} and {baseline} is significant from {rows_text(row.rows_for_significance)} "
            f"rows on, and found with 80 % chance from {rows_text(row.rows_for_power)} rows{_of_each_variant(row)}."
        )
    return lines


def _of_each_variant(row: VariantComparison) -> str:
    """Say how many rows of each variant that are, if both have about as many."""
    if abs(row.baseline_rows - row.variant_rows) > 0.02 * row.variant_rows:
        return ""
    halves = [(rows + 1) // 2 for rows in (row.rows_for_significance, row.rows_for_power) if rows is not None]
    return f" ({' and '.join(map(rows_text, halves))} of each)"


def as_json(report: ExperimentReport) -> dict[str, Any]:
    """Return the report as a JSON document: shares as fractions, without the looks of the figure."""
    analysis = report.analysis
    decisions = [analysis.decision(row, lower_is_better=report.lower_is_better) for row in analysis.comparisons]
    return {
        "log": report.log,
        "columns": report.columns,
        "rows": report.rows,
        "left_out": report.left_out,
        "outcome": "share" if analysis.is_share else "number",
        "lower_is_better": report.lower_is_better,
        "growing": analysis.growing,
        "baseline": analysis.variants[0].name,
        "sentences": report.verdicts,
        "warnings": report.warnings,
        "variants": [asdict(summary) for summary in analysis.variants],
        "sample_ratio": {**asdict(analysis.ratio), "threshold": THRESHOLD, "holds": analysis.ratio_holds},
        "mixed_units": analysis.mixed_units,
        "missing_p": analysis.missing_p,
        "drift_p": analysis.drift_p,
        "comparisons": [
            {**asdict(row), "decision": decision} for row, decision in zip(analysis.comparisons, decisions, strict=True)
        ],
        "segments": None if analysis.segments is None else asdict(analysis.segments),
    }
