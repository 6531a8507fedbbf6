"""Math problems: prompts, answers and scores; against real outputs with published grades."""

from __future__ import annotations

import json
import math

import pytest
from commands import evals, refused
from golden import FOLDER as GOLDEN
from hypothesis import given, settings
from hypothesis import strategies as st

from evals import Options, Prediction, Sample, registry
from evals.tasks.scoring.math_reading.answers import extract_strict
from evals.tasks.scoring.math_reading.sampling import grouped, majority, pass_at

registry.discover()
GSM8K, MATH = registry.TASKS.get("math/gsm8k"), registry.TASKS.get("math/math")
ROWS = [
    {
        "question": f"Ann has {n} bags of {n + 1} marbles. How many?",
        "answer": f"{n} * {n + 1} = {n * (n + 1)}\n#### {n * (n + 1):,}",
    }
    for n in range(30, 40)
]


def write(folder, name, rows):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def scored(outputs, target="18", task=GSM8K):
    sample = Sample("0", (), target)
    (score,) = task.score([sample], {"0": [Prediction("0", output) for output in outputs]})
    return score


# What is asked


def test_examples_come_from_train_and_are_the_same_for_all(tmp_path):
    write(tmp_path, "test.jsonl", ROWS[:4])
    write(tmp_path, "train.jsonl", ROWS[4:])
    samples = GSM8K.samples(Options(data=tmp_path, shots=3, seed=1))
    leading = {sample.requests[0].parts[0] for sample in samples}
    assert len(leading) == 1
    (prefix,) = leading
    assert prefix.count("Question:") == 3
    assert not any(row["question"] in prefix for row in ROWS[:4])
    assert samples.facts["shots"] == 3
    other = GSM8K.samples(Options(data=tmp_path, shots=3, seed=2))
    assert other[0].requests[0].parts[0] != prefix


def test_without_training_problems_there_are_no_examples_unless_asked_for(tmp_path):
    write(tmp_path, "test.jsonl", ROWS)
    assert GSM8K.samples(Options(data=tmp_path)).facts["shots"] == 0
    write(tmp_path, "train.jsonl", ROWS * 2)
    assert GSM8K.samples(Options(data=tmp_path)).facts["shots"] == 8


def test_several_outputs_are_several_requests(tmp_path):
    write(tmp_path, "test.jsonl", ROWS)
    sample = GSM8K.samples(Options(data=tmp_path, samples_per_problem=3, temperature=0.6, seed=5))[1]
    assert [request.id for request in sample.requests] == ["1#0", "1#1", "1#2"]
    assert {(request.temperature, request.seed) for request in sample.requests} == {(0.6, 5)}


def test_a_gold_answer_loses_its_thousands_comma(tmp_path):
    write(tmp_path, "test.jsonl", [{"question": "?", "answer": "#### 2,125"}])
    assert GSM8K.samples(Options(data=tmp_path))[0].target == "2125"


# What it is worth


@pytest.mark.parametrize(
    ("output", "accuracy", "strict", "flexible"),
    [
        ("9 * 2 = 18\n#### 18", 1, 1, 1),
        ("So she makes $18.00.", 1, 0, 1),
        ("The answer is 36/2.", 1, 0, 0),
        ("#### 17", 0, 0, 0),
        ("I do not know.", 0, 0, 0),
        ("", 0, 0, 0),
        ("<think>It may be 17.</think>#### 18", 1, 1, 1),
        ("<think>18 it is, but I am not done", 0, 0, 0),
        ("#### 18\n\nQuestion: A robe takes 2 bolts.\nAnswer: #### 3", 1, 1, 1),
    ],
)
def test_three_accuracies_stand_side_by_side(output, accuracy, strict, flexible):
    values = scored([output]).values
    assert (values["accuracy"], values["accuracy-strict"], values["accuracy-flexible"]) == (accuracy, strict, flexible)


def test_what_cannot_be_read_is_unparsed_and_what_ran_on_is_counted():
    assert scored(["no number here"]).answer is None
    assert scored(["#### 18\n\nQuestion: next?\nAnswer:"]).values["run-on"] == 1.0
    assert scored(["#### 18"]).values["run-on"] == 0.0


def test_a_failed_output_is_worth_nothing():
    sample = Sample("0", (), "18")
    (score,) = GSM8K.score([sample], {"0": [Prediction("0", failure="out of memory")]})
    assert score.failed
    assert set(score.values.values()) == {0.0}


@pytest.mark.slow
def test_a_hostile_answer_costs_a_second_not_the_run():
    for output in (
        "#### 9**9**9**9",
        "\\boxed{" * 100_000,
        "\\boxed{9^{9^{9^9}}}",
        "#### __import__('os').system('true')",
    ):
        assert scored([output]).values["accuracy"] == 0.0


