"""Strict parsers for the responses of an OpenAI-compatible server; invalid responses raise `MalformedError`."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import orjson

from evals import repeated_keys
from evals.models.decoding.text import cut_at_stop
from evals.models.decoding.thoughts import split_text
from evals.schema import Json

_MAX_LOGPROB = 1e-3
"""A log-probability may be above 0 by rounding only."""
_FLOAT32 = float.fromhex("0x1.ffffffp127")
"""Least number that rounds to none of 32 bits: embeddings are stored with 32."""
_MAX_COUNT = 1 << 40
"""What a server counts beyond this is no number of tokens."""
_PUNCTUATION = " \t\r\n.,:;!?\"'`*()[]{}"
END_MARKS = (
    "<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|endoftext|>", "<end_of_turn>", "<|end_of_turn|>", "<|eom_id|>",
    "<｜end▁of▁sentence｜>", "<|END_OF_TURN_TOKEN|>", "<|return|>",
)  # fmt: skip
"""Texts of the tokens with which public models end an answer. A server whose configuration names another end leaves
them in the text, with what the model wrote after its answer; the text is cut before the first."""
_WHOLE = frozenset({"stop", "eos", "eos_token", "stop_sequence", "end_turn", "complete", "tool_calls", "function_call"})
"""Why a whole text ended (`finish_reason`, in any case of letters): OpenAI, vLLM, TGI, Cohere, Anthropic."""
_CUT = frozenset({"length", "max_tokens", "max_length", "model_length"})
"""Why a text ended that was cut at a limit: OpenAI, vLLM, TGI, Gemini, Cohere, Mistral."""
MAX_TEXT = 4_000_000
"""Longest text in an answer, in characters: a million tokens. It is searched for the key, which takes a second."""


class MalformedError(Exception):
    """A body with status 200 that is not a valid answer."""


def decoded(data: bytes) -> Any:
    """Parse a body as a JSON object. Raises `MalformedError` with a description of the body.

    Example:
        >>> decoded(b'{"choices": []}')
        {'choices': []}
        >>> decoded(b"[1]")
        Traceback (most recent call last):
            ...
        evals.models.endpoint.responses.MalformedError: a JSON list, expected an object
    """
    if not data.strip():
        raise MalformedError("an empty body")
    try:
        body = repeated_keys.loads(data)
    except orjson.JSONDecodeError as error:
        raise MalformedError(f"no JSON ({error.msg} at character {error.pos} of {len(data)})") from error
    if not isinstance(body, dict):
        raise MalformedError(f"a JSON {type(body).__name__}, expected an object")
    if len(data) > MAX_TEXT and (longest := _longest(body)) > MAX_TEXT:
        raise MalformedError(f"a text of {longest:,} characters; at most {MAX_TEXT:,} are read")
    if body.get("error"):
        raise MalformedError(f"an error with status 200: {orjson.dumps(body['error']).decode()[:MAX_TEXT]}")
    return body


def _longest(value: Any) -> int:
    """Return the length of the longest text in a JSON value."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return max((max(len(key), _longest(entry)) for key, entry in value.items()), default=0)
    return max(map(_longest, value), default=0) if isinstance(value, list) else 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts reported by the server; 0 for counts that it does not report."""

    prompt: int
    cached: int
    """Prompt tokens that were in the server's cache."""
    new: int
    reasoning: int
    """New tokens that belong to the reasoning."""
    reported: bool = True
    """Whether the server counted the tokens of the prompt and the new ones, so that their cost is known."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A generated text."""

    text: str
    thought: str | None
    """The reasoning before the text, if the model wrote any."""
    truncated_thinking: bool
    """Whether the text ended inside the reasoning."""
    truncated: bool
    """Whether the text ended because the token limit was reached."""
    model: str | None
    """The model's name in the response."""
    usage: Usage


TokenLogprobs = tuple[tuple[Json, float | None], ...]
"""The tokens of a prompt, each with its log-probability in nats; the first token has none."""


