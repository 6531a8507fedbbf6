"""The bundled checkpoints and the recipes that train them: `python -m evals.models.replicas.train NAME`.

`recipes/` has a folder a replica; `training/` what they share: the loop, the losses, the exam. May import the mini
benchmarks' generators, whose training splits it learns from. Start with `train`.
"""

from __future__ import annotations

from pathlib import Path

CHECKPOINTS = Path(__file__).parent / "checkpoints"
"""A folder a replica, as `save_pretrained` writes it."""
