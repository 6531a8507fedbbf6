"""Tasks in YAML files: the shipped ones on rows in their published formats, keys, limits, readers, and a run.

The data sets were not at hand: the rows were made here with the columns that their pages on the hub have.

python -m pytest tests/tasks/files
"""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import pyarrow as pa
import pytest
from commands import ROOT, evals, refused
from pyarrow import parquet

from evals import InputError, Options, Prediction
from evals.data.templates import renderer
from evals.registry import METRICS, TASKS
from evals.tasks.files import reading
from evals.tasks.files.task import load


def lines(path: Path, *rows: dict) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def file(folder: Path, text: str, name: str = "own.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def texts(sample) -> list[str]:
    return [part for part in sample.requests[0].parts if isinstance(part, str)]


def scored(task, samples, *outputs: str):
    """Score one output per sample."""
    listed = list(samples)
    predictions = {s.id: [Prediction(s.id, output)] for s, output in zip(listed, outputs, strict=True)}
    return task.score(listed, predictions)


# The shipped files


def test_mmlu(tmp_path):
    rows = [("abstract_algebra", "2 + 2?", 3), ("anatomy", "Bones?", 0), ("anatomy", "Teeth?", 1)]
    lines(
        tmp_path / "d" / "test.jsonl",
        *({"question": q, "subject": s, "choices": ["1", "2", "3", "4"], "answer": a} for s, q, a in rows),
    )
    lines(
        tmp_path / "d" / "dev.jsonl",
        *(
            {"question": f"{n} of {subject}?", "subject": subject, "choices": [*"wxyz"], "answer": n % 4}
            for n in range(6)
            for subject in ("anatomy", "abstract_algebra")
        ),
    )
    task = TASKS.get("mmlu")
    samples = task.samples(Options(data=tmp_path / "d", shots=2))
    leading, prompt = texts(samples[0])
    # hendrycks/test, evaluate.py: format_subject puts a space before each word, so that two follow "about".
    assert leading == (
        "The following are multiple choice questions (with answers) about  abstract algebra.\n\n"
        "0 of abstract_algebra?\nA. w\nB. x\nC. y\nD. z\nAnswer: A\n\n"
        "1 of abstract_algebra?\nA. w\nB. x\nC. y\nD. z\nAnswer: B\n\n"
    )
    assert prompt == "2 + 2?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer:"
    assert samples[0].requests[0].choices == (" A", " B", " C", " D")
    assert [sample.target for sample in samples] == [" D", " A", " B"]
    assert len(task.samples(Options(data=tmp_path / "d"))[0].requests[0].examples) == 5
    metrics = task.summarise(scored(task, samples, " D", " A", " C"))
    assert {name: metric.value for name, metric in metrics.items()} == {
        "accuracy": 2 / 3, "accuracy/abstract_algebra": 1.0, "accuracy/anatomy": 0.5,
    }  # fmt: skip


def test_mmlu_pro(tmp_path):
    row = {"question_id": 7, "question": "2 + 2?", "category": "math", "options": ["1", "2", "N/A", "4"], "answer": "C"}
    worked = {"cot_content": "A: Let's think step by step. 1 + 1 is 2. The answer is (B)."}
    lines(tmp_path / "d" / "test.jsonl", {**row, "answer_index": 2, "cot_content": "", "src": "x"})
    lines(
        tmp_path / "d" / "validation.jsonl",
        {**row, **worked, "question": "1 + 1?", "options": ["1", "2"], "answer": "B"},
    )
    task = TASKS.get("mmlu-pro")
    samples = task.samples(Options(data=tmp_path / "d", shots=1))
    leading, prompt = texts(samples[0])
    assert leading.endswith(
        'finish your answer with "the answer is (X)" where X is the correct '
        "letter choice.\n\n\n\nQuestion:\n1 + 1?\nOptions:\nA. 1\nB. 2\nAnswer: Let's think step by step. 1 + 1 is 2. "
        "The answer is (B).\n\n"
    )
    assert prompt == "Question:\n2 + 2?\nOptions:\nA. 1\nB. 2\nC. 4\nAnswer: Let's think step by step."
    assert (samples.ids, samples[0].target, samples[0].requests[0].stop) == (["7"], "C", ("Question:",))
    assert [score.values["accuracy"] for score in scored(task, samples, "So the answer is (C).")] == [1.0]
    (unparsed,) = scored(task, samples, "no idea")
    assert (unparsed.answer, unparsed.values["accuracy"]) == (None, 0.0), "the official script would guess"


def test_arc_hellaswag_and_boolq(tmp_path):
    row = {"id": "M_1", "question": "Why?", "choices": {"text": ["a", "b"], "label": ["1", "2"]}, "answerKey": "2"}
    (sample,) = TASKS.get("arc-challenge").samples(Options(data=lines(tmp_path / "arc.jsonl", row)))
    request = sample.requests[0]
    assert (texts(sample), request.choices, sample.target) == (["Question: Why?\nAnswer:"], (" a", " b"), " b")
    assert request.normalise == "characters"
    assert TASKS.get("arc-easy").samples(Options(data=tmp_path / "arc.jsonl")).ids == ["M_1"]
    row = {"ind": 4, "activity_label": "Roof", "ctx_a": "A man sits.", "ctx_b": "he", "ctx": "", "source_id": "w~1"}
    row |= {"endings": [" runs [title] x", "b [step] c  d", "c", "d"], "label": "3"}
    (sample,) = TASKS.get("hellaswag").samples(Options(data=lines(tmp_path / "hellaswag.jsonl", row)))
    # lm_eval/tasks/hellaswag/utils.py: preprocess(activity_label + ": " + ctx_a + " " + ctx_b.capitalize())
    assert texts(sample) == ["Roof: A man sits. He"]
    assert (sample.requests[0].choices, sample.target) == ((" runs. x", " b c d", " c", " d"), " d")
    rows = [{"question": "is it", "passage": "It is.", "answer": value} for value in (True, False)]
    samples = TASKS.get("boolq").samples(Options(data=lines(tmp_path / "boolq.jsonl", *rows)))
    assert [(texts(sample), sample.target, sample.cluster) for sample in samples] == [
        (["It is.\nQuestion: is it?\nAnswer:"], target, "It is.") for target in (" yes", " no")
    ]


def test_gpqa_has_one_order_of_the_choices(tmp_path):
    names = ["Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3"]
    rows = [
        {
            "Record ID": f"rec{n}",
            "Question": "Q?\n",
            "High-level domain": "Physics",
            **dict(zip(names, "wxyz", strict=True)),
        }
        for n in range(40)
    ]
    path = lines(tmp_path / "gpqa.jsonl", *rows)
    samples = TASKS.get("gpqa-diamond").samples(Options(data=path))
    assert texts(samples[0])[0].startswith("What is the correct answer to this question: Q?\n\nChoices:\n(A) ")
    for sample in samples:
        assert f"({sample.target}) w\n" in texts(sample)[0], "the letter of the right choice"
    assert {sample.target for sample in samples} == {*"ABCD"}
    again = TASKS.get("gpqa-diamond").samples(Options(data=path, seed=5))
    assert [texts(sample) for sample in again] == [texts(sample) for sample in samples]


def test_aime_and_mmmu(tmp_path):
    row = {"id": 60, "problem": "P", "solution": "s", "answer": "025", "url": "u", "year": "2024"}
    task = TASKS.get("aime-2024")
    samples = task.samples(Options(data=lines(tmp_path / "aime.jsonl", row)))
    assert texts(samples[0])[0].endswith("put the final answer within \\boxed{}.")
    assert [score.values["accuracy"] for score in scored(task, samples, "so $\\boxed{25}$")] == [1.0]
    rows = [
        {"id": "validation_Accounting_1", "question": "<image 1> Which?", "options": "['$6', '$7']", "answer": "B",
         "question_type": "multiple-choice", "image_1": "1.png", "image_2": "2.png"},
        {"id": "validation_Art_Theory_2", "question": "<image 1> Who?", "options": "[]", "answer": "['Monet', '24/7']",
         "question_type": "open", "image_1": "1.png", "image_2": None},
    ]  # fmt: skip
    task = TASKS.get("mmmu")
    samples = task.samples(Options(data=lines(tmp_path / "mmmu.jsonl", *rows)))
    first, second = samples
    assert [getattr(part, "path", None) for part in first.requests[0].parts[:2]] == [
        tmp_path / "1.png",
        tmp_path / "2.png",
    ]
    assert texts(first)[0].endswith(
        "<image 1> Which?\n(A) $6\n(B) $7\n\nAnswer with the option's letter from the given choices directly."
    )
    assert texts(second) == ["<image 1> Who?\nAnswer the question using a single word or phrase."]
    assert [sample.labels["subset"] for sample in samples] == ["Accounting", "Art_Theory"]
    assert [score.values["accuracy"] for score in scored(task, samples, "B", "It is by Claude Monet.")] == [1.0, 1.0]
    by_text, wrong = scored(task, samples, "It has to be the one of $7", "a phrase")
    assert (by_text.answer, by_text.values["accuracy"], wrong.values["accuracy"]) == ("B", 1.0, 0.0)


def test_shipped_files_have_no_bundled_data(tmp_path):
    done = evals("run", "--model", "r1", "--task", "mmlu", "--out", tmp_path / "run")
    refused(done, "mmlu has no bundled data: --scale full reads hf:cais/mmlu#all, and --data FILE your own copy")


# Keys


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "prompt: a\ntarget: b\nchoises: c\n",
            r"own\.yaml:3: no key 'choises'; did you mean choices; the keys are prompt",
        ),
        ("prompt: a\n\nanswer: {red: letter}\ntarget: b", r"own\.yaml:3: no key 'answer\.red'; did you mean read"),
        ("prompt: a\n", r"own\.yaml:1: the key target is missing"),
        ("prompt: a\ntarget: b\nask: chose\n", r":3: ask is 'chose'; allowed are generate, choose"),
        ("prompt: [a]\ntarget: b\n", r":1: prompt is \['a'\], expected text"),
        (
            "prompt: a\ntarget: b\nanswer: number\n",
            r":3: answer is 'number', expected a mapping \(read: …\) with keys of read",
        ),
        ("prompt: a\ntarget: b\nmax_new_tokens: ten\n", ":3: max_new_tokens is 'ten', expected a whole number"),
        ("prompt: a\ntarget: b\nmetrics: [bleu]\n", ":3: no metric 'bleu'; the metrics are accuracy"),
        ("prompt: a\ntarget: b\nask: choose\n", ":3: the key choices is missing"),
        ("prompt: a\ntarget: b\naverage: subsets\n", ":3: average: subsets needs the key subset"),
        ("prompt: a\ntarget: b\nanswer: {read: regex}\n", r":3: the key answer\.pattern is missing"),
        ("prompt: a\ntarget: b\nstop: ['']\n", ":3: stop has an empty text; leave it out"),
        ("prompt: a\ntarget: b\nid:\n", ":3: the key id has no value; give one, or leave it out"),
        (
            "prompt: a\ntarget: b\nexamples: {split: c, answer: d, count: -1}\n",
            r":3: examples\.count is -1, expected 0 or more",
        ),
        ("prompt: a\nprompt: b\ntarget: c", "'prompt' is given twice"),
        ("- prompt", ":1: a task file holds keys and values"),
        ("prompt: a\ntarget: b\nname: ../x\n", ":3: name is '../x'; allowed are letters"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path, text, words):
    with pytest.raises(InputError, match=words):
        load(file(tmp_path, text))


