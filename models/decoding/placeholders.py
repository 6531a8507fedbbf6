"""Placeholder tokens for images and audio, numbered so that different images are different tokens.

A model's own placeholder is the same token for every image. Batches are planned by the tokens that prompts have in
common, so each placeholder is first replaced by a negative number that identifies its image or audio. Before the model
reads the tokens, the numbers are replaced by the model's own placeholder again.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

from evals.schema import Part

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
