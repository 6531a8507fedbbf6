"""Embeddings by a model that was made to write: its last hidden state at the end of a prompt.

A picture or a text is shown, the prompt goes on `In one word:`, and what is taken is the last hidden state, after the
final norm, at the last token: where the model is about to name what it was shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evals.models.decoding.sampling import NOT_FINITE
from evals.schema import Embed, Part, Prediction, Prompt, Request

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

IN_ONE_WORD = "\nIn one word:"
"""Follows what is embedded, as in Jiang et al., E5-V (2024), with one wording for pictures and texts."""


def shown(request: Request) -> tuple[Part, ...]:
    """What a prompt shows: what is embedded is followed by what asks for it."""
    return (*request.parts, IN_ONE_WORD) if isinstance(request, Embed) else request.parts


def of_rows(
    model: PreTrainedModel, rows: Sequence[Sequence[int]], inputs: Mapping[str, torch.Tensor]
) -> list[torch.Tensor]:
    """Read rows of tokens at once by a model that only looks back: padding follows their ends, and nothing sees it.

    Args:
        model: with a base model under its head.
        rows: tokens of the prompts.
        inputs: what else the model reads with them (pictures), in their order.

    Returns:
        A vector a row.
    """
    import torch

    ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True).to(model.device)
    with torch.inference_mode():
        states = model.base_model(input_ids=ids, use_cache=False, **inputs).last_hidden_state
        return list(states[torch.arange(len(rows)), torch.tensor([len(row) - 1 for row in rows])])


def of_one(model: PreTrainedModel, encoded: Mapping[str, Any]) -> torch.Tensor:
    """Read one prompt as the library prepares it."""
    import torch

    with torch.inference_mode():
        state: torch.Tensor = model.base_model(**encoded, use_cache=False).last_hidden_state[0, -1]
    return state


def prediction(prompt: Prompt, state: torch.Tensor) -> Prediction:
    """Answer a request with a vector, unless the model gave no numbers."""
    from evals.records.embeddings import pack

    row = state.float().cpu()
    if not bool(row.isfinite().all()):
        return Prediction(prompt.request.id, failure=NOT_FINITE)
    return Prediction(prompt.request.id, output=pack(row.numpy()), prompt_tokens=len(prompt.tokens))
