"""GLUE: prompts, scores, and the commands."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from pathlib import Path

import checkpoints
import pytest
from commands import evals
from glue_folders import ROWS, official
from golden import FOLDER as GOLDEN

import evals as suite
from evals.registry import TASKS, discover
from evals.reports.runs import naming
from evals.schema import Options, Prediction
from evals.tasks import glue
from evals.tasks.glue_tasks import TABLE, continuation, metrics_of, prompt, read_answer, read_label

PROMPTS = json.loads((GOLDEN / "glue_prompts.json").read_text())
MAJORITY = {"cola": 1, "sst2": 1, "mrpc": 1, "stsb": 2.5, "qqp": 0, "mnli": 0, "qnli": 1, "rte": 0, "wnli": 0}
"""The answer that is right most often, by task."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return official(tmp_path_factory.mktemp("glue"))


def options(folder, **more):
    return Options(scale="full", data=folder, **more)


def suite_of(folder, **more):
    return glue.samples(list(TABLE), options(folder, **more))


def task_of(sample):
    return sample.labels["task"]


def metrics(samples, answer):
    """The metrics of the suite when each sample is answered by a function of it."""
    found = list(samples)
    predictions = {sample.id: [Prediction(sample.id, output=answer(sample))] for sample in found}
    return glue.summarise_suite(glue.score_suite(found, predictions))


# The table


def test_prompts_and_endings_are_as_they_were():
    """A trained replica knows these words: changing them changes its results."""
    for task in TABLE.values():
        texts = {column: f" This is\nthe {column}. " for column in task.columns}
        expected = PROMPTS[task.name]
        assert prompt(task.name, texts) == expected["prompt"]
        assert [continuation(task.name, number) for number in range(len(task.continuations))] == expected["endings"]
    assert set(PROMPTS) == set(TABLE)


def test_the_table_is_consistent():
    for task in TABLE.values():
        assert len(task.columns) == len(task.text_names)
        assert len(task.continuations) == (len(task.labels) or 6)
        assert all(text.startswith(" ") and text.strip() for text in task.continuations)


def test_each_is_a_task_and_all_nine_are_one():
    discover()
    assert {task.name for task in TASKS if task.name.startswith("glue")} == {
        "glue",
        *(f"glue/{name}" for name in TABLE),
    }
    assert TASKS.get("glue/mnli").headline == "accuracy/matched"


@pytest.mark.parametrize(
    ("task", "answer", "number"),
    [
        ("rte", "entailment", 0), ("rte", "not_entailment", 1), ("wnli", "entailment", 1), ("rte", " yes", 0),
        ("rte", "YES\n", 0), ("rte", "0", 0), ("rte", 1, 1), ("rte", 1.0, 1), ("rte", "1.0", 1), ("rte", 2, None),
        ("rte", "-1", None), ("rte", 0.5, None), ("rte", True, None), ("rte", None, None), ("rte", "", None),
        ("rte", "yes, I think", None), ("rte", ["yes"], None), ("mnli", "contradiction", 2), ("mnli", "2", 2),
        ("stsb", "3.800", 3.8), ("stsb", 4, 4.0), ("stsb", " 5", 5.0), ("stsb", "nan", None), ("stsb", "four", None),
        ("stsb", "1e999", None), ("stsb", -3, -3.0), ("stsb", True, None),
    ],
)  # fmt: skip
def test_answers_are_read(task, answer, number):
    assert read_answer(TABLE[task], answer) == number


def test_an_ending_is_no_label_of_a_file():
    assert read_label(TABLE["rte"], "yes") is None


# What is asked


def test_ids_are_row_indices_and_the_suite_takes_the_files_in_turn(folder):
    assert list(glue.samples(["rte"], options(folder)).ids) == [str(n) for n in range(ROWS)]
    ids = glue.samples(["mnli"], options(folder)).ids
    assert ids[:3] == ["matched/0", "mismatched/0", "matched/1"]
    assert glue.samples(["mnli"], options(folder, split="validation_mismatched")).ids[:2] == ["0", "1"]
    ids = suite_of(folder).ids
    assert len(ids) == len(set(ids)) == 10 * ROWS
    assert ids[:2] == ["cola/0", "sst2/0"]
    assert ids[5:11] == ["mnli/matched/0", "mnli/mismatched/0", "qnli/0", "rte/0", "wnli/0", "cola/1"]


