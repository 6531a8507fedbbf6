"""A Ray cluster of several nodes on this machine: nothing is lost or counted twice, whatever dies, hangs or joins.

The tests share one cluster, whose head has no room for workers, and each adds its nodes. Without Ray they are skipped
(`tox -e cluster`).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from commands import PLUGIN, ROOT, evals, refused, start

from evals.app import api, several
from evals.execution.workers import pool
from evals.execution.workers.cluster import slurm
from evals.execution.workers.patience import Patience
from evals.schema import RunConfig

pytest.importorskip("ray")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray.*"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

COUNT = 3000
BUDGET = 2000
"""Token budget that makes about 50 batches of the toy task."""


@pytest.fixture(scope="module")
def head():
    from ray.cluster_utils import Cluster

    path = os.pathsep.join([str(ROOT), str(PLUGIN)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", path)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_DISABLE_IMPORT_WARNING", "1")
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        patch.setenv("RAY_ADDRESS", cluster.address)
        yield cluster
        cluster.shutdown()


@pytest.fixture
def nodes(head):
    """Add nodes to the cluster: `nodes(2)`; they are removed after the test."""
    added = []

    def add(count, **environment):
        for _ in range(count):
            added.append(head.add_node(num_cpus=1, env_vars=environment or None))
        return added

    yield add
    for node in added:
        with contextlib.suppress(KeyError):
            head.remove_node(node, allow_graceful=False)
    wait_for(lambda: living(head) == 1)


@pytest.fixture
def logs(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder


def logged(logs, event="asked"):
    """The requests of an event, per process, in order."""
    return {path.name.partition("-")[2]: path.read_text().split() for path in sorted(logs.glob(f"{event}-*"))}


def on_cluster(model, out, **options):
    config = RunConfig.of(model, "toy", token_budget=BUDGET, cluster="auto", out=out, **options)
    return api.execute(config)


def command(logs, out):
    model = f"toy:logged:{logs}"
    return ["run", "--model", model, "--task", "toy", "--token-budget", BUDGET, "--cluster", "auto", "--out", out]


def contents(folder):
    """The records in the order of the benchmark and the result, without what a clock or a memory counter filled."""
    rows = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    for row in rows:
        row["cost"] = {name: value for name, value in row["cost"].items() if not name.endswith("seconds")}
    result = json.loads((folder / "result.json").read_text())
    del result["efficiency"]
    return sorted(rows, key=lambda row: row["index"]), result


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The same run by one process; its model logs elsewhere, so the names in its record differ."""
    out = tmp_path_factory.mktemp("one") / "run"
    api.execute(RunConfig.of("toy:", "toy", token_budget=BUDGET, out=out))
    return contents(out)


@contextlib.contextmanager
def started(logs, out, workers):
    """A run in a process group of its own, of which some workers have answered something."""
    running = start("-m", "evals", *command(logs, out), stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_for(lambda: len(logged(logs)) >= workers or running.poll() is not None)
    try:
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.communicate()


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.02)


def is_running(pid):
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_one_two_and_four_nodes_make_the_records_of_one_process(nodes, tmp_path, reference):
    for count, new in ((1, 1), (2, 1), (4, 2)):
        nodes(new)
        on_cluster("toy:", tmp_path / str(count))
        assert contents(tmp_path / str(count)) == reference


def test_pairs_share_the_nodes_and_make_the_records_of_single_commands(nodes, tmp_path):
    nodes(2)
    models, tasks = ["toy:", "toy:picky"], ["toy", "toy/numbers"]
    options = {"first": 600, "token_budget": 500}
    outcome = several.run(models, tasks, cluster="auto", out=tmp_path / "all", **options)
    for record in outcome.records:
        name, task = record.manifest.model_name, record.manifest.task.name
        api.run(name, task, out=tmp_path / "alone" / record.folder.name, **options)
        assert contents(record.folder) == contents(tmp_path / "alone" / record.folder.name)
    assert len(outcome.records) == 4


