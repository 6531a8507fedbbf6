"""Prompts that are longer than a server's model reads: recorded failures, or shortened (`--long-prompts`).

Only the server can count a prompt's tokens. It names its limit in its list of models (`max_model_len` of vLLM and
SGLang), and when it rejects a request that is too long. A request is then shortened until the server accepts it: whole
few-shot examples are left out first, as few as possible, then characters from the left of the text, as many as the
tokens that the server counts too many.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from evals.errors import LongPromptError, SampleError
from evals.models.decoding.text import with_fewer_examples
from evals.schema import Choose, Embed, Generate, Json, Part, Prediction
from evals.schema.config import LONG_PROMPTS

FAIL, TRUNCATE = LONG_PROMPTS

_LIMIT_FIELDS = ("max_model_len", "context_length", "context_window", "max_context_length", "n_ctx")
"""Names of the limit in a server's list of models: vLLM and SGLang, OpenRouter, Groq, Mistral, llama.cpp."""
_ABOUT_LENGTH = re.compile(
    r"maximum (?:context|model|sequence|input) length|max_(?:model|seq)_len|context (?:length|size|window)"
    r"|(?:prompt|input|request)s? (?:is |are )?too long|`inputs` tokens",
    re.IGNORECASE,
)
_COUNT = r"(?<![0-9])[0-9]{1,12}(?![0-9])"
"""What a server counts: more digits are no number of tokens."""
_LIMITS = (
    re.compile(rf"maximum (?:context|model|sequence|input) length(?: is| of)?:?\D{{0,3}}({_COUNT})", re.IGNORECASE),
    re.compile(rf"context (?:length|size|window)(?: is| of)?:?\D{{0,3}}({_COUNT})", re.IGNORECASE),
    re.compile(rf"({_COUNT}) maximum context length|must be <= ({_COUNT})", re.IGNORECASE),
)
_OF_THE_PROMPT = re.compile(
    rf"({_COUNT}) (?:input|prompt|`inputs`) tokens"
    rf"|({_COUNT}) (?:tokens )?(?:in|from) (?:the (?:input )?messages|your prompt)",
    re.IGNORECASE,
)
_MAX_TRIES = 64
"""How often the text of one request is shortened."""

TextRequest = Generate | Choose | Embed


@dataclass(frozen=True, slots=True)
class Rejection:
    """What a server says of a request that is too long."""

    limit: int | None
    """Number of tokens that the model reads and writes; None if the server does not say."""
    needed: int | None
    """Number of tokens that the request needs; None if the server does not say."""


def read_rejection(message: str, new: int = 0) -> Rejection | None:
    """Read a server's message; None if it is not about the length of a request.

    Args:
        message: the server's words.
        new: number of new tokens that the request asks for.

    Example:
        >>> vllm = "This model's maximum context length is 64 tokens. However, you requested 80 tokens"
        >>> read_rejection(vllm)
        Rejection(limit=64, needed=80)
        >>> read_rejection("maximum context length is 64 tokens and your request has 60 input tokens", new=16)
        Rejection(limit=64, needed=76)
        >>> read_rejection("the key is invalid") is None
        True
    """
    if not _ABOUT_LENGTH.search(message):
        return None
    stated = next((match for pattern in _LIMITS if (match := pattern.search(message))), None)
    if stated is None:
        return Rejection(None, None)
    limit = int(next(group for group in stated.groups() if group is not None))
    of_prompt = _OF_THE_PROMPT.search(message)
    if of_prompt is not None:
        return Rejection(limit, int(of_prompt[1] or of_prompt[2]) + new)
    larger = [int(number) for number in re.findall(_COUNT, message) if int(number) > limit]
    return Rejection(limit, min(larger, default=None))


def stated_limit(listing: Json, model: str) -> int | None:
    """Return how many tokens a model reads and writes, as a server's list of models says; None if it does not.

    Example:
        >>> stated_limit({"data": [{"id": "m", "max_model_len": 4096}]}, "m")
        4096
    """
    rows = listing.get("data") if isinstance(listing, dict) else None
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and row.get("id") == model:
            sources = (row, row.get("meta"))
            values = [source.get(name) for source in sources if isinstance(source, dict) for name in _LIMIT_FIELDS]
            return next((v for v in values if isinstance(v, int) and not isinstance(v, bool) and v > 0), None)
    return None


def answer_fitting(
    request: TextRequest, answer: Callable[[TextRequest], Prediction], long_prompts: str, new: int
) -> Prediction:
    """Answer a request, shortened if the server rejects it as too long and the user allows it.

    Args:
        request: the request.
        answer: sends a request; raises `SampleError` with the server's message.
        long_prompts: `fail` or `truncate-left`.
        new: number of new tokens that the request asks for.

    Returns:
        The prediction; of a shortened request with that request.

    Raises:
        LongPromptError: it is too long and must not be shortened, or no shortening makes it fit.
        SampleError: the server rejects it for another reason.
    """
    try:
        return answer(request)
    except SampleError as error:
        rejected, rejection = error, read_rejection(str(error), new)
    if rejection is None:
        raise rejected
    if long_prompts != TRUNCATE:
        raise LongPromptError(f"{rejected}; --long-prompts truncate-left shortens such prompts") from rejected
    shorter = request
    for shorter in with_fewer_examples(request):
        outcome = _try(shorter, answer, new)
        if isinstance(outcome, Prediction):
            return outcome
        rejected, rejection = outcome
    for _ in range(_MAX_TRIES):
        parts = _without_left(shorter.parts, _too_many(shorter, rejection, new))
        if parts is None:
            break
        shorter = replace(shorter, parts=parts)
        outcome = _try(shorter, answer, new)
        if isinstance(outcome, Prediction):
            return outcome
        rejected, rejection = outcome
    raise LongPromptError(f"no shortening makes the prompt fit: {rejected}") from rejected


def _try(
    request: TextRequest, answer: Callable[[TextRequest], Prediction], new: int
) -> Prediction | tuple[SampleError, Rejection]:
    """Answer a shortened request; returns the error if it is still too long."""
    try:
        return replace(answer(request), shortened=request)
    except SampleError as error:
        rejection = read_rejection(str(error), new)
        if rejection is None:
            raise
        return error, rejection


def _too_many(request: TextRequest, rejection: Rejection, new: int) -> int:
    """Return how many characters to remove: those of the tokens that are too many, else an eighth of the text."""
    characters = sum(len(part) for part in request.parts if isinstance(part, str))
    if rejection.limit is None or rejection.needed is None:
        return -(-characters // 8)
    tokens = max(1, rejection.needed - new)
    return max(1, -(-characters * (rejection.needed - rejection.limit) // tokens))


def _without_left(parts: Sequence[Part], count: int) -> tuple[Part, ...] | None:
    """Remove characters from the left of the text among the parts; None if none would be left."""
    kept: list[Part] = []
    for part in parts:
        if isinstance(part, str):
            removed = min(count, len(part))
            count, part = count - removed, part[removed:]
        kept.append(part)
    texts = [part for part in kept if isinstance(part, str)]
    return tuple(part for part in kept if part != "") if any(texts) else None
