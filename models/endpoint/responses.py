"""What a server of OpenAI's kind sends back, read strictly: anything that is no answer is a `MalformedError`."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evals.models.endpoint.client import MalformedError
from evals.schema import Json

_EDGES = " \t\r\n.,:;!?\"'`*()[]{}"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that the server counted; 0 where it counts none."""

    prompt: int
    cached: int
    """Those of the prompt that it had in its cache."""
    new: int
    reasoning: int
    """Those of the new ones that it thought with."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer in text."""

    text: str
    reasoning: str | None
    """What was thought before, apart from the text."""
    truncated: bool
    served: str | None
    """The model that the server says has answered."""
    usage: Usage


Weighed = tuple[tuple[Json, float | None], ...]
"""A prompt's tokens, each with its log-probability in nats; the first has none."""


def read_usage(body: Any) -> Usage:
    """Read the tokens that an answer counts, in the words of OpenAI, DeepSeek and vLLM."""
    usage = _dict(body.get("usage"))
    details = _dict(usage.get("completion_tokens_details"))
    cached = _dict(usage.get("prompt_tokens_details")).get("cached_tokens", usage.get("prompt_cache_hit_tokens"))
    prompt = _count(usage.get("prompt_tokens"))
    return Usage(
        prompt,
        min(prompt, _count(cached)),
        _count(usage.get("completion_tokens")),
        _count(details.get("reasoning_tokens", usage.get("reasoning_tokens"))),
    )


def read_chat(body: Any) -> Reply:
    """Read a chat completion; what a reasoning model thought is told apart, whether the server did so or not."""
    choice = _first(body, "choices")
    message = _dict(choice.get("message"))
    thoughts = (message.get("reasoning_content"), message.get("reasoning"))  # either may be null
    thought = next((each for each in thoughts if isinstance(each, str)), None)
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    if content is None and (thought is not None or choice.get("finish_reason") == "length"):
        content = ""  # it came no further than its thought
    return _reply(body, choice, content, thought)


def read_completion(body: Any) -> Reply:
    """Read a text completion."""
    choice = _first(body, "choices")
    return _reply(body, choice, choice.get("text"), None)


def read_weighed(body: Any, prompts: Sequence[str]) -> list[Weighed]:
    """Read the log-probabilities of several prompts' own tokens: echoed, or as vLLM's `prompt_logprobs`."""
    choices = body.get("choices")
    if not isinstance(choices, list) or len(choices) != len(prompts):
        raise MalformedError(f"expected {len(prompts)} choices")
    ordered = sorted((_dict(choice) for choice in choices), key=lambda choice: _count(choice.get("index")))
    if all(isinstance(choice.get("prompt_logprobs"), list) for choice in ordered):
        return [_checked([_prompt_logprob(entry) for entry in choice["prompt_logprobs"]]) for choice in ordered]
    echoed = [_echoed(choice) for choice in ordered]
    more = sum(map(len, echoed)) - (read_usage(body).prompt or sum(map(len, echoed)) - len(prompts))
    return [_own(pairs, prompt, more, len(prompts)) for pairs, prompt in zip(echoed, prompts, strict=True)]


def read_embedding(body: Any) -> list[float]:
    """Read one embedding."""
    vector = _first(body, "data").get("embedding")
    if not isinstance(vector, list) or not vector or not all(_is_number(value) for value in vector):
        raise MalformedError("expected an embedding of finite numbers")
    return vector


def split_thinking(text: str) -> tuple[str, str | None]:
    """Tell the answer from what was thought before it.

    Returns:
        The answer and the thought; None where there is none. A thought without an end leaves no answer.

    Example:
        >>> split_thinking("<think>16 - 7</think>9"), split_thinking("16 - 7</think>9"), split_thinking("<think>16")
        (('9', '16 - 7'), ('9', '16 - 7'), ('', '16'))
        >>> split_thinking("9")
        ('9', None)
    """
    before, end, after = text.partition("</think>")
    if end or before.lstrip().startswith("<think>"):
        return after.strip(), before.strip().removeprefix("<think>").strip()
    return text, None


def named(text: str, choices: Sequence[str]) -> str | None:
    """Find the choice that a text names: all of it, else the only one that it contains as a word.

    Example:
        >>> [named(text, (" no", " yes")) for text in ("**Yes**.", "I would say no.", "yes or no")]
        [' yes', ' no', None]
        >>> named("not_entailment", ("entailment", "not_entailment"))
        'not_entailment'
    """
    said = text.strip(_EDGES).casefold()
    names = {choice: choice.strip(_EDGES).casefold() for choice in choices}
    whole = [choice for choice, name in names.items() if name == said]
    within = [c for c, name in names.items() if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", said)]
    return next((found[0] for found in (whole, within) if len(found) == 1), None)


def _reply(body: Any, choice: dict[str, Any], content: Json, thought: str | None) -> Reply:
    ended = choice.get("finish_reason")
    if not isinstance(content, str):
        raise MalformedError(f"no text (finish_reason {ended})")
    if ended == "content_filter":
        raise MalformedError("the server's filter withheld the text")
    text, inline = split_thinking(content)
    served = body.get("model")
    return Reply(
        text.strip(),
        thought or inline,
        ended == "length",
        served if isinstance(served, str) else None,
        read_usage(body),
    )


def _echoed(choice: dict[str, Any]) -> list[tuple[Json, float | None]]:
    logprobs = _dict(choice.get("logprobs"))
    tokens, weights = logprobs.get("tokens"), logprobs.get("token_logprobs")
    if not isinstance(tokens, list) or not isinstance(weights, list) or len(tokens) != len(weights):
        raise MalformedError("no log-probabilities")
    return list(zip(tokens, weights, strict=True))


def _own(pairs: list[tuple[Json, float | None]], prompt: str, more: int, count: int) -> Weighed:
    """Leave the new token out: one was asked for, and whether it came is told by the number of all prompts' tokens.

    Offsets in the text would not do: some servers count them in pieces of tokens.
    """
    came = more >= count or (more > 0 and "".join(str(token) for token, _ in pairs) != prompt)
    return _checked(pairs[:-1] if came else pairs)


def _checked(pairs: list[tuple[Json, float | None]]) -> Weighed:
    if len(pairs) < 2 or not all(_is_number(weight) for _, weight in pairs[1:]):
        raise MalformedError("no log-probabilities of the prompt")
    return tuple(pairs)


def _prompt_logprob(entry: Json) -> tuple[Json, float | None]:
    """Read `{"<token id>": {"logprob": …}}`; the first token of a prompt has none."""
    if entry is None:
        return None, None
    for token, found in _dict(entry).items():
        weight = found.get("logprob") if isinstance(found, dict) else found
        if weight is not None and _is_number(weight):
            return token, float(weight)
    raise MalformedError("no log-probabilities of the prompt")


def _first(body: Any, name: str) -> dict[str, Any]:
    values = body.get(name)
    if not isinstance(values, list) or not values or not isinstance(values[0], dict):
        raise MalformedError(f"no {name}")
    return values[0]


def _dict(value: Json) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Json) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
