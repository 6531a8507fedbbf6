"""`verify`: the choice of samples, the bounds, what it notices, what it refuses, and what it leaves alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from commands import ROOT, refused
from commands import evals as command
from harness_logs import PAIRS, lm_eval_math
from run_folders import sign
from scipy.stats import hypergeom

from evals import records
from evals.app.verification.choice import choose, fresh_salt
from evals.app.verification.comparing import ExecutedSample, compare_samples, default_tolerance
from evals.records.types import SampleRecord
from evals.records.verifying.verified import load_verification
from evals.reports.runs import terminal
from evals.reports.runs.verifying import verification

CHECKPOINT = ROOT / "models" / "replicas" / "checkpoints" / "r1"
GOLDEN = ROOT / "tests" / "golden" / "lm_eval_r1.jsonl"
"""Prompts and log-likelihoods of the replica r1 as lm-eval logged them."""


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A run of 12 samples, which each test copies."""
    folder = tmp_path_factory.mktemp("verify") / "rte"
    done = command("run", "--model", "r1", "--task", "glue/rte", "--limit", "12", "--device", "cpu", "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def run(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "rte"))


def rows_of(folder):
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


def change(folder, edit):
    """Change the rows of a run as somebody who hides it does: the result is computed again."""
    rows = rows_of(folder)
    edit(rows)
    (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert command("score", folder).returncode == 0


# The choice


def test_a_larger_choice_contains_a_smaller_one_and_another_salt_chooses_others():
    ids = [str(number) for number in range(1000)]
    small, large = choose(ids, 30, "salt"), choose(ids, 60, "salt")
    assert set(small) < set(large)
    assert len(small) == 30
    assert choose(ids, 30, "salt") == small
    assert choose(ids, 2000, "salt") == ids
    assert len({tuple(choose(ids, 30, fresh_salt())) for _ in range(20)}) == 20


def test_every_sample_is_chosen_equally_often():
    counts = dict.fromkeys("abcdefghij", 0)
    for number in range(2000):
        for id in choose(list(counts), 3, str(number)):
            counts[id] += 1
    assert all(abs(count - 600) < 6 * (2000 * 0.3 * 0.7) ** 0.5 for count in counts.values())


# The bounds


def row(id, output="yes", *, failed=False, scores=(), **values):
    return SampleRecord(
        id=id, index=int(id), prompt="?", output=None if failed else output, answer=None, target="yes", values=values,
        failed=failed, failure="it broke" if failed else None, truncated=False, scores=[tuple(scores)], cluster="",
        labels={}, cost={},
    )  # fmt: skip


def compared(pairs, *, samples, failed=0, tolerance=None):
    recorded = [ExecutedSample(a, None) for a, _ in pairs]
    again = {b.id: ExecutedSample(b, None) for _, b in pairs}
    return compare_samples(
        recorded, again, failed_in_run=failed, samples_of_run=samples, embeds=False,
        tolerance=tolerance or default_tolerance(["float32"]),
    )  # fmt: skip


def test_the_bounds_cover_the_true_share_of_a_finite_set():
    total, n = 40, 9
    bounds = {}
    for differ in range(n + 1):
        pairs = [(row(str(k)), row(str(k), "no" if k < differ else "yes")) for k in range(n)]
        bounds[differ] = compared(pairs, samples=total).differing["any"]
    for truth in range(total + 1):
        law = hypergeom(total, truth, n)
        one_sided = sum(law.pmf(k) for k in bounds if bounds[k].at_most < truth / total - 1e-12)
        outside = sum(
            law.pmf(k) for k in bounds if not bounds[k].low - 1e-12 <= truth / total <= bounds[k].high + 1e-12
        )
        assert one_sided <= 0.05
        assert outside <= 0.05
    assert bounds[0].at_most < bounds[0].high < 0.34


def test_failed_samples_are_counted_apart():
    pairs = [
        (row("0", failed=True), row("0")),
        (row("1", failed=True), row("1", failed=True)),
        (row("2", accuracy=1.0), row("2", failed=True, accuracy=0.0)),
        (row("3"), row("3")),
    ]  # fmt: skip
    outcome = compared(pairs, samples=10, failed=3)
    assert (outcome.failed.in_run, outcome.failed.chosen, outcome.failed.again, outcome.failed.here) == (3, 2, 1, 1)
    assert (outcome.compared, outcome.comparable, outcome.differing["any"].differ) == (2, 7, 1)


def test_numbers_are_equal_within_the_tolerance():
    near = [(row("0", scores=(-1.0, -2.0)), row("0", scores=(-1.2, -2.0)))]
    assert compared(near, samples=1).differing["log-likelihoods"].differ == 1
    loose = compared(near, samples=1, tolerance=default_tolerance(["float32", "bfloat16"]))
    assert loose.differing["log-likelihoods"].differ == 0
    assert loose.largest_difference == pytest.approx(0.2)
    other = [(row("0", scores=(-1.0, -2.0)), row("0", scores=(-1.0,)))]
    assert compared(other, samples=1).differing["log-likelihoods"].differ == 1


# Whole runs


def test_a_run_is_verified_and_left_as_it_was(run):
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.suffix in {".json", ".jsonl"}}
    done = command("verify", run, "--sample", "5")
    assert done.returncode == 0, done.stderr
    assert "5 of 12 samples, chosen by a fresh random seed" in done.stdout
    assert {name: (run / name).read_bytes() for name in before} == before
    record = records.load(run)
    entry = load_verification(record)
    assert (entry.compared, entry.differing["any"].differ, entry.differs_from_run) == (5, 0, [])
    assert {"prompts", "outputs", "log-likelihoods", "scores", "any"} == entry.differing.keys()
    assert entry.largest_difference < 1e-4
    assert "verified: on 20" in terminal.show(record)
    assert "with 95 % confidence at most" in (run / "report.md").read_text()
    assert " Verified on 20" in verification.mark(record)
    again = command("verify", run, "--sample", "5", "--seed", entry.salt)
    assert load_verification(record).sample_ids == entry.sample_ids
    assert "The seed was given" in again.stdout
    (run / "samples.jsonl").write_bytes((run / "samples.jsonl").read_bytes() + b"\n")
    assert "the samples of the run have changed since" in load_verification(record)
    assert "Not verified" in verification.mark(record)


def test_outputs_that_were_changed_by_hand_are_listed(run):
    def forge(rows):
        wrong = [row for row in rows if row["values"]["accuracy"] == 0] or rows[:1]
        for row in wrong:
            row["output"] = " no" if row["output"] == " yes" else " yes"

    before = {row["id"]: row["output"] for row in rows_of(run)}
    change(run, forge)
    forged = {row["id"] for row in rows_of(run) if row["output"] != before[row["id"]]}
    done = command("verify", run, "--sample", "12", "--strict")
    assert done.returncode == 1, done.stderr
    entry = load_verification(records.load(run))
    assert {difference.id for difference in entry.differences} == forged
    assert entry.differing["any"].low == entry.differing["any"].high == len(forged) / 12
    assert f"{min(forged)}" in done.stdout


def test_other_numbers_weights_data_and_code_are_named(run, tmp_path, monkeypatch):
    stated = json.loads((run / "result.json").read_text())
    stated["metrics"]["accuracy"]["value"] = 1.0
    stated["metrics"]["accuracy"] |= {"high": 1.0}
    del stated["digest"]
    forged = Path(shutil.copytree(run, tmp_path / "forged"))
    (forged / "result.json").write_text(json.dumps(stated))
    refused(command("verify", forged), "does not agree with itself", "accuracy")
    weights = Path(shutil.copytree(CHECKPOINT, tmp_path / "weights"))
    config = json.loads((weights / "config.json").read_text())
    (weights / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 0.5}))
    refused(command("verify", run, "--model", weights), "the weights of r1 have changed")
    monkeypatch.setattr("evals.records.signature.code_digest", lambda task, model: "0" * 16)
    refused(command("verify", run), "the code has changed", "--other-code")
    assert command("verify", run, "--sample", "1", "--other-code").returncode == 0
    assert "code.digest" in load_verification(records.load(run)).differs_from_run


