"""Checkpoints that are quantised here: exact roundings, files that public loaders read, and refusals."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import checkpoints
import pytest
import torch
from commands import ROOT
from draws import examples
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from evals.data.checkpoints import read_config
from evals.errors import InputError
from evals.execution.resolve import resolve
from evals.models.backend.quantising import checkpoint
from evals.models.backend.quantising.checkpoint import quantise_checkpoint
from evals.models.backend.quantising.rounding import pack, round_rows
from evals.models.backend.quantising.tensor_file import PlannedTensor, write_tensors
from evals.models.families import causal
from evals.schema import Placement


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    config = checkpoints.config_of(
        "llama", hidden_size=128, intermediate_size=258, head_dim=32, tie_word_embeddings=True
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    checkpoints.tokenizer(folder).save_pretrained(folder)
    return folder


@pytest.fixture
def copy(base, tmp_path):
    return Path(shutil.copytree(base, tmp_path / "copy"))


def unpacked(folder):
    """The weights of a quantised folder, as its numbers say: written out from the format's definition."""
    weights = {}
    for path in sorted(folder.glob("*.safetensors")):
        stored = load_file(path)
        for name, tensor in stored.items():
            if name.endswith("_packed"):
                stem = name.removesuffix("_packed")
                rows, columns = stored[f"{stem}_shape"].tolist()
                integers = torch.stack([(tensor >> 8 * place & 255) - 128 for place in range(4)], -1)
                weights[stem] = integers.reshape(rows, -1)[:, :columns].float() * stored[f"{stem}_scale"].float()
            elif f"{name}_scale" in stored:
                weights[name] = tensor.float() * stored[f"{name}_scale"].float()
            elif not name.endswith(("_scale", "_shape")):
                weights[name] = tensor
    return weights


@examples(30, 1000)
@given(
    st.lists(st.lists(st.floats(-1e4, 1e4, width=16), min_size=5, max_size=5), min_size=1, max_size=4),
    st.sampled_from([torch.float32, torch.float16, torch.bfloat16]),
)
def test_a_weight_is_off_by_half_a_scale_at_most(rows, dtype):
    weight = torch.tensor(rows).to(dtype)
    integers, scales = round_rows(weight)
    assert scales.dtype == dtype
    assert int(integers.abs().max()) <= 127
    error = (integers.double() * scales.double() - weight.double()).abs()
    assert bool((error <= scales.double() / 2 * (1 + 1e-6)).all())
    assert bool((scales.double() * 127 >= weight.double().abs().amax(1, keepdim=True) * (1 - 1e-6)).all())


