"""The prose of articles: numbers in words, rates, and who a sentence is about."""

import pytest

from evals.reports.claims.drafting.language.numbers import find_numbers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one in five parameters is active", ("20", "percent")),
        ("right 7 out of 10 times", ("70", "percent")),
        ("a twelfth of the price", ("0.08333", "times")),
        ("two fifths of the cost", ("0.4", "times")),
        ("a fivefold reduction", ("5", "times")),
        ("six-fold.", ("6", "times")),
        ("two and a half times as fast", ("2.5", "times")),
        ("in half a second", ("0.5", "seconds")),
        ("it takes over a minute.", ("1", "minutes")),
        ("seventeen days", ("17", "days")),
        ("ninety-five percent", ("95", "percent")),
        ("two hundred million tokens", ("200", "tokens")),
        ("三成五", ("35", "percent")),
        ("百分之九十五", ("95", "percent")),
        ("七分之二", ("0.2857", "times")),
        ("30 余万条", ("30", "items")),
        ("4,720 output tokens/s", ("4720", "tokens-per-second")),
        ("310 megawatt-hours a year", ("310", "megawatt-hours")),
        ("6.5万亿高质量 token", ("6.5", "tokens")),
        ("3 个 epoch", ("3", "epochs")),
    ],
)
def test_numbers_in_words_and_rates(text, expected):
    number = next(find_numbers(text))
    assert (number.digits, number.unit) == expected


@pytest.mark.parametrize(
    "text", ["Otter 1 in 120 ms", "it scores 8 out of 10", "a second look", "5 in 2024", "2 in 64 GB"]
)
def test_what_is_no_share(text):
    assert "percent" not in {number.unit for number in find_numbers(text)}
