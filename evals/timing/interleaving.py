"""Time several models that alternate: one fresh process per model, and one request at a time among all of them.

    for each process number: start one process per model; each warms up while the others wait
        for each repetition and kind of request: every model in turn, in an order that changes
        write the measurements

The models alternate, so the ratio of their speeds does not include machine drift. A single model is timed the same way.
The measurements of a session are written when it ends; an interrupted run repeats only the unfinished session.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from msgspec.structs import replace

from evals.execution.collector import Collector
from evals.execution.inputs import SplitInput, prefixes_of
from evals.execution.loop import AnsweredRequest
from evals.execution.resolve import Resolved
from evals.records import signature
from evals.records.folder import RunFolder
from evals.records.types import Manifest, PlanEntry, SampleRecord
from evals.schema import Generate, Json, Options, Prediction, Sample, Samples, Task
from evals.timing.arrivals import Load
from evals.timing.load_replay import LoadReplay
from evals.timing.stopwatch import ModelSource, TimingProcess

WARM_UP_REQUESTS = 3
"""Number of requests that are computed before a replay, untimed: one of each kind, then the first ones."""

_IndexedSample = tuple[int, Sample]
"""The index of a sample in the split, and the sample."""


@dataclass(frozen=True)
class TimedModel:
    """A model to be timed."""

    source: ModelSource
    samples: Samples
    """The repetitions to time with this model."""
    resolved: Resolved
    """The family, checkpoint and abilities of the model."""
    options: Options
    """The options of the task."""

    @property
    def name(self) -> str:
        """The name that the user gave."""
        return self.source.model


def order(names: Sequence[str], repetition: int) -> list[str]:
    """Return the order of the models in a repetition: each is first equally often, with changing neighbours.

    Example:
        >>> [" ".join(order("abc", repetition)) for repetition in range(5)]
        ['a b c', 'b c a', 'c a b', 'c b a', 'a c b']
    """
    start = repetition % len(names)
    rotated = [*names[start:], *names[:start]]
    return rotated[::-1] if repetition // len(names) % 2 else rotated


def processes(models: Sequence[TimedModel]) -> list[str]:
    """Return the process numbers of all samples, in order."""
    return list(dict.fromkeys(sample.cluster for model in models for sample in model.samples))


class Session:
    """One fresh process per model; a context manager."""

    def __init__(self, models: Sequence[TimedModel]) -> None:
        """Prepare a session; the processes start when it is entered."""
        self.id = secrets.token_hex(6)
        self._models = models
        self._timers: dict[str, TimingProcess] = {}
        self.facts: dict[str, Mapping[str, Json]] = {}
        """By model name: the facts that determine the answers and times of the model."""

    def __enter__(self) -> Session:
        """Start the processes and wait until all models are loaded. Raises `InputError` if one cannot be loaded."""
        with ExitStack() as stack:
            for model in self._models:
                self._timers[model.name] = TimingProcess(model.source)
                stack.callback(self._timers[model.name].close)
            self.facts = {name: timer.ready() for name, timer in self._timers.items()}
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes."""
        self._stack.close()

    def time(self, process: str, advance: Callable[[], object]) -> dict[str, list[AnsweredRequest]]:
        """Warm up each model, then time all samples of a process, with the models alternating.

        Args:
            process: a process number, which is the cluster of its samples.
            advance: called after each sample.

        Returns:
            The answers of each model, by model name.
        """
        samples_by_model = {model.name: _of(model.samples, process) for model in self._models}
        inputs: dict[str, dict[object, SplitInput | None]] = {}
        for name, samples in samples_by_model.items():
            kinds = {_request(sample).parts: _request(sample) for _, sample in samples}
            inputs[name] = dict(zip(kinds, self._timers[name].warm_up(list(kinds.values())), strict=True))
        answers: dict[str, list[AnsweredRequest]] = {name: [] for name in samples_by_model}
        for repetition, turn in _turns(samples_by_model):
            for name in order(list(turn), repetition):
                index, sample = turn[name]
                prediction = self._timers[name].time(_request(sample))
                answers[name].append(_answer(index, prediction, inputs[name][_request(sample).parts]))
                advance()
        return answers

    def replay(self, process: str, load: Load) -> list[AnsweredRequest]:
        """Warm up the only model, then replay the requests of a process as they arrive under a load.

        Args:
            process: the number of the replay, which is the cluster of its samples.
            load: when they arrive.
        """
        (model,) = self._models
        samples = _of(model.samples, process)
        requests = tuple(_request(sample) for _, sample in samples)
        timer = self._timers[model.name]
        kinds = {sample.labels["kind"]: _request(sample) for _, sample in samples}
        timer.warm_up([_unmeasured(request) for request in (*kinds.values(), *requests)][:WARM_UP_REQUESTS])
        times = tuple(load.times(process, len(requests)))
        predictions = timer.replay(LoadReplay(requests, times, load.rate, load.batch))
        return [_answer(index, prediction, None) for (index, _), prediction in zip(samples, predictions, strict=True)]


