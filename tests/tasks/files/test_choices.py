"""The choices of a row of a task file: which one a target names, and what an output is compared with.

python -m pytest tests/tasks/files/test_choices.py
"""

from __future__ import annotations

import json

import draws
import pytest
from commands import ROOT
from hypothesis import given
from hypothesis import strategies as st

from evals import InputError, Options, Prediction
from evals.tasks.files.choices import choices_of, target_of
from evals.tasks.files.spec import AnswerSpec, TaskSpec, read_task_file
from evals.tasks.files.task import load
from evals.tasks.scoring import mmmu


def right_of(choices, target, labels=None, target_is="any") -> int | None:
    spec = TaskSpec("{{ q }}", "a", ask="choose", choices="c", target_is=target_is)
    return choices_of(spec, choices, labels, target, read="exact", place="row 1").right


@pytest.mark.parametrize(
    ("choices", "target", "options", "expected"),
    [
        (["w", "x"], 1, {}, 1),
        (["w", "x"], "B", {}, 1),
        (["w", "x"], "x", {}, 1),
        (["1", "2", "3"], 2, {}, 2),  # texts as choices, a whole number as target: an index
        (["w", "x"], "2", {"labels": ["1", "2"]}, 1),
        ([1, 2, 3], 2, {}, "is the index of C: '3' and the choice of B: '2': say which with the key target_is"),
        ([1, 2, 3], 2, {"target_is": "index"}, 2),
        ([1, 2, 3], 2, {"target_is": "choice"}, 1),
        (["O", "A", "B", "AB"], "A", {}, "is the label of A: 'O' and the choice of B: 'A'"),
        (["O", "A", "B", "AB"], "A", {"target_is": "choice"}, 1),
        (["w", "x"], 1, {"labels": ["1", "2"]}, "is the index of 2: 'x' and the label of 1: 'w'"),
        (["w", "x"], "1", {}, "is '1' an index\\? then say target_is: index"),
        (["w", "x"], "1", {"target_is": "index"}, 1),
        (["w", "x"], 2, {}, "expected an index from 0 to 1, .*; for numbers from 1, subtract 1"),
        (["yes", "no"], True, {}, 0),  # true is not the index 1
        (["false", "true"], True, {}, 1),
        (["right", "wrong"], True, {}, "target is true, and of the choices .* write target: … | int"),
        (["w"], 0, {}, "1 choice, expected two or more"),
        ([], 0, {}, "0 choices, expected two or more"),
        ("['w', 'x']", 0, {}, "write choices: COLUMN | literal"),
        ({"A": "w"}, 0, {}, r"write choices: COLUMN.values\(\) | list"),
        (["w", "x"], 0, {"labels": ["1"]}, "2 choices and 1 label"),
    ],
)
def test_a_target_names_one_choice_or_is_refused(choices, target, options, expected):
    if isinstance(expected, int):
        assert right_of(choices, target, **options) == expected
        return
    with pytest.raises(InputError, match=expected):
        right_of(choices, target, **options)


@draws.examples(100, 1_000)
@given(
    st.lists(st.one_of(st.sampled_from("ABCDE123"), st.integers(0, 5)), min_size=2, max_size=5, unique_by=str),
    st.integers(0, 4),
    st.sampled_from(["index", "label", "choice"]),
)
def test_no_target_is_taken_for_another_choice(choices, place, stated_by):
    index = place % len(choices)
    target = {"index": index, "label": "ABCDE"[index], "choice": choices[index]}[stated_by]
    assert right_of(choices, target, target_is=stated_by) == index
    refusal = None
    try:
        taken = right_of(choices, target)
    except InputError as error:
        taken, refusal = index, str(error)
    assert taken == index
    assert refusal is None or "say which with the key target_is" in refusal


def answers(choices, target, read, **keys):
    spec = TaskSpec("{{ q }}", "a", answer=AnswerSpec(read=read), choices="c" if choices else None, **keys)
    row = choices_of(spec, choices, None, target, read=read, place="row 1")
    return target_of(spec, row, target, read=read, continuation="", place="row 1")


@pytest.mark.parametrize(
    ("choices", "target", "read", "expected"),
    [
        (["Fox", "Cat"], 1, "exact", ["Cat", "B"]),  # not the number 1
        (["Fox", "Cat"], 1, "contains", ["Cat"]),
        (["B", "A"], 0, "exact", ["B"]),  # the label A is another choice's text
        (["Fox", "Cat"], 1, "letter", {"right": "B", "choices": ["A", "B"]}),
        (["Fox", "Cat"], 1, "label", {"right": "Cat", "choices": ["Fox", "Cat"]}),
        (["Fox", "Cat"], 1, "mmmu", {"right": "B", "choices": ["Fox", "Cat"]}),
        (None, [3, 4], "number", ["3", "4"]),
        (None, 2.0, "number", "2"),
        (None, "$1,200", "number", "$1,200"),
        (None, "3/4", "number", "is not one number"),
        (None, "seven", "number", "is not one number"),
        (None, ["1/2", "0.5 m"], "math", ["1/2", "0.5 m"]),
        (None, " ", "exact", "is empty"),
    ],
)
def test_what_an_output_is_compared_with(choices, target, read, expected):
    if isinstance(expected, str) and expected.startswith("is "):
        with pytest.raises(InputError, match=expected):
            answers(choices, target, read)
        return
    assert answers(choices, target, read) == expected


