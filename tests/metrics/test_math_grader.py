"""Which mathematical answers are equal, and that no answer can stop or slow down the run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from commands import start
from golden import FOLDER as GOLDEN
from hypothesis import given
from hypothesis import strategies as st

from evals.errors import InputError
from evals.metrics import math_grader
from evals.metrics.math_equivalence import decide_plainly, element_count
from evals.metrics.math_grader import Grade, Grader
from evals.metrics.math_quantities import quantity
from evals.tasks.scoring.math_reading.answers import extract_flexible, extract_strict
from evals.tasks.scoring.math_reading.normal import normalise

ROOT = Path(__file__).parents[2]
EQUAL = json.loads((GOLDEN / "math_answers.json").read_text())["equivalence"]
HOSTILE = {
    "9**9**9": {"too-complex"},
    "9^{9^{9^9}}": {"too-complex"},
    "9^{(9^9)}": {"timeout", "memory"},
    "x^{99999}": {"too-complex"},
    "1000000!": {"too-complex"},
    "((9!)!)!": {"timeout", "memory"},
    "1e999999999": {"different", "unparsed"},
    "\\binom{1000000000}{500000000}": {"timeout", "memory"},
    "\\operatorname{eye}(9000) \\cdot \\operatorname{eye}(9000)": {"timeout", "memory"},
    "(x+y+z)^{900}": {"timeout", "memory"},
    "{" * 10_000 + "1" + "}" * 10_000: {"too-long"},
    "{" * 3_000_000: {"too-long"},
    "(" * 400 + "1" + ")" * 400: {"too-complex"},
    "\\frac{" * 90 + "1" + "}{2}" * 90: {"too-complex"},
    "\\frac{1}{0}": {"different", "unparsed"},
    "1+" * 490 + "1": {"different", "too-complex", "timeout"},
    "x" * 999: {"different", "too-complex", "timeout"},
    "9" * 999: {"different"},
    "__import__('os').system('touch /tmp/graded')": {"unparsed"},
    "().__class__.__bases__[0].__subclasses__()": {"unparsed", "different"},
    "\\operatorname{exit}(1)": {"unparsed", "different"},
    "\\input{/etc/passwd}": {"unparsed", "different"},
    "1\x008": {"unparsed"},
    "\ud800": {"unparsed"},
    "\u202e81\u202c": {"unparsed"},
    "18\n18": {"different", "unparsed"},
    "": {"unparsed"},
    "}{": {"unparsed"},
    "\\": {"unparsed"},
}


@pytest.fixture(scope="module")
def grader():
    with Grader() as grader:
        yield grader


def reasons(grades: list[Grade]) -> list[str]:
    return [grade.reason for grade in grades]


@pytest.mark.slow
def test_golden_cases(grader):
    found = reasons(grader.grade((case["gold"], case["answer"]) for case in EQUAL))
    assert [(c["gold"], c["answer"], r) for c, r in zip(EQUAL, found, strict=True)] == [
        (c["gold"], c["answer"], c["reason"]) for c in EQUAL
    ]


@pytest.mark.slow
def test_golden_cases_the_other_way_round(grader):
    cases = [case for case in EQUAL if not case.get("one_way")]  # only an answer may leave out the base of the gold
    found = grader.grade((case["answer"], case["gold"]) for case in cases)
    equal = [case["reason"] in ("exact", "numeric", "symbolic") for case in cases]
    assert [(c["answer"], c["gold"]) for c, g, e in zip(cases, found, equal, strict=True) if g.equal != e] == []


@pytest.mark.slow
def test_hostile_answers_cost_a_second_and_a_reason():
    with Grader(2, seconds=1.0) as grader:
        start = time.monotonic()
        found = reasons(grader.grade([("18", answer) for answer in HOSTILE]))
        seconds = time.monotonic() - start
    for answer, reason in zip(HOSTILE, found, strict=True):
        assert reason in HOSTILE[answer], f"{answer[:60]!r}: {reason}"
    assert not Path("/tmp/graded").exists()
    assert seconds < 5 * len(HOSTILE), "a generous bound: about a second of processor time and a new worker each"


@pytest.mark.slow
def test_nothing_is_evaluated():
    program = (
        "import logging, math_verify, sympy\n"
        "from evals.metrics.math_algebra import disarm\n"
        "from evals.metrics.math_equivalence import decide_symbolically\n"
        "logging.disable(); disarm()\n"
        "print(decide_symbolically('(x-2)(x+2)', 'x^2-4'), decide_symbolically('0.5x', '\\\\frac{x}{2}'))\n"
        "for call in (lambda: eval('1'), lambda: exec('1'), lambda: sympy.sympify('x+1'), lambda: sympy.S('f(1)'),\n"
        "             lambda: math_verify.parser.parse_expr('1+1'), lambda: sympy.lambdify([], sympy.Integer(1))):\n"
        "    try:\n        print('evaluated:', call())\n    except ValueError as error:\n        print(error)\n"
    )
    out = run(program).stdout.splitlines()
    assert out == ["symbolic symbolic", *["text is not evaluated"] * 6]


@pytest.mark.slow
def test_results_do_not_depend_on_the_workers():
    pairs = [(case["gold"], case["answer"]) for case in EQUAL[1::3]] + [("18", "9^{(9^9)}"), ("x", "y")]
    pairs += pairs[::-1]
    results = []
    for workers in (1, 3):
        with Grader(workers) as grader:
            results.append(grader.grade(pairs))
    assert results[0] == results[1]
    assert results[0] == results[0][::-1]


@pytest.mark.slow
def test_many_hostile_answers_have_a_budget(monkeypatch):
    monkeypatch.setattr(math_grader, "MAX_LONG", 2)
    hostile = [("18", f"9^{{(9^{{{n}}})}}") for n in (9, 10, 11, 12)]
    with Grader(2, seconds=0.4) as grader:
        found = reasons(grader.grade([*hostile, ("x+1", "1+x")]))
    assert found[-1] == "symbolic"
    assert set(found[:2]) <= {"timeout", "memory"}
    assert set(found[2:4]) <= {"given-up", "memory"}


@pytest.mark.slow
def test_a_grader_is_used_twice_and_lazily():
    with Grader() as grader:
        assert reasons(grader.grade([("18", "18.0")])) == ["numeric"]
        assert grader._workers == []
        assert grader.grade([]) == []
        assert reasons(grader.grade([("x+1", "1+x")])) == ["symbolic"]
        (worker,) = grader._workers
        assert reasons(grader.grade([("x", "x+1")])) == ["different"]
        assert grader._workers == [worker]
    assert grader._workers == []
    assert worker.is_dead


@pytest.mark.slow
def test_memory_is_limited():
    with Grader(1, memory_bytes=64 * 2**20, seconds=20) as grader:
        hungry = ("18", "\\operatorname{eye}(9000) \\cdot \\operatorname{eye}(9000)")
        assert reasons(grader.grade([hungry, ("x+1", "1+x")])) == ["memory", "symbolic"]


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced():
    with Grader(1, seconds=30) as grader:
        assert reasons(grader.grade([("x+1", "1+x")])) == ["symbolic"]
        used = grader._workers[0]
        threading.Timer(0.5, used._process.kill).start()
        # It dies on the first pair, which a new worker then grades, until its time is over.
        grader._seconds = 0.5
        assert reasons(grader.grade([("18", "9^{(9^9)}"), ("x+1", "1+x")])) == ["timeout", "symbolic"]
        assert used.is_dead


def test_a_worker_that_dies_fresh_has_crashed(monkeypatch):
    program = "import os, sys; os.write(1, b'ready\\n'); sys.stdin.readline(); os.abort()"
    monkeypatch.setattr(math_grader, "_PROGRAM", program)
    with Grader(2) as grader:
        assert reasons(grader.grade([("x", "y"), ("18", "18"), ("a", "b")])) == ["crashed", "exact", "crashed"]


def test_a_worker_that_hangs_without_working_is_killed(monkeypatch):
    monkeypatch.setattr(math_grader, "_PROGRAM", "import os, time; os.write(1, b'ready\\n'); time.sleep(60)")
    with Grader(1, seconds=0.05) as grader:
        assert reasons(grader.grade([("x", "y")])) == ["timeout"]


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("print('No module named math_verify')", "answers cannot be graded: No module named math_verify"),
        ("pass", "ended while it started"),
    ],
)
def test_workers_that_cannot_start_are_an_error(monkeypatch, program, message):
    monkeypatch.setattr(math_grader, "_PROGRAM", program)
    with Grader() as grader, pytest.raises(InputError, match=message):
        grader.grade([("x", "y")])


def test_nonsense_settings_are_refused():
    with pytest.raises(ValueError, match="workers=0"):
        Grader(0)


# What is left when the grader goes.


def run(program: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120, **options
    )


def test_importing_loads_no_algebra():
    assert (
        run("import sys, evals.metrics.math_grader; print({'sympy', 'math_verify', 'torch'} & set(sys.modules))").stdout
        == "set()\n"
    )


BUSY = """
import sys
from evals.metrics.math_grader import Grader
with Grader(2, seconds=2) as grader:
    grader.grade([("x+1", "1+x"), ("y", "y+0")])
    print(*(worker._process.pid for worker in grader._workers), flush=True)
    sys.stdin.readline()
    grader.grade([("18", "9^{(9^9)}"), ("18", "9^{(9^8)}")])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "busy"), [(signal.SIGKILL, False), (signal.SIGKILL, True), (signal.SIGTERM, True), (signal.SIGINT, True)]
)
def test_no_worker_outlives_its_grader(end, busy):
    parent = start("-c", BUSY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with parent:
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        assert workers
        assert all(is_alive(pid) for pid in workers)
        if busy:
            parent.stdin.write(b"go\n")
            parent.stdin.flush()
            time.sleep(0.3)
        parent.send_signal(end)
        parent.wait(30)
    deadline = time.monotonic() + 30
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_alive, workers))


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its adopted parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_an_interrupted_grader_starts_again(monkeypatch):
    with Grader(1) as grader:
        grader.grade([("x+1", "1+x")])
        (worker,) = grader._workers
        monkeypatch.setattr(math_grader, "_wait", interrupt)
        with pytest.raises(KeyboardInterrupt):
            grader.grade([("18", "9^{(9^9)}")])
        assert worker.is_dead
        monkeypatch.undo()
        assert reasons(grader.grade([("x", "x+1")])) == ["different"]
    with pytest.raises(ChildProcessError):  # it was waited for
        os.waitpid(worker._process.pid, os.WNOHANG)