def test_a_sample_is_asked_by_its_prompt_and_the_endings(folder):
    sample = glue.samples(["rte"], options(folder))[3]
    (request,) = sample.requests
    assert request.parts == (prompt("rte", {c: f'"{c} 3 of validation' for c in ("sentence1", "sentence2")}),)
    assert request.choices == (" yes", " no")
    assert request.normalise == "none"
    assert (sample.target, sample.labels) == ("not_entailment", {"task": "rte"})


def test_examples_depend_on_the_samples_id_and_the_seed_alone(folder):
    def shots(samples, id):
        return samples[list(samples.ids).index(id)].requests[0].parts[:-1]

    alone = glue.samples(["rte"], options(folder, shots=3))
    assert len(shots(alone, "5")) == 3
    assert shots(alone, "5") == shots(suite_of(folder, shots=3), "rte/5")
    assert shots(alone, "5") == shots(glue.samples(["rte"], options(folder, shots=3, limit=6)), "5")
    assert shots(alone, "5") != shots(alone, "6")
    assert shots(alone, "5") != shots(glue.samples(["rte"], options(folder, shots=3, seed=1)), "5")
    for shot in shots(alone, "5"):
        assert "of train" in shot
        assert shot.endswith(("\nAnswer: yes\n\n", "\nAnswer: no\n\n"))


def test_the_same_examples_for_all_rows_if_wanted(folder):
    for seed in range(3):
        wanted = options(folder, shots=3, same_shots=True, seed=seed)
        for samples in (glue.samples(["rte"], wanted), glue.samples(["mnli"], wanted)):
            drawn = {sample.requests[0].parts[:-1] for sample in samples}
            assert len(drawn) == 1
            assert len(set(*drawn)) == 3
    seeds = [glue.samples(["rte"], options(folder, shots=3, same_shots=True, seed=seed)) for seed in range(9)]
    assert len({samples[0].requests[0].parts[:-1] for samples in seeds}) > 1


def test_every_row_of_train_is_drawn_as_often(folder):
    samples = [glue.samples(["rte"], options(folder, shots=3, seed=seed)) for seed in range(60)]
    drawn = Counter(part for one in samples for sample in one for part in sample.requests[0].parts[:-1])
    assert len(drawn) == ROWS
    expected = 60 * ROWS * 3 / ROWS
    assert sum((count - expected) ** 2 / expected for count in drawn.values()) < 31  # chi-squared, 11 degrees, 0.001


def test_rows_with_one_first_text_are_one_cluster(shared_data):
    samples = glue.samples(["mnli"], options(shared_data / "glue", split="validation_matched"))
    sizes = Counter(sample.cluster for sample in samples)
    assert len(sizes) == 3334
    assert Counter(sizes.values())[3] == 3151


def test_what_determines_the_samples_is_in_their_facts(folder):
    facts = glue.samples(["rte"], options(folder)).facts
    assert facts["source"] == "official files"
    assert set(facts["files"]) == {"rte/dev.tsv"}
    assert set(glue.samples(["rte"], options(folder, shots=1)).facts["files"]) == {"rte/dev.tsv", "rte/train.tsv"}


# What answers are worth


def test_right_answers_are_worth_1(folder):
    found = metrics(suite_of(folder), lambda sample: sample.target)
    assert all(metric.value == 1.0 and metric.note is None for metric in found.values())


