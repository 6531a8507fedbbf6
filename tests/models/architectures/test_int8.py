"""Weights as 8-bit integers: how they are round_rows, saved, loaded and used.

pytest tests/models/architectures/test_int8.py
"""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from evals.models.architectures.int8 import LARGEST, Int8Linear, RoundedLinear, quantise, round_rows


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=60, tie_word_embeddings=True, **shape)).eval()


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("int8")
    copied = copy.deepcopy(model)
    quantise(copied)
    copied.save_pretrained(folder)
    return folder


def test_rounding_is_off_by_half_a_scale_at_most():
    weights = torch.randn(7, 50, generator=torch.Generator().manual_seed(1)) * torch.logspace(-6, 3, 7)[:, None]
    whole, scales = round_rows(weights)
    assert torch.equal(whole, whole.round())
    assert (whole.abs().amax(1) == LARGEST).all()
    assert ((whole * scales[:, None] - weights).abs() <= 0.5001 * scales[:, None]).all()
    assert (round_rows(torch.zeros(2, 3))[0] == 0).all()


def test_what_training_uses_is_what_is_saved():
    layer = RoundedLinear(20, 10, bias=False)
    whole, scales = round_rows(layer.weight.detach())
    torch.testing.assert_close(layer(torch.eye(20)).T, whole * scales[:, None])
    layer(torch.eye(20)).sum().backward()
    assert (layer.weight.grad == 1).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_integers_stay_integers_and_answer_nearly_alike(model, folder, dtype):
    loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    layers = [layer for layer in loaded.modules() if isinstance(layer, Int8Linear)]
    assert len(layers) == 2 * 7
    assert {layer.weight.dtype for layer in layers} == {torch.int8}
    assert loaded.lm_head.weight is loaded.model.embed_tokens.weight
    assert loaded.lm_head.weight.dtype == dtype
    tokens = torch.arange(40)[None]
    with torch.no_grad():
        given, expected = loaded(tokens).logits.float(), model(tokens).logits
    assert torch.corrcoef(torch.stack([given.flatten(), expected.flatten()]))[0, 1] > 0.99


def test_integers_take_a_quarter_of_the_room(model, folder, tmp_path):
    model.save_pretrained(tmp_path)
    inside = 4 * sum(one.numel() for name, one in model.named_parameters() if "proj" in name)
    whole, small = ((place / "model.safetensors").stat().st_size for place in (tmp_path, folder))
    assert whole - small > 0.7 * inside


def test_it_can_be_saved_again(folder, tmp_path):
    AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).save_pretrained(tmp_path)
    one, two = (AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32) for place in (folder, tmp_path))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_integers_answer_on_a_gpu(model, folder):
    loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).to("cuda")
    assert loaded.model.layers[0].mlp.up_proj.weight.dtype == torch.int8
    tokens = torch.arange(40)[None]
    with torch.no_grad():
        given = loaded(tokens.to("cuda")).logits.cpu()
    expected = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)(tokens).logits
    torch.testing.assert_close(given, expected, rtol=1e-3, atol=1e-3)
