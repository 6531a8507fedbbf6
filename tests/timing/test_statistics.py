"""Statistics of timings: against NumPy, intervals against theory, ratios only of models timed in turn.

pytest tests/timing/test_statistics.py
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from run_folders import make, manifest, metric, row

from evals import InputError, comparison
from evals.records.folder import load, rewrite
from evals.records.types import MetricEntry
from evals.statistics.decisions import against_tail
from evals.timing import interleaving, statistics

seconds = st.floats(1e-6, 1e3)


def test_the_interval_is_students_t_of_the_processes_medians():
    groups = [[0.10, 0.11, 0.12], [0.13, 0.12, 0.14], [0.11, 0.10, 0.12]]
    logs = np.log([0.11, 0.13, 0.11])
    half = 4.302653 * logs.std(ddof=1) / math.sqrt(3)
    assert statistics.estimate("median", groups).interval() == (
        pytest.approx(math.exp(logs.mean() - half)),
        pytest.approx(math.exp(logs.mean() + half)),
    )


def test_interval_and_test_of_a_ratio_agree():
    rng = np.random.default_rng(1)
    for _ in range(200):
        pairs = [[tuple(rng.lognormal(0, 0.1, 2)) for _ in range(4)] for _ in range(3)]
        for estimate, null in (
            (statistics.ratio("median", pairs), 1.0),
            (statistics.difference("median", pairs), 0.0),
        ):
            low, high = estimate.interval()
            assert low <= estimate.value <= high
            if low < estimate.value < high:  # not extended to the value
                assert (estimate.p_value(null) < 0.05) == (not low <= null <= high)


@settings(max_examples=25)
@given(st.lists(st.lists(seconds, min_size=1, max_size=9), min_size=1, max_size=4))
def test_medians_and_tails_are_numpys(groups):
    together = [value for group in groups for value in group]
    for name, level in (("median", 50), ("p95", 95), ("p99", 99)):
        found = statistics.estimate(name, groups)
        assert found.value == pytest.approx(np.percentile(together, level))
        assert found.n == len(together)
        interval = found.interval()
        assert (
            (interval is None) if name != "median" else (interval is None or interval[0] <= found.value <= interval[1])
        )
    assert statistics.estimate("maximum", groups).value == max(together)
    assert statistics.estimate("harmonic-mean", groups).value == pytest.approx(
        len(together) / sum(1 / v for v in together)
    )


@pytest.mark.parametrize(
    ("name", "statistic", "expected"),
    [
        ("latency", "median", ("latency", "median")),
        ("latency/p95", "p95", ("latency", "p95")),
        ("peak-memory/weights", "maximum", ("peak-memory/weights", "maximum")),
        ("throughput", "mean", ("throughput", "mean")),  # what the result states counts, not the name
        ("latency/p99", None, ("latency", "p99")),  # version 0.1 states nothing
        ("throughput", None, ("throughput", "harmonic-mean")),
        ("size-on-disk", None, ("size-on-disk", "maximum")),
    ],
)
def test_the_result_states_the_statistic(name, statistic, expected):
    entry = MetricEntry(value=1.0, low=None, high=None, n=1, unit="seconds", statistic=statistic)
    assert statistics.TimedMetric.of(name, entry) == expected


def test_an_unknown_statistic_is_refused():
    entry = MetricEntry(value=1.0, low=None, high=None, n=1, unit="seconds", statistic="mode")
    with pytest.raises(InputError, match="metric 'latency' has the statistic 'mode', expected mean, median"):
        statistics.TimedMetric.of("latency", entry)


def test_one_process_gives_no_interval():
    assert statistics.estimate("median", [[1.0, 2.0, 3.0]]).interval() is None
    assert statistics.ratio("median", [[(1.0, 2.0), (3.0, 4.0)]]).interval() is None


@settings(max_examples=25)
@given(st.floats(0.1, 10), st.lists(st.lists(seconds, min_size=2, max_size=5), min_size=2, max_size=4))
def test_a_constant_ratio_is_found_whatever_the_machine_does(factor, groups):
    pairs = [[(factor * value, value) for value in group] for group in groups]
    found = statistics.ratio("median", pairs)
    assert found.value == pytest.approx(factor)
    assert found.units_G == pytest.approx(factor)


@given(st.integers(1, 5), st.integers(1, 4))
def test_everybody_is_first_equally_often(count, rounds):
    names = [f"model {n}" for n in range(count)]
    orders = [interleaving.order(names, repetition) for repetition in range(rounds * 2 * count)]
    assert all(sorted(each) == names for each in orders)
    for place in range(count):
        assert {sum(each[place] == name for each in orders) for name in names} == {2 * rounds}
    if count > 2:  # nobody always comes after the same
        assert len({each[each.index(names[0]) - 1] for each in orders if each[0] != names[0]}) > 1


@given(st.integers(0, 40), st.integers(1, 400), st.sampled_from([0.05, 0.01]))
def test_a_tail_is_held_by_counting(exceeding, n, allowed):
    exceeding = min(exceeding, n)
    at_most = sum(math.comb(n, k) * allowed**k * (1 - allowed) ** (n - k) for k in range(exceeding + 1))
    below = sum(math.comb(n, k) * allowed**k * (1 - allowed) ** (n - k) for k in range(exceeding))
    assume(min(abs(at_most - 0.05), abs(1 - below - 0.05)) > 1e-9)
    word = "supported" if at_most <= 0.05 else "refuted" if 1 - below <= 0.05 else "inconclusive"
    assert against_tail(exceeding, n, allowed) == word


# Two runs


def timed(folder, name, factor, *, session="", slow=1.0):
    """A run of two sessions of five repetitions, the machine twice as slow in one of them."""
    rows = []
    for n in range(10):
        value = factor * slow * (0.1 + 0.01 * (n % 5)) * (1 + n // 5)
        told = {"output": {"seconds": value}, "answer": {}, "values": {"latency": value}, "labels": {}}
        rows.append(row(str(n), 0.0, cluster=f"{session}{n // 5}", **told))
    signed = manifest()
    signed["model"]["name"], signed["task"]["name"], signed["plan"]["interleaved"] = name, "efficiency", ["r1", "v2"]
    shown = {"latency": metric(float(np.median([each["values"]["latency"] for each in rows])), 10, "seconds", 0.01)}
    return make(folder, rows, shown, signed, task="efficiency", headline="latency", n=10, failed=0, unparsed=0)


def test_a_ratio_is_of_what_took_turns(tmp_path):
    r1, v2 = timed(tmp_path / "r1", "r1", 2.0), timed(tmp_path / "v2", "v2", 1.0)
    (found,) = comparison.compare(r1, v2).metrics
    assert (found.name, found.n) == ("latency", 10)
    assert (found.ratio, found.ratio_low, found.ratio_high) == (pytest.approx(2.0), None, None)  # it never varies
    assert found.low < found.difference < found.high


def test_runs_of_different_sessions_have_no_ratio(tmp_path):
    r1, v2 = timed(tmp_path / "r1", "r1", 2.0), timed(tmp_path / "v2", "v2", 1.0, session="another ")
    with pytest.raises(InputError, match=r"not timed in turn.*--model r1,v2 --task efficiency"):
        comparison.compare(r1, v2)


def test_a_failed_repetition_has_no_pair(tmp_path):
    r1, v2 = timed(tmp_path / "r1", "r1", 2.0), timed(tmp_path / "v2", "v2", 1.0)
    rows = [replace(line, values={} if line.id == "3" else line.values) for line in v2.samples()]
    rewrite(v2, rows)
    assert sum(map(len, statistics.in_turn(r1, load(v2.folder), "latency"))) == 9
