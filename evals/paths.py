"""The location of the package's own files: bundled checkpoints, bundled splits, tables.

In the repository `evals/tasks`, `evals/models` and `evals/reports` are links to the folders beside `evals/`; in a wheel
they are folders. A path below `PACKAGE` is valid in both.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parent
"""The folder of the package `evals`."""
