"""Say in plain sentences what an experiment decided, and what is wrong with its log."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from evals.errors import counted
from evals.plain_numbers import is_real
from evals.reports.rendering.formatting import one_line, p_value
from evals.statistics.experiments.analysis import ExperimentAnalysis
from evals.statistics.experiments.comparison import EstimatedValue, VariantComparison
from evals.statistics.experiments.planning import has_too_few
from evals.statistics.experiments.sample_ratio import THRESHOLD
from evals.statistics.experiments.sequences import LEAST_NUMBER_EVENTS

_FEW_UNITS = 30
_OLD = 631_152_000_000
"""Milliseconds until 1990: a log whose times all lie before is likely to have numbers of another kind."""
_MANY = 10**12
"""Numbers of rows above this are not printed: no log has them."""


@dataclass(frozen=True)
class Wording:
    """How the outcomes of one experiment are printed."""

    is_share: bool
    lower_is_better: bool
    growing: bool
    baseline: str

    def value(self, value: float | None) -> str:
        """Print an outcome: a share as percent."""
        if value is None:
            return "–"
        return f"{100 * value:z.2f} %" if self.is_share else _number(value)

    def difference(self, estimate: EstimatedValue, *, flip: bool = False) -> str:
        """Print a difference with its interval, in points where it is one of shares; `flip` changes the sign."""
        ends = [value for value in (estimate.value, estimate.low, estimate.high) if value is not None]
        if flip:
            ends = [-value for value in ends]
        value, *interval = ends
        digits = self._digits(interval or ends)
        scale, unit = (100, " points") if self.is_share else (1, "")
        spread = f" ({min(interval) * scale:z.{digits}f} to {max(interval) * scale:z.{digits}f})" if interval else ""
        return f"{value * scale:z.{digits}f}{unit}{spread}"

    def size(self, value: float | None) -> str:
        """Print the size of a difference."""
        if value is None:
            return "–"
        return f"{100 * value:.2g} points" if self.is_share else _number(value)

    def _digits(self, ends: list[float]) -> int:
        """Return the decimals with which an interval's width has two digits, and no end looks like 0 that is not."""
        width = (max(ends) - min(ends) if len(ends) > 1 else abs(ends[0])) * (100 if self.is_share else 1)
        wanted = 1 - math.floor(math.log10(width)) if width > 0 else 1
        digits = min(max(wanted, 1 if self.is_share else 0), 9)
        scale = 100 if self.is_share else 1
        while digits < 9 and any(end and not round(end * scale, digits) for end in ends):  # the sign must be seen
            digits += 1
        return digits


def _number(value: float) -> str:
    digits = 3 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{min(max(digits, 0), 9)}f}"


def relative(estimate: EstimatedValue) -> str:
    """Print a relative change with its interval."""
    if estimate.value is None:
        return "–"
    if estimate.low is None:
        return f"{100 * estimate.value:+.1f} %"
    high = "∞" if estimate.high is None else f"{100 * estimate.high:+.1f}"
    return f"{100 * estimate.value:+.1f} % ({100 * estimate.low:+.1f} to {high} %)"


def rows_text(rows: int | None) -> str:
    """Print a number of rows that would be needed, with three digits.

    Example:
        >>> rows_text(83397), rows_text(412), rows_text(None)
        ('83,400', '412', '–')
    """
    if rows is None:
        return "–"
    if rows > _MANY:
        return "over 10^12"
    step = 10 ** max(len(str(rows)) - 3, 0)
    return f"{math.ceil(rows / step) * step:,}"


def time_text(time: float) -> str:
    """Print milliseconds since 1970 as a time.

    Example:
        >>> time_text(1_758_758_400_000), time_text(1e18)
        ('2025-09-25 00:00', '1e+15 s')
    """
    try:
        return f"{datetime.fromtimestamp(time / 1000, UTC):%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):  # before the year 1 or after 9999
        return f"{time / 1000:.6g} s"


