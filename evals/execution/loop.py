"""The loop: samples to requests, batches, predictions, scores, records.

The samples are taken in windows. A window's requests are tokenised and planned in the background while the one before
is computed; a batch's pictures are decoded while the batch before is on the device. Which samples share a window and
which requests share a batch depends on nothing but the samples, the model and the token_budget, so after an
interruption the
same batches come out, and those that are on disk are skipped: whole windows of them without building a sample.

`work` computes and knows nothing of scores or files; `evals.execution.collector` gathers what it computed, from one
process or
from several, and scores each sample when its last request is answered. Neither branches on a task or a model.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from evals.errors import InputError, SampleError
from evals.execution.batching import padding, plan
from evals.execution.threads import DaemonThreadPool
from evals.schema import (
    MODALITIES,
    Audio,
    Batch,
    Classify,
    Image,
    Json,
    Model,
    Part,
    Prediction,
    Prompt,
    Request,
    Sample,
    Samples,
)

WINDOW = 1024
"""Samples planned together: enough that batches are even, few enough that memory does not grow with the split."""
_AHEAD = 2
"""Batches staged before the device asks for them."""

Row = dict[str, Json]
T = TypeVar("T")
U = TypeVar("U")


class AnsweredRequest(NamedTuple):
    """One request answered, on its way from whoever computed it to the record."""

    sample_index: int
    """The sample's place in the split."""
    prediction: Prediction
    seconds: float
    """Its share of the time since the batch before was finished."""
    model_seconds: float
    """Its share of the time inside the model."""


class BatchId(NamedTuple):
    """A batch, as the plan numbers it."""

    window: int
    """Index of the window's first sample."""
    number: int
    """Place of the batch in the window's plan; -1 for the requests that could not be tokenised."""


TryAcquire = Callable[[BatchId, set[str]], bool]
"""Asked before a batch is computed, with the ids of its samples; False leaves it out."""
OnBatch = Callable[[Sequence[BatchId], list[AnsweredRequest]], None]
"""Receives finished batches: one, or all that a model which answers several at once has finished meanwhile."""


@dataclass(frozen=True)
class Window:
    """Consecutive samples, ready to be computed."""

    start: int
    ids: Sequence[str]
    prompts: list[Prompt]
    owners: list[int]
    """The index of each prompt's sample."""
    batches: tuple[Batch, ...]
    failed: list[AnsweredRequest]
    """Requests that could not even be tokenised."""


def work(
    samples: Samples,
    model: Model,
    *,
    token_budget: int,
    share: bool,
    done: set[str],
    try_acquire: TryAcquire,
    on_batch: OnBatch,
) -> None:
    """Compute every batch that is not done and may be claimed.

    Args:
        samples: the split, already limited.
        model: answers.
        token_budget: token positions a batch may hold.
        share: compute shared prefixes once.
        done: ids of samples that are on disk.
        try_acquire: asked before a batch is computed.
        on_batch: receives finished batches.
    """
    starts = [
        start
        for start in range(0, len(samples), WINDOW)
        if not done.issuperset(samples.ids[start : start + WINDOW])
    ]  # fmt: skip
    clock = _Clock()
    with ThreadPoolExecutor(max_workers=2) as background:
        try:
            windows = _ahead(background, lambda start: _window(samples, model, start, token_budget, share), starts, 1)
            at_once: int = getattr(model, "concurrency", 1)
            if at_once > 1:
                _work_at_once(model, windows, at_once, try_acquire, on_batch, clock)
            else:
                for window in windows:
                    _work_window(model, window, background, try_acquire, on_batch, clock)
        except BaseException:
            background.shutdown(wait=False, cancel_futures=True)
            raise


def _window(samples: Samples, model: Model, start: int, token_budget: int, share: bool) -> Window:
    """Build the samples of a window, tokenise their requests, and plan."""
    prompts: list[Prompt] = []
    owners: list[int] = []
    failed: list[AnsweredRequest] = []
    stop = min(start + WINDOW, len(samples))
    for index in range(start, stop):
        for request in samples[index].requests:
            try:
                prompts.append(model.prepare(request))
                owners.append(index)
            except SampleError as error:
                failed.append(AnsweredRequest(index, Prediction(request.id, failure=str(error)), 0.0, 0.0))
    batches = plan(prompts, token_budget, share=share)
    return Window(start, samples.ids[start:stop], prompts, owners, batches, failed)


def _work_window(
    model: Model,
    window: Window,
    background: ThreadPoolExecutor,
    try_acquire: TryAcquire,
    on_batch: OnBatch,
    clock: _Clock,
) -> None:
    """Compute the batches of one window."""

    def stage(numbered_batch: tuple[BatchId, Batch]) -> tuple[BatchId, Batch, Any]:
        batch_id, batch = numbered_batch
        return batch_id, batch, model.stage(window.prompts, batch)

    for batch_id, batch, staged in _ahead(background, stage, _acquired(window, try_acquire, on_batch), _AHEAD):
        with clock:
            predictions = model.run(window.prompts, batch, staged)
        on_batch([batch_id], _answers(window, batch, predictions, *clock.read()))


