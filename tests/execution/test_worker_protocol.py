"""The protocol between driver and workers: agreement, patience, files that are sent, the actor of a cluster."""

from __future__ import annotations

import functools
import json
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from commands import evals, refused

from evals import registry
from evals.app import api
from evals.errors import EvalsError, InputError
from evals.execution import run
from evals.execution.inputs import SplitInput
from evals.execution.loop import AnsweredRequest
from evals.execution.resolve import resolve
from evals.execution.windows import BatchId, Lease
from evals.execution.workers import agreement, pool
from evals.execution.workers.cluster import shipping
from evals.execution.workers.cluster.actor import WorkerActor
from evals.execution.workers.cluster.nodes import Cluster, Connection
from evals.execution.workers.messages import (
    Acquire,
    Compute,
    Computed,
    Heartbeat,
    Idle,
    Loaded,
    Missing,
    NextWindow,
    Open,
    Origin,
    Started,
    Stopped,
    decode,
    encode,
)  # fmt: skip
from evals.execution.workers.patience import Patience, Vigil
from evals.execution.workers.serving import LoadedRun
from evals.execution.workers.sharing.run_workers import QueuedRun
from evals.execution.workers.sharing.shared import SharedWorkers
from evals.records.inputs import Continuation, Media, RecordedInput
from evals.records.signature import RemoteModel
from evals.schema import Generate, Options, Placement, Prediction, RunConfig, Sample, Samples

SAMPLES = Samples(["a", "b"], lambda index: Sample("ab"[index], (), target=None), {"source": "made up", "folder": "/x"})
FACTS = {"family": "causal", "digest": "1a", "device": "NVIDIA A100", "checkpoint": "/here"}


def loaded(samples=SAMPLES, budget=100, **facts):
    model = RemoteModel("m", {**FACTS, **facts}, token_budget=budget, code="c0de")
    return Loaded(model, agreement.origin(samples))


def agreed(*, mixed=False):
    agreement_ = agreement.WorkerAgreement(agreement.origin(SAMPLES), kinds=agreement.DeviceKinds(mixed=mixed))
    agreement_.add(0, "10.0.0.1", loaded())
    return agreement_


def test_equal_workers_agree_wherever_their_files_are():
    agreement_ = agreed()
    elsewhere = replace(SAMPLES, facts={**SAMPLES.facts, "folder": "/y"})
    agreement_.add(1, "10.0.0.2", loaded(elsewhere, budget=60, checkpoint="/there"))
    assert agreement_.model().token_budget == 60, "the batches fit the smallest machine"
    assert agreement_.model().facts == FACTS


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (loaded(digest="2b"), ["worker 0 on 10.0.0.1", "worker 1 on 10.0.0.2", "digest"]),
        (loaded(device="NVIDIA H100"), ["10.0.0.1 has NVIDIA A100", "10.0.0.2 has NVIDIA H100", "--mixed"]),
        (loaded(replace(SAMPLES, ids=["a", "c"])), ["worker 1 on 10.0.0.2", "other data", "ids"]),
        (loaded(replace(SAMPLES, facts={"source": "other"})), ["worker 1 on 10.0.0.2", "other data", "source"]),
    ],
)
def test_workers_that_differ_are_refused_by_name(other, words):
    with pytest.raises(InputError) as error:
        agreed().add(1, "10.0.0.2", other)
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize(("package", "word"), [("torch", "torch 0.1"), ("evals", "other sources of the suite")])
def test_another_version_is_refused_by_name(package, word):
    equal = loaded()
    versions = {**equal.origin.versions, package: "0.1"}
    other = replace(equal, origin=replace(equal.origin, versions=versions))
    with pytest.raises(InputError, match=f"worker 1 on 10.0.0.2 has {word}.*install the same versions"):
        agreed().add(1, "10.0.0.2", other)


