"""Units, factors, signs and marks that cells and headers of tables print, and numbers that are labels."""

import re

import pytest

from evals.app.check import check
from evals.reports.claims.drafting.drafter import draft
from evals.reports.claims.drafting.language.numbers import find_numbers
from evals.reports.claims.drafting.readers.markdown import read_markdown
from evals.reports.claims.drafting.tables.columns import column_meaning
from evals.reports.claims.language.files import load_vocabulary

CELLS = """\
# Otter 2

| Model | # Seen Samples (B) | # Params (M) (img + txt) | Latency (ms) (img + txt) | BWT | Size | Speed | Gain |
|---|---|---|---|---|---|---|---|
| Otter 2 | 13 | 11.4 + 42.4 | 1.5 + 1.6 | −3.40% | 2.7 MB | 1'612 sequences/second | x 1.96 |
| Wren 1 | 36 | 86.3 + 63.4 | 10.4 + 3.3 | −10.96% | 253 KB | 974 sequences/second | |
| Tern 1 | 12 | 21.5 + 63.4 | 2.5 + 3.3 | −0.0% | 251 KB | TBD | TBD |
"""
RATES = """\
# Otter 2

| Model | Images Preprocessed/s | Texts Encoded/s | Time elapsed/s | Seen tokens (K) | Sum + rest | Streams |
|---|---|---|---|---|---|---|
| Otter 2 | 23.03 | 562.28 | 3.1 | 12 | 1.5 + 2.5 | ~ 4 K tokens/s (32 streams) |
| Wren 1 | 23.11 | 1,067.40 | 4.2 | 15 | 2.5 + 3.5 | ~ 10 K tokens/s (64 streams) |
"""


def table(text):
    (read,) = draft(read_markdown(text)).tables
    return read


def test_cells_keep_their_own_units_signs_and_parts(tmp_path):
    read = table(CELLS)
    columns = [(column["name"], column["unit"], column.get("times")) for column in read.columns]
    assert columns == [
        ("# Seen Samples (B)", "items", 1e9),
        ("# Params (M) (img)", "parameters", 1e6), ("# Params (M) (txt)", "parameters", 1e6),
        ("Latency (ms) (img)", "milliseconds", None), ("Latency (ms) (txt)", "milliseconds", None),
        ("BWT", "number", None), ("Size", "megabytes", None), ("Speed", "items-per-second", None),
        ("Gain", "times", None),
    ]  # fmt: skip
    assert read.rows[0]["cells"][1:5] == ["11.4", "42.4", "1.5", "1.6"]
    assert [row["cells"][5] for row in read.rows] == ["−3.40%", "−10.96%", "−0.0%"]
    assert [row["cells"][6].replace(" ", "") for row in read.rows] == ["2.7MB", "253kB", "251kB"]
    path = tmp_path / "post.md"
    path.write_text(CELLS, encoding="utf-8")
    assessments = check([str(path)], paper=True).assessments
    assert [entry.claim.says for entry in assessments if entry.plain == "refuted"] == []
    assert any("1612" in entry.claim.says or "1'612" in entry.claim.says for entry in assessments)


def test_headers_give_rates_and_factors_and_unclear_sums_are_left_out():
    columns = [(column["name"], column["unit"], column.get("times")) for column in table(RATES).columns]
    assert columns == [
        ("Images Preprocessed/s", "items-per-second", None), ("Texts Encoded/s", "items-per-second", None),
        ("Time elapsed/s", "number", None), ("Seen tokens (K)", "tokens", 1e3),
        ("Streams", "tokens-per-second", None),
    ]  # fmt: skip


TO_DO = """\
# Otter 2

| Model | Params | Score | New |
|---|---|---|---|
| Otter 2 | 22,411 | TBD% | TBD |
| Wren 1 | 65K | TBD% | TBD |
"""


def test_shares_beside_a_percentage_and_cells_to_be_done():
    mixed, shares = column_meaning("Seen", ["16%", "0.71", "0.65"], "", ""), ["16%", "71", "65"]
    assert mixed is not None
    assert mixed.unit == "number"
    assert "unit='percent'" in repr(column_meaning("Seen", shares, "", ""))
    read = table(TO_DO)
    assert [column["name"] for column in read.columns] == ["Params"]
    assert [row["cells"] for row in read.rows] == [["22,411"], ["65K"]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("BWT of Otter 2 reached −14.12 %, and Otter 2 shows −2.4 % on impulse noise.", ["-14.12", "-2.4"]),
        ("Otter 2 gains on fog (+4.6 % vs −0.1 % before).", ["4.6", "-0.1"]),
        ("Otter 2 has -5 % latency.", ["-5"]),
        ("Otter 2 is faster - 5 % on average.", ["5"]),
        ("Otter 2 helps across 1x and 10x scales, and at both 1x (+1.6 %) and 10x (+1.3 %) scales.", ["1.6", "1.3"]),
        ("Otter 2 gains +2.9 % at severity 5 vs. +1.9 % for Wren 1.", ["2.9", "1.9"]),
        ("Otter 2 labels (action, object, location) triples of a 3-second utterance with a 0-parameter head.", []),
        ("Otter 2 triples the throughput, and needs 3 seconds.", ["3", "3"]),
    ],
)
def test_a_minus_is_kept_and_labels_are_no_claims(text, expected):
    claims = draft(read_markdown(f"# Otter 2\n\n{text}\n")).claims
    assert [f"{'-' if claim.is_negative else ''}{claim.printed}" for claim in claims] == expected
    assert all(claim.is_change and claim.direction == -1 for claim in claims if claim.is_negative)


def test_a_minus_convicts_nothing_and_is_written_unless_a_formula_gives_the_direction(tmp_path):
    path = tmp_path / "post.md"
    text = "# Otter 2\n\nOtter 2 answers in 0.8 s and Wren 1 in 1.0 s (-20 %). On memory it shows −7.5 %.\n"
    path.write_text(text, encoding="utf-8")
    assessments = check([str(path)], paper=True).assessments
    printed = [entry.claim.printed for entry in assessments]
    assert "-7.5" in printed
    assert {"20", "-20"} & {*printed}
    assert [entry.claim.says for entry in assessments if entry.plain == "refuted"] == []


@pytest.mark.parametrize("rate", [" per second", " a second", "/s"])
def test_every_unit_is_read_from_its_name(rate):
    names = [unit for unit in load_vocabulary().units if re.fullmatch(r"[a-z-]{4,}", unit)]  # and no symbol
    for unit in {*names} - {"number", "operations"}:  # a number has no name; "operations" alone may be any steps
        words = unit.replace("-per-second", rate)
        for printed in (words, words.replace("-", " ")):
            number = next(find_numbers(f"It takes 12 {printed}."))
            assert (number.unit, number.value) == (unit, 12), printed
