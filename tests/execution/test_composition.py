"""Composed models: each part answers what it would answer alone, the run says who did, and wrong rows are refused."""

from __future__ import annotations

import base64
import io
import json
import pickle
from pathlib import Path

import msgspec
import pytest
from commands import evals, refused
from PIL import Image as PillowImage

from evals import Image, load, registry
from evals.errors import InputError
from evals.execution.composition import ComposedModel, part_of_modalities, part_of_task
from evals.execution.extending.server_extension import is_partly_served
from evals.execution.resolve import resolve
from evals.execution.run import _WorkerSetup
from evals.execution.workers.cluster import nodes
from evals.execution.workers.cluster.shipping import LocalFiles, local_files
from evals.models.variants import read
from evals.records.folder import RunFolder
from evals.schema import (
    Batch,
    Embed,
    Generate,
    Group,
    Placement,
    Prediction,
    Prompt,
    RunConfig,
    Sample,
    Samples,
    Variant,
)
from evals.schema.contracts import check_variant


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """A file of questions, of which every second has an image."""
    folder = tmp_path_factory.mktemp("rows")
    lines = []
    for index in range(12):
        file = io.BytesIO()
        PillowImage.new("RGB", (32, 32), ["red", "blue", "green"][index % 3]).save(file, "PNG")
        image = {"image": base64.b64encode(file.getvalue()).decode()} if index % 2 else {}
        question = "What color is this?" if index % 2 else f"Question: What is {index} + {index + 3}?\nAnswer:"
        lines.append(json.dumps({"id": str(index), "text": question, "target": "red", **image}))
    (folder / "rows.jsonl").write_text("\n".join(lines))
    (folder / "text.jsonl").write_text("\n".join(lines[::2]))
    (folder / "image.jsonl").write_text("\n".join(lines[1::2]))
    return folder


def run(rows, out, model="r1+vl", file="rows.jsonl", *options):
    arguments = ("--model", model, "--task", "custom", "--data", rows / file, "--max-new-tokens", "4", "--out", out)
    return evals("run", *arguments, *options)


def samples(folder, *kept):
    """What a run recorded of its samples, by id: outputs, inputs and who answered."""
    names = kept or ("output", "values", "failed", "inputs", "answered_by")
    found = {}
    for row in load(folder).samples():
        found[row.id] = {name: row.to_dict().get(name) for name in names}
    return found


