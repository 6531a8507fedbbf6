"""A copy of the package whose modules a test may change, and a Python process that imports it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from commands import ROOT, environ

LARGE = ("models/replicas/checkpoints", "tasks/mini/splits")
"""Folders of data, which a copy links to."""


def copy(folder: Path) -> Path:
    """Copy every module and table into a folder, links between the rooms as links; returns the folder."""
    skipped = shutil.ignore_patterns("__pycache__", "checkpoints", "splits", "baseline")
    for package in ("evals", "tasks", "models", "reports"):
        shutil.copytree(ROOT / package, folder / package, symlinks=True, ignore=skipped)
    for name in LARGE:
        (folder / name).symlink_to(ROOT / name, target_is_directory=True)
    return folder


def python(folder: Path, *arguments: object, **changes: str) -> str:
    """Run Python with the copy as the only importable project, and return what it prints."""
    environment = environ(plugin=False, PYTHONPATH=str(folder), PYTHONDONTWRITEBYTECODE="1", **changes)
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
