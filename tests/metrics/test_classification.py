"""GLUE's metrics: against hand-worked cases and numpy, by properties, and their intervals against theory."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
from commands import ROOT, environ
from golden import FOLDER as GOLDEN
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.metrics.classification import STATISTICS
from evals.metrics.estimates import Estimate, average, estimates
from evals.statistics.bootstrap import RESAMPLES, resampled_counts, resampled_weights

CASES = json.loads((GOLDEN / "glue_metrics.json").read_text())
OF_LABELS = [name for name, statistic in STATISTICS.items() if statistic.of_labels]
OF_SCORES = [name for name in STATISTICS if name not in OF_LABELS]
NUMPY = {
    "accuracy": lambda targets, answers: np.mean(targets == answers),
    "f1": lambda targets, answers: 2 * (targets & answers).sum() / (targets.sum() + answers.sum()),
    "matthews": lambda targets, answers: np.corrcoef(targets, answers)[0, 1],
    "pearson": lambda targets, answers: np.corrcoef(targets, answers)[0, 1],
    "spearman": lambda targets, answers: np.corrcoef(*(mean_ranks(values) for values in (targets, answers)))[0, 1],
}
"""Each metric again, from nothing but numpy."""


def mean_ranks(values):
    return [(values < value).sum() + (1 + (values == value).sum()) / 2 for value in values]


def drawn(name, n, seed=0):
    """Targets and answers that agree in part, the scores with ties."""
    generator = np.random.default_rng(seed)
    if name in OF_LABELS:
        targets = (generator.random(n) < 0.7).astype(int)
        return targets, np.where(generator.random(n) < 0.8, targets, 1 - targets)
    targets = generator.normal(size=n)
    return np.round(targets, 1), np.round(targets + generator.normal(size=n), 1)


def apart(n):
    return [str(index) for index in range(n)]


def interval_se(name, targets, answers, clusters=None, **more):
    found = estimates([name], targets, answers, clusters or apart(len(targets)), stream="test", **more)
    return found[name].resampled_B.std()


def test_every_metric_is_checked():
    assert set(NUMPY) == set(STATISTICS) == {case["metric"] for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['metric']}: {case['source'][:40]}")
def test_cases_worked_by_hand(case):
    assert STATISTICS[case["metric"]].value(case["targets"], case["answers"]).value == pytest.approx(case["value"])


@pytest.mark.parametrize("name", STATISTICS)
def test_values_are_those_of_plain_numpy(name):
    for n in (5, 50, 1500):
        targets, answers = drawn(name, n, seed=n)
        assert STATISTICS[name].value(targets, answers).value == pytest.approx(NUMPY[name](targets, answers), abs=1e-12)


@pytest.mark.parametrize("name", STATISTICS)
def test_properties_that_all_have(name):
    value, (targets, answers) = STATISTICS[name].value, drawn(name, 200)
    order = np.random.default_rng(1).permutation(200)
    assert value(targets[order], answers[order]).value == pytest.approx(value(targets, answers).value, abs=1e-13)
    assert value(answers, targets).value == pytest.approx(value(targets, answers).value, abs=1e-13)
    assert value(targets, targets) == (1.0, None)
    for wrong in (([], []), ([1, 0], [1]), ([[1], [0]], [[1], [0]])):
        with pytest.raises(ValueError, match="expected the same number"):
            value(*wrong)


@pytest.mark.parametrize("name", OF_SCORES)
def test_scores_that_are_not_finite_are_refused(name):
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match="not finite"):
            STATISTICS[name].value([1.0, 2.0, 3.0], [1.0, bad, 2.0])


@pytest.mark.parametrize(
    ("name", "targets", "answers", "words"),
    [
        ("matthews", [0, 1, 1], [1, 1, 1], "all answers are the same"),
        ("matthews", [0, 0, 0], [0, 1, 1], "all targets are the same"),
        ("f1", [0, 0, 0], [0, 0, 0], "no target and no answer is positive"),
        ("pearson", [0.0, 1.0, 5.0], [2.5, 2.5, 2.5], "all answers are the same"),
        ("pearson", [1.0, 2.0, 3.0], [1.0, 1.0 + 1e-15, 1.0], "all answers are the same"),
        ("spearman", [2.5, 2.5, 2.5], [0.0, 1.0, 5.0], "all targets are the same"),
    ],
)
def test_what_is_undefined_counts_as_0_and_says_so(name, targets, answers, words):
    value, note = STATISTICS[name].value(targets, answers)
    assert value == 0.0
    assert words in note
    metric = estimates([name], targets, answers, "abc", stream="test")[name].metric()
    assert (metric.value, metric.low, metric.high, metric.note) == (0.0, None, None, note)


# Resamples


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=12), st.integers(0, 99))
def test_statistics_of_counts_are_those_of_the_items(pairs, seed):
    table = np.zeros((1, 2, 2))
    for target, answer in pairs:
        table[0, target, answer] += 1
    for name in OF_LABELS:
        expected = STATISTICS[name].value(*zip(*pairs, strict=True)).value
        assert STATISTICS[name].of_counts(table)[0] == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10), st.integers(0, 10), st.integers(0, 3)), min_size=2, max_size=12)
    .filter(lambda rows: any(times for *_, times in rows))
)  # fmt: skip
def test_statistics_of_weights_are_those_of_items_that_come_so_often(rows):
    targets, answers, times = (np.array(column) for column in zip(*rows, strict=True))
    targets, answers = targets / 2, answers / 10
    for name in OF_SCORES:
        expected = STATISTICS[name].value(np.repeat(targets, times), np.repeat(answers, times)).value
        found = STATISTICS[name].of_weights(times[None].astype(float), targets, answers)
        assert found[0] == pytest.approx(expected, abs=1e-9)


def test_resamples_draw_whole_clusters():
    clusters = ["a", "a", "b", "c", "c", "c"]
    weights = np.concatenate(list(resampled_weights(clusters, "test", resamples=500)))
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, [0, 2, 3]].sum(axis=1) == 3).all()
    counts = resampled_counts(np.eye(6, dtype=int), clusters, "test", resamples=500)
    assert (counts[:, 0] == counts[:, 1]).all()
    assert (counts[:, [0, 2, 3]].sum(axis=1) == 3).all()


def errors_in_theory(n):
    """The standard error of each metric as its textbook has it, for data of `drawn`."""
    targets, answers = drawn("accuracy", n)
    cells = [((targets == t) & (answers == a)).mean() for t in (0, 1) for a in (0, 1)]
    yield "accuracy", math.sqrt((cells[0] + cells[3]) * (cells[1] + cells[2]) / n)
    for name in ("f1", "matthews"):
        yield name, delta_method(STATISTICS[name].of_counts, np.array(cells), n)
    generator = np.random.default_rng(0)
    x = generator.normal(size=n)
    r = np.corrcoef(x, x + generator.normal(size=n))[0, 1]
    yield "pearson", (1 - r**2) / math.sqrt(n)


def delta_method(of_counts, cells, n):
    """Var f = (sum p g^2 - (sum p g)^2) / n, with g the gradient of f by the shares p of a multinomial."""
    step = 1e-6
    ups, downs = (cells + sign * step * np.eye(4) for sign in (1, -1))
    gradient = (of_counts(ups.reshape(-1, 2, 2)) - of_counts(downs.reshape(-1, 2, 2))) / (2 * step)
    return math.sqrt(((cells * gradient**2).sum() - (cells * gradient).sum() ** 2) / n)


@pytest.mark.parametrize("name", ["accuracy", "f1", "matthews"])
def test_the_bootstraps_standard_error_is_that_of_theory(name):
    expected = dict(errors_in_theory(1043))[name]
    assert interval_se(name, *drawn(name, 1043)) == pytest.approx(expected, rel=0.03)


@pytest.mark.slow
def test_the_correlations_standard_errors_are_those_of_theory():
    generator = np.random.default_rng(0)
    targets = generator.normal(size=1500)
    answers = targets + generator.normal(size=1500)
    r, rank = (STATISTICS[name].value(targets, answers).value for name in ("pearson", "spearman"))
    assert interval_se("pearson", targets, answers) == pytest.approx((1 - r**2) / math.sqrt(1500), rel=0.05)
    # Bonett and Wright, Psychometrika 65 (2000), brought from Fisher's scale to the coefficient's own.
    expected = (1 - rank**2) * math.sqrt((1 + rank**2 / 2) / (1500 - 3))
    assert interval_se("spearman", targets, answers) == pytest.approx(expected, rel=0.05)


def test_the_check_of_standard_errors_would_notice_the_peers_fault():
    """lighteval divides the resamples' deviation by the root of their number: 31.6 times too small at 1,000."""
    found = interval_se("matthews", *drawn("matthews", 1043), resamples=1000)
    expected = dict(errors_in_theory(1043))["matthews"]
    assert expected / (found / math.sqrt(1000)) == pytest.approx(31.6, rel=0.1)


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.slow
def test_the_interval_agrees_with_scipys_bootstrap(name):
    targets, answers = drawn(name, 150)
    metric = estimates([name], targets, answers, apart(150), stream="test")[name].metric()
    theirs = scipy.stats.bootstrap(
        (targets, answers), lambda t, a: STATISTICS[name].value(t, a).value, paired=True, vectorized=False,
        n_resamples=400, method="percentile", rng=np.random.default_rng(0),
    )  # fmt: skip
    width = metric.high - metric.low
    assert metric.low == pytest.approx(theirs.confidence_interval.low, abs=0.15 * width)
    assert metric.high == pytest.approx(theirs.confidence_interval.high, abs=0.15 * width)


