"""Guides: their rows are the documents' claims, and their advice is held against runs."""

from __future__ import annotations

import pytest
from choice_runs import scored, share, timed
from commands import evals as command
from commands import refused

from evals.errors import InputError
from evals.reports.choices import guides
from evals.reports.choices.advice import hold
from evals.reports.choices.amounts import money
from evals.reports.claims import FOLDER
from evals.reports.claims.language import files

HEAD = "guide: {id: mine, title: Mine, systems: {x: x, y: y, z: z}}\nadvice:\n"
QUALITY = "- {id: C-1, quote: q, says: s, choose: x, tasks: [glue/rte], prefer: [quality], over: [y]}\n"
COSTS = "- {id: C-1, quote: q, says: s, choose: x, tasks: [glue/rte], prefer: [latency], over: [y]}\n"
BOTH = "- {id: C-1, quote: q, says: s, choose: x, tasks: [glue/rte], prefer: [quality, latency], over: [y]}\n"
FAST, SLOW = [0.10, 0.11], [0.20, 0.22]


@pytest.fixture
def verdict(tmp_path):
    """Hold one row of a guide against runs of some models: right samples of 200, and times of two shared sessions."""

    def held(row, right, times=None, unable=None, scale="mini", **more):
        path = tmp_path / "guide.yaml"
        path.write_text(HEAD + row)
        runs = [scored(tmp_path / name, name, share(n, 200), scale=scale, **more) for name, n in right.items()]
        for name, seconds in (times or {}).items():
            slower = 1.01 if name == "x" else 1.03
            sessions = {"s0": seconds, "s1": [slower * value for value in seconds]}
            runs.append(timed(tmp_path / f"{name}-t", name, sessions, scale=scale))
        (only,) = hold(guides.load(str(path)), runs, unable or {})
        return only

    return held


@pytest.mark.parametrize("name", guides.bundled())
def test_the_rows_of_a_bundled_guide_are_claims_of_its_document(name):
    guide, document = guides.load(name), files.load(FOLDER / f"{name}.yaml")
    claims = {claim.id: claim for claim in document.claims}
    assert guide.guide.title == document.document.title
    for row in guide.advice:
        claim = claims[row.id]
        assert (claim.quote, claim.line) == (row.quote, row.line)
        assert row.choose in claim.subject
    systems = {system: subject.system for system, subject in document.document.subjects.items()}
    assert {system: guide.model(system) for system in guide.guide.systems} == systems
    names = [row.name for row in guide.advice]
    assert len(names) == len(set(names))


def test_every_recommendation_of_the_decision_trees_has_a_row():
    assert {row.id for row in guides.load("a").advice} == {f"A-{n}" for n in range(50, 56)}
    chosen = {*range(72, 78), 82, 83, 84, 95}
    assert {row.id for row in guides.load("b").advice} == {f"B-{n}" for n in chosen}


@pytest.mark.parametrize(
    ("row", "right", "times", "expected"),
    [
        (QUALITY, {"x": 180, "y": 140}, {}, "holds"),
        (QUALITY, {"x": 140, "y": 180}, {}, "does not hold"),
        (QUALITY, {"x": 180, "y": 180}, {}, "tie"),
        (QUALITY, {"x": 180}, {}, "cannot be tested here"),
        (QUALITY, {"y": 180}, {}, "cannot be tested here"),
        (COSTS, {"x": 100, "y": 180}, {"x": FAST, "y": SLOW}, "holds"),
        (COSTS, {"x": 100, "y": 180}, {"x": SLOW, "y": FAST}, "does not hold"),
        (COSTS, {"x": 100, "y": 180}, {"x": SLOW}, "cannot be tested here"),
        (BOTH, {"x": 180, "y": 140}, {}, "cannot be tested here"),
        (BOTH, {"x": 180, "y": 180}, {"x": FAST, "y": SLOW}, "holds"),
        (BOTH, {"x": 140, "y": 180}, {"x": FAST, "y": SLOW}, "tie"),
        (BOTH, {"x": 140, "y": 180}, {"x": SLOW, "y": FAST}, "does not hold"),
    ],
)
def test_advice_holds_where_it_is_shown(verdict, row, right, times, expected):
    held = verdict(row, right, times)
    assert held.verdict == expected
    assert held.subject_match == ("none" if expected == "cannot be tested here" else "proxy")
    assert held.working


def test_models_at_the_level_of_guessing_show_nothing(verdict):
    held = verdict(QUALITY, {"x": 105, "y": 60})
    assert held.verdict == "tie"
    assert "both at the level of guessing" in held.working[0]


def test_a_model_that_cannot_do_the_task_loses(verdict):
    why = {("y", "glue/rte"): "it reads images only"}
    held = verdict(QUALITY, {"x": 180}, unable=why)
    assert held.verdict == "holds"
    assert held.working == ("y cannot do it: it reads images only", "glue/rte accuracy: x 90.0 % (85.1 to 93.4 %)")
    held = verdict(QUALITY, {"x": 100}, unable=why)
    assert held.verdict == "tie", "guessing is no better than a model that cannot do it"
    held = verdict(QUALITY, {"y": 180}, unable={("x", "glue/rte"): "it reads images only"})
    assert held.verdict == "does not hold"


