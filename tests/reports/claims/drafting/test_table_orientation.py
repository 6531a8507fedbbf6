"""Which way a table lies: no single label turns it, and no change is held against values that it is not of."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.app.check import check
from evals.reports.claims.drafting.drafter import draft
from evals.reports.claims.drafting.readers.select import read
from evals.reports.claims.drafting.tables.labels import names_measure
from evals.reports.claims.drafting.tables.orientation import is_certain_turn, table_form

CORNERS = ["", "Configuration", "Setting", "Variant", "Model", "Setup", "Ablation", "Run", "Backbone", "1B Baselines"]
WORDS = [
    "training", "size", "longer context", "fewer parameters", "memory", "MMLU", "accuracy", "speed", "Average", "w/o",
    "Otter", "full", "clean training only", "test", "more tokens", "Latency (ms)", "7B", "100%",
]  # fmt: skip
METRICS = ["Accuracy", "F1", "MMLU", "Latency (ms)", "WER", "GSM8K"]
OTHERS = ["Clean", "C10-C", "Sev-5", "Δ", "Static", "Heron"]
LABELS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)
SYSTEM_ROWS = ["Otter 2", "Standard CNN (no NC)", "NC-Conv (full)", "w/o aug (clean training only)"]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(CORNERS), st.sampled_from(CORNERS), st.lists(st.sampled_from(METRICS), min_size=1, max_size=3),
    st.lists(st.sampled_from(OTHERS), max_size=3), st.lists(LABELS, max_size=6),
)  # fmt: skip
def test_no_row_and_no_corner_turns_a_table_whose_header_has_metrics(corner, other, metrics, columns, labels):
    for count in range(len(labels) + 1):
        rows = [SYSTEM_ROWS[0], *labels[:count]]
        for name in (corner, other):
            assert table_form(name, [*columns, *metrics], rows) == "systems in rows"


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(CORNERS), st.permutations(OTHERS).map(lambda names: names[:3]), LABELS, st.integers(0, 4))
def test_one_label_turns_no_table(corner, columns, label, place):
    rows = [*SYSTEM_ROWS[:place], label, *SYSTEM_ROWS[place:]]
    assert table_form(corner, columns, rows) == "systems in rows"
    assert not is_certain_turn(corner, columns, rows)


def test_a_narrow_majority_turns_a_table_and_lets_no_change_convict():
    rows = ["MMLU", "GSM8K", "Latency", "HumanEval", "MyOwn", "Other"]
    assert table_form("1B Baselines", ["Otter 1", "Otter 2"], rows) == "systems in columns"
    assert not is_certain_turn("1B Baselines", ["Otter 1", "Otter 2"], rows)
    assert is_certain_turn("", ["Otter 1", "Otter 2"], rows[:4])


@pytest.mark.parametrize("label", ["longer context", "fewer parameters", "w/o training", "smaller size", "more tokens"])
def test_a_variation_is_no_measure(label):
    assert not names_measure(label)
    assert names_measure(label.split()[-1])


ABLATION = """\
# NC-Conv

NC-Conv is a robust convolution.