def test_a_node_that_dies_costs_what_it_was_computing(head, nodes, logs, tmp_path, reference):
    first, _ = nodes(2)
    with started(logs, tmp_path / "run", 2) as running:
        before = set(logged(logs))
        head.remove_node(first, allow_graceful=False)
        wait_for(lambda: any(not is_running(pid) for pid in before))
        dead = [pid for pid in before if not is_running(pid)]
        _, errors = running.communicate(timeout=120)
    assert running.returncode == 0, errors
    asked = Counter(id for ids in logged(logs).values() for id in ids)
    under_way = set((logs / f"asked-{dead[0]}").read_text().splitlines()[-1].split())
    assert len(asked) == COUNT // 4 * 6, "nothing is lost"
    assert {id for id, count in asked.items() if count > 1} <= under_way
    assert [row["output"] for row in contents(tmp_path / "run")[0]] == [row["output"] for row in reference[0]]


def test_a_killed_driver_leaves_no_actor_and_goes_on_with_a_node_more(nodes, logs, tmp_path, reference):
    nodes(1)
    log = tmp_path / "run" / "samples.jsonl"
    with started(logs, tmp_path / "run", 1) as running:
        wait_for(lambda: log.exists() and log.stat().st_size)
        running.terminate()  # it dies at once, as of SIGKILL
        assert running.wait() == -signal.SIGTERM
        (actor,) = logged(logs)
        wait_for(lambda: not is_running(actor), 60)
    kept = log.read_bytes()
    assert 0 < kept.count(b"\n") < COUNT
    with started(logs, tmp_path / "run", 2) as running:
        (logs / "hold").touch()
        nodes(1)
        wait_for(lambda: len(logged(logs, "prepared")) == 3 or running.poll() is not None)
        (logs / "hold").unlink()
        _, errors = running.communicate(timeout=120)
    assert running.returncode == 0, errors
    assert len(logged(logs)) == 3, "the node that joined computed something"
    assert log.read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])
    assert [row["output"] for row in contents(tmp_path / "run")[0]] == [row["output"] for row in reference[0]]


def test_an_actor_that_hangs_is_ended(nodes, logs, tmp_path, reference, monkeypatch):
    nodes(2)
    monkeypatch.setattr(pool, "PATIENCE", Patience(batch=3.0, factor=2.0))
    on_cluster(f"toy:hangs:{tmp_path / 'marker'}", tmp_path / "batch")
    assert (tmp_path / "marker").exists()
    assert [row["output"] for row in contents(tmp_path / "batch")[0]] == [row["output"] for row in reference[0]]
    monkeypatch.setattr(pool, "PATIENCE", Patience(silent=6.0))
    stopping = threading.Thread(target=stop_one, args=(logs,), daemon=True)
    stopping.start()
    on_cluster(f"toy:logged:{logs}", tmp_path / "process")
    stopping.join(10)
    assert len(Counter(id for ids in logged(logs).values() for id in ids)) == COUNT // 4 * 6
    assert [row["output"] for row in contents(tmp_path / "process")[0]] == [row["output"] for row in reference[0]]


def stop_one(logs):
    wait_for(lambda: len(logged(logs)) == 2)
    os.kill(int(min(logged(logs))), signal.SIGSTOP)


def test_machines_that_differ_are_refused_by_name(nodes, tmp_path):
    nodes(1, TOY_DEVICE="NVIDIA A100")
    nodes(1, TOY_DEVICE="NVIDIA H100")
    run = ["run", "--model", "toy:", "--task", "toy", "--first", 50, "--cluster", "auto", "--out", tmp_path / "run"]
    refused(evals(*run), "NVIDIA A100", "NVIDIA H100", "--mixed", "worker 0 on ", "worker 1 on ")
    assert not (tmp_path / "run").exists()
    assert evals(*run, "--mixed").returncode == 0
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["model"]["devices"] == ["NVIDIA A100", "NVIDIA H100"]


def test_a_machine_with_another_version_is_refused_by_name(nodes, tmp_path):
    other = tmp_path / "other" / "numpy-99.0.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 99.0\n")
    nodes(1, PYTHONPATH=os.pathsep.join([str(other.parent), os.environ["PYTHONPATH"]]))
    run = ["run", "--model", "toy:", "--task", "toy", "--first", 50, "--cluster", "auto", "--out", tmp_path / "run"]
    refused(evals(*run), "worker 0 on ", "numpy 99.0", "install the same versions")


