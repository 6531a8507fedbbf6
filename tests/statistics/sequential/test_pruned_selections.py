"""Candidates that stop early: a few simulated selections, and that the benchmark simulates what `--fast` computes."""

from __future__ import annotations

import runpy

import numpy as np
import pytest
from commands import ROOT

from evals.statistics.sequential.finite_set import FiniteSet
from evals.statistics.sequential.looks import looks
from evals.statistics.sequential.pruning import PruningRules, claim_level, exclusions


@pytest.fixture(scope="module")
def simulation():
    return runpy.run_path(str(ROOT / "tests" / "benchmarks" / "selections.py"))


def stopped(setting, right):
    """Stop candidates as a run does, look by look."""
    n, everyone = setting.samples, range(len(right))
    rivals = {str(name): [str(rival) for rival in setting.rivals(name)] for name in everyone}
    pairs = {frozenset((name, rival)) for name, others in rivals.items() for rival in others}
    claims = len(pairs) + (len(right) if setting.minimum is not None else 0)
    rules = PruningRules(claim_level(claims), setting.minimum, rivals)
    remaining, out = [str(name) for name in everyone], {}
    for count in looks(n)[:-1]:
        values = {name: right[int(name)][:count] for name in remaining}
        shown, _ = exclusions(values, range(count), FiniteSet(n, n, 1), rules)
        for name, why in shown.items():
            out[int(name)] = (count, int(why.rival) if why.rival else None)
            remaining.remove(name)
    return out


def test_the_simulated_selections_stop_candidates_as_a_run_does(simulation):
    rng, seen = np.random.default_rng(5), 0
    setting = simulation["Selections"]("", 90, (0.95, 0.6, 0.2), (1, 1, 2), 0.5)
    for _ in range(2):
        right = setting.draw(rng)
        out = stopped(setting, right)
        assert out == simulation["pruned"](setting, right)
        seen += len(out)
    assert seen >= 2


def test_choices_with_and_without_stopping_are_the_same(simulation):
    rng, used = np.random.default_rng(6), {}
    settings = {
        "equal": ((0.7, 0.7, 0.7), (1, 1, 1), None), "at the minimum": ((0.7, 0.7), (1, 1), 0.7),
        "apart": ((0.8, 0.6, 0.5), (1, 1, 1), 0.55), "dearer": ((0.8, 0.7, 0.6), (3, 2, 1), None),
    }  # fmt: skip
    for name, (accuracies, costs, minimum) in settings.items():
        setting = simulation["Selections"](name, 300, accuracies, costs, minimum)
        rows = [simulation["select_once"](setting, rng) for _ in range(12)]
        assert np.mean([row["same"] for row in rows]) > 0.8
        used[name] = np.mean([row["used"] for row in rows])
    assert used["apart"] < 0.7
    assert used["dearer"] == 1, "who is cheaper than all that are better may be on the Pareto front"
    assert used["equal"] > 0.9