def verdict(analysis: ExperimentAnalysis, comparison: VariantComparison, wording: Wording) -> str:
    """Say what is decided about one variant, for a reader who knows no statistics."""
    variant, baseline = one_line(comparison.variant, 60), one_line(wording.baseline, 60)
    decision = analysis.decision(comparison, lower_is_better=wording.lower_is_better)
    if decision == "not_comparable":
        return f"{variant} and {baseline} cannot be compared: {_obstacle(analysis)}"
    shown = comparison.difference
    if analysis.growing and comparison.sequence is not None:
        shown = EstimatedValue(shown.value, comparison.sequence.low, comparison.sequence.high)
    rates = f"{wording.value(comparison.variant_mean)} against {wording.value(comparison.baseline_mean)}"
    if decision != "undecided":
        is_lower = (shown.value or 0.0) < 0
        return f"{variant} is {decision} than {baseline} by {wording.difference(shown, flip=is_lower)}: {rates}."
    if comparison.p is None:
        return f"Not decided: {variant} against {baseline}: {_range(shown, wording)} ({rates})."
    if has_too_few(comparison):
        return (
            f"Not decided: {variant} against {baseline}: the outcomes are skewed, and too few decide a mean: they "
            f"weigh like {comparison.events:.1f} rare events, and {LEAST_NUMBER_EVENTS} are needed ({rates}). "
            f"{_needed(comparison)}".strip()
        )
    if analysis.growing and comparison.sequence is None:
        return f"Not decided: {variant} and {baseline} have too few rows so far ({rates})."
    return (
        f"Not decided: {variant} against {baseline}: {_range(shown, wording)} ({rates}). {_needed(comparison)}".strip()
    )


def _range(shown: EstimatedValue, wording: Wording) -> str:
    """Say how much worse and how much better a variant may be."""
    if shown.low is None or shown.high is None:
        return "the outcomes do not vary enough for an interval, or one unit has all rows of a variant"
    low, high = (-shown.high, -shown.low) if wording.lower_is_better else (shown.low, shown.high)
    if low >= 0 or high <= 0:
        return f"a difference of {wording.difference(shown)} that is not certain enough among several comparisons"
    digits = EstimatedValue(low, low, high)
    worse, better = wording.difference(digits).partition("(")[2].rstrip(")").split(" to ")
    unit = " points" if wording.is_share else ""
    return f"it may be up to {worse.lstrip('-')}{unit} worse or {better}{unit} better"


def _needed(comparison: VariantComparison) -> str:
    needed = comparison.rows_for_power
    if needed is None:
        return ""
    here = comparison.baseline_rows + comparison.variant_rows
    return (
        f"If the difference is as large as it looks, about {rows_text(needed)} rows of both together would show it "
        f"(with 80 % chance); there are {here:,}."
    )


def _obstacle(analysis: ExperimentAnalysis) -> str:
    if not analysis.ratio_holds:
        ratio, p = analysis.ratio, analysis.ratio.anytime_p if analysis.growing else analysis.ratio.p
        counts = " : ".join(f"{count:,}" for count in ratio.counts)
        planned = " : ".join(f"{100 * share:.4g} %" for share in ratio.planned)
        return (
            f"{counts} came where {planned} were planned ({p_value(p)}). Something assigns or loses rows unequally, "
            "and it may favour one variant. If other shares were planned, give them with --planned."
        )
    if not analysis.outcomes_hold:
        return (
            f"outcomes are missing more often in some variants than in others ({p_value(analysis.missing_p)}). The "
            "rows without one may be those that failed: give them an outcome, or take them out of all variants."
        )
    is_paradox = any(analysis.is_paradox(comparison) for comparison in analysis.comparisons)
    if not analysis.assignment_holds and not is_paradox:
        return (
            "their shares changed over time, or differ between segments, which random assignment would not give: what "
            "differs between the times or segments would count as an effect. Compare within a time or a segment in "
            "which they did not."
        )
    return "within the segments the difference goes the other way than in the whole log (Simpson's paradox)."


