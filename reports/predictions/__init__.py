"""The value of a whole split from a random part of it, with the help of other runs: `show RUN --predictor OTHER`.

estimate(record, predictors) -> PredictedSplit     use runs of the whole split as predictions of each sample
text(estimate)                               write it for the terminal

The statistics are those of `evals.statistics.predictions`: the interval is right whatever the predictor is worth.
"""

from __future__ import annotations

from evals.reports.predictions.estimate import PredictedSplit, estimate
from evals.reports.predictions.text import text

__all__ = ["PredictedSplit", "estimate", "text"]