def read_usage(body: Any) -> Usage:
    """Read the token counts, under the names that OpenAI, DeepSeek and vLLM use."""
    usage = _dict(body.get("usage"))
    details = _dict(usage.get("completion_tokens_details"))
    cached = _dict(usage.get("prompt_tokens_details")).get("cached_tokens", usage.get("prompt_cache_hit_tokens"))
    prompt = _count(usage.get("prompt_tokens"))
    return Usage(
        prompt,
        min(prompt, _count(cached)),
        _count(usage.get("completion_tokens")),
        _count(details.get("reasoning_tokens", usage.get("reasoning_tokens"))),
        reported=prompt > 0 and _is_count(usage.get("completion_tokens", 0 if "data" in body else None)),
    )


def read_chat(body: Any) -> Reply:
    """Read a chat completion; reasoning is separated from the answer, whether or not the server did so."""
    choice = _first(body, "choices")
    message = _dict(choice.get("message"))
    candidates = (message.get("reasoning_content"), message.get("reasoning"))  # either may be null
    reasoning = next((text for text in candidates if isinstance(text, str)), None)
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    if content is None and (reasoning is not None or _is_cut(choice)):
        content = ""  # the token limit ended the reasoning
    return _reply(body, choice, content, reasoning)


def read_completion(body: Any, begun: str = "") -> Reply:
    """Read a text completion, which goes on after an earlier one (`begun`)."""
    choice = _first(body, "choices")
    text = choice.get("text")
    return _reply(body, choice, begun + text if isinstance(text, str) else text, None)


def check_model(reply: Reply, expected: str | None) -> None:
    """Raise `MalformedError` for the answer of another model than the server gave before."""
    if expected and reply.model and reply.model != expected:
        raise MalformedError(f"it comes from model {reply.model!r}, not from {expected!r}")


def read_prompt_logprobs(body: Any, prompts: Sequence[str]) -> list[TokenLogprobs]:
    """Read the log-probabilities of prompts' tokens: from an echoed completion, or from vLLM's `prompt_logprobs`."""
    choices = body.get("choices")
    if not isinstance(choices, list) or len(choices) != len(prompts):
        raise MalformedError(f"expected {len(prompts)} choices")
    ordered = sorted((_dict(choice) for choice in choices), key=lambda choice: _count(choice.get("index")))
    if all(isinstance(choice.get("prompt_logprobs"), list) for choice in ordered):
        return [_checked([_prompt_logprob(entry) for entry in choice["prompt_logprobs"]]) for choice in ordered]
    echoed = [_echoed(choice) for choice in ordered]
    total = sum(map(len, echoed))
    extra = total - (read_usage(body).prompt or total - len(prompts))
    if extra > len(prompts):  # else the last tokens of the prompts would be taken for new ones
        raise MalformedError(f"{total} tokens where the prompts have {total - extra} and {len(prompts)} are new")
    return [
        _without_new_token(pairs, prompt, extra, len(prompts)) for pairs, prompt in zip(echoed, prompts, strict=True)
    ]


def read_embedding(body: Any) -> list[float]:
    """Read one embedding."""
    vector = _first(body, "data").get("embedding")
    if (
        not isinstance(vector, list)
        or not vector
        or not all(_is_number(value) and abs(value) < _FLOAT32 for value in vector)
    ):
        raise MalformedError("expected an embedding of finite numbers")
    return vector


def read_vector(body: Any) -> tuple[tuple[list[float], Usage], int]:
    """Read one embedding with its token counts, as `Server.send` wants them."""
    return (read_embedding(body), read_usage(body)), 1


def common_length(a: TokenLogprobs, b: TokenLogprobs) -> int:
    """Count the leading tokens that two prompts have in common."""
    return sum(1 for _ in takewhile(lambda pair: pair[0][0] == pair[1][0], zip(a, b, strict=False)))


