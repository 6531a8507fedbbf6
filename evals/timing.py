"""Timing a model: one request at a time, in fresh processes, nothing else beside it.

`Timed` stands in for a model whose task is timed. Each of a run's processes loads the model anew, since caches,
memory layout and the clock's mood differ more from start to start than from repetition to repetition (Kalibera and
Jones 2013); it warms up, and is then asked one request after the other. A request is computed twice: with one new
token, which is the time to the first token, and whole. The clock starts before the prompt is tokenised and its picture
decoded, and stops when the text is there, the device synchronised.
"""

from __future__ import annotations

import gc
import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from evals.errors import EvalsError, InputError
from evals.plan import plan
from evals.schema import Batch, Generate, Json, Model, Placement, Prediction, Prompt, Request

WARM_UP = 3
"""Times a process computes its first request before the clock counts."""
PROBES = 12
"""Times the device's speed is probed; the best counts."""
_SEPARATOR = "/"


@dataclass(frozen=True)
class Source:
    """How each process loads the model, by names alone, so that it can be sent there."""

    model: str
    scale: str
    checkpoint: str | None
    placement: Placement

    def load(self) -> Model:
        """Load it."""
        from evals import registry
        from evals.resolve import resolve

        registry.discover()
        return resolve(self.model, scale=self.scale, checkpoint=self.checkpoint).load(self.placement)


@dataclass
class Timed:
    """A model that answers with what it cost: the output of each prediction is a mapping of figures by name."""

    name: str
    abilities: frozenset[str]
    facts: Mapping[str, Json]
    _load: Callable[[], Model]
    token_budget: int = 1
    _process: tuple[str, BaseProcess, Connection] | None = field(default=None, repr=False)

    def check(self, known: Sequence[str], wanted: Sequence[str]) -> None:
        """Accept any samples."""

    def prepare(self, request: Request) -> Prompt:
        """Count every request as one token: the process tokenises it, and the clock runs meanwhile."""
        return Prompt(request, key=request.id, tokens=(0,), reserve=0)

    def stage(self, prompts: Sequence[Prompt], batch: Batch) -> None:
        """Do nothing ahead of the clock."""

    def run(self, prompts: Sequence[Prompt], batch: Batch, staged: None) -> list[Prediction]:
        """Time the requests one after the other."""
        return [self._time(prompts[member].request) for member in batch.members]

    def peak_memory_bytes(self) -> int | None:
        """Leave it to the processes, each of which tells its own."""
        return None

    def _time(self, request: Request) -> Prediction:
        pipe = self._pipe(request.id.partition(_SEPARATOR)[0])
        try:
            pipe.send(request)
            figures = pipe.recv()
        except EOFError as error:
            raise EvalsError("a process that timed the model has died") from error
        if isinstance(figures, Exception):
            raise figures
        if "failure" in figures:
            return Prediction(request.id, failure=figures["failure"])
        return Prediction(
            request.id, output=figures, prompt_tokens=figures["prompt tokens"], new_tokens=figures["new tokens"]
        )

    def _pipe(self, number: str) -> Connection:
        """The pipe to the process of a number; the one before it is ended first."""
        if self._process is None or self._process[0] != number:
            self.close()
            context = multiprocessing.get_context("spawn")
            own, its = context.Pipe()
            process = context.Process(target=_serve, args=(its, self._load), daemon=True)
            process.start()
            its.close()
            self._process = number, process, own
        return self._process[2]

    def close(self) -> None:
        """End the process that is running, if there is one."""
        if self._process is not None:
            _, process, pipe = self._process
            pipe.close()
            process.join()
            self._process = None


def timed(model: Model, source: Source) -> Timed:
    """Let a model be timed instead of asked; it is given up here, so that its memory is free for the processes."""
    facts = {**model.facts, "warm_up": WARM_UP}
    stand_in = Timed(model.name, model.abilities, facts, source.load)
    del model
    gc.collect()
    return stand_in


