"""Select a model: the front, the requirements, ties, what is excluded or set apart, and the sentences."""

from __future__ import annotations

import itertools
import json
import math
import random

import pytest
from choice_runs import KINDS, MACHINE, scored, share, timed
from commands import ROOT, refused
from commands import evals as command
from run_folders import HOSTILE, Outline

import evals
from evals import records
from evals.errors import InputError
from evals.reports.choices import amounts, front
from evals.reports.choices.conclusions import cautions, sentences
from evals.reports.choices.report import FORMATS, SelectionReport, render
from evals.reports.choices.requirements import Criteria, Requirement
from evals.reports.choices.selection import select
from evals.reports.runs import side_by_side
from evals.schema import Metric

TASK = "glue/rte"
BASELINE = ROOT / "reports" / "baseline" / "records"
SLOW, FAST = [0.20, 0.21, 0.22], [0.10, 0.11, 0.105]


def chosen(runs, *, tasks=(TASK,), absent=None, **limits):
    minimums = limits.pop("minimums", {})
    return select(runs, Criteria(tuple(tasks), minimums, **limits), absent)


def by_name(selection):
    return {judged.name: judged for judged in selection.candidates}


def alternating(folder, **times):
    """Timings of models in three sessions that they share; each model's times are the same in every session."""
    return [
        timed(folder / f"{name}-efficiency", name, {f"s{n}": [1.01 ** (n * k) * t for t in values] for n in range(3)})
        for k, (name, values) in enumerate(times.items())
    ]


@pytest.fixture
def trio(tmp_path):
    """The best and slowest model, one that is as good and faster, and one that is worse and fastest."""
    values = {"best": share(180, 200), "even": [0.0] * 4 + share(178, 196), "worse": share(120, 200)}
    runs = [scored(tmp_path / name, name, right) for name, right in values.items()]
    return runs + alternating(tmp_path, best=SLOW, even=[t / 1.5 for t in SLOW], worse=FAST)


# Properties


@pytest.mark.draws(60, 600)
def test_the_front_is_what_its_definition_says(draws):
    rng = random.Random(17)
    for _ in range(draws):
        size = rng.randint(1, 3)
        points = [tuple(rng.choice([0, 1, 2, 3]) for _ in range(size)) for _ in range(rng.randint(1, 9))]
        dominators = front.dominators(points)
        for index, point in enumerate(points):
            above = {
                k for k, other in enumerate(points)
                if other != point and all(other[axis] >= point[axis] for axis in range(size))
            }  # fmt: skip
            assert (dominators[index] == []) == (not above)
            assert set(dominators[index]) == {k for k in above if not dominators[k]}
            assert bool(above) == bool(dominators[index]), "each dominated point is dominated by one of the front"
        order = rng.sample(range(len(points)), len(points))
        shuffled = front.dominators([points[k] for k in order])
        assert [not entry for entry in shuffled] == [not dominators[k] for k in order]


@pytest.mark.draws(200, 2000)
def test_a_limit_is_kept_by_a_whole_interval_only(draws):
    rng = random.Random(18)
    for _ in range(draws):
        low, value, high = sorted(rng.choices(range(1, 9), k=3))
        limit, least = rng.randint(1, 9), rng.random() < 0.5
        metric = Metric(value, low, high, 9, "seconds")
        standing = Requirement("latency", limit, "seconds", least, "latency").standing(metric)
        sides = {end >= limit if least else end <= limit for end in (low, high)}
        strictly = all(end < limit if least else end > limit for end in (low, high))
        assert (standing == "kept") == (sides == {True})
        assert (standing == "violated") == strictly
        looser = limit - 1 if least else limit + 1
        later = Requirement("latency", looser, "seconds", least, "latency").standing(metric)
        assert not (standing == "kept" and later != "kept")
        assert not (standing == "not shown" and later == "violated")
    assert Requirement("latency", 1, "seconds", False, "latency").standing(Metric(2, None, None, 9)) == "not shown"
    assert Requirement("memory", 1, "bytes", False, "memory").standing(Metric(2, None, None, 9, "bytes")) == "violated"


