"""The parts of a gap add up to it, and each is what was planted."""

from __future__ import annotations

import harness_logs
import pytest
import run_folders
from commands import evals, refused
from hypothesis import given
from hypothesis import strategies as st

from evals.app.imports import import_logs
from evals.reports.gaps import attribute
from evals.reports.runs.sections import higher_is_better

VALUES = st.dictionaries(st.integers(0, 11), st.sampled_from([0.0, 0.3, 1.0]), min_size=1)


def run(folder, values, **changes):
    rows = [
        run_folders.row(str(index), value, output=f"{value}", answer=None if value == 0 else "x")
        for index, value in values.items()
    ]
    mean = sum(values.values()) / len(values)
    return run_folders.make(folder, rows, {"accuracy": run_folders.metric(mean, len(rows))}, **changes)


@given(VALUES, VALUES)
def test_the_parts_add_up_to_the_gap(tmp_path_factory, a_values, b_values):
    folder = tmp_path_factory.mktemp("gap")
    a, b = run(folder / "a", a_values), run(folder / "b", b_values)
    if not a_values.keys() & b_values.keys():
        return
    gap = attribute(a, b)
    assert sum(part.points for part in gap.parts) == pytest.approx(gap.a_value - gap.b_value, abs=1e-12)
    assert higher_is_better(a, "accuracy")
    common = a_values.keys() & b_values.keys()
    assert gap.common == len(common)
    assert gap.same_outputs == sum(a_values[index] == b_values[index] for index in common)


def test_a_reading_that_a_harness_changes_is_named_with_its_samples(tmp_path):
    (a,) = import_logs([harness_logs.lm_eval_math(tmp_path / "a")], tmp_path / "run-a").records
    (b,) = import_logs([harness_logs.inspect_ai(tmp_path / "b")], tmp_path / "run-b").records
    finished = evals("gap", a.folder, b.folder)
    assert finished.returncode == 0, finished.stderr
    assert "reports 33.33 % (lm-eval's exact_match,strict-match)" in finished.stdout
    assert "3 of them have the same outputs" in finished.stdout
    (part,) = attribute(a, b).parts
    assert (part.name, part.samples, part.detail) == (
        "reading of answers: lm-eval's exact_match,strict-match", 1, "samples 1",
    )  # fmt: skip
    assert part.points == pytest.approx(-1 / 3)


def test_fields_that_may_have_changed_outputs_are_listed(tmp_path):
    a = run(tmp_path / "a", {0: 1.0, 1: 1.0})
    signed = run_folders.manifest(shots=5)
    b = run(tmp_path / "b", {0: 1.0, 1: 0.0}, signed={**signed, "model": {**signed["model"], "digest": "other"}})
    text = evals("gap", a.folder, b.folder).stdout
    assert "outputs: no readable answer in the second run" in text
    assert "model.digest: c0ffee in the first run, other in the second (other weights)" in text
    assert "task.shots: not stated in the first run, 5 in the second" in text
    other = run(tmp_path / "c", {0: 1.0}, signed=run_folders.manifest(name="glue/rte"))
    refused(evals("gap", a.folder, other.folder), "a gap is between two runs of one benchmark")
