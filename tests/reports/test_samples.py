"""Which samples a reader sees, and what an export holds of them."""

from __future__ import annotations

import csv
import json
import re

import harness_logs
import pyarrow.parquet as parquet
import pytest
import run_folders
from commands import evals, refused

from evals.app.imports import import_logs
from evals.errors import InputError, UnknownName
from evals.reports.exports import samples as exported
from evals.reports.samples import choose


@pytest.fixture
def record(tmp_path):
    return run_folders.make(tmp_path / "run")


def ids(record, *where, **options):
    return [row.id for row in choose(record, where, **options).rows]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("right", ["10"]), ("wrong", ["11", "12", "13"]), ("failed", ["13"]), ("unparsed", ["11"]), ("truncated", []),
        ("unfinished", []), ("long", []), ("disputed", []), ("answer type=yes/no", ["10", "11"]), ("id=12", ["12"]),
        ("accuracy<0.3", ["11", "13"]), ("accuracy <= 0.3", ["11", "12", "13"]), ("score>0.3", ["10"]),
        ("accuracy>=1", ["10"]), ("length>5", ["11"]), ("any~COLOR", ["12"]), ("output~maybe", ["11"]),
        ("target~red", ["10", "11", "12", "13"]), ("target=red", ["10", "11", "12", "13"]), ("target=re", []),
        ("accuracy=1", ["10"]), ("accuracy==1", ["10"]), ("accuracy=1e999", []),
    ],
)  # fmt: skip
def test_conditions(record, condition, expected):
    chosen = choose(record, [condition])
    assert ([row.id for row in chosen.rows], chosen.matching, chosen.total) == (expected, len(expected), 4)


def test_several_conditions_must_all_be_met_and_the_order_is_chosen(record):
    assert ids(record, "wrong", "answer type=yes/no") == ["11"]
    assert ids(record, sort="accuracy") == ["11", "13", "12", "10"]
    assert ids(record, sort="score:desc", count=2) == ["10", "12"]
    assert ids(record, sort="id:desc", count=None) == ["13", "12", "11", "10"]
    assert choose(record, ["wrong"], count=1).matching == 3


@pytest.mark.parametrize(
    "where", ["wrng", "acuracy<1", "answer typ=other", "accuracy<x", "accuracy<1e999", "accuracy>nan"]
)
def test_what_no_sample_has_is_refused_by_name(record, where):
    with pytest.raises(InputError) as error:
        choose(record, [where])
    assert re.split("[<>=]", where)[0] in str(error.value)
    with pytest.raises(UnknownName, match="known: accuracy, answer"):
        choose(record, sort="seconds")


def test_show_prints_the_samples_that_were_asked_for(record):
    shown = evals("show", record.folder, "--where", "wrong", "--sort", "length:desc", "--samples", "1")
    assert shown.stdout.startswith("vl on vqa: 3 of 4 questions: wrong; 1 shown\n\n11  Is there a ball?")
    refused(evals("show", record.folder, "--where", "wrng"), "--where wrng: expected right, wrong")
    refused(evals("show", record.folder, "--samples", "0"), "0 samples were asked for")


def test_disputed_samples_are_those_of_differences_csv(tmp_path):
    log = harness_logs.lm_eval_math(tmp_path / "log", flexible=[1.0, 0.0, 0.0])
    (record,) = import_logs([log], tmp_path / "run").records
    assert ids(record, "disputed") == ["1"]
    assert ids(record, "exact_match,strict-match>0") == ["0"]


@pytest.mark.parametrize("format", ["parquet", "csv", "jsonl"])
def test_an_export_holds_what_the_log_holds(record, tmp_path, format):
    path = tmp_path / f"samples.{format}"
    assert evals("export", record.folder, "--format", format, "--out", path).returncode == 0
    if format == "parquet":
        rows = parquet.read_table(path).to_pylist()
    elif format == "csv":
        with path.open(newline="", encoding="utf-8") as file:
            rows = [{name: cell or None for name, cell in row.items()} for row in csv.DictReader(file)]
    else:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row, original in zip(rows, record.samples(), strict=True):
        assert (row["id"], row["prompt"], row.get("output")) == (original.id, original.prompt, original.output)
        assert float(row["value: accuracy"]) == original.values["accuracy"]
        assert row["label: answer type"] == original.labels["answer type"]
        assert json.loads(row["target"]) == original.target
        assert str(row["failed"]) == str(original.failed)


@pytest.mark.parametrize("format", ["parquet", "csv", "jsonl"])
def test_hostile_outputs_survive_an_export(tmp_path, format):
    rows = [run_folders.row(str(n), 0.0, output=text) for n, text in enumerate([*run_folders.HOSTILE, "a\rb"])]
    record = run_folders.make(tmp_path / "run", rows, {"accuracy": run_folders.metric(0.0, len(rows))})
    assert exported.export(record, format, tmp_path / "out") == len(rows)
    if format == "csv":
        assert ",=HYPERLINK" not in (tmp_path / "out").read_text()


def test_an_export_that_fails_leaves_the_old_file(record, tmp_path):
    path = tmp_path / "samples.csv"
    path.write_text("old")
    (record.folder / "samples.jsonl").write_text("{")
    assert evals("export", record.folder, "--format", "csv", "--out", path).returncode == 2
    assert path.read_text() == "old"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["run", "samples.csv"]


@pytest.mark.parametrize("format", ["parquet", "csv", "jsonl"])
def test_an_export_needs_no_name_and_leaves_the_run_as_it_is(record, format):
    before = {path.name: path.read_bytes() for path in record.folder.iterdir() if path.is_file()}
    assert evals("export", record.folder, "--format", format).returncode == 0
    after = {path.name: path.read_bytes() for path in record.folder.iterdir() if path.is_file()}
    assert after.pop(f"export.{format}")
    assert after == before


@pytest.mark.parametrize("name", ["manifest.json", "samples.jsonl", "result.json"])
@pytest.mark.parametrize("arguments", [("export", "--format", "jsonl"), ("report", "--format", "json"), ("view",)])
def test_no_table_and_no_report_replaces_a_file_of_a_run(record, tmp_path, name, arguments):
    before = (record.folder / name).read_bytes()
    link = tmp_path / "link"
    link.symlink_to(record.folder)
    command, *more = arguments
    for folder in (record.folder, link):
        assert refused(evals(command, record.folder, *more, "--out", folder / name), "is a file of the run")
    assert (record.folder / name).read_bytes() == before
