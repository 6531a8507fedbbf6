"""Metrics: pure functions of targets and answers, and their estimates with intervals.

May import the schema, the errors and the statistics. Start with `estimates`, by which a task makes its metrics;
`classification`, `retrieval` and `math_equivalence` have the functions. What stands in `__all__` is public: plug-ins
may import it.
"""

from __future__ import annotations

from evals.metrics.estimates import Estimate, Mean, average, estimates, means

__all__ = ["Estimate", "Mean", "average", "estimates", "means"]
