"""Runs that share workers: every sample of every run is computed once, whatever dies, and models load rarely."""

from __future__ import annotations

import functools
import random
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.errors import EvalsError, InputError
from evals.execution.executor import whole
from evals.execution.loop import AnsweredRequest
from evals.execution.windows import BatchId
from evals.execution.workers.agreement import WorkerAgreement
from evals.execution.workers.leases import Work
from evals.execution.workers.messages import (
    Acquire,
    Compute,
    Computed,
    Idle,
    Left,
    Loaded,
    NextWindow,
    Open,
    Origin,
    Planned,
    Started,
    Stopped,
)  # fmt: skip
from evals.execution.workers.sharing import shared
from evals.execution.workers.sharing.run_workers import QueuedRun
from evals.execution.workers.sharing.schedule import Candidate, choose
from evals.execution.workers.transport import Died
from evals.records.signature import RemoteModel
from evals.records.types import PlanEntry
from evals.schema import Prediction, Samples

WINDOW = 8
PLAN = PlanEntry(budget=1, share=True, window=WINDOW)


def setup(model, count, place, locate, loaded):
    """Stand for what a real worker would load."""


def behave(device="X"):
    """A worker: takes an order, and yields the messages that follow."""
    messages = [Started()]
    while True:
        order = yield messages
        if isinstance(order, Open):
            model, count = order.setup.args
            if model == "broken":
                yield [Stopped("broken weights", is_bad_input=True)]
            messages = [Loaded(RemoteModel(model, {"device": device}), Origin(""))]
            continue
        assert isinstance(order, Compute)
        messages = [NextWindow()]
        while (lease := (yield messages)) is not None:
            samples = range(lease.start, min(lease.start + WINDOW, count))
            numbers = range(-(-len(samples) // 2))
            messages = [Planned(lease.start, len(numbers))]
            for number in reversed(numbers) if lease.from_end else numbers:
                members = samples[2 * number : 2 * number + 2]
                messages.append(Acquire(BatchId(lease.start, number), set(map(str, members))))
                is_granted = yield messages
                answers = [AnsweredRequest(index, Prediction(str(index)), 0.0, 0.0) for index in members]
                messages = [Computed([BatchId(lease.start, number)], answers, None, 0)] if is_granted else []
            messages += [Left(lease.start), NextWindow()]
        messages = [Idle()]


class PlayedWorkers:
    """Workers that take turns in an order that a seed decides, and some of which die (a `Transport`)."""

    def __init__(self, places, seed, deaths, devices=("X",)):
        self.devices = devices
        self.draw, self.deaths, self.place_count = random.Random(seed), deaths, places
        self.behaviours, self.outboxes, self.places, self.models = {}, {}, [], defaultdict(list)

    def start(self):
        return [self._start(place) for place in range(len(set(self.places)), self.place_count)]

    def _start(self, place):
        number = len(self.places)
        self.places.append(place)
        self.behaviours[number] = behave(self.devices[place % len(self.devices)])
        self.outboxes[number] = list(next(self.behaviours[number]))
        return number

    def restart(self, worker):
        self.end(worker)
        return self._start(self.places[worker])

    def send(self, worker, message):
        if worker in self.behaviours:
            if isinstance(message, Open):
                self.models[worker].append(message.setup.args[0])
                self.events.append(f"opened {self.models[worker][-1]}")
            self.outboxes[worker] += self.behaviours[worker].send(message)

    def receive(self, seconds):
        received = []
        for number in list(self.behaviours):
            if self.deaths and self.draw.random() < 0.02:
                self.deaths -= 1
                self.end(number)
                received.append((number, Died("died")))
            elif self.draw.random() < 0.7:
                count = self.draw.randint(1, 4)
                received += [(number, message) for message in self.outboxes[number][:count]]
                del self.outboxes[number][:count]
        return received

    def end(self, worker):
        self.behaviours.pop(worker, None)

    def close(self):
        self.behaviours.clear()

    def machine(self, worker):
        return ""

    def needs(self):
        return "a place"

    def supply(self, worker, path):
        raise InputError(path)


def executed(transport, runs, *, fail=(), mixed=False):
    """Execute runs (model, number of samples) with played workers; return what was computed, and the errors."""
    computed = {run: Counter() for run in runs}
    transport.listed, transport.events = [], []

    def execute(run, workers):
        model, count = run[:2]
        samples = Samples([str(index) for index in range(count)], str, {})
        finished = set()

        def on_batch(batch_ids, answers):
            if run in fail and finished:
                raise EvalsError("the disk is full")
            computed[run].update(answer.sample_index for answer in answers)
            finished.update(answer.prediction.id for answer in answers)
            transport.events.append(f"computed {model}")

        agreement = WorkerAgreement(Origin(""), kinds=workers.kinds)
        part = functools.partial(setup, model, count)
        with workers.open(part, samples, agreement, on_event=lambda text: None) as pool:
            transport.listed.append(pool.model.facts.get("devices"))
            pool.compute(whole, plan=PLAN, finished_ids=finished, on_batch=on_batch)
            pool.close()

    workers = shared.SharedWorkers(lambda: transport, gathers=mixed)
    errors = workers.execute([QueuedRun(str(run), run[0], functools.partial(execute, run)) for run in runs])
    return computed, errors


@pytest.fixture(autouse=True, scope="module")
def fast():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared, "machine_versions", dict)
        yield


@settings(max_examples=60, deadline=None)
@given(
    places=st.integers(1, 5), seed=st.integers(0, 10**6), deaths=st.integers(0, 3),
    sizes=st.lists(st.tuples(st.sampled_from("ABC"), st.integers(1, 60)), min_size=1, max_size=6, unique=True),
)  # fmt: skip
def test_every_sample_of_every_run_is_computed_in_any_order_of_events(places, seed, deaths, sizes):
    transport = PlayedWorkers(places, seed, deaths)
    computed, errors = executed(transport, sizes)
    for run, error in zip(sizes, errors, strict=True):
        assert set(computed[run]) == set(range(run[1])) or "no worker is left" in str(error)
        assert max(computed[run].values(), default=1) == 1, "what is recorded is recorded once"
    if transport.deaths == deaths:
        assert errors == [None] * len(sizes)
    assert all(len(set(models)) == 1 for models in transport.models.values()), "one model per process"


@settings(max_examples=30, deadline=None)
@given(
    places=st.integers(2, 5), seed=st.integers(0, 10**6), deaths=st.integers(0, 2),
    sizes=st.lists(st.tuples(st.sampled_from("ABC"), st.integers(1, 60)), min_size=2, max_size=5, unique=True),
)  # fmt: skip
def test_runs_on_mixed_gpus_list_all_kinds_however_workers_come_and_die(places, seed, deaths, sizes):
    transport = PlayedWorkers(places, seed, deaths, devices=("A100", "H100"))
    computed, errors = executed(transport, sizes, mixed=True)
    for run, error in zip(sizes, errors, strict=True):
        assert set(computed[run]) == set(range(run[1])) or error is not None
        assert max(computed[run].values(), default=1) == 1
    if transport.deaths == deaths:
        assert errors == [None] * len(sizes)
        assert transport.listed == [["A100", "H100"]] * len(sizes)


def test_a_model_loads_on_mixed_gpus_while_the_run_before_is_completed():
    overlaps = 0
    for seed in range(20):
        transport = PlayedWorkers(4, seed, 0, devices=("A100", "H100"))
        executed(transport, [("A", 10), ("B", 60)], mixed=True)
        last = max(at for at, event in enumerate(transport.events) if event == "computed A")
        assert "computed B" not in transport.events[:last], "its kinds of GPU are not known yet"
        overlaps += "opened B" in transport.events[:last]
    assert overlaps


def test_a_run_that_fails_stops_no_other():
    runs = [("A", 50), ("broken", 50), ("B", 50), ("B", 30)]
    computed, errors = executed(PlayedWorkers(2, 0, 0), runs, fail={("A", 50)})
    assert [str(error) for error in errors] == ["the disk is full", "broken weights", "None", "None"]
    assert [len(computed[run]) for run in runs[2:]] == [50, 30]


def test_as_many_models_as_workers_are_loaded_once_and_one_for_the_tail():
    transport = PlayedWorkers(2, 1, 0)
    executed(transport, [("A", 40), ("A", 41), ("A", 42), ("B", 43), ("B", 44), ("B", 45)])
    processes = Counter(models[0] for models in transport.models.values())
    assert processes.total() <= 4
    assert all(count <= 2 for count in processes.values())


def test_an_error_that_is_no_failure_of_a_run_ends_all():
    def execute(workers):
        raise ZeroDivisionError

    transport = PlayedWorkers(1, 0, 0)
    with pytest.raises(ZeroDivisionError):
        shared.SharedWorkers(lambda: transport).execute([QueuedRun("x", "A", execute)])
    assert not transport.behaviours


def test_without_room_for_a_worker_the_command_ends():
    with pytest.raises(EvalsError, match="no machine has room"):
        executed(PlayedWorkers(0, 0, 0), [("A", 5)])


work = st.builds(
    Work, windows=st.integers(0, 3), can_join=st.booleans(), seconds=st.sampled_from([0.0, 10.0, float("inf")])
)
candidate = st.builds(
    Candidate, model=st.sampled_from("ABC"), workers=st.integers(0, 3), work=st.none() | work,
    load_seconds=st.sampled_from([0.0, 5.0, 50.0]),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(loaded=st.none() | st.sampled_from("ABC"), candidates=st.lists(candidate, max_size=6), may_begin=st.booleans())
def test_a_worker_waits_only_if_nothing_is_worth_its_time(loaded, candidates, may_begin):
    chosen = choose(loaded, candidates, may_begin=may_begin)
    useful = [
        run for run in candidates
        if (run.work is None and may_begin)
        or (run.work is not None and run.work.any and (
            not run.workers or run.model == loaded or run.work.seconds > run.load_seconds))
    ]  # fmt: skip
    if chosen is None:
        assert not useful
        return
    assert candidates[chosen] in useful
    same = [run for run in useful if run.model == loaded and (run.work is None or run.work.windows)]
    if same and all(run.workers for run in useful if run.work is not None):
        assert candidates[chosen].model == loaded, "a worker stays with its model"
