"""The loop: samples to requests, batches, predictions, scores, records.

The samples are taken in windows. A window's requests are tokenised and planned in the background while the one before
is computed; a batch's pictures are decoded while the batch before is on the device. Which samples share a window and
which requests share a batch depends on nothing but the samples, the model and the budget, so after an interruption the
same batches come out, and those that are on disk are skipped: whole windows of them without building a sample.

`work` computes and knows nothing of scores or files; a `Collector` gathers what it computed, from one process or from
several, and scores each sample when its last request is answered. Neither branches on a task or a model.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from evals.errors import InputError, SampleError
from evals.plan import padding, plan
from evals.schema import (
    Batch,
    Classify,
    Embed,
    Image,
    Json,
    Model,
    Part,
    Prediction,
    Predictions,
    Prompt,
    Reader,
    Request,
    Sample,
    Samples,
    Score,
    Task,
)

WINDOW = 1024
"""Samples planned together: enough that batches are even, few enough that memory does not grow with the split."""
_AHEAD = 2
"""Batches staged before the device asks for them."""

Row = dict[str, Json]
T = TypeVar("T")
U = TypeVar("U")


class Answer(NamedTuple):
    """One request answered, on its way from whoever computed it to the record."""

    place: int
    """The sample's place in the split."""
    prediction: Prediction
    seconds: float
    """Its share of the time since the batch before was finished."""
    model_seconds: float
    """Its share of the time inside the model."""


class Ticket(NamedTuple):
    """A batch, as the plan numbers it."""

    window: int
    """Index of the window's first sample."""
    number: int
    """Place of the batch in the window's plan; -1 for the requests that could not be tokenised."""


Claim = Callable[[Ticket, set[str]], bool]
"""Asked before a batch is computed, with the ids of its samples; False leaves it out."""
Emit = Callable[[Ticket, list[Answer]], None]
"""Receives a finished batch."""


@dataclass(frozen=True)
class Window:
    """Consecutive samples, ready to be computed."""

    start: int
    ids: Sequence[str]
    prompts: list[Prompt]
    owners: list[int]
    """The index of each prompt's sample."""
    batches: tuple[Batch, ...]
    failed: list[Answer]
    """Requests that could not even be tokenised."""


def work(samples: Samples, model: Model, *, budget: int, share: bool, done: set[str], claim: Claim, emit: Emit) -> None:
    """Compute every batch that is not done and may be claimed.

    Args:
        samples: the split, already limited.
        model: answers.
        budget: token positions a batch may hold.
        share: compute shared prefixes once.
        done: ids of samples that are on disk.
        claim: asked before a batch is computed.
        emit: receives finished batches.
    """
    starts = [
        start
        for start in range(0, len(samples), WINDOW)
        if not done.issuperset(samples.ids[start : start + WINDOW])
    ]  # fmt: skip
    clock = _Clock()
    with ThreadPoolExecutor(max_workers=2) as background:
        try:
            for window in _ahead(background, lambda start: _window(samples, model, start, budget, share), starts, 1):
                _work_window(model, window, background, claim, emit, clock)
        except BaseException:
            background.shutdown(wait=False, cancel_futures=True)
            raise


def _window(samples: Samples, model: Model, start: int, budget: int, share: bool) -> Window:
    """Build the samples of a window, tokenise their requests, and plan."""
    prompts: list[Prompt] = []
    owners: list[int] = []
    failed: list[Answer] = []
    stop = min(start + WINDOW, len(samples))
    for index in range(start, stop):
        for request in samples[index].requests:
            try:
                prompts.append(model.prepare(request))
                owners.append(index)
            except SampleError as error:
                failed.append(Answer(index, Prediction(request.id, failure=str(error)), 0.0, 0.0))
    batches = plan(prompts, budget, share=share)
    return Window(start, samples.ids[start:stop], prompts, owners, batches, failed)


def _work_window(
    model: Model, window: Window, background: ThreadPoolExecutor, claim: Claim, emit: Emit, clock: _Clock
) -> None:
    """Compute the batches of one window."""
    unready = Ticket(window.start, -1)
    if window.failed and claim(unready, {window.ids[answer.place - window.start] for answer in window.failed}):
        emit(unready, window.failed)

    def claimed() -> Iterator[tuple[Ticket, Batch]]:
        for number, batch in enumerate(window.batches):
            ticket = Ticket(window.start, number)
            if claim(ticket, {window.ids[window.owners[member] - window.start] for member in batch.members}):
                yield ticket, batch

    def stage(ticket_and_batch: tuple[Ticket, Batch]) -> tuple[Ticket, Batch, Any]:
        ticket, batch = ticket_and_batch
        return ticket, batch, model.stage(window.prompts, batch)

    for ticket, batch, staged in _ahead(background, stage, claimed(), _AHEAD):
        with clock:
            predictions = model.run(window.prompts, batch, staged)
        emit(ticket, _answers(window, batch, predictions, *clock.read()))