def find_choice(text: str, choices: Sequence[str]) -> str | None:
    """Find the choice that a text names: the whole text, or else the only choice that it contains as a word.

    Example:
        >>> [find_choice(text, (" no", " yes")) for text in ("**Yes**.", "I would say no.", "yes or no")]
        [' yes', ' no', None]
        >>> find_choice("not_entailment", ("entailment", "not_entailment"))
        'not_entailment'
    """
    normalised = text.strip(_PUNCTUATION).casefold()
    names = {choice: choice.strip(_PUNCTUATION).casefold() for choice in choices}
    exact = [choice for choice, name in names.items() if name == normalised]
    within = [c for c, name in names.items() if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", normalised)]
    return next((matches[0] for matches in (exact, within) if len(matches) == 1), None)


def _reply(body: Any, choice: dict[str, Any], content: Json, reasoning: str | None) -> Reply:
    finish_reason = choice.get("finish_reason")
    if not isinstance(content, str):
        raise MalformedError(f"no text (finish_reason {finish_reason})")
    if finish_reason == "content_filter":
        raise MalformedError("the server's content filter withheld the text")
    cut = _is_cut(choice)
    if not cut and finish_reason is not None and str(finish_reason).lower() not in _WHOLE:
        # `abort`, `error`, DeepSeek's `insufficient_system_resource`: the text is a part of an answer.
        raise MalformedError(f"the server did not end the text as a model does (finish_reason {finish_reason})")
    text, inline, is_open = split_text(content)
    if reasoning:
        text = text.lstrip()  # white space between a thought and the answer is part of neither
    # A server that separates the reasoning leaves the text empty if the limit is reached within it.
    ended_inside = is_open or (bool(reasoning) and not text.strip() and cut)
    model = body.get("model")
    whole = cut_at_stop(text, END_MARKS)
    return Reply(
        text=whole,
        thought=reasoning or inline,
        truncated_thinking=ended_inside,
        truncated=cut and whole == text,
        model=model if isinstance(model, str) else None,
        usage=read_usage(body),
    )


def _is_cut(choice: dict[str, Any]) -> bool:
    """Whether a text was cut at a limit of tokens."""
    return str(choice.get("finish_reason")).lower() in _CUT


def _echoed(choice: dict[str, Any]) -> list[tuple[Json, float | None]]:
    logprobs = _dict(choice.get("logprobs"))
    tokens, values = logprobs.get("tokens"), logprobs.get("token_logprobs")
    if not isinstance(tokens, list) or not isinstance(values, list) or len(tokens) != len(values):
        raise MalformedError("no log-probabilities")
    return list(zip(tokens, values, strict=True))


def _without_new_token(pairs: list[tuple[Json, float | None]], prompt: str, extra: int, count: int) -> TokenLogprobs:
    """Remove the new token: one was requested, and the total number of tokens shows whether the server added it.

    Text offsets cannot be used instead: some servers count them in parts of tokens.

    Args:
        pairs: the tokens of one prompt with their log-probabilities.
        prompt: the prompt.
        extra: number of tokens of all prompts beyond those of the prompts themselves.
        count: number of prompts.
    """
    added = extra >= count or (extra > 0 and "".join(str(token) for token, _ in pairs) != prompt)
    return _checked(pairs[:-1] if added else pairs)


def _checked(pairs: list[tuple[Json, float | None]]) -> TokenLogprobs:
    if len(pairs) < 2 or not all(_is_number(value) for _, value in pairs[1:]):
        raise MalformedError("no log-probabilities of the prompt")
    if any(value > _MAX_LOGPROB for _, value in pairs[1:]):  # type: ignore[operator]
        raise MalformedError("a log-probability of the prompt is above 0")
    return tuple(pairs)


def _prompt_logprob(entry: Json) -> tuple[Json, float | None]:
    """Read `{"<token id>": {"logprob": …}}`; the first token of a prompt has no log-probability."""
    if entry is None:
        return None, None
    for token, fields in _dict(entry).items():
        value = fields.get("logprob") if isinstance(fields, dict) else fields
        if value is not None and _is_number(value):
            return token, float(value)
    raise MalformedError("no log-probabilities of the prompt")


def _first(body: Any, name: str) -> dict[str, Any]:
    values = body.get(name)
    if not isinstance(values, list) or not values or not isinstance(values[0], dict):
        raise MalformedError(f"no {name}")
    if len(values) > 1:
        raise MalformedError(f"{len(values)} {name} where one was asked for")
    return values[0]


def _dict(value: Json) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Json) -> int:
    return value if _is_count(value) else 0


def _is_count(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_COUNT


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
