"""Tables in claims files: what they may contain, and the claims that their cells become."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import CHECKOUT

from evals.errors import InputError
from evals.reports.claims.language import files
from evals.reports.claims.language.tables.printed_cells import read_cell

EXAMPLE = re.search(r"## Tables.*?```yaml\n(.*?)```", (CHECKOUT / "docs/claims.md").read_text(encoding="utf-8"), re.S)[
    1
]


@pytest.fixture
def load(tmp_path: Path):
    def loader(text: str):
        path = tmp_path / "claims.yaml"
        path.write_text(text, encoding="utf-8")
        return files.load(path)

    return loader


def test_each_number_of_a_table_becomes_a_claim(load):
    document = load(EXAMPLE)
    cells = {claim.id: claim for claim in document.claims if claim.id.startswith("T1r")}
    assert len(cells) == 11  # a dash is no number
    cell = cells["T1r2-1"]
    assert (cell.printed, cell.plus_minus, cell.unit, cell.subject) == ("92.0", "0.4", "percent", ("otter-2",))
    assert cell.cell.printed.bold
    assert cell.protocol == {"split": "dev"}  # of the caption
    assert cells["T1r3-1"].subject == ("human",)  # a row of its own
    assert cells["T1r1-4"].unit == "milliseconds"
    assert [claim.id for claim in document.claims][-1] == "C-7"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"240", ', "", "row 'Otter 2' has 4 cells; there are 5 columns"),
        ('"240"', '"fast"', "cell 'fast' is no number"),
        ("unit: percent                     #", "#", "column 'SST-2' has no 'unit'"),
        ("[SST-2, RTE]}       #", "[SST-2, MNLI]}  #", "column 'Avg.': 'MNLI' is no other column"),
        ("name: RTE,", "name: SST-2,", "two columns are named 'SST-2'"),
        ("table: T-1, column: SST-2, place", "table: T-9, column: SST-2, place", "no table is named 'T-9'"),
        ("column: SST-2, place", "column: SST-3, place", "no column is named 'SST-3'; did you mean 'SST-2'"),
        ("place: 2", "place: 2, row: Otter 3", "no row is named 'Otter 3'; did you mean"),
        ("place: 2", "place: 2, relation: better", "a 'place' no other relation"),
        ('"240"', '"240 lightyears"', "no unit is named 'lightyears'"),
        ("column: RTE, relation: error", "relation: error", "a claim with digits is about one column"),
    ],
)
def test_a_mistake_in_a_table_is_named_with_its_claim(load, old, new, message):
    assert old in EXAMPLE
    with pytest.raises(InputError, match=rf"claims.yaml:\d+: [TC]-\d .*{re.escape(message)}"):
        load(EXAMPLE.replace(old, new))


@pytest.mark.parametrize(
    ("text", "digits", "parts"),
    [
        ("**92.0**", "92.0", {"bold": True}),
        (r"\textbf{92.0}", "92.0", {"bold": True}),
        ("<u>91.5</u>", "91.5", {"underlined": True}),
        ("−2.3", "-2.3", {}),
        ("+1.2", "1.2", {}),
        ("89.2%", "89.2", {"unit": "%"}),
        ("671B", "671", {"count": 10**9}),
        ("1,024 ms", "1024", {"unit": "ms"}),
        ("78.3 (77.1–79.5)", "78.3", {"low": "77.1", "high": "79.5"}),
        ("**78.3** ± 0.4%", "78.3", {"deviation": "0.4", "bold": True, "unit": "%"}),
        ("87 / 100", "87", {"total": 100}),
        ("92.0†", "92.0", {}),
    ],
)
def test_cells_are_read_as_they_are_printed(text, digits, parts):
    cell = read_cell(text)
    assert cell.digits == digits
    assert {name: getattr(cell, name) for name in parts} == parts


@pytest.mark.parametrize("text", ["fast", "92.0 93.0", "92.0 ±", "[77, 79]", "1,02 ms 3"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(InputError, match="is no number"):
        read_cell(text)
