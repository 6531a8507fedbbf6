"""Read the committed rows of a study."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TypeVar

import msgspec

from evals.errors import InputError
from evals.paths import PACKAGE

RESULTS = Path("models/replicas/studies/results")
"""Folder of the rows below the package, `NAME.csv`."""

RowT = TypeVar("RowT")


def read_rows(study: str, kind: type[RowT], package: Path = PACKAGE) -> list[RowT]:
    """Read the rows of a study; none if it has not been made.

    Args:
        study: the name of the study.
        kind: what a row is.
        package: the folder of the package.

    Raises:
        InputError: a row is damaged; the message names the line.
    """
    path = package / RESULTS / f"{study}.csv"
    if not path.is_file():
        return []
    rows: list[RowT] = []
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                rows.append(msgspec.convert(row, kind, strict=False))
            except msgspec.ValidationError as error:
                raise InputError(f"{path}, line {number}: {error}") from error
    return rows