def test_a_name_of_the_suite_is_not_taken(tmp_path):
    path = file(tmp_path, "prompt: a\ntarget: b\nname: vqa\n")
    refused(evals("run", "--model", "r1", "--task", path), "the name 'vqa' is that of a task of the suite")


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        (
            "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            "takes longer than 0.2 seconds",
        ),
        ("{{ 'a' * 10**10 }}", "prompt needs more than 512 MiB"),
        ("{% for a in range(9999) %}{{ 'x' * 999 }}{% endfor %}", "writes over 4,194,304 characters"),
        ("{{ ''.__class__.__mro__ }}", "access to attribute '__class__' of 'str' object is unsafe"),
        ("{{ question.append(1) }}", "'str object' has no attribute 'append'"),
        ("{{ questin }}", "'questin' is undefined; the variables are question, answer"),
        ("{% include '/etc/passwd' %}", "no loader for this environment"),
        ("{% for %}", "prompt is malformed"),
    ],
)
def test_a_template_cannot_do_harm(tmp_path, monkeypatch, prompt, words):
    monkeypatch.setattr(renderer, "SECONDS", 0.2)
    path = file(tmp_path, f"prompt: {json.dumps(prompt)}\ntarget: answer\n")
    rows = lines(tmp_path / "rows.jsonl", {"question": "a", "answer": "b"})
    with pytest.raises(InputError, match=words) as refusal:
        load(path).samples(Options(data=rows))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prompt: 'Q: {{ hint }}'\n", "prompt fails for .*, row 1: a value that it prints is missing"),
        ("prompt: 'Q: {{ score }}'\n", "prompt fails for .*, row 1: a value that it prints is missing"),
        ("prompt: 'Q: {{ hint | trim ~ 1 }}'\n", "prompt fails for .*, row 1: a value that it prints is missing"),
        ("prompt: '{{ [hint, flag] | join }}'\n", "prompt fails for .*, row 1: a value that it prints is missing"),
        ("prompt: a\nid: hint\n", "row 1: id is empty"),
        ("prompt: a\nchoices: [b, c]\nlabels: [A, A]\n", "row 1: the labels are 'A', 'A'; expected another one"),
        ("prompt: a\nchoices: [b, c]\nlabels: [A, '']\n", "row 1: the labels are 'A', ''; expected another one"),
        ("prompt: a\nid: empty\n", "row 1: id is empty"),
        ("prompt: a\nwhere: flag\n", "row 1: where gives the text 'false'; compare it"),
    ],
)
def test_a_missing_value_is_no_text_and_a_text_is_no_truth(tmp_path, text, words):
    missing = {"hint": pa.array([None], pa.string()), "score": [float("nan")], "empty": [""]}
    table = pa.table({**missing, "flag": ["false"], "answer": ["b"]})
    parquet.write_table(table, tmp_path / "rows.parquet")
    with pytest.raises(InputError, match=words):
        load(file(tmp_path, f"{text}target: answer\n")).samples(Options(data=tmp_path / "rows.parquet"))


