"""Kinds of outputs that state no value, or another one: for any numbers, none of them is credited."""

from __future__ import annotations

from fractions import Fraction

import pytest
from draws import examples
from hypothesis import assume, given
from hypothesis import strategies as st

from evals import Prediction, Sample, registry
from evals.metrics.math_equivalence import decide_plainly
from evals.metrics.math_forms import same_ratio
from evals.metrics.math_units import unit_ratio
from evals.tasks.scoring.math_reading.answers import extract_flexible, read_output
from evals.tasks.scoring.math_reading.normal import written_alike
from evals.tasks.scoring.math_reading.sampling import grouped

registry.discover()
MATH = registry.TASKS.get("math/math")
GSM8K = registry.TASKS.get("math/gsm8k")
NUMBER = st.integers(2, 999)


def equal(gold, answer):
    return decide_plainly(gold, answer) in ("exact", "numeric")


def grades(task, gold, outputs):
    samples = [Sample(str(n), (), gold) for n in range(len(outputs))]
    scores = task.score(samples, {str(n): [Prediction(str(n), output)] for n, output in enumerate(outputs)})
    return [score.values["accuracy"] for score in scores]


NO_VALUE = [
    "The answer is at least @.",
    "The answer is at most $@$.",
    "The answer is more than @.",
    "Answer: no more than @",
    "I don't know if the answer is @.",
    "I'm not sure whether the answer is @.",
    "A common mistake: the answer is @.",
    "I cannot solve this. There are @ unknowns.",
    "No solution exists for n=@.",
    "The answer is @. Wait, that is wrong.",
    "The answer is @… wait, that is wrong.",
    "\\boxed{@}\n\nActually, I made a mistake.",
    "#### @\n\nCorrection: it is something else.",
    "The answer is @ in 1000.",
    "The answer is @, remainder 1.",
    "The answer is @ r 1.",
    "Final answer: @ dozen",
    "So $x = 1$ or $@$.",
    "\\boxed{@} or \\boxed{1}",
    "\\boxed{1} or \\boxed{@}",
    "\\boxed{|x|=@}",
    "\\boxed{x=@=1}",
    "\\boxed{x=1+0=@}",
    "\\boxed{@:1}",
    "\\boxed{x \\ne @}",
]


@examples(10, 100)
@given(NUMBER)
@pytest.mark.slow
def test_what_states_no_value_is_not_credited(number):
    outputs = [form.replace("@", str(number)) for form in NO_VALUE]
    for task in (GSM8K, MATH):
        right = grades(task, str(number), outputs)
        assert [output for output, value in zip(outputs, right, strict=True) if value] == []


STATES = [
    "The answer is @.",
    "I'm not sure, but the answer is @.",
    "The answer is @. Let me double-check: 1 + 1 = 2, correct.",
    "The answer is 1. Wait, that is wrong. The answer is @.",
    "The answer is 1.\n\nWait, let me recheck. It is @.",
    "\\boxed{1}\n\nActually, I made a mistake. The answer is @.",
    "#### 1\n\nCorrection: the answer is @.",
    "She needs at least @ buses.",
    "He read @ pages on day 1.",
    "She needs @ more stickers to have 1000.",
    "They get @ cookies each, with 1 left over.",
    "The temperature is @°C.",
    "The price is ₹@.",
    "The answer is Rs. @.",
    "**Answer**: **Sarah** paid $@.",
    "\\boxed{\\color{red}@}",
    "\\boxed{\\textcolor{red}{@}}",
    "\\boxed{\\underline{@}}",
    "\\boxed{\\mathbf{@}}",
    "\\boxed{@\\textrm{ cm}}",
    "\\boxed{\\text{Tom has @ marbles}}",
    "\\boxed{\\text{The answer is }@}",
    "\\boxed{@} \\pmod{1000}",
    "So $x=@$. \\blacksquare",
]


@examples(10, 100)
@given(NUMBER)
def test_what_states_a_value_is_credited(number):
    outputs = [form.replace("@", str(number)) for form in STATES]
    for task in (GSM8K, MATH):
        right = grades(task, str(number), outputs)
        assert [output for output, value in zip(outputs, right, strict=True) if not value] == []


UNITS = [
    "mm",
    "cm",
    "meters",
    "km",
    "inches",
    "feet",
    "kg",
    "grams",
    "seconds",
    "minutes",
    "hours",
    "days",
    "dollars",
    "cents",
]


@given(NUMBER, st.sampled_from(UNITS), st.sampled_from(UNITS))
def test_units_convert_or_contradict(number, unit, other):
    gold, answer = f"{number}\\text{{ {unit}}}", f"{number}\\text{{ {other}}}"
    assert equal(gold, answer) == (unit == other) == written_alike(gold, answer)
    ratio = unit_ratio(gold, answer)
    back = unit_ratio(answer, gold)
    assert ratio is back is None or ratio * back == 1
    if ratio:
        converted = Fraction(number) / ratio
        assert equal(gold, f"{converted}\\text{{ {other}}}")
    assert equal(str(number), answer)
    assert equal(gold, str(number))


