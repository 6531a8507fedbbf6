"""The benchmarks at a small size: they run, and print the values that docs/benchmarks.md states.

pytest tests/test_benchmarks.py
"""

from __future__ import annotations

import json
import runpy
import subprocess
import sys

import pytest
from commands import ROOT, environ

pytestmark = pytest.mark.slow

SMALL = {
    "ab": (["--logs", "3"], "| revenue, 5 % buy |"),
    "architectures": (["--only", "rwkv"], "row by row: it reads padding"),
    "coverage": (["--runs", "5"], "covers"),
    "draft": ([], "| all |"),
    "driver": (["--samples", "3000", "--workers", "8"], "resume s"),
    "endpoint": (["--requests", "40"], "requests/s"),
    "large_tables": (["--rows", "2000", "--formats", "csv"], "csv"),
    "math_hostile": (["--count", "24"], "hostile answers"),
    "predictions": (["--draws", "1"], "| 5,000 | 500 | 98% |"),
    "retrieval": (["--images", "40", "--part", "0.001"], "MiB"),
    "selections": (["--selections", "2"], "| 2 near, 4 far | 5,000 |"),
    "sequential": (["--races", "2"], "| 60 %, 20,000, 2 points |"),
    "start": (["--repeat", "1", "--models"], "list tasks"),
    "vision_architectures": (["--only", "llava", "blip"], "| llava | shared |"),
    "vqa_attention": (["--questions", "3"], "ratio of the two"),
    "vqa_prefixes": (["--limit", "10", "--repeats", "1"], "ratio"),
    "vqa_resume": (["--questions", "60"], "to the first new sample"),
    "vqa_scoring": (["--questions", "60"], "questions"),
    "workers": (["--limit", "4", "--workers", "2"], "parent MiB"),
}
"""By benchmark: the size, and what it prints. `against_lm_eval` has a test of its own."""
WITHIN = {
    "ab",
    "coverage",
    "draft",
    "math_answers",
    "math_hostile",
    "math_solutions",
    "predictions",
    "selections",
    "vqa_attention",
}
"""Benchmarks that run in the tests' own process: they measure neither its memory nor its start, and set nothing."""


def test_every_benchmark_is_run_here_or_elsewhere():
    scripts = {path.stem for path in (ROOT / "tests" / "benchmarks").glob("*.py")}
    with_lm_eval = {"against_lm_eval", "against_lm_eval_values", "lm_eval_checkpoints"}
    assert scripts == {*SMALL, *with_lm_eval, "math_answers", "math_solutions", "qwen2_85m"}


@pytest.fixture
def output_of(monkeypatch, capsys):
    """Run a benchmark as its docstring says, and return what it prints."""

    def run(name, arguments):
        command = [str(ROOT / "tests" / "benchmarks" / f"{name}.py"), *map(str, arguments)]
        if name in WITHIN:
            monkeypatch.setattr(sys, "argv", command)
            monkeypatch.setattr(sys, "path", [*sys.path])
            runpy.run_path(command[0], run_name="__main__")
            return capsys.readouterr().out
        process = [sys.executable, *command]
        done = subprocess.run(process, env=environ(), capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.parametrize("name", SMALL)
def test_a_benchmark_prints_its_figure(name, output_of):
    size, printed = SMALL[name]
    assert printed in output_of(name, size)


def test_the_benchmark_of_answers_prints_its_table(tmp_path, output_of):
    golds = tmp_path / "golds.jsonl"
    golds.write_text("".join(json.dumps({"answer": answer}) + "\n" for answer in ("18", r"\frac{14}{3}", "(3,4)")))
    lines = output_of("math_answers", [golds]).splitlines()
    assert lines[-1].startswith("wrong credit: 0 of ")


def test_the_benchmark_of_solutions_prints_its_table(tmp_path, output_of):
    problems = {
        "gsm8k/test.jsonl": {"answer": "She sells 9 eggs.\n9 * 2 = 18 in 7 days.\n#### 18"},
        "gsm8k/train.jsonl": {"answer": "That is 5.\n#### 5"},
        "gsm8k/recorded/one.jsonl": {"output": "That is 5.\nA: 5"},
        "math/test.jsonl": {"problem": "What is $x+y$?", "solution": "Thus $x+y=\\boxed{6}$."},
    }
    for name, row in problems.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps(row) + "\n")
    lines = output_of("math_solutions", [tmp_path]).splitlines()
    assert [line.split()[-2:] for line in lines[1:]] == [["100.0%", "0.0%"], *[["100.0%", "100.0%"]] * 3]