@pytest.mark.draws(3, 30)
def test_the_choice_is_the_best_of_those_that_fit_in_any_order(tmp_path, draws):
    rng = random.Random(19)
    for draw in range(draws):
        names = [f"m{k}" for k in range(rng.randint(1, 4))]
        rights = {name: rng.sample(share(rng.randint(30, 60), 60), 60) for name in names}
        runs = [scored(tmp_path / f"{draw}-{name}", name, right) for name, right in rights.items()]
        runs += alternating(tmp_path / str(draw), **{name: [rng.uniform(0.1, 0.3)] * 3 for name in names})
        selection = chosen(runs, latency=0.25, minimums={TASK: 50.0})
        fits = {judged.name for judged in selection.candidates if set(judged.standings) == {"kept"}}
        assert fits == {judged.name for judged in selection.candidates if not judged.excluded}
        assert (selection.chosen is None) == (not fits)
        if selection.chosen:
            assert sum(rights[selection.chosen.name]) == max(sum(rights[name]) for name in fits)
            assert selection.chosen.on_front
        again = chosen(rng.sample(runs, len(runs)), latency=0.25, minimums={TASK: 50.0})
        assert sentences(again)[0] == sentences(selection)[0]


# What is chosen


def test_a_tie_a_cheaper_one_and_the_chosen_one_are_in_the_sentences(trio):
    selection = chosen(trio, hourly=amounts.money("3.6EUR"))
    assert selection.chosen.name == "best"
    first, *others = sentences(selection)
    assert first == (
        "Choose best: of 3 candidates that are measured, it has the best glue/rte accuracy, 90.0 % (85.1 to 93.4 %)."
    )
    assert others[0].startswith("even is as good within 3.7 points, and 1.49 times cheaper")
    assert others[0].endswith("times faster (1.45 to 1.52): no difference of quality is shown.")
    assert others[1].startswith("worse would be 1.96 times cheaper (1.87 to 2.06)")
    assert others[1].endswith("at -30.0 points (-36.4 to -23.6) on glue/rte.")
    places = {name: judged.on_front for name, judged in by_name(selection).items()}
    assert places == {"best": True, "even": True, "worse": True}
    price = by_name(selection)["best"].candidate.price
    assert price.unit == "EUR"
    assert math.isclose(price.value, 0.21, rel_tol=0.02), "1,000 answers of 0.21 s are 0.21 / 3.6 of an hour's 3.6 EUR"


def test_of_equal_models_the_cheapest_is_chosen_and_all_tie(tmp_path):
    runs = [scored(tmp_path / name, name, share(40, 60)) for name in ("a", "b", "c")]
    runs += alternating(tmp_path, a=SLOW, b=FAST, c=SLOW)
    selection = chosen(runs)
    assert selection.chosen.name == "b"
    assert [judged.ties for judged in selection.candidates] == [False, True, True]
    assert by_name(selection)["a"].dominated_by == ("b",)
    assert any(
        "a is not shown to differ" in sentence and "without an interval" in sentence
        for sentence in sentences(selection)
    )


def test_one_candidate_is_chosen_without_a_comparison(tmp_path):
    selection = chosen([scored(tmp_path / "a", "a", share(40, 60))])
    assert sentences(selection) == ["Choose a: it is the only candidate (glue/rte accuracy 66.7 % (54.1 to 77.3 %))."]
    assert selection.left_out.keys() == {"price", "latency", "memory"}


def test_several_tasks_count_alike(tmp_path):
    shares = {"a": (50, 40), "b": (48, 50)}
    runs = [
        scored(tmp_path / f"{name}{task[-1]}", name, share(right, 60), task=task)
        for name, pair in shares.items() for task, right in zip(("x", "y"), pair, strict=True)
    ]  # fmt: skip
    selection = chosen(runs, tasks=("x", "y"))
    assert selection.chosen.name == "b"
    assert "mean of x accuracy and y accuracy, 81.7 %" in sentences(selection)[0]
    pairs = [difference.p for difference in by_name(selection)["a"].differences]
    adjusted = [difference.adjusted for difference in by_name(selection)["a"].differences]
    assert adjusted == [max(2 * min(pairs), pairs[0]) if pairs[0] > pairs[1] else min(1, 2 * pairs[0]), 2 * pairs[1]]


