"""Find a key that a JSON object gives twice: of its two values, every reader takes one without a word.

    loads(text) -> Any             parse a text, exactly
    RepeatedKeys(kind).check(…)    check a text that was decoded as a declared type, quickly

Parsing with a function for each object takes four times as long as decoding. So a text of a declared type is parsed
only if a key of the type stands in it more often than in what was decoded, or a key may be written with escapes.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import orjson

_ESCAPED_LETTER = re.compile(rb"\\u00[2-7]")
_OUTSIDE = re.compile(rb'"(?:[^"\\]|\\.)*"|\}', re.DOTALL)


def loads(text: bytes) -> Any:
    """Parse a JSON text in which no object gives a key twice.

    Raises:
        orjson.JSONDecodeError: the text is malformed, or an object gives a key twice.

    Example:
        >>> loads(b'{"id": 1, "output": {"id": 2}}')
        {'id': 1, 'output': {'id': 2}}
        >>> loads(b'{"id": 1, "output": "x", "id": 2}')
        Traceback (most recent call last):
            ...
        orjson.JSONDecodeError: the key 'id' is given twice: line 1 column 26 (char 25)
    """
    value = orjson.loads(text)
    check(text)
    return value


def check(text: bytes) -> None:
    """Raise `orjson.JSONDecodeError`, with the place of the second, if an object of a JSON text gives a key twice."""
    objects = itertools.count(1)

    def pairs(members: list[tuple[str, Any]]) -> None:
        number = next(objects)
        if len(dict(members)) < len(members):
            keys = [key for key, _ in members]
            raise _Repeated(next(key for key in keys if keys.count(key) > 1), number)

    try:
        json.loads(text.decode(errors="replace"), object_pairs_hook=pairs, parse_int=float)
    except RecursionError:
        raise orjson.JSONDecodeError("it is nested too deeply", "", 0) from None
    except _Repeated as repeated:
        key, number = repeated.args
        raise orjson.JSONDecodeError(
            f"the key {key!r} is given twice", text.decode(errors="replace"), _place(text, key, number)
        ) from None


class _Repeated(Exception):
    """A key that an object gives twice, and the number of the object in the order in which they end."""


def _place(text: bytes, key: str, number: int) -> int:
    """Return the position of the last such key before the end of an object, in characters."""
    ends = (match.start() for match in _OUTSIDE.finditer(text) if match[0] == b"}")
    end = next(itertools.islice(ends, number - 1, None))
    spellings = (json.dumps(key, ensure_ascii=ascii).encode(errors="surrogatepass") for ascii in (False, True))
    at = max(text.rfind(spelling, 0, end) for spelling in spellings)
    return len(text[: at if at >= 0 else end].decode(errors="replace"))


class RepeatedKeys:
    """Checks texts that were decoded as a declared type; keys that the type does not declare may be repeated."""

    def __init__(self, kind: Any) -> None:
        """Collect the keys of a type; one with free keys (a mapping, `Any`) has its texts parsed."""
        names = set[str]()
        self._is_open = not _collect(kind, names, set())
        self._keys = [orjson.dumps(name) for name in sorted(names)]

    def check(self, text: bytes, value: Any) -> None:
        """Check a text. Raises `orjson.JSONDecodeError`, as `check` does.

        Args:
            text: the text.
            value: what it was decoded as.

        Example:
            >>> class Row(msgspec.Struct):
            ...     id: int
            >>> RepeatedKeys(Row).check(b'{"id": 1, "other": 2, "other": 3}', Row(1))
            >>> RepeatedKeys(Row).check(b'{"id": 1, "id": 2}', Row(2))
            Traceback (most recent call last):
                ...
            orjson.JSONDecodeError: the key 'id' is given twice: line 1 column 11 (char 10)
        """
        if self._is_open or (b"\\u00" in text and _ESCAPED_LETTER.search(text)):
            check(text)
        elif any(text.count(key) > 1 for key in self._keys):
            known = msgspec.json.encode(value)
            if any(text.count(key) > known.count(key) for key in self._keys):
                check(text)


def _collect(kind: Any, names: set[str], seen: set[Any]) -> bool:
    """Add the keys of a type and of the types in it; return whether these are all keys that a text of it may have."""
    closed = [_collect_one(part, names, seen) for part in _parts(msgspec.inspect.type_info(kind))]
    return all(closed)


def _collect_one(info: msgspec.inspect.Type, names: set[str], seen: set[Any]) -> bool:
    if isinstance(info, (msgspec.inspect.DictType, msgspec.inspect.AnyType, msgspec.inspect.RawType)):
        return False
    if not isinstance(info, msgspec.inspect.StructType) or info.cls in seen:
        return True
    seen.add(info.cls)
    names |= {field.encode_name for field in info.fields}
    closed = [_collect_one(part, names, seen) for field in info.fields for part in _parts(field.type)]
    return all(closed)


def _parts(info: msgspec.inspect.Type) -> Iterator[msgspec.inspect.Type]:
    """Yield a type, and the types of its items."""
    yield info
    for name in ("item_type", "type"):
        if isinstance(part := getattr(info, name, None), msgspec.inspect.Type):
            yield from _parts(part)
    for name in ("item_types", "types"):
        for part in getattr(info, name, ()):
            yield from _parts(part)
