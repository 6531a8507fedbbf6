"""Hooks and the stream of JSON lines: what they are handed, and that nothing they do changes or loses a run."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import types
from pathlib import Path

import msgspec
import pytest
from commands import refused

from evals import hooks, load
from evals.hooks import json_lines, observer, sources
from evals.hooks.delivery import Delivery, HookSource
from evals.records.folder import RunFolder

RUN = ("run", "--model", "toy:picky", "--task", "toy", "--limit", "60")
EVENT = hooks.RunStarted | hooks.BatchDone | hooks.RunFinished | hooks.RunStopped


def read(path):
    return [msgspec.json.decode(line, type=EVENT) for line in path.read_text().splitlines()]


def comparable(folder):
    """What a run recorded, without what a clock measured."""
    rows = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    result = json.loads((folder / "result.json").read_text())
    return [{**row, "cost": None} for row in rows], {**result, "efficiency": None}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Install a package whose entry point is a hook; returns a function that takes the source of its class."""

    def install(source):
        folder = tmp_path / "site"
        (folder / "noisy-1.0.dist-info").mkdir(parents=True)
        (folder / "noisy-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: noisy\nVersion: 1.0\n")
        (folder / "noisy-1.0.dist-info" / "entry_points.txt").write_text("[evals.hooks]\nnoisy = noisy_hook:Hook\n")
        (folder / "noisy_hook.py").write_text(f"import sys, time\nclass Hook:\n{source}")
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, "noisy_hook", raising=False)

    return install


def test_the_stream_says_what_happens_and_standard_output_stays(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plain = command(*RUN, "--out", "run")
    (tmp_path / "run").rename(tmp_path / "plain")
    done = command(*RUN, "--out", "run", "--progress", "json")
    assert done.returncode == plain.returncode == 1  # samples failed
    assert done.stdout == plain.stdout
    (tmp_path / "events").write_text("".join(line + "\n" for line in done.stderr.splitlines() if line.startswith("{")))
    started, *batches, finished = read(tmp_path / "events")
    record = load("run")
    assert [type(started), type(finished)] == [hooks.RunStarted, hooks.RunFinished]
    assert (started.total, started.done, started.signature) == (60, 0, record.manifest.signature)
    assert started.settings["model.digest"] == "picky"
    assert {(batch.phase, batch.total, batch.headline) for batch in batches if batch.mean} == {
        ("samples", 60, "accuracy")
    }
    assert [batch.done for batch in batches] == sorted(batch.done for batch in batches)
    last = batches[-1]
    assert (last.done, last.failed, last.eta_seconds) == (60, record.result.failed, 0.0)
    assert last.failed > 0
    assert last.mean == pytest.approx(record.result.metrics["accuracy"].value)
    assert last.prompt_tokens == record.result.efficiency["prompt_tokens"]
    assert finished.metrics["accuracy"].value == record.result.metrics["accuracy"].value
    assert (finished.n, finished.failed) == (60, record.result.failed)
    assert comparable(tmp_path / "run") == comparable(tmp_path / "plain")


def test_an_interrupted_run_is_stopped_and_continued_under_one_id(command, tmp_path, monkeypatch):
    append, calls = RunFolder.append, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return append(*arguments)

    stream = f"json:{tmp_path / 'events'}"
    options = (*RUN, "--out", tmp_path / "run", "--progress", stream)
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "append", interrupted)
        assert command(*options, TOY_EVENTS=str(tmp_path / "log")).returncode == 130
    with (tmp_path / "events").open("a") as file:
        file.write('{"event": "torn')  # as a full disk would leave it
    assert command(*options, TOY_EVENTS=str(tmp_path / "log")).returncode == 1
    lines = (tmp_path / "events").read_text().splitlines()
    assert lines.pop(next(index for index, line in enumerate(lines) if line.endswith("torn")))
    events = [msgspec.json.decode(line, type=EVENT) for line in lines]
    kinds = [type(event).__name__ for event in events if not isinstance(event, hooks.BatchDone)]
    assert kinds == ["RunStarted", "RunStopped", "RunStarted", "RunFinished"]
    first, stopped, second, _ = (event for event in events if not isinstance(event, hooks.BatchDone))
    assert stopped.reason == "interrupted"
    assert 0 < stopped.done == second.done < 60
    assert first.run_id == second.run_id == load(tmp_path / "run").manifest.tracking.run_id
    assert load(tmp_path / "run").manifest.tracking.hooks == ["toy"]
    logged = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert {pid for pid, _ in logged} == {os.getpid()}
    assert [event for _, event in logged] == [msgspec.to_builtins(event) for event in events]
    assert not any(key in event for _, event in logged for key in ("prompt", "output", "answer", "target"))
    # A finished run is shown again, so that a tracker can be added afterwards.
    assert command(*options).returncode == 1
    assert [type(event) for event in read_after(tmp_path / "events", len(lines) + 1)] == [
        hooks.RunStarted, hooks.RunFinished,
    ]  # fmt: skip


