"""Several runs that share the workers of one command.

Each run is driven as if it were alone, by a `Pool` of its own; what it computes and writes does not depend on the
others. `SharedWorkers` has the only transport. It gives each run some of the workers, passes their messages on, and
moves a worker to another run when its run has nothing left for it (`schedule`). A worker that is to load another model
is replaced by a new one at the same place, so that nothing of the first model stays in its memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

from evals.errors import EvalsError, InputError
from evals.execution import progress
from evals.execution.workers import pool
from evals.execution.workers.agreement import DeviceKinds, check_versions, machine_versions
from evals.execution.workers.messages import Acquire, Computed, FromWorker, Idle, Loaded, NextWindow, Started, Stopped
from evals.execution.workers.patience import PlaceVigil
from evals.execution.workers.sharing import schedule
from evals.execution.workers.sharing.run_workers import QueuedRun, RunWorkers
from evals.execution.workers.transport import Died, Joined, Transport, named

_LISTEN = 1.0
"""Seconds after which the driver looks up, if no message comes."""
_LOOK = 3.0
"""Seconds between two looks for machines that have joined."""
_WIND_DOWN = 60.0
"""Seconds in which a worker of a run that is complete has to stop asking for more of it; else it is replaced."""
_TOGETHER = 8
"""Number of runs that go on at the same time, if they have many samples: the driver holds the data of all of them."""
_FEW_SAMPLES = 200_000
"""Number of samples of all runs that go on, below which another one may begin anyway."""
_FAILED_MODELS = 3
"""Number of models that may kill a worker at one place in a row; after that the place is not used any more."""


@dataclass(eq=False)
class _Place:
    """A GPU, a part of a machine or a whole one, where one worker at a time computes."""

    worker: int
    """The number of the last worker."""
    needs_worker: bool = False
    refused: set[Hashable] = field(default_factory=set)
    """Models and runs at which a worker died here."""
    failed: set[Hashable] = field(default_factory=set)
    """Models at which a worker died here, since the last batch that was computed."""
    is_closed: bool = False
    """Whether no worker is started here any more."""


@dataclass(eq=False)
class _SharedWorker:
    """One worker, as the driver of all runs sees it."""

    number: int
    place: _Place
    run: RunWorkers | None = None
    """The run that it computes; None while it has none."""
    model: Hashable | None = None
    """The model that it has loaded, or is loading."""
    has_started: bool = False
    is_loaded: bool = False
    is_stopped: bool = False
    since: float = 0.0
    """When it got its model to load."""
    winds_down: float | None = None
    """When its run was completed without it having noticed yet."""
    left: set[RunWorkers] = field(default_factory=set)
    """The runs that had nothing left for it."""


class SharedWorkers:
    """The workers of several runs."""

    def __init__(
        self,
        connect: Callable[[], Transport],
        *,
        gathers: bool = False,
        on_event: Callable[[str], object] = lambda text: None,
    ) -> None:
        """Start nothing yet.

        Args:
            connect: reaches the workers.
            gathers: whether each run must know all workers before it computes, since their GPUs differ; then it waits
                until the run before it needs none of them, and they load its model meanwhile.
            on_event: called with one line about what happens to runs and workers.
        """
        self._connect = connect
        self._on_event = on_event
        self._runs: list[RunWorkers] = []
        self._workers: dict[int, _SharedWorker] = {}
        self._places: list[_Place] = []
        self._versions = machine_versions()
        self._next_look = 0.0
        self._load_seconds: dict[Hashable, float] = {}
        self.gathers = gathers
        self.kinds = DeviceKinds(mixed=gathers)
        self.transport: Transport
        self._place_vigil: PlaceVigil

    def execute(self, queue: Sequence[QueuedRun]) -> list[EvalsError | None]:
        """Execute runs; one that fails stops no other.

        Args:
            queue: the runs, in the order in which they should begin.

        Returns:
            For each run why it failed, or None.

        Raises:
            InputError: a worker cannot be started, or the machines differ.
            EvalsError: no machine has room for a worker.
        """
        self._runs = [RunWorkers(self, queued) for queued in queue]
        self.transport = self._connect()
        self._place_vigil = PlaceVigil(pool.PATIENCE, self.transport.needs, progress.note)
        try:
            self._look()
            if not self._places:
                raise EvalsError("no worker could be started: no machine has room for one")
            self._resume(self._runs[0])  # reads its data while the workers start
            while not all(run.turn.has_ended for run in self._runs):
                self._look()
                self._assign()
                self._listen()
                for run in self._runs:
                    if run.is_due():
                        self._resume(run)
        finally:
            for run in self._runs:
                run.turn.cancel()
            self.transport.close()
        return [run.failure() for run in self._runs]

    def starts(self) -> bool:
        """Whether a worker has not started yet."""
        return any(not worker.has_started for worker in self._workers.values())

    def has_more(self, run: RunWorkers) -> bool:
        """See `Lender.has_more`."""
        others = [worker for worker in self._workers.values() if worker.run is not run]
        return any(worker.has_started and not worker.is_stopped and self._fits(worker.place, run) for worker in others)

    def lose(self, number: int, *, refused: bool = True) -> None:
        """End a worker of a run, and start another one at its place."""
        worker = self._workers.pop(number, None)
        if worker is not None:
            self.transport.end(number)
            if refused:
                self._refuse(worker)
            worker.place.needs_worker = True

    def take_back(self, number: int, *, is_busy: bool) -> None:
        """See `Lender.take_back`."""
        worker = self._workers.get(number)
        if worker is not None:
            worker.run, worker.winds_down = None, time.monotonic() if is_busy else None
            if not worker.is_loaded and not is_busy:
                worker.model = None

    def wind_down(self, number: int, message: object) -> None:
        """Answer a worker whose run is complete, until it has nothing more to ask."""
        worker = self._workers.get(number)
        if worker is None or worker.winds_down is None:
            return
        match message:
            case NextWindow():
                self.transport.send(number, None)
            case Acquire():
                self.transport.send(number, False)
            case Idle() | Loaded():
                worker.winds_down = None

    def _resume(self, run: RunWorkers) -> None:
        """Let a run go on. When it ends, take its workers; if it failed, replace them, since they may be busy."""
        run.turn.resume()
        if not run.turn.has_ended:
            return
        run.close()
        for number in run.last_workers if run.turn.error is not None else ():
            if number in self._workers and self._workers[number].winds_down is not None:
                self.lose(number, refused=False)
        ended = sum(other.turn.has_ended for other in self._runs)
        how = "has failed" if run.turn.error is not None else "is done"
        self._on_event(f"{run.name} {how} ({ended} of {len(self._runs)} runs)")

    def _look(self) -> None:
        """Start workers on machines that have joined, and at places whose worker has ended."""
        for place in self._places:
            if place.needs_worker:
                place.needs_worker = False
                number = None if place.is_closed else self.transport.restart(place.worker)
                if number is None:
                    place.is_closed = True
                else:
                    self._add(number, place)
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _LOOK
            for number in self.transport.start():
                place = _Place(number)
                self._places.append(place)
                self._add(number, place)

    def _add(self, number: int, place: _Place) -> _SharedWorker:
        place.worker = number
        self._workers[number] = worker = _SharedWorker(number, place)
        return worker

    def _assign(self) -> None:
        """Give each worker that has nothing to do to a run that needs it."""
        for worker in list(self._workers.values()):
            if self._is_free(worker) and (run := self._chosen(worker)) is not None:
                self._give(worker, run)
        for run in self._runs:
            if not run.workers and not run.turn.has_ended:
                run.is_starved = not any(self._fits(place, run) for place in self._places if not place.is_closed)
                if run.is_starved and not run.turn.has_begun:
                    self._resume(run)

    def _is_free(self, worker: _SharedWorker) -> bool:
        """Whether a worker has nothing to compute."""
        if not worker.has_started or worker.is_stopped or worker.winds_down is not None:
            return False
        return worker.run is None or worker.number in worker.run.unoccupied()

    def _chosen(self, worker: _SharedWorker) -> RunWorkers | None:
        """Choose the next run of a worker."""
        runs = [run for run in self._runs if not run.turn.has_ended]
        going_on = [run for run in runs if run.turn.has_begun]
        samples = sum(run.sample_count for run in going_on)
        may_begin = len(going_on) < _TOGETHER or samples < _FEW_SAMPLES
        if self.gathers:
            may_begin = len(going_on) < 2 and not any(run.is_opening for run in going_on)
        candidates = [
            schedule.Candidate(run.model, len(run.workers), run.work(), self._load_seconds.get(run.model, 0.0))
            for run in runs
        ]
        refused = {
            at for at, run in enumerate(runs)
            if run is worker.run or not self._fits(worker.place, run)
            or (run in worker.left and run.workers and not _has_windows(candidates[at]))
        }  # fmt: skip
        chosen = schedule.choose(
            worker.model if worker.is_loaded else None, candidates, may_begin=may_begin, refused=refused
        )
        return None if chosen is None else runs[chosen]

    def _fits(self, place: _Place, run: RunWorkers) -> bool:
        return run not in place.refused and run.model not in place.refused

    def _give(self, worker: _SharedWorker, run: RunWorkers) -> None:
        """Give a worker to a run; one that has loaded another model is replaced."""
        if worker.run is not None:
            worker.run.give_up(worker.number)
            worker.left.add(worker.run)
        if worker.model is not None and worker.model != run.model:
            place = worker.place
            del self._workers[worker.number]
            number = self.transport.restart(worker.number)
            if number is None:
                place.is_closed = True
                return
            worker = self._add(number, place)
        worker.run, worker.model, worker.since = run, run.model, time.monotonic()
        run.join(worker.number, has_started=worker.has_started)
        if not run.turn.has_begun:
            self._resume(run)

    def _listen(self) -> None:
        """Take the messages of all workers, and pass them on."""
        is_busy = any(run.is_due() for run in self._runs)
        if not self._workers and not is_busy and not any(place.needs_worker for place in self._places):
            time.sleep(_LISTEN)
        began = time.monotonic()
        received = self.transport.receive(0.0 if is_busy else _LISTEN)
        waited = min(time.monotonic() - began, _LISTEN)
        for number, message in received:
            worker = self._workers.get(number)
            if worker is not None:
                self._take(worker, message)
        if self._workers:
            self._place_vigil.look(any(worker.has_started for worker in self._workers.values()), waited)
        now = time.monotonic()
        for worker in list(self._workers.values()):
            if worker.winds_down is not None and now - worker.winds_down > _WIND_DOWN:
                self.lose(worker.number, refused=False)

    def _take(self, worker: _SharedWorker, message: FromWorker | Died | Joined) -> None:
        """Note what a message means for all runs, and pass it on to the worker's run."""
        match message:
            case Started():
                worker.has_started = True
                if not self._is_equal(worker, message):
                    return
            case Loaded():
                worker.is_loaded = True
                self._load_seconds.setdefault(worker.model, time.monotonic() - worker.since)
            case Computed():
                worker.place.failed.clear()
            case Stopped():
                worker.is_stopped = True
            case Died():
                del self._workers[worker.number]
                worker.place.needs_worker = True
                if not worker.is_stopped:
                    self._refuse(worker)
        if worker.run is not None:
            worker.run.inbox.append((worker.number, message))
        else:
            self.wind_down(worker.number, message)

    def _is_equal(self, worker: _SharedWorker, started: Started) -> bool:
        """Compare a worker's versions with the driver's; one that joins later is left out if they differ."""
        name = named(worker.number, self.transport.machine(worker.number))
        try:
            if started.versions:
                check_versions(name, self._versions, started.versions)
        except InputError as error:
            if not any(run.sample_count for run in self._runs):
                raise
            self._on_event(f"{name} is not used: {error}")
            worker.place.is_closed = True
            if worker.run is not None:
                worker.run.inbox.append((worker.number, Died(f"is not used: {error}")))
            self.lose(worker.number, refused=False)
            return False
        return True

    def _refuse(self, worker: _SharedWorker) -> None:
        """Do not compute at a place again what ended a worker there."""
        place = worker.place
        place.failed.add(worker.model)
        place.refused.add(worker.run if worker.is_loaded else worker.model)
        place.is_closed = len(place.failed) >= _FAILED_MODELS


def _has_windows(candidate: schedule.Candidate) -> bool:
    return candidate.work is not None and candidate.work.windows > 0
