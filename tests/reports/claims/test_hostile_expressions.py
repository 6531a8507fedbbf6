"""Expressions of strangers: bounded in depth, digits, exponents and work, and refused in one line."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import evals
from evals.errors import InputError
from evals.reports.claims.assessment import _id_order
from evals.reports.claims.language import intervals, literals, trees
from evals.reports.claims.language.expressions import parse
from evals.reports.claims.language.tables.printed_cells import read_cell
from evals.reports.claims.language.units import PLAIN, Units

TOO_MUCH = [
    "9^9999999", "1e999999999", "9^400", "9^999", "(" * 300 + "1" + ")" * 300, "-" * 1000 + "1", "1" * 5000,
    "+".join(["1"] * 5000), "+".join(["1"] * 400), "((2^60)^60)^60", "max(" * 200 + "1" + ")" * 200, "1e5e5", "9^9e9",
    "((1e100^60) * 1e100) - 1", "1e-100 * 1e-100 * 1e-100",
]  # fmt: skip


def no_value(id):
    raise InputError(f"{id} is not a claim or fact")


def value(text):
    units = Units({"byte": ("B", "8 bit")})
    tree = trees.resolve(parse(text), no_value, units).tree
    return intervals.range_over_box(tree, {name: literals.interval(name) for name in trees.names(tree)})


@pytest.mark.parametrize("text", TOO_MUCH, ids=lambda text: text[:20])
def test_too_much_work_is_one_short_line(text):
    with pytest.raises(InputError) as caught:
        value(text)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"), [("2^40", 2**40), ("1e12 * 3", 3 * 10**12), ("+".join(["1"] * 100), 100), ("9^20", 9**20)]
)
def test_what_documents_need_is_computed(text, expected):
    assert value(text) == (expected, expected)


@given(st.text("0123456789.e+-*/^() ,maxinsqrtbyte", max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_value_or_an_error_of_one_line(text):
    start, message = time.process_time(), ""
    try:
        low, high = value(text)
    except (InputError, ZeroDivisionError) as error:
        low, high, message = 0, 0, str(error)
    assert low <= high
    assert "\n" not in message
    assert time.process_time() - start < 5


def test_values_of_values_are_bounded_too():
    """Each value uses the one before twice: 2^40 parts in 40 lines."""
    resolved = trees.resolve(parse("1 + 1"), lambda name: PLAIN, Units({}))

    def doubled(times):
        last = resolved
        for _ in range(times):
            last = trees.resolve(parse("X-1 + X-1"), lambda name, last=last: last, Units({}))
        return last

    assert doubled(5).tree.nodes == 2**7 - 1
    with pytest.raises(InputError, match="computed from"):
        doubled(40)


def test_claims_are_ordered_by_their_numbers_of_any_length():
    ids = ["A-2", "A-10", "A-²", "A-" + "9" * 5_000, "A-x", "B-1", "A-١"]
    assert sorted(ids, key=_id_order)[-4:] == ["A-2", "A-10", "A-" + "9" * 5_000, "B-1"]


def test_a_root_has_one_argument():
    assert value("sqrt(4)") == (2, 2)
    with pytest.raises(InputError, match=r"sqrt\( \) takes one number; it was given 2"):
        value("sqrt(4, 4)")


def test_a_cell_as_long_as_a_book_is_no_number():
    assert read_cell("9" * 50).digits == "9" * 50
    with pytest.raises(InputError, match="is no number") as caught:
        read_cell("9" * 5000)
    assert len(str(caught.value)) < 400


CLAIMS = """\
document: {id: card, title: T, date: 2026-03-01, language: en, subjects: {otter: {name: Otter}},
           quantities: {acc: {says: accuracy, unit: percent}}}
claims:
"""


@pytest.mark.parametrize("size", ["0", "-5", "1.5", "1 / 3"])
def test_a_test_set_has_a_whole_number_of_items(tmp_path, size):
    claim = '- {id: C-1, quote: x, says: x, subject: otter, quantity: acc, printed: "60.5", unit: percent, attainable: '
    (tmp_path / "c.yaml").write_text(f'{CLAIMS}{claim}["{size}"]}}\n')
    with pytest.raises(InputError, match="a test set has 1 item or more"):
        evals.check([tmp_path / "c.yaml"], paper=True)


@pytest.mark.slow
def test_many_claims_of_one_quantity_are_compared_in_seconds(tmp_path):
    claim = '- {{id: D-{n}, quote: x, says: x, subject: otter, quantity: acc, printed: "{n}", unit: percent}}'
    (tmp_path / "c.yaml").write_text(CLAIMS + "\n".join(claim.format(n=n) for n in range(1, 100)) + "\n")
    start = time.process_time()
    evals.check([tmp_path / "c.yaml"], paper=True)
    assert time.process_time() - start < 5


def _claims(path, claims):
    head = "document: {id: t, title: T, subjects: {s: {name: S}}, quantities: {sums: {says: sums, unit: percent}}}"
    path.write_text(
        f"{head}\nclaims:\n"
        + "\n".join(f"- {{says: x, quote: q, subject: s, quantity: sums, unit: percent, {claim}}}" for claim in claims)
    )
    return path


def test_a_long_chain_of_claims_is_one_line_and_many_on_one_topic_are_compared(tmp_path):
    start = time.process_time()
    chain = [f"id: T-{n}, derive: T-{n - 1} * 1, conditions: {{n: '{n}'}}" for n in range(1, 1500)]
    with pytest.raises(InputError, match="T-21 is computed in 21 steps, at most 20; give one of them its digits"):
        evals.check([_claims(tmp_path / "chain.yaml", ['id: T-0, printed: "5"', *chain])], paper=True)
    circle = [f"id: T-{n}, derive: T-{(n + 1) % 1500} * 1" for n in range(1500)]
    with pytest.raises(InputError, match=r"T-0 needs T-1 .* needs T-0: a claim cannot be computed from itself"):
        evals.check([_claims(tmp_path / "circle.yaml", circle)], paper=True)
    same = [f'id: T-{n}, printed: "{n / 10}"' for n in range(600)]
    assert len(evals.check([_claims(tmp_path / "same.yaml", same)], paper=True).assessments) == 600
    assert time.process_time() - start < 30, "a quadratic check of the chain takes minutes"
