"""The shipped trackers: what they call of their packages, and, where these are installed, what is stored offline.

`tox -e trackers` installs the packages. Without them doubles record the calls.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import re
import sqlite3
import sys
import time
import types
from collections import defaultdict

import pytest

from evals import load
from evals.hooks import observer
from evals.hooks.sources import TRACKERS
from evals.records.folder import RunFolder

RUN = ("run", "--model", "toy:", "--task", "toy", "--limit", "60")


def interrupted_and_continued(command, folder, monkeypatch, tracker):
    """Run until the fourth batch, and go on; returns the finished run."""
    append, calls = RunFolder.append, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return append(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "append", interrupted)
        patch.setattr(observer, "PATIENCE_IF_STOPPED", observer.PATIENCE)  # a package may start slowly
        assert command(*RUN, "--out", folder, "--track", tracker).returncode == 130
    done = command(*RUN, "--out", folder, "--track", tracker)
    assert done.returncode == 0, done.stderr
    assert " failed at " not in done.stderr
    record = load(folder)
    assert record.manifest.tracking.errors == {}
    return record


class Recorder:
    """Stands in for a package: records the calls of everything that is asked of it."""

    def __init__(self, calls, name=""):
        self._calls, self._name = calls, name

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Recorder(self._calls, f"{self._name}.{name}".lstrip("."))

    def __call__(self, *arguments, **more):
        self._calls[self._name].append((arguments, more))
        return [] if self._name.endswith("search_runs") else Recorder(self._calls, f"{self._name}()")

    def __contains__(self, name):
        return False


@pytest.fixture
def double(monkeypatch):
    """Put a recorder in the place of a package; returns a function that takes its name and returns the calls."""

    def stand_in(name):
        calls = defaultdict(list)
        module = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        module.__getattr__ = Recorder(calls).__getattr__
        monkeypatch.setitem(sys.modules, name, module)
        return calls

    return stand_in


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_continued_run_is_the_same_run_of_the_tracker(name, double, command, tmp_path, monkeypatch):
    calls = double(name)
    record = interrupted_and_continued(command, tmp_path / "run", monkeypatch, f"{name}:mine")
    first, second = (more for _, more in calls["init"])
    assert {**first, "config": None, "settings": None} == {**second, "config": None, "settings": None}
    assert first["project"] == "mine"
    assert first["resume"] == "allow"
    assert record.manifest.tracking.run_id in (first["id"] if name == "wandb" else first["name"])
    assert first["config"]["signature"] == record.manifest.signature
    assert first["config"]["model.family"] == "toy"
    assert len(calls["init().finish"]) == 2
    logged = [values for (values, *_), _ in calls["init().log"]]
    assert any(values.get("samples/done") == 60 for values in logged)
    results = [values for (values,), _ in calls["init().summary.update"]] if name == "wandb" else logged
    assert results[-1]["accuracy"] == record.result.metrics["accuracy"].value
    assert results[-1]["efficiency/prompt_tokens"] == record.result.efficiency["prompt_tokens"]
    text = json.dumps([first["config"], logged])
    assert not any(row.prompt in text for row in record.samples() if len(row.prompt) > 5)


def test_mlflow_is_asked_for_the_earlier_run(double, command, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "theirs")
    calls = double("mlflow")
    record = interrupted_and_continued(command, tmp_path / "run", monkeypatch, "mlflow")
    assert calls["MlflowClient().get_experiment_by_name"] == 2 * [(("theirs",), {})]
    run_id = record.manifest.tracking.run_id
    for arguments, _ in calls["MlflowClient().search_runs"]:
        assert run_id in arguments[1]
    assert calls["MlflowClient().create_run"][0][1]["tags"]["evals.run_id"] == run_id
    assert [arguments[1] for arguments, _ in calls["MlflowClient().set_terminated"]] == ["KILLED", "FINISHED"]
    metrics = {arguments[0]: arguments[1] for arguments, _ in calls["entities.Metric"]}
    assert metrics["accuracy"] == record.result.metrics["accuracy"].value
    settings = {arguments[0]: arguments[1] for arguments, _ in calls["entities.Param"]}
    assert settings["model.family"] == "toy"


@pytest.mark.slow
@pytest.mark.parametrize("name", TRACKERS)
def test_the_real_package_stores_one_run(name, command, tmp_path, monkeypatch):
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed: tox -e trackers")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    record = interrupted_and_continued(command, tmp_path / "run", monkeypatch, name)
    runs = globals()[f"stored_by_{name}"](tmp_path, record)
    assert len(set(runs)) == 1, runs
    (values,) = {json.dumps(values, sort_keys=True): values for values in runs.values()}.values()
    assert values["accuracy"] == pytest.approx(record.result.metrics["accuracy"].value)
    assert values["result/n"] == 60


def stored_by_wandb(folder, record):
    """The summary by the id of the run; offline, each session has a log, which are joined when they are sent.

    A process of the package writes the logs, and writes their ends after the run has ended.
    """
    id = record.manifest.tracking.run_id
    first, second = sorted((folder / "wandb").glob(f"offline-run-*-{id}/run-{id}.wandb"))
    pairs, deadline = {}, time.monotonic() + 30
    while (b"interrupted" not in first.read_bytes() or len(pairs) < 2) and time.monotonic() < deadline:
        time.sleep(0.1)
        # A log is a sequence of protobuf messages: a key, a few bytes, and the value as JSON.
        pairs = dict(re.findall(rb"[^\w/](accuracy|result/n)[^\w.]{1,6}([\d.]+)", second.read_bytes()))
    assert b"interrupted" in first.read_bytes()
    return {id: {name.decode(): float(value) for name, value in pairs.items()}}


def stored_by_trackio(folder, record):
    """The last values by the name of the run."""
    with sqlite3.connect(folder / "trackio" / "evals.db") as connection:
        rows = connection.execute("select run_name, metrics from metrics order by id").fetchall()
    connection.close()
    names = {name for name, _ in rows}
    assert all(name.endswith(record.manifest.tracking.run_id) for name in names)
    return dict.fromkeys(names, json.loads(rows[-1][1]))


def stored_by_mlflow(folder, record):
    """The metrics by the id of the run."""
    import mlflow

    client = mlflow.MlflowClient()
    runs = client.search_runs([client.get_experiment_by_name("evals").experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED"]
    assert runs[0].data.tags["evals.run_id"] == record.manifest.tracking.run_id
    assert runs[0].data.params["model.family"] == "toy"
    return {run.info.run_id: run.data.metrics for run in runs}
