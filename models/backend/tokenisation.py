"""Whole texts, alone or in pairs, for models that read them at once: cut where the model ends, padded on the right."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.errors import InputError, SampleError
from evals.models.backend import pytorch
from evals.schema import Batch, Prompt, Request

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Text(Prompt):
    """A text or a pair of texts as tokens."""

    types: tuple[int, ...]
    """Which of the two texts each token belongs to; empty for models that do not tell them apart."""
    cut: bool
    """It was longer than the model reads."""


@dataclass(frozen=True)
class Texts:
    """A tokenizer, with what the model makes of its tokens."""

    tokenizer: PreTrainedTokenizerBase
    limit: int | None
    """The longest text in tokens, special ones included; None where there is no limit."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    """Cutting changes the tokenizer's state, and windows of samples are tokenised at the same time."""

    def prompt(self, request: Request, texts: Sequence[str]) -> Text:
        """Tokenise a text or a pair; of one that is too long the longer text is cut at its end, token by token.

        Raises:
            SampleError: there is nothing to read, or more than two texts, or a picture.
        """
        if not 1 <= len(texts) <= 2 or not all(isinstance(text, str) for text in texts):
            raise SampleError(f"request {request.id} has {len(texts)} parts; this family reads a text or two")
        with self._lock:
            encoded = self.tokenizer(*texts, verbose=False)
            cut = self.limit is not None and len(encoded["input_ids"]) > self.limit
            if cut:
                encoded = self.tokenizer(*texts, truncation="longest_first", max_length=self.limit, verbose=False)
        tokens = tuple(encoded["input_ids"])
        if not tokens:
            raise SampleError(f"request {request.id} is an empty text")
        return Text(request, request.id, tokens, 0, tuple(encoded.get("token_type_ids", ())), cut)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a checkpoint. Raises `InputError` when there is none."""
    from transformers import AutoTokenizer

    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
    except Exception as error:  # whatever the library makes of a folder that has none
        raise InputError(f"{folder} has no usable tokenizer: {pytorch.first_line(error)}") from error
    files = {"tokenizer.json", *tokenizer.vocab_files_names.values()}
    if not any((folder / name).is_file() for name in files):  # the library makes up an empty one, and knows no word
        raise InputError(f"{folder} has no usable tokenizer: none of {', '.join(sorted(files))}")
    return tokenizer


def longest(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """How many tokens a model reads: the least of what its tokenizer says and what it has positions for."""
    limits = [tokenizer.model_max_length]  # a huge number where nobody has set it
    if positions := getattr(model.config.get_text_config(), "max_position_embeddings", None):
        limits.append(positions)
    for name, module in model.named_modules():
        # RoBERTa and its kin begin to count after the padding token's number: 514 positions hold 512 tokens.
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            limits.append(module.num_embeddings - module.padding_idx - 1)
    return min(limits) if min(limits) < 1 << 30 else None


def padded(prompts: Sequence[Prompt], batch: Batch, pad: int, device: torch.device) -> dict[str, Any]:
    """Put the texts of a batch side by side, B rows as long as the longest, L.

    Args:
        prompts: what was planned.
        batch: whose members are wanted.
        pad: the token that fills rows.
        device: where to.

    Returns:
        `input_ids`, `attention_mask` and, where the texts have types, `token_type_ids`, each (B, L) int64.
    """
    import torch

    texts = [prompts[member] for member in batch.members]
    length = max(len(text.tokens) for text in texts)

    def rows(values: Sequence[Sequence[int]], filler: int) -> torch.Tensor:
        filled = [[*row, *[filler] * (length - len(row))] for row in values]
        return torch.tensor(filled, dtype=torch.int64, device=device)

    inputs = {
        "input_ids": rows([text.tokens for text in texts], pad),
        "attention_mask": rows([[1] * len(text.tokens) for text in texts], 0),
    }
    types = [text.types for text in texts if isinstance(text, Text)]
    return {**inputs, "token_type_ids": rows(types, 0)} if all(types) else inputs
