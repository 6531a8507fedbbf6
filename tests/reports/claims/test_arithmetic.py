"""Arithmetic over printed numbers: against brute force, mpmath's intervals, and cases worked by hand."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from evals.errors import InputError
from evals.reports.claims.evidence import arithmetic
from evals.reports.claims.language import files, intervals, trees
from evals.reports.claims.language.expressions import parse
from evals.reports.claims.language.units import PLAIN, ExactInterval, Units
from evals.reports.claims.language.values import ValueTable
from evals.statistics.power import attainable_count, compare_proportions, minimum_detectable, successes_needed

HEAD = "document: {id: t, title: T, subjects: {s: {name: S}, o: {name: O}}}\nclaims:\n"


def document_and_table(tmp_path, *claims):
    path = tmp_path / "t.yaml"
    path.write_text(HEAD + "".join(f"- {{says: x, {claim}}}\n" for claim in claims))
    document = files.load(path)
    return document, ValueTable(document, files.load_record(), files.load_vocabulary())


def verdict(tmp_path, *claims):
    """Return the arithmetic of the last claim."""
    document, numbers = document_and_table(tmp_path, *claims)
    return arithmetic.check(document.claims[-1], numbers)


# What an expression can come to

NAMES = ("X-1", "X-2", "X-3")
expression_texts = st.recursive(
    st.sampled_from(NAMES) | st.integers(1, 9).map(str),
    lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
    max_leaves=6,
)
sides = st.tuples(st.fractions(1, 20, max_denominator=8), st.fractions(0, 2, max_denominator=8))


def tree(text):
    return trees.resolve(parse(text), lambda name: PLAIN, Units({})).tree


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(expression_texts, st.lists(sides, min_size=3, max_size=3), st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_every_value_lies_in_the_range_and_the_range_in_plain_intervals(text, ends, at):
    box = {name: (low, low + width) for name, (low, width) in zip(NAMES, ends, strict=True)}
    try:
        low, high = intervals.range_over_box(tree(text), box)
    except ZeroDivisionError:
        assume(False)
    inside = {
        name: low + (high - low) * Fraction(share) for (name, (low, high)), share in zip(box.items(), at, strict=True)
    }
    assert low <= intervals.evaluate(tree(text), inside) <= high
    try:
        wide = binary(tree(text), {name: mpmath.iv.mpf([float(a), float(b)]) for name, (a, b) in box.items()})
    except ZeroDivisionError:
        return
    assert wide.a <= float(low) + 1e-9
    assert float(high) - 1e-9 <= wide.b


def binary(node, box):
    """The same tree in mpmath's outward-rounded intervals."""
    if node.kind == "number":
        return mpmath.iv.mpf(float(node.number))
    if node.kind == "name":
        return box[node.name]
    left, right = (binary(part, box) for part in node.parts)
    return {"+": lambda: left + right, "-": lambda: left - right, "*": lambda: left * right, "/": lambda: left / right}[
        node.kind
    ]()


def test_a_name_that_comes_twice_is_one_number():
    box = {"X-1": (Fraction(2), Fraction(3))}
    assert intervals.range_over_box(tree("X-1 - X-1"), box) == (0, 0)
    assert intervals.range_over_box(tree("X-1 / (X-1 + 1)"), box) == (Fraction(2, 3), Fraction(3, 4))
    assert intervals.range_over_box(tree("X-1 / X-1"), box) == (pytest.approx(1, abs=0.01), pytest.approx(1, abs=0.01))
    low, high = intervals.range_over_box(tree("X-1 * (5 - X-1)"), box)  # rises, then falls: enclosed, closely
    assert low == 6
    assert Fraction(25, 4) <= high <= Fraction(26, 4)


def test_shares_of_a_box_are_volumes():
    box = {name: (Fraction(0), Fraction(1)) for name in NAMES}
    assert intervals.volume_share(tree("X-1 + X-2"), box, None, Fraction(1, 2)) == pytest.approx(1 / 8, abs=1e-3)
    assert intervals.volume_share(tree("X-1 + X-2 + X-3"), box, None, Fraction(1)) == pytest.approx(1 / 6, abs=1e-3)


def test_roots_are_enclosed():
    low, high = intervals.range_over_box(tree("sqrt(X-1)"), {"X-1": (Fraction(2), Fraction(2))})
    assert low**2 <= 2 < high**2 + Fraction(1, 10**15)
    assert high - low < Fraction(1, 10**15)


