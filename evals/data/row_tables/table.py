"""What every reader of tables returns."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from evals.schema import Json
from evals.start_folder import shown

LOG = logging.getLogger("evals.data")
"""Lines for a person: which columns were guessed, how much is downloaded. The command line prints them."""

RowValues = Mapping[str, Json]
"""Values by column; a missing value is None. Beside JSON's there are bytes, dates and decimals."""


class DataTable(Protocol):
    """Rows with named columns that are read when they are needed."""

    name: str
    """What the user named, for messages."""
    split: str
    """Name of the split."""
    columns: tuple[str, ...]
    """Names of the columns, as they are written."""
    folder: Path | None
    """The folder that paths in rows are relative to; None if there is none."""
    facts: dict[str, Json]
    """What identifies the rows: digests of the files, the revision, the fingerprint."""

    def __len__(self) -> int:
        """Count the rows."""

    def place(self, index: int) -> str:
        """Name a row for messages: `line 7`, `row 7`."""

    def number(self, index: int) -> int:
        """Return the number by which `place` names a row; no two rows have one number."""

    def read(self, index: int, columns: Sequence[str]) -> RowValues:
        """Return the values of some columns of a row."""

    def rows(self, columns: Sequence[str]) -> Iterator[RowValues]:
        """Return the values of some columns of all rows, in their order."""

    def member(self, name: str) -> bytes | None:
        """Return the contents of a file of the archive that the table is in; None if it is in none.

        Raises:
            InputError: the archive has no such file, or it cannot be read.
        """


def folder_fact(table: DataTable) -> str:
    """Return the folder of a table for the manifest, as the user named it; `None` as text if there is none."""
    return str(None if table.folder is None else shown(table.folder))