def test_nothing_that_fits_names_the_requirement_and_the_nearest(trio):
    selection = chosen(trio, latency=0.05, minimums={TASK: 80.0})
    assert selection.chosen is None
    assert sentences(selection) == [
        "No candidate is shown to keep every requirement (3 candidates).",
        "latency at most 50.0 ms: kept by 0 of 3.",
        "The nearest is even: latency at most 50.0 ms is violated: 141 ms (133 to 150 ms).",
    ]


def test_an_interval_that_covers_the_limit_is_neither_kept_nor_violated(tmp_path):
    selection = chosen([scored(tmp_path / "a", "a", share(48, 60))], minimums={TASK: 78.0})
    (judged,) = selection.candidates
    assert judged.standings == ("not shown",)
    assert judged.excluded[0].startswith("glue/rte accuracy at least 78.0 % is not shown to be kept: 80.0 % (")
    assert selection.chosen is None
    assert selection.nearest is judged


# What is excluded


def test_what_is_not_measured_excludes_only_where_it_is_asked_for(tmp_path):
    runs = [scored(tmp_path / name, name, share(right, 60)) for name, right in (("a", 50), ("b", 30))]
    runs += alternating(tmp_path, b=FAST)
    assert chosen(runs).chosen.name == "a"
    assert chosen(runs).left_out["latency"] == "it is not measured for a"
    selection = chosen(runs, memory=4e9)
    assert selection.chosen.name == "b"
    assert by_name(selection)["a"].excluded == ("peak memory is not measured: the task efficiency was not run",)


def test_recorded_outputs_have_no_time_and_servers_no_memory(tmp_path):
    replayed = [scored(tmp_path / "a", "a", share(40, 60), facts={"family": "replay"})]
    why = "recorded outputs have no time and no memory"
    assert chosen(replayed, latency=9.0).candidates[0].excluded == (f"latency is not measured: {why}",)
    served = [scored(tmp_path / "b", "b", share(40, 60), facts={"family": "endpoint"})]
    served.append(timed(tmp_path / "t", "b", {"s0": FAST, "s1": SLOW}, family="endpoint"))
    assert chosen(served, latency=9.0).chosen.name == "b"
    why = "a server does not say what memory its model takes"
    assert chosen(served, memory=4e9).candidates[0].excluded == (f"peak memory is not measured: {why}",)


def test_failed_samples_are_counted_and_a_run_that_failed_throughout_is_excluded(tmp_path):
    runs = [scored(tmp_path / name, name, share(40, 60), failed=failed) for name, failed in (("a", 3), ("b", 60))]
    selection = chosen(runs)
    assert selection.chosen.name == "a"
    assert by_name(selection)["b"].excluded == ("glue/rte accuracy is not measured: all 60 samples failed",)
    assert "3 samples of a have no output; they count as wrong." in cautions(selection)


def test_what_failed_requests_did_not_cost_makes_no_answer_cheaper(tmp_path):
    server, right = {"family": "endpoint"}, share(40, 60)
    runs = [
        scored(tmp_path / "a", "a", right, cost=[0.001] * 60, facts=server),
        scored(tmp_path / "b", "b", right, failed=30, cost=[0.0] * 30 + [0.001] * 30, facts=server),
    ]
    prices = {name: entry.candidate.price.value for name, entry in by_name(chosen(runs)).items()}
    assert prices == pytest.approx({"a": 1.0, "b": 1.0})
    assert by_name(chosen(runs))["b"].ratios[0].shown == "untested"


def test_two_models_that_alternated_with_a_third_did_not_alternate(tmp_path):
    runs = [scored(tmp_path / name, name, share(40, 60)) for name in "abc"]
    sessions = {"a": ("s1", "s2"), "b": ("s1", "s2", "s3", "s4"), "c": ("s3", "s4")}
    runs += [timed(tmp_path / f"t{name}", name, {s: [0.1, 0.2] for s in of}) for name, of in sessions.items()]
    in_turn = {name: entry.candidate.in_turn for name, entry in by_name(chosen(runs)).items()}
    assert sum(in_turn.values()) == 2
    assert in_turn["b"]


