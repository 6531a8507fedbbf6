"""Studies of small trainings as evidence: what they show, and that they never decide a level.

pytest tests/reports/claims/test_trainings.py
"""

from __future__ import annotations

import csv
from importlib import import_module

import pytest

from evals import InputError
from evals.app import check
from evals.models.replicas.studies import RESULTS, STUDIES
from evals.models.replicas.studies.__main__ import chosen_rate
from evals.models.replicas.studies.training import Arm, Training
from evals.paths import PACKAGE
from evals.reports.claims.evidence.studies import int8_timings, trainings
from evals.reports.claims.evidence.studies.int8_timings import TimingRow
from evals.reports.claims.evidence.studies.rows import RESULTS as COMMITTED
from evals.reports.claims.evidence.studies.rows import read_rows
from evals.reports.claims.evidence.studies.trainings import TrainingRow


def row(arm, seed, *, flops=600, quality=0.9, reached=True, task="kind", batch=32):
    return TrainingRow(
        arm=arm, task=task, batch=batch, seed=seed, rate=1.0, steps=5, tokens=10, active_parameters=10, flops=flops,
        quality=quality, reached=reached, curve="0:0.1 10:0.9",
    )  # fmt: skip


def test_a_saving_is_the_ratio_of_compute_to_one_quality():
    pairs = [(seed, row("fine-tuned", seed, flops=300 + seed), row("scratch", seed, flops=1000)) for seed in range(5)]
    found = trainings.evidence("fine_tuning", [training for _, *both in pairs for training in both])
    (measured,) = found.rows
    assert measured.value == pytest.approx(0.302, abs=1e-3)
    assert measured.low < measured.value < measured.high
    assert (measured.direction, measured.replica, measured.decision) == ("holds", True, None)
    assert "a saving of 70 (95 % interval" in found.lines[0]


def test_a_saving_against_what_was_never_reached_is_a_bound():
    rows = [training for seed in range(3) for training in (
        row("fine-tuned", seed, flops=300), row("scratch", seed, flops=1000 + seed, reached=seed > 0))]  # fmt: skip
    assert (
        "1 of 3 trainings from scratch never did, so it is at least this"
        in trainings.evidence("fine_tuning", rows).lines[0]
    )
    rows = [training for seed in range(3) for training in (
        row("fine-tuned", seed, flops=300, reached=False), row("scratch", seed, flops=1000 + seed))]  # fmt: skip
    assert trainings.evidence("fine_tuning", rows).rows[0].direction == "undecided"


@pytest.mark.parametrize(("large", "direction"), [(2.0, "fails"), (0.5, "holds")])
def test_the_best_batch_is_compared_at_equal_tokens(large, direction):
    rows = [
        row(arm, seed, batch=batch, quality=large + seed / 100 if batch == 256 else 1.0)
        for arm in ("mixture", "dense") for seed in range(4) for batch in (8, 256)
    ]  # fmt: skip
    found = trainings.evidence("batch_size", rows)
    assert found.rows[0].direction == direction
    assert f"best batch of each seed: {', '.join(['8' if large > 1 else '256'] * 4)}" in found.lines[0]


def test_one_seed_shows_no_direction():
    rows = [row("fine-tuned", 0, flops=300), row("scratch", 0, flops=1000)]
    (measured,) = trainings.evidence("fine_tuning", rows).rows
    assert (measured.low, measured.direction) == (None, "undecided")


def test_directions_that_differ_name_their_measurement():
    rows = [row(arm, seed, flops=flops + seed, task=task) for seed in range(3) for task, more in (("a", 0), ("b", 900))
            for arm, flops in (("fine-tuned", 300 + more), ("scratch", 1000))]  # fmt: skip
    lines = trainings.evidence("fine_tuning", rows).lines
    assert "at the replicas' scale the direction holds (fine-tuning-compute/a)" in lines
    assert "at the replicas' scale the direction fails (fine-tuning-compute/b)" in lines


