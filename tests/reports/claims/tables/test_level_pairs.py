"""Differences and ratios of the text against values that the document states elsewhere, without a formula."""

from __future__ import annotations

import pytest

import evals
from evals.errors import InputError

DOCUMENT = """
document:
  id: card
  title: Model card of Otter 2
  subjects: {otter-1: {name: Otter 1}, otter-2: {name: Otter 2}}
  quantities:
    price: {says: price of a million tokens, unit: dollars}
    power: {says: power drawn, unit: watts}
    p: {says: p-value of the paired test}
    speed: {says: tokens a second, unit: tokens-per-second}
    training-days: {says: days of training, unit: days}
claims:
- {id: C-1, says: Otter 2 has 88.5 %., subject: otter-2, quantity: mmlu, printed: "88.5", unit: "%"}
- {id: C-2, says: Otter 1 has 78.2 %., subject: otter-1, quantity: mmlu, printed: "78.2", unit: percent}
- {id: C-3, says: It costs 0.55 dollars., subject: otter-2, quantity: price, printed: "0.55", unit: $}
- {id: C-4, says: It costs 2.19 dollars., subject: otter-1, quantity: price, printed: "2.19", unit: dollars}
- {id: C-5, says: It writes 120 tokens a second., subject: otter-2, quantity: speed, printed: "120", unit: tokens/s}
- {id: C-6, says: It draws 350 W., subject: otter-2, quantity: power, printed: "350", unit: W}
- {id: C-7, says: It was trained for 3 days., subject: otter-2, quantity: training-days, printed: "3", unit: days}
- {id: C-8, says: p is 0.003., subject: otter-2, quantity: p, printed: "0.003", unit: number}
- {id: C-9, says: It has 78.3 %., subject: otter-2, quantity: gsm8k, printed: "78.3", plus_minus: "0.4", unit: "%"}
"""


def verdict_of(tmp_path, line):
    path = tmp_path / "card.yaml"
    keys = f"id: C-20, says: x, subject: otter-2, baseline: otter-1, {line}"
    path.write_text(f"{DOCUMENT}- {{{keys}}}\n", encoding="utf-8")
    checked = {assessment.claim.id: assessment for assessment in evals.check([path], paper=True).assessments}
    assert {checked[f"C-{number}"].headline for number in range(3, 10)} <= {"not_testable_here"}
    return checked["C-20"]


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ('quantity: mmlu, printed: "10.3", unit: points', "checked_and_consistent"),
        ('quantity: mmlu, printed: "13.2", unit: percent', "checked_and_consistent"),
        ('quantity: mmlu, printed: "10.3", unit: percent', "nominally_inconsistent"),
        ('quantity: mmlu, printed: "4.3", unit: points', "internally_inconsistent"),
        ('quantity: price, implied: "4", unit: times, bound: about', "checked_and_consistent"),
        ('quantity: price, implied: "6", unit: times', "internally_inconsistent"),
        ('quantity: price, printed: "1.64", unit: dollars', "checked_and_consistent"),
        ('quantity: gsm8k, printed: "4.3", unit: points', "not_testable_here"),  # the other level is not stated
    ],
)
def test_a_difference_is_compared_with_both_levels(tmp_path, line, word):
    assert verdict_of(tmp_path, line).headline == word


def test_the_working_names_points_and_percent(tmp_path):
    [line, *_] = verdict_of(tmp_path, 'quantity: mmlu, printed: "10.3", unit: percent').working
    assert "(C-1 - C-2) / C-2 = 13.04 to 13.31 %" in line
    assert "the difference in percentage points: percent and points are two units" in line


def test_a_difference_of_percentages_is_in_points(tmp_path):
    working = verdict_of(tmp_path, 'printed: "10.3", unit: percent, derive: C-1 - C-2').working
    assert working[0].startswith("arithmetic: C-1 - C-2 = 10.3 pp (10.2 to 10.4 pp with rounding)")
    shares = verdict_of(tmp_path, 'printed: "11.5", unit: percent, derive: 100 - C-1').working
    assert shares[0].startswith("arithmetic: 100 - C-1 = 11.5 % ")


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ('printed: "78.3", interval: ["77.1", "79.5"], unit: "%"', "checked_and_consistent"),
        ('printed: "78.3", interval: ["78.4", "79.5"], unit: "%"', "internally_inconsistent"),
        ('printed: "100", unit: items, attainable: [100]', "not_testable_here"),
        ('printed: "87.0", unit: "%", attainable: [100]', "checked_and_consistent"),
    ],
)
def test_intervals_and_counts_are_claims(tmp_path, line, word):
    assert verdict_of(tmp_path, line).headline == word


def test_more_items_than_there_are_is_refused_with_the_claims_name(tmp_path):
    with pytest.raises(InputError, match=r"card.yaml:\d+: C-20 120 of 100 items: a part cannot be more than the whole"):
        verdict_of(tmp_path, 'printed: "120", unit: items, attainable: [100]')


def test_an_interval_belongs_to_one_number(tmp_path):
    with pytest.raises(InputError, match="C-20 'interval' belongs to one number"):
        verdict_of(tmp_path, 'interval: ["77.1", "79.5"], unit: "%"')
