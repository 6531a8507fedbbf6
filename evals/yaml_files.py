"""Read YAML that a stranger wrote: plain values, the line of each, and bounds on depth, size and work.

load(path) -> values     load_with_lines(path) -> values and the line of each

The depth is bounded before the library builds anything, since its C loader overflows the stack on deep nesting. Aliases
are counted as often as they are used, so a file of a few lines cannot become a billion values.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

from evals import regular_files
from evals.errors import InputError, one_line, shorten

MAX_BYTES = 16 << 20
"""Limit on the size of a file; the bundled files have less than 50 KB."""
MAX_DEPTH = 24
"""Limit on the nesting of lists and mappings."""
MAX_VALUES = 200_000
"""Limit on the values of a file, each alias counted as all that it repeats."""
MAX_DIGITS = 1_000
"""Limit on the length of a number that is converted: the time grows with the square of the digits."""
Location = tuple[str | int, ...]
"""The path of a value in a file: keys and list indexes, from the outside in."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL, _TEXT = "tag:yaml.org,2002:null", "tag:yaml.org,2002:str"
_NUMBERS = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}


_HINTS = {
    "cannot start any token": "; put text that begins with %, @ or ` in quotes, and indent with spaces",
    "expected alphabetic or numeric character": "; put text that begins with * or & in quotes",
    "mapping values are not allowed": "; put text that contains a colon and a space in quotes",
}
"""What to do about a mistake that beginners make, by words of the parser's message."""


def load(path: Path) -> Any:
    """Return the values of a file; keys are text as written.

    Raises:
        InputError: the file is missing, too large, not YAML, nested too deeply, or has a value that its tag does not
            allow; the message names file and line.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "p.yaml")
        >>> _ = path.write_text("models: {m: {input: 0.5}}")
        >>> load(path)
        {'models': {'m': {'input': 0.5}}}
    """
    return load_with_lines(path)[0]


def load_with_lines(path: Path, verbatim: Collection[str] = ()) -> tuple[Any, Mapping[Location, int]]:
    """Return the values of a file and the line of each.

    Args:
        path: the file, UTF-8.
        verbatim: keys whose scalars stay text as written, quoted or not, directly or as the items of a list.

    Raises:
        InputError: as `load`.
    """
    text = _text(path)
    try:
        _check_depth(path, text)
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = " ".join(str(error.problem).split())
        hint = next((hint for sign, hint in _HINTS.items() if sign in problem), "")
        raise InputError(f"{path}:{line}: no YAML: {problem}{hint}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: no YAML: {one_line(error)}") from None
    lines: dict[Location, int] = {}
    if node is None:
        return None, lines
    _check_size(path, node, {})
    return _Values(path, verbatim, lines).of(node, ()), lines


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: {path.stat().st_size:,} bytes; a YAML file may have {MAX_BYTES:,}")
        return regular_files.read(path, pipe=True).decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:  # a name with a NUL character is a ValueError, as is a byte that is no UTF-8
        reason = getattr(error, "strerror", None) or one_line(error)
        raise InputError(f"{path}: cannot be read: {reason}") from None


def _check_depth(path: Path, text: str) -> None:
    """Read the events one by one, which takes no stack, and refuse a file that nests too deeply or is too long."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH or number > 2 * MAX_VALUES:
            what = f"nested more than {MAX_DEPTH} deep" if depth > MAX_DEPTH else f"more than {MAX_VALUES:,} values"
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise InputError(f"{path}:{line}: {what}")


def _check_size(path: Path, node: yaml.Node, sizes: dict[int, int]) -> int:
    """Return the number of values of a node, each alias counted as all that it repeats; refuse too many.

    Each node is counted once, before anything is built, so that a file of aliases of aliases takes no time.
    """
    if (known := sizes.get(id(node))) is not None:
        return known
    sizes[id(node)] = 1  # until it is counted: an alias of itself is refused for its depth
    size = 1
    if isinstance(node, yaml.CollectionNode):
        for item in node.value:
            size += _check_size(path, item[1] if isinstance(item, tuple) else item, sizes)
    if size > MAX_VALUES:
        line = node.start_mark.line + 1
        raise InputError(f"{path}:{line}: more than {MAX_VALUES:,} values, counting each use of an alias")
    sizes[id(node)] = size
    return size


class _Values:
    """Converts nodes to plain values."""

    def __init__(self, path: Path, verbatim: Collection[str], lines: dict[Location, int]) -> None:
        self._path, self._verbatim, self._lines = path, verbatim, lines

    def of(self, node: yaml.Node, location: Location) -> Any:
        """Convert a node and store the lines of its values; refuse repeated keys and aliases without end."""
        line = node.start_mark.line + 1
        self._lines.setdefault(location, line)
        if len(location) > MAX_DEPTH:
            raise InputError(f"{self._path}:{line}: nested more than {MAX_DEPTH} deep, through an alias")
        if isinstance(node, yaml.SequenceNode):
            return [self.of(item, (*location, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, location)
        if {*location[-2:]} & {*self._verbatim} and node.tag != _NULL:
            return node.value
        return node.value if node.tag == _TEXT else self._scalar(node)  # most are text, which needs no conversion

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise InputError(f"{self._path}:{line}: a key must be a word")
            if key.value in mapping:
                raise InputError(f"{self._path}:{line}: {shorten(key.value, 60)} is given twice")
            self._lines[(*location, key.value)] = line
            mapping[key.value] = self.of(value, (*location, key.value))
        return mapping

    def _scalar(self, node: yaml.Node) -> Any:
        place = f"{self._path}:{node.start_mark.line + 1}"
        if node.tag in _NUMBERS and len(node.value) > MAX_DIGITS:
            raise InputError(f"{place}: a number of {len(node.value):,} characters; at most {MAX_DIGITS:,} are read")
        try:
            return SafeConstructor().construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            raise InputError(f"{place}: {shorten(node.value, 60)} cannot be read: {_problem(error)}") from None
        except (ArithmeticError, LookupError, AttributeError, TypeError):
            # What the library's constructors raise for a value that its tag does not allow: `!!bool foo`, `!!int ""`.
            kind = node.tag.rpartition(":")[2]
            raise InputError(f"{place}: {shorten(node.value, 60)} cannot be read as {kind}") from None


def _problem(error: Exception) -> str:
    return " ".join(str(getattr(error, "problem", None) or error).split())
