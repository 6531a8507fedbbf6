"""What stands in a prompt's tokens for pictures and recordings, so that different ones are different tokens.

A model's own placeholder is one token for all pictures. Prompts are planned by what they have in common, so there a
placeholder becomes a negative number that tells its picture; before the model reads them, all become its own again.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

from evals.schema import Part

Placeholders = Mapping[type, tuple[str, int]]
"""By the kind of part, what stands for it: as text and as a token."""


def marked(tokens: Sequence[int], parts: Sequence[Part], placeholders: Placeholders) -> tuple[int, ...]:
    """Number placeholders by what they stand for; the numbers of one kind leave one remainder.

    Args:
        tokens: as the model reads them.
        parts: what the prompt is made of; those of a kind stand in the order of their placeholders.
        placeholders: of the model.

    Example:
        >>> from evals.schema import Image
        >>> marked([5, 9, 9, 6], (Image("a"), "what?"), {Image: ("<image>", 9)})
        (5, -3904355908, -3904355908, 6)
    """
    codes = {}
    for place, (kind, (_, token)) in enumerate(placeholders.items()):
        keys = [part.key for part in parts if not isinstance(part, str) and isinstance(part, kind)]
        codes[token] = iter([-1 - len(placeholders) * zlib.crc32(key.encode()) - place for key in keys])
    found, previous, code = [], None, 0
    for token in tokens:
        if token in codes and previous != token:
            code = next(codes[token], code)
        found.append(code if token in codes else token)
        previous = token
    return tuple(found)


def plain(tokens: Sequence[int], placeholders: Placeholders) -> list[int]:
    """Turn marked tokens into those that the model reads.

    Example:
        >>> from evals.schema import Image
        >>> plain((5, -3904355908, -3904355908, 6), {Image: ("<image>", 9)})
        [5, 9, 9, 6]
    """
    own = [token for _, token in placeholders.values()]
    return [own[(-1 - token) % len(own)] if token < 0 else token for token in tokens]
