"""What lm-eval recorded of the bundled replica `r1` is what the suite computes from the same arguments.

`tests/golden/lm_eval_r1.jsonl` holds lm-eval 0.4.13's own prompts of RTE and zero-shot GSM8K with its log-likelihoods
and texts, as its command logs them on a CPU in float32 (`--log_samples`). The benchmark `against_lm_eval_values`
compares more checkpoints, with and without chat templates.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent / "benchmarks"))
import against_lm_eval_values as benchmark
import lm_eval_checkpoints

ROWS = [json.loads(line) for line in (Path(__file__).parent / "golden" / "lm_eval_r1.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("task", ["rte", "gsm8k-zero"])
def test_recorded_arguments_give_lm_evals_values(task, tmp_path):
    rows = [row for row in ROWS if row["task"] == task]
    assert len(rows) >= 6
    outcome = benchmark.replayed(rows, "r1", tmp_path / task)
    assert outcome.agrees, outcome


def test_a_difference_is_noticed():
    choose, text = {"id": 1, "answers": [["-1.0", "False"], ["-2.0", "True"]]}, {"id": 2, "answers": ["18"]}
    assert benchmark.compared([choose], {"1": [-1.00005, -2.0]}).agrees
    assert not benchmark.compared([choose], {"1": [-1.0, -2.001]}).agrees
    assert benchmark.compared([choose], {"1": [-1.0, -2.001]}).shifted == 0
    assert benchmark.compared([choose], {"1": [-1.5, -2.5]}).shifted == 1
    assert benchmark.compared([text], {"2": "18"}).agrees
    assert not benchmark.compared([text], {"2": " 18"}).agrees


def test_every_explanation_is_of_something_that_is_compared():
    compared = {(name, chat, task) for name, chat, task, _ in benchmark.comparisons(lm_eval_checkpoints.NAMES)}
    assert {*benchmark.EXPLAINED} <= compared
    assert len(compared) == len(lm_eval_checkpoints.NAMES) * (2 * len(benchmark.TASKS) + 1)