def test_of_equal_models_a_price_in_another_currency_decides_nothing(tmp_path):
    server, right = {"family": "endpoint"}, share(40, 60)
    runs = [
        scored(tmp_path / "a", "a", right, cost=[90.0] * 60, currency="jpy", facts=server),
        scored(tmp_path / "b", "b", right, cost=[10.0] * 60, currency="usd", facts=server),
    ]
    for order in (runs, runs[::-1]):
        selection = chosen(order)
        assert selection.chosen is None, "no number of one currency is smaller than one of another"
        assert [judged.name for judged in selection.best] == ["a", "b"]
        first, second, *_ = sentences(selection)
        assert first == (
            "No single choice: of 2 candidates that are measured, a and b have the best glue/rte accuracy, "
            "66.7 % (54.1 to 77.3 %), and are equal in it."
        )
        assert "price: the currencies differ" in second
    with pytest.raises(InputError, match="given in percent; write 80"):
        chosen(runs, minimums={TASK: 0.8})


def test_a_model_with_other_settings_for_texts_is_another_candidate(tmp_path):
    runs = [
        scored(tmp_path / "a", "a", share(58, 60), generation={"thinking": "on"}, started="2026-11-28"),
        scored(tmp_path / "b", "a", share(36, 60), started="2026-11-29"),
        scored(tmp_path / "c", "b", share(48, 60)),
        timed(tmp_path / "t", "a", {"s1": FAST, "s2": SLOW}),
    ]
    selection = chosen(runs)
    assert selection.chosen.name == "a (thinking=on)"
    assert {*by_name(selection)} == {"a (thinking=on)", "a (default settings)", "b"}
    assert selection.chosen.candidate.latency is not None
    assert not selection.apart


def test_settings_that_differ_by_task_make_no_second_candidate(tmp_path):
    thinking = {"generation": {"thinking": "on"}}
    runs = [
        scored(tmp_path / "a1", "a", share(58, 60), **thinking),
        scored(tmp_path / "a2", "a", share(50, 60), task="glue/wnli"),
        *(scored(tmp_path / f"b{task[-1]}", "b", share(40, 60), task=task) for task in (TASK, "glue/wnli")),
    ]
    selection = chosen(runs, tasks=(TASK, "glue/wnli"))
    assert selection.chosen.name == "a"
    assert "a: glue/rte: thinking=on; glue/wnli: default settings; b: default settings" in cautions(selection)[0]
    both = chosen([*runs, scored(tmp_path / "a3", "a", share(30, 60))], tasks=(TASK, "glue/wnli"))
    assert by_name(both)["a (thinking=on)"].excluded == (
        "glue/wnli accuracy is not measured: the model was run on it with other settings only (default settings)",
    )
    times = [timed(tmp_path / f"t{name}", name, {name: FAST}) for name in ("a", "b")]
    names = chosen([*runs, scored(tmp_path / "a4", "a", share(30, 60)), *times]).left_out["latency"]
    assert names == "the models were not timed in turn (python -m evals run --model a,b --task efficiency)"


def test_the_largest_peak_of_any_timing_counts(tmp_path):
    runs = [scored(tmp_path / "a", "a", share(40, 60))]
    runs += [
        timed(tmp_path / f"t{n}", "a", {f"s{n}": FAST}, memory=memory, machine=machine)
        for n, (memory, machine) in enumerate([(9e9, MACHINE), (1e9, MACHINE), (99e9, {**MACHINE, "cores": 64})])
    ]
    for order in itertools.permutations(runs):
        selection = chosen(order, memory=2e9)
        assert selection.candidates[0].excluded == ("peak memory at most 2 GB is violated: 9 GB",)


def test_prices_of_servers_are_those_of_the_tokens(tmp_path):
    server, right = {"family": "endpoint"}, share(40, 60)
    costs = {"a": [0.001, 0.003] * 30, "b": [0.004] * 60}
    runs = [scored(tmp_path / name, name, right, cost=cost, facts=server) for name, cost in costs.items()]
    selection = chosen(runs, price=amounts.price("3EUR/1000"))
    assert selection.chosen.name == "a"
    price = by_name(selection)["a"].candidate.price
    assert (round(price.value, 9), price.unit) == (2.0, "EUR")
    assert price.low < 2 < price.high
    assert by_name(selection)["b"].standings == ("violated",)
    both = chosen(runs)
    (ratio,) = by_name(both)["b"].ratios
    assert (ratio.name, round(ratio.value, 9), ratio.shown) == ("price", 2.0, "worse")
    other = chosen(runs, price=amounts.price("3USD/1000"))
    assert other.chosen is None
    assert "its price is in EUR, the limit in USD: currencies are not converted" in other.candidates[0].excluded
    free = chosen([scored(tmp_path / "c", "c", right, facts=server)], price=amounts.price("3EUR/1000"))
    assert "the run has no prices" in free.candidates[0].excluded[0]


