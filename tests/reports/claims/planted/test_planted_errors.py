"""Planted errors are found, and the same documents without them are not convicted.

EVALS_GOLDEN=write pytest tests/reports/claims/planted     write the table of docs/claims.md again
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import planted_kinds
import pytest
from commands import ROOT
from planted_kinds import KINDS, pair

from evals.errors import InputError
from evals.reports.claims.assessment import assess
from evals.reports.claims.language import files
from evals.reports.claims.verdicts import CONVICTIONS

PAGE = ROOT / "docs" / "claims.md"
BEGIN, END = "<!-- planted errors: begin -->\n", "<!-- planted errors: end -->"
SEEDS = range(5)
"""The errors of each kind."""
NOMINAL = "nominally_inconsistent"
FLAGS = {*CONVICTIONS, NOMINAL, "refused"}
"""What counts as found in a document with an error, and as an alarm in one without."""
RECALL = 0.9
"""The least share of all planted errors that is found."""


def words(document: Mapping[str, object], folder: Path) -> set[str]:
    """The headlines of a document; `refused` if it is refused when it is read."""
    path = folder / "report.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")  # JSON is YAML
    try:
        loaded = files.load(path)
    except InputError:
        return {"refused"}
    checked = assess([loaded], files.load_record(), files.load_vocabulary())
    return {assessment.headline for assessment in checked.assessments}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """For each kind and seed, the words of the errors that are found, and the alarms in the document without it."""
    folder = tmp_path_factory.mktemp("planted")
    results = {}
    for kind in KINDS:
        for seed in SEEDS:
            honest, planted = pair(kind, seed)
            results[kind, seed] = words(planted, folder) & FLAGS, words(honest, folder) & FLAGS
    return results


def counts(found, kind: str) -> tuple[int, int]:
    """How many errors of a kind are convicted, and how many nominally inconsistent only."""
    flags = [flags for (name, _), (flags, _) in found.items() if name == kind]
    nominal = sum(entry == {NOMINAL} for entry in flags)
    return sum(bool(entry) for entry in flags) - nominal, nominal


def table(found) -> str:
    """The table of the documentation."""
    rows = [(kind, len(SEEDS), *counts(found, kind)) for kind in KINDS]
    rows.append(("all", *(sum(row[n] for row in rows) for n in (1, 2, 3))))
    lines = [
        f"| {kind} | {planted} | {convicted} | {nominal} | {planted - convicted - nominal} |"
        for kind, planted, convicted, nominal in rows
    ]
    head = "| planted error | planted | convicted | nominally inconsistent | missed |\n|---|---:|---:|---:|---:|"
    total = rows[-1][2] + rows[-1][3]
    alarms = sum(bool(alarms) for _, alarms in found.values())
    rate = f"{total} of {len(found)} are found ({total / len(found):.0%})."
    text = f"{rate} Of the same documents without the error, {alarms} are convicted."
    return "\n".join([head, *lines, "", text]) + "\n"


@pytest.mark.slow
def test_no_document_without_an_error_is_convicted(found):
    assert {key: alarms for key, (_, alarms) in found.items() if alarms} == {}


@pytest.mark.slow
def test_nine_in_ten_errors_are_found_without_a_formula(found):
    total = sum(bool(flags) for flags, _ in found.values())
    assert total >= RECALL * len(found), {kind: counts(found, kind) for kind in KINDS}


@pytest.mark.slow
def test_the_documentation_has_the_table_of_today(found):
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    shown, _, after = rest.partition(END)
    made = f"\n{table(found)}\n"
    if os.environ.get("EVALS_GOLDEN") == "write":
        PAGE.write_text(before + BEGIN + made + END + after, encoding="utf-8")
    else:
        assert shown == made, "see EVALS_GOLDEN"


def test_there_are_a_hundred_errors_of_fifteen_kinds_without_formulas():
    assert len(KINDS) >= 15
    assert len(KINDS) * len(SEEDS) >= 100
    for kind in KINDS:
        honest, planted = pair(kind, 0)
        assert honest != planted
        assert pair(kind, 0) == (honest, planted)  # deterministic
        assert not {"derive", "checks", "attainable"} & {key for c in planted["claims"] for key in c}


def test_the_generator_plants_where_it_says():
    """The transposed number is another number, and the sum of the honest twin is right."""
    assert planted_kinds._transposed("72.5") == "27.5"
    assert planted_kinds._transposed("77.7") is None
    honest, planted = pair("sum that the document calls that of its rows", 1)
    rows = [[row["cells"][2] for row in d["claims"][0]["table"]["rows"]] for d in (honest, planted)]
    assert sum(map(int, rows[0][:-1])) == int(rows[0][-1]) != int(rows[1][-1])
    assert rows[0][:-1] == rows[1][:-1]
