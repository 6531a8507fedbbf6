"""Logs of experiments, as strangers write them: read in every format to the same sums, or refused in one line."""

from __future__ import annotations

import random

import numpy as np
import pytest
from experiment_logs import write

from evals.data import outcome_log
from evals.data.outcome_log import OutcomeColumns, read_outcomes
from evals.errors import InputError

COLUMNS = OutcomeColumns("arm", "clicked", unit="user", segment="land", time="when")


@pytest.fixture
def rows():
    rng = random.Random(1)
    return [
        {
            "user": f"ü{rng.randrange(90)}",
            "when": f"2025-09-{rng.randrange(1, 30):02d}T{rng.randrange(24):02d}:00:00",
            "arm": rng.choice(["контроль", "变体"]),
            "clicked": rng.choice([0, 1]),
            "land": rng.choice(["DE", "Côte d’Ivoire"]),
        }
        for _ in range(400)
    ]


def sums(log):
    """Everything that a log is reduced to, in an order that does not depend on that of its rows."""
    cells = log.cells
    columns = (cells.variant_C, cells.segment_C, cells.time_C, cells.counts_C, cells.sums_C)
    return cells.variants, cells.segments, sorted(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize("columns", [COLUMNS, OutcomeColumns("arm", "clicked", segment="land", time="when")])
def test_each_format_gives_the_same_sums(rows, tmp_path, columns, monkeypatch):
    monkeypatch.setattr(outcome_log, "_PENDING_ROWS", 64)  # so that cells are merged
    expected = sums(read_outcomes(write(tmp_path / "log.csv", rows), columns))
    assert sum(key[3] for key in expected[2]) == 400
    for name, options in {
        "log.tsv": {"separator": "\t"},
        "excel.csv": {"separator": ";", "mark": "\ufeff", "line_end": "\r\n"},
        "log.txt": {"separator": "|"},
        "log.jsonl": {},
        "log.parquet": {},
    }.items():
        assert sums(read_outcomes(write(tmp_path / name, rows, **options), columns)) == expected, name
    shuffled = random.Random(2).sample(rows, len(rows))
    assert sums(read_outcomes(write(tmp_path / "shuffled.csv", shuffled), columns)) == expected


def test_words_booleans_and_numbers_are_outcomes(tmp_path):
    for name, values in {
        "words.csv": ["Yes", "no", "TRUE", "f", "1", "0"],
        "booleans.parquet": [True, False, True, False, True, False],
        "booleans.jsonl": [True, False, 1, 0, "yes", "n"],
    }.items():
        rows = [{"arm": "AB"[index % 2], "clicked": value} for index, value in enumerate(values)]
        cells = read_outcomes(write(tmp_path / name, rows), OutcomeColumns("arm", "clicked")).cells
        assert cells.is_share
        assert cells.sums_C.sum() == 3


@pytest.mark.parametrize(
    ("text", "decimal", "value"),
    [("1,5", "comma", 1.5), ("1.234,5", "comma", 1234.5), ("1,234.5", None, 1234.5), ("1,234", "point", 1234.0),
     ("1,234", "comma", 1.234), (" -3e2 ", None, -300.0)],
)  # fmt: skip
def test_numbers_with_commas(tmp_path, text, decimal, value):
    path = write(tmp_path / "log.csv", [{"arm": "A", "paid": text}, {"arm": "B", "paid": text}], separator=";")
    cells = read_outcomes(path, OutcomeColumns("arm", "paid"), decimal=decimal).cells
    assert (cells.sums_C + cells.shift).tolist() == [value, value]


def test_rows_without_a_value_are_counted(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text('u,v,y\n1,A,1\n\n2,A,\n3,,1\n,B,0\n5,B,NaN\n6,B,0\n7, A ,"1"\n')
    log = read_outcomes(path, OutcomeColumns("v", "y", unit="u"))
    assert (log.rows, log.without_variant, log.without_outcome, log.without_unit) == (7, 1, 2, 1)
    assert log.cells.variants == ("A", "B")
    assert [log.cells.rows_C[log.cells.variant_C == arm].sum() for arm in (0, 1)] == [3, 2]
    assert [log.cells.counts_C[log.cells.variant_C == arm].sum() for arm in (0, 1)] == [2, 1]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "has no line with the names"),
        ("v,y\n", {}, "has no rows"),
        ("v,z\nA,1\n", {}, "has no column 'y'; its columns are 'v', 'z'"),
        ("v,y,y\nA,1,1\n", {}, "has 2 columns 'y'"),
        ("v,y\nA,1\nA,0\n", {}, "has only the value 'A'"),
        ("v,y\nA,1\nB,\n", {}, "variant 'B' has no row with a value of 'y'"),
        ("v,y\nA,1\nB,maybe\n", {}, "holds 'maybe'; an outcome is 0, 1, true"),
        ("v,y\nA,yes\nB,3\n", {}, "both the word 'yes' and numbers other than 0 and 1"),
        ('v,y\nA,"1,5"\nB,3\n', {}, "holds '1,5': give --decimal comma"),
        ('v,y\nA,"1.5"\nB,3\n', {"decimal": "comma"}, "holds '1.5'"),
        ("v,y\nA,1e999\nB,3\n", {}, "holds '1e999'"),
        ("v,y\nA,1e308\nB,-1e308\n", {}, r"holds 1e\+308; numbers up to 1e70 are added up"),
        ("v,y\nA,1\nB,0,7\n", {}, "cannot be read as a table: .*Expected 2 columns, got 3"),
        ("v,y\nA,1\nB,0\n", {"baseline": "C"}, "--baseline C: column 'v' of .* has 'A', 'B'"),
        ("v,y\n" + "".join(f"{n},1\n" for n in range(21)), {}, "column 'v' has over 20 values"),
        ("\ufeffv,y\nA,1\nB,0\n".encode("utf-16-le"), {}, "is in UTF-16"),
        ("版本,y\nA,1\nB,0\n".encode("gbk"), {}, "is not in UTF-8, as its line of column names shows"),
        (b"\x1f\x8b\x08\x00", {}, r"is compressed: give it as <\(zcat"),
        ('{"v": "A", "z": 1}\n', {}, "has no line with a value of 'y'; its first line has 'v', 'z'"),
        (b"v,y\nA,1\n\xff,0\n", {}, "cannot be read as a table: .*UTF8"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path, text, options, message):
    path = tmp_path / ("log.jsonl" if text[:1] == "{" else "log.csv")
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message) as refusal:
        read_outcomes(path, OutcomeColumns("v", "y"), **options)
    assert "\n" not in str(refusal.value)


