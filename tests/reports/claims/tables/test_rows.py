"""Rows of a table are different things, whatever their names have in common."""

from __future__ import annotations

import pytest

import evals

TABLE = """
document: {id: card, title: A card, subjects: {otter: {name: Otter}}}
claims:
- id: T-1
  says: Scores.
  table:
    unit: percent
    columns: [{name: MMLU}, {name: GSM8K}]
    rows:
    - {name: Otter (BF16), %s cells: ["55.8", "50.3"]}
    - {name: Otter (Int8), %s cells: ["55.4", "48.3"]}
"""


@pytest.mark.parametrize("subject", ["", "subject: otter,"])
def test_two_rows_do_not_contradict_each_other(tmp_path, subject):
    path = tmp_path / "card.yaml"
    path.write_text(TABLE % (subject, subject))
    checked = evals.check([path], paper=True)
    assert len(checked.assessments) == 4
    assert checked.internal_conflicts == ()


def test_a_name_in_two_tables_is_one_system(tmp_path):
    path = tmp_path / "card.yaml"
    path.write_text(
        TABLE % ("", "") + (TABLE % ("", "")).partition("claims:\n")[2].replace("T-1", "T-2").replace("48.3", "43.8")
    )
    (pair,) = evals.check([path], paper=True).internal_conflicts
    assert {pair.first.by, pair.second.by} == {"T1r2-2", "T2r2-2"}


BOLD = """
document: {id: card, title: A card}
claims:
- id: T-1
  says: Scores.
  table:
    unit: percent
    columns: [{name: %s}]
    rows: [{name: Otter, cells: ["**0.00**"]}, {name: Lynx, cells: ["0.01"]}]
"""


@pytest.mark.parametrize(
    ("column", "word"), [("Toxigen", "open"), ("MMLU", "internally_inconsistent"), ("Toxigen ↓", "consistent")]
)
def test_a_bold_worst_value_is_open_where_only_the_unit_says_what_is_better(tmp_path, column, word):
    path = tmp_path / "card.yaml"
    path.write_text(BOLD % column, encoding="utf-8")
    assert evals.check([path], paper=True).assessments[0].arithmetic.verdict == word
