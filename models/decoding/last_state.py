"""Embeddings from a generative model: its last hidden state at the end of a prompt.

The prompt shows an image or a text and continues `In one word:`. The embedding is the hidden state after the final norm
at the prompt's last token, after which the model would name the image or the text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evals.models.decoding.padding import on_device, pad_right
from evals.models.decoding.sampling import NOT_FINITE
from evals.schema import Embed, Part, Prediction, Prompt, Request

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

IN_ONE_WORD = "\nIn one word:"
"""Text that follows the embedded part, as in Jiang et al., E5-V (2024); the same for images and texts."""


def prompt_parts(request: Request) -> tuple[Part, ...]:
    """Return the parts of a request's prompt; an embedding request ends with `IN_ONE_WORD`."""
    return (*request.parts, IN_ONE_WORD) if isinstance(request, Embed) else request.parts


def embed_rows(
    model: PreTrainedModel, rows: Sequence[Sequence[int]], inputs: Mapping[str, torch.Tensor]
) -> list[torch.Tensor]:
    """Embed several prompts in one forward pass of a causal model.

    Rows are padded on the right; under causal attention no token sees the padding after it.

    Args:
        model: a causal model with a base model under its head.
        rows: tokens of the prompts.
        inputs: further inputs of the model (pixel values), in the order of the rows.

    Returns:
        One vector per row, on the CPU.
    """
    import torch

    ids = pad_right(rows, model.device)
    with torch.inference_mode():
        states = model.base_model(input_ids=ids, use_cache=False, **inputs).last_hidden_state
        last_R11 = on_device(torch.tensor([len(row) - 1 for row in rows]), states.device)[:, None, None]
        return list(states.take_along_dim(last_R11, dim=1)[:, 0].cpu())  # one copy from a GPU, not one per row


def embed_one(model: PreTrainedModel, encoded: Mapping[str, Any]) -> torch.Tensor:
    """Embed one prompt from the inputs that the library's processor prepared."""
    import torch

    with torch.inference_mode():
        state: torch.Tensor = model.base_model(**encoded, use_cache=False).last_hidden_state[0, -1]
    return state


def embedding_prediction(prompt: Prompt, state: torch.Tensor) -> Prediction:
    """Make the prediction for an embedding request; it is a failure if the vector is not finite."""
    from evals.records.embeddings import pack

    vector = state.float().cpu()
    if not bool(vector.isfinite().all()):
        return Prediction(prompt.request.id, failure=NOT_FINITE)
    return Prediction(prompt.request.id, output=pack(vector.numpy()), prompt_tokens=len(prompt.tokens))
