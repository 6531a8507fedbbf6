"""Read a benchmark's rows from a table of the user: any table with columns for the benchmark's fields.

    python -m evals run --model r1 --task glue/sst2 --data reviews.csv --columns sentence=review,label=stars

Each benchmark states its fields (`evals.tasks.formats.glue_tables`, …); `--columns` says which column is which, and
usual names are guessed with a printed line, as for custom questions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals.data.row_tables import ColumnMatch, DataTable, RowField, is_table, match_columns, open_table
from evals.data.row_tables.cells import text_of, value_of
from evals.data.row_tables.table import folder_fact
from evals.errors import InputError, shorten
from evals.schema import Json, Options


@dataclass(frozen=True)
class FieldRow:
    """A row of a user's table, by the fields of a benchmark."""

    place: str
    """The table and the row, for messages."""
    index: int
    """The row's index in the table."""
    values: dict[str, Json]
    """The value of each field that has a column."""

    def text(self, field: str) -> str:
        """Return a field's text. Raises `InputError` if it is missing, empty, or no text or number."""
        text = self.optional_text(field)
        if text is None or not text.strip():
            raise InputError(f"{self.place}: {field} is missing")
        return text

    def optional_text(self, field: str) -> str | None:
        """Return a field's text, None if there is none. Raises `InputError` if it is no text or number."""
        try:
            return text_of(self.values.get(field))
        except InputError as error:
            raise InputError(f"{self.place}: {field} is {error}") from error


@dataclass(frozen=True)
class OwnTable:
    """A split of a user's table, with the column of each field."""

    table: DataTable
    match: ColumnMatch

    def __iter__(self) -> Iterator[FieldRow]:
        """Yield the rows in their order."""
        return self.rows()

    def rows(self, without: str = "") -> Iterator[FieldRow]:
        """Yield the rows in their order, without the values of one field."""
        columns = [name for name in self.match.read_from(self.table) if name != self.match.columns.get(without)]
        for index, row in enumerate(self.table.rows(columns)):
            place = f"{self.table.name}, {self.table.place(index)}"
            self.match.check(row, place)
            yield FieldRow(place, index, {name: value_of(row, column) for name, column in self.match.columns.items()})

    def value(self, index: int, field: str) -> Json:
        """Return the value of one field of a row; None if it has no column."""
        column = self.match.columns.get(field)
        if column is None:
            return None
        name = column if column in self.table.columns else column.partition(".")[0]
        return value_of(self.table.read(index, [name]), column)

    @property
    def facts(self) -> dict[str, Json]:
        """What identifies the rows: source, folder, split, digests and columns."""
        return {
            "source": "own file", "folder": folder_fact(self.table), "split": self.table.split, **self.table.facts,
            "columns": dict(self.match.columns),
        }  # fmt: skip


def is_own(options: Options) -> bool:
    """Return whether the user's data are a table and no official files: by their name, or as `--columns` is given."""
    return options.data is not None and (options.columns is not None or is_table(options.data))


def open_rows(fields: Sequence[RowField], data: Path, split: str | None, columns: str | None) -> OwnTable:
    """Open a split of a table.

    Args:
        fields: the fields of the benchmark.
        data: the value of `--data`.
        split: the split; None for the only one.
        columns: the value of `--columns`; None guesses.

    Raises:
        InputError: there is no such table or split, or a field has no column.
    """
    table = open_table(data, split)
    match = match_columns(fields, table, columns)
    match.announce(table)
    return OwnTable(table, match)


def open_train(fields: Sequence[RowField], options: Options, rows: OwnTable, why: str) -> OwnTable:
    """Open the split `train` of the table that other rows come from.

    Args:
        fields: the fields of the benchmark.
        options: the options of the run.
        rows: the rows that are measured.
        why: what needs the split, for messages: `--shots 5`.

    Raises:
        InputError: the table has no such split, or the rows that are measured are that split.
    """
    assert options.data is not None, "the rows come from it"
    if options.data.is_file():
        raise InputError(
            f"{why} needs training rows, and {options.data} is one split: name a folder with {options.data.name} and "
            f"train{options.data.suffix}, or a data set with a split train"
        )
    if rows.table.split == "train":
        raise InputError(f"{why} takes its examples from train, which is the split that is measured")
    try:
        table = open_table(options.data, "train")
    except InputError as error:
        raise InputError(f"{why} needs training rows: {error}") from error
    return OwnTable(table, match_columns(fields, table, options.columns))


def shown_value(value: Json) -> str:
    """Return a value for a message."""
    return shorten(value, 40)
