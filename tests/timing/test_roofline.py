"""Lower bounds of times: the arithmetic, and the counts for real classes against what they compute.

pytest tests/timing/test_roofline.py
"""

from __future__ import annotations

import checkpoints
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.execution.batching import plan
from evals.models.families import causal, vision_language
from evals.schema import Placement, ResourceRequirements
from evals.timing import roofline
from evals.timing.roofline import FIRST, STEP, WHOLE, DevicePeaks

KINDS = ["llama", "qwen2", "deepseek_v2", "deepseek_v3", "t5"]
PROMPT = 24
positive = st.floats(1e-3, 1e12)
needs = st.builds(
    ResourceRequirements, st.just("cpu"), st.just("float32"), *[st.integers(1, 1 << 40)] * 2, *[st.floats(0, 1e12)] * 7
)
seen = st.builds(DevicePeaks, positive, positive)
lengths = st.integers(1, 1 << 20)


@given(needs, seen, lengths, lengths)
def test_the_whole_is_the_first_token_and_the_others(resource_requirements, speeds, prompt, new):
    found = roofline.floors(resource_requirements, speeds, prompt, new)
    for kind in (roofline.BANDWIDTH, roofline.ARITHMETIC):
        rest = (new - 1) * found[STEP][kind] if new > 1 else 0
        assert found[WHOLE][kind] == pytest.approx(found[FIRST][kind] + rest)


@given(needs, seen, lengths, lengths)
def test_twice_the_speed_is_half_the_time_and_more_tokens_are_no_less(resource_requirements, speeds, prompt, new):
    found = roofline.floors(resource_requirements, speeds, prompt, new)
    twice = DevicePeaks(2 * speeds.bytes_per_second, 2 * speeds.operations_per_second)
    quick, long = (
        roofline.floors(resource_requirements, twice, prompt, new),
        roofline.floors(resource_requirements, speeds, prompt + 1, new + 1),
    )
    for name, kinds in found.items():
        for kind, seconds in kinds.items():
            assert 2 * quick[name][kind] == pytest.approx(seconds)
            assert long[name][kind] >= seconds


@given(st.floats(0, 1e6), st.dictionaries(st.sampled_from(["bandwidth", "arithmetic"]), st.floats(0, 1e6)))
def test_a_time_is_impossible_exactly_below_the_highest_floor(seconds, least):
    assert (roofline.below(seconds, least) is not None) == (seconds < max(least.values(), default=0))


@pytest.fixture(scope="module", params=KINDS)
def model(request, tmp_path_factory):
    folder = checkpoints.language_model(tmp_path_factory.mktemp(request.param), request.param)
    return request.param, causal.load("tiny", str(folder), Placement("cpu"))


def operations(act):
    """What torch itself counts of the multiplications and additions in something."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        act()
    return counter.get_total_flops()


def test_no_class_computes_less_than_its_floor(model):
    """Held against torch's own count of a prompt's forward pass; plain decoders compute hardly more."""
    import torch

    kind, loaded = model
    requirements = loaded.resource_requirements()
    ids = torch.arange(PROMPT)[None] % 300
    inputs = {"input_ids": ids, "decoder_input_ids": ids[:, :1]} if kind == "t5" else {"input_ids": ids}
    if kind.startswith("deepseek"):
        loaded.model.set_experts_implementation("eager")  # torch counts nothing of the fused one
    with torch.inference_mode():
        counted = operations(lambda: loaded.model(**inputs))
    heads = PROMPT - 1 if kind != "t5" else 0  # the plain pass makes logits at every position
    head = sum(weight.numel() for weight in loaded.model.get_output_embeddings().parameters())
    least = 2 * (requirements.prompt_parameters * PROMPT + requirements.first_parameters + heads * head)
    assert least <= counted
    if kind != "t5":  # which computes keys and values of all that was read once more
        assert counted < 1.1 * least


def test_weights_and_cache_are_counted(model):
    kind, loaded = model
    requirements = loaded.resource_requirements()
    module = loaded.model
    assert requirements.weights_bytes >= 4 * sum(weight.numel() for weight in module.parameters())
    assert requirements.disk_bytes == sum(path.stat().st_size for path in loaded.folder.glob("*.safetensors"))
    assert requirements.step_bytes <= requirements.first_bytes <= requirements.weights_bytes
    if kind in {"llama", "qwen2"}:
        config = module.config
        width = config.hidden_size // config.num_attention_heads
        each = 2 * config.num_hidden_layers * config.num_key_value_heads * width * 4
        assert (requirements.prompt_cache_bytes, requirements.new_cache_bytes) == (each, each)
        assert requirements.cache_bytes(10, 5) == 15 * each
    else:
        assert requirements.prompt_cache_bytes > 0 < requirements.new_cache_bytes


def test_experts_count_as_far_as_a_token_uses_them(tmp_path):
    loaded = causal.load("tiny", str(checkpoints.language_model(tmp_path, "deepseek_v3")), Placement("cpu"))
    requirements, config = loaded.resource_requirements(), loaded.model.config
    decoder = loaded.model.get_decoder().named_parameters()
    experts = sum(weight.numel() for name, weight in decoder if ".experts." in name)
    every = [weight.numel() for weight in loaded.model.parameters() if weight.dim() > 1]
    whole = sum(every) - loaded.model.get_input_embeddings().weight.numel()
    unused = experts * (1 - config.num_experts_per_tok / config.n_routed_experts)
    assert unused > 0
    assert requirements.step_parameters == pytest.approx(whole - unused)


def test_eight_bit_weights_are_read_as_bytes():
    from evals.execution.resolve import resolve
    from evals.registry import discover

    discover()
    requirements = resolve("v2", scale="mini").load(Placement("cpu")).resource_requirements()
    assert requirements.step_bytes < 2 * requirements.step_parameters < 4 * requirements.step_parameters
    assert requirements.weights_bytes < 2.5e6


def test_a_vision_language_model_counts_its_decoder(tmp_path):
    loaded = vision_language.load("tiny", str(checkpoints.deepseek_vl(tmp_path)), Placement("cpu"))
    requirements = loaded.resource_requirements()
    tower = sum(weight.numel() for name, weight in loaded.model.named_parameters() if "vision" in name)
    every = sum(weight.numel() for weight in loaded.model.parameters())
    assert tower > 0
    assert 0 < requirements.step_parameters <= every - tower
    assert requirements.new_cache_bytes > 0


@pytest.mark.parametrize("picture", [False, True])
def test_two_streams_compute_no_less_than_their_floor(tmp_path, picture):
    import io

    import torch
    from PIL import Image as pillow

    from evals.models.families import two_streams
    from evals.schema import Generate, Image

    loaded = two_streams.load("tiny", str(checkpoints.two_streams(tmp_path, two_streams.ANSWERING)), Placement("cpu"))
    file = io.BytesIO()
    pillow.new("RGB", (32, 32), (9, 9, 9)).save(file, "PNG")
    parts = (*([Image("x", data=file.getvalue())] if picture else []), "How many squares are there?")
    request = Generate("1", parts, 1, min_new_tokens=1)
    prompt = loaded.prepare(request)
    (batch,) = plan([prompt], 1000)
    told = []
    with torch.inference_mode():
        counted = operations(lambda: told.extend(loaded.run([prompt], batch, loaded.stage([prompt], batch))))
    requirements = loaded.resource_requirements()
    least = 2 * (requirements.prompt_parameters * told[0].prompt_tokens + requirements.first_parameters)
    assert 0 < least <= counted
    assert requirements.step_bytes < requirements.first_bytes < requirements.weights_bytes
