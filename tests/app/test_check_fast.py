"""`check --fast`: runs stop as soon as they decide what the claims say, by the rules of complete runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from commands import refused

from evals.app.check import check
from evals.app.checking.claim_runs import ClaimRuns
from evals.registry import TASKS
from evals.reports.claims.evidence.early import EarlyRule
from evals.reports.claims.evidence.measured_rows import Hypothesis
from evals.reports.claims.language.schema import Measure
from evals.schema import Metric
from evals.statistics import paired
from evals.statistics.intervals import wilson
from evals.statistics.sequential.differences import DrawnPair, equality_p
from evals.statistics.sequential.finite_set import FiniteSet
from evals.statistics.sequential.means import rescaled
from evals.statistics.sequential.sampled import sampled_clusters

COUNT = 500
DOCUMENT = """\
document:
  id: mine
  title: My article
  subjects:
    plain: {name: Plain, system: "toy:"}
    same: {name: Same, system: "toy:x"}
    counts: {name: Counts, system: "toy:counts"}
claims:
- {id: M-1, says: Plain is better than Counts., subject: plain, implied: "0", unit: points, bound: above,
   baseline: counts,
   measure: {task: toy, metric: accuracy, relation: difference, baseline: counts}}
- {id: M-2, says: Plain is 60 points better than Counts., subject: plain, printed: "60", unit: points, baseline: counts,
   measure: {task: toy, metric: accuracy, relation: difference, baseline: counts}}
- {id: M-3, says: Plain solves 90 %., subject: plain, printed: "90", unit: percent,
   measure: {task: toy, metric: accuracy}}
- {id: M-4, says: Same is better than Plain., subject: same, implied: "0", unit: points, bound: above, baseline: plain,
   measure: {task: toy/numbers, metric: accuracy, relation: difference, baseline: plain}}
- {id: M-5, says: Same keeps 90 % of what Counts does., subject: same, printed: "90", unit: percent, bound: at-least,
   baseline: counts, measure: {task: toy, metric: accuracy, relation: retention, baseline: counts}}
- {id: M-6, says: Same solves 90 %., subject: same, printed: "90", unit: percent,
   measure: {task: toy, metric: accuracy, split: all}}
"""


def with_interval(value, low, high, n):
    """The metric of the toy tasks with the interval that other tasks have."""
    return Metric(value, *wilson(round(n * value), n), n)


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """The document, checked with runs that stop early, then with complete ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TASKS.get("toy").samples.__globals__, "COUNT", COUNT)
        patch.setitem(TASKS.get("toy").summarise.__globals__, "Metric", with_interval)
        numbers = TASKS.get("toy/numbers").samples.__globals__
        patch.setitem(numbers, "range", lambda *ends: range(*(200 if end == 1200 else end for end in ends)))
        patch.chdir(folder := tmp_path_factory.mktemp("fast"))
        (folder / "mine.yaml").write_text(DOCUMENT)
        fast = check(["mine.yaml"], fast=True, out="fast")
        states = {run.manifest.model_name + " " + run.manifest.task.name: run.finished() for run in fast.runs}
        whole = check(["mine.yaml"])
        again = check(["mine.yaml"], recorded="fast")
        reused = check(["mine.yaml"], fast=True)
        yield fast, whole, again, reused, states


def measured(result):
    return {assessment.claim.id: assessment.measurement for assessment in result.assessments}


def test_verdicts_are_those_of_complete_runs(checked):
    fast, whole, again, reused, _ = checked
    words = {id: finding.verdict for id, finding in measured(fast).items()}
    assert words == {id: finding.verdict for id, finding in measured(whole).items()}
    assert (words["M-1"], words["M-2"], words["M-3"], words["M-4"]) == (
        "supported", "refuted", "refuted", "inconclusive"
    )  # fmt: skip
    assert measured(again) == measured(fast), "the verdicts follow from the records alone"
    for id, finding in measured(reused).items():
        lines = [line for line in finding.working if " computed all samples: " not in line]
        assert lines == [*measured(whole)[id].working], "runs that are complete already count as they are"


