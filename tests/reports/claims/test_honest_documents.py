"""Honest documents are not convicted: READMEs of models and data sets, as claims files of their values."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import ROOT

import evals
from evals.reports.claims.language.tables.expansion import CellClaim
from evals.reports.claims.verdicts import CONVICTIONS

FOLDER = Path(__file__).parent / "honest"
DOCUMENTS = sorted(FOLDER.rglob("*.yaml"))
CLAIMS = 1600
"""The least number of honest claims."""


@pytest.fixture(scope="module")
def checked():
    """The documents checked together, so that they are also compared with each other."""
    return evals.check(DOCUMENTS, paper=True)


def test_no_honest_claim_is_convicted_or_nominally_inconsistent(checked):
    wrong = {*CONVICTIONS, "nominally_inconsistent"}
    found = [f"{a.claim.id} {a.headline}: {a.working}" for a in checked.assessments if a.headline in wrong]
    assert found == []


def test_there_are_enough_of_them_and_the_record_supports_some(checked):
    assert len(checked.assessments) >= CLAIMS
    assert sum(assessment.headline == "supported" for assessment in checked.assessments) >= 60


def test_the_documentation_has_the_counts_of_today(checked):
    page = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    words = ("differs", "supported")
    counts = [sum(assessment.headline == word for assessment in checked.assessments) for word in words]
    assert f"| {len(checked.assessments)} | 0 | 0 | {counts[0]} | {counts[1]} |" in page
    tables = [a for a in checked.assessments if isinstance(a.claim, CellClaim) or a.claim.compares is not None]
    assert f"{len(tables)} of the claims are cells of tables and what is said of them" in page
