"""What the decoder does on a GPU, on a CPU: no masks where none is needed, refills of several slots, bounded memory."""

from __future__ import annotations

from pathlib import Path

import checkpoints
import pytest
import torch
import vision_checkpoints
from model_requests import answers, picture

from evals import Choose, Generate, Image, InputError
from evals.models.backend import gpus
from evals.models.decoding.engine import Decoder
from evals.models.families import causal, vision_language
from evals.schema import Placement

CPU = Placement(device="cpu")
SHOTS = "Question: How many squares are there?\nAnswer: 3\n\n"
QUESTIONS = [f"Question: What color is the {'large ' * (n % 4)}circle number {n}?\nAnswer:" for n in range(12)]
ENDINGS = (" red", " left and right", " yes")


def as_on_a_gpu(model, *, slots=8, cache_positions=None):
    """The model with a decoder for CUDA."""
    decoder = model.decoder
    on_gpu = Decoder(model.model, ends=decoder._ends, reader=decoder._reader, cache_positions=cache_positions,
                     device_type="cuda")  # fmt: skip
    on_gpu._slots = slots
    object.__setattr__(model, "decoder", on_gpu)
    return model


@pytest.fixture
def masks(monkeypatch):
    """For each call of the attention kernel: new tokens, positions, whether a mask is passed, whether it is causal."""
    calls, attend = [], torch.nn.functional.scaled_dot_product_attention

    def record(query, key, value, attn_mask=None, is_causal=False, **more):
        calls.append((query.shape[2], key.shape[2], attn_mask is not None, is_causal))
        return attend(query, key, value, attn_mask=attn_mask, is_causal=is_causal, **more)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", record)
    return calls


def requests(shots, endings=ENDINGS):
    parts = [(shots, text) if shots else (text,) for text in QUESTIONS]
    return [
        *([Choose(f"c{n}", part, endings) for n, part in enumerate(parts)]),
        *([Generate(f"g{n}", part, 3 + n % 5, stop=("\n\n",)) for n, part in enumerate(parts)]),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["llama", "deepseek_v3", "cohere"])
def test_answers_are_those_of_the_cpu(tmp_path, kind):
    """Cohere scales its logits, and DeepSeek-V3's keys are wider than its values."""
    model = causal.load("tiny", str(checkpoints.language_model(tmp_path, kind)), CPU)
    cpu = model.decoder
    assert isinstance(cpu, Decoder)
    for shots, cache_positions in (("", None), ("", 150), (SHOTS, None), (SHOTS, 150)):  # 150: a few rows at once
        for asked in (requests(shots)[: len(QUESTIONS)], requests(shots)[len(QUESTIONS) :]):
            object.__setattr__(model, "decoder", cpu)
            expected = answers(model, asked, 10_000)
            found = answers(as_on_a_gpu(model, cache_positions=cache_positions), asked, 10_000)
            for id, prediction in expected.items():
                same = (found[id].output, found[id].tokens, found[id].failure)
                assert same == (prediction.output, prediction.tokens, None)
                assert found[id].scores == pytest.approx(prediction.scores, abs=1e-5)


def test_a_mask_is_passed_only_where_it_is_needed(tmp_path, masks):
    model = as_on_a_gpu(causal.load("tiny", str(checkpoints.language_model(tmp_path, "llama")), CPU), slots=64)
    one_long = [Choose(f"{n}", (text,), (" red", " left and right")) for n, text in enumerate(QUESTIONS)]
    answers(model, one_long, 10_000)  # nothing is shared, and no continuation must be hidden from another
    assert masks
    assert all(new == positions and causal and not masked for new, positions, masked, causal in masks)
    masks.clear()
    two_long = [Choose(f"{n}", (text,), (" left and right", " right and left")) for n, text in enumerate(QUESTIONS)]
    answers(model, two_long, 10_000)
    assert all(masked for _, _, masked, _ in masks)
    masks.clear()
    answers(model, [Generate(str(n), (SHOTS, text), 4) for n, text in enumerate(QUESTIONS)], 10_000)
    prefix, suffixes, *_ = masks[:: model.model.config.num_hidden_layers]
    assert prefix[0] == prefix[1] > 1
    assert prefix[2:] == (False, True)
    assert suffixes[0] < suffixes[1]  # they follow the prefix, and have different lengths
    assert suffixes[2]
    masks.clear()
    same = [Generate(str(n), (f"Question: {n}\nAnswer:",), 4) for n in "01245678"]  # 17 tokens each
    answers(model, same, 10_000)
    assert not any(masked for _, _, masked, _ in masks)  # rows of one length, at every step
    assert any(new == 1 for new, *_ in masks)