def _answers(
    window: Window, batch: Batch, predictions: Sequence[Prediction], seconds: float, inside: float
) -> list[Answer]:
    """Divide a batch's costs among its predictions."""
    computed, useful = padding(window.prompts, batch)
    each = len(predictions)
    return [
        Answer(
            window.owners[member],
            replace(prediction, computed_tokens=computed / each, useful_tokens=useful / each),
            seconds / each,
            inside / each,
        )
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


def answers_of(
    samples: Samples, model: Model, *, budget: int, share: bool, advance: Callable[[float], object]
) -> Predictions:
    """Answer all requests of some samples and keep the answers, as for what a task learns from.

    Args:
        samples: all of them are answered.
        model: answers.
        budget: token positions a batch may hold.
        share: compute shared prefixes once.
        advance: told after each batch how many samples were begun.

    Raises:
        InputError: a request could not be answered; says which and why.
    """
    found: dict[str, Prediction] = {}

    def emit(ticket: Ticket, answers: list[Answer]) -> None:
        for answer in answers:
            if answer.prediction.failure is not None:
                raise InputError(f"sample {answer.prediction.id} cannot be learned from: {answer.prediction.failure}")
            found[answer.prediction.id] = answer.prediction
        fresh = {answer.place for answer in answers} - begun
        begun.update(fresh)
        advance(len(fresh))

    begun: set[int] = set()
    work(samples, model, budget=budget, share=share, done=set(), claim=lambda *_: True, emit=emit)
    return {sample.id: [found[request.id] for request in sample.requests] for sample in samples}


class Collector:
    """Turns answers into sample records, each when the last of its sample's requests is answered."""

    def __init__(self, task: Task, samples: Samples, read: Reader | None = None) -> None:
        """Collect for a task, out of these samples; answers are read as they are, or by what the task has learned."""
        self._task = task
        self._samples = samples
        self._read = read
        self._waiting: dict[int, tuple[Sample, dict[str, Answer]]] = {}

    def add(self, answers: Iterable[Answer]) -> list[Row]:
        """Take answers in any order; return the records of the samples that they complete."""
        complete: list[tuple[int, Sample, list[Answer]]] = []
        for answer in answers:
            sample, known = self._waiting.setdefault(answer.place, (self._samples[answer.place], {}))
            known[answer.prediction.id] = answer
            if len(known) == len(sample.requests):
                del self._waiting[answer.place]
                complete.append((answer.place, sample, [known[request.id] for request in sample.requests]))
        readings = {sample.id: self._readings(sample, answers) for _, sample, answers in complete}
        scores = self._scores([sample for _, sample, _ in complete], readings)
        return [
            record(index, sample, answers, readings[sample.id], score)
            for (index, sample, answers), score in zip(complete, scores, strict=True)
        ]

    def _readings(self, sample: Sample, answers: Sequence[Answer]) -> list[Prediction]:
        predictions = [answer.prediction for answer in answers]
        return predictions if self._read is None else [self._read(sample, predictions)]

    def _scores(self, samples: Sequence[Sample], readings: Predictions) -> Sequence[Score | None]:
        return self._task.score(samples, readings) if self._task.per_sample and samples else [None] * len(samples)


def record(
    index: int, sample: Sample, answers: Sequence[Answer], readings: Sequence[Prediction], score: Score | None
) -> Row:
    """Make the record of one sample, as the docstring of `evals.records` shows it.

    Args:
        index: the sample's place in the split.
        sample: what was asked.
        answers: what it cost, a request each.
        readings: what was made of the answers: the same predictions, or one of them all.
        score: what it was worth, where that can be said of the sample alone.
    """
    predictions = [answer.prediction for answer in answers]
    outputs = [reading.output for reading in readings]
    failures = [reading.failure for reading in readings if reading.failure is not None]
    return {
        "id": sample.id,
        "index": index,
        "prompt": question(sample),
        "output": outputs[0] if len(outputs) == 1 else outputs,
        "answer": score.answer if score else None,
        "target": sample.target,
        "values": dict(score.values) if score else {},
        "failed": bool(failures),
        "failure": failures[0] if failures else None,
        "truncated": any(prediction.truncated for prediction in predictions),
        "scores": [reading.scores for reading in readings],
        "cluster": sample.cluster,
        "labels": dict(sample.labels),
        "cost": {
            "prompt_tokens": sum(prediction.prompt_tokens for prediction in predictions),
            "new_tokens": sum(prediction.new_tokens for prediction in predictions),
            "computed_tokens": sum(prediction.computed_tokens for prediction in predictions),
            "useful_tokens": sum(prediction.useful_tokens for prediction in predictions),
            "seconds": sum(answer.seconds for answer in answers),
            "model_seconds": sum(answer.model_seconds for answer in answers),
        },
    }


def question(sample: Sample) -> str:
    """What a sample asks, without what many have in common: the prompt's last text, or all that is classified."""
    asked = [request for request in sample.requests if isinstance(request, Classify | Embed)]
    if asked:
        return "\n".join(part for request in asked for part in request.parts if isinstance(part, str))
    parts = sample.requests[0].parts if sample.requests else ()
    return next((part for part in reversed(parts) if isinstance(part, str)), "")


def limited(samples: Samples, limit: int | None) -> Samples:
    """Keep the first samples of a split. Raises `InputError` when there is nothing to measure."""
    if not len(samples):
        raise InputError("the split has no samples: there is nothing to measure")
    return samples if limit is None else replace(samples, ids=samples.ids[:limit])


def blinded(samples: Samples) -> Samples:
    """Replace every picture by a flat one of its size. Raises `InputError` when there is none to replace."""
    if not any(isinstance(part, Image) for request in samples[0].requests for part in request.parts):
        raise InputError("--blind is for tasks with pictures: this one has none")

    def build(index: int) -> Sample:
        sample = samples.build(index)
        return replace(sample, requests=tuple(_blind_request(request) for request in sample.requests))

    return replace(samples, build=build)


def _blind_request(request: Request) -> Request:
    def blind(part: Part) -> Part:
        return replace(part, blind=True) if isinstance(part, Image) else part

    if isinstance(request, Classify):  # has no pictures
        return request
    return replace(request, parts=tuple(blind(part) for part in request.parts))