def test_prices_of_tokens_and_of_a_device_are_not_compared(tmp_path):
    runs = [
        scored(tmp_path / "a", "a", share(40, 60), facts={"family": "endpoint"}, cost=[0.001] * 60),
        scored(tmp_path / "b", "b", share(40, 60)), *alternating(tmp_path, b=FAST),
    ]  # fmt: skip
    selection = chosen(runs, hourly=amounts.money("2EUR"))
    assert selection.left_out["price"] == "some prices are of tokens and some of the device's time"
    assert all(ratio.name != "price" for judged in selection.candidates for ratio in judged.ratios)


# What is set apart


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"split": "test"},
            "task.split is 'test', not 'validation'; the others count, because they are of more models",
        ),
        ({"shots": 5}, "task.shots is 5, not 0"),
        ({"method": "probe"}, "task.method is 'probe', not None"),
        ({"data": {"files": {"v": "2"}}}, "data.files differs"),
        ({"blind": True}, "a blind control is no candidate"),
        ({"task": "glue/wnli"}, "glue/wnli is none of the tasks"),
    ],
)
def test_runs_that_cannot_be_compared_are_set_apart_with_the_reason(tmp_path, changes, why):
    runs = [scored(tmp_path / name, name, share(right, 60)) for name, right in (("a", 40), ("b", 41))]
    runs.append(scored(tmp_path / "c", "c", share(60, 60), **changes))
    selection = chosen(runs)
    (apart,) = selection.apart
    assert apart.run.startswith("c on ")
    assert why in apart.why
    assert selection.chosen.name == "b"
    assert sum("c (" in sentence for sentence in sentences(selection)) == (
        len(changes) and "not comparable" in apart.why
    )


def test_a_part_of_a_split_is_not_compared_with_the_whole(tmp_path):
    runs = [scored(tmp_path / name, name, share(40, 60)) for name in ("a", "b")]
    runs.append(scored(tmp_path / "c", "c", share(20, 20), limit=20, data={"samples_in_split": 60}))
    selection = chosen(runs)
    assert "task.limit is 20, not None" in selection.apart[0].why
    assert "c" not in by_name(selection)


def test_a_run_counts_once_and_of_two_the_later_one(tmp_path):
    first = scored(tmp_path / "a", "a", share(40, 60), started="2026-11-01T00:00:00")
    assert [judged.name for judged in chosen([first, first]).candidates] == ["a"]
    later = scored(tmp_path / "b", "a", share(50, 60), started="2026-11-02T00:00:00", seed=1)
    for runs in itertools.permutations([first, later]):
        selection = chosen(runs)
        assert selection.chosen.candidate.runs[TASK].folder == later.folder
        assert "was started later" in selection.apart[0].why
    other = scored(tmp_path / "c", "a", share(45, 60), facts={"digest": "other"})
    assert {judged.name for judged in chosen([first, other]).candidates} == {"a (weight float32)", "a (other float32)"}


@pytest.mark.parametrize(
    "changes", [{"machine": {**MACHINE, "system": "other"}}, {"device": "NVIDIA H200"}, {"scale": "full"},
                {"kinds": {**KINDS, "short": {"words": 128, "new_tokens": 64}}}],
)  # fmt: skip
def test_timings_of_other_machines_and_requests_are_set_apart(tmp_path, changes):
    runs = [scored(tmp_path / name, name, share(40, 60)) for name in ("a", "b", "c")]
    runs += [*alternating(tmp_path, a=SLOW, b=FAST), timed(tmp_path / "t", "c", {"s0": FAST, "s1": FAST}, **changes)]
    selection = chosen(runs, latency=9.0)
    assert selection.apart[0].run == "c on efficiency"
    scale = "it is a timing at scale 'full', and the answers are of mini"
    why = scale if "scale" in changes else "not comparable with the others: "
    assert by_name(selection)["c"].excluded[0].startswith(f"latency is not measured: {why}")