@dataclass(frozen=True)
class TimingRun:
    """The models of a timed run, and the run folders that their measurements are written to."""

    task: Task
    models: Sequence[TimedModel]
    runs: Sequence[RunFolder]
    advance: Callable[[float], object]
    load: Load | None = None
    """When requests arrive, under a request rate; there is one model then."""

    def missing(self) -> list[str]:
        """Return the process numbers with unfinished samples, in order; advances the progress by the finished ones."""
        unfinished = []
        for number in processes(self.models):
            ids_by_run = [_ids(model, number) for model in self.models]
            if all(ids <= run.finished_ids for ids, run in zip(ids_by_run, self.runs, strict=True)):
                self.advance(sum(map(len, ids_by_run)))
            else:
                unfinished.append(number)
        return unfinished

    def time(self, session: Session, number: str) -> None:
        """Time one process of each model, and write its measurements to the run folders."""
        load = self.load
        if load is None:
            answers = session.time(number, lambda: self.advance(1))
        else:
            (model,) = self.models
            answers = {model.name: session.replay(number, load)}
            self.advance(len(answers[model.name]))
        for run, model in zip(self.runs, self.models, strict=True):
            rows = sample_rows(self.task, model, session, answers[model.name])
            prefixes = prefixes_of([answer.model_input for answer in answers[model.name]])
            run.append([row for row in rows if row.id not in run.finished_ids], prefixes)


def manifest(task: Task, model: TimedModel, models: Sequence[TimedModel], session: Session, command: str) -> Manifest:
    """Make the manifest of one model's run. It names all alternating models, since they influence the times."""
    plan = PlanEntry(budget=None, share=False, window=1, interleaved=[model.name for model in models])
    elsewhere = signature.RemoteModel(model.name, session.facts[model.name], model.resolved.family.load)
    return signature.build_manifest(
        task, model.options, model.samples, elsewhere, replica=model.resolved.replica, plan=plan, command=command
    )


def sample_rows(
    task: Task, model: TimedModel, session: Session, answers: Sequence[AnsweredRequest]
) -> list[SampleRecord]:
    """Make the sample rows of a model. Their cluster is the session, within which models can be compared."""
    return [replace(row, cluster=session.id) for row in Collector(task, model.samples).add(answers)]


def peak_bytes(rows: Iterable[SampleRecord]) -> int | None:
    """Return the peak memory over all processes of a model, in bytes; None if it was not measured."""
    peaks = [row.output["peak bytes"] for row in rows if "peak bytes" in (row.output or {})]
    return max(peaks, default=None)


def _unmeasured(request: Generate) -> Generate:
    """Change the start of a request's text: a server that has answered it has nothing of the replay in its cache."""
    *media, text = request.parts
    return dataclasses.replace(request, parts=(*media, f"Warm-up. {text}"))


def _request(sample: Sample) -> Generate:
    """Return the single request of a sample, which generates text."""
    (request,) = sample.requests
    assert isinstance(request, Generate)
    return request


def _ids(model: TimedModel, process: str) -> set[str]:
    return {sample.id for sample in model.samples if sample.cluster == process}


def _of(samples: Samples, process: str) -> list[_IndexedSample]:
    return [(index, sample) for index, sample in enumerate(samples) if sample.cluster == process]


def _turns(samples_by_model: Mapping[str, Sequence[_IndexedSample]]) -> Iterator[tuple[int, dict[str, _IndexedSample]]]:
    """Yield the repetition number of the next request, from 0, and its sample for each model that can read it."""
    by_id = {
        name: {sample.id: (index, sample) for index, sample in samples} for name, samples in samples_by_model.items()
    }
    ids = dict.fromkeys(id for samples in sorted(by_id.values(), key=len, reverse=True) for id in samples)
    repetitions: Counter[object] = Counter()
    for id in ids:
        turn = {name: samples[id] for name, samples in by_id.items() if id in samples}
        _, sample = next(iter(turn.values()))
        yield repetitions[_request(sample).parts], turn
        repetitions[_request(sample).parts] += 1


def _answer(index: int, prediction: Prediction, model_input: SplitInput | None) -> AnsweredRequest:
    output = prediction.output or {}
    seconds = output["end"] - output["start"] if "arrival" in output else output.get("seconds", 0.0)
    return AnsweredRequest(index, prediction, seconds, seconds, model_input)
