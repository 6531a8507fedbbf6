r"""Read the header of a Markdown file: YAML between `---`, TOML between `+++`, or a JSON object.

Headers are settings of a site generator or a hub, and no text of the article; only the title is used.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from typing import Any

_LONGEST = 200_000
"""Limit on the characters of a header."""
_YAML = re.compile(r"---[ \t]*\r?\n(?P<inner>.*?\r?\n)?(?:---|\.\.\.)[ \t]*(?:\r?\n|$)", re.S)
_TOML = re.compile(r"\+\+\+[ \t]*\r?\n(?P<inner>.*?\r?\n)?\+\+\+[ \t]*(?:\r?\n|$)", re.S)
_JSON_FENCE = re.compile(r";;;[ \t]*\r?\n(?P<inner>.*?\r?\n)?;;;[ \t]*(?:\r?\n|$)", re.S)
_BEGINS_YAML = re.compile(r"\s*(?:[\"']?[\w .-]{1,60}[\"']?\s*:(?:\s|$)|#|%|\{|- )")
"""What the first line of a YAML header looks like; a sentence below a rule is no header."""
_BEGINS_TOML = re.compile(r"\s*(?:[\w.\"'-]{1,60}\s*=|\[|#)")
_YAML_TITLE = re.compile(r"^title:[ \t]*[\"']?([^\n]{3,200}?)[\"']?[ \t]*\r?$", re.M)


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """The header of a file."""

    end: int
    """The index after it; 0 if the file has none."""
    title: str = ""


def front_matter(source: str) -> FrontMatter:
    r"""Find the header of a Markdown file.

    Example:
        >>> front_matter('+++\ntitle = "Otter 2"\nweight = 42\n+++\nIt is fast.')
        FrontMatter(end=38, title='Otter 2')
        >>> front_matter("---\nA sentence below a rule.\n---\n").end
        0
    """
    start = len(source) - len(source.lstrip("\ufeff \t\r\n"))
    head = source[start : start + _LONGEST]
    if (match := _YAML.match(head)) and _BEGINS_YAML.match(match["inner"] or "#"):
        title = _YAML_TITLE.search(match["inner"] or "")
        return FrontMatter(start + match.end(), title[1] if title else "")
    if (match := _TOML.match(head)) and _BEGINS_TOML.match(match["inner"] or "#"):
        return FrontMatter(start + match.end(), _title(_toml(match["inner"] or "")))
    if match := _JSON_FENCE.match(head):
        return FrontMatter(start + match.end(), _title(_json(match["inner"] or "")[0]))
    values, end = _json(head) if head.startswith("{") else ({}, 0)
    if values and re.match(r"[ \t]*(?:\r?\n|$)", head[end:]):
        return FrontMatter(start + end, _title(values))
    return FrontMatter(0)


def _toml(text: str) -> dict[str, Any]:
    """The values of a TOML header; none if it is damaged, because a header is no text even then."""
    try:
        return tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError:
        return {}


def _json(text: str) -> tuple[dict[str, Any], int]:
    """The values of the JSON object that a text begins with, and where it ends."""
    start = len(text) - len(text.lstrip())
    try:
        values, end = json.JSONDecoder().raw_decode(text, start)
    except (json.JSONDecodeError, RecursionError):
        return {}, 0
    return (values, end) if isinstance(values, dict) else ({}, 0)


def _title(values: dict[str, Any]) -> str:
    title = values.get("title", "")
    return " ".join(title.split())[:200] if isinstance(title, str) else ""
