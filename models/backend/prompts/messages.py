"""Messages of a chat, and whether a rendered chat contains their texts."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence

from evals.schema import Json

Message = Mapping[str, Json]
"""A message of a chat: `role`, and `content` as text or as a list of parts."""


def like(text: str, content: str | Sequence[Message]) -> str | list[Message]:
    """Return a text in the form of another message's content: as text, or as a list with one part."""
    return text if isinstance(content, str) else [{"type": "text", "text": text}]


def texts_of(content: Json) -> list[str]:
    """Return the texts of a message."""
    return [content] if isinstance(content, str) else [part["text"] for part in content if part["type"] == "text"]


def contains(rendered: str, text: str) -> bool:
    """Return whether a rendered chat has a text, apart from white space and from escaping for JSON or HTML."""
    if text.strip() in rendered:
        return True
    texts = ("".join(form.split()) for form in (text, json.dumps(text, ensure_ascii=False)[1:-1]))
    chats = ["".join(form.split()) for form in (rendered, html.unescape(rendered))]
    return any(form in chat for form in texts for chat in chats)


def shortened(text: str) -> str:
    """Write a text in one line of at most 40 characters."""
    line = " ".join(text.split())
    return repr(line if len(line) <= 40 else line[:39] + "…")