def test_mixed_gpus_are_recorded_in_a_fixed_order():
    agreement_ = agreed(mixed=True)
    agreement_.add(1, "10.0.0.2", loaded(device="AMD MI300"))
    facts = agreement_.model().facts
    assert facts["devices"] == ["AMD MI300", "NVIDIA A100"]
    assert "device" not in facts
    agreement_.add(2, "10.0.0.3", loaded())  # one that joins later, of a kind that the manifest lists
    with pytest.raises(
        InputError, match=r"worker 3 on 10\.0\.0\.4 has NVIDIA H100, and .* AMD MI300, NVIDIA A100 only"
    ):
        agreement_.add(3, "10.0.0.4", loaded(device="NVIDIA H100"))


def test_an_answer_arrives_as_it_was_sent():
    shortened = Generate("7", ("short",), 4)
    prediction = Prediction(
        "7",
        ["a", {"b": None}],
        "late",
        True,
        (-1.5,),
        3,
        2,
        4.5,
        3.5,
        "hm",
        True,
        (5, 6),
        True,
        shortened,
        {"usd": 0.1},
        "vl",
    )
    assert not any(getattr(prediction, name) == getattr(Prediction("8"), name) for name in Prediction.__slots__)
    recorded = RecordedInput(
        "é\n", [1, (2, 5)], "ab12", [Continuation(" yes", [7])], [Media("image", None, True)],
        [{"role": "user", "content": [3, {"image": 0}, None, 1.5]}],
    )  # fmt: skip
    for answer in (
        AnsweredRequest(4, prediction, 0.5, 0.25, SplitInput(recorded, None)),
        AnsweredRequest(5, Prediction("8"), 0.0, 0.0),
    ):
        sent = Computed([BatchId(0, 1)], [answer], None, 9)
        assert decode(encode(sent)) == sent


def test_a_silent_worker_hangs_and_one_that_waits_for_a_place_does_not():
    patience = Patience(silent=10, loading=100, batch=50, factor=2)
    vigil = Vigil(patience)
    vigil.on_silence(10_000)
    assert vigil.hangs(None) is None, "it has not started"
    vigil.on_message(Started())
    vigil.on_silence(99)
    assert vigil.hangs(None) is None, "it loads"
    vigil.on_message(loaded())
    vigil.on_silence(11)
    assert "sent nothing for 11 s" in vigil.hangs(None)


def test_a_batch_hangs_only_beside_batches_that_were_finished():
    vigil = Vigil(Patience(silent=10, batch=50, factor=2))
    vigil.on_message(loaded())
    for _ in range(100):
        vigil.on_silence(1)
        vigil.on_message(Heartbeat())
    assert vigil.hangs(None, computes=True) is None, "nothing is known about how long a batch takes"
    assert vigil.hangs(60, computes=True) is None
    assert vigil.hangs(40, computes=False) is None
    assert "one batch for 100 s" in vigil.hangs(40, computes=True)
    assert vigil.on_message(Computed([], [], None, 0)) == 100
    assert vigil.hangs(1, computes=True) is None
    vigil.on_message(Loaded(loaded().model, Origin("", concurrent=True)))
    vigil.on_silence(9)
    vigil.on_message(Heartbeat())
    for _ in range(100):
        vigil.on_silence(9)
        vigil.on_message(Heartbeat())
    assert vigil.hangs(1, computes=True) is None, "it waits for a server"


def test_files_are_sent_whole_and_once(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "data"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "a.bin").write_bytes(bytes(range(256)))
    (folder / ".hidden").write_text("no")
    (folder / "b.txt").write_text("b")
    parcel = shipping.pack(str(folder))
    place = shipping.unpack(decode(encode(parcel)))
    assert place.name == "data"
    assert sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()) == [
        "b.txt",
        "inner/a.bin",
    ]
    assert (place / "inner" / "a.bin").read_bytes() == bytes(range(256))
    (place / "b.txt").write_text("kept")
    assert (shipping.unpack(parcel) / "b.txt").read_text() == "kept", "it is not written again"
    assert shipping.unpack(shipping.pack(str(folder / "b.txt"))).read_text() == "b"
    assert list((tmp_path / "cache" / "shipped").glob(".*")) == []
    with pytest.raises(InputError, match="outside"):
        shipping.unpack(replace(parcel, digest="0", files=(("../../x", b""),)))


