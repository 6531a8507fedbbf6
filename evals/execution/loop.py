"""Compute the batches of a run: samples become requests, requests become batches, batches become predictions.

Samples are taken in windows. A window is leased before any of its samples is built. Its requests are tokenised and
planned in the background while the model computes the window before it; the images of the next batches are decoded
while a batch is on the device. Which samples share a window and which requests share a batch depends only on the
samples, the model and the token budget. So a run that was interrupted plans the same batches again and skips those that
are on disk; a window that is on disk as a whole is never leased.

`compute_batches` knows nothing about scores or files. `evals.execution.collector` collects the predictions, from one
process or from several, and scores a sample when its last request is answered. Neither has code for a particular task
or model.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from evals.errors import LongPromptError, SampleError
from evals.execution import batching
from evals.execution.batching import padding
from evals.execution.inputs import SplitInput, record_inputs
from evals.execution.threads import DaemonThreadPool
from evals.execution.windows import BatchId, Lease, Leases
from evals.records.answers import AnswerLog
from evals.records.types import PlanEntry
from evals.schema import (
    Batch,
    Concurrent,
    Model,
    Prediction,
    Prompt,
    Request,
    Samples,
)
from evals.schema.contracts import checked_predictions

_STAGED_AHEAD = 2
"""Number of batches staged before the device asks for them."""

T = TypeVar("T")
U = TypeVar("U")


class AnsweredRequest(NamedTuple):
    """One answered request, on its way from the process that computed it to the record."""

    sample_index: int
    """The sample's index in the split."""
    prediction: Prediction
    seconds: float
    """Its share of the time since the batch before was finished."""
    model_seconds: float
    """Its share of the time spent inside the model."""
    model_input: SplitInput | None = None
    """What the model read; None if it does not say, or if the request could not be tokenised."""


OnBatch = Callable[[Sequence[BatchId], list[AnsweredRequest]], None]
"""Called with finished batches: with one, or with all that a concurrent model has finished in the meantime."""


@dataclass(frozen=True)
class Window:
    """Consecutive samples, tokenised and planned."""

    lease: Lease
    ids: Sequence[str]
    """The samples' ids."""
    prompts: list[Prompt]
    sample_indices: list[int]
    """Index of each prompt's sample."""
    batches: tuple[Batch, ...]
    inputs: Sequence[SplitInput | None]
    """What the model reads for each prompt, for the record."""
    failed: list[AnsweredRequest]
    """Requests that could not be tokenised."""


def compute_batches(
    samples: Samples,
    model: Model,
    *,
    plan: PlanEntry,
    leases: Leases,
    on_batch: OnBatch,
    kept: Path | None = None,
    process: int = 0,
) -> None:
    """Compute the batches that `leases` grants, until it has no window to lease.

    Args:
        samples: the split, already limited.
        model: answers the requests.
        plan: how requests become batches: token budget, window, sharing of prefixes.
        leases: asked before a window is prepared, and before a batch is computed.
        on_batch: called with finished batches.
        kept: the run folder in which the answers of a concurrent model are kept until they are recorded, or None.
        process: number of this process among the workers.
    """
    clock = _Clock()
    with ThreadPoolExecutor(max_workers=2) as background:
        try:
            leased = iter(leases.next_window, None)
            windows = _ahead(background, lambda lease: _window(samples, model, lease, plan), leased, 1)
            if isinstance(model, Concurrent):
                with contextlib.ExitStack() as stack:
                    log = None if kept is None else stack.enter_context(contextlib.closing(AnswerLog(kept, process)))
                    _work_concurrently(_Answering(model, log), windows, leases, on_batch, clock)
            else:
                for window in windows:
                    _work_window(model, window, background, leases, on_batch, clock)
        except BaseException:
            background.shutdown(wait=False, cancel_futures=True)
            raise


def _window(samples: Samples, model: Model, lease: Lease, plan: PlanEntry) -> Window:
    """Build the samples of a window, tokenise their requests, and plan the batches."""
    prompts: list[Prompt] = []
    sample_indices: list[int] = []
    failed: list[AnsweredRequest] = []
    ids = samples.ids[lease.start : lease.start + plan.window]
    for index in range(lease.start, lease.start + len(ids)):
        for request in samples[index].requests:
            try:
                prompts.append(model.prepare(request))
                sample_indices.append(index)
            except SampleError as error:
                long_prompt = isinstance(error, LongPromptError)
                prediction = Prediction(request.id, failure=str(error), long_prompt=long_prompt)
                failed.append(AnsweredRequest(index, prediction, 0.0, 0.0))
    batches = batching.plan(prompts, plan.token_budget, share=plan.share)
    inputs = record_inputs(model, prompts)
    return Window(lease, ids, prompts, sample_indices, batches, inputs=inputs, failed=failed)


def _work_window(
    model: Model,
    window: Window,
    background: ThreadPoolExecutor,
    leases: Leases,
    on_batch: OnBatch,
    clock: _Clock,
) -> None:
    """Compute the batches of one window."""

    def stage(numbered_batch: tuple[BatchId, Batch]) -> tuple[BatchId, Batch, Any]:
        batch_id, batch = numbered_batch
        return batch_id, batch, model.stage(window.prompts, batch)

    for batch_id, batch, staged in _ahead(background, stage, _acquired(window, leases, on_batch), _STAGED_AHEAD):
        with clock:
            predictions = model.run(window.prompts, batch, staged)
        predictions = checked_predictions(model.name, window.prompts, batch, predictions)
        on_batch([batch_id], _answers(model, window, batch, predictions, *clock.read()))