def test_slots_are_refilled_several_at_a_time(tmp_path, monkeypatch):
    model = as_on_a_gpu(causal.load("tiny", str(checkpoints.language_model(tmp_path, "llama")), CPU), slots=16)
    filled = []
    fill = Decoder._fill
    monkeypatch.setattr(
        Decoder, "_fill",
        lambda self, cache, slots, tokens, inputs: filled.append((cache.slots, len(tokens), max(map(len, tokens))))
        or fill(self, cache, slots, tokens, inputs),
    )  # fmt: skip
    asked = [Generate(str(n), (text,), 2 + n % 9) for n, text in enumerate(QUESTIONS * 4)]
    answers(model, asked, 100_000)
    refills = [rows for slots, rows, longest in filled if slots == 16 and longest > 1]
    assert refills[0] == 16
    assert min(refills[:-1]) >= 2  # an eighth of the slots
    assert sum(refills) == len(asked)


@pytest.mark.parametrize("make", [checkpoints.deepseek_vl, vision_checkpoints.qwen2_vl])
def test_images_go_through_in_bounded_forward_passes(tmp_path, monkeypatch, make):
    with vision_checkpoints.images_only():
        model = vision_language.load("tiny", str(make(tmp_path)), CPU)
    asked = [
        Generate(f"{image}-{n}", (Image(str(image), data=picture(image)), text), 3 + n, stop=("\n",))
        for image in range(5)
        for n, text in enumerate(("What color?", "How many squares are there?"))
    ]
    expected = answers(model, asked, 100_000)
    rows, forward = [], type(model.model).forward

    def counted(self, **inputs):
        if "pixel_values" in inputs:
            rows.append(len(inputs["input_ids"]))
        return forward(self, **inputs)

    monkeypatch.setattr(type(model.model), "forward", counted)
    answers(model, asked, 100_000)
    assert rows == [5]
    rows.clear()
    monkeypatch.setattr("evals.models.decoding.engine.IMAGE_PREFILL", 2 * len(model.prepare(asked[0]).tokens))
    for place in (lambda model: model, as_on_a_gpu):
        found = answers(place(model), asked, 100_000)
        assert {id: each.output for id, each in found.items()} == {id: each.output for id, each in expected.items()}
    assert max(rows) < 5
    assert sum(rows) == 2 * 5


def test_a_cache_position_counts_its_keys_and_values():
    from transformers import DeepseekV3Config, LlamaConfig

    class Loaded:
        dtype = torch.bfloat16
        config = LlamaConfig(num_hidden_layers=16, hidden_size=2048, num_attention_heads=32, num_key_value_heads=8)

    assert gpus.cache_values(Loaded.config) == 2 * 16 * 8 * 64
    positions = gpus.cache_positions(Loaded, free=10 << 30)
    whole = (10 << 30) // 2 // (2 * (2 * 2 * 16 * 8 * 64 + 20 * 2048))
    assert whole * 0.8 < positions <= whole
    assert gpus.cache_positions(Loaded, free=(10 << 30) + (10 << 20)) == positions
    small = DeepseekV3Config(num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=4, qk_nope_head_dim=16,
                             qk_rope_head_dim=8, v_head_dim=12)  # fmt: skip
    assert gpus.cache_values(small) == 3 * 4 * (16 + 8 + 12)


def test_weights_are_spread_over_gpus_only_if_one_does_not_hold_them(monkeypatch):
    folder = Path("large")
    assert gpus.device_map(folder, 80, [100, 100]) == {}
    assert gpus.device_map(folder, 81, [100, 90]) == {"device_map": "auto", "max_memory": {0: 80, 1: 72}}
    with pytest.raises(InputError, match=r"large has 3e-07 GB of weights, and 2 GPUs have 2e-07 GB free, of which"):
        gpus.device_map(folder, 300, [100, 100])
    monkeypatch.setattr(gpus.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"accelerate, which spreads them over 2 GPUs, is not installed: pip install"):
        gpus.device_map(folder, 81, [100, 100])


def test_a_model_with_the_hooks_of_accelerate_gives_the_same_answers(tmp_path):
    """accelerate moves the inputs of each layer to its device; the cache and the choice of columns go along."""
    accelerate = pytest.importorskip("accelerate")
    folder = checkpoints.language_model(tmp_path, "llama")
    stored = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    assert 0.9 * stored < gpus.weight_bytes(folder, torch.float32) <= stored
    assert gpus.weight_bytes(folder, torch.bfloat16) * 2 == gpus.weight_bytes(folder, torch.float32)
    model = causal.load("tiny", str(folder), CPU)
    asked = [each for each in requests(SHOTS) if each.id in ("c0", "c5", "g1", "g2", "g3")]
    for part in (asked[:2], asked[2:]):
        expected = answers(model, part, 10_000)
        layers = {f"model.layers.{n}": "cpu" for n in range(model.model.config.num_hidden_layers)}
        others = dict.fromkeys(("model.embed_tokens", "model.norm", "model.rotary_emb", "lm_head"), "cpu")
        accelerate.dispatch_model(model.model, {**others, **layers}, force_hooks=True, skip_keys="past_key_values")
        found = answers(as_on_a_gpu(model), part, 10_000)
        assert {id: each.output for id, each in found.items()} == {id: each.output for id, each in expected.items()}
