"""A plug-in as an outside package would write it: a task and a family, found through its entry point.

`toy:` answers from the text of the prompt, so what comes out does not depend on batches or workers; `toy:slow` takes a
hundredth of a second a batch; `toy:dies` kills its process once, at the batch that holds request 40 (a worker that is
lost); `toy:picky` fails every tenth sample; `toy:logged:FOLDER` takes a hundredth of a second a batch, logs when it is
loaded, and which requests each process prepares and answers, a line at a time, in `FOLDER/loaded-PID`,
`FOLDER/prepared-PID` and `FOLDER/asked-PID`, and waits while there is a file `FOLDER/hold`;
`toy:broken` cannot be loaded by a worker other than the first, and takes a minute in that one; `toy:counts` writes as
many tokens as the text has characters, up to the limit; `toy:hangs:FILE` never answers the batch
that holds request 40, once. The environment variable TOY_DEVICE is the device that a model states; TOY_EVENTS is the
file in which a hook logs the events of runs.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import msgspec

from evals.errors import InputError, SampleError
from evals.registry import FAMILIES, TASKS
from evals.schema import Family, Generate, Metric, Prediction, Prompt, Sample, Samples, Score, Task

COUNT = 3000


class Toy:
    abilities = frozenset({"generate"})
    token_budget = 64

    def __init__(self, name, behaviour):
        self.name, self.behaviour = name, behaviour
        self.facts = {"family": "toy", "digest": behaviour}
        if "TOY_DEVICE" in os.environ:
            self.facts["device"] = os.environ["TOY_DEVICE"]

    def check(self, split_ids, run_ids):
        pass

    def prepare(self, request):
        self.log("prepared", [request.id])
        if self.behaviour == "picky" and int(request.id.split("#")[0]) % 10 == 0:
            raise SampleError(f"request {request.id} is one of those that are not liked")
        tokens = [ord(character) for part in request.parts for character in part]
        return Prompt(request, request.parts[:-1], tokens, reserve=0)

    def stage(self, prompts, batch):
        if self.behaviour == "slow" or self.behaviour.startswith("logged:"):
            time.sleep(0.01)
        if self.behaviour.startswith("logged:"):
            while Path(self.behaviour.removeprefix("logged:"), "hold").exists():
                time.sleep(0.01)
        return None

    def run(self, prompts, batch, staged):
        requests = [prompts[member].request for member in batch.members]
        self.log("asked", [request.id for request in requests])
        kind, _, marker = self.behaviour.partition(":")
        if (
            kind in {"dies", "hangs"}
            and any(request.id == "40#0" for request in requests)
            and not Path(marker).exists()
        ):
            Path(marker).touch()
            if kind == "hangs":
                time.sleep(3600)
            os.kill(os.getpid(), signal.SIGKILL)
        if self.behaviour == "counts":
            return [count(request) for request in requests]
        return [Prediction(request.id, output=str(len(request.parts[-1]) % 7), prompt_tokens=3) for request in requests]

    def peak_memory_bytes(self):
        return None

    def log(self, event, ids):
        if self.behaviour.startswith("logged:"):
            with Path(self.behaviour.removeprefix("logged:"), f"{event}-{os.getpid()}").open("a") as log:
                log.write(" ".join(ids) + "\n")


def count(request):
    """Count on from the tokens that a request begins with."""
    tokens = [*request.begun, *range(len(request.begun), min(len(request.parts[-1]), request.max_new_tokens))]
    cut = len(request.parts[-1]) > len(tokens)
    output, kept = " ".join(map(str, tokens)), tuple(tokens) if cut else ()
    return Prediction(request.id, output=output, truncated=cut, tokens=kept, new_tokens=len(tokens))


def load(name, behaviour, placement):
    if behaviour == "broken":
        if multiprocessing.current_process().name != "worker-0":
            raise InputError("this checkpoint is broken")
        time.sleep(60)
    toy = Toy(name, behaviour)
    toy.log("loaded", [name])
    return toy


def samples(options):
    def build(index):
        text = "x" * (index * 37 % 23 + 1)
        # Every fourth sample asks three times, as pass@k does.
        requests = tuple(
            Generate(f"{index}#{n}", ("shared " * (index // 5 % 3), text), 1) for n in range(1 + 2 * (index % 4 == 0))
        )
        return Sample(str(index), requests, target=str(len(text) % 7 if index % 3 else 0), cluster=str(index // 5))

    return Samples([str(index) for index in range(COUNT)], build, {"source": "made up", "split": "all"})


def numbers(options):
    """Samples whose prompts are all different: `number 17`, to which 18 is right."""

    def build(index):
        return Sample(str(index), (Generate(str(index), (f"number {index}",), 4),), target=str(index + 1))

    return Samples([str(index) for index in range(1200)], build, {"source": "made up", "split": "all"})


def score(samples, predictions):
    found = []
    for sample in samples:
        outputs = [prediction.output for prediction in predictions[sample.id]]
        failed = any(prediction.failure for prediction in predictions[sample.id])
        value = 0.0 if failed else float(outputs[-1] == sample.target)
        found.append(Score(sample.id, outputs[-1], sample.target, {"accuracy": value}, failed, sample.cluster))
    return found


def summarise(scores):
    values = [score.values["accuracy"] for score in scores]
    return {"accuracy": Metric(sum(values) / len(values), None, None, len(values))}


class EventLog:
    """Logs each event with the process that has it, a line at a time, and prints."""

    def __init__(self, path):
        self.path = path

    def log(self, event):
        print("a hook prints")
        with self.path.open("a") as log:
            log.write(json.dumps([os.getpid(), msgspec.to_builtins(event)]) + "\n")

    run_started = batch_done = run_finished = run_stopped = log


def hook():
    return EventLog(Path(os.environ["TOY_EVENTS"])) if "TOY_EVENTS" in os.environ else None


def register():
    FAMILIES.add(
        Family(
            "toy",
            "made up",
            frozenset({"generate"}),
            load,
            prefix="toy",
        )
    )
    TASKS.add(Task("toy", "made up", 1, "generate", ("all",), "accuracy", samples, score, summarise))
    TASKS.add(Task("toy/numbers", "made up", 1, "generate", ("all",), "accuracy", numbers, score, summarise))
    TASKS.add(Task("toy/embed", "made up", 1, "embed", ("all",), "accuracy", samples, score, summarise))
