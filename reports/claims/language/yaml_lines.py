"""Read YAML together with the line of each value, so that error messages can name file and line.

read(path) -> YamlFile     YamlFile.build(model) -> an instance of the model, or an `InputError` of one line
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from evals import yaml_files
from evals.errors import InputError, UnknownName, shorten
from evals.yaml_files import Location

_VERBATIM = {
    *("printed", "implied", "upto", "plus_minus", "margin", "value", "conditions", "protocol"),
    *("attainable", "cells", "same_level", "interval", "name", "row", "column", "than", "mean_of", "sum_of"),
}
"""Keys whose scalars stay text as written, quoted or not: 78.30 is not 78.3, and `yes` is a word."""
_DECLARED = {
    "subject": "; declare a system of the document's own under 'document: subjects'",
    "quantity": "; declare a new one under 'document: quantities'",
}
"""What to do about an unknown name of a kind that a document may declare."""
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class YamlFile:
    """The content of a YAML file as plain values, and the line of each."""

    path: Path
    values: Any
    lines: Mapping[Location, int]

    def at(self, location: Location) -> str:
        """Return `file:line` for a location, or for the nearest enclosing part that is in the file."""
        return f"{self.path}:{self.lines.get(self._present(location), 1)}"

    def refuse(self, location: Location, message: str) -> InputError:
        """Return the error for a mistake; the message names the line and the claim or fact."""
        owner = ""
        if len(location) > 1 and location[0] in ("claims", "facts"):
            try:
                owner = f"{self.values[location[0]][location[1]]['id']} "
            except (KeyError, IndexError, TypeError):
                owner = ""
        return InputError(" ".join(f"{self.at(location)}: {owner}{message}".split()))

    def require_known(self, location: Location, kind: str, name: str, names: Collection[str]) -> None:
        """Raise `InputError` if a name is not among `names`."""
        if name not in names:
            raise self.refuse(location, unknown(kind, name, names) + _DECLARED.get(kind, ""))

    def build(self, model: type[M]) -> M:
        """Return the content as an instance of a model. Raises `InputError` with the line of the first mistake."""
        try:
            return model.model_validate(self.values)
        except ValidationError as error:
            mistakes = _innermost([(tuple(detail["loc"]), detail) for detail in error.errors(include_url=False)])
            location, detail = min(mistakes, key=lambda mistake: self.lines.get(self._present(mistake[0]), 0))
            if detail["type"] == "missing":  # if the key is misspelt, the unknown key is the better message
                unknown_keys = [mistake for mistake in mistakes if mistake[1]["type"] == "extra_forbidden"]
                siblings = (mistake for mistake in unknown_keys if mistake[0][:-1] == location[:-1])
                location, detail = next(siblings, (location, detail))
            raise self.refuse(location, _message(location, detail, model)) from None

    def _present(self, location: Location) -> Location:
        while location and location not in self.lines:
            location = location[:-1]
        return location


def read(path: Path) -> YamlFile:
    """Read a file. Raises `InputError` if it is missing, not YAML, or not a mapping."""
    values, lines = yaml_files.load_with_lines(path, _VERBATIM)
    if not isinstance(values, dict):
        raise InputError(f"{path}:1: holds no mapping; expected the keys 'document' and 'claims'")
    return YamlFile(path, values, lines)


def _innermost(mistakes: Sequence[tuple[Location, Any]]) -> list[tuple[Location, Any]]:
    """Drop mistakes that follow from one further inside: a list whose only entry is wrong is reported as too short."""
    outside = {location[:count] for location, _ in mistakes for count in range(len(location))}
    return [mistake for mistake in mistakes if mistake[0] not in outside]


def _describe(location: Location) -> str:
    """Describe a location by its key, and an entry of a list also by its number."""
    key = str(location[-1]) if location else ""
    return f"{location[-2]}, entry {location[-1] + 1}" if location and isinstance(location[-1], int) else key


def _message(location: Location, detail: Mapping[str, Any], model: type[BaseModel]) -> str:
    """Translate an error of pydantic for the author of the file."""
    name, kind, value = _describe(location), detail["type"], detail.get("input")
    if kind == "extra_forbidden":
        return unknown("key", name, _keys(model, location[:-1]))
    if kind == "missing":
        owner = location[-2] if len(location) > 3 and isinstance(location[-2], str) else ""
        return f"{owner} lacks {name!r}"
    if kind == "literal_error":
        return f"{name}: " + unknown("word", str(value), re.findall(r"'([^']+)'", detail["ctx"]["expected"]), "is")
    if kind == "string_pattern_mismatch":
        return f"{name}: {shorten(value, 60)} is not {_PATTERNS.get(name, 'of the form ' + detail['ctx']['pattern'])}"
    message = str(detail["msg"]).removeprefix("Value error, ")
    if kind == "value_error":
        return message
    if kind in _EXPECTED:
        is_plain = kind == "string_type" and isinstance(value, int | float | date)
        shown, hint = (str(value), "; put it in quotes") if is_plain else (shorten(value, 60), "")
        return f"{name}: {shown} where {_EXPECTED[kind]} was expected{hint}"
    return f"{name}: {shorten(value, 60)}: {message[0].lower()}{message[1:]}"


_PATTERNS = {
    "id": "an id: a capital first and a number last for claims (B-59), small letters for facts and documents",
    **dict.fromkeys(
        ("printed", "implied", "upto", "plus_minus", "margin", "same_level"),
        "a number; write its digits alone ('78.3', no unit; for 7B: '7' and times: 1e9)",
    ),
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


def unknown(kind: str, name: str, names: Collection[str], verb: str = "is named") -> str:
    """Return the message for an unknown name, with similar names, or with all names if they are few."""
    near = difflib.get_close_matches(name, sorted(names), n=3, cutoff=0.5)
    if near:
        return f"no {kind} {verb} {name!r}; did you mean {' or '.join(map(repr, near))}?"
    if len(names) > 40:
        return f"no {kind} {verb} {name!r}; there are {len(names)}, none of them near"
    return str(UnknownName(kind, name, names)).replace("is named", verb)


def _keys(model: type[BaseModel], location: Location) -> list[str]:
    """List the keys that the mapping at a location may have."""

    def inner(annotation: Any) -> type[BaseModel] | None:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return annotation
        return next((nested for part in get_args(annotation) if (nested := inner(part))), None)

    current: type[BaseModel] | None = model
    for step in location:
        field = current.model_fields.get(str(step)) if current else None
        if field is not None:
            current = inner(field.annotation)
    return sorted(field.alias or name for name, field in current.model_fields.items()) if current else []


def no_repetition(source: YamlFile, group: str, kind: str, ids: list[str]) -> None:
    """Raise `InputError` if two claims or two facts have the same id."""
    first: dict[str, int] = {}
    for number, id in enumerate(ids):
        if id in first:
            earlier = source.at((group, first[id], "id"))
            raise source.refuse((group, number, "id"), f"is the id of two {kind}s; the first is at {earlier}")
        first[id] = number
