"""Find a key that a JSON object gives twice: of its two values, every reader takes one without a word.

    loads(text) -> Any             parse a text, exactly
    RepeatedKeys(kind).check(…)    check a text that was decoded as a declared type, quickly

Parsing with a function for each object takes four times as long as decoding. So a text of a declared type is parsed
only if a key of the type stands in it more often than the decoded objects and texts account for, or a key may be
written with escapes.
"""

from __future__ import annotations

import itertools
import json
import operator
import re
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
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


def check(text: bytes, declared: Container[str] | None = None) -> None:
    """Raise `orjson.JSONDecodeError`, with the place of the second, if an object of a JSON text gives a key twice.

    Args:
        text: the text.
        declared: the keys that must not be repeated; None for all.
    """
    objects = itertools.count(1)

    def pairs(members: list[tuple[str, Any]]) -> None:
        number = next(objects)
        if len(dict(members)) < len(members):
            keys = [key for key, _ in members if declared is None or key in declared]
            repeated = next((key for key in keys if keys.count(key) > 1), None)
            if repeated is not None:
                raise _Repeated(repeated, number)

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
        structs: dict[Any, msgspec.inspect.StructType] = {}
        self._type = msgspec.inspect.type_info(kind)
        self._is_open = not _collect(self._type, structs)
        self._keys = {
            name: orjson.dumps(name)
            for name in sorted({entry.encode_name for info in structs.values() for entry in info.fields})
        }

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
        if self._is_open or (b"\\" in text and b"\\u00" in text and _ESCAPED_LETTER.search(text)):
            check(text, None if self._is_open else self._keys)
            return
        counts = {name: text.count(key) for name, key in self._keys.items()}
        if max(counts.values(), default=0) <= 1:
            return
        members = _Members()
        members.add(self._type, [value])
        if all(counts[name] <= members.present[name] for name in counts):
            return
        known = msgspec.json.encode(value)  # a text may be equal to a key
        if any(counts[name] > known.count(key) - members.defaults[name] for name, key in self._keys.items()):
            check(text, self._keys)


@dataclass
class _Members:
    """How often the objects of a decoded value have each key. A field with its default may be absent from the text."""

    present: Counter[str] = field(default_factory=Counter)
    """Number of objects whose text surely has the key."""
    defaults: Counter[str] = field(default_factory=Counter)
    """Number of objects in which the key's value is its default."""

    def add(self, info: msgspec.inspect.Type, values: Sequence[Any]) -> None:
        """Count the members of all objects in some values of a type."""
        if not values or not _holds_objects(info):
            return
        if isinstance(info, msgspec.inspect.StructType):
            for entry in info.fields:
                self._add_member(entry, values)
        elif isinstance(info, msgspec.inspect.UnionType):
            for part in info.types:
                self.add(part, [value for value in values if _is_of(part, value)])
        elif isinstance(info, msgspec.inspect.Metadata):
            self.add(info.type, values)
        elif isinstance(info, msgspec.inspect.TupleType):
            for place, part in enumerate(info.item_types):
                self.add(part, [value[place] for value in values])
        else:
            self._add_items(info.item_type, values)  # type: ignore[attr-defined]  # of a list, a set or a tuple

    def _add_items(self, item: msgspec.inspect.Type, values: Sequence[Any]) -> None:
        if isinstance(item, msgspec.inspect.StructType) and all(
            entry.required and not _holds_objects(entry.type) for entry in item.fields
        ):  # nor need these
            count = sum(map(len, values))
            self.present.update({entry.encode_name: count for entry in item.fields})
        else:
            self.add(item, list(itertools.chain.from_iterable(values)))

    def _add_member(self, entry: msgspec.inspect.Field, objects: Sequence[Any]) -> None:
        present = len(objects)
        if not entry.required or _holds_objects(entry.type):  # otherwise the objects need not be visited
            values = list(map(operator.attrgetter(entry.name), objects))
            if not entry.required:
                default = entry.default_factory() if entry.default is msgspec.NODEFAULT else entry.default
                present -= sum(value is default or value == default for value in values)
            self.add(entry.type, values)
        self.present[entry.encode_name] += present
        self.defaults[entry.encode_name] += len(objects) - present


def _is_of(info: msgspec.inspect.Type, value: Any) -> bool:
    """Return whether a value is of a part of a union: an object of its class, or an array."""
    if isinstance(info, msgspec.inspect.StructType):
        return type(value) is info.cls
    return hasattr(info, "item_type") and isinstance(value, (list, tuple, set, frozenset))


def _collect(info: msgspec.inspect.Type, structs: dict[Any, msgspec.inspect.StructType]) -> bool:
    """Add the objects' types in a type; return whether their keys are all keys that a text of it may have."""
    closed = True
    for part in _parts(info):
        if isinstance(part, (msgspec.inspect.DictType, msgspec.inspect.AnyType, msgspec.inspect.RawType)):
            closed = False
        elif isinstance(part, msgspec.inspect.StructType) and part.cls not in structs:
            structs[part.cls] = part
            inner = [_collect(entry.type, structs) for entry in part.fields]
            closed = closed and all(inner)
    return closed


def _holds_objects(info: msgspec.inspect.Type) -> bool:
    return any(isinstance(part, msgspec.inspect.StructType) for part in _parts(info))


def _parts(info: msgspec.inspect.Type) -> Iterator[msgspec.inspect.Type]:
    """Yield a type, and the types of its items."""
    yield info
    for name in ("item_type", "type"):
        if isinstance(part := getattr(info, name, None), msgspec.inspect.Type):
            yield from _parts(part)
    for name in ("item_types", "types"):
        for part in getattr(info, name, ()):
            yield from _parts(part)
