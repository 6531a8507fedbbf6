"""Metrics: pure functions of targets and answers, and their estimates with confidence intervals.

It may import the errors, the schema, the statistics and `evals.records.embeddings`. Start with `estimates`, which tasks
use to make their metrics; `classification`, `retrieval` and `math_equivalence` define the metrics themselves. The names
in `__all__` are public: plug-ins may import them.
"""

from __future__ import annotations

from evals.metrics.estimates import Estimate, Mean, average, estimates, means

__all__ = ["Estimate", "Mean", "average", "estimates", "means"]
