"""Markdown documents of the project: their code blocks, commands, headings and links (CONTRIBUTING.md: Documents)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from commands import ROOT

PATHS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
LANGUAGES = {"sh", "bash", "python", "py", "text", "json", "yaml", "toml"}


class Block(NamedTuple):
    """A fenced code block: its language, the line after the fence, its text."""

    language: str
    line: int
    text: str


def blocks(text: str) -> Iterator[Block]:
    """Every fenced block of a document."""
    fence, language, first, lines = None, "", 0, []
    for number, line in enumerate(text.splitlines(), 1):
        mark = re.match(r" {0,3}(`{3,}|~{3,})\s*(.*)", line)
        if fence is None and mark:
            fence, language, first, lines = mark[1], mark[2].strip(), number + 1, []
        elif fence is not None and mark and mark[1].startswith(fence) and not mark[2]:
            yield Block(language, first, "\n".join(lines))
            fence = None
        elif fence is not None:
            lines.append(line)
    assert fence is None, "a code block is not closed"


def commands(block: Block) -> list[list[str]]:
    """The commands of a shell block as words: comments are left out and continued lines are joined.

    A `#` within a word, as in `endpoint:URL#NAME`, begins no comment.
    """
    lines = block.text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(re.sub(r"(^|\s)#.*$", "", line)))]


def arguments(words: list[str]) -> list[str] | None:
    """The arguments of a command of ours; None of any other command."""
    for program in (["python", "-m", "evals"], ["evals"]):
        if words[: len(program)] == program:
            return words[len(program) :]
    return None


def expanded(words: list[str], folder: Path) -> list[str]:
    """Words with `*` replaced by the paths that they match below a folder, as a shell does."""
    matches = {word: sorted(map(str, folder.glob(word))) if "*" in word else [word] for word in words}
    return [path for word in words for path in matches[word]]


def prose(text: str) -> str:
    """A document without its code blocks and code spans."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"(?ms)^ {0,3}(`{3,}).*?^ {0,3}\1\s*$", "", text))


def links(text: str) -> list[str]:
    """The targets of the links and images of a document."""
    return re.findall(r"\]\(\s*([^)\s]+)[^)]*\)", prose(text)) + re.findall(r'(?:src|href)="([^"]+)"', prose(text))


def anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"(?m)^#{1,6}\s+(.*?)\s*#*$", re.sub(r"(?ms)^(`{3,}).*?^\1\s*$", "", text))
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}