def test_several_outputs_give_pass_at_k_and_a_majority():
    values = scored(["#### 18", "#### 18.0", "#### 3", "#### 4"]).values
    assert values["accuracy"] == 0.5
    assert values["pass@1"] == 0.5
    assert values["pass@4"] == 1.0
    assert values["pass@2"] == pytest.approx(1 - (2 / 4) * (1 / 3))
    assert values["majority"] == 1.0


@given(st.integers(1, 12), st.data())
def test_pass_at_k_is_the_share_of_draws_that_hold_a_right_one(n, data):
    from itertools import combinations

    right = data.draw(st.integers(0, n))
    k = data.draw(st.integers(1, n))
    draws = list(combinations([True] * right + [False] * (n - right), k))
    assert pass_at(n, right, k) == pytest.approx(sum(map(any, draws)) / len(draws))


@given(st.lists(st.sampled_from(["18", "18.0", "3", "4", None]), min_size=1, max_size=8))
def test_the_majority_depends_on_no_order(answers):
    right = [answer in {"18", "18.0"} for answer in answers]

    def vote(answers, right):
        return majority(grouped(answers, right, lambda pairs: [False for _ in pairs]), right)

    found = vote(answers, right)
    assert 0 <= found <= 1
    assert vote(answers[::-1], right[::-1]) == found


@pytest.mark.parametrize(
    ("gold", "answers", "expected"),
    [
        ("2", ["\\frac{\\sqrt{2}}{2}", "\\frac{1}{\\sqrt2}", "\\sqrt{1/2}", "2", "2"], 0.0),
        ("\\frac12", ["0.5", "1/2", "\\frac12", "2", "2"], 1.0),
        ("2", ["3/4", "75\\%", "2"], 0.0),
        ("2", ["3", "4", "2", "2"], 1.0),
    ],
)
@pytest.mark.slow
def test_the_majority_counts_equivalent_answers_as_one(gold, answers, expected):
    outputs = [f"\\boxed{{{answer}}}" for answer in answers]
    assert scored(outputs, target=gold, task=MATH).values["majority"] == expected


# Outputs that were once graded wrongly


GRADES = json.loads((GOLDEN / "math_answers.json").read_text())["grades"]


def grades_of(cases):
    """Grade cases of a gold answer and an output by the rules of MATH; right or wrong for each."""
    samples = [Sample(str(n), (), case["gold"]) for n, case in enumerate(cases)]
    predictions = {str(n): [Prediction(str(n), case["output"])] for n, case in enumerate(cases)}
    return [score.values["accuracy"] == 1.0 for score in MATH.score(samples, predictions)]


@pytest.mark.slow
def test_every_answer_is_graded_as_a_person_would():
    wrong = [case for case, right in zip(GRADES, grades_of(GRADES), strict=True) if right != case["right"]]
    assert wrong == []


def shared_cases(shared_data, name):
    folder = shared_data.parent / "cases" / "answers"
    if not folder.exists():
        pytest.skip("there are no ../shared/cases/answers")
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


@pytest.mark.slow
def test_the_shared_cases_are_graded_right(shared_data):
    cases = shared_cases(shared_data, "cases.jsonl")
    wrong = [case for case, right in zip(cases, grades_of(cases), strict=True) if right != case["right"]]
    assert wrong == []


@pytest.mark.parametrize(
    ("folder", "golds", "outputs", "wrong"),
    [
        ("10-last-number-of-expression", "math500.jsonl", "out.jsonl", set()),
        ("12-answer-with-remark", "test.jsonl", "out.jsonl", set()),
        ("equations", "test.jsonl", "o.jsonl", {"0", "1", "2", "3", "4", "6"}),
    ],
)
def test_the_shared_outputs_are_graded_right(shared_data, folder, golds, outputs, wrong):
    problems = shared_cases(shared_data, f"{folder}/{golds}")
    gold_by_id = {}
    for n, row in enumerate(problems):
        form = "boxed" if "solution" in row else "####"
        gold = extract_strict(row.get("solution") or row["answer"], form)
        gold_by_id[row.get("unique_id", str(n))] = gold.text
    rows = shared_cases(shared_data, f"{folder}/{outputs}")
    cases = [{"gold": gold_by_id[row["id"]], "output": row["output"]} for row in rows]
    graded = {row["id"]: right for row, right in zip(rows, grades_of(cases), strict=True)}
    assert {name for name, right in graded.items() if not right} == wrong


