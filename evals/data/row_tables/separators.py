"""Separate the cells of a line: find the separator of a CSV file, split a line of TSV."""

from __future__ import annotations

import csv
import re

SEPARATORS = (",", ";", "\t", "|")
"""Separators of cells."""
_STATED = re.compile(r'"?sep=([,;\t|])"?[\r\n]*')


def stated_separator(line: str) -> str | None:
    r"""Return the separator that a first line for Excel states; None if the line is another one.

    Example:
        >>> stated_separator("sep=;\r\n"), stated_separator("question;answer")
        (';', None)
    """
    match = _STATED.fullmatch(line)
    return None if match is None else match[1]


def separator_of(header: str = "", first: str = "") -> str:
    """Return the separator of a file: one that gives its first row as many cells as its header, of several the most.

    Args:
        header: the line with the names of the columns.
        first: the line after it, which may be the beginning of a row.

    Example:
        >>> separator_of('id;"question, in words";answer'), separator_of("question")
        (';', ',')
        >>> separator_of("question, in short words;answer", "2 + 2?;4")
        ';'
    """
    names = {separator: len(_cells(header, separator)) for separator in SEPARATORS}
    fits = {
        separator: names[separator] > 1 and len(_cells(first, separator)) == names[separator] for separator in names
    }
    return max(SEPARATORS, key=lambda separator: (fits[separator], names[separator]))


def _cells(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:  # which is named when the file is read
        return []


def split_line(line: str) -> list[str]:
    r"""Split a line of TSV at tabs. A cell in quotes whose inner quotes are all doubled stands for what is in them.

    Example:
        >>> split_line('He said "yes".\t"so"\t"a ""b"" c"\n')
        ['He said "yes".', 'so', 'a "b" c']
    """
    text = line.rstrip("\r\n")
    return [_unquoted(cell) for cell in text.split("\t")] if text else []


def _unquoted(cell: str) -> str:
    inner = cell[1:-1]
    if len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', ""):
        return inner.replace('""', '"')
    return cell
