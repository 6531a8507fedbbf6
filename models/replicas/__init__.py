"""The bundled checkpoints and the recipes that train them: `python -m evals.models.replicas.train NAME`.

`recipes/` has a folder for each replica, and `training/` what several recipes share; both may import the mini
benchmarks, on whose training streams the replicas are trained. Start reading with `train`, the command.
"""

from __future__ import annotations

from pathlib import Path

CHECKPOINTS = Path(__file__).parent / "checkpoints"
"""Holds a folder for each replica, as `save_pretrained` writes it."""
