"""Small trainings that measure what documents say about training: `python -m evals.models.replicas.studies NAME`.

Each study compares ways to train at replica scale over several seeds and writes one row per training to a CSV file in
`results/`, which `evals.reports.claims.evidence.studies` reads. A study shows a direction at its own scale, never a
level. Start reading with `fine_tuning`; `training` has what the studies share.

    fine_tuning     a pretrained replica against the same network from random weights: compute to one quality (B-86)
    batch_size      the best batch of a mixture of experts and of a dense network of the same active size (A-59)
    active_experts  fine-tuning a mixture with 8 and with 4 active experts per token (A-61, A-62)

May import `models.replicas.training` and the mini benchmarks.
"""

from __future__ import annotations

from pathlib import Path

RESULTS = Path(__file__).parent / "results"
"""Holds the rows of each study, `NAME.csv`, and the rows of its choice of learning rates, `NAME-rates.csv`."""
STUDIES = ("active_experts", "batch_size", "fine_tuning")
"""Modules of this package, each with `trainings(seed, rates)` and `pilots()`."""
