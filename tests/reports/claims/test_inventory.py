"""The bundled claims against an inventory that another reader made of the same documents.

`$EVALS_CLAIMS`, or `../shared/claims` beside the checkout, holds it; without it these tests are skipped.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from conftest import CHECKOUT

from evals.app import check
from evals.reports.claims.language import files

SAME = {"arithmetic_consistent": "consistent", "contradicted_by_public_record": "contradicted"}
"""Words of the inventory that an axis of ours has by another name."""


@pytest.fixture(scope="module")
def inventory():
    path = Path(os.environ.get("EVALS_CLAIMS", CHECKOUT.parent / "shared" / "claims")) / "inventory.json"
    if not path.is_file():
        pytest.skip(f"no inventory at {path}")
    return {row["id"]: row for row in json.loads(path.read_text(encoding="utf-8"))}


@pytest.fixture(scope="module")
def claims():
    documents = [files.load(path) for path in files.default()]
    return {claim.id: claim for document in documents for claim in document.claims}


def test_every_claim_is_there_with_its_quote_and_line(inventory, claims):
    assert list(claims) == list(inventory)
    for id, row in inventory.items():
        assert (claims[id].quote, claims[id].line) == (row["quote_zh"], row["line"]), id
        assert claims[id].implicit == row["implicit"], id


def test_numbers_are_the_inventorys(inventory, claims):
    for id, row in inventory.items():
        value, claim = row["value"], claims[id]
        if isinstance(value, int | float) and claim.printed is not None and claim.upto is None:
            same = float(claim.printed) * float(claim.times) == pytest.approx(abs(value))
            assert same or "inventory" in (claim.note or ""), id


def test_a_verdict_that_differs_is_explained_in_the_claim(inventory, claims):
    vectors = {each.claim.id: each.vector for each in check.check(paper=True).assessments}
    for id, row in inventory.items():
        word = SAME.get(row["verdict_offline"], row["verdict_offline"])
        assert word in vectors[id].values() or "inventory" in (claims[id].note or ""), f"{id}: {word}, {vectors[id]}"
