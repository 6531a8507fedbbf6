"""The value of a whole split from a random part of it, with the help of other runs: `show RUN --predictor OTHER`.

estimate(record, predictors) -> PredictedSplit     use runs of the whole split as predictions of each sample
text(estimate)                               write it for the terminal

For a run that stopped early, `estimate_stopped` and `text_of_stopped` do the same with a confidence sequence.

The statistics are those of `evals.statistics.predictions` and, for a run that stopped early, of
`evals.statistics.sequential.control`: the interval is right whatever the predictor is worth.
"""

from __future__ import annotations

from evals.reports.predictions.estimate import PredictedSplit, estimate
from evals.reports.predictions.stopped import PredictedStop, estimate_stopped
from evals.reports.predictions.text import text, text_of_stopped

__all__ = ["PredictedSplit", "PredictedStop", "estimate", "estimate_stopped", "text", "text_of_stopped"]
