"""Read the words by which articles are read: `words.yaml` beside this module, regular expressions in lists.

pattern("wording.score") -> re.Pattern      a list of alternatives, compiled
entries("benchmarks") -> the rows of another part of the file
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evals import yaml_files

_FLAGS = re.compile(r"\(\?[a-z]+\)")


@functools.cache
def _content() -> Mapping[str, Any]:
    content: Mapping[str, Any] = yaml_files.load(Path(__file__).with_name("words.yaml"))
    return content


def pattern(name: str) -> re.Pattern[str]:
    """Return a pattern of the file by its name.

    Example:
        >>> bool(pattern("wording.score").search("it reaches 78.3"))
        True
    """
    return re.compile(joined(_content()["patterns"][name]))


def entries(part: str) -> Sequence[Any]:
    """Return the rows of a part of the file."""
    rows: Sequence[Any] = _content()[part]
    return rows


def joined(alternatives: Sequence[str]) -> str:
    """Join alternatives; a first one such as `(?i)` gives the flags of all.

    Example:
        >>> joined(["(?i)", "a", "b"]), joined(["a", "b"])
        ('(?i)a|b', 'a|b')
    """
    is_flag = _FLAGS.fullmatch(alternatives[0]) is not None
    return "|".join(alternatives) if not is_flag else alternatives[0] + "|".join(alternatives[1:])
