"""The worst samples: failures first, then the lowest, spread over labels and images, whatever the order."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_folders import make, metric, row

from evals.reports.runs import terminal
from evals.reports.runs.worst_samples import choose_worst, describe_worst


@pytest.fixture
def record(tmp_path):
    return make(tmp_path / "run")


def test_worst_fail_first_then_score_least(record):
    assert [sample["id"] for sample in choose_worst(record)] == ["13", "11", "12", "10"]
    assert [sample["id"] for sample in choose_worst(record, count=2)] == ["13", "11"]


def test_worst_are_spread_over_labels_and_images(tmp_path):
    rows = [row(str(n), 0.0, "yes/no") for n in range(100)] + [row(str(n), 0.0, "number") for n in range(100, 104)]
    chosen = choose_worst(make(tmp_path / "run", rows), count=8)
    assert sum(sample["labels"]["answer type"] == "number" for sample in chosen) >= 2
    assert len({sample["cluster"] for sample in chosen}) == 8


def test_nearly_equal_values_are_equal_and_images_are_remembered(tmp_path):
    rows = [row("0", 0.0), row("1", 0.3), row("2", 0.1 + 0.2), row("3", 0.3)]
    chosen = choose_worst(make(tmp_path / "run", rows), count=3)
    assert {sample["cluster"] for sample in chosen[:2]} == {"0", "1"}
    assert chosen[2]["id"] in {"1", "2", "3"}


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(12)), st.integers(1, 14))
def test_worst_do_not_depend_on_order(order, count):
    rows = [row(str(n), n % 3 / 2, ("yes/no", "number", "other")[n % 2]) for n in range(12)]
    with tempfile.TemporaryDirectory() as folder:
        expected = choose_worst(make(Path(folder), rows), count)
        shuffled = choose_worst(make(Path(folder), [rows[n] | {"index": i} for i, n in enumerate(order)]), count)
    assert [sample["id"] for sample in shuffled] == [sample["id"] for sample in expected]
    assert len(expected) == min(count, 12)
    values = [sample["values"]["accuracy"] for sample in expected]
    assert values == sorted(values)


def test_sample_value_without_the_headline(tmp_path):
    metrics = {"rsum": metric(3.0), "t2i/recall@1": metric(0.5), "t2i/median-rank": metric(2, unit="rank")}
    rows = [row(str(n), 0, values={"t2i/recall@1": float(n), "t2i/median-rank": 9 - n}) for n in (1, 0)]
    rows.append(row("2", 0, values={}))
    assert [sample["id"] for sample in choose_worst(make(tmp_path / "run", rows, metrics, headline="rsum"))] == [
        "0",
        "1",
    ]


def test_case_counts_annotators(record):
    (failed, unread, *_), _ = describe_worst(record)
    assert failed.notes == ("failed: 13.jpg is truncated",)
    assert unread.notes == ("no answer could be read from the output",)
    assert unread.expected == (("red", 7), ("blue", 3))
    assert "red (7); blue (3)" in terminal.show(record)
