"""Random checkpoints for measurements on a GPU: Llama of 1B and 8B, DeepSeek-VL of 1B, and toys of both for a CPU."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

TOKENIZER = Path(__file__).parents[2] / "models" / "replicas" / "checkpoints" / "r1"
LLAMA: dict[str, dict[str, int]] = {
    "toy": {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4,
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
    _save(_random(LlamaForCausalLM, config, device, dtype), folder)
    AutoTokenizer.from_pretrained(TOKENIZER).save_pretrained(folder)
    return folder


def deepseek_vl(folder: Path, size: str, *, device: str, dtype: str) -> Path:
    """Save a random DeepSeek-VL: of 1.3B parameters with 576 tokens per image, or a toy with 16."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
    import checkpoints
    import torch
    from transformers import DeepseekVLConfig, DeepseekVLForConditionalGeneration, DeepseekVLProcessor
    from transformers.models.deepseek_vl import DeepseekVLImageProcessorPil

    if size == "toy":
        return checkpoints.deepseek_vl(folder)
    torch.manual_seed(0)
    words = checkpoints.tokenizer(folder)
    text = checkpoints.text_config(
        hidden_size=2048, intermediate_size=5632, num_hidden_layers=24, num_attention_heads=16, num_key_value_heads=16,
        vocab_size=102_400, max_position_embeddings=16_384,
    )  # fmt: skip
    vision = {**checkpoints.vision_config(), "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
              "num_attention_heads": 16, "image_size": 384, "patch_size": 16}  # fmt: skip
    config = DeepseekVLConfig(text_config=text, vision_config=vision, image_token_id=words.image_token_id, dtype=dtype)
    _save(_random(DeepseekVLForConditionalGeneration, config, device, dtype), folder)
    images = DeepseekVLImageProcessorPil(size={"height": 384, "width": 384})
    template = checkpoints.TEMPLATE
    DeepseekVLProcessor(images, words, chat_template=template, num_image_tokens=576).save_pretrained(folder)
    return folder


def _save(model: Any, folder: Path) -> None:
    """Save a model, and give the GPU its memory back: vLLM wants nine tenths of it."""
    import torch

    model.save_pretrained(folder)
    model.to("meta")
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _random(kind: Any, config: Any, device: str, dtype: str) -> Any:
    """Make a model on a device, in its number format from the start: 8B parameters in float32 would take 32 GB."""
    import torch

    default = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        with torch.device(device):
            return kind(config)
    finally:
        torch.set_default_dtype(default)
