"""Time one model, one request at a time, in its own process.

`Stopwatch` times a loaded model. `TimingProcess` is a fresh process that loads a model and times requests on demand. A
request is computed twice: once with a single new token, which gives the time to the first token, and once in full; the
difference is the time of the later tokens. The clock starts before tokenisation and image decoding, and stops when the
text is complete and the device is idle. No prefix is cached between requests.
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
from evals.execution.inputs import SplitInput, record_inputs
from evals.schema import (
    Batch,
    Generate,
    Group,
    Image,
    Json,
    Measurable,
    Model,
    Placement,
    Prediction,
    Prompt,
    ResourceRequirements,
)
from evals.timing import device, roofline
from evals.timing.load_replay import LoadReplay, replay
from evals.timing.roofline import DevicePeaks

WARM_UP = 2
"""Number of untimed repetitions of each kind of request before timing starts."""
SETTLE = 0.01
"""Seconds that a process waits before each request, until the idle threads of the previous process stop spinning."""


@dataclass(frozen=True)
class ModelSource:
    """What another process needs to load a model; picklable, since it contains no model."""

    model: str
    scale: str
    checkpoint: str | None
    placement: Placement

    def load(self) -> Model:
        """Load the model."""
        from evals import registry
        from evals.execution.resolve import resolve

        registry.discover()
        return resolve(self.model, scale=self.scale, checkpoint=self.checkpoint).load(self.placement)


class Stopwatch:
    """Time a loaded model."""

    def __init__(self, model: Model, clock: Callable[[], float] = time.perf_counter) -> None:
        """Read the resource requirements of the model and the memory in use.

        Args:
            model: the model; with the optional method `resource_requirements()`, its times are checked against floors.
            clock: returns the time in seconds.
        """
        self.model = model
        self._clock = clock
        self.resource_requirements: ResourceRequirements | None = (
            model.resource_requirements() if isinstance(model, Measurable) else None
        )
        self._device = self.resource_requirements.device if self.resource_requirements else "cpu"
        self._peaks: DevicePeaks | None = None
        self._loaded = device.memory_bytes(self._device)

    def warm_up(self, requests: Sequence[Generate]) -> list[SplitInput | None]:
        """Compute requests without timing them, and measure the peaks of the device.

        Returns:
            What the model reads for each request, for the record; None where it cannot read it or does not say.
        """
        prompts = {index: prompt for index, request in enumerate(requests) if (prompt := self._prompt(request))}
        described = dict(zip(prompts, record_inputs(self.model, list(prompts.values())), strict=True))
        for request in requests:
            for _ in range(WARM_UP):
                self._answer(request)
        if self.resource_requirements is not None:
            self._peaks = device.probe_peaks(self.resource_requirements)
        device.reset_peak_memory(self._device)
        return [described.get(index) for index in range(len(requests))]

    def time(self, request: Generate) -> Prediction:
        """Time a request.

        Returns:
            A prediction whose output holds the measurements by name. It has a failure instead if the request was not
            answered, the text ended early, or a time lies below its floor.
        """
        first_seconds, first = self._timed(replace(request, max_new_tokens=1, min_new_tokens=1))
        whole_seconds, whole = self._timed(request)
        times = {roofline.FIRST: first_seconds, roofline.WHOLE: whole_seconds}
        failure = first.failure or whole.failure or self._ended_early(request, whole)
        failure = failure or self._below_floor(times, whole)
        if failure is not None:
            return Prediction(request.id, failure=failure)
        measurements = self._measurements(first_seconds, whole_seconds, whole)
        return Prediction(
            request.id, output=measurements, prompt_tokens=whole.prompt_tokens, new_tokens=whole.new_tokens
        )

    def _timed(self, request: Generate) -> tuple[float, Prediction]:
        device.synchronise(self._device)
        start = self._clock()
        prediction = self._answer(request)
        device.synchronise(self._device)
        return self._clock() - start, prediction

    def _prompt(self, request: Generate) -> Prompt | None:
        with contextlib.suppress(SampleError):  # `_answer` reports it
            return self.model.prepare(request)
        return None

    def _answer(self, request: Generate) -> Prediction:
        try:
            prompt = self.model.prepare(request)
        except SampleError as error:
            return Prediction(request.id, failure=str(error))
        has_image = any(isinstance(part, Image) for part in request.parts)
        # `plan` shares the prefix of a text prompt, which the model would then keep for the next request.
        (batch,) = plan([prompt], self.model.token_budget) if has_image else (Batch((Group(0, (0,)),)),)
        (prediction,) = self.model.run([prompt], batch, self.model.stage([prompt], batch))
        return prediction

    def _measurements(self, first_seconds: float, whole_seconds: float, answer: Prediction) -> dict[str, Json]:
        peak = device.peak_memory_bytes(self._device)
        return {
            "seconds": whole_seconds,
            "seconds to the first token": first_seconds,
            "prompt tokens": answer.prompt_tokens,
            "new tokens": answer.new_tokens,
            **({"loaded bytes": self._loaded, "peak bytes": peak} if self._loaded and peak else {}),
            **({"demands": asdict(self.resource_requirements)} if self.resource_requirements else {}),
            **({"speeds": asdict(self._peaks)} if self._peaks else {}),
        }

    def _ended_early(self, request: Generate, answer: Prediction) -> str | None:
        if answer.new_tokens == request.max_new_tokens:
            return None
        return (
            f"the text ended after {answer.new_tokens} of {request.max_new_tokens} tokens, so its time cannot be used"
        )

    def _below_floor(self, times: Mapping[str, float], answer: Prediction) -> str | None:
        """Describe a time that lies below its floor; None if there is none.

        Other load makes times longer, never shorter, but it may have slowed down the measurement of the peaks. The
        peaks are therefore measured once more before a failure is reported.
        """
        failure = self._compare_with_floors(times, answer)
        if failure is None or self.resource_requirements is None or self._peaks is None:
            return None
        self._peaks = self._peaks.or_better(device.probe_peaks(self.resource_requirements))
        return self._compare_with_floors(times, answer)

    def _compare_with_floors(self, times: Mapping[str, float], answer: Prediction) -> str | None:
        if self.resource_requirements is None or self._peaks is None:
            return None
        least = roofline.floors(self.resource_requirements, self._peaks, answer.prompt_tokens, answer.new_tokens)
        reasons = ((name, roofline.below(seconds, least[name])) for name, seconds in times.items())
        return next((f"{name} {reason}" for name, reason in reasons if reason is not None), None)


class TimingProcess:
    """A fresh process that loads one model and times requests."""

    def __init__(self, source: ModelSource) -> None:
        """Start the process; it loads the model in the background."""
        self.name = source.model
        context = multiprocessing.get_context("spawn")
        self._pipe, child_pipe = context.Pipe()
        self._process = context.Process(target=_serve, args=(child_pipe, source), daemon=True)
        self._process.start()
        child_pipe.close()

    def ready(self) -> Mapping[str, Json]:
        """Wait until the model is loaded and return its facts. Raises `InputError` if it cannot be loaded."""
        facts: Mapping[str, Json] = self._received()
        return facts

    def warm_up(self, requests: Sequence[Generate]) -> list[SplitInput | None]:
        """Warm up the model, and wait until that is done; return what it reads, as `Stopwatch.warm_up`."""
        inputs: list[SplitInput | None] = self._ask(requests)
        return inputs

    def time(self, request: Generate) -> Prediction:
        """Time a request, and return the measurements."""
        timed: Prediction = self._ask(request)
        return timed

    def replay(self, load: LoadReplay) -> list[Prediction]:
        """Replay a load, and return the times of its requests."""
        predictions: list[Prediction] = self._ask(load)
        return predictions

    def close(self) -> None:
        """Terminate the process; it has nothing to save."""
        self._pipe.close()
        self._process.terminate()
        self._process.join()

    def _ask(self, message: Generate | LoadReplay | Sequence[Generate]) -> Any:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has ended; `_received` reports why
            self._pipe.send(message)
        return self._received()

    def _received(self) -> Any:
        try:
            answer = self._pipe.recv()
        except (EOFError, ConnectionResetError) as error:
            self._process.join()
            raise EvalsError(
                f"a process that timed {self.name} ended with exit code {self._process.exitcode}; "
                "processes that were finished before are kept; repeat the command to continue"
            ) from error
        if isinstance(answer, Exception):
            raise answer
        return answer


def _serve(pipe: Connection, source: ModelSource) -> None:
    """Run a timing process: load the model, then warm up or time requests until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles the interrupt and ends this process
    try:
        device.warm_libraries()
        model = source.load()
        if "generate" not in model.abilities:
            raise InputError(f"{source.model!r} cannot generate text, so it cannot be timed")
        watch = Stopwatch(model)
        pipe.send({**model.facts, **_threads()})
        while True:
            message = pipe.recv()
            time.sleep(SETTLE)
            if isinstance(message, Generate):
                pipe.send(watch.time(message))
            elif isinstance(message, LoadReplay):
                pipe.send(replay(model, message))
            else:
                pipe.send(watch.warm_up(message))
    except EOFError:
        return
    except EvalsError as error:
        pipe.send(error)


def _threads() -> dict[str, int]:
    import torch

    return {"threads": int(torch.get_num_threads())}
