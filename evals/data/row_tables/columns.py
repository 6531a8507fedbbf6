"""Say which column of a table is which field of a task: as the user chose, by its name, or by a usual other name."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evals.data.row_tables.table import LOG, DataTable, RowValues
from evals.errors import InputError, shorten

_MISSPELT = 0.74
"""Similarity from which an unused column counts as a misspelt field: `imge` and `image` have 0.89."""


@dataclass(frozen=True)
class RowField:
    """A field of the rows of a task."""

    name: str
    aliases: tuple[str, ...] = ()
    """Usual names of columns that hold it, the most telling ones first."""
    required: bool = False


@dataclass(frozen=True)
class ColumnMatch:
    """The columns of a table that a task reads."""

    columns: Mapping[str, str]
    """The column of each field that the table has; a part of one as `answers.text`."""
    guessed: frozenset[str]
    """Fields whose columns were chosen by a usual name."""
    unused: tuple[str, ...]
    """Columns that are not read."""
    is_chosen: bool
    """Whether the user chose columns."""
    suspects: Mapping[str, tuple[str, ...]]
    """Columns that are not read and look like a misspelt field, by the field: rows of JSON may differ in their keys."""

    def read_from(self, table: DataTable) -> list[str]:
        """List the columns that are read, and those that are suspect; of `answers.text`, `answers`."""
        suspects = [column for listed in self.suspects.values() for column in listed]
        names = (name if name in table.columns else name.partition(".")[0] for name in self.columns.values())
        return list(dict.fromkeys([*names, *suspects]))

    def check(self, row: RowValues, where: str) -> None:
        """Raise `InputError` for a row that lacks a field and has a value in a column that looks like its name."""
        for field, suspects in self.suspects.items():
            if row.get(self.columns[field]) is None:
                for column in suspects:
                    if row.get(column) is not None:
                        raise InputError(f"{where}: {shorten(column)} is no field; did you mean {field}?")

    def announce(self, table: DataTable) -> None:
        """Log which columns were guessed and which are not read, if there is anything to say."""
        if not self.guessed and (self.is_chosen or not self.unused):
            return
        pairs = ", ".join(f"{field}={shown(column)}" for field, column in self.columns.items())
        unused = f"; not used: {', '.join(map(shown, self.unused[:12]))}" if self.unused else ""
        more = f" and {len(self.unused) - 12} more" if len(self.unused) > 12 else ""
        LOG.info("%s: columns %s%s%s (--columns FIELD=COLUMN,… sets others)", table.name, pairs, unused, more)


def shown(name: str) -> str:
    """Write the name of a column for a message: as it is if it is a plain word, else with quotes."""
    return name if re.fullmatch(r"[\w.-]+", name) else shorten(name)


def parse_columns(text: str, fields: Sequence[RowField]) -> dict[str, str]:
    """Read `text=question,target=answer`.

    Raises:
        InputError: it has another form, or names a field that the task does not have, or one twice.

    Example:
        >>> parse_columns("text=Question , target=answer", [RowField("text"), RowField("target")])
        {'text': 'Question ', 'target': 'answer'}
        >>> parse_columns('"text=Question, in words",target=a', [RowField("text"), RowField("target")])
        {'text': 'Question, in words', 'target': 'a'}
    """
    names = [field.name for field in fields]
    chosen: dict[str, str] = {}
    for pair in next(csv.reader([text]), [""]):
        name, equals, column = pair.partition("=")
        name = name.strip()
        if not equals or not name or not column.strip():
            raise InputError(f"--columns {shorten(text)}: expected FIELD=COLUMN,…; the fields are {', '.join(names)}")
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]}" if near else ""
            raise InputError(f"--columns has no field {shorten(name)}{hint}; the fields are {', '.join(names)}")
        if name in chosen:
            raise InputError(f"--columns names the field {name} twice")
        chosen[name] = column
    return chosen


def written_columns(columns: Mapping[str, str]) -> str:
    """Write columns as `parse_columns` reads them; a pair with a comma stands in quotes.

    Example:
        >>> written_columns({"text": "Question, in words", "target": "a"})
        '"text=Question, in words",target=a'
    """
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([f"{field}={column}" for field, column in columns.items()])
    return line.getvalue()


def match_columns(fields: Sequence[RowField], table: DataTable, text: str | None) -> ColumnMatch:
    """Find the column of each field.

    Args:
        fields: the fields of the task.
        table: the table.
        text: the value of `--columns`, or None.

    Raises:
        InputError: a field or column of `text` does not exist, a required field has no column, two columns could be a
            field, or a column looks like a misspelt field.
    """
    chosen = {} if text is None else parse_columns(text, fields)
    try:
        columns = {field: _existing(column, table.columns) for field, column in chosen.items()}
    except InputError as error:
        raise InputError(f"{table.name} {error}; the fields are {', '.join(field.name for field in fields)}") from None
    guessed = set()
    free = [column for column in table.columns if column not in columns.values()]
    for field in fields:
        if field.name in columns:
            continue
        column = _by_name(field, free, table.name)
        if column is not None:
            columns[field.name] = column
            free.remove(column)
            if column != field.name:
                guessed.add(field.name)
    _check_complete(fields, table, columns, free)
    ordered = {field.name: columns[field.name] for field in fields if field.name in columns}
    suspects = {
        field: alike
        for field in ordered
        if (alike := tuple(difflib.get_close_matches(field, free, n=3, cutoff=_MISSPELT)))
    }
    unused = tuple(column for column in free if column)
    return ColumnMatch(ordered, frozenset(guessed), unused, text is not None, suspects)


def _existing(column: str, columns: Sequence[str]) -> str:
    """Return the column of a name, also of other case or white space; `a.b` is the part b of the column a."""
    for name in (column, column.strip()):
        if name in columns or name.partition(".")[0] in columns:
            return name
    alike = [name for name in columns if normal(name) == normal(column)]
    if len(alike) == 1:
        return alike[0]
    near = difflib.get_close_matches(column.strip(), columns, n=1)
    hint = f"; did you mean {shown(near[0])}" if near else ""
    raise InputError(f"has no column {shorten(column.strip())}{hint}; its columns are {', '.join(map(shown, columns))}")


def _by_name(field: RowField, columns: Sequence[str], where: str) -> str | None:
    """Return the column that has the name of a field, or else the first of its usual other names."""
    if field.name in columns:
        return field.name
    for name in (field.name, *field.aliases):
        alike = [column for column in columns if normal(column) == normal(name)]
        if len(alike) > 1:
            raise InputError(
                f"{where} has the columns {' and '.join(map(shorten, alike))}, and each could be {field.name}: choose "
                f"with --columns {field.name}=COLUMN"
            )
        if alike:
            return alike[0]
    return None


def normal(name: str) -> str:
    """Return a column's name without case, white space and marks between words.

    Example:
        >>> normal("Question "), normal("image_path"), normal("ImagePath")
        ('question', 'imagepath', 'imagepath')
    """
    return re.sub(r"[\s_.-]+", "", name).casefold()


def _check_complete(
    fields: Sequence[RowField], table: DataTable, columns: Mapping[str, str], free: Sequence[str]
) -> None:
    missing = [field for field in fields if field.name not in columns]
    for field in missing:
        near = difflib.get_close_matches(field.name, [normal(column) for column in free], n=1, cutoff=_MISSPELT)
        if near:
            column = next(column for column in free if normal(column) == near[0])
            raise InputError(
                f"{table.name} has the column {shorten(column)}: is it {field.name}? then rename it, or say "
                f"--columns {field.name}={shown(column)}; the fields are {', '.join(field.name for field in fields)}"
            )
    for field in missing:
        if field.required:
            raise InputError(
                f"{table.name} has no column for {field.name}; its columns are {', '.join(map(shown, table.columns))}: "
                f"choose one with --columns {field.name}=COLUMN"
            )
