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
from evals.models.families import causal
from evals.schema import Placement

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
