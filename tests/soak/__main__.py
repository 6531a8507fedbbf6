"""Soak the suite: `python -m tests.soak --minutes 10`. Exit code 1 if anything broke."""

from __future__ import annotations

import argparse
import functools
import itertools
import os
import shutil
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tests.soak import folders, kills, limits, server_runs
from tests.soak.counts import Counts
from tests.soak.kinds import PLANTED

CHUNK = 1_000
"""Mutants that a worker reads before it goes to another kind."""
_SAVE_SECONDS = 20
CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "evals-soak"


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.partition(":")[0])
    parser.add_argument("--minutes", type=float, default=10, help="how long; counts add up over soaks (default 10)")
    parser.add_argument("--mutants", type=int, help="stop a kind at this number of mutants in all")
    parser.add_argument("--kills", type=int, help="stop at this number of kills in all; 0 for none")
    parser.add_argument("--server-runs", type=int, help="stop at this number of runs of a faulty server; 0 for none")
    parser.add_argument("--commands", help=f"kill only these: {', '.join(c.name for c in kills.COMMANDS)}")
    parser.add_argument("--kinds", help="only these kinds, separated by commas")
    parser.add_argument("--processes", type=int, default=min(4, os.cpu_count() or 1), help="processes that read inputs")
    parser.add_argument("--killing-processes", type=int, default=1, help="commands that are killed at the same time")
    parser.add_argument(
        "--seconds", type=int, default=limits.CPU_SECONDS, help="most seconds of processor time of a mutant (default 5)"
    )
    parser.add_argument("--counts", type=Path, default=CACHE / "counts.json", help=f"default {CACHE / 'counts.json'}")
    parser.add_argument("--keep", type=Path, default=CACHE / "faults", help="a folder for what broke the suite")
    parser.add_argument("--again", metavar="KIND:SEED", help="read one mutant again, and show what happens")
    options = parser.parse_args()
    if options.again:
        return again(*options.again.rsplit(":", 1), options.keep)
    counts, end = Counts(options.counts), time.monotonic() + 60 * options.minutes
    kinds = options.kinds.split(",") if options.kinds else [k for k in limits.TARGETS if k not in PLANTED]
    if "run folder" in kinds:
        folders.run_folder()
    if options.kills != 0 and any(command.needs_torch for command in chosen_commands(options)):
        limits.CONTEXT.set_forkserver_preload([*limits.PRELOADED, "torch"])
    numbers = itertools.count(counts.total("kills", "started"))
    works = [functools.partial(read, counts, kinds, options, end)] * options.processes
    works += [functools.partial(kill, counts, options, end, numbers)] * options.killing_processes
    works += [functools.partial(serve, counts, options, end)]
    with ThreadPoolExecutor(len(works)) as pool:
        jobs = [pool.submit(work) for work in works]
        for job in as_completed(jobs):
            if (error := job.exception()) is not None:  # a fault of the soak itself; the other jobs go on
                traceback.print_exception(error)
    print(counts.table())
    return int(counts.faults > 0 or any(job.exception() is not None for job in jobs))


def read(counts: Counts, kinds: list[str], options: argparse.Namespace, end: float) -> None:
    """Read mutants, of the kind that has fewest each time, until the time is over."""
    save = time.monotonic() + _SAVE_SECONDS
    while time.monotonic() < end:
        kind, seeds = counts.take(kinds, CHUNK, options.mutants)
        if not seeds:
            return
        worker = limits.Worker(kind, options.seconds)
        try:
            for seed, verdict in worker.read(seeds):
                counts.add_mutant(kind, verdict.outcome)
                if verdict.outcome not in {"read", "refused"}:
                    keep(options.keep, kind, seed, verdict)
                if time.monotonic() > end:
                    return
                if time.monotonic() > save:
                    counts.save()
                    save = time.monotonic() + _SAVE_SECONDS
        finally:
            worker.close()
            counts.save()


_KEPT: set[str] = set()
_LOCK = threading.Lock()


def keep(folder: Path, kind: str, seed: int, verdict: limits.Verdict) -> None:
    """Keep a mutant with its traceback, and print it unless one like it was printed."""
    last = verdict.detail.strip().splitlines()
    place = next((line.strip() for line in reversed(last) if line.startswith("  File")), "")
    mutant = folder / f"{kind.replace(' ', '-')}-{seed}"
    shutil.rmtree(mutant, ignore_errors=True)
    with tempfile.TemporaryDirectory() as temporary:
        limits.prepare(limits.TARGETS[kind], Path(temporary) / "good")
        try:
            file = limits.mutant(limits.TARGETS[kind], kind, seed, mutant, Path(temporary) / "good")
        except Exception:  # the mutator failed, as the verdict says
            file = ""
    (mutant / "verdict.txt").write_text(f"{verdict.outcome}\n{file}\n{verdict.detail}\n", errors="backslashreplace")
    with _LOCK:
        if f"{kind} {place}" not in _KEPT:
            _KEPT.add(f"{kind} {place}")
            text = f"{verdict.outcome}: --again '{kind}:{seed}' ({file}) {place} {last[-1][:300] if last else ''}"
            print(text.encode("ascii", "backslashreplace").decode(), file=sys.stderr, flush=True)


def chosen_commands(options: argparse.Namespace) -> tuple[kills.Command, ...]:
    """Return the commands that are killed."""
    names = None if options.commands is None else options.commands.split(",")
    return tuple(command for command in kills.COMMANDS if names is None or command.name in names)


def kill(counts: Counts, options: argparse.Namespace, end: float, numbers: Iterator[int]) -> None:
    """Kill and continue commands until the time is over."""
    commands = chosen_commands(options)
    while time.monotonic() < end:
        number = next(numbers)
        if options.kills is not None and number >= options.kills:
            return
        kills.one_round(number, counts, options.keep, commands)
        counts.save()


def serve(counts: Counts, options: argparse.Namespace, end: float) -> None:
    """Run behind a faulty server until the time is over."""
    number = counts.total("server_runs", "runs")
    while time.monotonic() < end and (options.server_runs is None or number < options.server_runs):
        server_runs.one_round(number, counts, options.keep)
        counts.save()
        number += 1


def again(kind: str, seed: str, folder: Path) -> int:
    """Read one mutant in this process, without limits."""
    target, mutant = limits.TARGETS[kind], folder / f"again-{kind.replace(' ', '-')}-{seed}"
    shutil.rmtree(mutant, ignore_errors=True)
    with tempfile.TemporaryDirectory() as temporary:
        limits.prepare(target, Path(temporary) / "good")
        file = limits.mutant(target, kind, int(seed), mutant, Path(temporary) / "good")
    start = time.process_time()
    try:
        target.read(mutant)
        print("read")
    except Exception:
        traceback.print_exc()
    print(f"{mutant / file}, {time.process_time() - start:.2f} s of processor time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
