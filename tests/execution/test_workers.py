"""Workers: each window is prepared once, and nothing is lost, whoever dies."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections import Counter

import pytest
from commands import evals, process, refused, start

from evals.app import api
from evals.execution.windows import WINDOW
from evals.schema import RunConfig

COUNT = 3000
BUDGET = 2000
"""Token budget that makes about 50 batches of the toy task."""


@pytest.fixture
def logs(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder


def logged(logs, event):
    """The requests of an event, per process, in order."""
    return {path.name.partition("-")[2]: path.read_text().split() for path in sorted(logs.glob(f"{event}-*"))}


def command(logs, out, workers, *more):
    model = f"toy:logged:{logs}"
    return (
        "run",
        "--model",
        model,
        "--task",
        "toy",
        "--token-budget",
        BUDGET,
        "--workers",
        workers,
        "--out",
        out,
        *more,
    )


def records(folder):
    """The records in the order of the benchmark, without what a clock filled, and the metrics."""
    rows = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    for row in rows:
        row["cost"] = {name: value for name, value in row["cost"].items() if not name.endswith("seconds")}
    return sorted(rows, key=lambda row: row["index"]), json.loads((folder / "result.json").read_text())["metrics"]


@contextlib.contextmanager
def started(logs, out, workers, *more):
    """A run in a process group of its own, with several workers, of which each has answered something."""
    running = start(
        "-m", "evals", *command(logs, out, workers, *more),
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while len(logged(logs, "asked")) < workers and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        yield running, [int(pid) for pid in logged(logs, "asked")]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.communicate()


def ended(group, seconds=10.0):
    """Whether every process of a group ends within some seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        listed = subprocess.run(["ps", "-eo", "pgid=,stat="], capture_output=True, text=True, check=True).stdout
        alive = [line for line in listed.splitlines() if int(line.split()[0]) == group and "Z" not in line.split()[1]]
        if not alive:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
def test_a_sample_is_prepared_once_but_for_the_windows_that_workers_join(tmp_path):
    folders = []
    for workers in (1, 2, 4):
        logs = tmp_path / f"logs-{workers}"
        logs.mkdir()
        folders.append(tmp_path / f"run-{workers}")
        link = tmp_path / "logs"  # the model's name is part of the record
        link.unlink(missing_ok=True)
        link.symlink_to(logs)
        done = process(*command(link, folders[-1], workers))
        assert done.returncode == 0, done.stderr
        prepared, asked = logged(logs, "prepared"), logged(logs, "asked")
        assert len(asked) == workers, "each worker answered something"
        joined = 0 if workers == 1 else workers
        counts = Counter(id for ids in prepared.values() for id in ids if id.endswith("#0"))
        assert COUNT <= counts.total() <= COUNT + joined * WINDOW
        assert all(len(ids) == len(set(ids)) for ids in prepared.values()), "no process prepares anything twice"
        assert set(Counter(id for ids in asked.values() for id in ids).values()) == {1}
    first, *others = map(records, folders)
    assert all(other == first for other in others)


