"""The text of a prompt."""

from __future__ import annotations

from collections.abc import Sequence

from evals.errors import SampleError
from evals.schema import MODALITIES, Part, Request


def join_text(parts: Sequence[Part]) -> str:
    """Join the texts among the parts of a prompt.

    Example:
        >>> join_text(("Is it red?", " Answer:"))
        'Is it red? Answer:'
    """
    return "".join(part for part in parts if isinstance(part, str))


def plain_text(request: Request, reason: str) -> str:
    """Join the parts of a prompt that must be text only.

    Args:
        request: the request.
        reason: why other parts cannot be read, for the error.

    Raises:
        SampleError: the prompt has an image or audio.

    Example:
        >>> from evals.schema import Generate
        >>> plain_text(Generate("7", ("Is it red?", " Answer:"), 3), "a language model reads text only")
        'Is it red? Answer:'
    """
    others = {MODALITIES[type(part)] for part in request.parts if not isinstance(part, str)}
    if others:
        raise SampleError(f"request {request.id} has {' and '.join(sorted(others))}; {reason}")
    return join_text(request.parts)
