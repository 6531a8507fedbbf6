"""The registered models: their rows, their sizes, and the tasks and modalities that are refused.

python -m pytest tests/models/test_systems.py
"""

from __future__ import annotations

import json
from pathlib import Path

import checkpoints
import pytest
from commands import ROOT, evals, refused
from vqa_folders import vqa, write

from evals import registry
from evals.errors import InputError
from evals.execution.resolve import resolve
from evals.models.backend import size
from evals.registry import FAMILIES, VARIANTS
from evals.schema import MODALITIES

COUNTED = {
    "deepseek-v3": 671_026_404_352,
    "deepseek-r1": 671_026_404_352,
    "deepseek-r1-zero": 671_026_404_352,
    "deepseek-v2": 235_741_434_880,
    "deepseek-v2-lite": 15_706_484_224,
    "deepseek-vl-1.3b": 1_975_235_584,
    "deepseek-vl-7b": 7_343_985_921,
    "deepseek-r1-distill-qwen-1.5b": 1_777_088_000,
    "deepseek-r1-distill-qwen-7b": 7_615_616_512,
}
SYSTEMS = {"r1": "b", "v3": "b", "vl": "b", "v2": "b", "r1-zero": "b", "r1-moe": "a", "v3-seq2seq": "a"}

registry.discover()


# How big


@pytest.mark.parametrize("name", list(size.public_models()))
@pytest.mark.slow
def test_public_configurations_have_their_published_size(name):
    assert size.count_config(size.public_models()[name].config).parameters == COUNTED[name]


def test_active_parameters_are_those_of_the_model_cards():
    v3, v2, lite = (
        size.count_config(size.public_models()[f"deepseek-{name}"].config) for name in ("v3", "v2", "v2-lite")
    )
    assert (v3.layers, v3.experts, v3.chosen, v3.shared) == (61, 256, 8, 1)
    assert (v2.layers, v2.experts, v2.chosen, v2.shared) == (60, 160, 6, 2)
    assert (lite.layers, lite.experts, lite.chosen, lite.shared) == (27, 64, 6, 2)
    assert round(v3.active / 1e9, 2) == 37.55
    assert round(v2.active / 1e9, 1) == 21.4
    assert round((lite.active - lite.embedding) / 1e9, 2) == 2.45


@pytest.mark.parametrize("kind", ["llama", "qwen2", "deepseek_v2", "deepseek_v3", "t5"])
def test_a_folder_is_counted_as_it_loads(tmp_path, kind):
    import transformers

    folder = checkpoints.language_model(tmp_path, kind)
    auto = transformers.AutoModelForSeq2SeqLM if kind == "t5" else transformers.AutoModelForCausalLM
    model = auto.from_pretrained(folder)
    (counted,) = size.count_models(str(folder), local_copy=Path)
    assert counted.size.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert counted.on_disk > 4 * counted.size.parameters
    if kind.startswith("deepseek"):
        # Two of three layers have four experts of three matrices each, and a token sees two of them.
        assert counted.size.parameters - counted.size.active == 2 * 2 * 3 * 32 * 48


def test_a_class_that_the_library_lacks_is_counted_by_its_weights(tmp_path):
    import torch
    from safetensors.torch import save_file

    write(tmp_path / "config.json", {"model_type": "abacus"})
    with pytest.raises(InputError, match="abacus"):
        size.count_folder(tmp_path)
    save_file({"a": torch.zeros(3, 5), "b": torch.zeros(7)}, tmp_path / "model.safetensors")
    assert size.count_folder(tmp_path).parameters == 22
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(InputError, match=r"model\.safetensors"):
        size.count_folder(tmp_path)


def test_bytes_are_rounded_up():
    assert [size.ModelSize(3, None, None, None).bytes(bits) for bits in size.BITS] == [12, 6, 3, 2]


