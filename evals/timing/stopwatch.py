"""Timing one model: one request at a time, in a process of its own, with nothing else beside it.

`Stopwatch` times a model that is loaded; `TimingProcess` is a fresh process that loads one and times what it is told, when it
is told. A request is computed twice: with one new token, which is the time to the first, and whole; what lies between
the two is the time of the tokens after it. The clock starts before the prompt is tokenised and its picture decoded and
stops when the text is there and the device has done everything. No prefix is kept from the request before.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

from evals.errors import EvalsError, InputError, SampleError
from evals.execution.batching import plan
from evals.schema import Batch, Generate, Group, Image, Json, Model, Placement, Prediction, ResourceRequirements
from evals.timing import device, roofline
from evals.timing.roofline import DevicePeaks

WARM_UP = 2
"""Times each kind of request is computed before the clock counts."""
SETTLE = 0.01
"""Seconds between a process's being told and its starting: threads of whoever was at work before spin a little yet."""


@dataclass(frozen=True)
class ModelSource:
    """How a process loads a model, by names alone, so that it can be sent there."""

    model: str
    scale: str
    checkpoint: str | None
    placement: Placement

    def load(self) -> Model:
        """Load it."""
        from evals import registry
        from evals.execution.resolve import resolve

        registry.discover()
        return resolve(self.model, scale=self.scale, checkpoint=self.checkpoint).load(self.placement)


class Stopwatch:
    """Times a loaded model."""

    def __init__(self, model: Model, clock: Callable[[], float] = time.perf_counter) -> None:
        """Count what the model needs.

        Args:
            model: answers; one that can be held against floors says with a further method `resource_requirements()`
            what it needs.
            clock: gives seconds.
        """
        self.model = model
        self._clock = clock
        self.resource_requirements: ResourceRequirements | None = (
            model.resource_requirements() if hasattr(model, "resource_requirements") else None
        )
        self._device = self.resource_requirements.device if self.resource_requirements else "cpu"
        self._peaks: DevicePeaks | None = None
        self._loaded = device.memory_bytes(self._device)

    def warm_up(self, requests: Sequence[Generate]) -> None:
        """Compute some requests without a clock, and see what the device can do."""
        for request in requests:
            for _ in range(WARM_UP):
                self._answer(request)
        if self.resource_requirements is not None:
            self._peaks = device.probe_peaks(self.resource_requirements)
        device.reset_peak_memory(self._device)

    def time(self, request: Generate) -> Prediction:
        """Time a request.

        Returns:
            A prediction whose output is what was measured, by name. One that failed says why: the request was not
            answered, the text ended early, or a time lies below what the device allows.
        """
        first, one = self._once(replace(request, max_new_tokens=1, min_new_tokens=1))
        whole, all_of_it = self._once(request)
        times = {roofline.FIRST: first, roofline.WHOLE: whole}
        failure = one.failure or all_of_it.failure or self._early(request, all_of_it)
        failure = failure or self._impossible(times, all_of_it)
        if failure is not None:
            return Prediction(request.id, failure=failure)
        told = self._told(first, whole, all_of_it)
        prompt, new = all_of_it.prompt_tokens, all_of_it.new_tokens
        return Prediction(request.id, output=told, prompt_tokens=prompt, new_tokens=new)

    def _once(self, request: Generate) -> tuple[float, Prediction]:
        device.synchronise(self._device)
        start = self._clock()
        prediction = self._answer(request)
        device.synchronise(self._device)
        return self._clock() - start, prediction

    def _answer(self, request: Generate) -> Prediction:
        try:
            prompt = self.model.prepare(request)
        except SampleError as error:
            return Prediction(request.id, failure=str(error))
        shows = any(isinstance(part, Image) for part in request.parts)
        # A plan cuts a prompt of text before its last token, and what comes before would be kept for the next time.
        (batch,) = plan([prompt], self.model.token_budget) if shows else (Batch((Group(0, (0,)),)),)
        (prediction,) = self.model.run([prompt], batch, self.model.stage([prompt], batch))
        return prediction

    def _told(self, first: float, whole: float, answer: Prediction) -> dict[str, Json]:
        peak = device.peak_memory_bytes(self._device)
        return {
            "seconds": whole,
            "seconds to the first token": first,
            "prompt tokens": answer.prompt_tokens,
            "new tokens": answer.new_tokens,
            **({"loaded bytes": self._loaded, "peak bytes": peak} if self._loaded and peak else {}),
            **({"demands": asdict(self.resource_requirements)} if self.resource_requirements else {}),
            **({"speeds": asdict(self._peaks)} if self._peaks else {}),
        }

    def _early(self, request: Generate, answer: Prediction) -> str | None:
        if answer.new_tokens == request.max_new_tokens:
            return None
        return f"the text ended after {answer.new_tokens} of {request.max_new_tokens} tokens, so its time tells nothing"

    def _impossible(self, times: Mapping[str, float], answer: Prediction) -> str | None:
        """Say so where a time is below its floor. What else the machine does makes times longer, never shorter.

        It may have made the device look slow when that was probed, so it is probed once more before anything is said.
        """
        found = self._below(times, answer)
        if found is None or self.resource_requirements is None or self._peaks is None:
            return None
        self._peaks = self._peaks.or_better(device.probe_peaks(self.resource_requirements))
        return self._below(times, answer)

    def _below(self, times: Mapping[str, float], answer: Prediction) -> str | None:
        if self.resource_requirements is None or self._peaks is None:
            return None
        least = roofline.floors(self.resource_requirements, self._peaks, answer.prompt_tokens, answer.new_tokens)
        found = ((name, roofline.below(seconds, least[name])) for name, seconds in times.items())
        return next((f"{name} {why}" for name, why in found if why is not None), None)


