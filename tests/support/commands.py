"""Running the commands as a user would: in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "transformers", "datasets", "evaluate", "matplotlib", "PIL", "pyarrow", "scipy", "sklearn", "sympy"}
"""What starting a command must not import."""
PLUGIN = ROOT / "tests" / "plugin"


def evals(*arguments, cwd=ROOT, timeout=180, plugin=True, **environment):
    """Run `python -m evals …` and return the finished process, its output as text."""
    return subprocess.run(
        [sys.executable, "-m", "evals", *map(str, arguments)],
        cwd=cwd, env=environ(plugin, **environment), capture_output=True, text=True, timeout=timeout,
    )  # fmt: skip


def environ(plugin=True, **changes):
    """The environment of a command: this one, with the project and the tests' plug-in importable."""
    path = [str(ROOT), *([str(PLUGIN)] if plugin else [])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "CI": "true", **changes}


def refused(process, *words):
    """Check that a command refused its input: exit code 2, one line on standard error that has these words."""
    assert process.returncode == 2, process.stderr
    lines = process.stderr.strip().splitlines()
    assert len(lines) == 1, process.stderr
    for word in words:
        assert word in lines[0], lines[0]
    return True