def test_models_that_were_not_timed_in_turn_have_no_ratio(tmp_path):
    runs = [scored(tmp_path / name, name, share(40, 60)) for name in ("a", "b")]
    runs += [
        timed(tmp_path / f"t{name}", name, {f"{name}0": [t], f"{name}1": [t * 1.02]})
        for name, t in (("a", 0.2), ("b", 0.1))
    ]
    selection = chosen(runs, latency=9.0)
    assert all(set(judged.standings) == {"kept"} for judged in selection.candidates)
    assert "not timed in turn" in selection.left_out["latency"]
    assert "latency" not in selection.objectives
    assert all(ratio.name == "memory" for judged in selection.candidates for ratio in judged.ratios)


def test_of_two_timings_the_one_with_more_models_in_turn_counts(tmp_path):
    runs = [scored(tmp_path / name, name, share(40, 60)) for name in ("a", "b")]
    alone = timed(tmp_path / "alone", "a", {"other0": [0.9], "other1": [0.95]})
    selection = chosen([*runs, alone, *alternating(tmp_path, a=SLOW, b=FAST)])
    assert by_name(selection)["a"].candidate.latency.value < 0.5
    assert [(apart.run, apart.why[:42]) for apart in selection.apart] == [
        ("a on efficiency", "another timing of this model counts: with ")
    ]


def test_what_has_no_run_says_why(tmp_path):
    absent = {("b", TASK): "it reads images only"}
    selection = chosen([scored(tmp_path / "a", "a", share(40, 60))], absent=absent)
    assert by_name(selection)["b"].excluded == ("glue/rte accuracy is not measured: it reads images only",)
    with pytest.raises(InputError, match="no run of task 'vqa' can be compared"):
        chosen([scored(tmp_path / "c", "a", share(40, 60))], tasks=("vqa",))


# The whole command


def test_the_command_writes_all_formats_and_says_what_is_apart(tmp_path):
    folders = sorted(path for path in BASELINE.iterdir() if (path / "result.json").exists())
    done = command("select", "--task", "vqa", "--hourly", "2.5EUR", "--out", tmp_path / "out", *folders)
    assert done.returncode == 0, done.stderr
    assert "Choose v3: of 2 candidates" in done.stdout
    assert "The choice is one among replicas." in done.stdout
    assert "vl would be 1.25 times cheaper (no interval) and 1.24 times faster (1.15 to 1.33)" in done.stdout.replace(
        "\n", " "
    )
    assert "A-54           does not hold: For high accuracy, choose R1." in done.stdout
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"select.{f}" for f in ("json", "md", "html", "svg")
    }
    written = json.loads((tmp_path / "out" / "select.json").read_text())
    assert written["chosen"] == "v3"
    assert written["candidates"][1]["differences"][0]["shown"] == "worse"
    assert {row["why"] for row in written["set_apart"]} >= {"a blind control is no candidate"}
    page = Outline((tmp_path / "out" / "select.html").read_text())
    assert "script" not in page.tags
    assert page.tags.count("svg") == 1
    none = command("select", "--task", "vqa", "--latency", "1ms", "--format", "json", *folders)
    assert none.returncode == 1, "nothing fits"
    assert json.loads(none.stdout)["nearest"] == "vl"


