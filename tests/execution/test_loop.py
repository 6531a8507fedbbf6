"""The loop, with a task and a family from a plug-in: results do not depend on batches or workers, and interruptions."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from commands import ROOT, environ, evals, process, refused, start

from evals.records.folder import load
from evals.records.result import recorded_predictions

CLOCK = {"seconds", "samples_per_second", "model_share", "peak_memory_bytes"}


def result(folder):
    """A result without the fields that a clock or a gauge filled."""
    found = json.loads((folder / "result.json").read_text())
    found["efficiency"] = {name: value for name, value in found["efficiency"].items() if name not in CLOCK}
    return found


def samples(folder):
    rows = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    for row in rows:
        row["cost"] = {name: value for name, value in row["cost"].items() if not name.endswith("seconds")}
    return sorted(rows, key=lambda row: row["index"])


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference") / "run"
    done = evals("run", "--model", "toy:", "--task", "toy", "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_sample_is_recorded_once_with_all_that_the_contract_names(reference):
    rows = samples(reference)
    assert [row["id"] for row in rows] == [str(index) for index in range(3000)]
    for row in rows:
        assert {"id", "output", "answer", "target", "values", "failed"} <= row.keys()
        assert isinstance(row["output"], list) == (row["index"] % 4 == 0)
    assert set(json.loads((reference / "result.json").read_text())) >= {
        "task", "model", "scale", "split", "n", "failed", "unparsed", "signature", "metrics", "headline", "efficiency",
    }  # fmt: skip
    assert {"manifest.json", "samples.jsonl", "result.json", "report.md", "report.html"} <= {
        path.name for path in reference.iterdir()
    }


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 3])
def test_workers_only_decide_who_runs_a_batch(reference, tmp_path, workers):
    done = process(
        "run", "--model", "toy:", "--task", "toy", "--out", tmp_path / "run", "--workers", workers,
        TOY_EVENTS=str(tmp_path / "events"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert len({pid for pid, _ in events}) == 1, "hooks are called in the driver only"
    assert events[-1][1]["event"] == "run_finished"
    assert result(tmp_path / "run") == result(reference)
    assert samples(tmp_path / "run") == samples(reference)


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_by_the_others(reference, tmp_path):
    marker = tmp_path / "died"
    done = process("run", "--model", f"toy:dies:{marker}", "--task", "toy", "--out", tmp_path / "run", "--workers", 2)
    assert done.returncode == 0, done.stderr
    assert marker.exists()
    assert result(tmp_path / "run")["metrics"] == result(reference)["metrics"]
    assert [row["id"] for row in samples(tmp_path / "run")] == [str(index) for index in range(3000)]


@pytest.mark.slow
def test_when_the_only_worker_dies_the_rest_is_kept_and_the_next_start_goes_on(reference, tmp_path):
    command = ("run", "--model", f"toy:dies:{tmp_path / 'died'}", "--task", "toy", "--out", tmp_path / "run")
    assert process(*command).returncode == -signal.SIGKILL
    done = process(*command)
    assert done.returncode == 0, done.stderr
    assert result(tmp_path / "run")["metrics"] == result(reference)["metrics"]


SLOW = ("run", "--model", "toy:slow", "--task", "toy", "--limit", "1200", "--token-budget", "2000", "--out")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of `SLOW` that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert evals(*SLOW, folder).returncode == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_and_started_again_the_result_is_the_same(whole, tmp_path, seed):
    killed = tmp_path / "killed"
    draw = random.Random(seed)
    for _ in range(3):
        started = start("-m", "evals", *SLOW, killed, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        before = size(killed)
        while size(killed) == before and started.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(draw.random() * 0.1)
        started.kill()
        started.wait()
    done = evals(*SLOW, killed)
    assert done.returncode == 0, done.stderr
    assert result(killed) == result(whole)
    assert samples(killed) == samples(whole)
    assert json.dumps(result(killed)) == json.dumps(result(whole)), "the order of the fields too"


def size(folder):
    log = folder / "samples.jsonl"
    return log.stat().st_size if log.exists() else 0


def test_an_interrupt_keeps_what_was_finished(tmp_path):
    started = start(
        "-m", "evals", "run", "--model", "toy:slow", "--task", "toy", "--out", tmp_path / "run",
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while not size(tmp_path / "run") and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(started.pid, signal.SIGINT)
    _, errors = started.communicate(timeout=30)
    assert started.returncode == 130
    assert (
        errors.strip().splitlines()[-1] == "evals: interrupted; what was finished is kept, the same command continues"
    )
    assert size(tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_that_was_started_with_interrupts_ignored_is_not_interrupted(tmp_path, workers):
    """As POSIX has it for the background jobs of a script, and for `nohup` with hang-ups."""
    task = ["--task", "toy", "--first", "900", "--token-budget", "400"]
    assert evals("run", "--model", "toy:", *task, "--out", tmp_path / "reference").returncode == 0
    arguments = ["run", "--model", "toy:slow", *task, "--workers", workers, "--out", tmp_path / "run"]
    command = ["sh", "-c", 'trap "" INT HUP; exec "$@"', "sh", sys.executable, "-m", "evals", *map(str, arguments)]
    started = subprocess.Popen(
        command, cwd=ROOT, env=environ(), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not size(tmp_path / "run") and time.monotonic() < deadline:
        time.sleep(0.01)
    for number in (signal.SIGINT, signal.SIGHUP):
        os.killpg(started.pid, number)
    _, errors = started.communicate(timeout=120)
    assert started.returncode == 0, errors
    assert result(tmp_path / "run")["metrics"] == result(tmp_path / "reference")["metrics"]


def test_a_finished_run_is_read_not_repeated(reference):
    before = {path.name: path.stat().st_mtime_ns for path in reference.iterdir() if path.name != ".lock"}
    done = evals("run", "--model", "toy:", "--task", "toy", "--out", reference)
    assert done.returncode == 0
    assert before == {path.name: path.stat().st_mtime_ns for path in reference.iterdir() if path.name != ".lock"}


def test_samples_that_fail_are_counted_and_the_run_goes_on(tmp_path):
    done = evals("run", "--model", "toy:picky", "--task", "toy", "--out", tmp_path / "run")
    assert done.returncode == 1, "samples failed"
    found = result(tmp_path / "run")
    assert found["failed"] == 300
    assert found["n"] == 3000
    failed = [row for row in samples(tmp_path / "run") if row["failed"]]
    assert all(row["values"] == {"accuracy": 0.0} and "not liked" in row["failure"] for row in failed)


def test_a_run_is_scored_again_from_its_record(reference, tmp_path):
    import shutil

    shutil.copytree(reference, tmp_path / "run")
    log = (tmp_path / "run" / "samples.jsonl").read_text()
    (tmp_path / "run" / "samples.jsonl").write_text(
        log.replace('"values":{"accuracy":1.0}', '"values":{"accuracy":0.5}')
    )
    (tmp_path / "run" / "result.json").unlink()
    done = evals("score", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert result(tmp_path / "run") == result(reference)


def test_the_default_folder_names_model_task_and_signature(tmp_path):
    done = evals("run", "--model", "toy:", "--task", "toy", "--limit", "3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    signature = json.loads((folder / "manifest.json").read_text())["signature"]
    assert folder.name == f"toy-toy-{signature}"
    again = evals("run", "--model", "toy:", "--task", "toy", "--limit", "4", cwd=tmp_path)
    assert again.returncode == 0
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_a_result_is_never_made_of_a_part(tmp_path):
    folder = tmp_path / "run"
    assert evals("run", "--model", "toy:", "--task", "toy", "--limit", "20", "--out", folder).returncode == 0
    (folder / "result.json").unlink()
    log = (folder / "samples.jsonl").read_text().splitlines(keepends=True)
    (folder / "samples.jsonl").write_text("".join(log[:7]))
    refused(evals("score", folder), "holds 7 of 20 samples")
    assert not (folder / "result.json").exists()
    done = evals("run", "--model", "toy:", "--task", "toy", "--limit", "20", "--out", folder)
    assert done.returncode == 0, done.stderr
    assert [row["index"] for row in samples(folder)] == list(range(20)), "each sample once, in spite of shared batches"


def test_a_crash_before_the_report_costs_no_report(reference):
    for name in ("report.md", "report.html"):
        (reference / name).unlink()
    assert evals("run", "--model", "toy:", "--task", "toy", "--out", reference).returncode == 0
    assert (reference / "report.html").exists()


def test_one_of_several_outputs_that_failed_fails_alone_when_scored_again(tmp_path):
    folder = tmp_path / "run"
    assert evals("run", "--model", "toy:", "--task", "toy", "--first", "9", "--out", folder).returncode == 0
    (row,) = [row for row in load(folder).samples() if row.index == 4]
    row.output, row.failure = ["1", None, "3"], "out of memory"
    assert [prediction.failure for prediction in recorded_predictions(row)] == [None, "out of memory", None]


@pytest.mark.parametrize(
    "option",
    [
        ("--shots", "3"),
        ("--shots", "3", "--same-shots"),
        ("--samples", "3", "--temperature", "1"),
        ("--method", "probe"),
    ],
)
def test_an_option_that_means_nothing_to_the_task_is_refused(option, tmp_path):
    refused(evals("run", "--model", "toy:", "--task", "toy", *option, cwd=tmp_path), "toy")


@pytest.mark.slow
def test_workers_share_a_real_model(tmp_path):
    import checkpoints

    folder = checkpoints.deepseek_vl(tmp_path)
    for count in (1, 2):
        run = process if count > 1 else evals
        done = run(
            "run", "--model", folder, "--task", "vqa", "--limit", 40, "--token-budget", 500, "--workers", count,
            "--out", tmp_path / str(count),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert result(tmp_path / "1") == result(tmp_path / "2")
    assert [row["output"] for row in samples(tmp_path / "1")] == [row["output"] for row in samples(tmp_path / "2")]
