"""The folder of golden files: expected outputs of an official scorer, or of this suite at an earlier time."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "golden"