def test_a_limit_of_memory_is_no_matter_of_replicas(verdict):
    row = "- {{id: C-1, quote: q, says: s, choose: x, tasks: [glue/rte], memory: {{{}}}}}\n"
    arguments = {"right": {"x": 180}, "times": {"x": FAST}}
    assert verdict(row.format("at-most: 1GB"), **arguments).verdict == "cannot be tested here"
    for limit, expected in (
        ("at-most: 1GB", "holds"),
        ("above: 1GB", "does not hold"),
        ("at-most: 1MB", "does not hold"),
    ):
        assert verdict(row.format(limit), **arguments, scale="full").verdict == expected


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("- {id: C-1, quote: q, says: s, choose: w, untestable: why}\n", "no system of the guide is named 'w'"),
        ("- {id: C-1, quote: q, says: s, choose: x}\n", "give tasks with prefer or memory, or untestable"),
        (QUALITY.replace("quality", "speed"), "guide.yaml:3"),
        (QUALITY.replace("prefer", "prefers"), "prefers"),
        (QUALITY.replace("prefer: [quality]", "memory: {at-most: 4 cards}"), "not a size"),
        (QUALITY.replace("prefer: [quality]", "memory: {}"), "one of at-most and above"),
        (QUALITY.replace("[glue/rte]", "[glue/rte, glue/rte]"), "tasks names 'glue/rte' twice"),
        (QUALITY.replace("[y]", "[x]"), "over names the advised system 'x'"),
        (QUALITY + QUALITY, "two pieces of advice are named C-1"),
    ],
)
def test_mistakes_in_a_guide_are_named(verdict, row, words):
    with pytest.raises(InputError, match=words):
        verdict(row, {"x": 180})


def test_systems_are_different_models(tmp_path):
    path = tmp_path / "guide.yaml"
    path.write_text(HEAD.replace("y: y", "y: x") + QUALITY)
    with pytest.raises(InputError, match="the systems 'x' and 'y' are one model, 'x'"):
        guides.load(str(path))
    path.write_text("guide: {id: mine, title: Mine, systems: {x: x}}\nadvice:\n" + QUALITY.replace(", over: [y]", ""))
    with pytest.raises(InputError, match="no alternative to 'x'"):
        guides.load(str(path))


def test_a_verdict_needs_all_candidates_of_a_name_to_agree(tmp_path):
    path = tmp_path / "guide.yaml"
    path.write_text(HEAD + QUALITY)
    guide = guides.load(str(path))

    def held(x, other_x, y, other_y):
        shares = {("x", "w1"): x, ("x", "w2"): other_x, ("y", "w1"): y, ("y", "w2"): other_y}
        runs = [
            scored(tmp_path / f"{right}-{model}{weights}", model, share(right, 200), facts={"digest": weights})
            for (model, weights), right in shares.items()
        ]
        (only,) = hold(guide, runs, {})
        return only

    assert held(180, 170, 100, 110).verdict == "holds"
    assert held(100, 110, 180, 170).verdict == "does not hold"
    split = held(180, 100, 140, 141)
    assert split.verdict == "cannot be tested here"
    assert split.working[-1].endswith("depends on which counts: x (w1 float32): holds; x (w2 float32): does not hold")
    rivals = held(140, 141, 180, 100)
    assert rivals.verdict == "cannot be tested here"
    assert "which of y (w1 float32) and y (w2 float32) counts as y decides" in rivals.working


def test_what_a_replica_cannot_do_says_nothing_of_a_public_model(verdict):
    unable = {("x", "glue/rte"): "it reads images only"}
    public = {"scale": "full", "facts": {"replica": False}}
    assert verdict(QUALITY, {"x": 180, "y": 140}, unable=unable, **public).verdict == "holds"
    held = verdict(QUALITY, {"y": 140}, unable=unable, **public)
    assert (held.verdict, held.working) == (
        "cannot be tested here", ("x was not measured on glue/rte (there is no run)",)
    )  # fmt: skip


def test_a_reason_says_what_was_not_measured(verdict, tmp_path):
    row = QUALITY.replace("[glue/rte]", "[glue/rte, glue/wnli]")
    assert verdict(row, {"x": 180, "y": 140}).working == ("x was not measured on glue/wnli (there is no run)",)
    why = "the task efficiency was not run"
    assert verdict(COSTS, {"x": 180, "y": 140}).working == (
        f"latency of x not measured: {why}; latency of y not measured: {why}",
    )
    path = tmp_path / "guide.yaml"
    path.write_text(HEAD + COSTS.replace("latency", "price"))
    server = {"facts": {"family": "endpoint"}, "cost": [0.001] * 200}
    runs = [scored(tmp_path / "a", "x", share(180, 200), **server), scored(tmp_path / "b", "y", share(140, 200))]
    runs.append(timed(tmp_path / "t", "y", {"s0": FAST, "s1": SLOW}))
    (held,) = hold(guides.load(str(path)), runs, {}, money("2EUR"))
    assert held.working == ("price not compared: that of x is of tokens and that of y is of device time",)


def test_a_guide_of_prices_needs_a_price(tmp_path):
    path = tmp_path / "guide.yaml"
    path.write_text(HEAD + COSTS.replace("latency", "price"))
    run = scored(tmp_path / "x", "x", share(180, 200))
    refused(command("select", "--guide", path, run.folder), "guide mine counts prices", "--hourly")


def test_the_command_shows_a_guide_without_a_selection(tmp_path):
    run = scored(tmp_path / "r1", "r1", share(180, 200))
    done = command("select", "--guide", "b", "--out", tmp_path / "out", run.folder)
    assert done.returncode == 0, done.stderr
    assert "B-83           cannot be tested here: For high accuracy of visual localisation, choose VL." in done.stdout
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".json", ".md", ".html"}
    refused(command("select", "--guide", "b", "--format", "svg", run.folder), "--task")
    done = command("select", "--guide", "a", run.folder)
    assert done.stdout.startswith("The run is of no model and task that the advice names: nothing is measured.")