@examples(30, 300)
@given(st.lists(st.integers(-128, 127), min_size=1, max_size=9))
def test_packing_is_a_row_of_bytes_with_an_offset(numbers):
    packed = pack(torch.tensor([numbers], dtype=torch.int8))[0].tolist()
    whole = sum((number + 128) << 8 * place for place, number in enumerate(numbers))
    assert [number & 0xFFFFFFFF for number in packed] == [
        whole >> 32 * word & 0xFFFFFFFF for word in range(-(-len(numbers) // 4))
    ]


def test_packing_is_that_of_compressed_tensors():
    helpers = pytest.importorskip("compressed_tensors.compressors.pack_quantized.helpers")
    integers = torch.randint(-128, 128, (5, 38), dtype=torch.int8)
    assert torch.equal(pack(integers), helpers.pack_to_int32(integers, 8))


def test_a_file_that_is_written_tensor_by_tensor_is_a_safetensors_file(tmp_path):
    tensors = {
        "a": torch.arange(6.0).reshape(2, 3),
        "b": torch.tensor([1, 2], dtype=torch.int8),
        "c": torch.zeros(0, 4),
    }
    planned = [PlannedTensor("a", "F32", (2, 3)), PlannedTensor("b", "I8", (2,)), PlannedTensor("c", "F32", (0, 4))]
    write_tensors(tmp_path / "x.safetensors", planned, tensors.__getitem__, {"format": "pt"})
    loaded = load_file(tmp_path / "x.safetensors")
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())


def test_linear_layers_are_rounded_and_the_others_are_kept(base, tmp_path):
    made = quantise_checkpoint(base, tmp_path / "out")
    before, after = load_file(base / "model.safetensors"), unpacked(tmp_path / "out")
    assert before.keys() == after.keys()
    for name, weight in before.items():
        if name.endswith("proj.weight"):
            assert 0 < (after[name] - weight).abs().max() <= weight.abs().amax(1).max() / 127 / 2 * 1.0001
        else:
            assert torch.equal(after[name], weight)
    assert made.kept_layers == ("lm_head",)
    assert 3.7 < made.linear.ratio < 4.0, "four times smaller, less a scale per row"
    assert made.linear.bits[0] == 32
    assert made.files.parameters == sum(weight.numel() for weight in before.values())
    assert made.files.after == (tmp_path / "out" / "model.safetensors").stat().st_size
    assert (tmp_path / "out" / "tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes()
    stated = read_config(tmp_path / "out")["quantization_config"]
    assert stated["config_groups"]["group_0"]["weights"]["num_bits"] == 8
    assert (stated["format"], stated["ignore"]) == ("pack-quantized", ["lm_head"])


def test_a_copy_of_a_replica_says_that_it_is_one(base, tmp_path):
    quantise_checkpoint(ROOT / "models" / "replicas" / "checkpoints" / "r1", tmp_path / "r1")
    quantise_checkpoint(base, tmp_path / "other")
    marks = [resolve(str(tmp_path / name), scale="mini").replica for name in ("r1", "other")]
    assert marks == [True, False]


def test_shards_of_16_bits_are_written_one_by_one(base, copy, tmp_path):
    weights = {name: weight.bfloat16() for name, weight in load_file(copy / "model.safetensors").items()}
    (copy / "model.safetensors").unlink()
    names, places = sorted(weights), {}
    for number, part in enumerate((names[:5], names[5:]), start=1):
        shard = f"model-0000{number}-of-00002.safetensors"
        save_file({name: weights[name] for name in part}, copy / shard, metadata={"format": "pt"})
        places |= dict.fromkeys(part, shard)
    (copy / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    (copy / "pytorch_model.bin").write_bytes(b"another copy of the weights")
    made = quantise_checkpoint(copy, tmp_path / "out")
    assert 1.9 < made.linear.ratio < 2.0
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())["weight_map"]
    for shard in set(places.values()):
        assert load_file(tmp_path / "out" / shard).keys() == {name for name, place in index.items() if place == shard}
    assert unpacked(tmp_path / "out").keys() == weights.keys()
    assert not (tmp_path / "out" / "pytorch_model.bin").exists()


def change_config(folder, **fields):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **fields}))


def add_weight(folder, name, weight):
    weights = load_file(folder / "model.safetensors")
    save_file(weights | {name: weight}, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda folder: change_config(folder, quantization_config={"quant_method": "fp8"}),
            "quantised already, by fp8",
        ),
        (lambda folder: change_config(folder, architectures=["MyModel"]), "the library has no class 'MyModel'"),
        (lambda folder: change_config(folder, architectures=["GenerationMixin"]), "no class 'GenerationMixin'"),
        (lambda folder: (folder / "model.safetensors").unlink(), "has no .safetensors file"),
        (lambda folder: (folder / "config.json").unlink(), "it has no config.json"),
        (
            lambda folder: add_weight(
                folder, "model.layers.0.mlp.up_proj.weight", torch.zeros(258, 128, dtype=torch.int8)
            ),
            "as I8: it is quantised already",
        ),
        (
            lambda folder: add_weight(folder, "model.layers.0.mlp.up_proj.weight", torch.full((258, 128), torch.nan)),
            "up_proj.weight holds a number that is not finite",
        ),
        (
            lambda folder: add_weight(folder, "model.norm.weight", torch.full((128,), -torch.inf)),
            "model.norm.weight holds a number that is not finite",
        ),
        (
            lambda folder: add_weight(
                folder, "model.layers.0.mlp.up_proj.weight", torch.full((258, 128), 1e300, dtype=torch.float64)
            ),
            "up_proj.weight holds a number that 32 bits cannot hold",
        ),
        (
            lambda folder: add_weight(folder, "model.layers.0.mlp.experts.3.w1.weight", torch.zeros(2, 2)),
            "is a mixture of experts .* not supported: transformers joins the experts' weights",
        ),
    ],
)
def test_what_cannot_be_quantised_is_refused_in_one_line(copy, tmp_path, change, message):
    change(copy)
    with pytest.raises(InputError, match=message) as refusal:
        quantise_checkpoint(copy, tmp_path / "out")
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "out").exists(), "half a checkpoint was left behind"
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_the_new_folder_must_be_empty_and_elsewhere(copy, tmp_path):
    (tmp_path / "out").mkdir()
    quantise_checkpoint(copy, tmp_path / "out")
    with pytest.raises(InputError, match="exists and is not an empty folder"):
        quantise_checkpoint(copy, tmp_path / "out")
    with pytest.raises(InputError, match="quantised already, by compressed-tensors"):
        quantise_checkpoint(tmp_path / "out", tmp_path / "again")
    with pytest.raises(InputError, match="lies in the checkpoint"):
        quantise_checkpoint(copy, copy / "int8")