def test_what_is_too_large_is_not_sent(tmp_path, monkeypatch):
    (tmp_path / "x").write_bytes(bytes(100))
    monkeypatch.setattr(shipping, "LIMIT", 99)
    with pytest.raises(InputError, match=r"x has .* same path on every machine, or give a hub id"):
        shipping.pack(str(tmp_path / "x"))


def test_only_files_of_this_machine_are_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out.jsonl").write_text("")
    (tmp_path / "rows.jsonl").write_text("")
    config = RunConfig.of("replay:out.jsonl", "custom", data="rows.jsonl")
    files = shipping.local_files(config, resolve(config.model, scale="mini"))
    assert (files.model_name, files.checkpoint, files.data) == (
        "replay:out.jsonl", str(tmp_path / "out.jsonl"), str(tmp_path / "rows.jsonl")
    )  # fmt: skip
    moved = files.located(config, lambda path: tmp_path / "moved" / path.rpartition("/")[2])
    assert moved.model == f"replay:{tmp_path}/moved/out.jsonl"
    assert moved.options.data == tmp_path / "moved" / "rows.jsonl"
    bundled = RunConfig.of("r1", "math/sums")
    files = shipping.local_files(bundled, resolve("r1", scale="mini"))
    assert files == shipping.LocalFiles("r1")
    assert files.located(bundled, lambda path: tmp_path) == bundled
    nameless = RunConfig.of("toy:", "toy")
    assert shipping.local_files(nameless, resolve("toy:", scale="mini")) == shipping.LocalFiles("toy:")
    option = RunConfig.of("r1", "custom", checkpoint="replay:out.jsonl")
    files = shipping.local_files(option, resolve("r1", scale="mini", checkpoint=option.checkpoint))
    assert files.located(option, lambda path: tmp_path / "y").checkpoint == f"replay:{tmp_path}/y"


def talk(actor, *messages, until):
    """Exchange messages with an actor until one of a kind comes; return it. What came behind it is read next time."""
    unread = vars(actor).setdefault("unread_by_the_test", [])
    outbox, deadline = [encode(message) for message in messages], time.monotonic() + 60
    while time.monotonic() < deadline:
        unread += map(decode, actor.exchange(outbox, 0.1))
        while unread:
            message = unread.pop(0)
            if isinstance(message, until):
                return message
        outbox = []
    raise AssertionError(f"no {until} came")


def read_and_refuse(there, place, locate, loaded):
    raise InputError(f"read {locate(there).read_text()}")


def divide_by_zero(place, locate, loaded):
    raise ZeroDivisionError("by zero")


def load_toy(place, locate, loaded):
    samples = registry.TASKS.get("toy/numbers").samples(Options())
    model = resolve("toy:", scale="mini").load(Placement())
    return LoadedRun(samples, model, RemoteModel("m", model.facts), agreement.origin(samples))


def test_an_actor_asks_for_files_that_its_machine_lacks(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "rows.jsonl").write_text("sent")
    there = str(tmp_path / "elsewhere" / "rows.jsonl")
    actor = WorkerActor(0, {})
    assert talk(actor, Open(functools.partial(read_and_refuse, there)), until=Missing).path == there
    actor.deliver_files(shipping.pack(str(tmp_path / "rows.jsonl")))
    assert talk(actor, until=Stopped) == Stopped("read sent", is_bad_input=True)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_actor_that_fails_says_why():
    before = set(threading.enumerate())
    actor = WorkerActor(0, {})
    with pytest.raises(RuntimeError, match="ZeroDivisionError: by zero"):
        talk(actor, Open(divide_by_zero), until=Loaded)
    for thread in set(threading.enumerate()) - before:  # else its exception would be another test's
        thread.join(30)


