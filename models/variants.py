"""Register the models of `variants.yaml`: each row of that file is one model."""

from __future__ import annotations

from pathlib import Path

from evals import yaml_files
from evals.errors import InputError, shorten
from evals.registry import VARIANTS
from evals.schema import Variant

_TABLE = Path(__file__).with_name("variants.yaml")
_COLUMNS = {"family", "summary", "checkpoints", "tasks"}
_COMPOSED = {"family": "composed", "checkpoints": {}}
"""Columns of a row with `compose`, whose parts have a family and checkpoints."""


def read(path: Path) -> list[Variant]:
    """Read a table of variants. Raises `InputError` with the file, the row and what is wrong with it."""
    table = yaml_files.load(path)
    if not isinstance(table, dict):
        raise InputError(f"{path} holds {type(table).__name__}, expected one row per variant")
    return [_variant(path, name, row) for name, row in table.items()]


def _variant(path: Path, name: object, row: object) -> Variant:
    if not isinstance(name, str):
        raise InputError(f"{path}: a row is named {shorten(name)} ({type(name).__name__}), expected a text: quote it")
    if not isinstance(row, dict):
        raise InputError(f"{path}: {name} is {type(row).__name__}, expected columns {', '.join(sorted(_COLUMNS))}")
    if "compose" in row:
        if doubled := _COMPOSED.keys() & row.keys():
            raise InputError(f"{path}: {name} has compose and {', '.join(sorted(doubled))}: its parts have these")
        row = {**row, **_COMPOSED}
    missing = {"family", "summary", "checkpoints"} - row.keys()
    if missing:
        raise InputError(f"{path}: {name} lacks {', '.join(sorted(missing))}")
    kinds = {"family": str, "summary": str, "checkpoints": dict, "tasks": list}
    for column, kind in kinds.items():
        if column in row and not isinstance(row[column], kind):
            raise InputError(f"{path}: {name}: {column} is {shorten(row[column])}, expected {kind.__name__}")
    details = {column: value for column, value in row.items() if column not in _COLUMNS}
    return Variant(name, row["family"], row["summary"], row["checkpoints"], tuple(row.get("tasks", ())), details)


for variant in read(_TABLE):
    VARIANTS.add(variant)