@pytest.fixture(scope="module")
def reference(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference") / "run"
    done = run(rows, folder)
    assert done.returncode == 0, done.stderr
    assert "12 samples: 0 failed" in done.stdout
    assert "answered by r1 6, vl 6" in done.stdout
    return folder


def test_each_part_answers_what_it_would_alone(rows, reference, tmp_path):
    composed = samples(reference, "output")
    for model, file in (("r1", "text.jsonl"), ("vl", "image.jsonl")):
        assert run(rows, tmp_path / model, model, file).returncode == 0
        alone = samples(tmp_path / model, "output")
        assert len(alone) == 6
        assert {id: composed[id] for id in alone} == alone
    by = {id: row["answered_by"] for id, row in samples(reference).items()}
    assert by == {str(index): "vl" if index % 2 else "r1" for index in range(12)}
    assert load(reference).result.answered_by == {"r1": 6, "vl": 6}
    assert all(row["inputs"] for row in samples(reference).values())


def test_the_signature_has_both_parts(rows, reference, tmp_path, monkeypatch):
    facts = load(reference).manifest.model
    assert facts["routes"] == {"text": "r1", "image": "vl"}
    assert facts["parts"]["r1"]["digest"] != facts["parts"]["vl"]["digest"]
    assert "checkpoint" not in facts["parts"]["r1"]  # where a file is, is not signed
    assert facts["replica"] is True
    assert not is_partly_served(load(reference).manifest)
    parts = {"r1": {"family": "endpoint"}}
    served = msgspec.structs.replace(load(reference).manifest, model={**facts, "parts": parts})
    assert is_partly_served(served)
    other_order = Variant("r1+vl", "composed", "", {}, details={"compose": {"image": "vl", "text": "r1"}})
    monkeypatch.setitem(registry.VARIANTS._entries, "r1+vl", other_order)
    again = run(rows, reference)
    assert again.returncode == 0, again.stderr  # the folder holds a run of the same signature
    monkeypatch.setitem(
        registry.VARIANTS._entries,
        "r1+vl",
        Variant("r1+vl", "composed", "", {}, details={"compose": {"text": "v2", "image": "vl"}}),
    )
    assert refused(run(rows, reference), "holds run", "model.parts.r1")


def test_batches_and_interruptions_change_nothing(rows, reference, tmp_path, monkeypatch):
    append, calls = RunFolder.append, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return append(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "append", interrupted)
        assert run(rows, tmp_path / "run", "r1+vl", "rows.jsonl", "--token-budget", "120").returncode == 130
    assert 0 < len((tmp_path / "run" / "samples.jsonl").read_text().splitlines()) < 12
    assert run(rows, tmp_path / "run", "r1+vl", "rows.jsonl", "--token-budget", "120").returncode == 0
    assert samples(tmp_path / "run", "output", "answered_by") == samples(reference, "output", "answered_by")
    scored = evals("score", tmp_path / "run")
    assert scored.returncode == 0, scored.stderr
    assert load(tmp_path / "run").result.answered_by == {"r1": 6, "vl": 6}
    shown = evals("show", tmp_path / "run", "--where", "answered by=vl", "--samples", "20")
    assert shown.stdout.count("answered by vl") == 6
    assert "answered by r1" not in shown.stdout.split("\n\n", 1)[1].split("12 samples")[0]


def test_a_worker_leads_requests_as_the_driver_would(rows, reference):
    """A worker's own set-up, without its process: it knows the routes and states the same facts."""
    config = RunConfig.of("r1+vl", "custom", data=rows / "rows.jsonl", max_new_tokens=4, workers=2)
    worker = _WorkerSetup(config, LocalFiles("r1+vl"), (Placement(), Placement()))(1, Path)
    requests = [request for sample in worker.samples for request in sample.requests]
    assert [worker.model.route(request) for request in requests] == ["r1", "vl"] * 6
    facts = load(reference).manifest.model
    assert {name: facts[name] for name in worker.description.facts} == dict(worker.description.facts)
    assert pickle.loads(pickle.dumps(Prediction("1", answered_by="vl"))).answered_by == "vl"


def test_parts_outside_the_package_are_sent_to_a_cluster_and_servers_are_not(tmp_path, monkeypatch):
    registry.discover()
    (tmp_path / "config.json").write_text("{}")
    routes = {"text": "mine", "image": "vl"}
    for name, family, place, details in (
        ("mine", "causal", str(tmp_path), {}),
        ("served", "endpoint", "http://127.0.0.1:1/v1#m", {}),
        ("pair", "composed", None, {"compose": routes}),
        ("half", "composed", None, {"compose": {"text": "served", "image": "vl"}}),
    ):
        variant = Variant(name, family, "", {} if place is None else {"mini": place}, details=details)
        monkeypatch.setitem(registry.VARIANTS._entries, name, variant)
    config = RunConfig.of("pair", "custom", cluster="auto")
    source = resolve("pair", scale="mini", task="custom")
    files = local_files(config, source)
    assert files.parts == {"mine": str(tmp_path)}
    placed = files.placed(source, lambda path: Path("/elsewhere"))
    assert (placed.parts["mine"].checkpoint, placed.parts["vl"]) == ("/elsewhere", source.parts["vl"])
    nodes.check(config, source)
    with pytest.raises(InputError, match="no effect on the part 'served' of 'half'"):
        nodes.check(config, resolve("half", scale="mini"))


@pytest.mark.slow
def test_several_tasks_in_one_command_have_their_own_parts(tmp_path):
    done = evals("run", "--model", "r1+vl", "--task", "vqa,glue/rte,retrieval", "--limit", "3", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    answered = {path.name: load(path).result.answered_by for path in tmp_path.iterdir()}
    assert answered == {"r1-vl-vqa": {"vl": 3}, "r1-vl-glue-rte": {"r1": 3}, "r1-vl-retrieval": {"vl": 3}}


WRONG = {
    "unknown": ({"text": "r11", "image": "vl"}, "no model is named 'r11'; did you mean 'r1'"),
    "cycle": ({"text": "wrong"}, "its part 'wrong' for text is composed itself"),
    "nested": ({"text": "r1+vl"}, "is composed itself"),
    "blind": ({"text": "vl", "image": "r1"}, "its part 'r1' for image reads text only"),
    "modality": ({"text": "r1", "video": "vl"}, "no modality or task is named 'video'"),
    "folder": ({"text": "./r1"}, "its part './r1' for text is a folder or an address", "a row of its own"),
    "address": ({"text": "endpoint:http://host/v1#m"}, "is a folder or an address", "name that row"),
    "settings": ({"text": "warm"}, "its part 'warm' sets temperature for its own runs"),
    "nothing for images": ({"text": "r1"}, "model 'wrong' has no part for image; its routes: text"),
    "nothing for the task": ({"math": "r1"}, "has no part for vqa; its routes: math"),
    "no checkpoint": ({"text": "r1", "image": "vl-7b"}, "model 'vl-7b' has no checkpoint at scale 'mini'"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_row_is_refused_in_one_line(kind, tmp_path, monkeypatch):
    routes, *words = WRONG[kind]
    registry.discover()
    warm = Variant("warm", "causal", "", {"mini": "models/replicas/checkpoints/r1"}, details={"temperature": 0.5})
    for variant in (warm, Variant("wrong", "composed", "", {}, details={"compose": routes})):
        monkeypatch.setitem(registry.VARIANTS._entries, variant.name, variant)
    assert refused(evals("run", "--model", "wrong", "--task", "vqa", "--out", tmp_path / "run"), *words)


def test_other_mistakes_are_refused_in_one_line(tmp_path):
    assert refused(evals("run", "--model", "r1+vl", "--task", "efficiency"), "is composed: time its parts, r1, vl")
    assert refused(evals("run", "--model", "r1+vl", "--task", "vqa", "--checkpoint", "."), "composed of several")
    assert refused(evals("run", "--model", "r1+vl", "--task", "tones"), "has no part for audio")
    assert refused(evals("run", "--model", "r1+vl", "--task", "vqa", "--scale", "full"), "model 'r1' has no checkpoint")
    path = tmp_path / "rows.yaml"
    path.write_text("a:\n  compose:\n    text: r1\n    text: vl\n  summary: two routes\n")
    with pytest.raises(InputError, match="'text' is given twice"):
        read(path)
    path.write_text("a:\n  compose: {text: r1}\n  family: causal\n  summary: both\n")
    with pytest.raises(InputError, match="a has compose and family"):
        read(path)
    for routes in ({}, ["r1", "vl"], None, {"text": 5}, {"text": ""}):
        with pytest.raises(InputError, match="expected names of models by modality or task"):
            check_variant(Variant("wrong", "composed", "", {}, details={"compose": routes}))
    with pytest.raises(InputError, match="a model has the name ' '"):
        check_variant(Variant(" ", "causal", "", {}))


def test_listed_with_what_it_can_do():
    listed = evals("list", "r1+vl")
    assert listed.returncode == 0, listed.stderr
    lines = {line.split()[0]: line for line in listed.stdout.splitlines()[1:]}
    assert all(" runs" in lines[task] for task in ("vqa", "glue", "math", "retrieval"))
    assert "has no part for audio" in lines["tones"]
    assert evals("show-model", "r1+vl").returncode == 0


# Routes


class Part:
    """A model that answers with its name, and checks that it gets its own prompts back."""

    abilities = frozenset({"generate", "embed"})
    token_budget = 100

    def __init__(self, name):
        self.name, self.facts = name, {"digest": name}

    def prepare(self, request):
        return Prompt(request, key="key", tokens=(1, 2), reserve=1)

    def stage(self, prompts, batch):
        assert {prompts[member].key for member in batch.members} == {"key"}
        return self.name

    def run(self, prompts, batch, staged):
        assert staged == self.name
        return [Prediction(prompts[member].request.id, output=self.name) for member in batch.members]


def test_a_mixed_batch_is_divided_and_put_together_in_its_order():
    model = ComposedModel("both", {"text": "a", "image": "b"}, {"a": Part("a"), "b": Part("b")})
    image = Image("i", data=b"")
    requests = [Generate(str(index), (image, "x") if index % 3 else ("x",), 1) for index in range(7)]
    prompts = [model.prepare(request) for request in requests]
    assert len({prompt.key for prompt in prompts}) == 2
    batch = Batch((Group(1, (4, 5)), Group(0, (0,)), Group(0, (1,)), Group(1, (3, 6))))
    predictions = model.run(prompts, batch, model.stage(prompts, batch))
    assert [(made.id, made.output, made.answered_by) for made in predictions] == [
        (str(member), "b" if member % 3 else "a", "b" if member % 3 else "a") for member in batch.members
    ]


def test_embeddings_of_a_run_are_of_one_part():
    model = ComposedModel("both", {"text": "a", "image": "b", "glue": "a"}, {"a": Part("a"), "b": Part("b")})
    image = Image("i", data=b"")

    def samples_of(*parts):
        return Samples(
            ["0"], lambda index: Sample("0", tuple(Embed(str(n), p) for n, p in enumerate(parts)), target="")
        )

    assert model.for_run("retrieval", samples_of(("x",), (image,))).route(Embed("0", ("x",))) == "b"
    assert model.for_run("other", samples_of(("x",))).route(Embed("0", ("x",))) == "a"
    assert model.for_run("glue/rte", samples_of((image,))).route(Embed("0", (image,))) == "a"


def test_images_and_audio_need_one_part():
    routes = {"text": "a", "image": "b", "audio": "c"}
    with pytest.raises(InputError, match="two parts for what has audio and image: b and c"):
        part_of_modalities(routes, ["image", "audio"], "m")
    assert part_of_modalities({**routes, "audio": "b"}, ["image", "audio", "text"], "m") == "b"
    assert part_of_task({"math": "a", "math/gsm8k": "b"}, "math/gsm8k") == "b"
    assert part_of_task({"mat": "a"}, "math") is None
    assert resolve("r1+vl", scale="mini", task="vqa").task_part is None
