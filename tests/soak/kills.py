"""Kill commands at random times, continue them, and compare with what they write undisturbed.

A command runs in a process of its own that has imported the suite already, so that a kill meets its work. Other
disturbances are a full disk (a limit on the size of files), a terminal that cannot be written, and a closed pipe.
"""

from __future__ import annotations

import contextlib
import functools
import json
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tests.soak import folders
from tests.soak.counts import Counts
from tests.soak.targets import ROOT, lines

SAMPLES = 1_500
_RUN = ("run", "--model", "replay:outputs.jsonl", "--task", "custom", "--data", "rows.jsonl", "--out", "run")
_CONTEXT = multiprocessing.get_context("forkserver")
_DISTURBANCES = ("KILL", "KILL", "TERM", "INT", "HUP", "STOP", "full disk", "closed pipe", "/dev/full")


@dataclass(frozen=True)
class Command:
    """A command that is killed."""

    name: str
    arguments: tuple[str, ...]
    finished_run: bool = True
    """Whether it needs a finished run in the folder `run`."""
    share: float = 3
    """How often it is chosen, relative to the others."""


COMMANDS = (
    Command("run", (*_RUN, "--token-budget", "32"), finished_run=False, share=8),
    Command("run of a model", (*folders.RUN_COMMAND[:-1], "24", "--out", "run"), finished_run=False, share=0.3),
    Command("score", ("score", "run"), share=4),
    Command("report", ("report", "run", "other", "--format", "html")),
    Command("check", ("check", "claims.yaml", "--paper", "--out", "claims")),
    Command("compare", ("compare", "run", "other")),
)


@dataclass(frozen=True)
class Ending:
    """How a command ended."""

    code: int | None
    output: str
    errors: str
    seconds: float


def one_round(number: int, counts: Counts, kept: Path, end: float) -> None:
    """Disturb a command up to three times, continue it to its end, and count what became of it."""
    random = Random(f"kill {number}")
    command = random.choices(COMMANDS, [command.share for command in COMMANDS])[0]
    reference, written, seconds = _reference(command)
    folder = Path(tempfile.mkdtemp(prefix="evals-soak-kill-"))
    faults: list[str] = []
    finished: set[bytes] = set()
    killed = 0
    try:
        _prepare(command, folder)
        for _ in range(random.choice([1, 1, 2, 3])):
            disturbance = random.choice(_DISTURBANCES)
            ending = execute(command, folder, disturbance, random.uniform(0.002, 1.1 * seconds), random)
            killed += ending.code != 0
            faults += _faults_of(disturbance, ending)
            finished |= _whole_lines(folder / "run" / "samples.jsonl")
        ending = execute(command, folder)
        if ending.code != 0 or "Traceback" in ending.errors:
            faults.append(f"traceback: it does not go on: exit code {ending.code}: {ending.errors[-800:]}")
        elif command.name in {"report", "compare"} and ending.output != reference.output:
            faults.append("differing: another output")
        if not command.finished_run:
            faults += [f"lost: {line[:80]!r}" for line in finished - _whole_lines(folder / "run" / "samples.jsonl")][:1]
        faults += differences(written, contents(folder))
        kinds = Counter(fault.partition(":")[0] for fault in faults)
        counts.add_kill(
            command.name, started=1, killed=killed, **{name: min(1, count) for name, count in kinds.items()}
        )
        if faults:
            target = kept / f"kill-{number}"
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(folder, target)
            (target / "faults.txt").write_text("\n".join([" ".join(command.arguments), *faults]) + "\n")
            print(f"kill {number} of {command.name}: {faults[0][:1500]}", file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _faults_of(disturbance: str, ending: Ending) -> list[str]:
    """What is wrong with how a disturbed command ended."""
    allowed = {
        "KILL": {-9, 0}, "TERM": {-15, 143, 0}, "INT": {130, 0}, "HUP": {-1, 129, 0}, "STOP": {0}, "full disk": {0, 1,
        2},
        "closed pipe": {0}, "/dev/full": {0, 1, 2},
    }[disturbance]  # fmt: skip
    if "Traceback" in ending.errors or ending.code not in allowed:
        return [f"traceback: {disturbance}: exit code {ending.code}: {ending.errors[-1000:]}"]
    lines_of_errors = ending.errors.splitlines()  # none if the limit on sizes met standard error too
    if ending.code in {1, 2} and len(lines_of_errors) != 1 and (lines_of_errors or disturbance != "full disk"):
        return [f"traceback: {disturbance}: not one line: {ending.errors[-1000:]}"]
    return []


@functools.cache
def _reference(command: Command) -> tuple[Ending, Mapping[str, Any], float]:
    """Run a command undisturbed: how it ended, what it wrote, and how long it took."""
    with tempfile.TemporaryDirectory(prefix="evals-soak-kill-") as temporary:
        folder = Path(temporary) / "work"
        folder.mkdir()
        _prepare(command, folder)
        ending = execute(command, folder)
        if ending.code != 0:
            raise RuntimeError(f"{command.name} failed undisturbed: {ending.errors}")
        return ending, contents(folder), ending.seconds


@functools.cache
def _finished() -> Path:
    """Return a folder with a finished run, made once."""
    folder = Path(tempfile.mkdtemp(prefix="evals-soak-finished-"))
    _prepare(COMMANDS[0], folder)
    ending = execute(COMMANDS[0], folder)
    assert ending.code == 0, ending.errors
    return folder


def _prepare(command: Command, folder: Path) -> None:
    """Write the data, and what the command needs."""
    rows = [{"text": f"question {n} " + "x" * (n % 50), "target": str(n % 7)} for n in range(SAMPLES)]
    lines(folder / "rows.jsonl", rows)
    lines(folder / "outputs.jsonl", [{"id": str(n + 1), "output": str(n % 5)} for n in range(SAMPLES)])
    shutil.copy(ROOT / "reports" / "claims" / "gsm8k-verifiers.yaml", folder / "claims.yaml")
    if command.finished_run:
        shutil.copytree(_finished() / "run", folder / "run")
        shutil.copytree(_finished() / "run", folder / "other")


def execute(
    command: Command, folder: Path, disturbance: str = "", delay: float = 0.0, random: Random | None = None
) -> Ending:
    """Run a command in a warm process, and disturb it after `delay` seconds."""
    limit = None
    if disturbance == "full disk" and random is not None:
        limit = random.choice([0, 1, 100, 4_000, 20_000, 100_000, 300_000])
    connection, theirs = _CONTEXT.Pipe()
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="evals-soak-out-") as temporary:
        process = _CONTEXT.Process(
            target=_run, args=(theirs, command.arguments, folder, Path(temporary), disturbance, limit)
        )
        process.start()
        theirs.close()
        connection.recv()
        start = time.monotonic()
        name = "SIG" + disturbance
        if hasattr(signal, name):
            process.join(delay)
            if process.is_alive():
                os.kill(process.pid, getattr(signal, name))
                if disturbance == "STOP":
                    time.sleep(0.2)
                    with contextlib.suppress(ProcessLookupError):  # it had ended
                        os.kill(process.pid, signal.SIGCONT)
        process.join(300)
        seconds = time.monotonic() - start
        if process.is_alive():
            process.kill()
            process.join()
            return Ending(None, "", "it did not end within 300 s", seconds)
        output, errors = ((Path(temporary) / name).read_text(errors="replace") for name in ("output", "errors"))
        return Ending(process.exitcode, output, errors, seconds)


