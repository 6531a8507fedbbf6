"""Write an estimate with predictions for the terminal."""

from __future__ import annotations

from evals.reports.predictions.estimate import PredictedSplit
from evals.reports.predictions.stopped import PredictedStop
from evals.reports.rendering import table_formats
from evals.reports.rendering.formatting import interval, metric_value, one_line
from evals.reports.rendering.table_formats import Table
from evals.reports.runs import naming, terminal
from evals.schema import Metric


def text(estimate: PredictedSplit) -> str:
    """Write the value of the whole split, what the predictions gained, and the groups that they make."""
    powered, alone = estimate.powered, estimate.alone
    names = " and ".join(naming.model(predictor) for predictor in estimate.predictors)
    of = f"{estimate.metric} of all {powered.of:,} samples, from {powered.n:,} of them"
    parts = [
        one_line(f"{naming.model(estimate.run)}: {of}", 300),
        f"  {_range(powered.value, powered.low, powered.high)}  with the predictions of {names}\n"
        f"  {_range(alone.value, alone.low, alone.high)}  without them",
        _gain(estimate),
        table_formats.text(_groups(estimate), terminal.width()),
    ]
    return "\n\n".join(parts) + "\n"


def text_of_stopped(estimate: PredictedStop) -> str:
    """Write the same for a run that stopped early."""
    names = " and ".join(naming.model(predictor) for predictor in estimate.predictors)
    of = f"{estimate.metric} of all {estimate.of:,} samples, from the first {estimate.n:,} of them in random order"
    powered, alone = estimate.powered, estimate.alone
    parts = [
        one_line(f"{naming.model(estimate.run)}: {of}", 300),
        f"  {_range(powered.value, powered.low, powered.high)}  with the predictions of {names}\n"
        f"  {_range(alone.value, alone.low, alone.high)}  without them",
        "Both intervals hold at every look, the first one for predictions that were chosen without a view of this "
        "run's values.",
    ]
    if estimate.target is not None:
        goal = f"--precision {100 * estimate.target:g}"
        parts.append(
            f"With these predictions, {goal} would have stopped after {estimate.enough:,} samples; this run stopped "
            f"after {estimate.n:,}."
            if estimate.enough is not None
            else f"With these predictions alone, {goal} would have needed more than these samples."
        )
    return "\n\n".join(parts) + "\n"


def _gain(estimate: PredictedSplit) -> str:
    gain, n, total = estimate.powered.gain, estimate.powered.n, estimate.powered.of
    if len(estimate.groups) == 1:
        return "The predictions divide the samples into no groups that are large enough: nothing is gained."
    if gain < 1.05:
        related = "" if estimate.correlation is None else f", correlation with its values {estimate.correlation:.2f}"
        return f"The predictions gain next to nothing here (a gain of {gain:.2f}{related})."
    alike = 1 / ((1 / n - 1 / total) / gain + 1 / total)
    return f"The interval is as narrow as that of {alike:,.0f} samples without predictions (a gain of {gain:.2f})."


def _groups(estimate: PredictedSplit) -> Table:
    rows = tuple(
        (_share(group.least, group.most), f"{group.of:,}", f"{group.n:,}", f"{100 * group.value:.1f} %")
        for group in estimate.groups
    )
    return Table("", ("prediction", "samples in the split", "in the run", "value in the run"), "lrrr", rows)


def _share(least: float, most: float) -> str:
    return f"{100 * least:.0f} %" if least == most else f"{100 * least:.0f} to {100 * most:.0f} %"


def _range(value: float, low: float | None, high: float | None) -> str:
    metric = Metric(value, low, high, 0)
    return f"{metric_value(metric)} {interval(metric)}"