def test_an_actor_computes_what_it_leases(tmp_path):
    from evals.execution.executor import whole
    from evals.records.types import PlanEntry

    actor = WorkerActor(0, {})
    assert talk(actor, Open(load_toy), until=Loaded).origin.data["samples"] == 1200
    talk(actor, Compute(whole, PlanEntry(budget=None, share=True, window=4, token_budget=1000), None), until=NextWindow)
    talk(actor, Lease(8), until=NextWindow)  # the next window is prepared in advance
    actor.deliver(encode(None))
    assert talk(actor, until=Acquire).ids == {"8", "9", "10", "11"}
    computed = talk(actor, True, until=Computed)
    assert sorted(answer.sample_index for answer in computed.answers) == [8, 9, 10, 11]
    talk(actor, until=Idle)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--cluster", "10.0.0.1"], ["--cluster 10.0.0.1", "auto or ray://HOST:PORT"]),
        (["--cluster", "auto", "--device", "cuda:1"], ["cuda:1", "give cuda or cpu"]),
        (["--mixed"], ["--mixed", "--cluster"]),
    ],
)
def test_what_a_cluster_cannot_do_is_refused(tmp_path, options, words):
    run = ["run", "--model", "r1", "--task", "math/sums", "--limit", 2, "--out", tmp_path / "run", *options]
    refused(evals(*run), *words)


def test_a_server_is_not_computed_on_a_cluster(tmp_path):
    model = "endpoint:http://127.0.0.1:9/v1#m"
    done = evals("run", "--model", model, "--task", "math/sums", "--cluster", "auto", "--out", tmp_path / "run")
    refused(done, "endpoint:URL1|URL2#NAME")
    assert json.dumps(done.stderr).count("http://") == 0


class FullCluster:
    """A cluster that has no place for its only worker (a `Transport`)."""

    def start(self):
        return [0]

    def receive(self, seconds):
        time.sleep(0.01)
        return []

    def send(self, worker, message):
        pass

    def close(self):
        pass

    def machine(self, worker):
        return "10.0.0.1"

    def needs(self):
        return "a free GPU"


def test_a_run_without_a_place_says_what_it_waits_for_and_ends(monkeypatch, capsys):
    monkeypatch.setattr(pool, "PATIENCE", Patience(unsaid=0.02, place=0.05))
    words = "each needs a free GPU"
    with pytest.raises(EvalsError, match=f"no worker got a place within 0 s: {words}"):
        pool.Pool(FullCluster(), load_toy, SAMPLES, agreed())
    assert words in capsys.readouterr().err
    with pytest.raises(EvalsError, match=words):
        SharedWorkers(FullCluster).execute([QueuedRun("r", "m", lambda workers: workers.start())])
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("gpus", "nodes", "workers"),
    [(1, [{"CPU": 8, "GPU": 2}, {"CPU": 8, "GPU": 1}], 3), (2, [{"CPU": 8, "GPU": 5}, {"CPU": 8}], 2),
     (0, [{"CPU": 8, "GPU": 2}, {"CPU": 4}], 2), (2, [{"CPU": 8}, {"GPU": 0}], 1), (4, [{"CPU": 8, "GPU": 2}], None)],
)  # fmt: skip
def test_workers_get_whole_gpus_of_one_node(gpus, nodes, workers, monkeypatch):
    listed = [
        {"NodeID": str(at), "Alive": True, "NodeManagerAddress": f"10.0.0.{at}", "Resources": resources}
        for at, resources in enumerate(nodes)
    ]
    ray = SimpleNamespace(nodes=lambda: listed, remote=lambda kind: None)
    cluster = Cluster(Connection(ray, is_shared=True), gpus=gpus)
    monkeypatch.setattr(cluster, "_start", lambda node: node.id)
    if workers is None:
        with pytest.raises(InputError, match="each worker needs 4 GPUs of one node, and no node has more than 2"):
            cluster.start()
    else:
        assert len(cluster.start()) == workers


def test_what_stops_a_worker_of_another_machine_is_told_with_its_name():
    cluster = FullCluster()
    cluster.receive = lambda seconds: [(0, Stopped("rows.jsonl has no target", is_bad_input=True))]
    with pytest.raises(InputError, match=r"^worker 0 on 10\.0\.0\.1: rows\.jsonl has no target$"):
        pool.Pool(cluster, load_toy, SAMPLES, agreed())


def test_no_worker_is_started_without_a_sample(tmp_path, monkeypatch):
    def refuse(count):
        raise InputError(f"{count} processes")

    monkeypatch.setattr(run, "LocalProcesses", refuse)
    config = RunConfig.of("toy:", "toy", workers=8, first=3, out=tmp_path / "run")
    with pytest.raises(InputError, match=r"^3 processes"):
        api.execute(config)
