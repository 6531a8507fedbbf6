"""Quantised checkpoints: run where they can, refused in one line where not, and never read as something else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import checkpoints
import pytest
import torch

from evals.errors import InputError
from evals.models.backend import quantised
from evals.models.decoding.batching import batch_rules
from evals.models.families import causal
from evals.schema import Choose, Placement

CPU = Placement(device="cpu")
BLOCK = 128


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    config = checkpoints.config_of("llama", hidden_size=256, intermediate_size=512, head_dim=64)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    checkpoints.tokenizer(folder).save_pretrained(folder)
    return folder


@pytest.fixture
def copy(base, tmp_path):
    return Path(shutil.copytree(base, tmp_path / "copy"))


def state(folder, **quantization_config):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": quantization_config}))
    return folder


def logits(folder):
    model = causal.load("tiny", str(folder), CPU)
    with torch.inference_mode():
        return model, model.model(**model.tokenizer("What color?", return_tensors="pt")).logits[0].float()


def round_blocks(folder, edit):
    """Replace every linear weight by what `edit` makes of its 8-bit blocks and their scales."""
    from safetensors.torch import load_file, save_file

    weights = {}
    for name, weight in load_file(folder / "model.safetensors").items():
        if "proj" not in name:
            weights[name] = weight
            continue
        tiles = weight.unfold(0, BLOCK, BLOCK).unfold(1, BLOCK, BLOCK)
        scales = tiles.abs().amax((2, 3)) / 448
        spread = scales.repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)
        weights |= edit(name, (weight / spread).to(torch.float8_e4m3fn), scales, spread)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


FP8 = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [BLOCK, BLOCK], "fmt": "e4m3"}


def test_fp8_is_converted_on_a_cpu_and_computes_with_the_rounded_weights(base, copy, tmp_path):
    pytest.importorskip("accelerate")
    eights = state(round_blocks(copy, lambda name, w, s, _: {name: w, f"{name}_scale_inv": s}), **FP8)
    plain = Path(shutil.copytree(base, tmp_path / "plain"))
    round_blocks(plain, lambda name, w, _, spread: {name: w.float() * spread})
    (model, found), (_, expected), (_, whole) = map(logits, (eights, plain, base))
    assert (found - expected).abs().max() < 1e-5
    assert (found - whole).abs().max() > 1e-4, "the rounding would go unnoticed"
    assert model.facts["quantised"]["method"] == "fp8"
    assert model.facts["quantised"]["converted_to_dtype"] is True


def test_weights_in_8_bits_need_a_word_in_the_configuration(copy):
    round_blocks(copy, lambda name, w, s, _: {name: w, f"{name}_scale_inv": s})
    with pytest.raises(InputError, match=r"as F8_E4M3, and its config\.json has no quantization_config that says how"):
        causal.load("tiny", str(copy), CPU)


@pytest.mark.parametrize("bits", [4, 8])
def test_bitsandbytes_computes_as_the_library_does(base, tmp_path, bits):
    pytest.importorskip("bitsandbytes")
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    asked = BitsAndBytesConfig(load_in_4bit=bits == 4, load_in_8bit=bits == 8, bnb_4bit_quant_type="nf4")
    library = AutoModelForCausalLM.from_pretrained(base, quantization_config=asked, dtype=torch.float32)
    library.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path)
    model, found = logits(tmp_path)
    with torch.inference_mode():
        expected = library(**model.tokenizer("What color?", return_tensors="pt")).logits[0]
    assert (found - expected).abs().max() < 1e-5


def eight_bits(weight, number_type, largest):
    """Round the rows of a matrix to 8 bits; returns the rounded rows and their scales."""
    scales = weight.abs().amax(1, keepdim=True) / largest
    rounded = weight / scales
    return (rounded.round() if number_type is torch.int8 else rounded).to(number_type), scales


def four_bits(weight, group=BLOCK):
    """Round groups of a matrix to 4 bits; returns the numbers, eight in 32 bits, the scales, and the rounded matrix."""
    groups = weight.view(len(weight), -1, group)
    scales = groups.abs().amax(-1, keepdim=True) / 7
    rounded = (groups / scales).round().clamp(-8, 7)
    numbers = rounded.view_as(weight).to(torch.int32) + 8
    packed = torch.zeros(len(weight), weight.shape[1] // 8, dtype=torch.int32)
    for place in range(8):
        packed |= numbers[:, place::8] << (4 * place)
    return packed, scales[..., 0], (rounded * scales).view_as(weight)


def replace_weights(folder, edit):
    """Replace every linear weight by what `edit` makes of it."""
    from safetensors.torch import load_file, save_file

    weights = {}
    for name, weight in load_file(folder / "model.safetensors").items():
        weights |= edit(name, weight) if name.endswith("proj.weight") else {name: weight}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def compressed(form, weights, inputs=None):
    """The `quantization_config` of a checkpoint by compressed-tensors, as its tools write it."""
    group = {"targets": ["Linear"], "weights": {"symmetric": True, "dynamic": False, **weights}}
    if inputs:
        group["input_activations"] = {**weights, "symmetric": True, "dynamic": True, "strategy": inputs}
    return {"quant_method": "compressed-tensors", "format": form, "quantization_status": "compressed",
            "config_groups": {"group_0": group}, "ignore": ["lm_head"]}  # fmt: skip


class RoundedInputs:
    """Rounds the input of a linear layer to 8 bits, each token by its own largest value.

    For integers, compressed-tensors divides the range from -128 to 127 in two equal halves: the scale is the largest
    value over 127.5.
    """

    def __init__(self, number_type, largest):
        self.number_type, self.largest = number_type, largest

    def __call__(self, layer, arguments):
        tokens = arguments[0]
        rows = tokens.reshape(-1, tokens.shape[-1])
        scales = rows.abs().amax(1, keepdim=True) / self.largest
        rounded = rows / scales
        rounded = rounded.round().clamp(-128, 127) if self.number_type is torch.int8 else rounded.to(self.number_type)
        return ((rounded.float() * scales).view_as(tokens),)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "number_type", "largest", "inputs"),
    [
        ("int-quantized", torch.int8, 127, "token"),
        ("float-quantized", torch.float8_e4m3fn, 448, "token"),
        ("naive-quantized", torch.float8_e4m3fn, 448, None),
    ],
)
def test_compressed_tensors_of_8_bits_are_what_their_numbers_say(
    base, copy, tmp_path, form, number_type, largest, inputs
):
    """The reference computes with plain layers: weights times scales, and inputs rounded token by token."""
    pytest.importorskip("compressed_tensors")

    def eights(name, weight):
        rounded, scales = eight_bits(weight, number_type, largest)
        return {name: rounded, f"{name}_scale": scales}

    def plain(name, weight):
        rounded, scales = eight_bits(weight, number_type, largest)
        return {name: rounded.float() * scales}

    kind = "int" if number_type is torch.int8 else "float"
    state(
        replace_weights(copy, eights),
        **compressed(form, {"num_bits": 8, "type": kind, "strategy": "channel"}, inputs),
    )
    reference = causal.load("tiny", str(replace_weights(Path(shutil.copytree(base, tmp_path / "plain")), plain)), CPU)
    for name, layer in reference.model.named_modules():
        if inputs and name.endswith("proj"):
            layer.register_forward_pre_hook(RoundedInputs(number_type, 127.5 if number_type is torch.int8 else largest))
    model, found = logits(copy)
    with torch.inference_mode():
        expected = reference.model(**reference.tokenizer("What color?", return_tensors="pt")).logits[0]
    _, whole = logits(base)
    assert (found - expected).abs().max() < 1e-4
    assert (found - whole).abs().max() > 5e-3, "the rounding would go unnoticed"
    assert model.facts["quantised"] == {
        "method": "compressed-tensors", "packages": {"compressed_tensors": quantised._version("compressed_tensors")},
        "converted_to_dtype": True,
    }  # fmt: skip
    assert model.facts["batching"] == "in batches"


@pytest.mark.slow
def test_compressed_tensors_of_4_bits_are_unpacked(base, copy, tmp_path, capfd):
    pytest.importorskip("compressed_tensors")

    def packed(name, weight):
        numbers, scales, _ = four_bits(weight)
        shape = torch.tensor(weight.shape)
        return {f"{name}_packed": numbers, f"{name}_scale": scales, f"{name}_shape": shape}

    weights = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": BLOCK}
    state(replace_weights(copy, packed), **compressed("pack-quantized", weights))
    plain = replace_weights(
        Path(shutil.copytree(base, tmp_path / "plain")), lambda name, weight: {name: four_bits(weight)[2]}
    )
    capfd.readouterr()
    (_, found), noise = logits(copy), capfd.readouterr().err
    (_, expected), (_, whole) = logits(plain), logits(base)
    assert (found - expected).abs().max() < 1e-5
    assert (found - whole).abs().max() > 1e-2, "the rounding would go unnoticed"
    assert noise == ""


@pytest.mark.slow
def test_rows_of_a_batch_change_no_row_of_a_model_in_8_bits(base, tmp_path):
    """LLM.int8 treats an input dimension as an outlier if it is large in any row: the rows are read one by one."""
    pytest.importorskip("bitsandbytes")
    from model_requests import answers
    from safetensors.torch import load_file, save_file
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    outliers = Path(shutil.copytree(base, tmp_path / "outliers"))
    weights = load_file(outliers / "model.safetensors")
    for name in weights:
        if "layernorm" in name:
            weights[name] = weights[name] * 4
    save_file(weights, outliers / "model.safetensors", metadata={"format": "pt"})
    folder = tmp_path / "eights"
    asked = BitsAndBytesConfig(load_in_8bit=True)
    AutoModelForCausalLM.from_pretrained(outliers, quantization_config=asked, dtype=torch.float32).save_pretrained(
        folder
    )
    checkpoints.tokenizer(folder).save_pretrained(folder)
    model = causal.load("tiny", str(folder), CPU)
    assert model.facts["batching"] == "row by row: LLM.int8 looks for outliers in all rows of a batch"
    requests = [Choose(str(n), ("What color is the circle? " * (n + 1),), (" red", " yes")) for n in range(6)]
    alone, together = answers(model, requests, 1), answers(model, requests, 10_000)
    assert [alone[request.id].scores for request in requests] == [together[request.id].scores for request in requests]


@pytest.mark.parametrize("strategy", ["tensor", "token", None])
def test_inputs_that_are_scaled_together_are_read_row_by_row(strategy):
    group = {"input_activations": {"dynamic": True, "strategy": strategy, "num_bits": 8}}
    config = checkpoints.config_of("llama", quantization_config={"config_groups": {"group_0": group}})
    assert batch_rules.batch_rule(config).in_batches == (strategy == "token")


@pytest.mark.parametrize("method", [name for name, needs in quantised.METHODS.items() if needs.packages])
def test_what_a_method_needs_is_said_before_anything_is_loaded(base, monkeypatch, method):
    needs = quantised.METHODS[method]
    config = {"quantization_config": {"quant_method": method}}
    monkeypatch.setattr(quantised, "_installed", lambda name: False)
    with pytest.raises(InputError) as refused:
        quantised.check(base, config, torch.device("cpu"))
    for words in (method, *needs.packages, needs.install, needs.gpu or "on a CPU or a GPU"):
        assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    monkeypatch.setattr(quantised, "_installed", lambda name: True)
    if needs.gpu:
        with pytest.raises(InputError, match=f"needs {needs.gpu}; the device is cpu"):
            quantised.check(base, config, torch.device("cpu"))
    else:
        quantised.check(base, config, torch.device("cpu"))
    quantised.check(base, config, torch.device("cuda"))


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, "by 'modelopt', which the library does not read; it reads"),
        ({"bits": 4}, "quantization_config names no quant_method"),
    ],
)
def test_a_method_that_the_library_would_skip_is_refused(copy, stated, words):
    with pytest.raises(InputError, match=words):
        causal.load("tiny", str(state(copy, **stated)), CPU)