@pytest.mark.slow
def test_windows_on_disk_are_not_prepared(tmp_path, logs):
    out = tmp_path / "run"
    assert evals(*command(logs, out, 1)).returncode == 0
    reference = records(out)
    lines = (out / "samples.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["index"] < 2 * WINDOW + 100]
    (out / "samples.jsonl").write_text("".join(kept))
    (out / "result.json").unlink()
    for path in logs.iterdir():
        path.unlink()
    done = process(*command(logs, out, 2))
    assert done.returncode == 0, done.stderr
    prepared = {int(id.partition("#")[0]) for ids in logged(logs, "prepared").values() for id in ids}
    assert prepared == set(range(2 * WINDOW, COUNT))
    assert records(out) == reference


@pytest.mark.slow
def test_a_killed_worker_costs_what_it_was_computing(tmp_path, logs):
    with started(logs, tmp_path / "run", 3) as (running, workers):
        os.kill(workers[0], signal.SIGKILL)
        _, errors = running.communicate(timeout=120)
    assert running.returncode == 0, errors
    asked = Counter(id for ids in logged(logs, "asked").values() for id in ids)
    twice = [id for id, count in asked.items() if count > 1]
    under_way = (logs / f"asked-{workers[0]}").read_text().splitlines()[-1].split()
    assert len(asked) == COUNT // 4 * 6, "nothing is lost"
    assert max(asked.values()) <= 2
    assert set(twice) <= set(under_way)
    assert [row["index"] for row in records(tmp_path / "run")[0]] == list(range(COUNT))


@pytest.mark.slow
def test_when_all_workers_are_killed_the_run_ends_in_one_line_and_goes_on(tmp_path, logs):
    with started(logs, tmp_path / "run", 2) as (running, workers):
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        _, errors = running.communicate(timeout=120)
    assert running.returncode == 1
    (line,) = errors.strip().splitlines()
    assert "no worker is left for" in line
    done = process(*command(logs, tmp_path / "run", 2))
    assert done.returncode == 0, done.stderr
    assert [row["index"] for row in records(tmp_path / "run")[0]] == list(range(COUNT))


@pytest.mark.slow
def test_an_interrupt_ends_all_workers_and_keeps_what_was_finished(tmp_path, logs):
    with started(logs, tmp_path / "run", 2) as (running, _):
        log = tmp_path / "run" / "samples.jsonl"
        while not log.stat().st_size:
            time.sleep(0.01)
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does
        _, errors = running.communicate(timeout=60)
        assert ended(running.pid)
    assert running.returncode == 130
    assert errors.strip() == "evals: interrupted; what was finished is kept, the same command continues"
    kept = log.read_bytes()
    assert kept.endswith(b"\n")
    done = process(*command(logs, tmp_path / "run", 2))
    assert done.returncode == 0, done.stderr
    assert log.read_bytes().startswith(kept)
    assert [row["index"] for row in records(tmp_path / "run")[0]] == list(range(COUNT))


@pytest.mark.slow
def test_an_interrupt_while_the_workers_start_is_one_line(tmp_path, logs):
    arguments = command(logs, tmp_path / "run", 2)
    running = start("-m", "evals", *arguments, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        listed = subprocess.run(["ps", "-eo", "ppid=,args="], capture_output=True, text=True, check=True).stdout
        children = [line for line in listed.splitlines() if int(line.split()[0]) == running.pid]
        if any("spawn_main" in line for line in children):
            break
    os.killpg(running.pid, signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    assert errors.strip() == "evals: interrupted; what was finished is kept, the same command continues"
    assert ended(running.pid)


@pytest.mark.slow
def test_a_killed_parent_leaves_no_worker_behind(tmp_path, logs):
    with started(logs, tmp_path / "run", 2) as (running, _):
        running.kill()
        running.wait()
        assert ended(running.pid)


@pytest.mark.slow
def test_a_worker_that_cannot_load_ends_the_others(tmp_path):
    arguments = ["run", "--model", "toy:broken", "--task", "toy", "--workers", "3", "--out", str(tmp_path / "run")]
    began = time.monotonic()
    running = start("-m", "evals", *arguments, stderr=subprocess.PIPE, text=True, start_new_session=True)
    _, errors = running.communicate(timeout=120)
    assert time.monotonic() - began < 55, "it does not wait for the worker that still loads"
    assert running.returncode == 2
    assert errors == "evals: this checkpoint is broken\n"
    assert ended(running.pid, seconds=0.1)


@pytest.mark.slow
def test_a_damaged_checkpoint_is_one_line(tmp_path):
    import checkpoints

    folder = checkpoints.language_model(tmp_path / "model", "llama")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    out = tmp_path / "run"
    done = process("run", "--model", folder, "--task", "math/sums", "--limit", 4, "--workers", 2, "--out", out)
    refused(done, str(weights))
    assert not out.exists()


@pytest.mark.slow
def test_the_parent_loads_no_model(tmp_path):
    def load(source, placement):
        raise AssertionError("the parent loads a model")

    with pytest.raises(AssertionError, match="the parent loads"):
        api.execute(RunConfig.of("toy:", "toy", first=50, out=tmp_path / "run"), load_model=load)
    config = RunConfig.of("toy:", "toy", workers=2, first=50, out=tmp_path / "run")
    assert api.execute(config, load_model=load).finished().n == 50


@pytest.mark.slow
def test_workers_extend_a_run_as_one_process_does(tmp_path):
    for workers in (1, 2):
        run = ("run", "--model", "toy:counts", "--task", "toy", "--first", 400, "--out", tmp_path / str(workers))
        assert evals(*run).returncode == 0
        before = records(tmp_path / str(workers))
        done = process(*run, "--extend", 9, "--workers", workers)
        assert done.returncode == 0, done.stderr
        assert records(tmp_path / str(workers)) != before
    rows = records(tmp_path / "1")[0]
    assert {len(row["tokens"][0]) for row in rows if row["truncated"]} == {9}
    assert records(tmp_path / "2") == records(tmp_path / "1")
