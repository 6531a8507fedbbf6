"""What every selection keeps to: the order of runs decides nothing, and every reason is true."""

from __future__ import annotations

import random

import pytest
from choice_runs import scored, share, timed

from evals.comparison import compare
from evals.reports.choices import amounts, comparable, guides
from evals.reports.choices.advice import hold
from evals.reports.choices.comparable import Identity
from evals.reports.choices.report import SelectionReport, render
from evals.reports.choices.requirements import COSTS, Criteria
from evals.reports.choices.selection import select

TASKS = ("glue/rte", "glue/wnli")
PUBLIC = {"replica": False, "checkpoint": "hub/x"}
GUIDE = """
guide: {id: mine, title: Mine, systems: {a: a, b: b}}
advice:
- {id: G-1, quote: q, says: s, choose: a, tasks: [glue/rte], prefer: [quality]}
- {id: G-2, quote: q, says: s, choose: b, tasks: [glue/rte], prefer: [quality]}
- {id: G-3, quote: q, says: s, choose: a, tasks: [glue/rte, glue/wnli], prefer: [quality, latency, memory, price]}
- {id: G-4, quote: q, says: s, choose: b, tasks: [glue/rte], memory: {at-most: 2GB}}
"""


def drawn_runs(rng, folder):
    """Write runs of models that share names, in several protocols, scales, settings and currencies; and timings."""
    runs, session = [], 0
    for model in ("a", "b", "c")[: rng.randint(1, 3)]:
        for copy in range(rng.randint(1, 2)):
            facts = rng.choice([{}, {"digest": "w2"}, {"dtype": "bf16"}])
            server = {"family": "endpoint"} if rng.random() < 0.2 else {}
            scale, started = rng.choice(["mini", "mini", "full"]), rng.choice(["", "2026-11-01", "2026-11-02"])
            thinking = {"generation": {"thinking": "on"}} if rng.random() < 0.2 else {}
            for task in TASKS[: rng.randint(1, 2)]:
                values = share(rng.choice([10, 20, 20, 20, 38]), 40)
                paid = {"cost": [0.001 * rng.choice([1, 2])] * 40, "currency": rng.choice(["eur", "usd"])}
                runs.append(scored(
                    folder / f"{model}{copy}{task[-4:]}", model, values, task=task, scale=scale, started=started,
                    facts=facts | server | (PUBLIC if scale == "full" else {}), shots=rng.choice([None, None, None, 5]),
                    failed=rng.choice([0, 0, 20, 40]), **thinking, **(paid if server else {}),
                ))  # fmt: skip
    for number in range(rng.randint(0, 3)):
        session += rng.random() < 0.5
        together = {f"s{session}": [rng.choice([0.1, 0.2])], f"t{session}": [rng.choice([0.11, 0.21])]}
        model, memory = rng.choice("abc"), rng.choice([1e9, 3e9])
        runs.append(timed(folder / f"t{number}", model, together, memory=memory, scale=rng.choice(["mini", "full"])))
    return runs


def criteria(rng):
    return Criteria(
        TASKS[: rng.randint(1, 2)], {TASKS[0]: 40.0} if rng.random() < 0.5 else {},
        memory=2e9 if rng.random() < 0.5 else None, latency=0.3 if rng.random() < 0.3 else None,
        price=amounts.price("1.5EUR/1000") if rng.random() < 0.2 else None,
        hourly=amounts.money("2EUR") if rng.random() < 0.5 else None,
    )  # fmt: skip


def selections(draws, tmp_path):
    """Yield a generator of random numbers, the runs and a selection of them, as far as one can be made."""
    rng = random.Random(23)
    for draw in range(draws):
        runs = drawn_runs(rng, tmp_path / str(draw))
        wanted = criteria(rng)
        if any(not by_model for by_model in comparable.sort(runs, wanted.tasks).quality.values()):
            continue
        yield rng, runs, select(runs, wanted)


@pytest.mark.draws(12, 300)
def test_every_selection_keeps_its_invariants(tmp_path, draws):
    seen = 0
    for rng, runs, selection in selections(draws, tmp_path):
        seen += 1
        order_decides_nothing(rng, runs, selection)
        no_run_is_lost(runs, selection)
        exclusions_have_true_reasons(selection)
        runs_that_are_set_apart_differ(runs, selection)
        the_best_is_the_best(selection)
        what_is_compared_is_paired(selection)
        memory_is_the_largest_peak(runs, selection)
    assert seen > draws / 2


def order_decides_nothing(rng, runs, selection):
    again = select(rng.sample(runs, len(runs)), selection.criteria)
    for format in ("text", "json"):
        assert render(SelectionReport(again), format) == render(SelectionReport(selection), format)


def no_run_is_lost(runs, selection):
    """Each is compared, or set apart with a reason, or a copy of one that is."""
    known = {run.manifest.signature for run in selection.records} | {
        run.manifest.signature for run in runs if str(run.folder) in {apart.folder for apart in selection.apart}
    }
    assert {run.manifest.signature for run in runs} == known
    assert all(apart.why for apart in selection.apart)