def test_a_missing_value_is_none_false_and_can_be_left_out(tmp_path):
    prompt = "{{ hint or '-' }}{{ hint is none }}{{ hint == none }}{% if hint %}!{% endif %}{{ [hint, 1] | tojson }}"
    row = {"hint": None, "answer": ["b", None]}
    path = lines(tmp_path / "rows.jsonl", row)
    (sample,) = load(file(tmp_path, f'prompt: "{prompt}"\ntarget: answer\nsubset: hint\n')).samples(Options(data=path))
    assert (sample.requests[0].parts, sample.target, sample.labels) == (("-TrueTrue[null, 1]",), ["b"], {})


# Answers


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("The answer is (C).", "C"),
        ("The answer is: **B**", "B"),
        ("not A.\nAnswer: B or Answer: D\nAnswer: A", "D"),
        ("It is B, not C", "C"),
        ("Apples", None),
        ("", None),
    ],
)
def test_letters(output, expected):
    assert reading.letter(output) == expected


def test_letters_of_a_long_output_take_no_time():
    assert reading.letter("answer " * 100_000 + "E") == "E"


@pytest.mark.parametrize(
    ("answer", "target", "output", "expected"),
    [
        ("{read: number}", "1200", "about 1,200.0", 1.0),
        ("{read: number}", "3", "13", 0.0),
        ("{read: exact}", "red", "Red.", 1.0),
        ("{read: contains}", "red", "It is red", 1.0),
        ("{read: contains}", "red", "a hundred", 0.0),
        ("{read: math}", "1/2", "so \\boxed{0.5}", 1.0),
        ('{read: regex, pattern: "<a>(.*?)</a>"}', "y", "<a>x</a> <a>Y</a>", 1.0),
        ('{read: regex, pattern: "<a>(.*?)</a>", take: first}', "y", "<a>x</a> <a>Y</a>", 0.0),
        ('{read: regex, pattern: "<a>(.*?)</a>|<b>(.*?)</b>"}', "y", "<a>x</a> <b>Y</b>", 1.0),
        ("{read: math}", ["3", "1/2"], "so \\boxed{0.5}", 1.0),
        ("{read: number}", [3, 4], "4", 1.0),
        ('{read: regex, pattern: "(x+x+)+y"}', "x", "x" * 60, 0.0),
    ],
)
def test_readers(tmp_path, monkeypatch, answer, target, output, expected):
    monkeypatch.setattr(renderer, "SECONDS", 0.2)
    task = load(file(tmp_path, f"prompt: '{{{{ q }}}}'\ntarget: a\nanswer: {answer}\n"))
    samples = task.samples(Options(data=lines(tmp_path / "rows.jsonl", {"q": "?", "a": target})))
    (score,) = scored(task, samples, output)
    assert score.values["accuracy"] == expected
    (failed,) = task.score(list(samples), {"1": [Prediction("1", failure="no")]})
    assert (failed.failed, failed.values["accuracy"]) == (True, 0.0)


