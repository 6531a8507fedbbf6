"""Random checkpoints for measurements on a GPU: Llama of 1B and 8B, DeepSeek-VL of 1B, and toys of both for a CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TOKENIZER = Path(__file__).parents[2] / "models" / "replicas" / "checkpoints" / "r1"
LLAMA: dict[str, dict[str, int]] = {
    "toy": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "vocab_size": 4096},
    "1B": {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
           "num_key_value_heads": 8, "vocab_size": 128_256},
    "8B": {"hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32, "num_attention_heads": 32,
           "num_key_value_heads": 8, "vocab_size": 128_256},
}  # fmt: skip
"""Shapes of Llama 3.2 1B and Llama 3.1 8B, and of a toy."""
POSITIONS = 8192


def llama(folder: Path, size: str, *, device: str, dtype: str) -> Path:
    """Save a random Llama with the tokenizer of the bundled r1; ids beyond that tokenizer decode to nothing.

    A text ends only at the token limit, since one token in 128,256 ends it.
    """
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        **LLAMA[size], max_position_embeddings=POSITIONS, rope_theta=500_000.0, tie_word_embeddings=size != "8B",
        bos_token_id=0, eos_token_id=1, dtype=dtype,
    )  # fmt: skip
    with torch.device(device):
        default = torch.get_default_dtype()
        torch.set_default_dtype(getattr(torch, dtype))
        try:
            model = LlamaForCausalLM(config)
        finally:
            torch.set_default_dtype(default)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(TOKENIZER).save_pretrained(folder)
    return folder


def parameters(model: Any) -> int:
    """Count the weights of a loaded model."""
    return sum(weight.numel() for weight in model.parameters())
