"""The mini GLUE and mini math: what is bundled is what the generators give, and no shallow cue solves it.

pytest tests/tasks/test_mini_language.py
"""

from __future__ import annotations

import hashlib
import json
import math as maths
import re
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.tasks import glue_tasks
from evals.tasks.mini import glue, math
from evals.tasks.mini.language import entailment
from evals.tasks.mini.language.english import (
    ACTIONS,
    DETAILS,
    ORDERS,
    THINGS,
    Event,
    draw_event,
    indefinite,
    past,
    tell,
)
from evals.tasks.mini.language.entailment import Occurrence, implies

DIGEST = "61bbcf729f09bd8584295bb2e9958e9de35aebee650348d1e9b672b83069c092"
"""SHA-256 of all bundled rows as JSON: changing a benchmark is a decision, and changes every score on it."""

TASKS = [(task, split) for task, bench in glue.TABLE.items() for split in bench.splits]
VALIDATION = [(task, split) for task, split in TASKS if split != "train"]
LETTERED = re.compile(r"\b[Aa] [aeiou]|\b[Aa]n [^aeiou]")


def texts(task, row):
    return tuple(row[column] for column in glue.TABLE[task].columns)


# What is bundled


@pytest.mark.slow
def test_the_bundled_files_hold_what_the_generators_give():
    assert not glue.differences()
    assert sum(path.stat().st_size for path in glue.files()) < 1_000_000


@pytest.mark.slow
def test_the_generators_give_what_they_gave():
    made = {f"{task}-{split}": glue.rows(task, split) for task, split in glue.files().values()}
    assert hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest() == DIGEST


@pytest.mark.parametrize(("task", "split"), TASKS)
def test_rows_are_of_the_official_form(task, split):
    rows = glue.rows(task, split)
    adapter = glue_tasks.TABLE[task]
    assert glue.TABLE[task].columns == tuple(adapter.columns)
    assert len(rows) == (glue.SHOTS if split == "train" else glue.ITEMS)
    for row in rows:
        assert list(row) == [*adapter.columns, "label", "idx"]
        assert glue_tasks.read_label(adapter, row["label"]) == row["label"]
    if adapter.labels:
        assert {row["label"] for row in rows} == set(range(len(adapter.labels)))


def test_the_splits_are_the_hubs():
    for task, bench in glue.TABLE.items():
        assert set(bench.splits) == {"train", *glue_tasks.TABLE[task].sizes}
    assert list(glue.TABLE) == list(glue_tasks.TABLE)


@pytest.mark.parametrize(("task", "split"), VALIDATION)
def test_no_row_comes_twice_or_stands_in_train(task, split):
    held = [texts(task, row) for row in glue.rows(task, split)]
    assert len(set(held)) == len(held)
    assert not set(held) & {texts(task, glue.row(task, "train", index)) for index in range(2000)}


@pytest.mark.parametrize(("task", "split"), VALIDATION)
def test_labels_are_about_as_frequent_as_they_should_be(task, split):
    shares = glue.TABLE[task].shares
    counts = Counter(row["label"] for row in glue.rows(task, split))
    for label, share in enumerate(shares):
        assert abs(counts[label] / glue.ITEMS - share) < 3 * (share * (1 - share) / glue.ITEMS) ** 0.5


@settings(deadline=None)
@given(st.sampled_from(TASKS), st.integers(0, 10**9))
def test_any_row_can_be_made_alone_and_reads_as_english(which, index):
    task, split = which
    row = glue.row(task, split, index)
    assert row == glue.row(task, split, index)
    for text in texts(task, row):
        assert text == " ".join(text.split())
        assert text[-1] in ".?"
        assert text[0].isupper() or task == "sst2"
        assert not LETTERED.search(text)


# No shallow cue


def words(task, row, columns):
    """The words of a row, each with the column that it stands in."""
    return " ".join(f"{column}:{word.strip('.?,')}" for column in columns for word in row[column].lower().split())


@pytest.mark.parametrize(("task", "split"), VALIDATION)
@pytest.mark.parametrize("only", [None, 0, -1], ids=["both", "first", "second"])
def test_a_bag_of_words_does_not_solve_it(task, split, only):
    text = pytest.importorskip("sklearn.feature_extraction.text")
    linear = pytest.importorskip("sklearn.linear_model")
    columns = glue.TABLE[task].columns if only is None else (glue.TABLE[task].columns[only],)
    train, held = [glue.row(task, "train", index) for index in range(1500)], glue.rows(task, split)
    bag = text.CountVectorizer(token_pattern=r"\S+")
    seen = bag.fit_transform(words(task, row, columns) for row in train)
    asked = bag.transform(words(task, row, columns) for row in held)
    truth = [row["label"] for row in held]
    if task == "stsb":
        guess = linear.Ridge(10).fit(seen, [row["label"] for row in train]).predict(asked)
        spread = sum((one - sum(guess) / 200) * (two - sum(truth) / 200) for one, two in zip(guess, truth, strict=True))
        assert (
            spread / (200 * guess.std() * maths.sqrt(sum(t * t for t in truth) / 200 - (sum(truth) / 200) ** 2)) < 0.25
        )
        return
    guess = linear.LogisticRegression(C=0.3, max_iter=500).fit(seen, [row["label"] for row in train]).predict(asked)
    majority = max(Counter(truth).values()) / len(truth)
    assert (guess == truth).mean() < majority + (1 - majority) / 3


# What the labels mean