def read_after(path, count):
    return [msgspec.json.decode(line, type=EVENT) for line in path.read_text().splitlines()[count:]]


BROKEN = {
    "init": "    def __init__(self): raise ValueError('no\\n key')",
    "start": "    def run_started(self, event): raise OSError('no network')\n"
    "    def batch_done(self, event): raise AssertionError('not called')",
    "batches": "    def batch_done(self, event): raise KeyError(event.done)",
    "exit": "    def run_finished(self, event): sys.exit(7)",
    "attribute": "    run_started = 5",
    "no text": "    class Odd(Exception):\n        def __str__(self): raise KeyError\n"
    "    def run_finished(self, event): raise self.Odd",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_hook_that_fails_is_reported_once_and_counted(kind, package, command, tmp_path):
    package(BROKEN[kind])
    done = command(*RUN, "--out", tmp_path / "run")
    assert done.returncode == 1
    complaints = [line for line in done.stderr.splitlines() if "noisy" in line]
    assert len(complaints) == 1, done.stderr
    assert complaints[0].startswith("evals: hook noisy ")
    assert complaints[0].endswith("goes on")
    manifest = load(tmp_path / "run").manifest
    assert manifest.tracking.hooks == ["noisy"]
    assert (manifest.tracking.errors["noisy"] > 5) if kind == "batches" else (manifest.tracking.errors["noisy"] == 1)


def test_a_hook_that_hangs_is_left_behind(package, command, tmp_path, monkeypatch):
    monkeypatch.setattr(observer, "PATIENCE", 0.05)
    package("    def run_started(self, event):\n        print('hello')\n        time.sleep(20)")
    done = command(*RUN, "--out", tmp_path / "run")
    assert done.returncode == 1
    assert "hello" not in done.stdout
    assert "hook noisy has not taken its events in time" in done.stderr
    assert load(tmp_path / "run").manifest.tracking.errors == {"noisy": 1}


PRINTING = """
    def run_started(self, event):
        print("to standard output, without an end", end="")
        sys.stderr.write("to standard error, without an end")
    def batch_done(self, event):
        sys.stdout.buffer.write(b"bytes"); sys.stderr.buffer.write(b"more {")
        print("a line", event.done)
    def run_finished(self, event):
        print('{"no end', end="", flush=True)
"""


def test_each_event_is_a_line_whatever_hooks_and_the_code_of_users_print(package, command, tmp_path, monkeypatch):
    package(PRINTING)
    append = RunFolder.append

    def printing(*arguments):
        sys.stderr.write("the main thread, without an end")
        return append(*arguments)

    monkeypatch.setattr(RunFolder, "append", printing)
    options = ("--model", "toy:,toy:picky", "--task", "toy", "--limit", "20", "--out", tmp_path / "run")
    done = command("run", *options, "--progress", "json")  # the threads of the second run may have those' numbers
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    events = [msgspec.json.decode(line, type=EVENT) for line in lines if line.startswith('{"event"')]
    kinds = [type(event) for event in events if not isinstance(event, hooks.BatchDone)]
    assert kinds == 2 * [hooks.RunStarted, hooks.RunFinished]
    assert not [line for line in lines if '"event"' in line and not line.startswith('{"event"')]
    assert all(text in done.stderr for text in ("to standard output", "to standard error", "main thread", "more {"))
    assert done.stderr.endswith("\n")
    assert "without an end" not in done.stdout


@pytest.mark.parametrize("who", ["hook", "code"])
def test_a_working_folder_that_is_changed_moves_nothing(who, package, command, tmp_path, monkeypatch):
    """Of two runs of one command, by relative names: both go where the command was started."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    if who == "hook":
        package(f"    def run_started(self, event): __import__('os').chdir({str(there)!r})")
    else:
        append = RunFolder.append
        monkeypatch.setattr(RunFolder, "append", lambda *arguments: (os.chdir(there), append(*arguments))[1])
    options = ("--model", "toy:,toy:picky", "--task", "toy", "--limit", "20", "--out", "runs")
    done = command("run", *options, "--progress", "json:events", cwd=here)
    assert done.returncode == 1, done.stderr  # samples of one of them failed
    assert "runs holds the run folders" in done.stdout
    assert not list(there.iterdir())
    assert sorted(path.name for path in here.iterdir()) == ["events", "runs"]
    for folder in sorted((here / "runs").iterdir()):
        written = {path.name for path in folder.iterdir()}
        assert {"manifest.json", "samples.jsonl", "result.json", "report.html"} <= written
        assert who == "code" or load(folder).manifest.tracking.errors == {}
    assert {event.run for event in read(here / "events")} == {"runs/toy--toy", "runs/toy-picky-toy"}
    if who == "hook" and sys.platform == "linux":
        assert Path.cwd() == here


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_that_a_hook_forks_does_not_go_on_with_the_run(package, command, tmp_path):
    package("    child = 0\n    def run_started(self, event): Hook.child = __import__('os').fork()")
    assert command(*RUN, "--out", tmp_path / "run").returncode == 1
    _, status = os.waitpid(sys.modules["noisy_hook"].Hook.child, 0)  # it has ended, and did not run the command again
    assert status == 0


def test_what_hooks_print_is_no_output_of_the_command(command, tmp_path):
    done = command(*RUN, "--out", tmp_path / "run", TOY_EVENTS=str(tmp_path / "log"))
    assert "a hook prints" in done.stderr
    assert "a hook prints" not in done.stdout


@pytest.mark.parametrize("end", ["closed", "full", "stuck"])
def test_a_stream_that_cannot_be_written_loses_no_run(end, command, tmp_path, monkeypatch):
    monkeypatch.setattr(observer, "PATIENCE", 0.05)
    reader, writer = os.pipe()
    if end == "closed":
        os.close(reader)
    os.set_blocking(writer, False)
    if end == "stuck":
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"x" * 4096)
    place = "/dev/full" if end == "full" else f"/dev/fd/{writer}"
    if end == "closed":  # a pipe without a reader cannot be opened again: write through the one that is open
        monkeypatch.setattr(json_lines, "_opened", lambda place: os.dup(writer))
    done = command(*RUN, "--out", tmp_path / "run", "--progress", f"json:{place}")
    assert done.returncode == 1
    complaints = [line for line in done.stderr.splitlines() if "hook" in line]
    assert len(complaints) == 1, done.stderr
    assert "--progress json:" in complaints[0]
    assert load(tmp_path / "run").result.n == 60
    os.close(writer)


def test_wrong_values_are_refused_before_the_model_is_loaded(command, tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "data").write_text('{"id": "1"}\n')
    for options, words in {
        ("--progress", "jsn"): ("'jsn'", "json:FILE"),
        ("--progress", "json:"): ("'json:'",),
        ("--progress", f"json:{tmp_path / 'pipe'}"): ("nobody reads",),
        ("--progress", f"json:{tmp_path / 'no' / 'file'}"): ("cannot write",),
        ("--progress", f"json:{tmp_path / 'data'}"): ("holds other things than events",),
        ("--track", "wandbb"): ("did you mean 'wandb'",),
        ("--track", "wandb:"): ("names no project",),
        ("--track", "wandb"): ("pip install 'claim-evals[wandb]'",),
    }.items():
        monkeypatch.setattr(sources.importlib.util, "find_spec", lambda name: None)
        assert refused(command("run", "--model", "nobody", "--task", "toy", *options), *words)
        assert refused(command("run", "--model", "nobody,toy:", "--task", "toy", *options), *words)


def test_a_slow_hook_gets_the_newest_batches():
    taken, gate = [], threading.Event()
    hook = types.SimpleNamespace(batch_done=lambda event: (gate.wait(5), taken.append(event.done)))
    delivery = Delivery(HookSource("slow", lambda: hook, waiting=2), print)
    batch = hooks.BatchDone(
        time="", run="", model="", task="", phase="samples", done=0, total=9, failed=0, truncated=0, prompt_tokens=0,
        new_tokens=0, headline=None, mean=None, seconds=0.0, samples_per_second=None, eta_seconds=None,
    )  # fmt: skip
    for done in range(9):
        delivery.put(msgspec.structs.replace(batch, done=done))
    gate.set()
    delivery.close()
    delivery.wait(5)
    assert taken[-2:] == [7, 8]
    assert len(taken) <= 4
