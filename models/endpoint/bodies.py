"""Parse the body of a server's response; a body that is no valid answer raises `MalformedError`."""

from __future__ import annotations

from typing import Any

import orjson

from evals import repeated_keys

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
        evals.models.endpoint.bodies.MalformedError: a JSON list, expected an object
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
