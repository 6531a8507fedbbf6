"""A cap on attention logits is computed, with every version of the library; SDPA ignores it or fails."""

from __future__ import annotations

import checkpoints
import torch

from evals.models.backend import pytorch


def test_a_cap_on_attention_logits_is_computed(tmp_path, monkeypatch):
    from transformers import AutoModelForCausalLM
    from transformers.models.gemma2.modeling_gemma2 import Gemma2PreTrainedModel

    monkeypatch.setattr(Gemma2PreTrainedModel, "_supports_sdpa", True)  # as in the library's 5.19
    folder = checkpoints.language_model(
        tmp_path / "gemma2", "gemma2", attn_logit_softcapping=0.05, head_dim=12, query_pre_attn_scalar=1
    )
    placement = pytorch.ResolvedPlacement(torch.device("cpu"), torch.float32)
    tokens = torch.arange(3, 23)[None]
    with torch.inference_mode():
        logits = pytorch.load_weights(AutoModelForCausalLM, folder, placement)(tokens).logits
        eager = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")(tokens).logits
    assert torch.allclose(logits, eager, atol=1e-5)
