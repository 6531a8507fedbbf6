"""Where an answer stands in a worked solution, and how it is written."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from golden import FOLDER as GOLDEN
from hypothesis import assume, given
from hypothesis import strategies as st

from evals.errors import UnknownName
from evals.tasks.scoring.math_reading.answers import Answer, extract_flexible, extract_strict
from evals.tasks.scoring.math_reading.normal import normalise
from evals.tasks.scoring.math_reading.outputs import cut_run_on, strip_thinking

GOLDEN = json.loads((GOLDEN / "math_answers.json").read_text())
LONG = 100_000
"""Characters; at this length anything quadratic takes half a minute and more."""
SECONDS = 4
"""Of processor, after which a reader of that many is killed: ten times and more what a linear one takes."""


def text_of(answer: Answer | None) -> str | None:
    return answer.text if answer else None


@pytest.mark.parametrize("case", GOLDEN["extraction"], ids=lambda case: case["text"][:40])
def test_extraction(case):
    expected = Answer(case["flexible"], case["how"]) if case["how"] else None
    assert extract_flexible(case["text"]) == expected
    for form, answer in case.get("strict", {}).items():
        assert text_of(extract_strict(case["text"], form)) == answer


@pytest.mark.parametrize("case", GOLDEN["thinking"], ids=lambda case: case["text"][:40])
def test_thinking_is_removed(case):
    assert strip_thinking(case["text"], opened=case.get("opened", False)) == (case["said"], case["finished"])


@pytest.mark.parametrize("case", GOLDEN["run_on"], ids=lambda case: case["text"][:40])
def test_run_on_text_is_cut(case):
    stops = {"stops": case["stops"]} if "stops" in case else {}
    assert cut_run_on(case["text"], **stops) == (case["kept"], case["ran_on"])


@pytest.mark.parametrize(("answer", "expected"), GOLDEN["normalise"])
def test_one_form(answer, expected):
    assert normalise(answer) == expected
    assert normalise(expected) == expected


def test_an_unknown_form_is_named():
    with pytest.raises(UnknownName, match="no form of answer is named 'box'; did you mean 'boxed'"):
        extract_strict("\\boxed{18}", "box")


def test_steps_together():
    output = "<think>\\boxed{3}?</think>\nWe get \\boxed{18}.\n\nQuestion: And then?\nAnswer: \\boxed{4}"
    said, finished = strip_thinking(output)
    answer, ran_on = cut_run_on(said)
    assert (finished, ran_on, text_of(extract_flexible(answer))) == (True, True, "18")


# Written in any accepted way, a number is found and comes out the same.

WAYS = ["{}", "${}", "\\${}", "{}.", "{}...", "{} dollars", "{}%", "= {}", "**{}**", "${}$", "({})", "'{}'"]
FRAMES = ["{}", "#### {}", "A: {}", "The answer is {}", "Answer: {}", "First 2 + 2 = 4.\n#### {}", "\\boxed{{{}}}"]


@given(st.integers(-(10**12), 10**12), st.sampled_from(WAYS), st.sampled_from(FRAMES), st.booleans())
def test_integers_are_found_however_written(number, way, frame, thousands):
    text = frame.format(way.format(f"{number:,}" if thousands else number))
    assume("boxed" not in frame or not set(way) & set("d=*('"))  # a box keeps what is in it
    assert normalise(extract_flexible(text).text) == str(number)


@given(st.decimals(-(10**6), 10**6, places=3), st.sampled_from(FRAMES))
def test_decimals_are_found(number, frame):
    found = normalise(extract_flexible(frame.format(number)).text)
    assert Fraction(found.replace("\\frac{1}{2}", "0.5")) == Fraction(number)


@given(st.integers(-99, 99), st.integers(2, 99), st.sampled_from(FRAMES), st.booleans())
def test_fractions_are_found(top, bottom, frame, tex):
    fraction = f"{'-' * (top < 0)}\\frac{{{abs(top)}}}{{{bottom}}}" if tex else f"{top}/{bottom}"
    assert extract_flexible(frame.format(fraction)).text == fraction


@given(st.text())
def test_any_text_is_read(text):
    said, _ = strip_thinking(text)
    kept, _ = cut_run_on(said)
    for answer in (extract_flexible(kept), *(extract_strict(kept, form) for form in ("####", "boxed", "A:"))):
        assert answer is None or (answer.text and answer.text == answer.text.strip())
    once = normalise(text)
    assert not set(once) & set(" \n\t$%")


# Whatever a model repeats for ever, reading it takes time linear in its length.

REPEATED = r"{ } \ $ # - = 1 9, 1, .1 1/ 1.1, 1,234, #### ####_1 \boxed \boxed{ \boxed_ \boxed{1} \frac \frac{ \frac{1}"
REPEATED += r" \text{ \text{_a} \( \[ \left( \, ^\circ <think> </think> answer answer: Answer:_1 the_answer_is_ A: A:_1"
REPEATED += r" answer_is_\a answer_is_$a \\ e 1e 1_x_10^ 1_1/ x_1_1/1 -_1 9_% * ~ _ "


READERS = """
from evals.tasks.scoring.math_reading.answers import extract_flexible, extract_strict
from evals.tasks.scoring.math_reading.normal import normalise
from evals.tasks.scoring.math_reading.outputs import cut_run_on, strip_thinking
readers = [strip_thinking, cut_run_on, extract_flexible, normalise]
readers += [lambda text, form=form: extract_strict(text, form) for form in ("####", "boxed", "A:")]
"""
QUADRATIC = "readers = [lambda text: sum(len(text[start:]) for start in range(len(text)))]"


def killed_at(units, readers, seconds=SECONDS, characters=LONG):
    """Read long texts of each unit in a process with so much processor time; name the unit at which it was killed."""
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
{readers}
for unit in {units!r}:
    print(repr(unit), flush=True)
    text = "\\\\boxed{{" + unit * ({characters} // len(unit)) + "}}1"
    for reader in readers:
        used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        resource.setrlimit(resource.RLIMIT_CPU, (int(used) + 1 + {seconds}, resource.getrlimit(resource.RLIMIT_CPU)[1]))
        reader(text)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode in {0, -signal.SIGXCPU}, done.stderr
    return done.stdout.splitlines()[-1] if done.returncode else None


@pytest.mark.slow
@pytest.mark.parametrize("end", ["", "\n"], ids=["one line", "lines"])
def test_long_outputs_take_linear_time(end):
    units = [unit.replace("_", " ") + end for unit in REPEATED.split()]
    assert killed_at(units, READERS) is None


@pytest.mark.slow
def test_a_reader_of_quadratic_time_is_killed():
    assert killed_at(["(", "1"], QUADRATIC, seconds=1, characters=500_000) == "'('"


# The real data; the grades are held against the publisher's in test_grading.


def rows(file: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_all_gold_answers_of_gsm8k_are_read(shared_data):
    golds = [extract_strict(row["answer"], "####") for row in rows(shared_data / "gsm8k" / "test.jsonl")]
    assert len(golds) == 1319
    assert all(gold and normalise(gold.text).lstrip("-").isdigit() for gold in golds)


@pytest.mark.slow
def test_all_gold_answers_of_math_are_read(shared_data):
    boxed = {row["unique_id"]: row["solution"] for row in rows(shared_data / "math" / "test.jsonl")}
    assert len(boxed) == 5000
    for solution in boxed.values():
        gold = extract_strict(solution, "boxed")
        assert gold
        flexible = extract_flexible(solution)
        # three solutions end in two boxes that "or" joins, of which the gold answer is the last
        assert flexible == gold or flexible.text.endswith(f" or {gold.text}")
    for row in rows(shared_data / "math" / "math500.jsonl"):
        assert text_of(extract_strict(row["solution"], "boxed")) == row["answer"].strip()


def test_strings_are_compared_as_the_official_scorer_does(shared_data):
    for case in json.loads((shared_data / "math" / "is_equiv_cases.json").read_text()):
        assert (normalise(case["a"]) == normalise(case["b"])) == case["expected"], case
