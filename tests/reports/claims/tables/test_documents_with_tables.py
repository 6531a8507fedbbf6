"""Documents with tables, from file to verdict: the documented example is honest, and planted errors are found."""

from __future__ import annotations

import json

import pytest
from test_loading import EXAMPLE

import evals
from evals.reports.claims.output import explanation, tables
from evals.reports.claims.verdicts import CONVICTIONS

FOUND = {*CONVICTIONS, "nominally_inconsistent"}


@pytest.fixture
def check(tmp_path):
    def checker(*texts):
        paths = []
        for number, text in enumerate(texts):
            paths.append(tmp_path / f"claims{number}.yaml")
            paths[-1].write_text(text, encoding="utf-8")
        return evals.check(paths, paper=True)

    return checker


def found(checked):
    return {assessment.claim.id for assessment in checked.assessments if assessment.headline in FOUND}


def test_the_example_is_consistent(check):
    checked = check(EXAMPLE)
    assert found(checked) == set()
    words = {assessment.claim.id: assessment.headline for assessment in checked.assessments}
    assert {words[f"C-{number}"] for number in range(1, 8)} == {"checked_and_consistent"}


@pytest.mark.parametrize(
    ("old", "new", "id"),
    [
        ('"**83.6**"', '"**84.6**"', "T1r2-5"),  # the mean
        ('"**92.0 ± 0.4**"', '"**102.0 ± 0.4**"', "T1r2-1"),  # more than a whole
        ('"**120**"', '"**320**"', "T1r1-4"),  # bold, but not the fastest
        ("{name: RTE, items: 277}", "{name: RTE, items: 50, runs: 1}", "T1r1-2"),  # 71.1 % of 50 items
        ('"240"', '"-240"', "T1r2-4"),
        ('"240"', '"240 MB"', "T1r2-4"),  # no time
        ('"240"', '"87/50"', "T1r2-4"),  # more than there are
        ('"97.8"', '"97.8 [98.1, 99.0]"', "T1r3-1"),
        ('printed: "1.9"', 'printed: "2.9"', "C-1"),
        ('printed: "5.6", unit: percent', 'printed: "4.0", unit: percent', "C-2"),  # 4.0 points
        ('printed: "13.8"', 'printed: "23.8"', "C-3"),
        ('implied: "2"', 'implied: "3"', "C-4"),
        ("place: 2", "place: 3", "C-5"),
        ("[SST-2, RTE], relation: better", "[SST-2, Latency ↓], relation: better", "C-6"),
        ('printed: "75.1"', 'printed: "75.7"', "C-7"),
    ],
)
def test_a_planted_error_is_found(check, old, new, id):
    assert EXAMPLE.count(old) == 1
    assert id in found(check(EXAMPLE.replace(old, new)))


SECOND = """- id: T-2
  says: The same scores again.
  table:
    caption: Accuracy on the development sets
    unit: percent
    columns: [{name: SST-2}, {name: Accuracy}]
    rows:
    - {name: Otter 2, cells: ["92.0", "50.0"]}
"""


def test_one_cell_stated_twice_has_one_value(check):
    assert found(check(EXAMPLE + SECOND)) == set()
    assert "T2r1-1" in found(check(EXAMPLE + SECOND.replace('"92.0"', '"91.0"')))
    test = SECOND.replace("development sets", "test sets").replace('"92.0"', '"91.0"')
    assert found(check(EXAMPLE + test)) == set()  # of another split
    generic = SECOND.replace("id: T-2", "id: T-3").replace('"50.0"', '"60.0"')
    generic = generic.replace("{name: SST-2}, ", "").replace('"92.0", ', "")
    assert found(check(EXAMPLE + SECOND + generic)) == set()  # "Accuracy" names no benchmark


TWO_BENCHMARKS = """
document: {id: glm, title: A card of two benchmarks}
claims:
- id: T-1
  says: MMLU.
  table:
    caption: MMLU
    unit: percent
    columns: [{name: STEM}, {name: Humanities}]
    rows:
    - {name: Otter 1, cells: ["33.9", "39.0"]}
    - {name: Otter 2, cells: ["41.2", "43.7"]}
- id: T-2
  says: C-Eval.
  table:
    caption: C-Eval
    unit: percent
    columns: [{name: STEM}, {name: Humanities}]
    rows:
    - {name: Otter 1, cells: ["33.3", "41.3"]}
    - {name: Otter 2, cells: ["48.6", "51.3"]}
"""


