"""The text of a prompt, and the same prompt with fewer few-shot examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from evals.errors import SampleError
from evals.schema import MODALITIES, Choose, Embed, Generate, Part, Request

PromptRequest = TypeVar("PromptRequest", bound=Generate | Choose | Embed)


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


def check_embedded(id: str, tokens: Iterable[int], embeddings: int | None) -> None:
    """Raise `SampleError` if a model has no embedding of a token, because its tokenizer has more tokens.

    Args:
        id: the request's id.
        tokens: what the model would read.
        embeddings: number of tokens that it has embeddings of; None if it is not known.

    Example:
        >>> check_embedded("7", [1, 9], 8)
        Traceback (most recent call last):
            ...
        evals.errors.SampleError: request 7 has the token 9; the model has embeddings of tokens 0 to 7 only
    """
    largest = max(tokens, default=0)
    if embeddings is not None and largest >= embeddings:
        reason = f"the model has embeddings of tokens 0 to {embeddings - 1} only"
        raise SampleError(f"request {id} has the token {largest}; {reason}")


def with_fewer_examples(request: PromptRequest) -> Iterator[PromptRequest]:
    """Yield a request without its first few-shot example, then without its first two, until it has none.

    Example:
        >>> request = Generate("7", ("Solve. 1+1=2 ", "2+2=4 ", "3+3="), 5, examples=("1+1=2 ", "2+2=4 "))
        >>> [shorter.parts for shorter in with_fewer_examples(request)]
        [('Solve. ', '2+2=4 ', '3+3='), ('Solve. ', '3+3=')]
    """
    while not isinstance(request, Embed) and request.examples:
        example, *others = request.examples
        *leading, last = request.parts
        index = next((n for n, part in enumerate(leading) if isinstance(part, str) and example in part), None)
        if index is None:
            raise ValueError(f"request {request.id}: its prompt does not contain the example {example!r:.60}")
        rest = str(leading[index]).replace(example, "", 1)
        parts = (*leading[:index], *([rest] if rest else []), *leading[index + 1 :], last)
        request = replace(request, parts=parts, examples=tuple(others))
        yield request


def cut_at_stop(text: str, stops: Sequence[str]) -> str:
    r"""Cut a text before the first occurrence of any stop string.

    Example:
        >>> cut_at_stop("18\n\nQuestion: what", ("Question:", "\n\n"))
        '18'
    """
    return text[: min((text.find(stop) for stop in stops if stop in text), default=len(text))]