ANSWERS = st.sampled_from(
    [
        "18",
        "10 000",
        "10000",
        "1,234",
        "2, 3",
        "1/2",
        "0.5",
        "x=5",
        "5",
        "\\frac43",
        "18\\text{ eggs}",
        "(C)",
        "9^{9^9}",
        "-3",
    ]
)
FRAMES = st.sampled_from(
    [
        "\\boxed{@}",
        "#### @",
        "The answer is @.",
        "$@$",
        "@",
        "\\boxed{@} and \\boxed{7}",
        "#### @. Then\n3",
        "#### @\n\\boxed{4}",
    ]
)


@settings(max_examples=60)
@given(ANSWERS, ANSWERS, FRAMES, FRAMES, st.sampled_from([GSM8K, MATH]))
def test_what_is_right_by_the_strict_rule_is_right(gold, answer, frame, other, task):
    output = f"{other.replace('@', answer)}\n{frame.replace('@', gold)}"
    values = scored([output], target=gold, task=task).values
    assert values["accuracy-strict"] <= values["accuracy"]
    assert values["accuracy-flexible"] <= values["accuracy"]


# Real data


@pytest.mark.parametrize(("name", "official"), [("6b-verification", 515), ("175b-finetuning", 458)])
def test_real_outputs_get_the_publishers_totals(shared_data, tmp_path, name, official):
    folder = shared_data / "gsm8k"
    done = evals(
        "run", "--model", f"replay:{folder / 'recorded' / name}.jsonl", "--task", "math/gsm8k", "--data", folder,
        "--out", tmp_path / "run",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["n"] == 1319
    assert round(result["metrics"]["accuracy"]["value"] * 1319) == official


@pytest.mark.parametrize(("task", "file", "size"), [("math", "test.jsonl", 5000), ("math500", "math500.jsonl", 500)])
def test_real_problems_are_read(shared_data, task, file, size):
    samples = registry.TASKS.get(f"math/{task}").samples(Options(data=shared_data / "math"))
    assert len(samples) == size
    assert samples.facts["split"] == file.removesuffix(".jsonl")
    assert all(sample.target for sample in samples)


def test_gold_solutions_are_right_answers(shared_data):
    samples = registry.TASKS.get("math/math500").samples(Options(data=shared_data / "math"))
    with (shared_data / "math" / "math500.jsonl").open() as file:
        solutions = [json.loads(line)["solution"] for line in file]
    chosen = [samples[index] for index in range(0, 500, 5)]
    outputs = {sample.id: [Prediction(sample.id, solutions[5 * n])] for n, sample in enumerate(chosen)}
    scores = MATH.score(chosen, outputs)
    assert math.fsum(score.values["accuracy"] for score in scores) == len(chosen)
    metrics = MATH.summarise(scores)
    assert "accuracy/level/Level 3" in metrics or "accuracy/level/3" in metrics


# Bad input


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ("", (), ["no problems"]),
        ('{"question": "?"}\n', (), ["answer"]),
        ('{"question": "?", "answer": "18"}\n', (), ["problem 1", "####"]),
        (
            '{"question": "?", "answer": "#### 1/0"}\n',
            (),
            ["problem 1", "'1/0' is not a number, of which #### reads 1"],
        ),
        ('{"question": "?", "answer": "#### 1e999"}\n', (), ["problem 1", "'1e999' is not a number"]),
        ('{"question": "?", "answer": "#### 1.2.3"}\n', (), ["problem 1", "'1.2.3' is not a number"]),
        ('{"question": "?", "answer": \n', (), ["line 1"]),
        ('{"question": "?, "answer": "#### 1"}\n', (), ["line 1"]),
        ('\ufeff{"question": "?", "answer": "#### 1"}\n', (), ["line 1", "byte order mark"]),
        ('{"question": "?", "answer": "#### 1"}\n', ("--shots", "3"), ["train.jsonl"]),
        ('{"question": "?", "answer": "#### 1"}\n', ("--samples", "4"), ["--temperature"]),
        ('{"question": "?", "answer": "#### 1"}\n', ("--temperature", "-1"), ["--temperature"]),
        ('{"question": "?", "answer": "#### 1"}\n', ("--split", "dev"), ["dev.jsonl"]),
    ],
)
def test_one_line_says_what_is_wrong(tmp_path, content, options, words):
    (tmp_path / "test.jsonl").write_text(content)
    (tmp_path / "outputs.jsonl").write_text('{"id": "0", "output": "#### 1"}\n')
    model = f"replay:{tmp_path / 'outputs.jsonl'}"
    refused(evals("run", "--model", model, "--task", "math/gsm8k", "--data", tmp_path, *options), *words)


def test_more_shots_than_training_problems(tmp_path):
    write(tmp_path, "test.jsonl", ROWS)
    write(tmp_path, "train.jsonl", ROWS[:2])
    model = f"replay:{tmp_path / 'test.jsonl'}"
    refused(evals("run", "--model", model, "--task", "math/gsm8k", "--data", tmp_path, "--shots", 3), "more than the 2")
