"""YAML as plain values that know their lines, so that each mistake is named by file and line.

read(path) -> Source     Source.build(model) -> the model, or an `InputError` of one line
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from yaml.constructor import SafeConstructor

from evals.errors import InputError, UnknownName

_VERBATIM = {"printed", "implied", "upto", "margin", "value", "conditions"}
"""Keys whose words are kept as they are written, quoted or not: 78.30 is not 78.3, and yes is a word."""
_MOST = 200_000
"""Values that a file may hold: aliases of aliases multiply."""
Location = tuple[str | int, ...]
"""Where something is in a file: keys and places, from the outside in."""
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class YamlFile:
    """A YAML file as plain values, and the line of each."""

    path: Path
    values: Any
    lines: Mapping[Location, int]

    def at(self, location: Location) -> str:
        """Say where something is: the file and the line of the nearest part that has one."""
        return f"{self.path}:{self.lines.get(self._present(location), 1)}"

    def refuse(self, location: Location, message: str) -> InputError:
        """Make the error for a mistake at a place, naming the claim or fact that it is in."""
        owner = ""
        if len(location) > 1 and location[0] in ("claims", "facts"):
            try:
                owner = f"{self.values[location[0]][location[1]]['id']} "
            except (KeyError, IndexError, TypeError):
                owner = ""
        return InputError(" ".join(f"{self.at(location)}: {owner}{message}".split()))

    def known(self, location: Location, kind: str, name: str, names: Collection[str]) -> None:
        """Check that a name exists."""
        if name not in names:
            raise self.refuse(location, unknown(kind, name, names))

    def build(self, model: type[M]) -> M:
        """Make the model, or name the first mistake by its line."""
        try:
            return model.model_validate(self.values)
        except ValidationError as error:
            mistakes = _innermost([(tuple(found["loc"]), found) for found in error.errors(include_url=False)])
            location, found = min(mistakes, key=lambda mistake: self.lines.get(self._present(mistake[0]), 0))
            if found["type"] == "missing":  # a key that is misspelt rather than forgotten says more
                strangers = [one for one in mistakes if one[1]["type"] == "extra_forbidden"]
                location, found = next((one for one in strangers if one[0][:-1] == location[:-1]), (location, found))
            raise self.refuse(location, _mistake(location, found, model)) from None

    def _present(self, location: Location) -> Location:
        while location and location not in self.lines:
            location = location[:-1]
        return location


def read(path: Path) -> YamlFile:
    """Read a file into values and lines."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{path}:{line}: no YAML: {' '.join(str(error.problem).split())}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(node, yaml.MappingNode):
        raise InputError(f"{path}:1: holds no mapping; expected the keys 'document' and 'claims'")
    lines: dict[Location, int] = {}
    values = _values(path, node, (), lines)
    return YamlFile(path, values, lines)


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _values(path: Path, node: yaml.Node, location: Location, lines: dict[Location, int]) -> Any:
    """Turn a node into plain values, noting lines; refuse repeated keys and aliases that contain themselves."""
    lines.setdefault(location, node.start_mark.line + 1)
    if len(location) > 12 or len(lines) > _MOST:
        raise InputError(f"{path}:{node.start_mark.line + 1}: too much to be claims: nested too deeply or repeated")
    if isinstance(node, yaml.SequenceNode):
        return [_values(path, item, (*location, number), lines) for number, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise InputError(f"{path}:{line}: a key must be a word")
            if key.value in found:
                raise InputError(f"{path}:{line}: {key.value!r} is given twice")
            lines[(*location, key.value)] = line
            found[key.value] = _values(path, value, (*location, key.value), lines)
        return found
    if {*location[-2:]} & _VERBATIM and node.tag != "tag:yaml.org,2002:null":
        return node.value
    return _scalar(path, node)


def _scalar(path: Path, node: yaml.Node) -> Any:
    try:
        return SafeConstructor().construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        line = node.start_mark.line + 1
        why = getattr(error, "problem", None) or error
        raise InputError(f"{path}:{line}: {node.value!r} cannot be read: {' '.join(str(why).split())}") from None


def _innermost(mistakes: Sequence[tuple[Location, Any]]) -> list[tuple[Location, Any]]:
    """Leave out what only follows from a mistake further in: a list whose one entry is wrong is called too short."""
    places = [location for location, _ in mistakes]
    return [each for each in mistakes if not any(each[0] == place[:-1] for place in places)]


def _place(location: Location) -> str:
    """Name a place by its key; an entry of a list by its number too."""
    key = str(location[-1]) if location else ""
    return f"{location[-2]}, entry {location[-1] + 1}" if location and isinstance(location[-1], int) else key


def _mistake(location: Location, found: Mapping[str, Any], model: type[BaseModel]) -> str:
    """Say what one finding of pydantic means to the author of the file."""
    name, kind, given = _place(location), found["type"], found.get("input")
    if kind == "extra_forbidden":
        return unknown("key", name, _keys(model, location[:-1]))
    if kind == "missing":
        owner = location[-2] if len(location) > 3 and isinstance(location[-2], str) else ""
        return f"{owner} lacks {name!r}"
    if kind == "literal_error":
        return f"{name}: " + unknown("word", str(given), re.findall(r"'([^']+)'", found["ctx"]["expected"]), "is")
    if kind == "string_pattern_mismatch":
        return f"{name}: {given!r} is not {_PATTERNS.get(name, 'of the form ' + found['ctx']['pattern'])}"
    message = str(found["msg"]).removeprefix("Value error, ")
    if kind == "value_error":
        return message
    if kind in _EXPECTED:
        return f"{name}: {_shown(given)} where {_EXPECTED[kind]} was expected"
    return f"{name}: {_shown(given)}: {message[0].lower()}{message[1:]}"


_PATTERNS = {
    "id": "an id: a capital first and a number last for claims (B-59), small letters for facts and documents",
    **dict.fromkeys(("printed", "implied", "upto", "margin"), "a number; write its digits alone ('78.3', no unit)"),
}


_EXPECTED = {
    "string_type": "text",
    "string_too_short": "text",
    "tuple_type": "a list",
    "too_short": "a list of one at least",
    "dict_type": "a mapping of keys and values",
    "model_type": "a mapping of keys and values",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "decimal_parsing": "a number",
    "decimal_type": "a number",
}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def unknown(kind: str, name: str, names: Collection[str], verb: str = "is named") -> str:
    """Say that a name does not exist, with the near ones, or all when they are few."""
    near = difflib.get_close_matches(name, sorted(names), n=3, cutoff=0.5)
    if near:
        return f"no {kind} {verb} {name!r}; did you mean {' or '.join(map(repr, near))}?"
    if len(names) > 40:
        return f"no {kind} {verb} {name!r}; there are {len(names)}, none of them near"
    return str(UnknownName(kind, name, names)).replace("is named", verb)


def _keys(model: type[BaseModel], location: Location) -> list[str]:
    """List the keys that a mapping at a place may have."""

    def inner(annotation: Any) -> type[BaseModel] | None:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return annotation
        return next((found for part in get_args(annotation) if (found := inner(part))), None)

    current: type[BaseModel] | None = model
    for step in location:
        field = current.model_fields.get(str(step)) if current else None
        if field is not None:
            current = inner(field.annotation)
    return sorted(field.alias or name for name, field in current.model_fields.items()) if current else []


def no_repetition(source: YamlFile, group: str, kind: str, ids: list[str]) -> None:
    """Refuse an id that two claims or two facts have."""
    first: dict[str, int] = {}
    for number, id in enumerate(ids):
        if id in first:
            earlier = source.at((group, first[id], "id"))
            raise source.refuse((group, number, "id"), f"is the id of two {kind}s; the first is at {earlier}")
        first[id] = number
