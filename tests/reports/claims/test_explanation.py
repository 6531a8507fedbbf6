"""The explanation of one verdict, and what a run at the level of guessing shows."""

from __future__ import annotations

import pytest
from commands import ROOT, refused
from commands import evals as command

import evals
from evals.errors import InputError
from evals.reports.claims.output import explanation, figures
from evals.reports.claims.verdicts import PRECEDENCE


@pytest.fixture(scope="module")
def checked():
    return evals.check(recorded=ROOT / "reports" / "baseline")


def test_every_headline_is_explained():
    assert list(explanation.MEANINGS) != []
    assert {*explanation.MEANINGS} == {*PRECEDENCE}


def test_an_explanation_has_the_whole_working(checked):
    for assessment in checked.assessments:
        text = explanation.explain(checked, assessment.claim.id)
        assert assessment.claim.says in text
        for axis in ("arithmetic", "cross_document", "public_record", "measurement"):
            assert all(line in text for line in getattr(assessment, axis).working)
        assert all(id in text for id in assessment.contradicts)
        assert assessment.plain.replace("_", " ") in text


def test_the_command_prints_it(tmp_path):
    done = command("check", "--paper", "--explain", "B-24", "--explain", "A-05", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "The verdict is “refuted”, or more exactly “internally inconsistent”" in done.stdout
    assert "It cannot be true together with B-65, B-68." in done.stdout
    assert "A-05 (document a, line 13) says: V3 has 1.3 billion parameters." in done.stdout
    assert refused(command("check", "--paper", "--explain", "B-240", "--out", tmp_path), "no claim is named 'B-240'")


def test_an_unknown_claim_is_refused(checked):
    with pytest.raises(InputError, match="did you mean"):
        explanation.explain(checked, "B-2")


def test_systems_at_the_level_of_guessing_show_no_relation(checked):
    """52.5 % against 46.0 % of two answers is no retention of 114 %, and neither system is on a front."""
    by_id = {assessment.claim.id: assessment for assessment in checked.assessments}
    for id in ("B-23", "A-32"):
        lines = by_id[id].measurement.working
        assert any("both systems are at the level of guessing (50.00 %)" in line for line in lines), id
        assert {row.direction for row in by_id[id].measured} == {None}
    assert any("level of guessing" in line for line in by_id["A-33"].measurement.working) is False
    rows = [row for row in figures.matrix(checked.runs) if row.task == "glue/sst2"]
    assert rows
    assert not any(row.front for row in rows)


def test_measured_values_have_their_units(checked):
    by_id = {assessment.claim.id: assessment for assessment in checked.assessments}
    (row,) = by_id["A-36"].measured
    assert row.unit == "bytes"
    assert row.claimed_low == pytest.approx(11.5e9)
    assert any(line == "claimed 10.7 GiB to 11.6 GiB" for line in by_id["A-36"].measurement.working)
    assert any(line.startswith("claimed 750 ms to 850 ms") for line in by_id["A-20"].measurement.working)


def test_p_values_of_replicas_speak_of_items(checked):
    by_id = {assessment.claim.id: assessment for assessment in checked.assessments}
    for id in ("B-61", "A-33"):
        assert any("speak of the items, not of other trainings" in line for line in by_id[id].measurement.working)