def _work_at_once(
    model: Model, windows: Iterable[Window], count: int, try_acquire: TryAcquire, on_batch: OnBatch, clock: _Clock
) -> None:
    """Compute batches on many threads, also of several windows, and hand on each as soon as it is finished.

    All that is finished at one moment goes out together: who receives it waits for the disk once. After an error
    nothing new is begun, and what is under way is still waited for: it has been paid for.
    """

    def act(given: tuple[Window, BatchId, Batch]) -> list[Prediction]:
        window, _, batch = given
        return model.run(window.prompts, batch, model.stage(window.prompts, batch))

    pool = DaemonThreadPool(act, count)

    def hand_on() -> None:
        with clock:
            ended = pool.finished()
        done = [(*each.given, each.result) for each in ended if each.result is not None]
        seconds, inside = clock.read() if done else (0.0, 0.0)
        answers = [
            _answers(window, batch, result, seconds / len(done), inside / len(done))
            for window, _, batch, result in done
        ]
        if done:
            on_batch([batch_id for _, batch_id, _, _ in done], [answer for each in answers for answer in each])
        for each in ended:
            if each.error is not None:
                raise each.error

    try:
        for window in windows:
            for batch_id, batch in _acquired(window, try_acquire, on_batch):
                pool.give((window, batch_id, batch))
                while pool.busy >= 2 * count:  # as many again wait, so that no thread waits for this one
                    hand_on()
        while pool.busy:
            hand_on()
    except Exception:
        pool.drop()
        while pool.busy:
            with contextlib.suppress(Exception):  # the first error is the one that is told
                hand_on()
        raise
    finally:
        pool.dismiss()


def _acquired(window: Window, try_acquire: TryAcquire, on_batch: OnBatch) -> Iterator[tuple[BatchId, Batch]]:
    """Yield the batches of a window that are free; what could not even be tokenised is handed on first."""
    unready = BatchId(window.start, -1)
    if window.failed and try_acquire(
        unready, {window.ids[answer.sample_index - window.start] for answer in window.failed}
    ):
        on_batch([unready], window.failed)
    for number, batch in enumerate(window.batches):
        batch_id = BatchId(window.start, number)
        if try_acquire(batch_id, {window.ids[window.owners[member] - window.start] for member in batch.members}):
            yield batch_id, batch


def _answers(
    window: Window, batch: Batch, predictions: Sequence[Prediction], seconds: float, inside: float
) -> list[AnsweredRequest]:
    """Divide a batch's costs among its predictions; a model that pads in its own way has counted that itself."""
    each = len(predictions)
    if not any(prediction.computed_tokens for prediction in predictions):
        computed, useful = padding(window.prompts, batch)
        predictions = [
            replace(prediction, computed_tokens=computed / each, useful_tokens=useful / each)
            for prediction in predictions
        ]
    return [
        AnsweredRequest(window.owners[member], prediction, seconds / each, inside / each)
        for member, prediction in zip(batch.members, predictions, strict=True)
    ]


def _ahead(background: ThreadPoolExecutor, act: Callable[[T], U], values: Iterable[T], count: int) -> Iterator[U]:
    """Map in the background, so many values before they are asked for."""
    waiting: deque[Future[U]] = deque()
    for value in values:
        waiting.append(background.submit(act, value))
        if len(waiting) > count:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


class _Clock:
    """Reads the time since the last reading, and how much of it passed inside the model (`with clock:`)."""

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


def limited(samples: Samples, limit: int | None) -> Samples:
    """Keep the first samples of a split. Raises `InputError` when there is nothing to measure."""
    if not len(samples):
        raise InputError("the split has no samples: there is nothing to measure")
    return samples if limit is None else replace(samples, ids=samples.ids[:limit])


def readable(samples: Samples, modalities: Collection[str] | None) -> Samples:
    """Keep the samples that hold nothing but what a model reads; all where that is not known."""
    if modalities is None:
        return samples
    kept = [
        index
        for index, sample in enumerate(samples)
        if {MODALITIES[type(part)] for request in sample.requests for part in request.parts} <= {*modalities}
    ]
    return replace(samples, ids=[samples.ids[index] for index in kept], build=lambda place: samples.build(kept[place]))


def blinded(samples: Samples) -> Samples:
    """Replace every picture by a flat one of its size, and every recording by silence.

    Raises:
        InputError: there is none to replace.
    """
    if not any(isinstance(part, Image | Audio) for request in samples[0].requests for part in request.parts):
        raise InputError("--blind is for tasks with pictures or recordings: this one has none")

    def build(index: int) -> Sample:
        sample = samples.build(index)
        return replace(sample, requests=tuple(_blind_request(request) for request in sample.requests))

    return replace(samples, build=build)


def _blind_request(request: Request) -> Request:
    def blind(part: Part) -> Part:
        return replace(part, blind=True) if isinstance(part, Image | Audio) else part

    if isinstance(request, Classify):  # has no pictures
        return request
    return replace(request, parts=tuple(blind(part) for part in request.parts))