| {corner} | Clean | C10-C | Δ |
|---|---|---|---|
| Standard CNN (no NC) | 89.2 | 76.2 | - |
| NC-Conv (full) | 88.9 | 77.7 | +1.6% |
| {label} | 89.2 | 69.8 | -6.4% |
| Static path only | 87.1 | 75.8 | -0.4% |
| Dynamic path only | 89.1 | 74.9 | -1.3% |
"""


def convicted(tmp_path, text):
    path = tmp_path / "text.md"
    path.write_text(text)
    return [a.claim.id for a in check([path], paper=True).assessments if "inconsistent" in a.headline]


@pytest.mark.parametrize("corner", ["Configuration", "", "Category", "Test", "Condition", "Metric"])
def test_changes_from_a_baseline_in_another_row_convict_nothing(tmp_path, corner):
    for label in ("w/o aug (clean training only)", "Average accuracy of training"):
        assert convicted(tmp_path, ABLATION.format(corner=corner, label=label)) == []


def test_a_wrong_change_beside_two_systems_is_still_convicted(tmp_path):
    table = (
        "# Heron\n\n| Metric | Before | After | Change |\n|---|---|---|---|\n"
        "| Latency | 200 ms | 100 ms | -50% |\n| Memory | 10.0 GB | 8.0 GB | {} |\n"
    )
    assert convicted(tmp_path, table.format("-20%")) == []
    assert len(convicted(tmp_path, table.format("-60%"))) == 1


def rows_of(text):
    (table,) = draft(read(text.encode(), "post.md")).tables
    return [(row.get("subject"), row.get("group"), row["cells"]) for row in table.rows], table


def test_a_corner_names_the_system_of_columns_that_are_stages():
    rows, table = rows_of(
        "# OpenLM\n\n| **OpenLM-1B** | **250B  tokens** | **1T tokens** |\n|---|---|---|\n"
        "| Training progress | 16% complete | 63% complete |\n| arc_challenge | 0.27 | 0.28 |\n| copa | 0.71 | 0.78 |\n"
    )
    assert [(subject, group, cells[1:]) for subject, group, cells in rows] == [
        ("openlm-1b", "250B tokens", ["0.27", "0.71"]), ("openlm-1b", "1T tokens", ["0.28", "0.78"]),
    ]  # fmt: skip
    assert [column["unit"] for column in table.columns] == ["percent", "number", "number"]


@pytest.mark.parametrize(
    ("header", "labels", "subjects"),
    [
        ("Language | OpenCLIP @ 1 | UForm @ 1", ["English 🇺🇸", "Chinese"], ["openclip", "uform"]),
        ("Severity | Std CNN | NC-Conv", ["1 (mild)", "2"], ["std-cnn", "nc-conv"]),
        ("Corruption | Std CNN | NC-Conv", ["Clean", "fog"], ["std-cnn", "nc-conv"]),
        ("Condition | Clean | C10-C", ["Otter 2", "Heron 3"], ["otter-2", "heron-3"]),
    ],
)
def test_languages_and_severities_are_no_systems(header, labels, subjects):
    text = f"# A\n\n| {header} |\n|---|---|---|\n" + "".join(f"| {label} | 37.8 | 37.7 |\n" for label in labels)
    assert [subject for subject, _, _ in rows_of(text)[0]] == subjects


def test_several_ranks_of_one_system_are_told_apart():
    rows, _ = rows_of(
        "# A\n\n| Language | Otter-2 @ 1 | Heron-3 @ 1 | Otter-2 @ 5 | Heron-3 @ 5 | Speakers |\n"
        "|---|---|---|---|---|---|\n"
        "| English | 37.8 | 37.7 | 63.5 | 65.0 | 1400 |\n| Hindi | 20.7 | 31.3 | 42.5 | 57.9 | 600 |\n"
    )
    assert [(subject, group) for subject, group, _ in rows] == [
        ("otter-2", "@ 1"), ("heron-3", "@ 1"), ("otter-2", "@ 5"), ("heron-3", "@ 5"),
    ]  # fmt: skip


def test_data_sets_on_the_left_of_metrics_are_settings_of_the_one_system():
    rows, _ = rows_of(
        "# Otter-2\n\nOtter-2 is a model.\n\n| Dataset | Recall @ 1 | Recall @ 5 |\n|---|---|---|\n"
        "| Flickr | 0.727 | 0.915 |\n| MS-COCO | 0.510 | 0.761 |\n"
    )
    assert [(subject, group) for subject, group, _ in rows] == [
        ("otter-2", "Dataset Flickr"),
        ("otter-2", "Dataset MS-COCO"),
    ]


def test_a_table_of_data_has_its_data_sets_in_rows():
    rows, table = rows_of(
        "# Otter-2\n\nOtter-2 is a model.\n\n| Dataset | Tokens | Percentage |\n|---|---|---|\n"
        "| RedPajama | 1157.3B | 72.6% |\n| S2ORC | 48.9B | 3.1% |\n| Total | 1594.5B | 100% |\n"
    )
    assert [cells for _, _, cells in rows] == [["1157.3B", "72.6%"], ["48.9B", "3.1%"], ["1594.5B", "100%"]]
    assert [column["unit"] for column in table.columns] == ["tokens", "percent"]


@pytest.mark.parametrize("rows", ["| Flickr | 72.7 | 60.1 |\n", "| Flickr | 72.7 | 60.1 |\n| Ours | 80.0 | 70.0 |\n"])
def test_a_value_of_the_text_is_held_against_no_setting_that_it_does_not_name(tmp_path, rows):
    text = "# Otter-2\n\nOtter-2 reaches an accuracy of 80.0 % and an F1 of 70.0 %.\n\n"
    assert convicted(tmp_path, f"{text}| Dataset | Accuracy | F1 |\n|---|---|---|\n{rows}") == []