def exclusions_have_true_reasons(selection):
    for judged in selection.candidates:
        kept = all(standing == "kept" for standing in judged.standings)
        complete = set(judged.candidate.quality) == set(selection.criteria.tasks)
        assert bool(judged.excluded) == (not kept or not complete)
        for why in judged.excluded:
            name, is_missing, reason = why.partition(" is not measured: ")
            if is_missing:
                limit = {"peak memory": "memory", "price of 1,000 answers": "price"}.get(name, name.split()[0])
                assert judged.candidate.measured(limit) is None
                assert reason == judged.candidate.missing[limit]
                assert reason
        for limit, standing in zip(selection.requirements, judged.standings, strict=True):
            assert (standing in {"violated", "not shown"}) == any(limit.text in why for why in judged.excluded)
        for task, reason in judged.candidate.missing.items():
            if "other settings only" in reason:
                others = [entry.candidate for entry in selection.candidates if task in entry.candidate.runs]
                assert any(other.identity.timed == judged.candidate.identity.timed for other in others)


def runs_that_are_set_apart_differ(runs, selection):
    compared = [run for judged in selection.candidates for run in judged.candidate.runs.values()]
    by_folder = {str(run.folder): run for run in runs}
    for apart in selection.apart:
        task = by_folder[apart.folder].manifest.task
        if "task.shots" in apart.why:
            assert all(run.manifest.task.shots != task.shots for run in compared if run.manifest.task.name == task.name)
        if "task.scale" in apart.why:
            assert all(run.manifest.task.scale != task.scale for run in compared)
        if "full-scale runs" in apart.why:
            assert any(run.manifest.task.scale == "full" for run in compared)
    full = {run.manifest.task.name for run in runs if run.manifest.task.scale == "full" and not run.timed}
    if full & set(selection.criteria.tasks):
        assert all(run.manifest.task.scale == "full" for run in compared), "no replica before a full-scale run"


def the_best_is_the_best(selection):
    eligible = [judged for judged in selection.candidates if not judged.excluded]
    assert bool(selection.best) == bool(eligible)
    for judged in selection.best:
        assert judged.on_front
        assert judged.mean == max(entry.mean for entry in eligible)
    costs = [name for name in COSTS if name in selection.objectives]
    values = [[judged.candidate.measured(name).value for name in costs] for judged in eligible]
    first = {id(judged) for judged in selection.best}
    best = min((v for judged, v in zip(eligible, values, strict=True) if judged.mean == eligible[0].mean), default=None)
    for judged, costs_of in zip(eligible, values, strict=True):
        is_equal = judged.mean == eligible[0].mean and costs_of == best
        assert is_equal or id(judged) not in first
        if is_equal and id(judged) not in first:  # a cost decided that cannot be compared for all
            assert selection.decided_by not in selection.objectives


def what_is_compared_is_paired(selection):
    complete = [judged for judged in selection.candidates if not judged.excluded]
    for judged in complete[1:]:
        for task, run in judged.candidate.runs.items():
            other = complete[0].candidate.runs[task]
            assert compare(run, other).metrics[0].n == run.finished().n == other.finished().n


def memory_is_the_largest_peak(runs, selection):
    used = {judged.candidate.timing.manifest.task.scale for judged in selection.candidates if judged.candidate.timing}
    for judged in selection.candidates:
        identity = judged.candidate.identity.timed
        peaks = [
            run.finished().metrics["peak-memory"].value for run in runs
            if run.timed and run.manifest.task.scale in used and Identity.of(run) == identity
        ]  # fmt: skip
        if judged.candidate.memory is not None:
            assert judged.candidate.memory.value == max(peaks)


@pytest.mark.draws(12, 300)
def test_every_verdict_keeps_its_invariants(tmp_path, draws):
    rng = random.Random(29)
    path = tmp_path / "guide.yaml"
    path.write_text(GUIDE)
    guide, seen = guides.load(str(path)), set()
    for draw in range(draws):
        runs = drawn_runs(rng, tmp_path / str(draw))
        unable = {("b", "glue/rte"): "it reads images only"} if rng.random() < 0.3 else {}
        hourly = amounts.money("2EUR") if rng.random() < 0.7 else None
        held = hold(guide, runs, unable, hourly)
        assert hold(guide, rng.sample(runs, len(runs)), unable, hourly) == held
        verdicts = [entry.verdict for entry in held]
        seen |= set(verdicts)
        assert all(all(entry.working) for entry in held)
        assert all(entry.working for entry in held)
        assert verdicts[:2] not in (["holds"] * 2, ["does not hold"] * 2)
        assert (verdicts[0] == "holds") <= (verdicts[1] == "does not hold")
        assert (verdicts[0] == "tie") == (verdicts[1] == "tie") or unable
    assert seen == {"holds", "does not hold", "tie", "cannot be tested here"}