class TimingProcess:
    """A fresh process with one model; a context manager."""

    def __init__(self, source: ModelSource) -> None:
        """Start the process, which loads the model while others load theirs."""
        self.name = source.model
        context = multiprocessing.get_context("spawn")
        self._pipe, its = context.Pipe()
        self._process = context.Process(target=_serve, args=(its, source), daemon=True)
        self._process.start()
        its.close()

    def ready(self) -> Mapping[str, Json]:
        """Wait until the model is loaded; returns its facts. Raises `InputError` where it cannot be."""
        facts: Mapping[str, Json] = self._received()
        return facts

    def warm_up(self, requests: Sequence[Generate]) -> None:
        """Have the process warm up, and wait until it has."""
        self._ask(requests)

    def time(self, request: Generate) -> Prediction:
        """Have a request timed, and wait for the figures."""
        timed: Prediction = self._ask(request)
        return timed

    def close(self) -> None:
        """End the process, whatever it is doing: it has nothing to save."""
        self._pipe.close()
        self._process.terminate()
        self._process.join()

    def _ask(self, what: Generate | Sequence[Generate]) -> Any:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # gone: what it said last tells why
            self._pipe.send(what)
        return self._received()

    def _received(self) -> Any:
        try:
            answer = self._pipe.recv()
        except (EOFError, ConnectionResetError) as error:
            self._process.join()
            raise EvalsError(
                f"a process that timed {self.name} ended with exit code {self._process.exitcode}; "
                "processes that were finished before are kept, the same command goes on"
            ) from error
        if isinstance(answer, Exception):
            raise answer
        return answer


def _serve(pipe: Connection, source: ModelSource) -> None:
    """Load the model, then warm up or time as told, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's, which ends this process
    try:
        device.warm_libraries()
        model = source.load()
        if "generate" not in model.abilities:
            raise InputError(f"{source.model!r} has no weights to generate, so there is nothing to time")
        watch = Stopwatch(model)
        pipe.send({**model.facts, **_threads()})
        while True:
            told = pipe.recv()
            time.sleep(SETTLE)
            if isinstance(told, Generate):
                pipe.send(watch.time(told))
            else:
                watch.warm_up(told)
                pipe.send(None)
    except EOFError:
        return
    except InputError as error:
        pipe.send(error)


def _threads() -> dict[str, int]:
    import torch

    return {"threads": int(torch.get_num_threads())}