class _Answering(NamedTuple):
    """A concurrent model with the answers that it has given earlier."""

    model: Model
    log: AnswerLog | None

    def run(self, prompts: list[Prompt], batch: Batch) -> list[Prediction]:
        """Answer a batch, unless all its answers were kept; keep them."""
        model, log = self
        requests = [prompts[member].request for member in batch.members]
        if log is not None:
            earlier = [prediction for request in requests if (prediction := log.find(request)) is not None]
            if len(earlier) == len(requests):
                return checked_predictions(model.name, prompts, batch, earlier)
        predictions = model.run(prompts, batch, model.stage(prompts, batch))
        predictions = checked_predictions(model.name, prompts, batch, predictions)
        if log is not None:
            for request, prediction in zip(requests, predictions, strict=True):
                log.add(request, prediction)
        return predictions


def _work_concurrently(
    answering: _Answering, windows: Iterable[Window], leases: Leases, on_batch: OnBatch, clock: _Clock
) -> None:
    """Compute batches on many threads, also from several windows, and pass each on as soon as it is finished.

    Batches that are finished at the same moment are passed on together, so the receiver waits for the disk once. After
    an error no new batch is started, but the running ones are awaited, because a server charges for them.
    """

    def compute(planned: tuple[Window, BatchId, Batch]) -> list[Prediction]:
        window, _, batch = planned
        return answering.run(window.prompts, batch)

    model = answering.model
    assert isinstance(model, Concurrent)
    count = model.concurrency
    pool = DaemonThreadPool(compute, count)

    def pass_on() -> None:
        with clock:
            calls = pool.completed()
        finished = [(*call.argument, call.result) for call in calls if call.result is not None]
        seconds, inside = clock.read() if finished else (0.0, 0.0)
        answers = [
            answer
            for window, _, batch, predictions in finished
            for answer in _answers(model, window, batch, predictions, seconds / len(finished), inside / len(finished))
        ]
        if finished:
            on_batch([batch_id for _, batch_id, _, _ in finished], answers)
        for call in calls:
            if call.error is not None:
                raise call.error

    try:
        for window in windows:
            for batch_id, batch in _acquired(window, leases, on_batch):
                pool.submit((window, batch_id, batch))
                while pool.pending >= 2 * count:  # one batch per thread is queued, so that none waits for this loop
                    pass_on()
        while pool.pending:
            pass_on()
    except Exception:
        pool.cancel_waiting()
        while pool.pending:
            with contextlib.suppress(Exception):  # the first error is the one that is reported
                pass_on()
        raise
    finally:
        pool.shutdown()


def _acquired(window: Window, leases: Leases, on_batch: OnBatch) -> Iterator[tuple[BatchId, Batch]]:
    """Yield the batches of a window that are granted; requests that could not be tokenised are recorded at once."""
    start, from_end = window.lease
    numbers = [*([-1] if window.failed else []), *range(len(window.batches))]
    leases.plan(start, len(numbers))
    for number in reversed(numbers) if from_end else numbers:
        batch_id = BatchId(start, number)
        if number < 0:
            if leases.acquire(batch_id, {window.ids[answer.sample_index - start] for answer in window.failed}):
                on_batch([batch_id], window.failed)
            continue
        batch = window.batches[number]
        if leases.acquire(batch_id, {window.ids[window.sample_indices[member] - start] for member in batch.members}):
            yield batch_id, batch
    leases.leave(start)


def _answers(
    model: Model, window: Window, batch: Batch, predictions: Sequence[Prediction], seconds: float, inside: float
) -> list[AnsweredRequest]:
    """Divide a batch's costs among its predictions, unless the model has counted the positions itself."""
    count = len(predictions)
    costs = seconds / count, inside / count
    if not any(prediction.computed_tokens for prediction in predictions):
        computed, useful = padding(window.prompts, batch)
        predictions = [
            replace(prediction, computed_tokens=computed / count, useful_tokens=useful / count)
            for prediction in predictions
        ]
    return [
        AnsweredRequest(
            window.sample_indices[member],
            marked(prediction, window.prompts[member]),
            *costs,
            window.inputs[member] if prediction.shortened is None else _read_instead(model, prediction.shortened),
        )
        for member, prediction in zip(batch.members, predictions, strict=True)
    ]


def _read_instead(model: Model, request: Request) -> SplitInput | None:
    """Describe what a model read for a request that it shortened while it answered."""
    (model_input,) = record_inputs(model, [model.prepare(request)])
    return model_input


def marked(prediction: Prediction, prompt: Prompt) -> Prediction:
    """Mark a prediction whose prompt was shortened, because it was longer than the model reads."""
    shortened = prompt.removed or prediction.shortened is not None
    return replace(prediction, long_prompt=True, shortened=None) if shortened else prediction


def _ahead(background: ThreadPoolExecutor, act: Callable[[T], U], values: Iterable[T], count: int) -> Iterator[U]:
    """Map in the background, `count` values ahead of the consumer."""
    waiting: deque[Future[U]] = deque()
    for value in values:
        waiting.append(background.submit(act, value))
        if len(waiting) > count:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


class _Clock:
    """Measures the time since the last reading, and how much of it was spent inside the model (`with clock:`)."""

    def __init__(self) -> None:
        self._since = time.perf_counter()
        self._inside = 0.0
        self._entered = 0.0

    def __enter__(self) -> None:
        self._entered = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._inside += time.perf_counter() - self._entered

    def read(self) -> tuple[float, float]:
        now = time.perf_counter()
        elapsed, inside = now - self._since, self._inside
        self._since, self._inside = now, 0.0
        return elapsed, inside
