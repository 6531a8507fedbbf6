"""Runs that stop early: which samples they have, what they state, and that nothing reads them as complete runs."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil

import msgspec
import pytest
from commands import evals as command
from commands import process

import evals
from evals.errors import InputError, RecordError
from evals.execution.sequential.eligible import EarlyStop
from evals.records.folder import load
from evals.records.sequential.random_order import random_order
from evals.records.sequential.stopped import drawn_clusters
from evals.registry import TASKS
from evals.reports.choices import comparable
from evals.reports.exports import every_eval_ever, hub, publishing, samples
from evals.reports.runs import comparison as comparison_text
from evals.reports.runs import naming, tables, terminal
from evals.schema import Options, Score
from evals.statistics.sequential.means import difference_sequence, mean_sequence

PRECISION = 10
COUNT = 800


@pytest.fixture(scope="module", autouse=True)
def small():
    """Give the toy task fewer samples than it has for others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TASKS.get("toy").samples.__globals__, "COUNT", COUNT)
        yield


def read(folder, name="result.json"):
    content = json.loads((folder / name).read_text())
    content.pop("efficiency", None)
    return content


def rows(folder):
    lines = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    return {row["id"]: {key: row[key] for key in ("index", "output", "values", "cluster")} for row in lines}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return evals.run("toy:", "toy", out=tmp_path_factory.mktemp("whole") / "run").folder


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    return evals.run("toy:", "toy", precision=PRECISION, out=tmp_path_factory.mktemp("stopped") / "run").folder


