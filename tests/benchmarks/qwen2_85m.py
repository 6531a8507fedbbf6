"""A Qwen2 of 85 million random parameters that ends its texts: what two programs are timed on.

Weights as small as a fresh model's repeat one token for ever. These are larger, so that texts vary; and one in `HAZARD`
entries of the vocabulary ends a text, so that lengths vary as a real model's do. Those are special tokens, which no
decoded text shows.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

VOCABULARY, HAZARD = 12_000, 60
PRETOKENS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Qwen2's own: the library loads the tokenizer beside a Qwen2 configuration with these, whatever it was saved with."""


def make(folder: Path, texts: Iterable[str], *, seed: int = 0, **changes: Any) -> Path:
    """Save it, with a byte-level BPE tokenizer trained on some texts.

    Args:
        folder: where to.
        texts: what the tokenizer is trained on.
        seed: of the weights.
        changes: of the configuration, as for a smaller one.
    """
    import torch
    from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

    words, ends = tokenizer(texts)
    torch.manual_seed(seed)
    # Room for an eight-shot prompt of 1,700 tokens and 512 new ones: a program that finds less cuts the prompt's begin.
    shape = {
        "hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 12,
        "num_key_value_heads": 4, "max_position_embeddings": 4096, **changes,
    }  # fmt: skip
    model = Qwen2ForCausalLM(
        Qwen2Config(vocab_size=VOCABULARY, tie_word_embeddings=True, eos_token_id=ends[0], bos_token_id=None, **shape)
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "embed" not in name:
                parameter.mul_(3)
    model.generation_config = GenerationConfig(eos_token_id=ends, pad_token_id=ends[1], do_sample=False)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def tokenizer(texts: Iterable[str]) -> tuple[Any, list[int]]:
    """Train it; returns it and the ids that end a text."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = [f"<end{number}>" for number in range(VOCABULARY // HAZARD)]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PRETOKENS), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )  # fmt: skip
    words = PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token=special[0], pad_token=special[1], additional_special_tokens=special[2:]
    )
    return words, [bpe.token_to_id(token) for token in special]
