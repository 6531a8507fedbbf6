"""Where the golden files are: what an official scorer, or this suite at an earlier time, made of known input."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "golden"
