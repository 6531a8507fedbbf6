"""Streamed answers of a server: server-sent events, as the OpenAI interface sends them with `"stream": true`.

    data: {"choices": [{"delta": {"content": "It"}}]}
    data: {"choices": [{"delta": {"content": " is"}, "finish_reason": "stop"}]}
    data: {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}
    data: [DONE]

`EventReader` notices the first token while the answer arrives; `assembled` turns the whole into the body that the
server would have sent at once, so both are read by the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from evals.models.endpoint.responses import MalformedError, decoded
from evals.schema import Json

STREAM: dict[str, Json] = {"stream": True, "stream_options": {"include_usage": True}}
"""Fields of a request for a streamed answer."""
_PREFIX = b"data:"
_DONE = b"[DONE]"
_THOUGHTS = ("reasoning_content", "reasoning")


class EventReader:
    """Notices the first token of a streamed answer."""

    def __init__(self, on_token: Callable[[], object]) -> None:
        """Call a function once, at the first token; never for an answer that is not streamed."""
        self._on_token: Callable[[], object] | None = on_token
        self._rest = b""

    def __call__(self, part: bytes) -> None:
        """Read a part of the answer."""
        if self._on_token is None:
            return
        *lines, self._rest = (self._rest + part).split(b"\n")
        if any(_texts(event) for event in _events(lines)):
            self._on_token()
            self._on_token, self._rest = None, b""


def assembled(data: bytes) -> Any:
    r"""Return the body of an answer; a streamed one is put together from its events.

    Raises:
        MalformedError: the events are damaged, end without a reason, or hold an error.

    Example:
        >>> body = assembled(b'data: {"choices": [{"text": "It", "finish_reason": "stop"}]}\n\ndata: [DONE]\n')
        >>> body["choices"][0]["text"], body["usage"]["completion_tokens"]
        ('It', 1)
    """
    if not data.lstrip().startswith((_PREFIX, b":")):
        return decoded(data)
    events = list(_events(data.split(b"\n"), strict=True))
    texts = {"content": "", "text": "", **dict.fromkeys(_THOUGHTS, "")}
    pieces, ended, usage, model = 0, None, None, None
    for event in events:
        if "error" in event:
            raise MalformedError(f"an error in the stream: {event['error']}")
        usage, model = event.get("usage") or usage, event.get("model") or model
        of_event = _texts(event)
        pieces += bool(of_event)
        for name, text in of_event.items():
            texts[name] += text
        ended = next((c["finish_reason"] for c in _choices(event) if c.get("finish_reason")), ended)
    if ended is None:
        raise MalformedError("the stream ended before the answer did")
    message = {"content": texts["content"]} | {name: texts[name] for name in _THOUGHTS if texts[name]}
    choice = {"finish_reason": ended, "message": message, "text": texts["text"]}
    return {"choices": [choice], "model": model, "usage": usage or {"completion_tokens": pieces}}


def _events(lines: list[bytes], *, strict: bool = False) -> Iterator[dict[str, Any]]:
    for line in lines:
        line = line.strip()
        if not line.startswith(_PREFIX) or line[len(_PREFIX) :].strip() == _DONE:
            continue
        try:
            event = orjson.loads(line[len(_PREFIX) :])
        except orjson.JSONDecodeError as error:
            if strict:
                raise MalformedError(f"an event of the stream is no JSON: {error}") from error
            continue
        if isinstance(event, dict):
            yield event


def _choices(event: dict[str, Any]) -> list[dict[str, Any]]:
    choices = event.get("choices")
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []


def _texts(event: dict[str, Any]) -> dict[str, str]:
    """Return the pieces of text in an event, by the name of their field."""
    texts: dict[str, str] = {}
    for choice in _choices(event):
        delta = choice.get("delta")
        fields = {**(delta if isinstance(delta, dict) else {}), "text": choice.get("text")}
        texts |= {name: text for name, text in fields.items()
                  if name in {"content", "text", *_THOUGHTS} and isinstance(text, str) and text}  # fmt: skip
    return texts
