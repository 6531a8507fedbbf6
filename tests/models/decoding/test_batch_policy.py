"""A row's scores and texts do not depend on its batch, for architectures that read padding or the longest row."""

from __future__ import annotations

import checkpoints
import pytest
from model_requests import answers

from evals import Choose, Generate
from evals.models.families import causal
from evals.schema import Placement

LONGROPE = {"rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": 32,
            "long_factor": [4.0] * 4, "short_factor": [1.0] * 4}  # fmt: skip
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0}
KINDS = {
    "rwkv": {"attention_hidden_size": 32, "intermediate_size": 64},
    "phi3": {"rope_parameters": LONGROPE, "original_max_position_embeddings": 32, "max_position_embeddings": 512},
    "llama": {"rope_parameters": DYNAMIC, "max_position_embeddings": 32},
}


@pytest.mark.parametrize("kind", KINDS)
def test_batch_mates_do_not_change_a_row(tmp_path, kind):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    common = {"vocab_size": 400, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
              "intermediate_size": 64, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2,
              "initializer_range": 0.3}  # fmt: skip
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **{**common, **KINDS[kind]})).save_pretrained(tmp_path)
    checkpoints.tokenizer(tmp_path).save_pretrained(tmp_path)
    model = causal.load("tiny", str(tmp_path), Placement("cpu"))
    texts = ["red", "What color?", "How many squares are there? " * 3]
    choices = [Choose(f"c{n}", (text,), (" red", " left and right")) for n, text in enumerate(texts)]
    generated = [Generate(f"g{n}", (text,), 4) for n, text in enumerate(texts)]
    for requests in (choices, generated):
        alone, together = answers(model, requests, 1), answers(model, requests, 100_000)
        for id, prediction in alone.items():
            assert prediction.failure is None
            assert together[id].output == prediction.output
            assert together[id].scores == pytest.approx(prediction.scores, abs=1e-4)
