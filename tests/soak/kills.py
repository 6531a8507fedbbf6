"""Kill commands at random times, continue them, and compare with what they write undisturbed.

A command is disturbed up to three times (`processes` has the disturbances) and then continued to its end. What it
writes must be what an undisturbed command writes: no record lost, none twice, none different.
"""

from __future__ import annotations

import functools
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tests.soak import disk, folders
from tests.soak.counts import Counts
from tests.soak.processes import DISTURBANCES, Ending, execute, faults_of
from tests.soak.targets import ROOT, lines

SAMPLES = 600
_RUN = ("run", "--model", "replay:outputs.jsonl", "--task", "custom", "--data", "rows.jsonl", "--out", "run")


@dataclass(frozen=True)
class Command:
    """A command that is killed."""

    name: str
    arguments: tuple[str, ...]
    finished_run: bool = True
    """Whether it needs a finished run in the folder `run`."""
    share: float = 1
    """How often it is chosen, relative to the others."""
    needs_torch: bool = False


COMMANDS = (
    Command("run", (*_RUN, "--token-budget", "32"), finished_run=False, share=3),
    Command("run --workers", (*_RUN, "--token-budget", "32", "--workers", "2"), finished_run=False, share=0.3),
    Command(
        "run of a model", (*folders.RUN_COMMAND[:-1], "24", "--out", "run"), finished_run=False, needs_torch=True,
        share=0.5,
    ),
    Command("score", ("score", "run"), share=1.5),
    Command("report", ("report", "run", "other", "--format", "html")),
    Command("check", ("check", "claims.yaml", "--paper", "--out", "claims")),
    Command("compare", ("compare", "run", "other")),
)  # fmt: skip


def one_round(number: int, counts: Counts, kept: Path, commands: tuple[Command, ...] = COMMANDS) -> None:
    """Disturb a command up to three times, continue it to its end, and count what became of it."""
    random = Random(f"kill {number}")
    command = random.choices(commands, [command.share for command in commands])[0]
    reference, written, seconds = _reference(command)
    faults: list[str] = []
    finished: set[bytes] = set()
    killed = 0
    with disk.work_folder() as folder:
        _prepare(command, folder)
        for _ in range(random.choice([1, 1, 2, 3])):
            disturbance = random.choice(DISTURBANCES)
            ending = execute(command.arguments, folder, disturbance, random.uniform(0.002, 1.1 * seconds), random)
            killed += ending.code != 0
            counts.add("disturbances", disturbance, disturbed=1, ended_early=int(ending.code != 0))
            faults += faults_of(disturbance, ending)
            finished |= _whole_lines(folder / "run" / "samples.jsonl")
        ending = execute(command.arguments, folder)
        if ending.code != 0 or "Traceback" in ending.errors:
            faults.append(f"traceback: it does not go on: exit code {ending.code}: {ending.errors[-800:]}")
        elif command.name in {"report", "compare"} and ending.output != reference.output:
            faults.append("differing: another output")
        if not command.finished_run:
            faults += [f"lost: {line[:80]!r}" for line in finished - _whole_lines(folder / "run" / "samples.jsonl")][:1]
        faults += differences(written, contents(folder))
        kinds = Counter(fault.partition(":")[0] for fault in faults)
        counts.add("kills", command.name, started=1, killed=killed, **{name: min(1, n) for name, n in kinds.items()})
        if faults:
            keep(folder, kept / f"kill-{number}", [" ".join(command.arguments), *faults])
            print(f"kill {number} of {command.name}: {faults[0][:1500]}", file=sys.stderr, flush=True)


def keep(folder: Path, target: Path, faults: list[str]) -> None:
    """Keep the folder of a command that broke, with a text that says how."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target)
    (target / "faults.txt").write_text("\n".join(faults) + "\n", errors="backslashreplace")


@functools.cache
def _reference(command: Command) -> tuple[Ending, Mapping[str, Any], float]:
    """Run a command undisturbed: how it ended, what it wrote, and how long it took."""
    with tempfile.TemporaryDirectory(prefix="evals-soak-kill-") as temporary:
        folder = Path(temporary) / "work"
        folder.mkdir()
        _prepare(command, folder)
        ending = execute(command.arguments, folder)
        if ending.code != 0:
            raise RuntimeError(f"{command.name} failed undisturbed: {ending.errors}")
        return ending, contents(folder), ending.seconds


@functools.cache
def _finished() -> Path:
    """Return a folder with a finished run, made once."""
    folder = Path(tempfile.mkdtemp(prefix="evals-soak-finished-"))
    _prepare(COMMANDS[0], folder)
    ending = execute(COMMANDS[0].arguments, folder)
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