@pytest.mark.parametrize("text", ["1 / (X-1 - X-2)", "sqrt(X-1 - 30)"])
def test_what_has_no_value_is_an_error(text):
    box = {"X-1": (Fraction(1), Fraction(2)), "X-2": (Fraction(1), Fraction(2))}
    with pytest.raises(ZeroDivisionError):
        intervals.range_over_box(tree(text), box)


# Claims


def test_the_flagship_case_is_nominally_inconsistent(tmp_path):
    finding = verdict(
        tmp_path,
        'id: B-59, subject: s, printed: "78.3", unit: percent',
        'id: B-60, subject: o, printed: "72.1", unit: percent',
        'id: B-18, subject: s, printed: "23", unit: percent, derive: "((100 - B-60) - (100 - B-59)) / (100 - B-60)"',
    )
    assert finding.verdict == "nominally_inconsistent"
    text = "\n".join(finding.working)
    for words in ("22.22 %", "21.9 to 22.54 %", "claimed 22.5 to 23.5 %", "0.8 % of the values that round"):
        assert words in text


SPEED = (
    'id: B-65, subject: s, printed: "120", unit: milliseconds',
    'id: B-68, subject: o, printed: "65", unit: milliseconds',
)
READINGS = 'readings: [{says: "three times as fast"}, {says: "faster by three times", reads: "B-24 + 1"}]'


# Rounded parts

PARTS = {
    "V3's hours of training": (["2.664", "0.1"], "X-1 + X-2", "2.788"),
    "hours with a count": (["1.2", "0.3"], "X-1 + X-2", "1.523417"),
    "a difference of rounded scores": (["78.3", "72.1"], "X-1 - X-2", "6.3"),
    "an average of rounded scores": (["70.1", "70.2", "70.2"], "(X-1 + X-2 + X-3) / 3", "70.1"),
    "a share of a sum": (["78.3", "72.1"], "100 - X-1", "21.7"),
}


def parts_verdict(tmp_path, parts, formula, total):
    claims = [f'id: X-{n}, subject: s, printed: "{part}", unit: times' for n, part in enumerate(parts, 1)]
    return verdict(tmp_path, *claims, f'id: X-9, subject: s, printed: "{total}", unit: times, derive: "{formula}"')


@pytest.mark.parametrize("name", PARTS)
def test_sums_of_rounded_numbers_are_consistent(tmp_path, name):
    assert parts_verdict(tmp_path, *PARTS[name]).verdict == "consistent"


@pytest.mark.parametrize(
    ("parts", "formula", "total"),
    [(["2.664", "0.1"], "X-1 + X-2", "2.878"), (["78.3", "72.1"], "X-1 - X-2", "6.4"),
     (["70.1", "70.2", "70.2"], "(X-1 + X-2 + X-3) / 3", "70.4"), (["120", "65"], "X-1 / X-2", "3")],
)  # fmt: skip
def test_errors_of_sums_are_found(tmp_path, parts, formula, total):
    assert parts_verdict(tmp_path, parts, formula, total).verdict == "internally_inconsistent"


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.fractions(1, 100, max_denominator=9973), min_size=2, max_size=4),
    st.lists(st.integers(0, 2), min_size=5, max_size=5),
    st.sampled_from(["sum", "difference", "average", "ratio"]),
)
def test_honestly_rounded_numbers_are_never_convicted(tmp_path, values, places, kind):
    """True values, each rounded on its own, and the true result rounded: no error is found where none is."""
    formulas = {
        "sum": (" + ".join(f"X-{n}" for n in range(1, len(values) + 1)), sum(values)),
        "average": (f"({' + '.join(f'X-{n}' for n in range(1, len(values) + 1))}) / {len(values)}",
                    sum(values) / len(values)),
        "difference": ("X-1 - X-2", values[0] - values[1]),
        "ratio": ("X-1 / X-2", values[0] / values[1]),
    }  # fmt: skip
    formula, result = formulas[kind]
    parts = [f"{float(round(value, digits)):.{digits}f}" for value, digits in zip(values, places, strict=False)]
    total = f"{float(round(result, places[-1])):.{places[-1]}f}"
    assume(not total.startswith("-"))
    if kind == "ratio":
        assume(float(parts[1]) > 1)
    result_word = parts_verdict(tmp_path, parts, formula, total).verdict
    assert result_word == "consistent" or (kind == "ratio" and result_word == "nominally_inconsistent")