def test_labels_that_no_reader_reads_are_refused():
    spec = TaskSpec("{{ q }}", "a", answer=AnswerSpec(read="letter"), choices="c")
    with pytest.raises(InputError, match="the labels are '1', '2'; read: letter reads A to Z"):
        choices_of(spec, ["w", "x"], ["1", "2"], "1", read="letter", place="row 1")


# Readers


def test_mmmu_is_read_as_its_script_reads_it():
    rows = json.loads((ROOT / "tests" / "golden" / "mmmu_answers.json").read_text(encoding="utf-8"))["rows"]
    assert len(rows) == 60
    for row in rows:
        assert mmmu.letter_of(row["output"], row["choices"]) == row["letter"], row
        assert mmmu.is_open_right(mmmu.open_answers(row["output"]), [row["target"]]) is row["right"], row


def test_every_row_has_its_own_choices_and_no_example_is_the_sample_itself(tmp_path):
    """One renderer for several mistakes, as it takes a process."""
    text = (
        "prompt: '{{ q }}'\ntarget: a\nchoices: c\nanswer: {read: label, read_by: r}\nwhere: q != 'x'\n"
        "examples: {split: test, count: 2, answer: ' {{ label }}'}\n"
    )
    (tmp_path / "t.yaml").write_text(text)
    (tmp_path / "d").mkdir()
    rows = [("0", ["Fox", "Cat"], "label"), ("x", ["y", "z"], "label"), ("2", ["Dog", "Ant", "I"], "letter")]
    lines = [json.dumps({"q": q, "c": c, "a": 1, "r": read}) for q, c, read in rows]
    (tmp_path / "d" / "test.jsonl").write_text("\n".join([*lines, lines[0]]))
    task = load(tmp_path / "t.yaml")
    samples = list(task.samples(Options(data=tmp_path / "d")))
    assert [s.requests[0].parts[0] for s in samples] == ["2 B\n\n0 B\n\n", "0 B\n\n0 B\n\n", "0 B\n\n2 B\n\n"]
    outputs = ["The cat, of course", "B, I think", "fox"]
    scores = task.score(samples, {s.id: [Prediction(s.id, o)] for s, o in zip(samples, outputs, strict=True)})
    assert [(score.answer, score.values["accuracy"]) for score in scores] == [("Cat", 1.0), ("B", 1.0), ("Fox", 0.0)]
    (tmp_path / "bad.jsonl").write_text(json.dumps({"q": "0", "c": ["Fox", "Cat"], "a": 1, "r": "guess"}))
    with pytest.raises(InputError, match=r"answer\.read_by gives 'guess'; the readers are exact, "):
        task.samples(Options(data=tmp_path / "bad.jsonl", shots=0))
    with pytest.raises(InputError, match=r"--shots 3 is more than the 2 rows of .* beside the sample itself"):
        list(task.samples(Options(data=tmp_path / "d", shots=3)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("continuation: x", ":3: nothing reads the key continuation without ask: choose"),
        ("shuffle: true", ":3: nothing reads the key shuffle without choices"),
        ("answer: {pattern: x}", ":3: nothing reads the key answer.pattern with read: exact"),
        ("choices: c\nask: choose\nanswer: {read: number}", ":4: the keys answer and stop are for ask: generate"),
        ("choices: c\nanswer: {read: letter, letters: ab}", "answer.letters is 'ab'"),
    ],
)
def test_keys_that_nothing_reads_are_refused(tmp_path, text, words):
    (tmp_path / "t.yaml").write_text(f"prompt: a\ntarget: b\n{text}\n")
    with pytest.raises(InputError, match=words):
        read_task_file(tmp_path / "t.yaml")


def test_choices_in_a_file_are_texts_as_written(tmp_path):
    (tmp_path / "t.yaml").write_text("prompt: a\ntarget: 5\nask: choose\nchoices: [yes, no, 1, 2.50]\n")
    spec = read_task_file(tmp_path / "t.yaml").spec
    assert (spec.choices, spec.target) == (["yes", "no", "1", "2.50"], "5")


def test_an_image_column_that_is_not_there_is_refused(tmp_path):
    (tmp_path / "t.yaml").write_text("prompt: '{{ q }}'\ntarget: a\nimages: [imgae]\n")
    (tmp_path / "t.jsonl").write_text('{"q": "?", "a": "b", "image": "1.png"}')
    with pytest.raises(InputError, match="has no column imgae; did you mean image; its columns are q, a, image"):
        load(tmp_path / "t.yaml").samples(Options(data=tmp_path / "t.jsonl"))