def test_the_average_is_the_leaderboards(folder):
    """Each task counts once; worked here from the tasks' own metrics."""
    found = metrics(suite_of(folder), lambda s: s.target if int(s.id[-1]) % 4 else MAJORITY[task_of(s)])
    value = {name: metric.value for name, metric in found.items()}
    tasks = [
        value["cola/matthews"], value["sst2/accuracy"], (value["mrpc/accuracy"] + value["mrpc/f1"]) / 2,
        (value["stsb/pearson"] + value["stsb/spearman"]) / 2, (value["qqp/accuracy"] + value["qqp/f1"]) / 2,
        (value["mnli/accuracy/matched"] + value["mnli/accuracy/mismatched"]) / 2, value["qnli/accuracy"],
        value["rte/accuracy"], value["wnli/accuracy"],
    ]  # fmt: skip
    assert value["average"] == pytest.approx(sum(tasks) / 9, abs=1e-12)
    assert found["average"].low < value["average"] < found["average"].high
    assert found["average"].note is None
    assert set(value) == {
        "average",
        *(f"{task.name}/{name}" for task in TABLE.values() for name in metrics_of(task)),
    }


def test_a_task_has_the_same_metrics_alone_and_in_the_suite(folder):
    def answer(sample):
        row = int(sample.id.rpartition("/")[2])
        return sample.target if row % 5 else MAJORITY[task_of(sample)]

    whole = metrics(suite_of(folder), answer)
    for name in TABLE:
        samples = list(glue.samples([name], options(folder)))
        predictions = {sample.id: [Prediction(sample.id, output=answer(sample))] for sample in samples}
        alone = glue.summarise(glue.score(samples, predictions))
        assert alone == {metric: whole[f"{name}/{metric}"] for metric in alone}


@pytest.mark.slow
def test_majority_baselines_are_those_of_the_literature(shared_data):
    """Wang et al. 2019 and everybody since: 0 MCC, 50.9, 68.4 and 81.2, 63.2, 35.4 and 35.2, 50.5, 52.7, 56.3."""
    found = metrics(suite_of(shared_data / "glue"), lambda sample: MAJORITY[task_of(sample)])
    percent = {name: round(100 * metric.value, 1) for name, metric in found.items()}
    assert percent == {
        "average": 39.1, "cola/matthews": 0.0, "sst2/accuracy": 50.9, "mrpc/accuracy": 68.4, "mrpc/f1": 81.2,
        "stsb/pearson": 0.0, "stsb/spearman": 0.0, "qqp/accuracy": 63.2, "qqp/f1": 0.0, "mnli/accuracy/matched": 35.4,
        "mnli/accuracy/mismatched": 35.2, "qnli/accuracy": 50.5, "rte/accuracy": 52.7, "wnli/accuracy": 56.3,
    }  # fmt: skip
    for name in ("cola/matthews", "stsb/pearson", "stsb/spearman"):
        assert "all answers are the same" in found[name].note
        assert name in found["average"].note


def test_what_cannot_be_read_is_wrong_and_counted(folder):
    found = metrics(suite_of(folder), lambda sample: "I cannot say.")
    assert {name: metric.value for name, metric in found.items() if "accuracy" in name} == dict.fromkeys(
        (name for name in found if "accuracy" in name), 0.0
    )
    assert found["cola/matthews"].value == -1.0
    assert found["stsb/pearson"].value < -0.8
    samples = list(glue.samples(["stsb"], options(folder)))[:2]
    predictions = {
        s.id: [Prediction(s.id, output="many") if s.id == "0" else Prediction(s.id, failure="lost")] for s in samples
    }
    unread, failed = glue.score(samples, predictions)
    assert (unread.answer, unread.failed, unread.values) == (None, False, {"closeness": 0.0})
    assert (failed.answer, failed.failed, failed.values) == (None, True, {"closeness": 0.0})


def test_sts_b_is_the_mean_of_the_scale_under_the_endings_probabilities(folder):
    (sample,) = [s for s in glue.samples(["stsb"], options(folder)) if s.id == "0"]
    logs = [math.log(p) - 40 for p in (0.1, 0.0001, 0.0001, 0.4998, 0.4, 0.0)[:5]] + [-1e9]
    expected = (0.0001 + 0.0002 + 3 * 0.4998 + 1.6) / 1.0
    (score,) = glue.score([sample], {"0": [Prediction("0", output=" 3", scores=tuple(logs))]})
    assert score.answer == pytest.approx(expected, abs=1e-12)
    assert score.values == {"closeness": pytest.approx(1 - abs(expected - sample.target) / 5)}