@pytest.fixture
def apart(head, tmp_path):
    """Add a node that sees an empty folder in place of one of this machine: `apart(folder)`; `setup` fills it."""
    started = []
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not have a file system of his own")

    def add(folder, setup="true"):
        node = f"{sys.executable} -m ray.scripts.scripts start --address={head.address} --num-cpus=1 --block"
        script = f"mount -t tmpfs none {folder} && cd / && {setup} && exec {node}"
        environment = {**os.environ, "EVALS_CACHE": str(tmp_path / f"cache-{len(started)}")}
        started.append(
            subprocess.Popen(
                ["unshare", "-rm", "sh", "-c", script], env=environment, start_new_session=True,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
        )  # fmt: skip
        wait_for(lambda: living(head) == 1 + len(started))

    yield add
    for node in started:
        os.killpg(node.pid, signal.SIGKILL)
        node.wait()
    wait_for(lambda: living(head) == 1)


def living(cluster):
    return sum(node["Alive"] for node in cluster.global_state.node_table())


def test_files_that_a_node_lacks_are_sent_and_those_that_differ_are_refused(apart, tmp_path):
    folder = tmp_path / "my files"
    folder.mkdir()
    rows = [{"id": str(number), "text": f"{number}?", "target": str(number % 5)} for number in range(50)]
    answers = [{"id": str(number), "output": str(number % 3)} for number in range(50)]
    for name, lines in (("rows.jsonl", rows), ("answers.jsonl", answers)):
        (folder / name).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    run = ["run", "--model", f"replay:{folder}/answers.jsonl", "--task", "custom", "--data", folder / "rows.jsonl"]
    assert evals(*run, "--out", tmp_path / "one").returncode == 0
    apart(f"'{folder}'")
    done = evals(*run, "--cluster", "auto", "--out", tmp_path / "sent")
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "sent") == contents(tmp_path / "one")
    sent = sorted(path.name for path in (tmp_path / "cache-0" / "shipped").glob("*/*"))
    assert sent == ["answers.jsonl", "rows.jsonl"]
    (folder / "remainders.yaml").write_text(
        "data: rows.jsonl\nsplit: rows\nprompt: '{{ text }}'\ntarget: target\nid: id\n"
    )
    run_file = ["run", "--model", f"replay:{folder}/answers.jsonl", "--task", "./remainders.yaml"]
    assert evals(*run_file, "--out", tmp_path / "file one", cwd=folder).returncode == 0
    done = evals(*run_file, "--cluster", "auto", "--out", tmp_path / "file sent", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "file sent") == contents(tmp_path / "file one")
    (tmp_path / "other.jsonl").write_text((folder / "rows.jsonl").read_text().replace('"target": "4"', '"target": "9"'))
    apart(f"'{folder}'", f"cp '{tmp_path}/other.jsonl' '{folder}/rows.jsonl'")
    differing = evals(*run, "--cluster", "auto", "--out", tmp_path / "differs")
    refused(differing, "worker ", " on ", "reads other data than the command's machine")
    assert not (tmp_path / "differs").exists()


def test_the_slurm_script_starts_a_cluster_on_one_machine(tmp_path, logs, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for name, text in {
        "scontrol": "echo this-node",
        "srun": 'while [[ "$1" == --* ]]; do shift; done; exec "$@"',
        "hostname": "echo 127.0.0.1",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    arguments = [str(part) for part in command(logs, tmp_path / "run")[1:] if part not in {"--cluster", "auto"}]
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_NODELIST": "x"}
    environment |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(PLUGIN)])}
    job = subprocess.Popen(
        ["bash", "-c", slurm.script(arguments, nodes=1, cpus=1, port=6479)],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        assert job.wait(180) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGTERM)  # as Slurm ends the steps of a job
        job.communicate(timeout=60)
    assert len(contents(tmp_path / "run")[0]) == COUNT


def test_without_a_cluster_the_run_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    run = ["run", "--model", "toy:", "--task", "toy", "--cluster", "auto", "--out", tmp_path / "run"]
    refused(evals(*run), "--cluster auto", "no Ray cluster")
    monkeypatch.setenv("RAY_ADDRESS", "local")
    refused(evals(*run), "--cluster auto", "RAY_ADDRESS is local")
    refused(evals(*run[:-4], "--cluster", "tcp://x", "--out", tmp_path / "run"), "ray://HOST:PORT")


def test_starting_without_ray_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    run = ["run", "--model", "toy:", "--task", "toy", "--cluster", "auto", "--out", tmp_path / "run"]
    refused(evals(*run), "claim-evals[cluster]")
