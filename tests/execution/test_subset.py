"""Runs on some samples of a split: which are chosen, what their intervals mean, and how reports say it."""

from __future__ import annotations

import json
import random

import pytest
from commands import evals, refused

from evals.errors import InputError
from evals.execution.selection import limited
from evals.metrics.estimates import Mean, means
from evals.records import result
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
    """About 95 % of the corrected intervals cover it; the plain ones, which are too wide here, nearly always."""
    values = [1.0] * 210 + [0.0] * 90
    signed = manifest(150, 300, limit=150)
    corrected = plain = 0
    for seed in range(300):
        drawn = random.Random(seed).sample(values, 150)
        scores = [Score(str(n), "", "", {"accuracy": value}) for n, value in enumerate(drawn)]
        metric = means(scores, {"accuracy": Mean("accuracy")})["accuracy"]
        shrunk = result._of_subset(metric, signed, per_sample=True)
        assert shrunk.value == metric.value
        corrected += shrunk.low <= 0.7 <= shrunk.high
        plain += metric.low <= 0.7 <= metric.high
    assert 0.92 <= corrected / 300 <= 0.98
    assert plain / 300 > 0.98


@pytest.mark.parametrize(
    ("signed", "per_sample", "note"),
    [
        (manifest(20, 300, first=20), True, "first 20 samples"),
        (manifest(20, None, limit=20), True, "first 20 samples"),  # a record of 0.2.0
        (manifest(20, 300, limit=20), False, "scored together"),
    ],
)
def test_where_there_is_no_interval_a_note_says_why(signed, per_sample, note):
    metric = result._of_subset(Metric(0.5, 0.3, 0.7, 20, note="by convention"), signed, per_sample)
    assert (metric.value, metric.low, metric.high) == (0.5, None, None)
    assert metric.note.startswith("by convention; no interval")
    assert note in metric.note


@pytest.mark.parametrize("signed", [manifest(20, None), manifest(20, 20, limit=50), manifest(20, 20, first=50)])
def test_all_samples_have_the_ordinary_interval(signed):
    metric = Metric(0.5, 0.3, 0.7, 20)
    assert result._of_subset(metric, signed, per_sample=True) is metric


# Through the commands


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