def test_the_command_writes_all_files_or_none(tmp_path):
    (tmp_path / "select.html").mkdir()
    done = command("select", "--task", "vqa", "--out", tmp_path, BASELINE / "vl-vqa")
    assert refused(done, "select.html: it is a folder")
    assert [path.name for path in tmp_path.iterdir()] == ["select.html"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["--task is missing"]),
        (["--task", "vqa"], ["no candidates"]),
        (["--task", "vqa", "--model", "vl", "runs"], ["--model and RUN"]),
        (["--task", "efficiency", "--model", "vl"], ["measured for every candidate"]),
        (["--task", "vqa,vqa", "--model", "vl"], ["named twice"]),
        (["--task", "vqq", "--model", "vl"], ["vqq", "vqa"]),
        (["--task", "vqa", "--model", "vl,nobody"], ["nobody"]),
        (["--task", "vqa", "--model", "vl,vl"], ["'vl' is named twice"]),
        (["--task", "vqa", "--memory", "4", "x"], ["--memory '4' is not a size", "4GB"]),
        (["--task", "vqa", "--latency", "1,5s", "x"], ["--latency", "is not a time", "100ms"]),
        (["--task", "vqa", "--price", "1EUR", "x"], ["--price", "is not a price", "1EUR/1000"]),
        (["--task", "vqa", "--hourly", "3¥", "x"], ["--hourly", "currency"]),
        (["--task", "vqa", "--min", "80", "x"], ["--min 80", "glue=80"]),
        (["--task", "vqa", "--min", "glue=80", "x"], ["no task of this selection", "glue"]),
        (["--task", "vqa", "--min", "vqa=high", "x"], ["'high' is not a percentage"]),
        (["--guide", "c"], ["no guide is named 'c'"]),
        (["--guide", "a", "--memory", "4GB"], ["--memory limits a selection"]),
        (["--task", "vqa", "/nowhere"], ["/nowhere is not a run folder"]),
        (["--task", "vqa", "--min", "vqa=780", str(BASELINE / "vl-vqa")], ["between 0 and 100", "percent"]),
        (["--task", "vqaa", str(BASELINE / "vl-vqa")], ["no task is named 'vqaa'; did you mean 'vqa'?"]),
        (["--task", "efficiency", str(BASELINE / "vl-efficiency")], ["measured for every candidate"]),
        (["--guide", "a", "--min", "x=1", str(BASELINE / "vl-vqa")], ["--min limits a selection"]),
        (["--task", "math", str(BASELINE / "vl-vqa")], ["no run is of task 'math': the runs are of vqa"]),
    ],
)  # fmt: skip
def test_bad_usage_is_refused_in_one_line(arguments, words):
    refused(command("select", *arguments), *words)


def test_names_of_strangers_stay_harmless_in_every_format(tmp_path):
    names = HOSTILE[:4]
    runs = [scored(tmp_path / str(k), name, share(40 + k, 60)) for k, name in enumerate(names)]
    runs += [timed(tmp_path / f"t{k}", name, {"s0": FAST, "s1": SLOW}) for k, name in enumerate(names)]
    report = SelectionReport(chosen(runs, minimums={TASK: 99.0}))
    for format in FORMATS:
        text = render(report, format)
        if format in {"html", "svg"}:
            assert "<script>" not in text
            assert "onerror=" not in text.replace("&#34;", '"') or "<img" not in text
        if format == "text":
            assert "\x1b" not in text
            assert "\u202e" not in text


def test_a_table_of_models_timed_in_turn_has_those_that_read_no_images():
    runs = [records.load(BASELINE / f"{name}-efficiency") for name in ("vl", "v2")]
    names = [row[0] for row in side_by_side.ratios(runs).rows]
    assert "latency" in names
    assert "caption-latency" not in names


def test_imported_runs_with_other_prompts_are_compared_with_a_caution(tmp_path):
    folders = []
    for name, prompt in (("a", "Q: {}"), ("b", "Q: {}"), ("c", "Please answer: {}")):
        rows = [
            {
                **{"doc_id": n, "doc": {"question": f"q{n}"}, "target": "a", "resps": [["a"]], "filtered_resps": ["a"]},
                **{"arguments": {"gen_args_0": {"arg_0": prompt.format(f"q{n}"), "arg_1": {"until": []}}}},
                **{"filter": "none", "metrics": ["exact_match"], "exact_match": float(n < 9)},
            }
            for n in range(10)
        ]
        (tmp_path / name).mkdir()
        log = tmp_path / name / "samples_mine_2026-01-01T00-00-00.000000.jsonl"
        log.write_text("".join(json.dumps(row) + "\n" for row in rows))
        values = {
            "results": {"mine": {"exact_match,none": 0.9}},
            "configs": {"mine": {"task": "mine", "num_fewshot": 0}},
            "config": {"model": "hf", "model_args": f"pretrained=acme/{name}"},
            **{"model_name": f"acme/{name}", "n-shot": {"mine": 0}},
        }
        (tmp_path / name / "results_2026-01-01T00-00-00.000000.json").write_text(json.dumps(values))
        folders.append(evals.import_logs([tmp_path / name], tmp_path / f"run-{name}").records[0].folder)
    done = command("select", "--task", "lm-eval/mine", *folders)
    cautions = [sentence for sentence in " ".join(done.stdout.split()).split(". ") if "did not read" in sentence]
    assert ["acme/c did not read the prompts of acme/a" in sentence for sentence in cautions] == [True], done.stdout