def test_a_time_that_is_none_is_refused_and_a_missing_one_counted(tmp_path):
    columns = OutcomeColumns("v", "y", time="t")
    path = write(tmp_path / "log.csv", [{"v": "A", "y": 1, "t": ""}, {"v": "B", "y": 0, "t": "1758758400"}])
    assert read_outcomes(path, columns).without_time == 1
    path = write(tmp_path / "log.csv", [{"v": "A", "y": 1, "t": "yesterday"}, {"v": "B", "y": 0, "t": "2025-01-01"}])
    with pytest.raises(InputError, match="column 't' holds 'yesterday'; a time is an ISO date"):
        read_outcomes(path, columns)


def test_dates_that_are_written_as_numbers(tmp_path):
    """20250925 is a date if the column begins with one; after seconds it is a number of seconds."""
    columns = OutcomeColumns("v", "y", time="t")

    def times(*texts, name="log.csv"):
        rows = [{"v": "AB"[n % 2], "y": n % 2, "t": text} for n, text in enumerate(texts)]
        return read_outcomes(write(tmp_path / name, rows), columns).times

    assert times("20250925", "202509261300") == (1758758400000, 1758891600000)
    assert times(20250925, 20250926, name="log.parquet") == (1758758400000, 1758844800000)
    assert times("20250925.0", "", name="log.jsonl")[0] == 1758758400000
    assert times("5", "20250925") == (5000, 20250925000)
    assert times("2025-09-25", "20250926")[1] == 1758844800000
    with pytest.raises(InputError, match="holds '20250925' and '20251325': dates such as 20250925 and seconds"):
        times("20250925", "20251325")
    assert read_outcomes(tmp_path / "log.csv", OutcomeColumns("v", "y")).times is None


def test_times_of_any_range_keep_few_cells(tmp_path, monkeypatch):
    monkeypatch.setattr(outcome_log, "_PENDING_ROWS", 512)
    rows = [{"v": "AB"[n % 2], "y": n % 3 == 0, "t": (n * 7919) % 10_007 * 86_400} for n in range(6_000)]
    cells = read_outcomes(write(tmp_path / "log.parquet", rows), OutcomeColumns("v", "y", time="t")).cells
    assert len(cells.time_C) <= 2 * (outcome_log._TIMES + 1)
    assert cells.rows_C.sum() == 6_000
    assert np.abs(cells.time_C % 86_400_000).max() < 86_400_000