@pytest.mark.parametrize("name", STATISTICS)
def test_copies_in_one_cluster_are_no_evidence(name):
    targets, answers = drawn(name, 200)
    once = interval_se(name, targets, answers)
    twice = interval_se(name, np.tile(targets, 2), np.tile(answers, 2), apart(200) * 2)
    assert twice == pytest.approx(once, rel=1e-9)
    assert interval_se(name, np.tile(targets, 2), np.tile(answers, 2)) == pytest.approx(once / math.sqrt(2), rel=0.05)


@pytest.mark.parametrize("name", STATISTICS)
def test_the_interval_does_not_depend_on_the_order(name):
    targets, answers = drawn(name, 100)
    order = np.random.default_rng(1).permutation(100)
    one, two = (
        estimates([name], targets[o], answers[o], np.array(apart(100))[o], stream="test")[name].metric()
        for o in (np.arange(100), order)
    )
    assert (one.low, one.high) == pytest.approx((two.low, two.high), abs=1e-12)


def test_streams_are_independent_and_repeat():
    targets, answers = drawn("accuracy", 500)
    one, again, other = (
        estimates(["accuracy"], targets, answers, apart(500), stream=stream)["accuracy"].resampled_B
        for stream in ("cola", "cola", "sst2")
    )
    assert (one == again).all()
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.04


