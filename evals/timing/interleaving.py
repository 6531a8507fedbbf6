"""Timing several models in turn: fresh processes that run side by side, one request at a time among all of them.

    for each process number: start one process a model; each warms up while the others wait
        for each repetition and kind of request: every model in turn, in an order that changes
        write what was timed

So whatever the machine does, it does to all of them, and the ratio of two of them is theirs. A single model goes the
same way alone. What a session of processes has timed goes to the disk when it ends: a run that was interrupted repeats
the session that was under way, and only that.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from evals.execution.collector import Collector
from evals.execution.loop import AnsweredRequest, Row
from evals.execution.resolve import Resolved
from evals.records import signature
from evals.records.folder import RunFolder
from evals.schema import Generate, Json, Options, Prediction, Sample, Samples, Task
from evals.timing.stopwatch import ModelSource, TimingProcess

_Place = tuple[int, Sample]
"""A sample and its place in the split."""


@dataclass(frozen=True)
class TimedModel:
    """A model that is timed."""

    source: ModelSource
    samples: Samples
    """The repetitions that it takes part in."""
    resolved: Resolved
    """What it is."""
    options: Options
    """What the user chose about the task."""

    @property
    def name(self) -> str:
        """What the user called it."""
        return self.source.model


def order(names: Sequence[str], repetition: int) -> list[str]:
    """Give the order in which models take their turns: each is first equally often, and not always after the same.

    Example:
        >>> [" ".join(order("abc", repetition)) for repetition in range(5)]
        ['a b c', 'b c a', 'c a b', 'c b a', 'a c b']
    """
    start = repetition % len(names)
    turned = [*names[start:], *names[:start]]
    return turned[::-1] if repetition // len(names) % 2 else turned


def processes(entrants: Sequence[TimedModel]) -> list[str]:
    """Name the processes of the samples, in order."""
    return list(dict.fromkeys(sample.cluster for entrant in entrants for sample in entrant.samples))


class Session:
    """One fresh process for each model, side by side; a context manager."""

    def __init__(self, entrants: Sequence[TimedModel]) -> None:
        """Name the models; nothing is started before entering."""
        self.id = secrets.token_hex(6)
        self._entrants = entrants
        self._timers: dict[str, TimingProcess] = {}
        self.facts: dict[str, Mapping[str, Json]] = {}
        """What determines each model's answers and times, by its name."""

    def __enter__(self) -> Session:
        """Start all, and wait until all are loaded. Raises `InputError` where one cannot be."""
        with ExitStack() as stack:
            for entrant in self._entrants:
                self._timers[entrant.name] = TimingProcess(entrant.source)
                stack.callback(self._timers[entrant.name].close)
            self.facts = {name: timer.ready() for name, timer in self._timers.items()}
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes."""
        self._stack.close()

    def time(self, process: str, advance: Callable[[], object]) -> dict[str, list[AnsweredRequest]]:
        """Have each model warm up, and then time all samples of a process, the models in turn.

        Args:
            process: the number of a process, which is its samples' cluster.
            advance: told after each sample.

        Returns:
            Each model's answers.
        """
        own = {entrant.name: _of(entrant.samples, process) for entrant in self._entrants}
        for name, rounds in own.items():
            kinds = {_request(sample).parts: _request(sample) for _, sample in rounds}
            self._timers[name].warm_up(list(kinds.values()))
        found: dict[str, list[AnsweredRequest]] = {name: [] for name in own}
        for repetition, turn in _turns(own):
            for name in order(list(turn), repetition):
                place, sample = turn[name]
                prediction = self._timers[name].time(_request(sample))
                found[name].append(_answer(place, prediction))
                advance()
        return found


@dataclass(frozen=True)
class TimingRun:
    """Models that are timed, and where their runs are kept."""

    task: Task
    entrants: Sequence[TimedModel]
    runs: Sequence[RunFolder]
    advance: Callable[[float], object]

    def missing(self) -> list[str]:
        """The processes whose samples are not all on the disk, in order; counts the others as done."""
        found = []
        for number in processes(self.entrants):
            own = [_ids(entrant, number) for entrant in self.entrants]
            if all(ids <= run.done for ids, run in zip(own, self.runs, strict=True)):
                self.advance(sum(map(len, own)))
            else:
                found.append(number)
        return found

    def time(self, session: Session, number: str) -> None:
        """Time a process of each model, and keep what came of it."""
        answers = session.time(number, lambda: self.advance(1))
        for run, entrant in zip(self.runs, self.entrants, strict=True):
            rows = sample_rows(self.task, entrant, session, answers[entrant.name])
            run.append([row for row in rows if row["id"] not in run.done])


def manifest(
    task: Task, entrant: TimedModel, entrants: Sequence[TimedModel], session: Session, command: str
) -> dict[str, Json]:
    """Sign the run of one of the models; who took turns determines the times, so it belongs to the identity."""
    plan = {"budget": None, "share": False, "window": 1, "interleaved": [each.name for each in entrants]}
    model = signature.Elsewhere(entrant.name, session.facts[entrant.name], entrant.resolved.family.load)
    return signature.sign(
        task, entrant.options, entrant.samples, model, replica=entrant.resolved.replica, plan=plan, command=command
    )


def sample_rows(task: Task, entrant: TimedModel, session: Session, answers: Sequence[AnsweredRequest]) -> list[Row]:
    """Make the records of what a model was timed at; their cluster is the session, within which models compare."""
    return [{**row, "cluster": session.id} for row in Collector(task, entrant.samples).add(answers)]


def peak_bytes(rows: Iterable[Mapping[str, Json]]) -> int | None:
    """The most memory that any of a model's processes held; None where none tells."""
    told = [row["output"]["peak bytes"] for row in rows if "peak bytes" in (row["output"] or {})]
    return max(told, default=None)


def _request(sample: Sample) -> Generate:
    """What is timed of a sample: one text to be written."""
    (request,) = sample.requests
    assert isinstance(request, Generate)
    return request


def _ids(entrant: TimedModel, process: str) -> set[str]:
    return {sample.id for sample in entrant.samples if sample.cluster == process}


def _of(samples: Samples, process: str) -> list[_Place]:
    return [(place, sample) for place, sample in enumerate(samples) if sample.cluster == process]


def _turns(own: Mapping[str, Sequence[_Place]]) -> Iterator[tuple[int, dict[str, _Place]]]:
    """Yield what is timed next, of each model that takes part in it, and how often that kind of request came before."""
    by_id = {name: {sample.id: (place, sample) for place, sample in rounds} for name, rounds in own.items()}
    ids = dict.fromkeys(id for rounds in sorted(by_id.values(), key=len, reverse=True) for id in rounds)
    seen: Counter[object] = Counter()
    for id in ids:
        turn = {name: rounds[id] for name, rounds in by_id.items() if id in rounds}
        _, sample = next(iter(turn.values()))
        yield seen[_request(sample).parts], turn
        seen[_request(sample).parts] += 1


def _answer(place: int, prediction: Prediction) -> AnsweredRequest:
    seconds = prediction.output["seconds"] if prediction.output else 0.0
    return AnsweredRequest(place, prediction, seconds, seconds)