def interrupt(workers: object) -> None:
    raise KeyboardInterrupt


# Properties.

NUMBERS = st.fractions(-(10**6), 10**6, max_denominator=1000)


@st.composite
def written(draw, number: Fraction) -> str:
    """A number in one of the ways that answers are written."""
    sign, size = "-" if number < 0 else draw(st.sampled_from(["", "+", ""])), abs(number)
    whole, rest = divmod(size, 1)
    ways = [f"{size.numerator}/{size.denominator}", f"\\dfrac{{{size.numerator}}}{{{size.denominator}}}"]
    if whole and rest:
        ways += [f"{whole} {rest}", f"{whole}\\frac{{{rest.numerator}}}{{{rest.denominator}}}"]
    if size.denominator == 1:
        ways += [
            f"{size}",
            f"{int(size):,}",
            f"{size}.00",
            f"{size}e0",
            f"{size}.",
            f"{int(size):,}".replace(",", "{,}"),
        ]
    if 1000 % size.denominator == 0:
        ways += [f"{float(size):.3f}", f"{float(size):,.4f}", f"{float(size) * 10:.2f}e-1"]
    frames = ["{}", "${}$", "\\${}", " {} ", "{} dollars", "{}\\text{{ apples}}", "{}^\\circ", "{}%"]
    return draw(st.sampled_from(frames)).format(sign + draw(st.sampled_from(ways)))


