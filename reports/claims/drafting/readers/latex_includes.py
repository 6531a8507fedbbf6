r"""Put the files that a LaTeX article includes (`\input`, `\include`, `\subfile`) where it includes them."""

from __future__ import annotations

import re
from collections.abc import Callable

_INCLUDE = re.compile(
    r"(?<![\\%])\\(?:input|include|subfile)(?![A-Za-z])\s*(?:\{(?P<braced>[^{}\n]+)\}|(?P<bare>[^\s{}\\]+))"
)
_COMMENTED = re.compile(r"(?<!\\)%[^\n]*\Z")
_DEEPEST, _MOST_FILES, _MOST_CHARACTERS = 8, 200, 20 * 2**20
ReadFile = Callable[[str], str | None]
"""Returns the text of a file by the name that the article gives it; None if there is none."""


def with_includes(source: str, read: ReadFile) -> tuple[str, list[str]]:
    r"""Return the text of an article with the files that it includes, and the names of those that cannot be read.

    Example:
        >>> with_includes(r"Before \input{results} after \input{lost}.", {"results.tex": "78.3"}.get)
        ('Before 78.3 after \\input{lost}.', ['lost'])
    """
    lost: list[str] = []
    count = 0

    def expanded(text: str, outer: tuple[str, ...]) -> str:
        nonlocal count
        parts, last, size = [], 0, len(text)
        for match in _INCLUDE.finditer(text):
            line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
            if _COMMENTED.search(line):
                continue
            name = (match["braced"] or match["bare"]).strip()
            content = None
            if len(outer) < _DEEPEST and name not in outer and count < _MOST_FILES and size < _MOST_CHARACTERS:
                content = read(name if name.endswith(".tex") else f"{name}.tex")
                content = read(name) if content is None else content
            if content is None:
                lost.append(name)
                continue
            count += 1
            content = expanded(content, (*outer, name))
            size += len(content)
            parts += [text[last : match.start()], content]
            last = match.end()
        return "".join([*parts, text[last:]])

    return expanded(source, ()), list(dict.fromkeys(lost))
