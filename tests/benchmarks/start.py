"""Seconds from the start of a command to its first output: what every command costs before it does anything.

    python tests/benchmarks/start.py [--repeat N]

Prints, for each command, the least processor time and the least time of the clock of some runs, and for `run` the times
to its first line and to its first sample on the disk. Files are warm: each command runs once before it is measured.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUN = ["run", "--task", "glue/rte", "--limit", "8", "--model"]
"""A run of a bundled checkpoint."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--models", nargs="*", default=["r1", "vl"])
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, {os.getloadavg()[0]:.1f} processes waiting for them before the start")
    print("command                        processor s  clock s")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for command in (["--help"], ["list"], ["list", "tasks"], ["list", "r1"]):
            show(" ".join(command), options.repeat, functools.partial(to_end, command))
        for number, model in enumerate(options.models):
            finished = folder / f"finished-{number}"
            to_end([*RUN, model, "--out", str(finished)])
            for command in ("show", "report") if number == 0 else ():
                show(f"{command} RUN", options.repeat, functools.partial(to_end, [command, str(finished)]))
            outs = (folder / f"{number}-{index}" for index in itertools.count())
            for name, measure in {"first line": to_line, "first sample": to_sample, "whole run": to_run}.items():
                show(f"run {model}: {name}", options.repeat, lambda a=measure, m=model, o=outs: a(m, next(o)))


def show(name: str, repeat: int, measure: Callable[[], tuple[float, float]]) -> None:
    """Print the least times of some calls; the first call is not counted."""
    measure()
    times = [measure() for _ in range(repeat)]
    print(f"{name:30} {min(time for time, _ in times):11.2f}  {min(time for _, time in times):7.2f}", flush=True)


def to_end(command: list[str]) -> tuple[float, float]:
    """Processor and clock seconds of a whole command."""
    began = time.perf_counter()
    return finish(start(command), began)


def to_run(model: str, folder: Path) -> tuple[float, float]:
    """Seconds of a whole run."""
    return to_end([*RUN, model, "--out", str(folder)])


def to_line(model: str, folder: Path) -> tuple[float, float]:
    """Seconds of a run until it prints its first line."""
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    began = time.perf_counter()
    process = start([*RUN, model, "--out", str(folder)], stderr=subprocess.PIPE, env=environment)
    return finish(process, began, lambda: bool(process.stderr.read(1)))


def to_sample(model: str, folder: Path) -> tuple[float, float]:
    """Seconds of a run until its first sample is on the disk."""
    log = folder / "samples.jsonl"

    def wait() -> bool:
        while not (log.exists() and log.stat().st_size):
            time.sleep(0.005)
            assert process.poll() is None or log.stat().st_size, "the run ended before it wrote a sample"
        return True

    began = time.perf_counter()
    process = start([*RUN, model, "--out", str(folder)])
    return finish(process, began, wait)


def start(command: list[str], **options: object) -> subprocess.Popen[bytes]:
    options = {"stderr": subprocess.DEVNULL, **options}
    return subprocess.Popen([sys.executable, "-m", "evals", *command], cwd=ROOT, stdout=subprocess.DEVNULL, **options)


def finish(
    process: subprocess.Popen[bytes], began: float, wait: Callable[[], bool] | None = None
) -> tuple[float, float]:
    """Return the processor and clock seconds of a process, to its end or to a moment at which it is killed."""
    if wait is not None:
        assert wait()
        process.kill()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert wait is not None or process.returncode == 0, process.args
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - began


if __name__ == "__main__":
    main()
