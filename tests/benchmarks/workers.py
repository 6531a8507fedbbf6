"""What workers cost and save: samples prepared, memory of the parent, seconds against one process.

    python tests/benchmarks/workers.py [--model M --task T --limit N] [--workers N ...]

Runs the same samples with each number of workers. Counts how many samples all processes prepared (tokenised) together,
reads the parent's peak memory, and prints the seconds of the whole command and their ratio to one process. Prints the
machine's load before each run, since the seconds depend on it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
COUNTING = """
import os
import pathlib
import sys

if any("evals" in argument or "spawn" in argument for argument in sys.orig_argv):
    import evals.execution.loop as loop

    build = loop._window

    def counted(samples, model, lease, plan):
        window = build(samples, model, lease, plan)
        with pathlib.Path(os.environ["PREPARED"], str(os.getpid())).open("a") as log:
            log.write(f"{len(window.ids)}\\n")
        return window

    loop._window = counted
"""
"""A `sitecustomize` module, which every process of a run imports at its start."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="vl")
    parser.add_argument("--task", default="vqa")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "evals", "run", "--model", arguments.model, "--task", arguments.task]
    command += ["--device", "cpu", *(["--limit", str(arguments.limit)] if arguments.limit else [])]
    alone = None
    with tempfile.TemporaryDirectory() as temporary:
        (Path(temporary) / "sitecustomize.py").write_text(COUNTING)
        print("workers  samples  prepared  parent MiB  seconds  ratio  load before")
        for count in arguments.workers:
            load = os.getloadavg()[0]
            prepared, samples, memory, seconds = measure(command, Path(temporary), count)
            alone = alone or seconds
            row = f"{count:7}  {samples:7}  {prepared:8}  {memory:10.0f}  {seconds:7.1f}  {seconds / alone:5.2f}"
            print(f"{row}  {load:.1f}", flush=True)


def measure(command: list[str], folder: Path, workers: int) -> tuple[int, int, float, float]:
    """Samples prepared and recorded, the parent's peak memory in MiB, and seconds of one run."""
    counts, out = folder / f"prepared-{workers}", folder / f"run-{workers}"
    counts.mkdir()
    path = os.pathsep.join([str(folder), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, "PREPARED": str(counts), "CI": "true"}
    began, memory = time.perf_counter(), 0
    running = subprocess.Popen(
        [*command, "--workers", str(workers), "--out", str(out)], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    )
    while running.poll() is None:
        memory = max(memory, peak_kib(running.pid))
        time.sleep(0.05)
    seconds = time.perf_counter() - began
    assert running.returncode == 0, "the run failed"
    prepared = sum(int(line) for path in counts.iterdir() for line in path.read_text().split())
    samples = (out / "samples.jsonl").read_bytes().count(b"\n")
    return prepared, samples, memory / 1024, seconds


def peak_kib(pid: int) -> int:
    """Peak memory of a process without its children, as Linux states it; 0 if it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


if __name__ == "__main__":
    main()