# In the processes


def _serve(pipe: Connection, load: Callable[[], Model]) -> None:
    """Load the model and time whatever comes, until the pipe is closed."""
    try:
        before = _resident()
        model = load()
        loaded, probes, warm = _resident(), None, False
        while True:
            request = pipe.recv()
            if not warm:
                for _ in range(WARM_UP):
                    _once(model, request)
                probes, warm = _probe(model.facts), True
            first, _ = _once(model, replace(request, max_new_tokens=1))
            whole, prediction = _once(model, request)
            if prediction.failure is not None:
                pipe.send({"failure": prediction.failure})
                continue
            memory = _memory(model, before, loaded)
            pipe.send({
                "seconds to the first token": first, "seconds": whole, "prompt tokens": prediction.prompt_tokens,
                "new tokens": prediction.new_tokens, **(probes or {}), **memory,
            })  # fmt: skip
    except EOFError:
        return
    except InputError as error:
        pipe.send(error)


def _once(model: Model, request: Generate) -> tuple[float, Prediction]:
    """Answer one request; returns its seconds and the answer."""
    _synchronise(model.facts)
    start = time.perf_counter()
    prompt = model.prepare(request)
    (batch,) = plan([prompt], model.token_budget)
    (prediction,) = model.run([prompt], batch, model.stage([prompt], batch))
    _synchronise(model.facts)
    return time.perf_counter() - start, prediction


def _on_gpu(facts: Mapping[str, Json]) -> bool:
    return "dtype" in facts and facts.get("device", "cpu") not in {"cpu", "mps"}


def _synchronise(facts: Mapping[str, Json]) -> None:
    if _on_gpu(facts):
        import torch

        torch.cuda.synchronize()


def _probe(facts: Mapping[str, Json]) -> dict[str, float]:
    """What the device can do at most, and how many seconds a token's weights and arithmetic need at that speed.

    The weights that a token reads are read once as a matrix times a vector, the way decoding reads them, from buffers
    of their own size, so that a cache which holds the weights holds these too. The best of `PROBES` counts: the floor
    must be one that nothing can beat.
    """
    count = facts.get("step_parameters")
    if not count:
        return {}
    import torch

    device = "cuda" if _on_gpu(facts) else "cpu"
    dtype = getattr(torch, facts["dtype"])
    width = max(64, int(count**0.5))
    matrix = torch.ones(max(1, count // width), width, dtype=dtype, device=device)
    vector = torch.ones(width, dtype=dtype, device=device)
    square = torch.ones(1024, 1024, dtype=dtype, device=device)
    read = matrix.numel() * matrix.element_size() / _best(lambda: matrix @ vector, facts)
    arithmetic = 2 * 1024**3 / _best(lambda: square @ square, facts)
    return {
        "bytes a second": read, "operations a second": arithmetic,
        "seconds to read": count * matrix.element_size() / read, "seconds to compute": 2 * count / arithmetic,
    }  # fmt: skip


def _best(act: Callable[[], Any], facts: Mapping[str, Json]) -> float:
    seconds = []
    for _ in range(PROBES):
        _synchronise(facts)
        start = time.perf_counter()
        act()
        _synchronise(facts)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _memory(model: Model, before: int | None, loaded: int | None) -> dict[str, int]:
    """Bytes held at most, and apart: what loading took, and what answering (cache and workspace) took on top."""
    on_device = model.peak_memory_bytes()
    peak = on_device if on_device is not None else _resident("VmHWM")
    if peak is None:
        return {}
    if on_device is not None or before is None or loaded is None:
        return {"peak bytes": peak}
    return {"peak bytes": peak, "loaded bytes": max(0, loaded - before), "working bytes": max(0, peak - loaded)}


def _resident(field: str = "VmRSS") -> int | None:
    """This process's memory by Linux's own account; its peak as `getrusage` tells it begins with the parent's."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    return 1024 * int(found[0]) if found else None