def test_the_working_says_after_how_many_samples_or_why_all(checked):
    fast, _, _, _, states = checked
    working = measured(fast)["M-1"].working
    (of_claim,) = (line for line in working if line.startswith("decided after "))
    assert (
        " of 500 samples (95 % confidence sequence, valid at every look, for all 4 comparisons of the doc" in of_claim
    )
    assert "; its interval holds together with those of all of them" in " ".join(working)
    stopped = states["toy: toy"]
    assert (stopped.sequential.rule, stopped.stopped) == ("fast", stopped.sequential)
    assert f"{stopped.n} of 500" in " ".join(working)
    assert any("M-5: no interval of a retention is known" in line for line in measured(fast)["M-5"].working)
    whole = "toy:x on toy/numbers computed all samples: no look before the last decided M-4"
    assert whole in measured(fast)["M-4"].working
    assert (
        "toy:x on toy computed all samples: no claim compares it with another system" in measured(fast)["M-6"].working
    )
    used = sum(state.n for state in states.values())
    assert f" --fast: {used:,} of {500 * 3 + 200 * 2:,} samples were computed" in fast.about


def test_models_with_two_random_orders_are_compared_on_all_samples(monkeypatch, tmp_path):
    config = ClaimRuns.config
    seeds = {"toy:": 1}

    def with_own_seed(self, run, *, blind):
        made = config(self, run, blind=blind)
        return replace(made, options=replace(made.options, seed=seeds.get(run.model, 0)))

    monkeypatch.setattr(ClaimRuns, "config", with_own_seed)
    monkeypatch.setitem(TASKS.get("toy").samples.__globals__, "COUNT", 60)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(DOCUMENT[: DOCUMENT.index("- {id: M-2")])
    result = check(["mine.yaml"], fast=True)
    assert [run.finished().stopped for run in result.runs] == [None, None]
    why = (
        "toy:counts on toy computed all samples: M-1 compares models with seeds of their own, so with two random orders"
    )
    assert why in measured(result)["M-1"].working


def drawn(rng, a_rate, b_rate, n=300):
    a_N, b_N = ((rng.random(n) < rate).astype(float) for rate in (a_rate, b_rate))
    return DrawnPair(a_N, b_N, range(n), FiniteSet(n, n, 1))


def hypothesis(relation, low=None, high=None):
    measure = Measure(task="toy", metric="accuracy", relation=relation, baseline="other")
    return Hypothesis(measure=measure, relation=relation, bound="exact", low=low, high=high)


@pytest.mark.parametrize("relation", ["difference", "order", "error-reduction", "ratio", "speed-up", "retention"])
def test_a_relation_of_all_samples_has_the_value_of_the_complete_test(relation):
    pair = drawn(np.random.default_rng(3), 0.8, 0.6)
    first, second = (pair.b_N, pair.a_N) if relation == "speed-up" else (pair.a_N, pair.b_N)
    compute = {
        "difference": paired.difference, "order": paired.difference, "error-reduction": paired.error_reduction
    }.get(relation, paired.ratio)  # fmt: skip
    estimated = EarlyRule(hypothesis(relation), 1, replica=True).estimate(pair)
    complete = compute(first, second, [str(number) for number in range(300)])
    assert estimated.estimate.value == pytest.approx(complete.value)
    assert estimated.null == complete.equality


def test_the_p_value_the_interval_and_the_decision_agree():
    rng = np.random.default_rng(4)
    for _ in range(8):
        pair = drawn(rng, 0.5 + 0.4 * rng.random(), 0.5)
        for clusters in pair.looks[::4]:
            look = pair.first(clusters).look(level=0.99)
            assert (look.p < 0.01) == (look.low > 0 or look.high < 0)
            rule = EarlyRule(hypothesis("order"), 5, replica=True)  # 1 % each
            assert rule.is_decided(pair.first(clusters)) == (look.low > 0 or look.high < 0)


def test_equal_systems_are_seldom_called_different():
    rng, decided = np.random.default_rng(5), 0
    for _ in range(150):
        pair = drawn(rng, 0.5, 0.5, 120)
        whole = sampled_clusters(rescaled(pair.a_N, pair.b_N), pair.starts, pair.drawn_from)
        decided += any(equality_p(whole.first(clusters)) < 0.05 for clusters in pair.looks)
    assert decided <= 16  # 7.5 are expected at most; 17 or more have a probability of 0.1 %


def test_what_does_not_fit_is_refused(command, tmp_path):
    for other in ("--paper", "--recorded=old"):
        refused(command("check", "--fast", other, "--out", tmp_path / "out"), "--fast stops runs early")
