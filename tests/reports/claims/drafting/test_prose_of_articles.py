"""The prose of articles: numbers in words, rates, and who a sentence is about."""

import pytest

from evals.reports.claims.drafting.drafter import draft
from evals.reports.claims.drafting.language.numbers import find_numbers
from evals.reports.claims.drafting.readers.html import read_html
from evals.reports.claims.drafting.readers.markdown import read_markdown


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
        ("百分之三十七点五", ("37.5", "percent")),
        ("nine out of ten subscribers renew", ("90", "percent")),
        ("a factor of 2.8", ("2.8", "times")),
        ("312,000 H100 hours", ("312000", "hours")),
    ],
)
def test_numbers_in_words_and_rates(text, expected):
    number = next(find_numbers(text))
    assert (number.digits, number.unit) == expected


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("It streams 185 tokens per second, compared with 74 for the larger model.", "tokens-per-second"),
        ("It answers in 0.9 seconds where Otter 1 took 1.4, although it is larger.", "seconds"),
        ("With 6 billion parameters it is half the size of Otter 1, which had 12 billion.", "parameters"),
        ("A million tokens come to 18 cents, whereas the rival charges 60.", "dollars"),
    ],
)
def test_a_second_value_has_the_unit_of_the_first(text, unit):
    assert [number.unit for number in find_numbers(text)].count(unit) == 2


@pytest.mark.parametrize("text", ["It took 3 s and had 2 attempts.", "It serves 40 requests/s, and had 12 users."])
def test_a_count_of_something_else_has_another_unit(text):
    first, second = find_numbers(text)
    assert first.unit != second.unit


@pytest.mark.parametrize(
    "text",
    [
        "Otter 1 in 120 ms",
        "it scores 8 out of 10",
        "a second look",
        "5 in 2024",
        "2 in 64 GB",
        "a real-time factor of 0.3",
    ],
)
def test_what_is_no_share(text):
    assert not {"percent", "times"} & {number.unit for number in find_numbers(text)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# Otter v0.9.0\n\n- Start-up takes 3.2 s.", ["Otter v0.9.0"]),
        ("# Small models\n\nOtter 2, which is new, has 80 layers. Otter 1 has 32 layers.", ["Otter 2", "Otter 1"]),
        ("# Otter 2\n\nTern, a rival of the same size, scores 74 percent on MMLU.", ["Tern"]),
        ("# Otter 2\n\nRoughly 18 % of the text is code.", ["Otter 2"]),
        ("# Otter 2\n\nOtter 2 Mini is new. Mini is quicker and takes 40 ms.", ["Otter 2 Mini"]),
        ("# Otter 2\n\nOtter 1 is old. Its predecessor took 90 ms.", ["Otter 1"]),
        ("# Otter 2\n\nThe median is 310 ms, less than the 720 ms of Tern 1, and the maximum stays under 900 ms.",
         ["Otter 2", "Tern 1", "Otter 2"]),
        ("# Otter 2\n\nOn chats (8×H100, Tern 7B), throughput is 4,720 tokens/s.", ["Otter 2"]),
        ("# Otter 2\n\nIt answers in 0.9 s where Tern 7B is slower. In memory it needs 22 GB.", ["Otter 2", "Otter 2"]),
        ("# Otter 2\n\nOtter 2 and Tern 7B were compared. The latter needs 8 GB.", ["Tern 7B"]),
        ("# 青鸾\n\n- 青鸾-7B 与 青鸾-7B\n\n青鸾-14B 是新模型。\n\n1. 首字延迟为 180毫秒。", ["青鸾-14B"]),
    ],
)  # fmt: skip
def test_who_a_sentence_is_about(text, expected):
    drafted = draft(read_markdown(text + "\n"))
    assert [drafted.names.names[claim.subject] for claim in drafted.claims] == expected


def test_a_name_above_its_description_is_its_subject():
    page = "<h1>Otter</h1><dl><dt>Otter Lite</dt><dd>80 MB on disk</dd><dt>Otter Pro</dt><dd>3 GB on disk</dd></dl>"
    drafted = draft(read_html(page))
    assert [drafted.names.names[claim.subject] for claim in drafted.claims] == ["Otter Lite", "Otter Pro"]
