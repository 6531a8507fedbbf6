"""Placeholder tokens for images and audio, numbered so that different images are different tokens.

A model's own placeholder is the same token for every image. Batches are planned by the tokens that prompts have in
common, so each placeholder is first replaced by a negative number that identifies its image or audio. Before the model
reads the tokens, the numbers are replaced by the model's own placeholder again.

Some models (Qwen-VL) give an image's tokens rotary positions by row and column. After an image, a text token's position
is smaller than the number of tokens before it; the difference is the same for all later tokens of a row, so the cache
keeps one offset per slot.

Letters in the names of tensors: R rows, S tokens of a row.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from evals.schema import Part

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

Placeholders = Mapping[type, tuple[str, int]]
"""The placeholder of each kind of part, as text and as a token."""


def number_placeholders(tokens: Sequence[int], parts: Sequence[Part], placeholders: Placeholders) -> tuple[int, ...]:
    """Replace each placeholder token by a negative number that identifies its image or audio.

    The numbers of one kind of part are equal modulo the number of kinds, so `restore_placeholders` can invert this.

    Args:
        tokens: the prompt as the model reads it.
        parts: the parts of the prompt; parts of one kind are in the order of their placeholders.
        placeholders: the model's placeholders.

    Example:
        >>> from evals.schema import Image
        >>> number_placeholders([5, 9, 9, 6], (Image("a"), "what?"), {Image: ("<image>", 9)})
        (5, -3904355908, -3904355908, 6)
    """
    numbers_by_token = {}
    for remainder, (kind, (_, token)) in enumerate(placeholders.items()):
        keys = [part.key for part in parts if not isinstance(part, str) and isinstance(part, kind)]
        numbers = [-1 - len(placeholders) * zlib.crc32(key.encode()) - remainder for key in keys]
        numbers_by_token[token] = iter(numbers)
    numbered, previous, number = [], None, 0
    for token in tokens:
        if token in numbers_by_token and previous != token:
            number = next(numbers_by_token[token], number)
        numbered.append(number if token in numbers_by_token else token)
        previous = token
    return tuple(numbered)


def restore_placeholders(tokens: Sequence[int], placeholders: Placeholders) -> list[int]:
    """Replace numbered placeholders by the tokens that the model reads.

    Example:
        >>> from evals.schema import Image
        >>> restore_placeholders((5, -3904355908, -3904355908, 6), {Image: ("<image>", 9)})
        [5, 9, 9, 6]
    """
    model_tokens = [token for _, token in placeholders.values()]
    return [model_tokens[(-1 - token) % len(model_tokens)] if token < 0 else token for token in tokens]


def single_placeholders(tokens: Sequence[int]) -> list[int]:
    """Keep the first of the numbered placeholders of each image or audio.

    Example:
        >>> single_placeholders((5, -3904355908, -3904355908, 6))
        [5, -3904355908, 6]
    """
    pairs = zip(tokens, (None, *tokens), strict=False)
    return [token for token, previous in pairs if token >= 0 or token != previous]


def has_image_positions(model: PreTrainedModel) -> bool:
    """Return whether a model computes positions of rows and columns for images itself (`get_rope_index`)."""
    return hasattr(model.base_model, "get_rope_index")


def image_positions(
    model: PreTrainedModel, ids_RS: torch.Tensor, mask_RS: torch.Tensor, inputs: Mapping[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Compute the rotary positions of prompts from their first token on.

    Args:
        model: a vision-language model.
        ids_RS: tokens, padded.
        mask_RS: true for tokens, false for padding.
        inputs: the inputs for the images, in the order of the rows.

    Returns:
        Positions (3, R, S) by time, row and column, and what is added to the number of tokens for the position of a
        later token, (R,); None if the prompts have no image or the model counts tokens.
    """
    if "image_grid_thw" not in inputs or not has_image_positions(model):
        return None
    positions, offsets_R1 = model.base_model.get_rope_index(
        ids_RS, mm_token_type_ids=(ids_RS == model.config.image_token_id).int(),
        image_grid_thw=inputs["image_grid_thw"], attention_mask=mask_RS.long(),
    )  # fmt: skip
    return positions, offsets_R1[:, 0]
