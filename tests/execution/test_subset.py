"""Runs on some samples of a split: which are chosen, what their intervals mean, and how reports say it."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
import scipy.stats
from commands import evals, refused

from evals.errors import InputError
from evals.execution.selection import limited
from evals.metrics.estimates import Mean, means
from evals.records.subsets import of_subset
from evals.records.types import CodeEntry, Manifest, PlanEntry, TaskEntry
from evals.schema import Metric, Options, Sample, Samples, Score

IDS = [f"question {n}" for n in range(1500)]


def split(ids=IDS):
    return Samples(
        ids, lambda index: Sample(ids[index], (), target=index), {"source": "a test"}, lambda index: [ids[index]] * 2
    )


def chosen(**options):
    return list(limited(split(), Options(**options)).ids)


def test_a_larger_limit_contains_a_smaller_one_in_the_order_of_the_benchmark():
    hundred, thousand = chosen(limit=100), chosen(limit=1000)
    assert len(hundred) == 100
    assert set(hundred) < set(thousand)
    assert hundred == [id for id in IDS if id in set(hundred)]
    assert hundred != IDS[:100]
    assert chosen(limit=5000) == IDS == chosen()


def test_the_choice_depends_on_the_seed_and_the_samples_own_id_alone():
    hundred = chosen(limit=100)
    assert hundred == chosen(limit=100)
    assert hundred != chosen(limit=100, seed=1)
    shuffled = random.Random(0).sample(IDS, len(IDS))
    assert set(limited(split(shuffled), Options(limit=100)).ids) == set(hundred)


def test_every_sample_is_chosen_equally_often():
    counts = dict.fromkeys(IDS, 0)
    for seed in range(200):
        for id in chosen(limit=300, seed=seed):
            counts[id] += 1
    assert abs(sum(counts[id] for id in IDS[:300]) / (200 * 300) - 0.2) < 0.01
    assert max(counts.values()) < 70  # 40 expected, standard deviation 5.7


def test_a_chosen_sample_keeps_its_content_and_its_recorded_outputs():
    samples = limited(split(), Options(limit=3))
    assert [IDS[sample.target] for sample in samples] == list(samples.ids) == [sample.id for sample in samples]
    assert samples.output_ids() == [id for id in samples.ids for _ in range(2)]
    assert samples.facts == {"source": "a test", "samples_in_split": 1500}


def test_first_is_the_old_meaning():
    assert chosen(first=7) == IDS[:7]


def test_an_empty_split_is_refused():
    with pytest.raises(InputError, match="no samples"):
        limited(split([]), Options(limit=3))


# Intervals


def manifest(n, total, **task):
    entry = TaskEntry(name="toy", version=1, needs="generate", split="validation", scale="mini", **task)
    return Manifest(
        signature="a1b2c3d4e5f6",
        task=entry,
        data={"samples": n, "ids": ""} | ({} if total is None else {"samples_in_split": total}),
        model={"name": "toy"},
        plan=PlanEntry(budget=None, share=True, window=1024),
        code=CodeEntry(digest=""),
    )


def test_the_interval_of_a_random_subset_covers_the_value_of_the_whole_split():
    """About 95 % of the corrected intervals cover it; the plain ones, which are too wide here, nearly always.

    The exact interval (`test_an_exact_interval_of_a_subset_covers_everywhere`) is of whole numbers, so it covers more.
    """
    values = [1.0] * 210 + [0.0] * 90
    signed = manifest(150, 300, limit=150)
    corrected = plain = 0
    for seed in range(300):
        drawn = random.Random(seed).sample(values, 150)
        scores = [Score(str(n), "", "", {"accuracy": value}) for n, value in enumerate(drawn)]
        metric = means(scores, {"accuracy": Mean("accuracy")})["accuracy"]
        shrunk = of_subset({"accuracy": metric}, scores, signed, per_sample=True)["accuracy"]
        assert shrunk.value == metric.value
        corrected += shrunk.low <= 0.7 <= shrunk.high
        plain += metric.low <= 0.7 <= metric.high
    assert 0.92 <= corrected / 300 <= 0.98
    assert plain / 300 > 0.98


@pytest.mark.parametrize(
    ("signed", "per_sample", "note"),
    [
        (manifest(20, 300, first=20), True, "the first samples"),
        (manifest(20, None, limit=20), True, "the first samples"),  # a record of 0.2.0
        (manifest(20, 300, limit=20), False, "scored together"),
    ],
)
def test_where_there_is_no_interval_a_note_says_why(signed, per_sample, note):
    metric = Metric(0.5, 0.3, 0.7, 20, note="by convention")
    metric = of_subset({"accuracy": metric}, [], signed, per_sample=per_sample)["accuracy"]
    assert (metric.value, metric.low, metric.high) == (0.5, None, None)
    assert metric.note.startswith("by convention; no interval")
    assert note in metric.note


@pytest.mark.parametrize("signed", [manifest(20, None), manifest(20, 20, limit=50), manifest(20, 20, first=50)])
def test_all_samples_have_the_ordinary_interval(signed):
    metric = Metric(0.5, 0.3, 0.7, 20)
    assert of_subset({"accuracy": metric}, [], signed, per_sample=True) == {"accuracy": metric}


def subset_metric(values, total, clusters=None):
    """The corrected accuracy of a random subset with these values."""
    scores = [
        Score(str(n), "", "", {"accuracy": value}, cluster=clusters[n] if clusters else "")
        for n, value in enumerate(values)
    ]
    metric = means(scores, {"accuracy": Mean("accuracy")})["accuracy"]
    signed = manifest(len(values), total, limit=len(values))
    return of_subset({"accuracy": metric}, scores, signed, per_sample=True)["accuracy"]


@pytest.mark.parametrize("total", [1, 2, 3, 5, 8, 13, 21, 30, pytest.param(40, marks=pytest.mark.slow)])
def test_an_exact_interval_of_a_subset_covers_everywhere(total):
    """All subsets of all splits: the hypergeometric distribution is added up, not drawn."""
    for n in range(1, total):
        ends = [subset_metric([1.0] * right + [0.0] * (n - right), total) for right in range(n + 1)]
        for end in ends:
            assert end.n * end.value / total - 1e-9 <= end.low <= end.value <= end.high
            assert end.low < end.high
        for whole in range(total + 1):
            chances = scipy.stats.hypergeom.pmf(range(n + 1), total, whole, n)
            covering = [end.low - 1e-9 <= whole / total <= end.high + 1e-9 for end in ends]
            assert chances[covering].sum() >= 0.95 - 1e-9


@pytest.mark.parametrize("missing", [1, 2, 5])
@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("kind", ["alone", "clustered", "soft"])
def test_nearly_all_samples_leave_room_for_the_others(missing, share, kind):
    """Whatever the few samples are that were left out: nine in ten of the likely splits are inside."""
    rng = np.random.default_rng(0)
    values = (rng.random(100) < share) * (0.9 if kind == "soft" else 1.0)
    clusters = [str(n // 4) for n in range(100)] if kind == "clustered" else None
    covered = []
    for _ in range(60):
        chosen = np.sort(rng.permutation(100)[missing:])
        metric = subset_metric(values[chosen].tolist(), 100, clusters and [clusters[n] for n in chosen])
        assert metric.low <= metric.value <= metric.high
        covered.append(metric.low - 1e-9 <= values.mean() <= metric.high + 1e-9)
    assert np.mean(covered) >= 0.9


def test_a_statistic_that_is_no_mean_is_not_narrowed_where_few_samples_are_left_out():
    metric = Metric(0.5, 0.4, 0.6, 99, statistic="f1")
    for missing, expected in ((1, 0.4), (100, 0.43)):
        signed = manifest(99, 99 + missing, limit=99)
        (corrected,) = of_subset({"f1": metric}, [], signed, per_sample=True).values()
        assert corrected.low == pytest.approx(expected, abs=0.002)


# Through the commands


@pytest.mark.slow
def test_a_limit_that_leaves_nothing_out_makes_the_same_run(tmp_path):
    for name, option in (("none", []), ("equal", ["--limit", 3000]), ("more", ["--first", 9999])):
        done = evals("run", "--model", "toy:", "--task", "toy", *option, "--out", tmp_path / name)
        assert done.returncode == 0, done.stderr
    results = [(tmp_path / name / "result.json").read_text() for name in ("none", "equal", "more")]
    signatures = {json.loads(text)["signature"] for text in results}
    assert len(signatures) == 1
    assert "compared with itself" in evals("compare", tmp_path / "none", tmp_path / "equal").stdout


def test_reports_say_how_many_of_how_many(tmp_path):
    for name, option in (("random", "--limit"), ("first", "--first")):
        done = evals("run", "--model", "toy:", "--task", "toy", option, "60", "--out", tmp_path / name)
        assert done.returncode == 0, done.stderr
        words = {"random": "60 of 3,000, at random", "first": "the first 60 of 3,000"}[name]
        for text in (done.stdout, *((tmp_path / name / file).read_text() for file in ("report.md", "report.html"))):
            assert words in text
        signed = json.loads((tmp_path / name / "manifest.json").read_text())
        assert signed["task"][option[2:]] == 60
        assert signed["data"]["samples_in_split"] == 3000
        metrics = json.loads((tmp_path / name / "result.json").read_text())["metrics"].values()
        assert all(("no interval" in metric.get("note", "")) == (name == "first") for metric in metrics)
    refused(evals("compare", tmp_path / "random", tmp_path / "first"), "task.limit")


def test_limit_and_first_exclude_each_other(tmp_path):
    refused(evals("run", "--model", "toy:", "--task", "toy", "--limit", 3, "--first", 3, cwd=tmp_path), "one of them")


@pytest.mark.slow
def test_workers_choose_the_same_samples(tmp_path):
    from commands import process

    rows = []
    for count in (1, 2):
        run = process if count > 1 else evals
        folder = tmp_path / str(count)
        done = run("run", "--model", "toy:", "--task", "toy", "--limit", 200, "--workers", count, "--out", folder)
        assert done.returncode == 0, done.stderr
        rows.append(sorted(json.loads(line)["id"] for line in (folder / "samples.jsonl").read_text().splitlines()))
    assert rows[0] == rows[1]