def _run(connection, arguments, folder: Path, streams: Path, disturbance: str, limit: int | None) -> None:
    """Be the process of a command: streams, limits and signals as a shell sets them."""
    from evals.app.cli import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(CI="1", HF_HUB_OFFLINE="1", COLUMNS="100")
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


# What a folder holds


def contents(folder: Path) -> dict[str, Any]:
    """Return what the files of a folder say, without times: by file, and by sample."""
    known: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.name == "samples.jsonl":
            ids = Counter()
            for line in path.read_bytes().splitlines():
                row = json.loads(line)
                row.pop("cost", None)
                ids[row["id"]] += 1
                known[f"{name} {row['id']} {ids[row['id']]}"] = row
        elif path.name in {"result.json", "manifest.json"}:
            stated = json.loads(path.read_bytes())
            known[name] = {
                key: stated[key] for key in stated if key not in {"efficiency", "started", "command", "machine"}
            }
        elif path.is_file() and "claims" in path.parts and path.suffix not in {".html"}:
            known[name] = path.read_bytes()
        elif path.is_file():
            known[name] = None  # only that it is there: a report shows times
    return known


def differences(expected: Mapping[str, Any], written: Mapping[str, Any]) -> list[str]:
    """Name what is missing, what is there twice, what is left over and what differs; the first of each."""
    lost = sorted(expected.keys() - written.keys())
    more = sorted(written.keys() - expected.keys())
    other = sorted(name for name in expected.keys() & written.keys() if expected[name] != written[name])
    return [
        *(f"lost: {name}" for name in lost[:1]),
        *(f"{'doubled' if 'samples.jsonl' in name else 'differing: left over'}: {name}" for name in more[:1]),
        *(f"differing: {name}" for name in other[:1]),
    ]


def _whole_lines(path: Path) -> set[bytes]:
    """The complete lines of a log: a kill may cut the last."""
    return (
        {line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")}
        if path.exists()
        else set()
    )