def test_numbers_in_expressions_have_their_printed_precision(tmp_path):
    memory = 'id: A-1, subject: s, printed: "{}", unit: gigabytes, derive: "{} * 2 byte"'
    assert verdict(tmp_path, memory.format("14.5", "7e9")).verdict == "consistent"  # 13 to 15 GB
    assert verdict(tmp_path, memory.format("14.5", "exact(7e9)")).verdict == "internally_inconsistent"
    assert verdict(tmp_path, memory.format("16", "7e9")).verdict == "internally_inconsistent"
    assert (
        verdict(tmp_path, 'id: A-1, subject: s, printed: "2.5", unit: times, derive: 2500 / 1e3').verdict
        == "consistent"
    )
    with pytest.raises(InputError, match="takes one number"):
        verdict(tmp_path, 'id: A-1, subject: s, printed: "2.5", unit: times, derive: exact(2 + 1)')


def test_about_counts_inside_derivations(tmp_path):
    about = 'id: X-1, subject: s, printed: "515", times: 1e3, unit: items{}'
    total = 'id: X-2, subject: s, printed: "{}", times: 1e3, unit: items, derive: "X-1 + 150000 item"'
    assert verdict(tmp_path, about.format(", bound: about"), total.format("665")).verdict == "consistent"
    assert verdict(tmp_path, about.format(", bound: about"), total.format("690")).verdict == "consistent"
    assert verdict(tmp_path, about.format(""), total.format("690")).verdict == "internally_inconsistent"
    assert verdict(tmp_path, about.format(", bound: about"), total.format("790")).verdict == "internally_inconsistent"


def test_a_claim_fails_when_it_fails_in_every_reading_and_at_every_rounding(tmp_path):
    claim = f'id: B-24, subject: o, printed: "3", unit: times, derive: "B-65 / B-68", {READINGS}'
    finding = verdict(tmp_path, *SPEED, claim)
    assert finding.verdict == "internally_inconsistent"
    text = "\n".join(finding.working)
    for words in ("1.846", "1.824 to 1.868", "1.741 to 1.96", "1.643 to 2.083", "2.5 to 3.5", "3.5 to 4.5"):
        assert words in text
    one = verdict(tmp_path, *SPEED, claim.replace('"3"', '"1"').replace("three times", "once"))
    assert one.verdict == "consistent"  # faster by once is twice as fast: 1.5 to 2.5


def test_coarser_rounding_counts_if_the_digits_are_multiples_of_it(tmp_path):
    long, short = (
        'id: B-1, subject: s, printed: "{}", unit: milliseconds',
        'id: B-2, subject: o, printed: "{}", unit: milliseconds',
    )
    claim = 'id: B-3, subject: o, printed: "{}", unit: times, derive: "B-1 / B-2"'
    round_ = verdict(tmp_path, long.format("100"), short.format("30"), claim.format("3.7"))
    exact = verdict(tmp_path, long.format("101"), short.format("31"), claim.format("3.7"))
    assert (round_.verdict, exact.verdict) == ("nominally_inconsistent", "internally_inconsistent")


def test_physical_limits_name_their_ways_out(tmp_path):
    size = 'id: A-1, subject: s, printed: "17.5", times: 1e9, unit: parameters'
    checks = (
        'checks: [{says: weights fit, left: "A-1 * 16 bit/parameter", compare: at-most, right: A-2, law: physical},'
        '{says: at eight bits, left: "A-1 * 8 bit/parameter", compare: at-most, right: A-2, role: escape},'
        '{says: at nine bits, left: "A-1 * 9 bit/parameter", compare: at-most, right: A-2, role: escape},'
        '{says: bits a parameter, right: "A-2 / A-1", unit: "bits"}], escapes: [offloading]'
    )
    checks = checks.replace(', unit: "bits"', "")
    finding = verdict(tmp_path, size, f'id: A-2, subject: s, printed: "18", unit: gigabytes, {checks}')
    assert finding.verdict == "open"
    assert "physically implausible as stated, but a way out exists" in finding.working
    none = checks.replace("9 bit", "10 bit").replace("8 bit/parameter", "9 bit/parameter").replace("offloading", "")
    kept = verdict(tmp_path, size, f'id: A-2, subject: s, printed: "18", unit: gigabytes, {none}')
    assert kept.verdict == "physically_implausible"
    text = "\n".join(finding.working)
    for words in (
        "35 GB",
        "a way out: at eight bits",
        "no way out: at nine bits",
        "8.229 bit/parameter",
        "way out: offloading",
    ):
        assert words in text