@given(st.data(), NUMBERS)
def test_a_number_equals_itself_however_written(data, number):
    one, other = data.draw(written(number)), data.draw(written(number))
    assert decide_plainly(one, other) in ("exact", "numeric")


@given(st.data(), NUMBERS, NUMBERS)
def test_unequal_numbers_differ_and_order_does_not_matter(data, a, b):
    one, other = data.draw(written(a)), data.draw(written(b))
    assert decide_plainly(one, other) == decide_plainly(other, one)
    if a != b and "%" not in one + other:
        assert decide_plainly(one, other) == "different"


@given(st.text(), st.text())
def test_any_two_texts_have_a_reason_or_need_algebra(one, other):
    assert decide_plainly(one, other) == decide_plainly(other, one)
    if one.strip():
        assert decide_plainly(one, one) == "exact"


# The real data.


def rows(file: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


DISAGREEMENTS: dict[tuple[str, str], str] = {}
"""(file, id) of a recorded output that we grade otherwise than its publisher, and why. There is none."""


@pytest.mark.parametrize(("name", "right"), [("6b-verification", 515), ("175b-finetuning", 458)])
def test_grades_agree_with_the_publisher_of_recorded_outputs(shared_data, name, right):
    golds = [extract_strict(row["answer"], "####").text for row in rows(shared_data / "gsm8k" / "test.jsonl")]
    recorded = rows(shared_data / "gsm8k" / "recorded" / f"{name}.jsonl")
    answers = [extract_flexible(row["output"]) for row in recorded]
    pairs = [
        (golds[int(row["id"])], answer.text if answer else "") for row, answer in zip(recorded, answers, strict=True)
    ]
    with Grader() as grader:
        grades = grader.grade(pairs)
        assert grader._workers == [], "GSM8K needs no algebra"
    for row, pair, grade in zip(recorded, pairs, grades, strict=True):
        assert grade.equal == (normalise(pair[0]) == normalise(pair[1])) == row["is_correct"] or (
            (name, row["id"]) in DISAGREEMENTS
        ), (name, row["id"], pair, grade)
    assert sum(grade.equal for grade in grades) == right


def test_the_cases_of_the_official_scorer_agree(shared_data, grader):
    cases = json.loads((shared_data / "math" / "is_equiv_cases.json").read_text())
    grades = grader.grade((case["a"], case["b"]) for case in cases)
    assert [(case["test"], grade.equal) for case, grade in zip(cases, grades, strict=True)] == [
        (case["test"], case["expected"]) for case in cases
    ]


@pytest.fixture(scope="module")
def golds(shared_data):
    solutions = [row["solution"] for row in rows(shared_data / "math" / "test.jsonl")]
    return [extract_strict(solution, "boxed").text for solution in solutions]


def test_every_gold_answer_of_math_equals_itself(grader, golds):
    assert Counter(reasons(grader.grade(zip(golds, golds, strict=True)))) == {"exact": 5000}


@pytest.mark.slow
@pytest.mark.draws(500, 5_000)
def test_algebra_too_finds_every_gold_answer_of_math_equal_to_itself(monkeypatch, golds, draws):
    golds = golds[:: len(golds) // draws]
    monkeypatch.setattr(math_grader, "decide_plainly", lambda gold, answer, max_characters: None)
    with Grader() as grader:
        found = dict(zip(golds, reasons(grader.grade(zip(golds, golds, strict=True))), strict=True))
    assert {gold: reason for gold, reason in found.items() if reason != "symbolic"} == {}


@pytest.mark.slow
def test_answers_to_other_problems_are_wrong(shared_data, grader):
    golds = [row["answer"] for row in rows(shared_data / "math" / "math500.jsonl")]
    neighbours = zip(golds, golds[1:] + golds[:1], strict=True)
    pairs = [(gold, other) for gold, other in neighbours if normalise(gold) != normalise(other)]
    assert len(pairs) > 490
    found = grader.grade(pairs)
    assert [pair for pair, grade in zip(pairs, found, strict=True) if grade.equal] == []
    assert set(reasons(found)) == {"different"}


@pytest.mark.slow
def test_wrong_rewrites_are_wrong_and_right_ones_right(shared_data, grader):
    golds = [row["answer"] for row in rows(shared_data / "math" / "math500.jsonl")]
    # The last digit of a unit, as in cm^2, is no part of the answer.
    bumped = [(gold, bump(gold)) for gold in golds if any(map(str.isdigit, gold)) and "\\mbox" not in gold]
    assert [pair for pair, grade in zip(bumped, grader.grade(bumped), strict=True) if grade.equal] == []
    rewritten = [(gold, f"${gold.replace(' ', '  ').replace('frac', 'dfrac').replace('dd', 'd')}$.") for gold in golds]
    assert [pair for pair, grade in zip(rewritten, grader.grade(rewritten), strict=True) if not grade.equal] == []


def bump(text: str) -> str:
    """The text with its last digit one higher: 3 becomes 4, 9 becomes 0."""
    place = max(map(text.rfind, "0123456789"))
    return f"{text[:place]}{(int(text[place]) + 1) % 10}{text[place + 1 :]}"


@pytest.mark.parametrize("form", ["{}", "1/{}", "{}/2", "0.{}", "1e{}", "{} million", "0.1\\overline{{{}}}", "{}%"])
def test_a_number_of_thousands_of_digits_is_no_quantity(form):
    text = form.format("9" * 5_000)
    assert quantity(text) is None
    assert element_count(text) == 1
