"""Metrics with intervals from the scores of samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.metrics.estimates import Mean, estimates, means
from evals.schema import Score
from evals.statistics.bootstrap import resampled_weights
from evals.statistics.few_clusters import beta_binomial_interval
from evals.statistics.intervals import mean_intervals, wilson


def scored(id, accuracy, kind, cluster=""):
    return Score(id, "x", "y", {"accuracy": accuracy, "other rule": 1.0}, cluster=cluster, labels={"kind": kind})


SCORES = [
    scored("1", 1.0, "a", "image 1"),
    scored("2", 0.3, "b", "image 1"),
    scored("3", 0.0, "a", "image 2"),
    scored("4", 0.9, "b", "image 2"),
]


def test_means_by_hand():
    wanted = {"all": Mean("accuracy"), "a": Mean("accuracy", "kind", "a"), "rule": Mean("other rule")}
    found = means(SCORES, wanted)
    assert list(found) == ["all", "a", "rule"]
    assert (found["all"].value, found["all"].n, found["all"].unit) == (pytest.approx(0.55), 4, "fraction")
    expected = beta_binomial_interval(np.array([1.3, 0.9]), np.array([2.0, 2.0]), 0.95)  # sums of two clusters of two
    assert (found["all"].low, found["all"].high) == pytest.approx(expected, abs=1e-5)
    assert (found["a"].value, found["a"].n) == (0.5, 2)
    assert (found["a"].low, found["a"].high) == pytest.approx((0.0126, 0.9874), abs=1e-4)  # exact: one of two is right
    assert (found["rule"].value, found["rule"].high) == (1.0, 1.0)
    assert found["rule"].low == pytest.approx(0.025**0.5)  # four right of four, in two clusters: exact for two trials


def test_an_item_without_a_cluster_is_its_own():
    alone = [scored(str(n), float(n % 2), "a") for n in range(100)]
    apart = [scored(str(n), float(n % 2), "a", cluster=f"c{n}") for n in range(100)]
    paired = [scored(str(n), float(n % 2), "a", cluster=f"c{n // 2}") for n in range(100)]
    wanted = {"all": Mean("accuracy")}
    widths = [means(some, wanted)["all"] for some in (alone, apart)]
    assert widths[0].high - widths[0].low == pytest.approx(widths[1].high - widths[1].low, rel=0.05)
    low, high = means(paired, wanted)["all"].low, means(paired, wanted)["all"].high
    assert (low, high) == wilson(25, 50)  # every pair is one right and one wrong: no spread to resample


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.3, 0.6, 0.9, 1.0]), st.sampled_from("ab")), min_size=1), st.randoms())
@settings(max_examples=20, deadline=None)
def test_the_order_of_scores_changes_nothing(rows, random):
    scores = [scored(str(n), value, kind, cluster=str(n // 3)) for n, (value, kind) in enumerate(rows)]
    wanted = {"all": Mean("accuracy"), "first": Mean("accuracy", "kind", rows[0][1])}
    expected = means(scores, wanted)
    random.shuffle(scores)
    assert means(scores, wanted) == expected


def test_nothing_to_average_is_refused():
    with pytest.raises(ValueError, match="no scores"):
        means([], {"all": Mean("accuracy")})
    with pytest.raises(ValueError, match="no items"):
        means(SCORES, {"c": Mean("accuracy", "kind", "c")})


@pytest.mark.parametrize("wrong", [0, 1, 30])
def test_an_accuracy_has_the_interval_of_a_mean(wrong):
    targets, clusters = [n % 2 for n in range(100)], [str(n) for n in range(100)]
    answers = [1 - target if n < wrong else target for n, target in enumerate(targets)]
    metric = estimates(["accuracy", "f1"], targets, answers, clusters, stream="test")["accuracy"].metric()
    (expected,) = mean_intervals([np.array(answers) == np.array(targets)], clusters)
    assert (metric.low, metric.high) == expected
    assert metric.low < 1 - wrong / 100 <= metric.high


def test_names_that_differ_in_a_zero_at_their_end_differ():
    labels = ("x", "x\0", "x\0\0")
    scores = [scored(str(n), n / 2, name, name) for n, name in enumerate(labels)]
    found = means(scores, {name: Mean("accuracy", "kind", name) for name in labels})
    assert [(metric.value, metric.n) for metric in found.values()] == [(0.0, 1), (0.5, 1), (1.0, 1)]
    weights_DN = next(resampled_weights(labels, "zeros", resamples=64))
    assert (weights_DN[:, 0] != weights_DN[:, 1]).any()  # three clusters, not one