def test_a_stopped_run_has_a_beginning_of_the_random_order(stopped, whole):
    order = random_order([str(n) for n in range(COUNT)], [str(n // 5) for n in range(COUNT)], 0)
    result, samples = load(stopped).finished(), rows(stopped)
    assert 100 < result.n < 0.8 * COUNT
    assert {order.positions[place] for place in range(result.n)} == {row["index"] for row in samples.values()}
    assert result.n % 5 == 0, "clusters are complete"
    everything = rows(whole)
    assert samples == {id: everything[id] for id in samples}


def test_it_states_its_looks_and_the_interval_of_the_sequence(stopped):
    result, record = read(stopped), load(stopped)
    entry, metric = result["sequential"], result["metrics"]["accuracy"]
    assert entry | {"ids": "", "low": 0, "high": 0, "looks": 0} == {
        "rule": "precision", "target": 0.1, "looks": 0, "used": result["n"], "of": COUNT, "decision": "precise",
        "low": 0, "high": 0, "clusters": COUNT // 5, "largest": 5, "ids": "",
    }  # fmt: skip
    values = {row.id: row.values["accuracy"] for row in record.values()}
    clusters = [row.cluster for row in record.values()]
    drawn = drawn_clusters([*values], clusters, [*values.values()], 0, record.finished().stopped.whole)
    assert mean_sequence(drawn) == (entry["low"], entry["high"]) == (metric["low"], metric["high"])
    assert max(entry["high"] - drawn.mean, drawn.mean - entry["low"]) <= 0.1
    before = mean_sequence(drawn.first(len(drawn.sums_C) - 8))
    assert max(before[1] - drawn.mean, drawn.mean - before[0]) > 0.09, "it stopped as soon as it could"


def test_every_reader_says_that_it_stopped(stopped):
    n = load(stopped).finished().n
    shown = terminal.show(load(stopped))
    assert f"{n:,} of 800 in random order, stopped early" in shown
    assert f"Stopped early, as --precision asked: {n:,} of 800 samples show accuracy within 10 points." in shown
    assert f"computes the other {COUNT - n:,}." in shown
    for report in ("report.md", "report.html"):
        assert "stopped early" in (stopped / report).read_text()


def test_every_export_says_that_it_stopped(stopped, whole, tmp_path):
    record, n = load(stopped), load(stopped).finished().n
    said = f"{n:,} of 800 in random order, stopped early"
    for format in ("md", "csv", "tex", "json", "text"):
        assert said in tables.render([record], format), format
    assert f"({n:,} of 800)" in tables.render([record, load(whole)], "svg")
    (result,) = every_eval_ever.log(record)["evaluation_results"]
    assert result["source_data"]["additional_details"]["part_of_split"] == said
    assert result["source_data"]["additional_details"]["ids"] == record.finished().stopped.ids
    method = result["score_details"]["uncertainty"]["confidence_interval"]["method"]
    assert method == "confidence sequence by betting, for the value of all 800 samples"
    assert f"samples: {said}" in hub.model_index([record])
    assert "samples:" not in hub.model_index([load(whole)])
    assert samples.export(record, "jsonl", tmp_path / "samples.jsonl") == n
    assert all(json.loads(line)["part"] == said for line in (tmp_path / "samples.jsonl").read_text().splitlines())
    with pytest.raises(InputError, match="is not pushed: "):
        publishing.check_publishable(record, "org/model", same_model=True)


def test_reports_say_what_intervals_are_about_where_both_kinds_stand(stopped, whole):
    both = "Intervals of runs that have a part of the samples (at random, or stopped early) are about the whole split"
    record, result = load(whole), load(whole).finished()
    metric = msgspec.structs.replace(result.metrics["accuracy"], low=0.4, high=0.6)
    record = dataclasses.replace(record, result=msgspec.structs.replace(result, metrics={"accuracy": metric}))
    assert both in tables.render([load(stopped), record], "csv") + tables.render([load(stopped), record], "text")
    for alone in (load(stopped), record):
        assert both not in tables.render([alone], "text")


def test_a_stopped_run_and_the_whole_one_of_the_same_signature_do_not_differ(stopped, whole):
    text, n = comparison_text.text(evals.compare(stopped, whole)), load(stopped).finished().n
    assert text.startswith("Two runs of one signature (")
    assert f"), of which one stopped early, have the same value on each of the first {n:,} of 800 samples in" in text
    assert f"Values are those of the {n:,} samples that both runs have." in text


def test_a_stopped_run_hides_no_complete_one_of_its_signature(stopped, whole):
    part, complete = load(stopped), load(whole)
    first = msgspec.structs.replace(part.manifest, started="2020-01-01T00:00:00")
    for runs in ([part, complete], [complete, part], [dataclasses.replace(part, manifest=first), complete]):
        (kept,) = comparable.sort(runs, ["toy"]).quality["toy"].values()
        assert kept.folder == whole
    assert [entry.why for entry in comparable.sort([part], ["toy"]).apart] == [comparable.STOPPED_EARLY]


def test_names_tell_a_stopped_run_from_the_complete_one_of_its_signature(stopped, whole):
    part, complete = load(stopped), load(whole)
    signature = part.manifest.signature[:6]
    assert naming.short_names([part, complete]) == [
        f"toy: {signature} n={part.finished().n}",
        f"toy: {signature} n=800",
    ]
    assert len({*naming.short_names([part, complete, complete])}) == 3


def test_a_plan_counts_the_samples_that_its_pilot_has(stopped, whole):
    for folder, samples_of_pilot in {
        stopped: f"{load(stopped).finished().n:,} samples (stopped early)",
        whole: "800 samples",
    }.items():
        done = command("plan", "--task", "toy", "--detect", "5", folder)
        assert f"Pilot of toy: toy:, {samples_of_pilot} at mini scale." in done.stdout, done


def test_the_page_draws_the_looks(stopped, whole):
    page, entry = (stopped / "report.html").read_text(), read(stopped)["sequential"]
    (summary,) = re.findall(r'class="forest looks".*?<title>([^<]*)</title>', page)
    assert f"to {entry['used']:,} samples the accuracy went from " in summary
    assert summary.endswith(f"at the end {100 * entry['low']:.3g} to {100 * entry['high']:.3g}.")
    assert 'class="forest looks"' not in (whole / "report.html").read_text()


def test_it_goes_on_where_a_kill_left_it(stopped, tmp_path):
    shutil.copytree(stopped, folder := tmp_path / "run")
    lines = (folder / "samples.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "samples.jsonl").write_bytes(b"".join(lines[: len(lines) // 2]) + lines[-1][:20])
    (folder / "result.json").unlink()
    evals.run("toy:", "toy", precision=PRECISION, out=folder)
    assert read(folder) == read(stopped)
    assert rows(folder) == rows(stopped)


def test_samples_of_a_look_that_was_not_reached_are_removed(stopped, whole, tmp_path):
    """A smaller precision began the next look and was killed; the larger one needs no more than it had."""
    shutil.copytree(stopped, folder := tmp_path / "run")
    order = random_order([str(n) for n in range(COUNT)], [str(n // 5) for n in range(COUNT)], 0)
    following = str(order.positions[load(stopped).finished().n])
    with (folder / "samples.jsonl").open("a") as log:
        log.writelines(f"{line}\n" for line in (whole / "samples.jsonl").read_text().splitlines()
                       if json.loads(line)["id"] == following)  # fmt: skip
    (folder / "result.json").unlink()
    evals.run("toy:", "toy", precision=PRECISION, out=folder)
    assert read(folder) == read(stopped)
    assert rows(folder) == rows(stopped)


def test_without_the_option_the_set_is_finished(stopped, whole, tmp_path, capsys):
    shutil.copytree(stopped, folder := tmp_path / "run")
    evals.run("toy:", "toy", out=folder)
    assert read(folder) == read(whole)
    assert rows(folder) == rows(whole)
    assert "stopped early" not in (folder / "report.html").read_text()
    evals.run("toy:", "toy", precision=PRECISION, out=folder)
    assert read(folder) == read(whole), "a complete run is more than was asked"
    assert "run holds all samples already, so --precision has nothing to stop" in capsys.readouterr().err


def test_a_precision_that_the_set_does_not_reach_computes_all(tmp_path):
    folder = evals.run("toy:", "toy/numbers", precision=0.001, seed=3, out=tmp_path / "run").folder
    result = load(folder).finished()
    assert (result.n, result.stopped) == (1200, None)
    assert (result.sequential.decision, result.sequential.used, result.sequential.low) == ("undecided", 1200, None)
    assert "All 1,200 samples were computed" in terminal.show(load(folder))


def test_an_interrupted_run_in_another_order_is_not_mixed(whole, tmp_path):
    shutil.copytree(whole, folder := tmp_path / "run")
    (folder / "result.json").unlink()
    lines = (folder / "samples.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "samples.jsonl").write_bytes(b"".join(lines[:40]))
    with pytest.raises(
        InputError, match="not the first ones of the random order; the same command without --precision"
    ):
        evals.run("toy:", "toy", precision=PRECISION, out=folder)
    assert len(rows(folder)) == 40


def test_a_stopped_run_can_be_scored_and_is_checked_when_it_is_read(stopped, tmp_path):
    shutil.copytree(stopped, folder := tmp_path / "run")
    evals.score(folder)
    assert read(folder) == read(stopped)
    lines = (folder / "samples.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "samples.jsonl").write_bytes(b"".join(lines[1:]))
    with pytest.raises(RecordError, match="it is damaged"):
        list(load(folder).samples())
    result = json.loads((folder / "result.json").read_text())
    result["sequential"]["of"] = 799
    (folder / "result.json").write_text(json.dumps(result))
    with pytest.raises(RecordError, match=r"is not a run's, or damaged|was changed"):
        load(folder)


def test_other_values_undo_a_decision(stopped, tmp_path):
    shutil.copytree(stopped, folder := tmp_path / "run")
    content = (folder / "samples.jsonl").read_text().splitlines()
    changed = [json.loads(line) for line in content]
    changed[0]["values"]["accuracy"] = 1 - changed[0]["values"]["accuracy"]
    (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in changed))
    entry = evals.score(folder).finished().sequential
    assert (entry.decision, entry.low, entry.high) == ("undecided", None, None)


def test_two_runs_are_compared_by_the_sequence_of_their_difference(stopped, whole, tmp_path):
    other = evals.run("toy:picky", "toy", precision=1.5 * PRECISION, out=tmp_path / "other").folder
    used = load(other).finished().n
    assert used < load(stopped).finished().n
    for first in (stopped, whole):
        compared = evals.compare(first, other)
        (metric,) = compared.metrics
        assert (metric.n, metric.p, metric.adjusted, metric.detectable) == (used, None, None, None)
        a, b = rows(first), rows(other)
        halves = [(a[id]["values"]["accuracy"] - b[id]["values"]["accuracy"] + 1) / 2 for id in b]
        drawn = drawn_clusters(
            [*b], [row["cluster"] for row in b.values()], halves, 0, load(other).result.stopped.whole
        )
        assert difference_sequence(drawn) == (metric.low, metric.high)
        text = comparison_text.text(compared)
        assert f"the first {used:,} of 800 samples in random order" in text
        assert "no test of a fixed number of samples is valid" in text
    elsewhere = evals.run("toy:picky", "toy", precision=1.5 * PRECISION, seed=5, out=tmp_path / "elsewhere").folder
    with pytest.raises(InputError, match="different random orders: their seeds are 0 and 5"):
        evals.compare(stopped, elsewhere)


@pytest.mark.slow
def test_workers_look_at_the_same_samples(tmp_path):
    """In processes of their own, where the task has all of its samples."""
    folders = {workers: tmp_path / str(workers) for workers in (1, 2)}
    for workers, folder in folders.items():
        done = process("run", "--model=toy:", "--task=toy", "--precision=8", f"--workers={workers}", f"--out={folder}")
        assert done.returncode == 0, done.stderr
    assert read(folders[1]) == read(folders[2])
    assert rows(folders[1]) == rows(folders[2])
    assert load(folders[1]).finished().stopped


# Refusals


@pytest.mark.parametrize(
    ("task", "options", "why"),
    [
        ("glue/cola", {}, "matthews of task 'glue/cola' is no mean of its samples' values"),
        ("glue/stsb", {}, r"no mean of its samples' values \(pearson\)"),
        ("glue", {}, "an average of several tasks' metrics; give the tasks one by one"),
        ("glue/mnli", {}, "the mean of a part of the samples; choose that part with --split"),
        ("retrieval", {}, "scores all samples together"),
        ("glue/mnli", {"split": "validation_matched"}, None),
        ("glue/sst2", {}, None),
        ("vqa", {}, None),
        ("math/gsm8k", {}, None),
        ("tones", {}, None),
    ],
)
def test_tasks_without_such_an_interval_are_refused(task, options, why):
    adapter = TASKS.get(task)
    samples = adapter.samples(Options(**options))
    if why is None:
        assert EarlyStop.of(adapter, samples, 0, "--precision").headline.startswith("accuracy")
        return
    with pytest.raises(InputError, match=why):
        EarlyStop.of(adapter, samples, 0, "--precision")


def test_refusals_come_before_the_model_is_loaded(command, tmp_path):
    refused = {
        ("--precision", "0"): "--precision 0: give percentage points, more than 0",
        ("--precision", "100"): "less than 100",
        ("--precision", "2", "--limit", "20"): "--limit 20 cannot be given for a run that stops early",
        ("--precision", "2", "--first", "20"): "--first 20 cannot be given",
        ("--precision", "2", "--extend", "20"): "--extend 20 cannot be given",
        ("--precision", "2", "--force"): "--force needs the run and its blind control in full",
    }
    for options, why in refused.items():
        done = command("run", "--model", f"toy:logged:{tmp_path}", "--task", "toy", *options, "--out", tmp_path / "run")
        assert (done.returncode, why in done.stderr) == (2, True), done.stderr
    assert not list(tmp_path.iterdir())
    done = command("run", "--model", "r1", "--task", "efficiency", "--precision", 2)
    assert done.returncode == 2
    assert "--precision has no effect on task 'efficiency'" in done.stderr


def test_a_value_that_is_no_share_ends_the_run(monkeypatch, tmp_path):
    task = TASKS.get("toy/numbers")

    def twice(samples, predictions):
        return [
            Score(score.id, score.answer, score.target, {"accuracy": 2.0 * (not score.failed)}, score.failed)
            for score in task.score(samples, predictions)
        ]

    monkeypatch.setitem(TASKS._entries, "toy/numbers", type(task)(**{**vars(task), "score": twice}))
    with pytest.raises(InputError, match="expected 0 to 1: the run cannot stop early"):
        evals.run("toy:", "toy/numbers", precision=5, out=tmp_path / "run")
