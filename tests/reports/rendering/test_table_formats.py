"""Words, numbers and cells: shown whole, escaped for their notation."""

from __future__ import annotations

import csv
import io
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.reports.rendering import formatting, table_formats


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec=None), max_size=200))
def test_visible_text_has_no_hidden_characters(text):
    shown = formatting.visible(text)
    shown.encode()
    hidden = {c for c in shown if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}}
    assert hidden <= set("\n\t\u200c\u200d")
    assert formatting.visible(shown, limit=10**6) == shown


@pytest.mark.parametrize(
    ("value", "unit", "printed"),
    [
        (0.78349, "fraction", "78.3 %"), (1.0, "fraction", "100.0 %"), (-0.00001, "fraction", "0.0 %"),
        (0.5123, "coefficient", "0.512"), (7.5, "rank", "7.5"), (1.2345, "seconds", "1.23 s"),
        (0.0042, "seconds", "4.20 ms"),
        (4321.0, "seconds", "4,321 s"), (0.0, "seconds", "0 s"), (512, "bytes", "512 B"),
        (734003200, "bytes", "700.0 MiB"),
        (0, "bytes", "0 B"), (None, "fraction", "–"), (12.5, "", "12.5"),
    ],
)  # fmt: skip
def test_amounts(value, unit, printed):
    assert formatting.amount(value, unit) == printed


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=20), min_size=3, max_size=3))
def test_markdown_cells_cannot_leave_their_place(cells):
    lines = table_formats.markdown(table_formats.Table("", ("a", "b", "c"), "lll", (tuple(cells),))).split("\n")
    assert len(lines) == 3
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", lines[2])) == 4
    assert "<" not in lines[2].replace(r"\<", "")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "＝1"])
def test_csv_text_is_never_a_formula(text):
    [cells] = list(csv.reader(io.StringIO(table_formats.csv((), [(text, -0.1, None)]).lstrip("\n"))))
    assert not cells[0].startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝"))
    assert cells[1:] == ["-0.1", ""]


def test_latex_takes_the_meaning_from_its_characters():
    assert table_formats.escape_latex(r"\a{b} 5%$") == r"\textbackslash{}a\{b\} 5\%\$"
    assert table_formats.latex(table_formats.Table("", ("a",), "l", (("[x]",), ("*",))), "tab:x").count("{[}x]") == 1