def test_what_is_not_the_runs_own_is_refused(run, tmp_path):
    def copy(name, **changes):
        folder = Path(shutil.copytree(run, tmp_path / name))
        manifest = json.loads((folder / "manifest.json").read_text())
        for field, entries in changes.items():
            manifest[field] |= entries
        signed = sign(manifest)
        (folder / "manifest.json").write_text(json.dumps(signed))
        result = json.loads((folder / "result.json").read_text()) | {"signature": signed["signature"]}
        result |= {"task": signed["task"]["name"], "model": signed["model"]["name"]}
        (folder / "result.json").write_text(json.dumps({k: v for k, v in result.items() if k != "digest"}))
        rows = [row | {"signature": signed["signature"]} for row in rows_of(folder)]
        (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return folder

    server = copy("server", model={"name": "endpoint:http://127.0.0.1:9/v1#m", "family": "endpoint"})
    refused(command("verify", server), "names a server", "give --model 'endpoint:http://127.0.0.1:9/v1#m'")
    refused(command("verify", copy("data", data={"files": {"rte/rte-validation.parquet": "0"}})), "data", "files.rte/")
    refused(command("verify", copy("version", task={"version": 7})), "has version 7, this suite 1")
    refused(command("verify", copy("replay", model={"family": "replay"})), "recorded outputs")
    private = copy("private", task={"generation": {"system_prompt": "@/etc/passwd"}})
    refused(command("verify", private), "'@/etc/passwd', which would name a file here")
    refused(command("verify", copy("file", task={"name": "mine"})), "task 'mine'", "--task FILE.yaml")
    refused(command("verify", run, "--sample", "0"), "--sample 0")
    refused(command("verify", run, "--tolerance", "-1"), "--tolerance")
    assert not (run / "verified.json").exists()


# Logs of other harnesses


def test_a_log_of_choices_is_executed_from_its_prompts(tmp_path):
    golden = [json.loads(line) for line in GOLDEN.read_text().splitlines()]
    rows = [
        {
            "doc_id": row["id"], "doc": {**PAIRS[0], "idx": row["id"]}, "target": "1",
            "arguments": {f"gen_args_{n}": {"arg_0": a, "arg_1": b} for n, (a, b) in enumerate(row["arguments"])},
            "resps": [[answer] for answer in row["answers"]], "filtered_resps": row["answers"], "filter": "none",
            "metrics": ["acc"], "acc": 1.0,
        }
        for row in golden if row["task"] == "rte"
    ]  # fmt: skip
    rows[0]["resps"][0] = [["-1.0", "False"]]
    log = tmp_path / "samples_acme_2026-11-28T09-34-15.759025.jsonl"
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    folder = tmp_path / "imported"
    assert command("import", log, "--out", folder).returncode == 0
    refused(command("verify", folder), "model: the log has no weights")
    done = command(
        "verify", folder, "--model", CHECKPOINT, "--device", "cpu", "--dtype", "float32", "--tolerance", "0.01"
    )
    assert done.returncode == 0, done.stderr
    entry = load_verification(records.load(folder))
    assert entry.compared == len(rows)
    assert [difference.id for difference in entry.differences] == [str(rows[0]["doc_id"])]
    assert "Scores are not compared" in done.stdout


def test_the_fields_that_hinder_a_log_are_named(tmp_path):
    folder = tmp_path / "imported"
    assert command("import", lm_eval_math(tmp_path / "log"), "--out", folder).returncode == 0
    refused(command("verify", folder), "model: the log", "max_gen_toks is not stated", "until")


@pytest.mark.slow
def test_runs_that_stopped_early_or_were_extended_are_verified(tmp_path):
    arguments = ("--model", "r1", "--device", "cpu")
    early, extended = tmp_path / "early", tmp_path / "extended"
    assert command("run", *arguments, "--task", "glue/rte", "--precision", "20", "--out", early).returncode == 0
    count = len(rows_of(early))
    done = command("verify", early, "--sample", "3")
    assert done.returncode == 0, done.stderr
    assert f"3 of {count} samples" in done.stdout
    assert f"all {count} samples" in done.stdout
    math = ("run", *arguments, "--task", "math", "--limit", "4", "--max-new-tokens", "8", "--out", extended)
    assert command(*math).returncode == 0
    assert command(*math, "--extend", "30").returncode == 0
    assert command("verify", extended, "--sample", "4", "--strict").returncode == 0
