"""Exports of a run: the formats' own readers accept them, and they say what a reader could mistake.

pytest tests/reports/exports
EVALS_GOLDEN=write pytest tests/reports/exports -k golden     after an intended change; look at the diff

Logs and samples are validated by the JSON schemas of every_eval_ever 0.3.0 (tests/golden/every_eval_ever, MIT licence).
The package itself needs Python 3.12 and older packages than ours; where it is installed, a test asks its models too.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import golden
import jsonschema
import pytest
import yaml
from commands import evals, refused
from msgspec import structs
from run_folders import HOSTILE, METRICS, make, manifest, metric

from evals.errors import InputError, RecordError
from evals.records.folder import Record
from evals.records.imported import ImportEntry
from evals.reports.exports import every_eval_ever

GOLDEN = golden.FOLDER / "exports"
WHEN = 1_764_000_000
"""24 November 2025, 16:00 UTC."""


def run(folder, *, name="vl", task="vqa", split="validation", source="bundled", metrics=METRICS, n=4, **chosen):
    signed = manifest(name=task, split=split, scale="mini" if source == "bundled" else "full", **chosen)
    signed["data"]["source"] = source
    signed["model"]["name"] = name
    record = make(folder, metrics=metrics, signed=signed, task=task, n=n, headline=next(iter(metrics)))
    os.utime(record.folder / "result.json", (WHEN, WHEN))
    return record


@pytest.fixture
def replica(tmp_path):
    return run(tmp_path / "replica")


@pytest.fixture
def whole(tmp_path):
    """A run of a public model on all of SST-2."""
    return run(
        tmp_path / "whole", name="hf:org/model@0123abc", task="glue/sst2", source="official files", n=872,
        metrics={"accuracy": metric(0.9, 872)}, shots=3,
    )  # fmt: skip


@pytest.mark.parametrize("format", ["every-eval-ever", "model-index"])
def test_golden(replica, format):
    text = every_eval_ever.render([replica], format)
    path = GOLDEN / f"run.{format}.txt"
    if os.environ.get("EVALS_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


def schema(name):
    content = json.loads((golden.FOLDER / "every_eval_ever" / f"{name}.schema.json").read_text(encoding="utf-8"))
    return jsonschema.validators.validator_for(content)(content)


def test_logs_and_samples_are_valid_by_the_published_schemas(replica, whole):
    for record in (replica, whole):
        log = json.loads(every_eval_ever.render([record], "every-eval-ever"))
        schema("eval").validate(log)
        lines = every_eval_ever.render([record], "every-eval-ever-samples").splitlines() if record is replica else []
        for line in lines:
            schema("instance_level_eval").validate(json.loads(line))
        assert len(lines) == (4 if record is replica else 0)
    assert not schema("eval").is_valid({**log, "schema_version": 3})
    assert not schema("instance_level_eval").is_valid({})


def test_every_eval_ever_takes_it(replica, whole):
    eval_types = pytest.importorskip("every_eval_ever.eval_types")
    for record in (replica, whole):
        log = json.loads(every_eval_ever.render([record], "every-eval-ever"))
        read = eval_types.EvaluationLog.model_validate(log)
        scores = {result.metric_config.metric_name: result.score_details.score for result in read.evaluation_results}
        assert scores == {name: entry.value for name, entry in record.result.metrics.items()}
        assert read.model_dump(mode="json", exclude_unset=True).keys() == log.keys()


def test_every_eval_ever_has_every_metric_with_its_interval(replica):
    log = every_eval_ever.log(replica)
    assert log["schema_version"] == "0.3.0"
    found = {each["metric_config"]["metric_name"]: each["score_details"] for each in log["evaluation_results"]}
    assert found.keys() == METRICS.keys()
    for name, details in found.items():
        assert details["score"] == METRICS[name]["value"]
        assert details["uncertainty"]["num_samples"] == METRICS[name]["n"]
        interval = details["uncertainty"].get("confidence_interval")
        assert (interval and interval["lower"]) == METRICS[name]["low"]
    assert "replicas" in log["source_metadata"]["additional_details"]["about"]
    details = log["model_info"]["additional_details"]
    assert (details["deployment_type"], details["model_availability"]) == ("self_deployed", "open_weights")
    assert log["evaluation_results"][0]["source_data"]["dataset_name"] == "VQA 2.0, bundled"


@pytest.mark.parametrize(
    ("entry", "lower"),
    [
        ({"higher_is_better": False}, True),
        ({"higher_is_better": True, "unit": "seconds"}, False),
        ({}, False),  # a record of version 0.1
        ({"unit": "seconds"}, True),
    ],
)
def test_every_eval_ever_has_the_direction_of_a_metric(tmp_path, entry, lower):
    record = run(tmp_path / "run", metrics={"run-on": metric(0.1) | entry})
    (result,) = every_eval_ever.log(record)["evaluation_results"]
    assert result["metric_config"]["lower_is_better"] is lower


@pytest.mark.parametrize(
    ("stated", "shown"),
    [({}, {}), ({"temperature": 0.7}, {"temperature": 0.7}), ({"generation_kwargs": {"top_p": 0.9}}, {"top_p": 0.9})],
)
def test_every_eval_ever_has_only_the_settings_that_a_log_states(tmp_path, stated, shown):
    record = run(tmp_path / "run")
    log = ImportEntry(harness="lm-eval", task="gsm8k", files={}, metrics={}, protocol=stated)
    (result, *_) = every_eval_ever.log(replace(record, manifest=structs.replace(record.manifest, imported=log)))[
        "evaluation_results"
    ]
    told = result["generation_config"]["generation_args"]
    assert {key: value for key, value in told.items() if key != "execution_command"} == shown
    assert not {"seed", "method", "samples"} & result["generation_config"]["additional_details"].keys()


def test_the_hub_reads_the_card(replica, whole):
    from huggingface_hub.repocard_data import model_index_to_eval_results

    for record, dataset in ((replica, "claim-evals/vqa"), (whole, "nyu-mll/glue")):
        index = yaml.safe_load(every_eval_ever.render([record], "model-index"))["model-index"]
        _, results = model_index_to_eval_results(index)
        headline = results[0]
        assert headline.metric_name == record.result["headline"]
        assert headline.metric_value == record.result["metrics"]["accuracy"]["value"]
        assert headline.dataset_type == dataset
        assert not any("question-type" in result.metric_name for result in results)


def test_the_hub_reads_the_results(whole):
    from huggingface_hub import parse_eval_result_entries

    (entry,) = parse_eval_result_entries(yaml.safe_load(every_eval_ever.render([whole], "eval-results")))
    assert (entry.dataset_id, entry.task_id, entry.value) == ("nyu-mll/glue", "sst2", 0.9)
    assert entry.date == "2025-11-24"
    assert "3 shots" in entry.notes
    assert whole.manifest.signature in entry.notes


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "its data are bundled or your own"),
        ({"source": "official files"}, "4 of 214,354 samples were run"),
        ({"source": "official files", "n": 214_354, "blind": True}, "it is a blind control"),
        (
            {"source": "MATH files", "task": "math/math", "split": "test"},
            "no data set of the hub is known for math/math",
        ),
        ({"source": "official files", "split": "test"}, "no data set of the hub is known for vqa test"),
    ],
)
def test_leaderboards_get_whole_public_benchmarks_only(tmp_path, changes, reason):
    with pytest.raises(InputError, match=reason):
        every_eval_ever.render([run(tmp_path / "run", **changes)], "eval-results")


def test_runs_that_a_format_cannot_hold_are_refused(replica, whole):
    with pytest.raises(InputError, match="one run per file: 2 were given"):
        every_eval_ever.render([replica, whole], "every-eval-ever")
    with pytest.raises(InputError, match="claim-evals/vl and org/model were given"):
        every_eval_ever.render([replica, whole], "model-index")
    with pytest.raises(RecordError, match="is not finished"):
        every_eval_ever.render([Record(replica.folder, replica.manifest, None)], "model-index")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_stays_text(tmp_path, text):
    record = run(tmp_path / "run", name=text)
    assert json.loads(every_eval_ever.render([record], "every-eval-ever"))["model_info"]["name"]
    (model,) = yaml.safe_load(every_eval_ever.render([record], "model-index"))["model-index"]
    assert "\x1b" not in model["name"]


def test_no_home_folder_is_told(tmp_path):
    record = run(tmp_path / "run")
    record.manifest.command = f"python -m evals run --model {Path.home()}/secret/model --task vqa"
    log = every_eval_ever.render([record], "every-eval-ever")
    assert "~/secret/model" in log
    assert str(Path.home()) not in log.replace("~", "")


def test_the_command_prints_them(replica):
    done = evals("report", replica.folder, "--format", "model-index")
    assert done.returncode == 0, done.stderr
    assert done.stdout == every_eval_ever.render([replica], "model-index")
    assert refused(evals("report", replica.folder, "--format", "eval-results"), "leaderboards", "bundled")