@pytest.mark.parametrize("variant", list(VARIANTS), ids=lambda variant: variant.name)
def test_told_sizes_are_counted_ones(variant):
    told = variant.details.get("parameters", {})
    hubs = {model.hub: name for name, model in size.public_models().items()}
    if "full" in told:
        hub = variant.checkpoints.get("full") or variant.details["endpoint"]
        assert told["full"] == COUNTED[hubs[hub]]
    if variant.checkpoints.get("mini"):
        assert told["mini"] == size.count_folder(ROOT / variant.checkpoints["mini"]).parameters


# What is told


@pytest.mark.parametrize(("name", "document"), list(SYSTEMS.items()))
def test_every_system_of_the_documents_has_a_whole_row(name, document):
    variant = VARIANTS.get(name)
    assert variant.details["document"] == document
    assert {"claimed", "replica", "public_is", "modalities"} <= variant.details.keys()
    assert variant.tasks


@pytest.mark.parametrize("variant", list(VARIANTS), ids=lambda variant: variant.name)
def test_modalities_are_known_ones(variant):
    for scale, kinds in variant.details.get("modalities", {}).items():
        assert scale in {"mini", "full"}
        assert set(kinds) <= set(MODALITIES.values())


def test_models_are_listed_with_all_their_columns():
    listed = evals("list", "models")
    assert listed.returncode == 0, listed.stderr
    for name in SYSTEMS:
        assert f"{name}  (" in listed.stdout
    for column in ("document", "claimed", "replica", "public", "proxy", "tasks", "reads", "memory"):
        assert f"  {column}  " in listed.stdout
    assert max(map(len, listed.stdout.splitlines())) <= 110


def test_show_model_tells_claim_and_count_without_network():
    shown = evals("show-model", "r1")
    assert shown.returncode == 0, shown.stderr
    for words in ("13B parameters", "671,026,404,352", "37,552,282,624", "256 a layer", "671 GB", "335.5 GB"):
        assert words in shown.stdout


def test_show_model_counts_a_folder():
    shown = evals("show-model", ROOT / VARIANTS.get("vl").checkpoints["mini"])
    assert "files on disk" in shown.stdout


@pytest.mark.parametrize(
    ("name", "words"), [("v4", ["'v4'", "'v3'"]), ("hf:no/such", ["no/such"]), ("/nowhere", ["/nowhere"])]
)
def test_show_model_names_what_it_does_not_know(name, words):
    refused(evals("show-model", name), *words)


# What they may be asked


def test_a_model_that_is_served_says_how_to_reach_it():
    with pytest.raises(InputError, match="endpoint:URL#NAME"):
        resolve("r1", scale="full")
    assert resolve("v3", scale="full", checkpoint="replay:x").family.name == "replay"


def test_a_text_model_is_not_shown_pictures_unless_forced(tmp_path):
    data = vqa(tmp_path / "data", images=False)
    write(tmp_path / "said.json", [{"question_id": 10 + n, "answer": "red"} for n in range(6)])
    asked = ["run", "--model", "v3", "--scale", "full", "--checkpoint", f"replay:{tmp_path / 'said.json'}"]
    asked += ["--task", "vqa", "--data", data, "--out", tmp_path / "run"]
    refused(evals(*asked), "shows image", "'v3' reads text only", "--force")
    done = evals(*asked, "--force")
    assert done.returncode == 0, done.stderr
    blind = json.loads((tmp_path / "run-blind" / "manifest.json").read_text())
    assert blind["task"]["blind"] is True
    assert "blind" in done.stdout


def test_force_is_refused_where_nothing_is_forced(tmp_path):
    write(tmp_path / "said.json", [{"question_id": 10 + n, "answer": "red"} for n in range(6)])
    data = vqa(tmp_path / "data", images=False)
    asked = ["run", "--model", f"replay:{tmp_path / 'said.json'}", "--task", "vqa", "--data", data]
    refused(evals(*asked, "--force", "--out", tmp_path / "run"), "--force is for images", "may read them")


def test_families_say_what_they_read():
    assert FAMILIES.get("causal").modalities == {"text"}
    assert FAMILIES.get("vision_language").modalities == {"text", "image"}
