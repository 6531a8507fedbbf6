"""Tokenise whole texts, alone or in pairs, for models that read them at once.

A text that is longer than the model reads is a recorded failure, unless the user chose `--long-prompts truncate-left`.
Some text encoders come with code of their authors that cuts such texts at their end (CLIP, SigLIP, BLIP, the folders of
sentence-transformers that state a limit). Unless the user chose otherwise, their texts are cut in this way
(`PROTOCOL`), and marked.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from evals.data.checkpoints import model_folder
from evals.errors import InputError, LongPromptError, SampleError
from evals.models.backend import requirements
from evals.models.backend.checkpoint_files import readable_folder
from evals.models.backend.visible_text import encoded_text
from evals.models.decoding.text import check_embedded
from evals.schema import Batch, Group, Prompt, Request
from evals.schema.config import LONG_PROMPTS

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


_TOKENIZER_FILES = ("tokenizer*", "vocab*", "*.model", "*.spm", "merges.txt", "tekken.json")
MOST_GROWTH = 1_000
"""Limit on how many characters a tokenizer's replacements make of one; those of public tokenizers make a few."""
FAIL, TRUNCATE = LONG_PROMPTS
PROTOCOL = "truncate-right"
"""The rule of text encoders whose authors cut long texts at their end."""


@dataclass(frozen=True, slots=True)
class TextPrompt(Prompt):
    """A text or a pair of texts as tokens."""

    token_types: tuple[int, ...]
    """Which of the two texts each token belongs to; empty for models without token types."""
    truncated: bool
    """Whether the text was longer than the model reads."""


@dataclass(frozen=True)
class TextTokenizer:
    """A tokenizer with the length limit of its model."""

    tokenizer: PreTrainedTokenizerBase
    limit: int | None
    """Maximum number of tokens, special tokens included; None if there is no limit."""
    long_prompts: str = FAIL
    """What happens to longer texts: `fail`, `truncate-left` or `PROTOCOL`."""
    embeddings: int | None = None
    """Number of tokens that the model has embeddings of; None if it is not known."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    """Truncation is state of the tokenizer, and several threads tokenise at the same time."""

    def prompt(self, request: Request, texts: Sequence[str]) -> TextPrompt:
        """Tokenise a text or a pair; if it is too long, shorten the longer of the two, token by token.

        Raises:
            SampleError: there is no text, there are more than two, a part is not text, or the model has no embedding of
                a token.
            LongPromptError: it is too long, and texts must not be shortened.
        """
        if not 1 <= len(texts) <= 2 or not all(isinstance(text, str) for text in texts):
            raise SampleError(f"request {request.id} has {len(texts)} parts; this family reads a text or two")
        with self._lock:
            encoded = self.tokenizer(*texts, verbose=False)
            length = len(encoded["input_ids"])
            truncated = exceeds(request.id, length, self.limit, self.long_prompts)
            if truncated:
                encoded = cut(self.tokenizer, texts, self.limit, self.long_prompts)
        tokens = tuple(encoded["input_ids"])
        if not tokens:
            raise SampleError(f"request {request.id} is an empty text")
        check_embedded(request.id, tokens, self.embeddings)
        types, text = tuple(encoded.get("token_type_ids", ())), encoded_text(self.tokenizer, texts, encoded)
        return TextPrompt(request, request.id, tokens, 0, types, truncated, removed=length - len(tokens), text=text)


def exceeds(id: str, length: int, limit: int | None, long_prompts: str) -> bool:
    """Return whether a text is longer than a model reads and must be cut.

    Args:
        id: the request's id.
        length: the text's number of tokens.
        limit: maximum number of tokens, or None for no limit.
        long_prompts: `fail`, `truncate-left` or `PROTOCOL`.

    Raises:
        LongPromptError: it is longer, and must not be cut.

    Example:
        >>> exceeds("7", 80, 77, PROTOCOL), exceeds("7", 70, 77, FAIL)
        (True, False)
        >>> exceeds("7", 80, 77, FAIL)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        evals.errors.LongPromptError: request 7: its text of 80 tokens is longer than the 77 that the model reads; ...
    """
    longer = limit is not None and length > limit
    if longer and long_prompts == FAIL:
        raise LongPromptError(
            f"request {id}: its text of {length} tokens is longer than the {limit} that the model reads; "
            "--long-prompts truncate-left shortens such texts"
        )
    return longer


def cut(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[Any], limit: int | None, long_prompts: str, **options: Any
) -> Any:
    """Tokenise a text or a pair, cut to a number of tokens: at its start if the user chose it, else at its end.

    The side is state of the tokenizer, so the caller holds the lock.

    Args:
        tokenizer: the tokenizer.
        texts: a text or the two texts of a pair, each a string or a list of strings.
        limit: maximum number of tokens, special tokens included.
        long_prompts: `truncate-left` or `PROTOCOL`.
        options: further options of the tokenizer, such as padding.
    """
    side = tokenizer.truncation_side
    tokenizer.truncation_side = "left" if long_prompts == TRUNCATE else "right"
    try:
        return tokenizer(*texts, truncation="longest_first", max_length=limit, verbose=False, **options)
    finally:
        tokenizer.truncation_side = side


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a checkpoint: an adapter's own, or else that of its base model.

    Raises:
        InputError: there is no tokenizer, or it cannot be read.
    """
    from transformers import AutoTokenizer

    source = folder if _holds_tokenizer(folder) else model_folder(folder)
    if not any(path for pattern in _TOKENIZER_FILES for path in source.glob(pattern)):
        raise InputError(f"{folder} has no usable tokenizer: none of {', '.join(_TOKENIZER_FILES)}")
    check_growth(source / "tokenizer.json")
    try:
        with readable_folder(source) as readable:
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                readable, trust_remote_code=False, local_files_only=True
            )
    except Exception as error:  # a folder without a tokenizer can raise nearly any exception
        raise InputError(f"{folder} has no usable tokenizer: {requirements.explain_loading(error, source)}") from error
    files = {"tokenizer.json", *tokenizer.vocab_files_names.values()}
    if not any((source / name).is_file() for name in files):  # the library then returns a tokenizer without vocabulary
        raise InputError(f"{folder} has no usable tokenizer: none of {', '.join(sorted(files))}")
    return tokenizer


