"""The driver of a large run: simulated workers that answer at once, and no model.

    python tests/benchmarks/driver.py [--samples N ...] [--workers N] [--batch N]

One process plays all workers, each with a pipe of its own, and answers as soon as it is granted a batch. So what is
measured is the driver alone: leases, messages, scores, records, the disk. For each number of samples it prints samples
and windows per second, the driver's CPU seconds and peak memory, the size of the log, the seconds for the result, and
the seconds from the start of a new process to its first new sample if all samples but five are finished. The load of
the machine is printed with each row, since the seconds depend on it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from evals.execution.inputs import SplitInput
from evals.execution.loop import AnsweredRequest
from evals.execution.run import evaluate
from evals.execution.windows import WINDOW, BatchId, Lease
from evals.execution.workers import agreement
from evals.execution.workers.messages import (
    Acquire,
    Compute,
    Computed,
    Idle,
    Left,
    Loaded,
    NextWindow,
    Open,
    Planned,
    Started,
    decode,
    encode,
)
from evals.execution.workers.pool import Pool
from evals.execution.workers.processes import LocalProcesses, PipeProcess
from evals.records import RunFolder, load, result, signature
from evals.records.inputs import Continuation, RecordedInput
from evals.records.signature import RemoteModel
from evals.records.types import PlanEntry
from evals.schema import Choose, Metric, Prediction, RunConfig, Sample, Samples, Score, Task

LABELS = (" entailment", " not_entailment")
REMAINING = 5
"""Number of samples that a resumed run still computes."""


def make_samples(count: int) -> Samples:
    """Samples as of RTE: two continuations after a text."""

    def build(index: int) -> Sample:
        text = f"Premise {index}: a man is walking his dog in the park.\nHypothesis: a dog is outside.\nAnswer:"
        return Sample(str(index), (Choose(str(index), (text,), LABELS),), target=LABELS[index % 2].strip())

    return Samples([str(index) for index in range(count)], build, {"source": "made up", "split": "all"})


def score(samples: Any, predictions: Any) -> list[Score]:
    scores = []
    for sample in samples:
        answer = predictions[sample.id][0].text().strip()
        value = {"accuracy": float(answer == sample.target)}
        scores.append(Score(sample.id, answer, sample.target, value, False, sample.cluster))
    return scores


def summarise(scores: Any) -> dict[str, Metric]:
    value = sum(score.values["accuracy"] for score in scores) / len(scores)
    return {"accuracy": Metric(value, None, None, len(scores))}


TASK = Task("driver", "made up", 1, "choose", ("all",), "accuracy", lambda options: make_samples(1), score, summarise)


@dataclass
class _Played:
    """One simulated worker."""

    pipe: Connection
    batch: int
    total: int
    loaded: Loaded
    lease: Lease | None = None
    ahead: list[BatchId] = field(default_factory=list)

    def take(self, message: Any) -> None:
        """React to a message of the driver."""
        if isinstance(message, Open):
            self.say(self.loaded)
        elif isinstance(message, Compute):
            self.say(NextWindow())
        elif message is None:
            self.say(Idle())
        elif isinstance(message, Lease):
            count = -(-min(WINDOW, self.total - message.start) // self.batch)
            numbers = range(count)
            self.ahead = [BatchId(message.start, number) for number in (numbers[::-1] if message.from_end else numbers)]
            self.lease = message
            self.say(Planned(message.start, count))
            self.ask()
        else:
            batch_id = self.ahead.pop(0)
            if message:
                self.say(Computed([batch_id], [answer(index) for index in self.members(batch_id)], None, 0))
            if self.ahead:
                self.ask()
            else:
                assert self.lease is not None
                self.say(Left(self.lease.start))
                self.say(NextWindow())

    def ask(self) -> None:
        self.say(Acquire(self.ahead[0], {str(index) for index in self.members(self.ahead[0])}))

    def members(self, batch_id: BatchId) -> range:
        first = batch_id.window + batch_id.number * self.batch
        return range(first, min(first + self.batch, batch_id.window + WINDOW, self.total))

    def say(self, message: Any) -> None:
        self.pipe.send_bytes(encode(message))


def answer(index: int) -> AnsweredRequest:
    prediction = Prediction(
        str(index), LABELS[index % 3 % 2], scores=(-1.25 - index % 7 / 8, -1.5), prompt_tokens=40, new_tokens=3,
        computed_tokens=44.0, useful_tokens=43.0,
    )  # fmt: skip
    text = f"Premise {index}: a man is walking his dog in the park.\nHypothesis: a dog is outside.\nAnswer:"
    tokens: list[Any] = [(index * 7 + n * 31) % 30000 for n in range(40)]
    continuations = [Continuation(label, [17, 18]) for label in LABELS]
    return AnsweredRequest(
        index,
        prediction,
        1e-4,
        9e-5,
        SplitInput(RecordedInput(text=text, tokens=tokens, continuations=continuations), None),
    )


def play(pipes: list[Connection], batch: int, total: int, loaded: Loaded) -> None:
    """Play all workers until the driver closes their pipes."""
    workers = {pipe: _Played(pipe, batch, total, loaded) for pipe in pipes}
    for worker in workers.values():
        worker.say(Started())
    while workers:
        for pipe in wait(list(workers)):
            try:
                workers[pipe].take(decode(pipe.recv_bytes()))  # type: ignore[index]
            except (EOFError, ConnectionError):
                del workers[pipe]  # type: ignore[arg-type]


class Simulated(LocalProcesses):
    """Workers that one process plays (a `Transport`)."""

    def __init__(self, count: int, batch: int, samples: Samples) -> None:
        super().__init__(count)
        self.batch, self.samples = batch, samples

    def start(self) -> list[int]:
        if self._processes or self._is_closed:
            return []
        context = multiprocessing.get_context("fork")
        ends = [context.Pipe() for _ in range(self._count)]
        loaded = Loaded(RemoteModel("simulated", {"family": "none"}, code="none"), agreement.origin(self.samples))
        process = context.Process(
            target=play, args=([there for _, there in ends], self.batch, len(self.samples), loaded), daemon=True
        )
        process.start()
        for _, there in ends:
            there.close()
        self._processes = {number: PipeProcess(process, here) for number, (here, _) in enumerate(ends)}
        return list(self._processes)


def unused_setup(place: int, locate: Any, loaded: Any) -> Any:
    """Stand for what a real worker would load."""


def run(
    folder: Path, count: int, workers: int, batch: int, on_first: Callable[[], object] = lambda: None
) -> dict[str, float]:
    """Compute what is missing in a folder, as the command does; return what it took."""
    samples = make_samples(count)
    config = RunConfig.of("simulated", "driver", token_budget=1, out=folder)
    with Pool(
        Simulated(workers, batch, samples), unused_setup, samples, agreement.WorkerAgreement(agreement.origin(samples))
    ) as executor:
        plan = PlanEntry(budget=1, share=True, window=WINDOW)
        manifest = signature.build_manifest(
            TASK, config.options, samples, executor.model, replica=False, plan=plan, command=""
        )
        with RunFolder(folder, manifest) as run_folder:
            run_folder.check_ids(samples.ids)
            append = run_folder.append

            def appended(*arguments: Any) -> None:
                append(*arguments)
                on_first()

            run_folder.append = appended  # type: ignore[method-assign]
            began, cpu = time.perf_counter(), time.process_time()
            evaluate(config, TASK, samples, executor, run_folder)
            seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
            executor.close()
            run_folder.check_complete()
            began = time.perf_counter()
            summary = result.summarise(TASK, load(folder), peak_memory_bytes=None)
            run_folder.finish(summary)
            return {"seconds": seconds, "cpu": cpu, "result": time.perf_counter() - began}


def resume(folder: Path, count: int) -> float:
    """Leave some samples unfinished, continue in a new process, and return the seconds to the first new one."""
    log = folder / "samples.jsonl"
    (folder / "result.json").unlink()
    with log.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        start = max(0, end - (1 << 16))
        file.seek(start)
        file.truncate(start + len(b"".join(file.read().splitlines(keepends=True)[:-REMAINING])))
    command = [sys.executable, __file__, "--resume", str(folder), "--samples", str(count)]
    began = time.time()
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    return float(done.stdout.split()[-1]) - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, nargs="+", default=[250_000, 500_000, 1_000_000])
    parser.add_argument("--workers", type=int, default=256)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--resume", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--row", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.resume is not None:
        moments: list[float] = []
        run(options.resume, options.samples[0], 2, options.batch, lambda: moments.append(time.time()))
        print(moments[0])
        return
    if options.row:
        measured = run(options.folder, options.samples[0], options.workers, options.batch)
        print(json.dumps({**measured, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
        return
    print("  samples  samples/s  windows/s  CPU s  peak MiB  log MiB  result s  resume s  load")
    for count in options.samples:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary, "run")
            command = [
                sys.executable, __file__, "--row", "--samples", str(count), "--workers", str(options.workers),
                "--batch", str(options.batch), "--folder", str(folder),
            ]  # fmt: skip
            row = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            size = (folder / "samples.jsonl").stat().st_size / 2**20
            load_before = os.getloadavg()[0]
            print(
                f"{count:9}  {count / row['seconds']:9.0f}  {count / WINDOW / row['seconds']:9.1f}  {row['cpu']:5.1f}  "
                f"{row['peak']:8.0f}  {size:7.0f}  {row['result']:8.1f}  {resume(folder, count):8.1f}  "
                f"{load_before:4.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
