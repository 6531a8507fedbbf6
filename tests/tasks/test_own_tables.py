"""Benchmarks on tables of the user: columns chosen and guessed, values, mistakes, and a run that is scored again.

python -m pytest tests/tasks/test_own_tables.py
"""

from __future__ import annotations

import json

import pytest
from commands import evals, refused
from PIL import Image

from evals import InputError, Options, Prediction
from evals.registry import TASKS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with two images."""
    path = tmp_path_factory.mktemp("own")
    for name, color in (("a", "red"), ("b", "blue")):
        Image.new("RGB", (20, 20), color).save(path / f"{name}.png")
    return path


def table(folder, name: str, *rows: dict | str):
    """Write JSON Lines of mappings, or a text of lines."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return path


def texts(sample) -> list[str]:
    return [part for request in sample.requests for part in request.parts if isinstance(part, str)]


def read(task: str, path, **options):
    return TASKS.get(task).samples(Options(data=path, **options))


def test_a_classification_by_guessed_and_by_chosen_columns(folder, caplog):
    caplog.set_level("INFO", "evals.data")
    path = table(folder, "r.csv", "review;sentiment", "good;positive", "bad;0")
    samples = read("glue/sst2", path)
    assert "columns sentence=review, label=sentiment" in caplog.text
    assert [(s.id, s.target) for s in samples] == [("0", "positive"), ("1", "negative")]
    assert texts(samples[0]) == ["Sentence: good\nIs the opinion in this sentence positive or negative?\nAnswer:"]
    assert samples.facts["columns"] == {"sentence": "review", "label": "sentiment"}
    pairs = table(folder, "p.jsonl", {"x": "a", "y": "b", "z": "neutral"})
    (pair,) = read("glue/mnli", pairs, columns="premise=x,hypothesis=y,label=z")
    assert (pair.target, pair.labels) == ("neutral", {"task": "mnli", "set": "matched"})
    task = TASKS.get("glue/sst2")
    metrics = task.summarise(task.score(list(samples), {i: [Prediction(i, "positive")] for i in "01"}))
    assert metrics["accuracy"].value == 0.5


def test_examples_and_a_probe_need_a_train_split(folder):
    table(folder, "f/test.csv", "text,label", "good,1")
    table(folder, "f/train.csv", "text,label", "fine,1", "poor,0")
    (sample,) = read("glue/sst2", folder / "f", split="test", columns="sentence=text", shots=2)
    assert sorted(sample.requests[0].examples) == [
        f"Sentence: {text}\nIs the opinion in this sentence positive or negative?\nAnswer: {label}\n\n"
        for text, label in (("fine", "positive"), ("poor", "negative"))
    ]
    probed = read("glue/sst2", folder / "f", split="test", columns="sentence=text", method="probe")
    assert (len(probed), len(probed.train)) == (1, 2)
    with pytest.raises(InputError, match=r"--shots 2 needs training rows, and .*test\.csv is one split"):
        read("glue/sst2", folder / "f" / "test.csv", shots=2)
    with pytest.raises(InputError, match="is the split that is measured"):
        read("glue/sst2", folder / "f", split="train", columns="sentence=text", shots=1)


def test_questions_about_images(folder):
    rows = [
        {"question": "c?", "image": "a.png", "answer": "red", "id": "q1"},
        {"question": "c?", "image": "b.png", "answer": [{"answer": "red"}] * 2 + [{"answer": "pink"}] * 8, "id": "q2"},
    ]
    samples = read("vqa", table(folder, "v.jsonl", *rows))
    assert [s.target for s in samples] == [["red"] * 10, ["red"] * 2 + ["pink"] * 8], "each annotator counts"
    assert texts(samples[0]) == ["Answer the question using a single word or phrase.\n", "c?"]
    task = TASKS.get("vqa")
    metrics = task.summarise(task.score(list(samples), {i: [Prediction(i, "red")] for i in ("q1", "q2")}))
    assert metrics["accuracy"].value == pytest.approx((1 + 0.6) / 2)
    assert samples.facts["media"] != read("vqa", table(folder, "v2.jsonl", rows[0])).facts["media"]


def test_captions_of_images(folder):
    rows = [("a.png", "x"), ("b.png", "z"), ("a.png", "y")]
    samples = read("retrieval", table(folder, "c.csv", "image,caption", *(",".join(row) for row in rows)))
    assert [(s.id, s.target) for s in samples] == [("a.png", ["x", "y"]), ("b.png", ["z"])]
    assert samples[0].requests[0].parts[0].path == folder / "a.png"
    assert samples.facts["protocol"] == "custom"
    six = table(folder, "c.jsonl", {"image": "a.png", "sentences": [{"raw": n} for n in "123456"], "img_id": 7})
    assert [len(read("retrieval", six, split=split)[0].target) for split in (None, "c-all-captions")] == [5, 6]


