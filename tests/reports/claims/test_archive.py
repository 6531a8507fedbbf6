"""The archive of a check: enough to write the report again, without prompts and outputs."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
from commands import evals as command
from commands import refused
from run_folders import make, manifest, metric, row

from evals.app import check
from evals.errors import InputError
from evals.reports.claims import archive, assessment
from evals.reports.claims.evidence import learning_curves
from evals.reports.claims.evidence.required_runs import RequiredRun, RunOutcome
from evals.reports.claims.language import files
from evals.reports.claims.language.values import ValueTable

DOCUMENT = """\
document: {id: t, title: T, subjects: {thing: {name: Thing, system: vl}}}
claims:
- {id: T-1, says: x, subject: thing, printed: "50", unit: percent, measure: {task: vqa, metric: accuracy}}
- {id: T-2, says: y, subject: v3, printed: "50", unit: percent, measure: {task: vqa, metric: accuracy}}
- {id: T-3, says: z, subject: thing, implied: "0", unit: points, bound: above,
   measure: {task: vqa, metric: accuracy, relation: difference, baseline: r1}}
"""


def run(folder, value, **changes):
    rows = [row(str(10 + n), float(n < 40 * value), values={"accuracy": float(n < 40 * value), "other": 1.0})
            for n in range(40)]  # fmt: skip
    signed = manifest(**changes)
    signed["model"] |= {"parameters": 3_000_000}
    return make(folder, rows, {"accuracy": metric(value)}, signed)


@pytest.fixture
def checked(tmp_path):
    """A document, and a check of it with runs, a blind control, a curve, and a missing run."""
    path = tmp_path / "t.yaml"
    path.write_text(DOCUMENT)
    document = files.load(path, subjects=["vl", "v3", "r1"])
    record, vocabulary = files.load_record(), files.load_vocabulary()
    seen, unseen, other = run(tmp_path / "1", 0.8), run(tmp_path / "2", 0.3, blind=True), run(tmp_path / "3", 0.6)
    outcomes = {
        RequiredRun("vl", "vqa"): RunOutcome(seen, unseen),
        RequiredRun("v3", "vqa"): RunOutcome(why="v3 has no checkpoint"),
        RequiredRun("r1", "vqa"): RunOutcome(other, proxy="a stand-in"),
    }
    paper = assessment.assess([document], record, vocabulary)
    checked = assessment.add_measurements(
        paper, outcomes, {"t": {"thing": "vl"}}, [ValueTable(document, record, vocabulary)]
    )
    curve = tmp_path / "curve.csv"
    curve.write_text("interactions,split,of,rate,low,high\n0,all,9,0,0,0.3\n10,all,9,1,0.7,1\n")
    return path, dataclasses.replace(checked, curves=(learning_curves.read(curve, "zero"),))


@pytest.fixture
def report(checked, tmp_path):
    """A document, and the folder of the report of its check."""
    check.write(checked[1], tmp_path / "out", keep=True)
    return checked[0], tmp_path / "out"


@pytest.mark.slow
def test_the_report_is_written_again_byte_for_byte(report, tmp_path):
    path, out = report
    done = command("check", path, "--recorded", out, "--out", tmp_path / "again")
    assert done.returncode == 0, done.stderr
    for format in check.FORMATS:
        name = f"claims.{format}"
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()
    assert "What zero learnt" in (out / "claims.html").read_text()
    assert not (tmp_path / "again" / "records").exists()


def test_prompts_and_outputs_are_not_stored(report):
    folder = report[1] / "records"
    assert sorted(path.name for path in folder.iterdir()) == [
        "curves", "outcomes.json", "r1-vqa", "vl-vqa", "vl-vqa-blind",
    ]  # fmt: skip
    for line in (folder / "vl-vqa" / "samples.jsonl").read_text().splitlines():
        assert re.fullmatch(r'\{"id":"\d+","index":\d+,"cluster":"\d+","values":\{"accuracy":[01]\.0\}\}', line)


def test_an_earlier_archive_is_replaced(report):
    _, out = report
    held = archive.load(out)
    assert held.outcomes[RequiredRun("v3", "vqa")].why == "v3 has no checkpoint"
    rows = json.loads((out / "records" / "outcomes.json").read_text())
    (out / "records" / "outcomes.json").write_text(json.dumps(rows[1:2]))
    with pytest.raises(KeyError):
        archive.load(out).outcomes[RequiredRun("vl", "vqa")]


def test_similar_runs_have_different_folders():
    names_in_use: set[str] = set()
    runs = [
        RequiredRun("m", "glue/rte"),
        RequiredRun("m", "glue/rte", "test"),
        RequiredRun("m", "glue/rte", None, 0),
        RequiredRun("m", "glue-rte"),
    ]
    names = [archive._folder_name(required, names_in_use) for required in runs]
    assert names == ["m-glue-rte", "m-glue-rte-test", "m-glue-rte-0-shots", "m-glue-rte-2"]


def test_a_folder_without_records_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no records of a check"):
        archive.load(tmp_path)
    assert refused(command("check", "--recorded", tmp_path), "records/outcomes.json")
    assert refused(command("check", "--recorded", tmp_path, "--paper"), "--paper and --recorded")


def test_a_check_that_was_killed_while_it_stored_leaves_the_earlier_archive(checked, report, monkeypatch):
    out = report[1]
    before = {file.relative_to(out): file.read_bytes() for file in (out / "records").rglob("*") if file.is_file()}
    earlier, outcomes = archive.load(out), archive.OUTCOMES
    killed = out / ".records.killed.tmp"  # as a kill leaves it: some runs, no outcomes
    (killed / "vl-vqa").mkdir(parents=True)
    monkeypatch.setattr(archive, "_copy", cut_short)
    with pytest.raises(KeyboardInterrupt):
        archive.store(checked[1], out)
    assert {
        file.relative_to(out): file.read_bytes() for file in (out / "records").rglob("*") if file.is_file()
    } == before
    monkeypatch.undo()
    archive.store(checked[1], out)
    assert set(archive.load(out).outcomes) == set(earlier.outcomes)
    assert (out / "records" / outcomes).is_file()
    assert not [name for name in out.iterdir() if name.name.startswith(".")]


def cut_short(*arguments):
    raise KeyboardInterrupt


def test_a_folder_of_the_user_is_not_replaced(checked, tmp_path):
    (tmp_path / "mine" / "records").mkdir(parents=True)
    (tmp_path / "mine" / "records" / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="cannot write in"):
        archive.store(checked[1], tmp_path / "mine")
    assert (tmp_path / "mine" / "records" / "notes.txt").read_text() == "x"
