"""Tables of many forms: who the values are of, and in which unit."""

from __future__ import annotations

import pytest

from evals.reports.claims.drafting.drafter import draft
from evals.reports.claims.drafting.readers.select import read

HEAD = "# Otter-2\n\nOtter-2 is a model.\n\n"


def table_of(text, before=HEAD):
    header, *rows = [line.strip() for line in text.strip().splitlines()]
    rule = "|" + "---|" * (header.count("|") - 1)
    (table,) = draft(read("\n".join([before, header, rule, *rows, ""]).encode(), "post.md")).tables
    units = {str(column["name"]): column["unit"] for column in table.columns}
    return [(row.get("subject") or row["name"], row.get("group"), row["cells"]) for row in table.rows], units


FORMS = [
    pytest.param(
        "| Model | Otter-2 | Heron-3 |\n| Size | 474 MB | 2.4 GB |\n| Weights | 196M | 638M |\n"
        "| Time (days) | 0.3 | 1 |",
        ["otter-2", "heron-3"], {"Size": "megabytes", "Weights": "parameters", "Time (days)": "days"},
        id="a corner that names the header, with a unit in each row",
    ),
    pytest.param(
        "| | COMMA | PERIOD | OVERALL |\n| Precision | 0.51 | 0.52 | 0.62 |\n| F1 | 0.51 | 0.54 | 0.63 |",
        ["otter-2"] * 3, {"Precision": "number", "F1": "number"}, id="columns with a sum are parts of one system",
    ),
    pytest.param(
        "| Devices | Max GPU RAM | Token/sec |\n| 2 | OOM | - |\n| 4 | 35.64 GB | 7.55 |\n| 8 | 18.35 GB | 7.47 |",
        ["otter-2"] * 2, {"Max GPU RAM": "gigabytes", "Token/sec": "tokens-per-second"}, id="numbers name no systems",
    ),
    pytest.param(
        "| | MMLU | PTB (PPL↓) |\n| FP16 | 44.75 | 18.96 |\n| INT8 | 44.70 | 18.99 |",
        ["otter-2"] * 2, {"MMLU": "percent", "PTB (PPL↓)": "number"}, id="number formats are settings",
    ),
    pytest.param(
        "| Setup | Zero-shot | | Finetune | |\n| Metric | R@1 | R@5 | R@1 | R@5 |\n"
        "| Wren-A | 42.6 | 68.6 | 48.6 | 75.1 |\n"
        "| Wren-B | 52.1 | 76.7 | 58.4 | 83.6 |",
        ["wren-a", "wren-b"], {"Zero-shot R@1": "percent", "Finetune R@5": "percent"}, id="a header that goes on",
    ),
    pytest.param(
        "| Size | Model | Quantization | Microbatch size | RAM |\n| 7 B | Wren 2 | None | 1 | 21.30 GB |\n"
        "| 7 B | Wren 2 | nf4 | 1 | 14.14 GB |\n| 13 B | Wren 2 | None | 1 | 38.12 GB |",
        ["wren-2-7-b", "wren-2-7-b", "wren-2-13-b"], {"RAM": "gigabytes"}, id="the name in the second column",
    ),
    pytest.param(
        "| Model | Precision | FP16 cache | Q4 cache |\n| Wren 7B | 3.0 bpw | 21.8% | 20.9% |\n"
        "| -- | 4.0 bpw | 23.1% | 23.3% |",
        ["wren-7b"] * 2, {"FP16 cache": "percent"}, id="a mark for the name above",
    ),
    pytest.param(
        "| Model | ARM (ms) | MACs | Disk |\n| Wren-A | 196.6 --> 208.8 | 8.4G | 1.5G |\n"
        "| Wren-B | 70.6 --> 51.2 | 25G | 2.9G |",
        ["wren-a", "wren-b"], {"ARM (ms) 1": "milliseconds", "ARM (ms) 2": "milliseconds", "MACs": "operations"},
        id="two values in a cell, and a G of operations",
    ),
    pytest.param(
        "| Model | Batch | Prefill | us/iter | eff GB/s | Time [seconds/1000 examples] |\n"
        "| Wren-A | 1 | 64 | 10.5 | 61.4 | 50 |\n"
        "| Wren-B | 1 | 128 | 7.7 | 42.2 | 18 |",
        ["wren-a", "wren-b"],
        {"us/iter": "microseconds", "eff GB/s": "gigabytes-per-second", "Time [seconds/1000 examples]": "seconds"},
        id="units per thing, and powers of two that are settings",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "subjects", "units"), FORMS)
def test_each_value_has_its_system_and_unit(text, subjects, units):
    rows, found = table_of(text)
    assert [subject for subject, _, _ in rows] == subjects
    assert units.items() <= found.items()
    assert not {"Prefill", "Microbatch size"} & {*found}


def test_what_stands_above_a_table_says_its_unit_and_its_system():
    text = "| | A100 | 4090 |\n| Wren-A | 140.6 | 190.5 |\n| Wren-B | 184.3 | 230.5 |"
    assert {*table_of(text, "# Wren\n\n## Throughput ( Token/sec )\n")[1].values()} == {"tokens-per-second"}
    assert {*table_of(text, "# Wren\n\n## Time to first token ( Sec )\n")[1].values()} == {"seconds"}
    parts = "| | COMMA | OVERALL |\n| Precision | 0.51 | 0.62 |\n| F1 | 0.51 | 0.63 |"
    assert {subject for subject, _, _ in table_of(parts, f"{HEAD}- Wren-7B\n")[0]} == {"wren-7b"}
