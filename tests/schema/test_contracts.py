"""What a plug-in's functions return wrongly is one line that names the function, and never a traceback or a number.

pytest tests/schema/test_contracts.py
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import toy_plugin

import evals
from evals.errors import InputError
from evals.registry import TASKS, Registry
from evals.schema import Batch, Family, Generate, Group, Prediction, Prompt
from evals.schema.contracts import check_family, check_task, checked_predictions

TASK = TASKS.get("toy")
FAMILY = Family("lookup", "", frozenset({"generate"}), load=toy_plugin.Toy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"needs": "generat"}, "no ability of task 'toy' is named 'generat'; did you mean 'generate'?"),
        ({"methods": {"probe": "embedd"}}, "no ability of task 'toy' is named 'embedd'; did you mean 'embed'?"),
        ({"splits": ()}, r"task 'toy' has splits=\(\), expected a tuple of one name or more"),
        ({"splits": "test"}, "task 'toy' has splits='test', expected a tuple"),
        ({"version": "1"}, "task 'toy' has version='1', expected a whole number from 1"),
        ({"version": 0}, "task 'toy' has version=0"),
        ({"supported_options": frozenset({"shot"})}, "no option of task 'toy' is named 'shot'; did you mean 'shots'?"),
        ({"score": None}, r"task 'toy' has score=None \(NoneType\), expected a function"),
    ],
)
def test_a_wrong_field_is_refused_when_the_task_is_registered(changes, message):
    with pytest.raises(InputError, match=message):
        Registry("task", check=check_task).add(replace(TASK, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"abilities": frozenset({"write"})}, "no ability of family 'lookup' is named 'write'"),
        ({"load": "toy"}, r"family 'lookup' has load='toy' \(str\), expected a function"),
    ],
)
def test_a_wrong_field_of_a_family_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        Registry("family", check=check_family).add(replace(FAMILY, **changes))


def test_every_registered_task_and_family_is_accepted():
    for task in TASKS:
        check_task(task)
    for family in evals.registry.FAMILIES:
        check_family(family)


def scores_of(samples, predictions):
    return toy_plugin.score(samples, predictions)


def words_as_values(samples, predictions):
    return [replace(score, values={"accuracy": "yes"}) for score in scores_of(samples, predictions)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"samples": lambda options: ["a", "b"]},
            r"samples\(\) of task 'toy' returned \['a', 'b'\] \(list\), expected Samples",
        ),
        (
            {"score": lambda samples, predictions: None},
            r"score\(\) of task 'toy' returned None \(NoneType\), expected a list of Score",
        ),
        (
            {"score": lambda samples, predictions: [1.0 for _ in samples]},
            r"returned a list with 1.0 \(float\), expected a list of Score",
        ),
        (
            {"score": lambda samples, predictions: scores_of(samples, predictions)[1:]},
            r"score\(\) of task 'toy' returned \d+ scores? for \d+ samples, expected one for each: see '\d+'",
        ),
        ({"score": words_as_values}, r"returned accuracy='yes' \(str\) for sample '\d+', expected a number"),
        (
            {"summarise": lambda scores: 0.5},
            r"summarise\(\) of task 'toy' returned 0.5 \(float\), expected a dict of Metric by name",
        ),
        (
            {"summarise": lambda scores: {"accuracy": 0.5}},
            r"returned 'accuracy': 0.5 \(float\), expected a Metric by its name",
        ),
        ({"summarise": lambda scores: {}}, r"summarise\(\) of task 'toy' returned no metric"),
    ],
)
def test_what_a_task_returns_wrongly_is_one_line(monkeypatch, tmp_path, changes, message):
    monkeypatch.setitem(TASKS._entries, "toy", replace(TASK, **changes))
    with pytest.raises(InputError, match=message):
        evals.run("toy:", "toy", limit=30, out=tmp_path / "run")


def test_scores_in_another_order_are_those_of_their_samples(monkeypatch, tmp_path):
    in_order = evals.run("toy:", "toy", limit=200, out=tmp_path / "in-order")
    backwards = lambda samples, predictions: scores_of(samples, predictions)[::-1]  # noqa: E731
    monkeypatch.setitem(TASKS._entries, "toy", replace(TASK, score=backwards))
    reversed_order = evals.run("toy:", "toy", limit=200, out=tmp_path / "reversed")
    values = [{row.id: (row.answer, dict(row.values)) for row in run.samples()} for run in (in_order, reversed_order)]
    assert values[0] == values[1]


def prompts(count):
    return [Prompt(Generate(f"{n}#0", ("text",), 8), (), [1], 0) for n in range(count)]


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, r"run\(\) of model 'm' returned None \(NoneType\), expected a list of Prediction"),
        (["7", "8"], r"returned a list with '7' \(str\), expected a list of Prediction"),
        ([Prediction("0#0", "7")], "returned predictions for '0#0', expected '0#0', '1#0': one per request"),
        (
            [Prediction("1#0", "8"), Prediction("0#0", "7")],
            "returned predictions for '1#0', '0#0', expected '0#0', '1#0'",
        ),
    ],
)
def test_what_a_model_returns_wrongly_is_one_line(returned, message):
    with pytest.raises(InputError, match=message):
        checked_predictions("m", prompts(2), Batch((Group(0, (0, 1)),)), returned)


def test_a_model_that_answers_in_another_order_is_refused_in_a_run(monkeypatch, tmp_path):
    run = toy_plugin.Toy.run
    monkeypatch.setattr(toy_plugin.Toy, "run", lambda *arguments: run(*arguments)[::-1])
    with pytest.raises(InputError, match=r"run\(\) of model 'toy:' returned predictions for"):
        evals.run("toy:", "toy", limit=30, out=tmp_path / "run")