class _Replacements(msgspec.Struct):
    """The parts of `tokenizer.json` that replace characters."""

    normalizer: Any = None
    decoder: Any = None


def check_growth(path: Path) -> None:
    """Refuse a tokenizer whose replacements would write gigabytes for a line of text: nothing can stop it later.

    Raises:
        InputError: one character becomes more than `MOST_GROWTH`.
    """
    try:
        parts = msgspec.json.decode(path.read_bytes(), type=_Replacements) if path.is_file() else _Replacements()
        growths = {"normalizer": _growth(parts.normalizer), "decoder": _growth(parts.decoder)}
    except (OSError, ValueError, RecursionError):  # whoever loads it says what is wrong
        return
    for name, growth in growths.items():
        if growth > MOST_GROWTH:
            raise InputError(
                f"{path}: its {name} can make over {MOST_GROWTH:,} characters of one: it would need all memory"
            )


def _growth(step: Any) -> int:
    """Return how many characters a step of a tokenizer, or a sequence of steps, makes of one at most.

    Example:
        >>> dots = {"type": "Replace", "pattern": {"Regex": "."}, "content": "..."}
        >>> _growth({"type": "Sequence", "normalizers": [dots, dots, {"type": "Lowercase"}]})
        9
    """
    if isinstance(step, list):
        return prod(map(_growth, step))
    if not isinstance(step, dict):
        return 1
    written, pattern = step.get("content", step.get("prepend")), step.get("pattern")
    replaced = pattern.get("String") if isinstance(pattern, dict) else None
    factor = len(written) if isinstance(written, str) else 1
    length = len(replaced) if isinstance(replaced, str) else 1
    nested = (steps for name in ("normalizers", "decoders") if isinstance(steps := step.get(name), list))
    return max(1, -(-factor // max(1, length))) * prod(map(_growth, nested))


def _holds_tokenizer(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json", "tokenizer.model"))


def length_limit(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Return how many tokens a model reads: the minimum of its tokenizer's limit and its number of positions."""
    limits = [tokenizer.model_max_length]  # a huge number if it is not set
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if positions and positions > 0:  # XLNet and others write -1 if there is no limit
        limits.append(positions)
    for name, module in model.named_modules():
        # RoBERTa counts positions from the padding token's id: 514 positions hold 512 tokens.
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            limits.append(module.num_embeddings - module.padding_idx - 1)
    return min(limits) if min(limits) < 1 << 30 else None


def embedding_count(model: PreTrainedModel) -> int | None:
    """Return the number of tokens that a model has embeddings of; None if its embeddings are not a plain table."""
    return getattr(model.get_input_embeddings(), "num_embeddings", None)


def single_rows(batch: Batch) -> list[Batch]:
    """Split a batch into its members, for models that must read each row alone.

    Example:
        >>> [part.members for part in single_rows(Batch((Group(0, (3, 1)), Group(0, (2,)))))]
        [(3,), (1,), (2,)]
    """
    return [Batch((Group(0, (member,)),)) for member in batch.members]


def pad_right(prompts: Sequence[Prompt], batch: Batch, pad: int, device: torch.device) -> dict[str, Any]:
    """Pad the texts of a batch to the longest: B rows of L tokens.

    Args:
        prompts: all prompts of the plan.
        batch: the batch whose members are padded.
        pad: the padding token.
        device: the device of the tensors.

    Returns:
        `input_ids`, `attention_mask` and, if the texts have token types, `token_type_ids`; each (B, L) int64.
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
    types = [text.token_types for text in texts if isinstance(text, TextPrompt)]
    return {**inputs, "token_type_ids": rows(types, 0)} if all(types) else inputs