def test_seconds_are_not_bytes(tmp_path):
    with pytest.raises(InputError, match=r"B-2.*second.*bit"):
        verdict(tmp_path, SPEED[0], 'id: B-2, subject: s, printed: "1", unit: gigabytes, derive: "B-65 + 1 byte"')


@pytest.mark.parametrize(
    ("unit", "formula", "is_refused"),
    [("percent", "5 GB", True), ("seconds", "5 GB / 1 GB", True), ("devices", "8 * 4 * 12", False),
     ("percent", "exact(384) / 384", False), ("devices", "6 hours / 2 hours", False)],
)  # fmt: skip
def test_a_formula_gives_what_its_claim_is_in(tmp_path, unit, formula, is_refused):
    claim = f'id: T-1, subject: s, printed: "3", unit: {unit}, derive: {formula}'
    if is_refused:
        with pytest.raises(InputError, match=r"T-1: its formula gives .* mend 'derive' or 'unit'"):
            verdict(tmp_path, claim)
    else:
        assert verdict(tmp_path, claim).verdict in {"consistent", "internally_inconsistent"}


def test_a_claim_is_not_computed_from_itself(tmp_path):
    with pytest.raises(InputError, match="itself"):
        verdict(
            tmp_path,
            'id: B-1, subject: s, unit: times, derive: "B-2 * 2"',
            'id: B-2, subject: s, unit: times, derive: "B-1 / 2"',
        )


@pytest.mark.parametrize(
    ("bound", "digits", "expected"),
    [
        ("exactly", "1.85", "consistent"), ("exactly", "2.1", "internally_inconsistent"),
        ("at-least", "1.5", "consistent"), ("at-least", "2.1", "internally_inconsistent"),
        ("at-most", "2", "consistent"), ("at-most", "1.5", "internally_inconsistent"),
        ("about", "1.9", "consistent"), ("about", "2.5", "internally_inconsistent"),
    ],
)  # fmt: skip
def test_bounds(tmp_path, bound, digits, expected):
    claim = f'id: B-3, subject: o, printed: "{digits}", unit: times, bound: {bound}, derive: "B-65 / B-68"'
    assert verdict(tmp_path, *SPEED, claim).verdict == expected


def test_intervals_that_share_one_end_do_not_meet():
    assert not ExactInterval(Fraction(1), Fraction(2)).meets(ExactInterval(Fraction(2), Fraction(3)))
    assert ExactInterval(Fraction(1), Fraction(2)).meets(ExactInterval(Fraction(2), Fraction(2)))


# What test sets can tell


def test_sizes_are_those_of_the_analysis():
    assert compare_proportions(0.892, 0.875).n_for_power == 5587
    assert compare_proportions(0.892, 0.915).n_for_significance == 1265
    assert compare_proportions(0.892, 0.915).n_for_power == 2584
    assert compare_proportions(0.783, 0.721).n_for_significance == 371
    assert compare_proportions(0.857, 0.883, 5463).z == pytest.approx(4.04, abs=0.01)
    assert successes_needed(0.99) == 299


@pytest.mark.parametrize(("first", "second"), [(0.892, 0.875), (0.05, 0.053)])
def test_power_is_what_simulation_finds(first, second):
    import numpy as np

    n = compare_proportions(first, second).n_for_power
    rng = np.random.default_rng(1)
    a, b = rng.binomial(n, first, 20_000) / n, rng.binomial(n, second, 20_000) / n
    z = abs(a - b) / np.sqrt((a * (1 - a) + b * (1 - b)) / n)
    assert (z > 1.959964).mean() == pytest.approx(0.8, abs=0.015)
    error = np.sqrt((first * (1 - first) + second * (1 - second)) / n)
    assert minimum_detectable(float(error)) == pytest.approx(abs(first - second), rel=1e-3)


@settings(deadline=None)
@given(st.integers(1, 3000), st.integers(0, 1000))
def test_attainable_shares_are_found_by_trying_all(items, share):
    low, high = Fraction(2 * share - 1, 2000), Fraction(2 * share + 1, 2000)
    counts = [count for count in range(items + 1) if low * items <= count <= high * items]
    finding = attainable_count(low, high, items)
    assert (finding in counts) if counts else finding is None or not 0 <= finding <= items
