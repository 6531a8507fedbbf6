"""What a kind of input is, and the suite's own commands that read it, in the process of a worker.

A target writes a good input into a folder, names the files that are damaged, and reads the folder. A command that
refuses is an `Refused`; whatever else leaves `read` is a fault.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evals.errors import InputError, SampleError

ROOT = Path(__file__).parents[2]
LONGEST_LINE = 2_100
"""Most characters of a message: the console's own limit, and the name of the program."""


class Refused(Exception):
    """The input was refused in one clear line."""


class Fault(Exception):
    """The input was neither read nor refused as the contract says."""


def command(*arguments: object) -> None:
    """Run a command of the suite as a user does, in this process.

    Raises:
        Refused: exit code 1 or 2 with one line on standard error.
        Fault: another exit code, no line, several lines, or a line that is too long.
    """
    from evals.app.cli import main

    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            code = main([*map(str, arguments)])
        except SystemExit as stop:
            code = stop.code
    lines = errors.getvalue().splitlines()
    if code == 0 or (code == 1 and not lines):  # 1: samples failed, which the table shows
        return
    if code not in {1, 2} or len(lines) != 1 or len(lines[0]) > LONGEST_LINE or not lines[0].startswith("evals: "):
        raise Fault(f"exit code {code} and {len(lines)} lines on standard error: {errors.getvalue()[:500]!r}")
    raise Refused(lines[0])


@contextlib.contextmanager
def refusals():
    """Turn the suite's own errors of a call of Python into `Refused`, if they are one line."""
    try:
        yield
    except (InputError, SampleError) as error:
        if not str(error) or len(str(error).splitlines()) != 1:
            raise Fault(f"a message of several lines: {str(error)[:500]!r}") from error
        raise Refused(str(error)) from error


@dataclass(frozen=True)
class Target:
    """A kind of input."""

    prepare: Callable[[Path], None]
    """Write a good input into an empty folder."""
    files: Mapping[str, str]
    """The files that are damaged, and the form of each: a key of the mutators."""
    read: Callable[[Path], None]
    """Read the folder; raises `Refused`, or anything else for a fault."""
    mend: Callable[[Path, str], None] = lambda folder, file: None
    """Make checksums of a damaged file valid again; called for half of the mutants."""


def run(folder: Path, task: str, outputs: str = "outputs.jsonl", data: str | None = ".") -> None:
    """Score recorded outputs: reads the data and the outputs, scores, and writes the report."""
    source = [] if data is None else ["--data", folder / data]
    command(
        "run",
        "--model",
        f"replay:{folder / outputs}",
        "--task",
        task,
        *source,
        "--out",
        folder / f"run-{outputs}-{data}",
    )


def changed(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a pattern that were damaged; all of them in the good input."""
    paths, time_of_good = sorted(folder.rglob(pattern)), (folder / "unchanged").stat().st_mtime_ns
    return [path for path in paths if path.stat().st_mtime_ns > time_of_good] or paths


def lines(path: Path, rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def image(path: Path, form: str, mode: str = "RGB") -> None:
    from PIL import Image

    pixels = np.arange(24 * 16 * 3, dtype=np.uint8).reshape(16, 24, 3)
    Image.fromarray(pixels).convert(mode).save(
        path, form, **({"progressive": True} if mode == "L" and form == "JPEG" else {})
    )