def test_a_link_to_an_empty_folder_is_written_and_one_to_nothing_refused(base, tmp_path):
    link, empty = tmp_path / "link", tmp_path / "empty"
    link.symlink_to(empty)
    with pytest.raises(InputError, match=f"--out {link} is a symbolic link to {empty}, which does not exist"):
        quantise_checkpoint(base, link)
    empty.mkdir()
    assert quantise_checkpoint(base, link).folder == link
    assert link.is_symlink()
    assert (empty / "model.safetensors").is_file()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing_behind_and_says_so(base, command, tmp_path, monkeypatch, number):
    handlers = [signal.getsignal(kind) for kind in (signal.SIGTERM, signal.SIGHUP)]
    monkeypatch.setattr(checkpoint, "_copy_others", lambda *_: os.kill(os.getpid(), number))
    done = command("quantise", base, "--out", tmp_path / "out")
    assert done.returncode == 128 + number
    assert list(tmp_path.iterdir()) == []
    assert (f"{tmp_path / 'out'} was not written" in done.stderr) == (number == signal.SIGINT)
    assert [signal.getsignal(kind) for kind in (signal.SIGTERM, signal.SIGHUP)] == handlers


def test_an_adapter_is_refused(copy, tmp_path):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": str(copy)})
    )
    save_file({"x": torch.zeros(1)}, adapter / "adapter_model.safetensors")
    with pytest.raises(InputError, match=r"holds an adapter \(LORA\): merge it"):
        quantise_checkpoint(adapter, tmp_path / "out")


@pytest.mark.parametrize(("architecture", "form"), [("t5", "int-quantized"), ("bert", "pack-quantized")])
def test_classes_that_read_their_weights_while_they_are_loaded_have_plain_integers(tmp_path, architecture, form):
    from transformers import AutoModel

    source = tmp_path / "source"
    AutoModel.from_config(checkpoints.config_of(architecture)).save_pretrained(source)
    assert quantise_checkpoint(source, tmp_path / "out").format == form
    before, after = load_file(source / "model.safetensors"), unpacked(tmp_path / "out")
    assert before.keys() == after.keys()
    assert all((after[name] - weight).abs().max() < 0.1 for name, weight in before.items())


def test_a_folder_for_two_classes_keeps_the_layers_of_the_other(tmp_path):
    """v3 has the weights of BLIP's answering and matching classes; the text decoder's output shares its embedding."""
    source = ROOT / "models" / "replicas" / "checkpoints" / "v3"
    made = quantise_checkpoint(source, tmp_path / "out")
    before, after = load_file(source / "model.safetensors"), unpacked(tmp_path / "out")
    assert before.keys() == after.keys()
    ignored = read_config(tmp_path / "out")["quantization_config"]["ignore"]
    assert {"text_decoder.cls.predictions.decoder", "itm_head", "text_proj", "vision_proj"} <= set(ignored)
    assert set(made.kept_layers) <= set(ignored)
    for name in ("itm_head.weight", "text_proj.weight", "text_decoder.bert.embeddings.word_embeddings.weight"):
        assert torch.equal(before[name], after[name])


@pytest.mark.slow
def test_the_result_computes_with_the_rounded_weights(base, copy, tmp_path):
    pytest.importorskip("compressed_tensors")
    quantise_checkpoint(base, tmp_path / "out")
    save_file(unpacked(tmp_path / "out"), copy / "model.safetensors", metadata={"format": "pt"})
    found, expected, whole = (logits(folder) for folder in (tmp_path / "out", copy, base))
    assert (found - expected).abs().max() < 1e-5
    assert (found - whole).abs().max() > 1e-4, "the rounding would go unnoticed"


def logits(folder):
    model = causal.load("tiny", str(folder), Placement(device="cpu"))
    with torch.inference_mode():
        return model.model(**model.tokenizer("What color?", return_tensors="pt")).logits[0].float()


def test_the_command_prints_sizes_and_the_commands_for_quality(base, command, tmp_path):
    done = command("quantise", base, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "linear layers" in done.stdout
    assert f"python -m evals run --model {tmp_path / 'out'} --task T --out runs/after" in done.stdout
    refused = command("quantise", base, "--out", tmp_path / "more", "--limit", 3)
    assert refused.returncode == 2
    assert "--data and --limit are for --task" in refused.stderr