def test_the_average_of_independent_tasks_varies_as_theory_has_it():
    generator = np.random.default_rng(0)
    parts = [Estimate(0.5, 100, generator.normal(0.5, sigma, RESAMPLES), "fraction") for sigma in (0.03, 0.04, 0.12)]
    joined = average(parts, 300, "a note")
    assert (joined.value, joined.n, joined.metric().note) == (0.5, 300, "a note")
    assert joined.resampled_B.std() == pytest.approx(0.13 / 3, rel=0.03)


# As metrics of the library `evaluate`


@pytest.mark.slow
def test_metrics_for_a_trainer_load_without_a_network():
    pytest.importorskip("evaluate")
    code = """
import socket
socket.socket.connect = None
import numpy as np
from collections import namedtuple
from evals.errors import InputError
from evals.hub_metrics import load
print(load("accuracy", "f1").compute(predictions=[1, 0, 0], references=[1, 1, 0]))
print(load("pearson").compute(predictions=[1.5, 2.5, 4.5], references=[1.0, 2.0, 4.0]))
print(load("matthews").compute(predictions=[1, 1], references=[0, 1]))
given = namedtuple("EvalPrediction", "predictions label_ids")  # what a Trainer hands over: logits, and labels
def compute_metrics(given, metric=load("accuracy", "matthews")):
    found = metric.compute(predictions=given.predictions.argmax(-1), references=given.label_ids)
    return {name: round(value, 6) for name, value in found.items()}
logits = np.array([[2.0, -1.0], [0.1, 0.3], [-3.0, 1.0], [0.0, -0.2]], dtype=np.float32)
for labels in ([0, 1, 1, 0], [0, 1, 1, 1]):
    print(compute_metrics(given(logits, np.array(labels))))
print(load("spearman").compute(predictions=np.float32([[1], [2], [4]])[:, 0], references=np.float32([1, 3, 9])))
for names in [("acuracy",), ("accuracy", "pearson"), ()]:
    try:
        load(*names)
    except InputError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ(False), cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    lines = done.stdout.splitlines()
    assert lines[:3] == [
        "{'accuracy': 0.6666666666666666, 'f1': 0.6666666666666666}", "{'pearson': 1.0}", "{'matthews': 0.0}",
    ], done.stderr  # fmt: skip
    assert lines[3:6] == [
        "{'accuracy': 1.0, 'matthews': 1.0}", "{'accuracy': 0.75, 'matthews': 0.57735}", "{'spearman': 1.0}",
    ]  # fmt: skip
    assert "did you mean 'accuracy'" in lines[6]
    assert all("all of labels or all of scores" in line for line in lines[7:])
    assert "matthews: all answers are the same" in done.stderr
