"""Generation requests and results: rows to continue, completions, token sampling and stop strings.

The loops that generate are in `evals.models.decoding.engine` and `evals.models.decoding.hf_generate`.

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
"""Failure message for logits or embeddings that contain NaN or infinity."""


@dataclass(frozen=True)
class GenerationRow:
    """One prompt to continue: an index into the shared prefixes, and the tokens after that prefix."""

    prefix_index: int
    """Index of the shared prefix that the prompt begins with."""
    suffix: Sequence[int]
    """The prompt's tokens after the shared prefix; at least one."""
    max_new_tokens: int
    """Maximum number of tokens to generate."""
    stop: tuple[str, ...] = ()
    """Strings that end the generation."""
    sample: Callable[[torch.Tensor], int] | None = None
    """Chooses a token from logits (V,); None takes the most likely token."""
    min_new_tokens: int = 0
    """Minimum number of tokens to generate: end tokens are ignored before."""


@dataclass(frozen=True)
class Completion:
    """The tokens generated for one row."""

    tokens: list[int]
    """New tokens, without the end token."""
    truncated: bool
    """Whether generation stopped because it reached `max_new_tokens`."""
    failure: str | None = None
    """Why the completion is unusable: the logits were not finite."""


def generation_row(request: Generate, prefix_index: int, suffix: Sequence[int]) -> GenerationRow:
    """Make the row that continues a request's prompt after a shared prefix."""
    return GenerationRow(
        prefix_index=prefix_index,
        suffix=suffix,
        max_new_tokens=request.max_new_tokens,
        stop=request.stop,
        sample=sampler(request),
        min_new_tokens=request.min_new_tokens,
    )


def sampler(request: Generate) -> Callable[[torch.Tensor], int] | None:
    """Return a function that samples a token from logits (V,), or None for greedy decoding.

    The random numbers depend only on the request's seed and ID, so the result does not depend on the batch.
    """
    import torch

    if not request.temperature:
        return None
    seed = hashlib.sha256(f"{request.seed}:{request.id}".encode()).digest()[:8]
    generator = torch.Generator().manual_seed(int.from_bytes(seed, "little"))

    def sample(logits_V: torch.Tensor) -> int:
        probabilities, tokens = (logits_V.float().cpu() / request.temperature).softmax(dim=-1).sort(descending=True)
        nucleus = probabilities.cumsum(dim=-1) - probabilities < request.top_p
        return int(tokens[torch.multinomial(probabilities * nucleus, 1, generator=generator)])

    return sample


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the IDs of the tokens that end a text: those of the generation config, else the tokenizer's end token."""
    configured = model.generation_config.eos_token_id if model.generation_config else None
    ends = configured if isinstance(configured, list) else [configured]
    token_ids = [end for end in ends if end is not None]
    return token_ids or [end for end in [tokenizer.eos_token_id] if end is not None]


def cut_at_stop(text: str, stops: Sequence[str]) -> str:
    r"""Cut a text before the first occurrence of any stop string.

    Example:
        >>> cut_at_stop("18\n\nQuestion: what", ("Question:", "\n\n"))
        '18'
    """
    return text[: min((text.find(stop) for stop in stops if stop in text), default=len(text))]
