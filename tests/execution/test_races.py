"""Races between models: what is decided, that it can be killed and continued, and what the folders say."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import shutil
from functools import partial

import pytest
from commands import process, refused

import evals
from evals.app.commands.race import race
from evals.errors import InputError
from evals.records.folder import load
from evals.registry import TASKS
from evals.reports.runs import page as page_of_runs
from evals.reports.runs import terminal
from evals.reports.runs.early import race as outcome
from evals.reports.trends import series
from evals.schema import Metric

COUNT = 800


@pytest.fixture(scope="module", autouse=True)
def small():
    """Give the toy task fewer samples than it has for others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TASKS.get("toy").samples.__globals__, "COUNT", COUNT)
        yield


def entry(folder):
    return json.loads((folder / "result.json").read_text())["sequential"]


def ids(folder):
    return {json.loads(line)["id"] for line in (folder / "samples.jsonl").read_text().splitlines()}


@pytest.fixture(scope="module")
def decided(tmp_path_factory):
    out = tmp_path_factory.mktemp("decided")
    (records,) = race(["toy:counts", "toy:"], ["toy"], out=out, progress=f"json:{out / 'events.jsonl'}")
    return [record.folder for record in records]


def test_the_better_model_is_found_on_the_same_samples(decided):
    a, b = decided
    assert entry(a) == entry(b)
    stated = entry(a)
    assert (stated["decision"], stated["models"], stated["best"]) == ("second_better", ["toy:counts", "toy:"], "toy:")
    assert stated["used"] == len(ids(a)) < COUNT / 2
    assert ids(a) == ids(b)
    compared = evals.compare(a, b).metrics[0]
    assert (compared.low, compared.high, compared.difference) == pytest.approx(
        (stated["low"], stated["high"], stated["difference"])
    )
    assert compared.high < 0


def test_hooks_get_the_events_of_each_run(decided):
    events = [json.loads(line) for line in (decided[0].parent / "events.jsonl").read_text().splitlines()]
    for folder in decided:
        own = [event for event in events if event["run"] == str(folder)]
        used = load(folder).finished().n
        assert [own[0]["event"], own[-1]["event"]] == ["run_started", "run_finished"]
        assert {event["event"] for event in own[1:-1]} == {"batch_done"}
        assert (own[-2]["done"], own[-1]["n"], own[-2]["total"]) == (used, used, COUNT)
    batches = [event["run"] for event in events if event["event"] == "batch_done"]
    assert sum(before != after for before, after in itertools.pairwise(batches)) > 4, "in turn"


def test_the_page_can_be_understood(decided):
    records = [load(folder) for folder in decided]
    text, used = outcome.text(records), records[0].finished().n
    assert text.startswith(f"Decided after {used} of 800 samples: toy: is better than toy:counts by ")
    assert "points in favour of toy:." in text
    assert f"{2 * (COUNT - used):,} answers were not needed" in text
    assert text.count("  worse\n") == text.count("  better\n") == 1
    assert f"Decided after {used} of 800 samples" in terminal.show(records[0])
    assert f"computes the other {COUNT - used}." in terminal.show(records[1])


def test_the_page_of_a_race_draws_its_looks(decided):
    pages = [(folder / "report.html").read_text() for folder in decided]
    stated = entry(decided[0])
    (looks,) = stated["history"]
    assert (looks["samples"][-1], looks["low"][-1], looks["high"][-1]) == (
        stated["used"], stated["low"], stated["high"],
    )  # fmt: skip
    assert len(looks["samples"]) == stated["looks"]
    assert not any(low > 0 or high < 0 for low, high in zip(looks["low"][:-1], looks["high"][:-1], strict=True))
    size = (
        f"{-100 * looks['difference'][-1]:.1f} points ({-100 * looks['high'][-1]:.1f} to {-100 * looks['low'][-1]:.1f})"
    )
    for page in pages:
        drawn, rows = re.findall(r'<section>\s*<h2 id="race-1">(.*?)</section>', page, re.DOTALL), stated["looks"]
        assert len(drawn) == 1
        assert f"samples: toy: is better than toy:counts by {size}." in drawn[0]
        assert drawn[0].count('class="forest looks"') == 1
        assert drawn[0].count(">not yet</td>") == rows - 1, "the table has all looks, for who cannot see the figure"
        assert "In at most 5 of 100 races the band misses the true difference at any look." in drawn[0]
        assert page.count('class="forest looks"') == 1
    assert "toy: minus toy:counts" in (decided[1] / "report.md").read_text()
    both = page_of_runs.render([load(folder) for folder in decided])
    assert both.count('class="forest looks"') == 1, "two runs of one race"