def test_problems_with_a_solution_or_the_answer_alone(folder):
    plain = table(folder, "g.csv", "question,answer", '1+1?,"1,002"')
    assert [s.target for s in read("math/gsm8k", plain)] == ["1002"]
    worked = table(folder, "g2.csv", "q,a", "1+1?,1+1 is 2 #### 2")
    assert [s.target for s in read("math/gsm8k", worked, columns="question=q,answer=a")] == ["2"]
    official = table(folder, "g3.jsonl", {"question": "1+1?", "answer": "x\n#### 2"})
    assert read("math/gsm8k", official).ids == ["0"], "an official file is read as before"
    formula = table(folder, "h.jsonl", {"problem": "p", "solution": "so \\boxed{3}", "answer": "4"})
    assert [s.target for s in read("math/math", formula, columns="question=problem")] == ["3"], "its solution counts"
    formula = table(folder, "h.csv", "problem,answer,level", "half?,\\frac12,3")
    (sample,) = read("math/math", formula)
    assert (sample.target, sample.labels) == ("\\frac12", {"level": "3"})
    table(folder, "m/test.csv", "question,answer", "1+1?,2")
    table(folder, "m/train.csv", "question,answer", "1+2?,3")
    (sample,) = read("math/gsm8k", folder / "m", split="test", columns="answer=answer", shots=1)
    assert sample.requests[0].examples == ("Question: 1+2?\nAnswer: #### 3\n\n",)


@pytest.mark.parametrize(
    ("task", "lines", "options", "words"),
    [
        ("glue/sst2", ["review,label", "good,pos"], {}, r"row 1: the label is 'pos', expected one of 0 \(negative\)"),
        ("glue/sst2", ["review,label", "good,"], {}, "row 1: label is None: nothing could be right"),
        ("glue/sst2", ["review,label", ",1"], {}, "row 1: sentence is missing"),
        ("glue/sst2", ["a,b", "x,1"], {"columns": "text=a"}, "no field 'text'; the fields are sentence, label"),
        ("glue/sst2", ["a,b", "x,1"], {}, "has no column for sentence; its columns are a, b"),
        ("glue/stsb", ["s1,s2,score", "a,b,6"], {}, "row 1: the score is '6', expected a number from 0 to 5"),
        ("glue", ["text,label", "x,1"], {}, "glue is nine tasks: name one"),
        ("vqa", ['{"question": "c?", "image": "a.png", "answers": ["x", "y"]}'], {}, "2 answers; expected one, or"),
        ("vqa", ['{"question": "c?", "image": "a.png", "answers": "[1]"}'], {}, "looks like a list"),
        ("vqa", ['{"question": "c?", "image": ["a.png", "b.png"], "answers": "x"}'], {}, "2 images, expected one"),
        ("retrieval", ['{"image": "a.png", "caption": " "}'], {}, "line 1: a caption is empty"),
        ("retrieval", [f'{{"image": "{n}.png", "caption": "x", "id": 1}}' for n in "ab"], {}, "another image than"),
        ("math/gsm8k", ["question,answer", "1+1?,two"], {}, "the answer 'two' is not a number"),
        ("math/gsm8k", ["question,answer", "1+1?,#### 1/2"], {}, "is not a number, of which #### reads 1"),
        ("math/math", ["problem,level", "1+1?,2"], {}, "has no column for solution or answer"),
        ("math/math", ["problem,answer", "1+1?,"], {}, "row 1: no answer"),
    ],
)
def test_what_cannot_be_read_is_named(folder, task, lines, options, words):
    path = table(folder, f"bad{'.csv' if lines[0][0] != '{' else '.jsonl'}", *lines)
    with pytest.raises(InputError, match=words):
        list(read(task, path, **options))


def test_a_run_is_scored_again_and_a_task_without_columns_refuses_them(folder):
    path = table(folder, "run.csv", "Review, in words;sentiment", "good;positive", "bad;0")
    table(folder, "out.jsonl", {"id": "0", "output": "positive"}, {"id": "1", "output": "positive"})
    columns = '"sentence=Review, in words",label=sentiment'
    run = ("run", "--model", "replay:out.jsonl", "--task", "glue/sst2", "--data", path, "--columns", columns)
    assert evals(*run, "--out", "run", cwd=folder).returncode == 0
    assert evals("score", "run", cwd=folder).returncode == 0
    assert json.loads((folder / "run" / "result.json").read_text())["metrics"]["accuracy"]["value"] == 0.5
    table(folder, "twice.jsonl", {"sentence": "good", "label": 1}, {"sentence": "bad", "label": 0})
    table(
        folder, "own.yaml", "data: twice.jsonl", "split: twice", "target: label", "choices: [negative, positive]",
        'prompt: "Sentence: {{ sentence }}\\nIs the opinion in this sentence positive or negative?\\nAnswer:"',
        "id: sentence", "answer: {read: label}",
    )  # fmt: skip
    table(folder, "out2.jsonl", {"id": "good", "output": "positive"}, {"id": "bad", "output": "negative"})
    for model, task, data, out in (
        ("out", "glue/sst2", ("--data", "twice.jsonl"), "json"),
        ("out2", "./own.yaml", (), "yaml"),
    ):
        done = evals("run", "--model", f"replay:{model}.jsonl", "--task", task, *data, "--out", out, cwd=folder)
        assert done.returncode == 0, done.stderr
    compared = evals("compare", "run", "json", cwd=folder).stdout
    assert "on each of 2 sentences in accuracy" in compared, "the split of a file is its name, and no protocol"
    compared = evals("compare", "run", "yaml", cwd=folder).stdout
    assert "2 samples are in both runs, matched by their questions" in compared
    assert "task.name is 'glue/sst2' in the first run, 'own' in the second" in compared
    assert "two tasks ask and read answers in their own ways" in compared
    refused(
        evals("run", "--model", "r1", "--task", "math/sums", "--columns", "a=b", cwd=folder),
        "--columns has no effect on task 'math/sums'",
    )