def test_one_header_of_two_benchmarks_contradicts_nothing(check):
    checked = check(TWO_BENCHMARKS)
    assert found(checked) == set()
    assert {assessment.headline for assessment in checked.assessments} == {"not_testable_here"}
    one = checked.assessments[0].arithmetic.working
    assert "33.9 % against T2r1-1 33.3 %" in one[0]
    assert "of two benchmarks or protocols" in one[0]
    half = TWO_BENCHMARKS.replace('"33.3", "41.3"', '"33.9", "39.0"')  # half of the cells agree: the table is repeated
    assert found(check(half)) == {"T2r2-1", "T2r2-2"}


PRINTED = """
document: {id: card, title: A card}
claims:
- id: T-1
  says: Memory, as it is printed.
  table:
    columns: [{name: batch=1, unit: GiB}, {name: batch=32, unit: GiB}, {name: mIoU, unit: percent}]
    rows:
    - {name: Otter, release: plain, cells: ["65GiB", ">80GiB", "47.2 (+12.6)"]}
    - {name: Otter, release: 4-bit, cells: ["19GiB (1xA100)", "OOM", ".5"]}
    - {name: Heron, cells: [":x:", "40GiB", "-----"]}
"""


def test_cells_are_read_as_documents_print_them(check):
    checked = check(PRINTED)
    shown = {a.claim.id: (a.claim.printed, a.claim.bound) for a in checked.assessments}
    assert shown == {
        **{"T1r1-1": ("65", "exactly"), "T1r1-2": ("80", "above"), "T1r1-3": ("47.2", "exactly")},
        **{"T1r2-1": ("19", "exactly"), "T1r2-3": ("0.5", "exactly"), "T1r3-2": ("40", "exactly")},
    }
    assert "T1r1-2" not in found(checked)


def test_a_bound_of_the_text_is_shown_as_one(check):
    old, new = 'printed: "1.9", unit: points', 'printed: "2", bound: above, unit: points'
    checked = check(EXAMPLE.replace(old, new))
    line = next(a for a in checked.assessments if a.claim.id == "C-1").arithmetic.working[0]
    assert line.endswith("the text says above 2 pp")


def test_a_value_that_is_cut_rather_than_rounded_is_open(check):
    cut = EXAMPLE.replace('printed: "75.1"', 'printed: "83"').replace("column: RTE}}\n", "column: Avg.}}\n")
    assert cut != EXAMPLE
    assessment = next(a for a in check(cut).assessments if a.claim.id == "C-7")
    assert assessment.headline == "open"
    assert "it may be cut" in assessment.arithmetic.working[0]


RECORD = """
document: {id: card, title: A card}
claims:
- id: T-1
  says: Scores.
  table:
    unit: percent
    columns: [{name: MMLU}, {name: GPQA-Diamond}]
    rows:
    - {name: DeepSeek-R1, subject: r1, cells: ["90.8", "30.0"]}
    - {name: V2, cells: ["12.0", "13.0"]}
"""


def test_cells_are_compared_with_the_public_record(check):
    words = {a.claim.id: a for a in check(RECORD).assessments}
    assert words["T1r1-1"].headline == "supported"
    assert words["T1r1-2"].public_record.verdict in {"contradicted", "differs"}
    assert words["T1r2-1"].claim.subject == ("card-v2",)  # a V2 of its own, not DeepSeek's
    assert words["T1r2-1"].public_record.verdict == "na"


def test_cells_of_two_documents_are_compared(check):
    other = RECORD.replace("id: card", "id: card2").replace('"90.8"', '"60.0"')
    checked = check(RECORD, other)
    assert {pair.quantity for pair in checked.conflicts} == {"mmlu"}


def test_rows_of_one_system_are_different_settings(check):
    twice = RECORD.replace("{name: V2, cells", "{name: DeepSeek-R1 (greedy), subject: r1, cells")
    assert not check(twice).internal_conflicts


def test_a_cell_is_explained_and_written_with_its_place(check):
    checked = check(EXAMPLE.replace('"**83.6**"', '"**84.6**"'))
    shown = explanation.explain(checked, "T1r2-5")
    assert (
        "the plain mean of the parts is (92.0 + 75.1) / 2 = 83.55 %, and 84.6 % is printed: a gap of 1.05 pp" in shown
    )
    assert explanation.explain(checked, "T-1").count(" says: Otter ") == 10
    entries = {entry["id"]: entry for entry in json.loads(tables.render(checked, "json"))["claims"]}
    assert entries["T1r2-5"]["cell"] == {"table": "T-1", "row": "Otter 2", "column": "Avg.", "text": "**84.6**"}
    assert "cell" not in entries["C-1"]
