"""Run commands, in the tests' own process or, where that is what is tested, in a new one."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "transformers", "datasets", "evaluate", "matplotlib", "PIL", "pyarrow", "scipy", "sklearn", "sympy"}
"""What starting a command must not import."""
PLUGIN = ROOT / "tests" / "plugin"
_DEFAULT_SIGNALS = """
import os, signal, sys
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
    signal.signal(number, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_SETMASK, ())
os.execv(sys.argv[1], sys.argv[1:])
"""


def evals(*arguments, cwd=ROOT, **environment):
    """Run `evals …` within this process, where the libraries are loaded already.

    Returns the exit code and the output as a finished process has them; an exception that `main` lets through passes.
    """
    from evals.app.cli import main

    output, errors = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, environ(**environment)),
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        try:
            code = main([*map(str, arguments)])
        except SystemExit as stop:
            code = stop.code
    return subprocess.CompletedProcess(arguments, code, output.getvalue(), errors.getvalue())


def process(*arguments, cwd=ROOT, plugin=True, **environment):
    """Run `python -m evals …` and return the finished process, its output as text.

    It takes seconds to start: for signals, workers, import paths and what a start costs.
    """
    return subprocess.run(
        [sys.executable, "-m", "evals", *map(str, arguments)],
        cwd=cwd, env=environ(plugin, **environment), capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def start(*arguments, **options):
    """Start `python …` in the background and return its `subprocess.Popen`, which `options` are passed to.

    The process reacts to signals as one that was started at a terminal. A process inherits which signals are ignored,
    and a background job of a shell, or one under `nohup`, ignores interrupts or hang-ups.
    """
    command = [sys.executable, *map(str, arguments)]
    options = {"cwd": ROOT, "env": environ(), **options}
    return subprocess.Popen([sys.executable, "-I", "-S", "-c", _DEFAULT_SIGNALS, *command], **options)


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
