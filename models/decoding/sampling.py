"""What is generated: rows to continue, what came of them, how a token is drawn and what ends a text.

The loops that do it are in `evals.models.decoding.engine` and `evals.models.decoding.hf_generate`.

Letter in the names of tensors: V vocabulary.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evals.schema import Generate

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

NOT_FINITE = "the model's scores are not finite numbers; try --dtype bfloat16 or float32"
"""A failure of the numbers, which must never pass for an answer."""


@dataclass(frozen=True)
class Row:
    """A prompt to continue, after its shared part."""

    owner: int
    """The prefix that it continues."""
    rest: Sequence[int]
    """Its own tokens, at least one."""
    max_new_tokens: int
    """Stop after so many."""
    stop: tuple[str, ...] = ()
    """Stop at any of these strings."""
    draw: Callable[[torch.Tensor], int] | None = None
    """Chooses a token from logits (V,); None takes the likeliest."""
    min_new_tokens: int = 0
    """Do not end before so many."""


@dataclass(frozen=True)
class Continuation:
    """What was generated for a row."""

    tokens: list[int]
    """New tokens, without the one that ended it."""
    truncated: bool
    """It ended because `max_new_tokens` were there."""
    failure: str | None = None
    """Why it is worth nothing: the model gave no numbers."""


def drawing(request: Generate) -> Callable[[torch.Tensor], int] | None:
    """A chooser of tokens whose chance comes from the request alone, whatever shares its batch; None takes the best."""
    import torch

    if not request.temperature:
        return None
    seed = hashlib.sha256(f"{request.seed}:{request.id}".encode()).digest()[:8]
    generator = torch.Generator().manual_seed(int.from_bytes(seed, "little"))

    def draw(logits_V: torch.Tensor) -> int:
        likely, tokens = (logits_V.float().cpu() / request.temperature).softmax(dim=-1).sort(descending=True)
        inside = likely.cumsum(dim=-1) - likely < request.top_p
        return int(tokens[torch.multinomial(likely * inside, 1, generator=generator)])

    return draw


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The ids that end a text: what the checkpoint is configured for, else the tokenizer's end token."""
    configured = model.generation_config.eos_token_id if model.generation_config else None
    ends = configured if isinstance(configured, list) else [configured]
    found = [end for end in ends if end is not None]
    return found or [end for end in [tokenizer.eos_token_id] if end is not None]


def until(text: str, stops: Sequence[str]) -> str:
    r"""Cut a text before the first of some strings.

    Example:
        >>> until("18\n\nQuestion: what", ("Question:", "\n\n"))
        '18'
    """
    return text[: min((text.find(stop) for stop in stops if stop in text), default=len(text))]
