"""Each contradiction has a proof, and the page that lists those of the two articles is current.

EVALS_GOLDEN=write pytest tests/reports/claims/test_proofs.py     write the list again, after claims or rules changed
"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from commands import ROOT

import evals
from evals.reports.claims.evidence.cross_document import AGREEMENT
from evals.reports.claims.evidence.proofs import prove
from evals.reports.claims.output import contradictions, explanation

PAGE = ROOT / "docs" / "contradictions.md"
HEAD = "\n## Pairs\n\n"


@pytest.fixture(scope="module")
def checked():
    return evals.check(paper=True)


def test_the_page_lists_the_pairs_of_today(checked):
    before, _, listed = PAGE.read_text(encoding="utf-8").partition(HEAD)
    count = f"{len(checked.conflicts)} pairs of the two articles, and {len(checked.internal_conflicts)} within one."
    made = f"{count}\n\n{contradictions.pages(checked)}\n"
    if os.environ.get("EVALS_GOLDEN") == "write":
        PAGE.write_text(before + HEAD + made, encoding="utf-8")
    else:
        assert listed == made, "see EVALS_GOLDEN"


def test_an_implied_statement_of_a_contradiction_has_its_reason(checked):
    pairs = [*checked.conflicts, *checked.internal_conflicts]
    sides = [side for pair in pairs for side in (pair.first, pair.second) if side.implied]
    assert sides
    assert [side.by for side in sides if not side.statement.because] == []


def test_a_proof_names_what_one_side_requires_and_the_other_excludes(checked):
    proofs = {(pair.first.by, pair.second.by): prove(pair) for pair in checked.conflicts}
    assert proofs["A-14", "B-34"][-1] == "B-34 requires vision-encoder, and A-14 excludes it."
    numbers = "A-05 allows 1.25 billion to 1.35 billion parameters and B-10 33.95 billion to 34.05 billion parameters"
    assert proofs["A-05", "B-10"] == (f"{numbers}: no number is in both.",)


def test_an_agreement_has_no_proof(checked):
    with pytest.raises(ValueError, match="do not contradict"):
        prove(replace(checked.conflicts[0], result=AGREEMENT))


def test_the_explanation_of_a_claim_has_its_proofs(checked):
    text = explanation.explain(checked, "A-14")
    for pair in checked.conflicts:
        if pair.first.by == "A-14":
            assert " ".join(prove(pair)) in text


ORDERS = """
document: {id: %s, title: T, date: 2026-01-01, subjects: {s: {name: S}}, quantities: {q: {says: q, compare: [%s]}}}
claims:
- {id: %s-1, says: It says so., subject: s, quantity: q, value: %s}
"""


@pytest.mark.parametrize(
    ("rule", "one", "other", "proof"),
    [
        ("equal", "x", "y", "It has one value: C-1 says x, and D-1 y."),
        ("ordering", "[x, y, z]", "[z, x]", "C-1 has the order x, z, and D-1 z, x."),
        ("set", "[x, y]", "[x]", "C-1 requires y, and D-1 allows only x."),
    ],
)
def test_proofs_of_words(tmp_path, rule, one, other, proof):
    for name, letter, value in (("c", "C", one), ("d", "D", other)):
        (tmp_path / f"{name}.yaml").write_text(ORDERS % (name, rule, letter, value))
    (pair,) = evals.check([tmp_path / "c.yaml", tmp_path / "d.yaml"], paper=True).conflicts
    assert prove(pair) == (proof,)