def test_a_suite_without_some_tasks_has_no_average_and_says_so(folder):
    samples = suite_of(folder)
    found = metrics([samples[n] for n in range(3)], lambda sample: sample.target)
    assert "average" not in found
    assert "no average: without stsb/pearson, stsb/spearman" in found["cola/matthews"].note


@pytest.mark.slow
def test_the_tasks_whose_files_are_there_are_run(folder, tmp_path):
    data = tmp_path / "some"
    shutil.copytree(folder / "RTE", data / "RTE")
    shutil.copytree(folder / "SST-2", data / "SST-2")
    record = suite.run("r1", "glue", data=data, limit=20, out=tmp_path / "run")
    assert record.manifest.data["without"] == ["cola", "mrpc", "stsb", "qqp", "mnli", "qnli", "wnli"]
    assert set(record.result.metrics) == {"rte/accuracy", "sst2/accuracy"}
    assert record.result.headline == "sst2/accuracy"
    assert "without cola, mrpc, stsb, qqp, mnli, qnli, wnli" in naming.about([record])
    with pytest.raises(suite.InputError, match="no CoLA/dev"):
        suite.run("r1", "glue", data=tmp_path / "run", out=tmp_path / "none")


# Through the commands


def recorded(path: Path, samples, answer=lambda sample: sample.target) -> Path:
    path.write_text("index\tprediction\n" + "".join(f"{sample.id}\t{answer(sample)}\n" for sample in samples))
    return path


@pytest.mark.parametrize("name", [*TABLE, "glue"])
def test_recorded_gold_answers_score_1(folder, tmp_path, name):
    names, task = (list(TABLE), "glue") if name == "glue" else ([name], f"glue/{name}")
    file = recorded(tmp_path / "gold.tsv", glue.samples(names, options(folder)))
    record = suite.run(f"replay:{file}", task, scale="full", data=folder, out=tmp_path / "run")
    assert record.result["unparsed"] == 0
    assert {metric["value"] for metric in record.result["metrics"].values()} == {1.0}
    assert record.manifest["task"]["method"] == "choose"
    again = suite.score(tmp_path / "run")
    assert again.result["metrics"] == record.result["metrics"]


def test_the_reports_say_what_is_undefined(folder, tmp_path):
    file = recorded(tmp_path / "all.tsv", glue.samples(["cola"], options(folder)), lambda sample: 1)
    done = evals("run", "--model", f"replay:{file}", "--task", "glue/cola", "--data", folder, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    words = "matthews: all answers are the same: the coefficient is undefined and counts as 0"
    assert words in done.stdout
    assert words in (tmp_path / "run" / "report.md").read_text()
    assert words in (tmp_path / "run" / "report.html").read_text()
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["metrics"]["matthews"]["note"] == words.removeprefix("matthews: ")


def test_a_submission_file_of_one_set_is_scored(folder, tmp_path):
    samples = glue.samples(["mnli"], options(folder, split="validation_mismatched"))
    file = recorded(tmp_path / "MNLI-mm.tsv", samples)
    record = suite.run(
        f"replay:{file}", "glue/mnli", data=folder, split="validation_mismatched", out=tmp_path / "run"
    )  # fmt: skip
    assert (record.result["headline"], list(record.result["metrics"])) == (
        "accuracy/mismatched",
        ["accuracy/mismatched"],
    )


def test_a_language_model_is_asked(folder, tmp_path):
    model = checkpoints.language_model(tmp_path / "llama", "llama")
    record = suite.run(str(model), "glue", data=folder, shots=1, limit=40, out=tmp_path / "run")
    assert (record.result["n"], record.result["failed"], record.result["unparsed"]) == (40, 0, 0)
    assert record.manifest["task"]["method"] == "choose"
    scores = [row for row in record.samples() if row["labels"]["task"] == "stsb"]
    assert all(0 < row["answer"] < 5 and len(row["scores"][0]) == 6 for row in scores)