LABELS = """
prompt: "{{ text }}"
target: label
choices: [negative, positive]
answer: {read: label}
metrics: [accuracy, f1, matthews]
subset: topic
average: subsets
where: label != 'unknown'
"""


def test_metrics_of_labels_and_the_average_of_subsets(tmp_path):
    topics, labels = "aab", ["negative", "positive", "positive"]
    rows = [{"text": "t", "label": label, "topic": topic} for label, topic in zip(labels, topics, strict=True)]
    path = lines(tmp_path / "rows.jsonl", *rows, {"text": "t", "label": "unknown", "topic": "c"})
    task = load(file(tmp_path, LABELS))
    samples = task.samples(Options(data=path))
    assert len(samples) == 3, "`where` leaves rows out"
    metrics = task.summarise(scored(task, samples, "Negative.", "I think: negative", "positive or negative?"))
    values = {name: metric.value for name, metric in metrics.items()}
    assert (values["accuracy/a"], values["accuracy/b"], values["accuracy"]) == (0.5, 0.0, 0.25)
    assert (values["accuracy-samples"], values["f1"]) == (1 / 3, 0.0)


# As a user runs it


def test_a_new_task_runs_at_once_and_is_scored_again(tmp_path, monkeypatch):
    done = evals("new-task", "capitals", cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "python -m evals run --model r1 --task ./capitals.yaml"
    refused(evals("new-task", "capitals", cwd=tmp_path), "capitals.yaml exists")
    refused(evals("new-task", "../x", cwd=tmp_path), "a name has letters")
    lines(
        tmp_path / "out.jsonl",
        *({"id": str(n), "output": o} for n, o in ((1, "Lima."), (2, "It is Lima"), (3, "mexico city"))),
    )
    run = ("run", "--model", "replay:out.jsonl", "--task", "./capitals.yaml", "--out", "run")
    assert evals(*run, cwd=tmp_path).returncode == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert {name: metric["value"] for name, metric in result["metrics"].items()} == {
        "accuracy": 2 / 3, "contains": 2 / 3, "accuracy/Africa": 0.0, "accuracy/America": 1.0,
    }  # fmt: skip
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["data"]["definition"] == (tmp_path / "capitals.yaml").read_text()
    (tmp_path / "capitals.yaml").write_text("changed")
    assert evals("score", "run", cwd=tmp_path).returncode == 0, "the manifest has the definition"
    again = json.loads((tmp_path / "run" / "result.json").read_text())
    assert again["metrics"] == result["metrics"]


def test_the_metric_of_the_guide_is_a_plug_in(tmp_path, monkeypatch):
    page = (ROOT / "docs" / "writing-a-task.md").read_text(encoding="utf-8")
    source = re.search(r"This one is `brevity\.py`:\n\n```py\n(.*?)^```$", page, re.S | re.M)[1]
    assert source.count("\n") < 30
    file(tmp_path, source, "brevity.py")
    monkeypatch.syspath_prepend(tmp_path)
    text = "prompt: '{{ q }}'\ntarget: a\nmetrics: [accuracy, brevity]\n"
    with pytest.raises(InputError, match="no metric 'brevity'"):
        load(file(tmp_path, text))
    monkeypatch.setattr(METRICS, "_entries", {})
    importlib.import_module("brevity")
    task = load(file(tmp_path, text))
    samples = task.samples(
        Options(data=lines(tmp_path / "rows.jsonl", {"q": "?", "a": ["red", "crimson"]}, {"q": "?", "a": "x"}))
    )
    metrics = task.summarise(scored(task, samples, "red and so on.", ""))
    assert (metrics["brevity"].value, metrics["accuracy"].value) == (0.75, 0.0)
    assert set(samples.facts["metrics"]) == {"brevity"}
