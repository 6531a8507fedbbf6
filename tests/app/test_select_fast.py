"""`select --fast`: which models stop early, that the choice is that of complete runs, and what the report says."""

from __future__ import annotations

import json

import pytest

from evals.app import several
from evals.app.early import pruning
from evals.errors import InputError
from evals.records import load
from evals.registry import TASKS
from evals.reports.runs import terminal

COUNT = 400
MODELS = "toy:counts,toy:,toy:picky"


@pytest.fixture(scope="module", autouse=True)
def small():
    """Give the toy tasks fewer samples than they have for others."""
    with pytest.MonkeyPatch.context() as patch:
        for task in ("toy", "toy/numbers"):
            patch.setitem(TASKS.get(task).samples.__globals__, "COUNT", COUNT)
        yield


@pytest.fixture(autouse=True)
def untimed(monkeypatch):
    """Time no model."""
    make = several.run

    def run(models, tasks, **options):
        if tasks == ["efficiency"]:
            raise InputError("nothing can be run: it is not timed here")
        return make(models, tasks, **options)

    monkeypatch.setattr(several, "run", run)


@pytest.fixture
def selected(command, tmp_path, monkeypatch):
    """Select among models in a folder of its own, and return the JSON report."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, models=MODELS, task="toy", code=0):
        done = command("select", "--task", task, "--model", models, "--format", "json", *arguments)
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)

    return run


def by_name(report):
    return {candidate["name"]: candidate for candidate in report["candidates"]}


def test_a_model_that_is_worse_than_another_stops_and_the_choice_is_the_same(selected, tmp_path):
    fast = selected("--fast")
    stopped = by_name(fast)["toy:counts"]["stopped"]["toy"]
    assert stopped["samples"] < stopped["of"] == COUNT
    assert stopped["decision"] == "first_better"
    (why,) = by_name(fast)["toy:counts"]["excluded"]
    assert why.startswith(f"after {stopped['samples']} of 400 samples: toy: is shown to be better in toy accuracy by ")
    (note,) = [note for note in fast["notes"] if note.startswith("--fast")]
    saved = sum(c["stopped"]["toy"]["of"] - c["stopped"]["toy"]["samples"] for c in fast["candidates"] if c["stopped"])
    assert f" early; {saved} answers of these runs were not computed" in note
    assert "in at most 5 of 100 selections" in note
    (folder,) = (tmp_path / "runs").glob("toy-counts-toy-*")
    assert load(folder).finished().n == stopped["samples"]
    text = terminal.show(load(folder))
    assert f"Decided after {stopped['samples']} of 400 samples: toy: is better than toy:counts by " in text
    assert f"The same command without --fast computes the other {COUNT - stopped['samples']}." in text
    assert 'class="forest looks"' in (folder / "report.html").read_text()
    whole = selected()
    assert (whole["chosen"], fast["chosen"]) == ("toy:", "toy:")
    assert by_name(whole)["toy:counts"]["stopped"] == {}
    assert load(folder).finished().n == COUNT, "without --fast the run is completed"
    assert [c["name"] for c in whole["candidates"] if c["on_front"]] == [
        c["name"] for c in fast["candidates"] if c["on_front"]
    ]  # fmt: skip
    complete = selected("--fast", models="toy:counts,toy:")
    assert by_name(complete)["toy:counts"]["stopped"] == {}, "nothing is thrown away"
    assert "--fast saved nothing: in the end all candidates have all samples." in complete["notes"]


def test_a_model_below_a_minimum_stops_on_one_task_and_is_not_run_on_the_next(selected, tmp_path):
    fast = selected("--fast", "--min", "toy=60", task="toy/numbers,toy", models="toy:counts,toy:", code=1)
    low = by_name(fast)["toy:counts"]
    stopped = low["stopped"]["toy"]
    assert (stopped["decision"], stopped["high"] < 0.6) == ("below_minimum", True)
    assert low["standings"]["toy"] == "violated"
    (why,) = low["excluded"]
    assert why.startswith(f"after {stopped['samples']} of 400 samples: toy accuracy is shown to be below 60.0 %, ")
    assert not list((tmp_path / "runs").glob("toy-counts-toy-numbers-*"))
    (folder,) = (tmp_path / "runs").glob("toy-counts-toy-*")
    assert f"accuracy is below 60 %, after {stopped['samples']} of 400 samples" in terminal.show(load(folder))
    assert fast["nearest"] == "toy:", "the toy task has no interval, so nothing is shown to keep a limit"
    assert "The nearest of those that were run in full is toy:: " in " ".join(fast["sentences"])


def test_what_a_rival_excluded_is_run_in_full_if_the_rival_cannot_be_chosen(selected, monkeypatch):
    """Without the test of the minimum, as for one that no sequence shows: in the end the rival does not keep it."""
    prune = pruning.prune_tasks
    monkeypatch.setattr(pruning, "prune_tasks", lambda pairs, minimums, rivals: prune(pairs, {}, rivals))
    report = selected("--fast", "--min", "toy=40", models="toy:counts,toy:", code=1)
    assert {candidate["name"]: candidate["stopped"] for candidate in report["candidates"]} == {
        "toy:counts": {},
        "toy:": {},
    }
    assert by_name(report)["toy:counts"]["quality"]["toy"]["n"] == COUNT
    (note,) = [note for note in report["notes"] if note.startswith("--fast")]
    assert note.startswith("--fast saved nothing")


def test_what_cannot_stop_early_is_said(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for arguments in (["--fast", tmp_path], ["--guide", "a", "--fast"], ["--fast", "--model", "r1", "--guide", "a"]):
        done = command("select", "--task", "toy", *arguments)
        assert (done.returncode, "--fast stops models that this command runs" in done.stderr) == (2, True)
    pairs = several.pairs(["r1", "v2"], ["glue/cola"], None, {"scale": "mini"})
    assert "is no mean of its samples' values" in pruning.refusals({"glue/cola": pairs})["glue/cola"]
    pairs = several.pairs(["r1", "v2"], ["glue"], None, {"scale": "mini"})
    assert pruning.refusals({"glue": pairs}) == {
        "glue": "average of task 'glue' is an average of several tasks' metrics"
    }
