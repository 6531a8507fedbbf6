"""The task files of this folder (`*.yaml`), and how `--task FILE.yaml` finds one of a user.

A task file says in YAML where the data are, how a row is asked, and how the answer is read: `evals.tasks.files`,
docs/writing-a-task.md.
"""

from __future__ import annotations

from pathlib import Path

from evals.registry import TASKS
from evals.tasks.files.task import load

SHIPPED = tuple(load(path) for path in sorted(Path(__file__).parent.glob("*.yaml")))
"""The tasks of the files in this folder."""
for _task in SHIPPED:
    TASKS.add(_task)
TASKS.read_files(load)
