"""Which candidate may exclude which: leaving out one that a rival covers changes neither the choice nor the front."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest
from choice_runs import scored, share, timed

from evals.reports.choices import front
from evals.reports.choices.early import pruning
from evals.reports.choices.requirements import COSTS, Criteria, requirements
from evals.reports.choices.selection import select


def signed(candidate, task):
    value = candidate.quality[task]
    return -value.value if value.higher_is_better is False else value.value


def worse_everywhere(rival, candidate, tasks):
    return all(signed(rival, task) > signed(candidate, task) for task in tasks)


def leaving_out_changes_nothing(selection):
    """Take every candidate away that another one covers and beats; return how many."""
    eligible, tasks = [judged for judged in selection.candidates if not judged.excluded], selection.criteria.tasks
    gone = [
        judged for judged in eligible
        if any(
            pruning.covers(other.candidate, judged.candidate, ())
            and worse_everywhere(other.candidate, judged.candidate, tasks)
            for other in eligible if other is not judged
        )
    ]  # fmt: skip
    kept = [judged for judged in eligible if judged not in gone]
    if not gone:
        return 0
    assert kept, "a chain of rivals ends with one that nothing covers"
    names = {judged.name for judged in gone}
    assert names.isdisjoint(judged.name for judged in selection.best)
    objectives, _ = front.objectives([judged.candidate for judged in kept], selection.criteria)
    if len(kept) > 1:
        assert tuple(objectives) == selection.objectives
    points = [front.point(judged.candidate, selection.objectives) for judged in kept]
    for judged, others in zip(kept, front.dominators(points), strict=True):
        assert judged.on_front == (not others), judged.name
    assert not any(judged.on_front for judged in gone)
    return len(gone)


@pytest.mark.draws(5, 200)
def test_a_candidate_that_is_covered_and_worse_is_neither_chosen_nor_on_the_front(tmp_path, draws):
    rng, taken = random.Random(4), 0
    for draw in range(draws):
        runs, times = [], {}
        for model in "abcd":
            runs.append(scored(tmp_path / f"f{draw}{model}", model, share(rng.choice([10, 20, 30]), 40)))
            times[model] = rng.choice([0.1, 0.2])
        for model in "abcd"[: rng.choice([2, 4, 4])]:
            sessions = {name: [times[model] + 0.001 * k] for k, name in enumerate(("s0", "s1"))}
            runs.append(timed(tmp_path / f"f{draw}{model}t", model, sessions, memory=rng.choice([1e9, 2e9])))
        taken += leaving_out_changes_nothing(
            select(runs, Criteria(("glue/rte",), {}, memory=rng.choice([None, 1.5e9])))
        )
    assert taken > draws / 2


def test_costs_decide_who_may_exclude_whom(tmp_path):
    def candidates(**memory):
        runs = [scored(tmp_path / name, name, share(20 + k, 40)) for k, name in enumerate(memory)]
        runs += [
            timed(tmp_path / f"{name}-t", name, {"s0": [0.1], "s1": [0.1]}, memory=size)
            for name, size in memory.items() if size
        ]  # fmt: skip
        return [judged.candidate for judged in select(runs, Criteria(("glue/rte",), {})).candidates]

    no_limit, limit = (), requirements(Criteria(("glue/rte",), {}, memory=2e9), {})
    three = candidates(a=1e9, b=3e9, c=1e9)
    assert pruning.rivals(three, no_limit, ()) == {"a": ["c"], "b": ["c", "a"], "c": ["a"]}
    assert pruning.rivals(three, limit, ()) == {"a": ["c"], "b": ["c", "a"], "c": ["a"]}
    assert pruning.rivals(three, requirements(Criteria(("glue/rte",), {}, memory=5e8), {}), ())["b"] == []
    assert pruning.rivals(three, no_limit, ("glue/rte",))["c"] == [], "it is the best of what was run in full"
    untimed = candidates(d=1e9, e=0)
    assert pruning.rivals(untimed, no_limit, ()) == {"d": [], "e": []}, "a cost that only one of them has"
    assert {name for candidate in three for name in COSTS if candidate.measured(name)} == {"latency", "memory"}


def test_the_reason_names_who_is_no_better_in_what(monkeypatch):
    stopped = SimpleNamespace(
        decision="first_better", pair=["a", "b"], low=0.01, high=0.2, difference=0.1, used=16, of=300, target=None
    )
    candidate = SimpleNamespace(name="b", quality={}, measured=lambda name: None if name == "price" else 1)
    monkeypatch.setattr(pruning, "stops", lambda candidate: {"glue/rte": stopped})
    assert pruning.reason(candidate, {"glue/rte": "accuracy"}) == (
        "after 16 of 300 samples: a is shown to be better in glue/rte accuracy by 10.0 points (1.0 to 20.0); and b is "
        "no better in latency and peak memory"
    )


def test_a_rival_that_is_excluded_in_the_end_excludes_nothing(monkeypatch):
    def judged(name, entry=None, excluded=()):
        return SimpleNamespace(
            candidate=SimpleNamespace(model=name, entries={"t": entry} if entry else {}), excluded=excluded
        )

    def worse(rival):
        return SimpleNamespace(decision="first_better", pair=[rival, "x"])

    low = SimpleNamespace(decision="below_minimum", pair=[])
    monkeypatch.setattr(pruning, "stops", lambda candidate: candidate.entries)
    monkeypatch.setattr(pruning, "covers", lambda rival, candidate, whole: rival.model != "dear")
    everyone = [
        judged("best"), judged("violates", excluded=("too slow",)), judged("dear"), judged("low", low, ("why",)),
        judged("b", worse("best"), ("why",)), judged("c", worse("b"), ("why",)),
        judged("d", worse("violates"), ("why",)), judged("e", worse("d"), ("why",)),
        judged("f", worse("low"), ("why",)), judged("g", worse("dear"), ("why",)),
        judged("h", worse("gone"), ("why",)),
    ]  # fmt: skip
    selection = SimpleNamespace(candidates=everyone, criteria=SimpleNamespace(tasks=("t",)))
    assert pruning.unjustified(selection) == ["d", "e", "g", "h"]
