"""Which samples of two runs are a pair: `compare`, `gap` and `select` never disagree about it."""

from __future__ import annotations

import json

import harness_logs
import pytest
from commands import evals as command
from draws import examples
from hypothesis import given
from hypothesis import strategies as st

from evals import records
from evals.app.imports import import_logs
from evals.comparison import compare
from evals.errors import InputError
from evals.logs.matching import are_the_same, other_targets, pairs_of, sample_pairs, target_key
from evals.reports.gaps import attribute

KEYS = st.dictionaries(st.sampled_from("012345"), st.sampled_from(["7f", "a1", "c3", "d4", ""]), max_size=5)


@given(KEYS, KEYS)
@examples(100, 2000)
def test_pairs_are_of_one_question_and_each_sample_is_in_one(a, b):
    pairs, how = pairs_of(a, b)
    assert len(set(pairs.values())) == len(pairs)
    assert all(a[other] == b[id] or not a[other] or not b[id] for id, other in pairs.items())
    assert how == "ids" or all(a[other] for other in pairs.values())


@given(KEYS, KEYS)
@examples(100, 2000)
def test_runs_of_the_same_samples_are_paired_completely_in_both_directions(a, b):
    assert are_the_same(a, a)
    assert are_the_same(a, b) == are_the_same(b, a)
    if are_the_same(a, b):
        assert set(pairs_of(a, b)[0]) == set(b)
        assert set(pairs_of(a, b)[0].values()) == set(a)
        assert {key for key in a.values() if key} == {key for key in b.values() if key} or "" in {
            *a.values(),
            *b.values(),
        }


def changed(log, **changes):
    """Change every row of a log of three problems, and name its model."""
    (path,) = log.glob("samples*.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for number, row in enumerate(rows):
        row |= {name: change(row, number % 3) for name, change in changes.items()}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (path,) = log.glob("results*.json")
    path.write_text(path.read_text().replace("org/model", f"org/{log.name}"))
    return log


def other_question(row, number):
    return json.loads(json.dumps(row["arguments"]).replace("How m", "Tell me how m", int(number == 0)))


def test_logs_are_chosen_among_if_all_their_questions_are_paired(tmp_path):
    """One has other ids for the same questions, and one another question under the same id."""
    logs = {
        "plain": {}, "other-ids": {"doc_id": lambda row, number: number + 500},
        "other-question": {"arguments": other_question, "doc": lambda row, number: row["doc"] | (
            {"question": "Tell me how much is 9 * 2?"} if number == 0 else {}
        )},
    }  # fmt: skip
    runs = {}
    for name, changes in logs.items():
        log = changed(harness_logs.lm_eval_math(tmp_path / name), **changes)
        done = command("import", log, "--out", tmp_path / f"run-{name}")
        assert done.returncode == 0, done.stderr
        runs[name] = records.load(tmp_path / f"run-{name}")
    assert compare(runs["plain"], runs["other-ids"]).metrics[0].n == 3
    assert compare(runs["plain"], runs["other-question"]).metrics[0].n == 2
    folders = [run.folder for run in runs.values()]
    done = command("select", "--task", runs["plain"].manifest.task.name, "--format", "json", *folders)
    assert done.returncode == 0, done.stderr
    chosen = json.loads(done.stdout)
    assert {entry["name"] for entry in chosen["candidates"]} == {"org/plain", "org/other-ids"}
    (apart,) = chosen["set_apart"]
    assert apart["model"] == "org/other-question"
    assert "its questions and right answers cannot all be paired with theirs" in apart["why"]


def inspect_run(folder, targets, model="openai/gpt-x"):
    """Import a log of three questions."""
    scores = [{"name": "match", "scorer": "match", "metrics": {"accuracy": {"value": 2 / 3}}}]
    header = harness_logs.inspect_header(scores, task="sums", samples=len(targets))
    header["eval"]["model"] = model
    samples = [
        harness_logs.inspect_sample(number, f"How much is {number} + 1?", target, "2", "I" if number == 2 else "C")
        for number, target in enumerate(targets)
    ]
    folder.mkdir()
    (folder / "log.json").write_text(json.dumps({**header, "samples": samples}))
    return import_logs([folder], folder / "run").records[0]


def test_questions_with_other_right_answers_are_left_out_and_named(tmp_path):
    """In `gap` they are a part of their own, and `select` does not choose between runs that were scored by them."""
    a, b = inspect_run(tmp_path / "a", "123"), inspect_run(tmp_path / "b", "129", model="openai/gpt-y")
    compared = compare(a, b)
    assert "1 of 3 common questions have other right answers in the two runs: 2; they are left out" in compared.notes
    assert compared.metrics[0].n == 2
    assert sample_pairs(a, b) == {"0": "0", "1": "1"}, "as `view` pairs them"
    (part,) = [part for part in attribute(a, b).parts if part.name == "other right answers"]
    assert part.samples == 1
    done = command("select", "--task", a.manifest.task.name, "--format", "json", a.folder, b.folder)
    assert "right answers cannot all be paired" in done.stdout + done.stderr
    with pytest.raises(InputError, match="3 of 3 common questions have other right answers"):
        compare(a, inspect_run(tmp_path / "c", "567"))


TARGETS = st.dictionaries(st.sampled_from("012345"), st.sampled_from(["ox", " OX ", "a", 1, "1.0", [1], None]))


@given(TARGETS, TARGETS)
@examples(100, 2000)
def test_right_answers_of_unlike_forms_are_never_held_against_each_other(a, b):
    a_keys, b_keys = ({id: target_key(target) for id, target in targets.items()} for targets in (a, b))
    pairs = {id: id for id in a if id in b}
    differing = other_targets(a_keys, b_keys, pairs, is_one_form=True)
    assert all(a_keys[id][0] == b_keys[id][0] != "" for id in differing)
    assert set(other_targets(a_keys, b_keys, pairs, is_one_form=False)) <= set(differing)
    assert not other_targets(a_keys, a_keys, {id: id for id in a}, is_one_form=True)