def warnings(
    analysis: ExperimentAnalysis, wording: Wording, *, left_out: dict[str, int], has_units: bool,
    times: tuple[int, int] | None = None,
) -> list[str]:  # fmt: skip
    """List what a reader should know before trusting the log."""
    lines = [f"{counted(count, 'row')} without {what} left out." for what, count in left_out.items() if count]
    lines += [_alike(names) for names in alike_names([summary.name for summary in analysis.variants])]
    if times is not None and times[1] < _OLD:
        lines.append(
            f"The last time is {time_text(times[1])}: numbers in the column of times count as seconds since 1970."
        )
    if not has_units:
        lines.append(
            "Each row counts as independent. If a user can have several, name the column of the users with --unit."
        )
    if analysis.missing_p < THRESHOLD:
        lines.append(
            f"Outcomes are missing more often in some variants than in others ({p_value(analysis.missing_p)}): the "
            "rates are those of the rows that have one."
        )
    if analysis.mixed_units:
        lines.append(
            f"{counted(analysis.mixed_units, 'unit')} came in more than one variant. Their rows are counted in each; "
            "the effect is likely to look smaller than it is."
        )
    if analysis.drift_p is not None and analysis.drift_p < THRESHOLD:
        lines.append(
            f"The shares of the variants changed over time ({p_value(analysis.drift_p)}): if the outcomes did too, the "
            "comparison mixes times. Compare a part of the time in which the shares were constant."
        )
    lines += [
        f"A few units hold most rows of {one_line(summary.name, 60)}: its {summary.units:,} units weigh like "
        f"{summary.even_units:.1f} of equal size. They decide its mean, so that the interval is wide."
        for summary in analysis.variants
        if summary.even_units < _FEW_UNITS <= summary.units or summary.even_units < summary.units / 10
    ]
    lines += [
        f"The outcomes are skewed, and {one_line(row.variant, 60)} and {one_line(wording.baseline, 60)} have unequal "
        "numbers of rows. A permutation test must agree with the t test, and the interval has the ends of whichever "
        "reaches farther."
        for row in analysis.comparisons
        if row.skewness is not None
    ]
    small = [summary.name for summary in analysis.variants if summary.units < _FEW_UNITS]
    if small:
        lines.append(
            f"Fewer than 30 units: {', '.join(one_line(name, 60) for name in small)}; intervals may be too narrow."
        )
    return lines + _segment_warnings(analysis, wording)


def alike_names(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Group names that differ only in case, spaces, width or the form of a number, and may be meant to be one.

    Example:
        >>> alike_names(["A", "B", "a", "2", "2.0", "new model", "New_Model"])
        [('A', 'a'), ('2', '2.0'), ('new model', 'New_Model')]
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        plain = re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFKC", name)).casefold().strip()
        groups.setdefault(str(float(plain)) if is_real(plain) else plain, []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _alike(names: Sequence[str]) -> str:
    listed = " and ".join(repr(one_line(name, 60)) for name in names)
    return f"The variants {listed} differ only in how they are written. If they are one, give them one name."


def _segment_warnings(analysis: ExperimentAnalysis, wording: Wording) -> list[str]:
    report = analysis.segments
    if report is None:
        return []
    lines = []
    for row, total in zip(report.variants, analysis.comparisons, strict=True):
        name = one_line(row.variant, 60)
        if row.opposes_total and row.weighted_difference is not None:
            weighted = EstimatedValue(row.weighted_difference, None, None)
            lines.append(
                f"Simpson's paradox: {name} differs from {one_line(wording.baseline, 60)} by "
                f"{wording.difference(EstimatedValue(total.difference.value, None, None))} in the whole log, but by "
                f"{wording.difference(weighted)} within the segments, because the variants have other shares of them."
            )
        if row.unequal_p is not None and row.unequal_p < 0.05:
            lines.append(f"The effect of {name} differs between the segments ({p_value(row.unequal_p)}).")
    if report.mix_p < THRESHOLD:
        lines.append(
            f"The variants have different shares of the segments ({p_value(report.mix_p)}), which random assignment "
            "would not give them."
        )
    if report.small:
        shown = ", ".join(one_line(name, 40) for name in report.small[:10])
        lines.append(f"Too few rows to compare in every variant: {shown}{' …' if len(report.small) > 10 else ''}.")
    return lines