@given(NUMBER, st.integers(2, 99), st.integers(2, 9))
def test_a_ratio_equals_its_multiples_and_no_other_number(first, second, factor):
    assume(second > 9 and str(second)[0] not in "012345")  # no clock time
    ratio = f"{first}:{second}"
    assert same_ratio(ratio, f"{factor * first}:{factor * second}")
    assert not same_ratio(ratio, f"{first + 1}:{second}")
    assert same_ratio(str(first), ratio) is False
    assert same_ratio(ratio, f"\\frac{{{first}}}{{{second}}}")


@given(st.integers(1, 11), st.integers(0, 59), st.integers(1, 11), st.integers(0, 59))
def test_a_clock_time_equals_itself_only(hour, minute, other_hour, other_minute):
    time, other = f"{hour}:{minute:02}", f"{other_hour}:{other_minute:02}"
    assert equal(time, other) == (time == other)
    assert equal(f"{time} p.m.", f"{hour + 12}:{minute:02}")
    assert not equal(f"{time} p.m.", f"{time} a.m.")
    assert not equal(str(hour), f"{hour}:00")


@given(st.integers(-9, 9), st.integers(1, 9), st.integers(2, 9))
def test_a_list_is_joined_only_from_boxes_that_list_it(a, b, c):
    gold = f"{a}, {b + 20}"
    joined = f"The solutions are \\boxed{{{a}}} and \\boxed{{{b + 20}}}."
    broken = f"\\boxed{{{a}}} is an intermediate value; the only solution is \\boxed{{{b + 20}}}."
    assert read_output(joined, "boxed", 2).flexible.text == gold
    assert read_output(broken, "boxed", 2).flexible.text == str(b + 20)


@pytest.mark.parametrize(("gold", "answer"), [("(3,4)", "\\{3,4\\}"), ("\\{1,2\\}", "(1,2)"), ("x=2", "y=2")])
def test_collections_and_names_differ(gold, answer):
    assert decide_plainly(gold, answer) == "different"
    assert grades(MATH, gold, [f"\\boxed{{{answer}}}"]) == [0.0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("-1", "i^2"),
        ("2i", "\\sqrt{-4}"),
        ("-i", "\\frac{1}{i}"),
        ("5", "(2+i)(2-i)"),
        ("e^{i\\pi}", "-1"),
        ("\\frac{1 \\pm \\sqrt{5}}{2}", "\\frac{1+\\sqrt{5}}{2}, \\frac{1-\\sqrt{5}}{2}"),
        ("\\{1\\pm\\sqrt{5},-2\\}", "-2, 1-\\sqrt5, 1+\\sqrt5"),
        ("2 < x < 5", "5 > x > 2"),
        ("\\emptyset", "\\text{no solution}"),
        ("(-\\infty,\\infty)", "\\text{all real numbers}"),
        ("10", "\\dbinom52"),
        ("(2,12)", "y=12, x=2"),
        ("f(x)=x^2", "f(t)=t^2"),
        ("12", "a dozen"),
        ("18", "\\text{eighteen dollars}"),
        ("2.5", "2½"),
        ("70000", "\\$70k"),
        ("\\frac{3}{56}", "\\frac{3}{56}\\text{ or }0.0536"),
        ("\\text{odd}", "\\text{odd function}"),
    ],
)
def test_one_value_in_many_forms(gold, answer):
    assert grades(MATH, gold, [f"\\boxed{{{answer}}}"]) == [1.0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("1", "i^2"),
        ("\\frac{1 \\pm \\sqrt{5}}{2}", "\\frac{1+\\sqrt{5}}{2}"),
        ("2 < x < 5", "5 \\ge x > 2"),
        ("\\frac{3}{56}", "\\frac{3}{56}\\text{ or }0.0546"),
        ("\\text{even}", "\\text{not even}"),
        ("5", "5 \\text{ dozen}"),
        ("0", "\\text{no solution}"),
    ],
)
def test_near_forms_are_wrong(gold, answer):
    assert grades(MATH, gold, [f"\\boxed{{{answer}}}"]) == [0.0]


def test_a_count_in_dozens_is_right_where_dozens_are_asked_for():
    from evals.tasks.scoring.math_reading.answers import asked_quantities, asked_value

    assert asked_value("5 dozen", asked_quantities("How many dozen eggs does she sell?")) == "5"
    assert asked_value("5 dozen", asked_quantities("How many eggs does she sell?")) == "5 dozen"


@given(st.text(max_size=60), NUMBER)
def test_a_retraction_voids_what_is_before_it(before, number):
    read = read_output(f"{before} The answer is {number}. I made a mistake.", "####")
    assert read.strict is read.flexible is None
    assert extract_flexible(f"The answer is {number}.").text == str(number)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", None]), st.booleans()), min_size=1, max_size=8))
def test_groups_partition_the_answers(outputs):
    answers = [answer for answer, _ in outputs]
    right = [verdict and answer is not None for answer, verdict in outputs]
    groups = grouped(answers, right, lambda pairs: [set(pair) == {"a", "b"} for pair in pairs])
    for (answer, verdict), group in zip(zip(answers, right, strict=True), groups, strict=True):
        assert (group is None) == (answer is None)
        if answer is not None:
            assert (group == 0) == verdict
