"""Runs behind a faulty server: they end, ask for nothing twice, write the key nowhere, and record the right answers."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from tests.soak import disk
from tests.soak.counts import Counts
from tests.soak.faulty_server import CONCURRENCY, SECONDS, FaultyServer, traces
from tests.soak.kills import contents, differences, keep
from tests.soak.processes import Ending, execute, faults_of
from tests.soak.targets import lines

SAMPLES = 60
STARTS = 5
"""How often a run is started at the faulty server, before the server is repaired."""
_DISTURBANCES = ("", "", "", "KILL", "TERM", "INT", "STOP")
_OPTIONS = f"timeout={SECONDS}&retries=6&backoff=0.01&concurrency={CONCURRENCY}"


@functools.cache
def server() -> FaultyServer:
    """Return the one server of this soak."""
    started = FaultyServer()
    started.__enter__()  # it lives as long as the soak
    return started


def _arguments() -> tuple[str, ...]:
    model = f"endpoint:{server().url}?{_OPTIONS}#m"
    return ("run", "--model", model, "--task", "custom", "--data", "rows.jsonl", "--out", "run")


@functools.cache
def _reference() -> tuple[Mapping[str, Any], float]:
    """Run against the healthy server: what is written, and how long it takes."""
    server().faults.repair()
    with disk.work_folder() as folder:
        _prepare(folder)
        ending = execute(_arguments(), folder)
        if ending.code != 0:
            raise RuntimeError(f"a run behind a healthy server failed: {ending.errors}")
        return contents(folder), ending.seconds


def _prepare(folder: Path) -> None:
    rows = [{"text": f"number {n}", "target": str(n % 7), "id": str(n)} for n in range(SAMPLES)]
    lines(folder / "rows.jsonl", rows)


def one_round(number: int, counts: Counts, kept: Path) -> None:
    """Run behind the faulty server, with kills, until the run ends; repair the server if it does not."""
    random = Random(f"server {number}")
    expected, seconds = _reference()
    server().faults.damage(random, SAMPLES)
    server().forget()
    stops, faults, endings = 0, [], []
    with disk.work_folder() as folder:
        _prepare(folder)
        for start in range(STARTS + 1):
            disturbance = random.choice(_DISTURBANCES) if start < STARTS else ""
            ending = execute(_arguments(), folder, disturbance, random.uniform(0.002, 2 * seconds), random)
            endings.append(ending)
            faults += _faults_of(disturbance, ending)
            if (folder / "run" / "result.json").exists() and ending.code in {0, 1}:
                break
            stops += 1
            if start == STARTS - 1:
                sent = server().faults.sent
                server().faults.repair()
                server().faults.sent = sent
        else:
            faults.append(f"traceback: it does not end: exit code {ending.code}: {ending.errors[-800:]}")
        faults += _differences(expected, contents(folder))
        secrets = _keys_written(folder, endings)
        twice = max(0, server().asked_twice - stops * CONCURRENCY)
        outcomes = {
            "lost": any(fault.startswith(("lost", "doubled")) for fault in faults),
            "differing": any(fault.startswith("differing") for fault in faults),
            "traceback": any(fault.startswith("traceback") for fault in faults),
        }
        counts.add(
            "server_runs", "run", runs=1, requests=len(server().calls), faults=sum(server().faults.sent.values()),
            stopped_or_killed=stops, asked_twice=twice, key_written=len(secrets),
            **{name: int(happened) for name, happened in outcomes.items()},
        )  # fmt: skip
        faults += [f"the key is in {place}" for place in secrets]
        faults += [f"{twice} requests too many were sent again"] if twice else []
        if faults:
            sent = json.dumps(server().faults.sent)
            keep(folder, kept / f"server-{number}", [sent, *faults, *(ending.errors for ending in endings)])
            print(f"faulty server {number}: {faults[0][:1500]}", file=sys.stderr, flush=True)


def _faults_of(disturbance: str, ending: Ending) -> list[str]:
    """Say what is wrong with how a run ended; a server may stop it (1, 2) whatever else disturbs it."""
    if ending.code in {0, 1, 2} and "Traceback" not in ending.errors:
        lines_of_errors = ending.errors.splitlines()
        if len(lines_of_errors) == (ending.code != 0):
            return []
        return [f"traceback: not one line after exit code {ending.code}: {ending.errors[-1000:]}"]
    return faults_of(disturbance or "STOP", ending)


def _differences(expected: Mapping[str, Any], written: Mapping[str, Any]) -> list[str]:
    """Compare the records with those of the healthy server; a rejected sample is a failure, and nothing else is."""
    rejected = {
        name
        for name, row in written.items()
        if "samples.jsonl" in name and "the server answers 4" in str(row["failure"])
    }
    if not rejected:
        return differences(expected, written)
    faults = []
    if written["run/result.json"]["failed"] != len(rejected):
        faults.append(f"differing: {len(rejected)} were rejected, {written['run/result.json']['failed']} are counted")
    omitted = {*rejected, "run/result.json"}
    some = [{name: row for name, row in rows.items() if name not in omitted} for rows in (expected, written)]
    return [*faults, *differences(*some)]


def _keys_written(folder: Path, endings: list[Ending]) -> list[str]:
    """Name the files and outputs that contain the key in any form."""
    texts = {str(path.relative_to(folder)): path.read_text(errors="replace") for path in folder.rglob("*")
             if path.is_file()}  # fmt: skip
    texts |= {f"output {n}": ending.output + ending.errors for n, ending in enumerate(endings)}
    return [name for name, text in texts.items() if any(trace in text for trace in traces())]
