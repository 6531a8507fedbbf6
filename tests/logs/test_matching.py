"""Which samples of two runs are a pair: `compare`, `gap` and `select` never disagree about it."""

from __future__ import annotations

import json

import harness_logs
from commands import evals as command
from draws import examples
from hypothesis import given
from hypothesis import strategies as st

from evals import records
from evals.comparison import compare
from evals.logs.matching import are_the_same, pairs_of

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
    assert "its questions cannot all be paired with theirs" in apart["why"]