def test_scores_that_changed_draw_no_race(decided, tmp_path):
    shutil.copytree(decided[0], folder := tmp_path / "run")
    lines = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    lines[0]["values"]["accuracy"] = 1 - lines[0]["values"]["accuracy"]
    (folder / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    stated = evals.score(folder).finished().sequential
    assert (stated.decision, stated.history) == ("undecided", [])


def test_a_race_goes_on_where_a_kill_left_it(decided, tmp_path):
    """One model is a look ahead of the other, of which the last line is torn."""
    for number, folder in enumerate(decided):
        shutil.copytree(folder, copy := tmp_path / folder.name)
        (copy / "result.json").unlink()
        lines = (copy / "samples.jsonl").read_bytes().splitlines(keepends=True)
        kept = len(lines) - 30 * number - 5
        (copy / "samples.jsonl").write_bytes(b"".join(lines[:kept]) + lines[kept][:15])
    (records,) = race(["toy:counts", "toy:"], ["toy"], out=tmp_path)
    assert [entry(record.folder) for record in records] == [entry(folder) for folder in decided]
    assert [ids(record.folder) for record in records] == [ids(folder) for folder in decided]


def test_without_the_option_a_run_of_a_race_is_completed(decided, tmp_path):
    shutil.copytree(decided[1], folder := tmp_path / "run")
    result = evals.run("toy:", "toy", out=folder).finished()
    assert (result.n, result.stopped) == (COUNT, None)
    (records,) = race(["toy:counts", "toy:"], ["toy"], out=tmp_path / "again")
    for record, name in zip(records, ("counts", ""), strict=True):
        shutil.copytree(folder if not name else record.folder, tmp_path / "mixed" / record.folder.name)
    (mixed,) = race(["toy:counts", "toy:"], ["toy"], out=tmp_path / "mixed")
    assert [record.finished().n for record in mixed] == [entry(decided[0])["used"], COUNT]
    assert [record.finished().sequential.decision for record in mixed] == ["second_better"] * 2


def test_equal_models_are_the_same_within_a_margin_or_finish_the_set(command, tmp_path):
    arguments = ["run", "--model", "toy:,toy:slow", "--task", "toy", "--until-decided", "--out", tmp_path / "runs"]
    done = command(*arguments, "--margin", 6)
    assert done.returncode == 0, done.stderr
    assert "toy: and toy:slow are the same within 6 points" in done.stdout
    stated = entry(next((tmp_path / "runs").glob("toy--toy")))
    assert (stated["decision"], stated["target"], stated["tied"]) == ("within_margin", 0.06, ["toy:", "toy:slow"])
    assert stated["used"] < COUNT
    done = command(*arguments)
    assert done.stdout.startswith("Not decided: all 800 samples do not show whether toy: or toy:slow is better"), done
    assert "The ordinary test of all samples, made once: " in done.stdout
    assert "no difference was found" in done.stdout


def test_of_several_models_those_that_are_worse_leave_early(tmp_path):
    (records,) = race(["toy:picky", "toy:counts", "toy:"], ["toy"], out=tmp_path, margin=18)
    picky, counts, plain = (record.finished() for record in records)
    assert counts.n < plain.n == picky.n <= COUNT
    assert counts.sequential.pair[0] in {"toy:", "toy:picky"}
    assert (counts.sequential.pair[1], counts.sequential.decision) == ("toy:counts", "first_better")
    assert (plain.sequential.best, plain.sequential.tied) == (None, ["toy:picky", "toy:"])
    text = outcome.text(records)
    assert "toy:picky and toy: are the same within 18 points." in text
    assert "about any of the 3 pairs is wrong in at most 5 of 100 races" in text
    assert "out: toy:" in text
    drawn = page_of_runs.render(records)
    assert drawn.count('class="forest looks"') == 2, "a drawing for each model but the leader"
    assert f"After {counts.n} of 800 samples: {counts.sequential.pair[0]} is better than toy:counts by " in drawn
    assert "so toy:counts leaves the race." in drawn
    assert "are the same within 18 points (" in drawn
    assert "The dotted lines are 18 points above and below zero" in drawn
    assert text.startswith(f"Decided after {plain.n} of 800 samples")
    assert f"toy:counts left the race after {counts.n} of 800 samples: " in terminal.show(records[1])
    assert f"Decided after {plain.n} of 800 samples" in terminal.show(records[2])
    (alone,) = race(["toy:counts", "toy:"], ["toy"], out=tmp_path / "alone")
    assert alone[0].finished().n <= counts.n, "of three pairs, each needs more evidence than one pair alone"


def test_a_race_of_two_models_in_the_folders_of_a_race_of_three(decided, tmp_path):
    (three,) = race(["toy:picky", "toy:counts", "toy:"], ["toy"], out=tmp_path, margin=18)
    used = [record.finished().n for record in three]
    (two,) = race(["toy:counts", "toy:"], ["toy"], out=tmp_path)
    assert [record.finished().n for record in two] == used[1:], "no sample is lost"
    assert [entry(record.folder) | {"ids": ""} for record in two] == [entry(decided[0]) | {"ids": ""}] * 2
    assert f"Decided after {entry(decided[0])['used']} of 800 samples" in outcome.text(two)
    assert "The runs have more samples than that, of earlier commands; the table uses them." in outcome.text(two)


@pytest.mark.slow
def test_workers_decide_the_same(tmp_path):
    stated = []
    for workers in (1, 2):
        out = tmp_path / str(workers)
        done = process("run", "--model=toy:counts,toy:", "--task=toy,toy/numbers", "--until-decided", "--margin=9",
                       f"--workers={workers}", f"--out={out}")  # fmt: skip
        assert done.returncode == 0, done.stderr
        stated.append({folder.name: entry(folder) for folder in out.iterdir()})
    assert stated[0] == stated[1]
    assert len(stated[0]) == 4


def test_what_does_not_fit_is_refused_before_a_model_is_loaded(command, tmp_path):
    two = f"toy:,toy:logged:{tmp_path}"
    refused = {
        ("toy:", "toy"): "--until-decided compares models: name two or more",
        ("toy:,toy:", "toy"): "named twice",
        (two, "toy", "--margin", "0"): "--margin 0: give percentage points",
        (two, "toy", "--precision", "2"): "--precision cannot be given with --until-decided",
        (two, "toy", "--limit", "20"): "--limit 20 cannot be given",
        (two, "toy", "--cluster", "auto"): "--cluster cannot be given with --until-decided: the models compute in turn",
        (two, "toy", "--track", "trackioo"): "no tracker is named 'trackioo'",
        (two, "toy", "--predictor", "run"): "--predictor is for --precision",
        ("r1,v2", "glue/sst2,glue/cola"): "matthews of task 'glue/cola' is no mean of its samples' values",
        ("r1,v2", "efficiency"): "cannot stop early",
        ("r1,v2", "vqa"): "shows image",
    }
    for (models, task, *options), why in refused.items():
        done = command("run", "--model", models, "--task", task, "--until-decided", *options, "--out", tmp_path / "run")
        assert (done.returncode, why in done.stderr) == (2, True), (why, done.stderr)
    done = command("run", "--model", "toy:", "--task", "toy", "--margin", 2)
    assert (done.returncode, "--margin is for --until-decided" in done.stderr) == (2, True)
    assert not list(tmp_path.iterdir())


def test_models_with_seeds_of_their_own_have_no_common_order(tmp_path, monkeypatch):
    from evals.app import readiness

    ready = readiness.ready

    def seeded(config):
        run = ready(config)
        options = dataclasses.replace(run.config.options, seed=len(config.model))
        return dataclasses.replace(run, config=dataclasses.replace(run.config, options=options))

    monkeypatch.setattr(readiness, "ready", seeded)
    with pytest.raises(InputError, match=r"needs one random order, .*toy: 4, toy:slow 8"):
        race(["toy:", "toy:slow"], ["toy"], out=tmp_path)


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """A complete run of the better model, as of an earlier day."""
    return evals.run("toy:", "toy", out=tmp_path_factory.mktemp("earlier") / "toy--toy").folder


def test_a_model_that_has_become_worse_is_found_without_computing_the_earlier_run_again(command, earlier, tmp_path):
    before = {path.name: path.read_bytes() for path in earlier.iterdir() if path.is_file()}
    arguments = ["run", "--model", "toy:counts", "--task", "toy", "--until-decided", "--against", earlier]
    done = command(*arguments, "--strict", "--out", tmp_path / "runs")
    assert done.returncode == 1, done.stderr
    folder = tmp_path / "runs"
    stated = entry(folder)
    assert (stated["decision"], stated["models"]) == ("second_better", ["toy:counts", "recorded toy:"])
    assert stated["against"] == load(earlier).manifest.signature
    assert stated["used"] == len(ids(folder)) < COUNT
    row = f"toy:counts toy worse {100 * stated['difference']:.1f} points "
    assert row in " ".join(done.stdout.split())
    assert f" {stated['used']} of 800\n" in done.stdout
    assert "toy:counts on toy is worse. What differs: " in done.stdout
    assert before == {path.name: path.read_bytes() for path in earlier.iterdir() if path.is_file()}
    lines = (folder / "samples.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "samples.jsonl").write_bytes(b"".join(lines[:-9]))
    (folder / "result.json").unlink()
    assert command(*arguments, "--out", folder).returncode == 0, "without --strict nothing fails"
    assert entry(folder) == stated, "the race goes on where it was killed, and decides the same"


def test_a_model_that_is_the_same_is_compared_with_its_own_run_in_a_folder(command, earlier, tmp_path):
    arguments = ["run", "--model", "toy:", "--task", "toy", "--until-decided", "--margin", 6, "--out", tmp_path / "run"]
    done = command(*arguments, "--against", earlier.parent, "--strict")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Compared with the earlier run: 1 the same within 6 points. ")
    assert entry(tmp_path / "run")["used"] < COUNT
    arguments.remove("--margin")
    arguments.remove(6)
    done = command(*arguments, "--against", earlier)
    assert done.stdout.startswith("Compared with the earlier run: 1 no value differs. 800 of 800 samples were needed.")


def test_a_headline_of_which_lower_values_are_better_is_no_race(monkeypatch):
    lower = partial(Metric, higher_is_better=False)
    monkeypatch.setitem(TASKS.get("toy").summarise.__globals__, "Metric", lower)
    with pytest.raises(InputError, match="lower values of accuracy of task 'toy' are better"):
        race(["toy:counts", "toy:"], ["toy"])


def test_a_day_whose_run_stopped_early_is_compared_on_the_shared_samples(earlier, decided):
    worse, same = (series.Day("now", {"a run": load(folder)}) for folder in decided)
    before = series.Day("before", {"a run": load(earlier)})
    assert series.changes([before, same]) == []
    (line,) = series.changes([before, worse])
    assert line.startswith("a run: accuracy differs by -")
    assert f" from before on {entry(decided[0])['used']} shared samples; a run stopped early" in line
    assert [trend.points[1].changed for day in (same, worse) for trend in series.trends([before, day])] == [False, True]


def test_what_cannot_be_an_earlier_run_is_refused(command, decided, earlier, tmp_path):
    def refuses(text, *arguments, model="toy:", task="toy", out=tmp_path / "out"):
        refused(command("run", "--model", model, "--task", task, "--out", out, *arguments), text)

    refuses("--against is for --until-decided", "--against", earlier)
    refuses("--strict is for --against RUN", "--until-decided", "--strict")
    race_with = ("--until-decided", "--against")
    refuses("has no run of toy:slow on toy; it has toy: on toy", *race_with, earlier.parent, model="toy:slow")
    refuses("has no run of toy: on toy/numbers", *race_with, earlier, task="toy/numbers")
    refuses("stopped early", *race_with, decided[1])
    refuses("is the folder of this run itself", *race_with, earlier, out=earlier)
    assert load(earlier).finished().n == COUNT
