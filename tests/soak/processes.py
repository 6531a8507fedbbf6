"""Run a command in a process of its own, and disturb it.

The process has imported the suite already, so that a kill meets its work. The disturbances are signals, a full disk, a
terminal that cannot be written (`/dev/full`), and a closed pipe.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.soak import disk, limits

DISTURBANCES = ("KILL", "KILL", "TERM", "INT", "HUP", "STOP", "full disk", "closed pipe", "/dev/full")
"""The names of signals without SIG, and others; a stopped command is continued after 0.2 s."""
KEY = "sk-Soak/secret+key=42"
"""The key that commands send to servers."""
_WALL_SECONDS = 1_200
_CODES = {
    "KILL": {-9, 0}, "TERM": {-15, 143, 0}, "INT": {130, 0}, "HUP": {-1, 129, 0}, "STOP": {0},
    "full disk": {0, 1, 2}, "closed pipe": {0}, "/dev/full": {0, 1, 2},
}  # fmt: skip
"""The exit codes that a command may end with after each disturbance."""


@dataclass(frozen=True)
class Ending:
    """How a command ended."""

    code: int | None
    output: str
    errors: str
    seconds: float


def execute(
    arguments: Sequence[str], folder: Path, disturbance: str = "", delay: float = 0.0, random: Random | None = None
) -> Ending:
    """Run a command in a folder, in a warm process, and disturb it after `delay` seconds."""
    full = disturbance == "full disk" and random is not None
    with contextlib.ExitStack() as stack:
        streams = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="evals-soak-out-")))
        extra = random.choice(disk.EXTRA_BYTES) if full and random is not None else 0
        limit = stack.enter_context(disk.almost_full(folder, extra)) if full else None
        connection, theirs = limits.CONTEXT.Pipe()
        process = limits.CONTEXT.Process(target=_run, args=(theirs, arguments, folder, streams, disturbance, limit))
        process.start()
        theirs.close()
        connection.recv()
        start = time.monotonic()
        if hasattr(signal, "SIG" + disturbance):
            process.join(delay)
            if process.is_alive():
                _signal(process.pid, disturbance)
        process.join(limits.WALL_SECONDS)
        while process.is_alive():
            if not limits.computes(process.pid) and time.monotonic() - start > _WALL_SECONDS:
                process.kill()
                process.join()
                return Ending(None, "", "it waits and does not end", time.monotonic() - start)
            process.join(1)
        seconds = time.monotonic() - start
        output, errors = ((streams / name).read_text(errors="replace") for name in ("output", "errors"))
        return Ending(process.exitcode, output, errors, seconds)


def _signal(process: int, name: str) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended
        os.kill(process, getattr(signal, "SIG" + name))
        if name == "STOP":
            time.sleep(0.2)
            os.kill(process, signal.SIGCONT)


def _run(connection, arguments, folder: Path, streams: Path, disturbance: str, limit: int | None) -> None:
    """Be the process of a command: streams, limits and signals as a shell sets them."""
    from evals.app.cli import main
    from tests.soak import warm

    warm.remember_constants()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(CI="1", HF_HUB_OFFLINE="1", COLUMNS="100", EVALS_API_KEY=KEY)
    os.chdir(folder)
    output = os.open("/dev/full" if disturbance == "/dev/full" else streams / "output", os.O_WRONLY | os.O_CREAT)
    (streams / "output").touch()
    if disturbance == "closed pipe":
        reader, output = os.pipe()
        os.close(reader)
    os.dup2(output, 1)
    os.dup2(os.open(streams / "errors", os.O_WRONLY | os.O_CREAT), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    connection.send("started")
    code = main(list(arguments))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stderr.flush()
    os._exit(code)


def faults_of(disturbance: str, ending: Ending) -> list[str]:
    """Say what is wrong with how a disturbed command ended."""
    if "Traceback" in ending.errors or ending.code not in _CODES[disturbance]:
        return [f"traceback: {disturbance}: exit code {ending.code}: {ending.errors[-1000:]}"]
    lines_of_errors = ending.errors.splitlines()  # none if a limit on the size of files met standard error too
    if ending.code in {1, 2} and len(lines_of_errors) != 1 and (lines_of_errors or disturbance != "full disk"):
        return [f"traceback: {disturbance}: not one line: {ending.errors[-1000:]}"]
    return []