def test_an_event_is_told_in_many_ways():
    event = Event("Anna", "find", "shovel", "old", None, "in autumn")
    told = {tell(Random(seed), event, orders=(order,)) for seed in range(40) for order in ORDERS}
    assert "It was Anna who found an old shovel in autumn." in told
    assert "In the fall, an old spade was discovered by Anna." in told
    assert len(told) > 20


def test_words_take_their_forms():
    assert [past(verb) for verb in ("hide", "carry", "borrow", "fix")] == ["hid", "carried", "borrowed", "fixed"]
    assert [indefinite(words) for words in ("old hat", "hat", "ugly old hat")] == [
        "an old hat",
        "a hat",
        "an ugly old hat",
    ]


@pytest.mark.parametrize(
    ("premise", "hypothesis", "label"),
    [
        (("all", True, False), ("some", False, False), 0),  # all birds slept: some owls slept
        (("no", True, False), ("no", False, True), 0),  # no birds slept: no owls slept in the barn
        (("some", False, True), ("some", True, False), 0),  # some owls slept in the barn: some birds slept
        (("all", False, False), ("all", True, False), 1),  # all owls slept: all birds slept
        (("some", True, False), ("some", False, False), 1),  # some birds slept: some owls slept
        (("no", True, False), ("some", False, True), 2),  # no birds slept: some owls slept in the barn
        (("all", True, False), ("not all", False, False), 2),  # all birds slept: not all owls slept
    ],
)
def test_quantifiers_mean_what_they_say(premise, hypothesis, label):
    assert premise in entailment._premises(hypothesis)[label]


@pytest.mark.parametrize(
    ("premise", "hypothesis", "label"),
    [
        (("exactly", 4), ("at least", 4), 0),
        (("more than", 4), ("at least", 5), 0),
        (("fewer than", 4), ("at most", 3), 0),
        (("at least", 4), ("more than", 4), 1),
        (("at most", 6), ("exactly", 5), 1),
        (("fewer than", 4), ("at least", 4), 2),
        (("exactly", 4), ("exactly", 5), 2),
    ],
)
def test_numbers_mean_what_they_say(premise, hypothesis, label):
    assert entailment._compare(premise, hypothesis) == label


def test_every_hypothesis_can_have_every_label():
    for quantifier in entailment.QUANTIFIERS:
        for whole in (True, False):
            for placed in (True, False):
                assert all(entailment._premises((quantifier, whole, placed)))


def test_what_is_shorter_or_more_general_follows():
    event = Event("Ida", "buy", "flute", "old", "at the market", None)
    assert implies(Occurrence(event, happened=True), Event("Ida", "buy", "instrument"))
    assert not implies(Occurrence(event, happened=False), Event("Ida", "buy", "instrument"))
    assert not implies(Occurrence(event, happened=True), Event("Leo", "buy", "instrument"))
    assert not implies(Occurrence(Event("Ida", "buy", "instrument"), happened=True), Event("Ida", "buy", "flute"))
    assert not implies(Occurrence(event, happened=True), Event("Ida", "buy", "flute", None, None, "on Monday"))


@settings(deadline=None)
@given(st.integers(0, 10**9))
def test_scores_of_similarity_are_from_0_to_5(index):
    row = glue.row("stsb", "train", index)
    assert 0 <= row["label"] <= 5
    if row["sentence1"] == row["sentence2"]:
        assert row["label"] == 5


@settings(deadline=None)
@given(st.integers(0, 10**9), st.integers(0, 3))
def test_a_drawn_event_says_so_many_details(seed, details):
    event = draw_event(Random(seed), details=details)
    assert sum(getattr(event, detail) is not None for detail in DETAILS) == details
    assert event.action in ACTIONS
    assert event.thing in THINGS


# Math

SUM = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)")
REACHED = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b}


@settings(deadline=None)
@given(st.sampled_from(["train", "validation"]), st.integers(0, 10**9))
def test_solutions_reckon_right(split, index):
    problem = math.problem(split, index)
    *steps, last = problem.answer.split("\n")
    assert 1 <= len(steps) <= 4
    known = {int(number) for number in re.findall(r"\d+", problem.question)}
    for step in steps:
        ((first, sign, second, result),) = SUM.findall(step)
        assert REACHED[sign](int(first), int(second)) == int(result)
        assert {int(first), int(second)} <= known
        known.add(int(result))
    assert last == f"#### {result}"
    assert 0 < int(result) <= math.MOST
    assert problem.question.count("?") == 1
    assert problem.question.endswith("?")


@pytest.mark.slow
def test_templates_and_numbers_of_validation_are_not_in_train():
    held = [math.problem("validation", index) for index in range(glue.PROBLEMS)]
    train = [math.problem("train", index) for index in range(3000)]
    assert len({problem.question for problem in held}) == len(held)
    assert not {problem.template for problem in held} & {problem.template for problem in train}
    assert not {tuple(sorted(one.numbers)) for one in held} & {tuple(sorted(one.numbers)) for one in train}
    assert len({problem.template for problem in held}) > 50


@pytest.mark.slow
def test_a_constant_answer_is_hardly_ever_right():
    answers = Counter(row["answer"].rpartition(" ")[2] for row in glue.rows("math", "validation"))
    assert max(answers.values()) / glue.PROBLEMS < 0.04


@pytest.mark.slow
def test_some_problems_have_one_step_and_some_four():
    steps = Counter(row["answer"].count("\n") for row in glue.rows("math", "validation"))
    assert set(steps) == {1, 2, 3, 4}
    assert min(steps.values()) > 20