@pytest.mark.parametrize(("factor", "direction"), [(1.2, "fails"), (0.5, "holds")])
def test_a_copy_with_8_bit_weights_is_compared_within_each_process(factor, direction):
    rows = [
        TimingRow(copy=copy, process=n, repetitions=5, latency=share * 2.0**n + n / 100, first_token=0.1, weights=size)
        for n in range(4) for copy, share, size in (("original", 1.0, 4_000_000), ("integers", factor, 1_000_000))
    ]  # fmt: skip
    found = int8_timings.evidence(rows)
    (measured,) = found.rows
    assert measured.value == pytest.approx(factor, rel=0.02)
    assert (measured.direction, measured.task, measured.n, measured.decision) == (direction, "timing", 4, None)
    assert "1.00 MB in memory instead of 4.00" in found.lines[0]
    assert int8_timings.evidence([]).rows == ()


def test_the_committed_timings_are_pairs():
    rows = read_rows(int8_timings.STUDY, TimingRow)
    pairs = {(timing.copy, timing.process) for timing in rows}
    copies = {int8_timings.ORIGINAL, *int8_timings.COPIES}
    assert pairs == {(copy, process) for copy in copies for process in range(len(rows) // len(copies))}
    assert len(rows) == len(pairs) >= 3 * len(copies)
    assert int8_timings.evidence().rows


@pytest.mark.parametrize("study", STUDIES)
def test_the_committed_rows_are_whole(study):
    assert RESULTS == PACKAGE / COMMITTED
    rows = read_rows(study, TrainingRow)
    for task in {training.task for training in rows}:
        of_task = [training for training in rows if training.task == task]
        seeds, arms = {training.seed for training in of_task}, {(t.arm, t.batch) for t in of_task}
        assert len(seeds) >= 3
        assert len({(t.seed, t.arm, t.batch) for t in of_task}) == len(of_task) == len(seeds) * len(arms)
    for training in rows:
        assert training.flops == 6 * training.active_parameters * training.tokens
    with (RESULTS / f"{study}-rates.csv").open() as file:
        pilots = list(csv.DictReader(file))
    assert {pilot["seed"] for pilot in pilots} == {"100"}
    known = {(*arm.key,) for arm in import_module(f"evals.models.replicas.studies.{study}").arms(0)}
    for training in rows:
        arm = Arm(study, training.arm, training.task, training.batch, training.seed)
        assert arm.key in known
        assert chosen_rate(arm, pilots) == training.rate  # chosen on the pilot seed alone
    assert trainings.evidence(study).rows


def test_a_study_leaves_the_word_of_a_claim():
    checked = check.check(paper=True)
    by_id = {assessment.claim.id: assessment for assessment in checked.assessments}
    for id in ("B-86", "A-59", "A-61"):
        found = by_id[id]
        assert found.measurement.verdict == "not_testable_here"
        assert found.subject_match == "proxy"
        assert found.measured[0].replica
        assert any("training, replica scale" in line for line in found.measurement.working)
    assert by_id["A-49"].measurement.verdict == "underspecified"
    assert any("timing, replica scale" in line for line in by_id["A-49"].measurement.working)
    assert by_id["A-63"].measured == ()


def test_a_damaged_row_is_named(tmp_path):
    folder = tmp_path / COMMITTED
    folder.mkdir(parents=True)
    (folder / "fine_tuning.csv").write_text("arm,task\nscratch,kind\n")
    with pytest.raises(InputError, match="line 2"):
        read_rows("fine_tuning", TrainingRow, tmp_path)
    assert trainings.evidence("fine_tuning", []).lines == ("the study fine_tuning has not been made",)


def test_a_row_holds_the_compute():
    training = Training(Arm("fine_tuning", "scratch", "kind", 32, 0, 1.0), 10, tokens=7, points=((0, 0.1), (7, 0.5)))
    assert (training.flops, training.row()["curve"]) == (420, "0:0.100 7:0.500")


def test_the_quantiles_are_those_of_scipy():
    from evals.statistics.intervals import t_quantile

    for freedom in range(1, 12):
        assert trainings._quantile(freedom) == pytest.approx(t_quantile(0.95, freedom), rel=1e-8)
