"""Read the outcomes and the times of an experiment's log, as people and programs write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from evals import plain_numbers
from evals.errors import InputError, shorten
from evals.statistics.clusters import Floats

DecimalSign = Literal["point", "comma"]
WORDS = {"true": 1.0, "yes": 1.0, "t": 1.0, "y": 1.0, "false": 0.0, "no": 0.0, "f": 0.0, "n": 0.0}
"""Words for success and failure, in lower case."""
_MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "<na>", "nat"))
_GROUPED = {
    "point": re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?"),
    "comma": re.compile(r"[+-]?\d{1,3}(\.\d{3})+(,\d*)?"),
}
_COMPACT_DATE = re.compile(r"((?:19|20)\d{2}[01]\d[0-3]\d)(?:([0-2]\d[0-5]\d)([0-5]\d)?)?(?:\.0)?")
"""A date that is written as a number: 20250925, or 202509251300 and 20250925130000 with a time."""
_LARGEST_VALUE = 1e70
"""Larger outcomes are refused: their fourth powers are added up."""
_LARGEST_SECONDS = 1e11
"""Larger numbers of a time column are milliseconds since 1970, and not seconds: these would be after the year 5000."""
_MOST_KEPT = 1 << 18


def is_missing(text: str) -> bool:
    """Return whether a cell says that it has no value.

    Example:
        >>> is_missing(" NA"), is_missing("0")
        (True, False)
    """
    return text.strip().lower() in _MISSING


class OutcomeReader:
    """Reads the outcomes of a column: zeros and ones, words for them, or numbers."""

    def __init__(self, path: Path, column: str, decimal: DecimalSign | None) -> None:
        """Begin a column.

        Args:
            path: the file, for messages.
            column: the name of the column.
            decimal: which sign begins the decimals of a number; None refuses numbers in which a comma may mean either.
        """
        self.is_share = True
        """Whether all outcomes so far are 0 or 1."""
        self._where = f"{path}: column {column!r}"
        self._decimal = decimal
        self._word: str | None = None
        self._known: dict[str, float] = {}

    def read(self, array: Any) -> Floats:
        """Read a piece of the column; a missing outcome is NaN.

        Raises:
            InputError: a text is no outcome, a number is infinite, or words stand beside numbers other than 0 and 1.
        """
        import pyarrow
        from pyarrow import compute

        if pyarrow.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        if pyarrow.types.is_primitive(array.type) or pyarrow.types.is_decimal(array.type):
            try:
                cast = compute.cast(array, pyarrow.float64(), safe=False)
            except pyarrow.ArrowException:
                raise InputError(f"{self._where} holds {array.type}; an outcome is 0, 1, yes, no or a number") from None
            values: Floats = cast.to_numpy(zero_copy_only=False).astype(np.float64)
        else:
            values = self._read_texts(array)
        present = values[~np.isnan(values)]
        if np.isinf(present).any():
            raise InputError(f"{self._where} holds an infinite number")
        if len(present) and float(np.abs(present).max()) > _LARGEST_VALUE:
            raise InputError(f"{self._where} holds {np.abs(present).max():.3g}; numbers up to 1e70 are added up")
        self.is_share = self.is_share and bool(np.isin(present, (0, 1)).all())
        if not self.is_share and self._word is not None:
            raise InputError(f"{self._where} holds both the word {self._word!r} and numbers other than 0 and 1")
        return values

    def _read_texts(self, array: Any) -> Floats:
        import pyarrow
        from pyarrow import compute

        try:
            encoded = compute.dictionary_encode(compute.cast(array, pyarrow.string()))
        except pyarrow.ArrowException:
            raise InputError(f"{self._where} holds {array.type}; an outcome is 0, 1, yes, no or a number") from None
        if len(self._known) > _MOST_KEPT:
            self._known.clear()
        values = np.array([*map(self._value, encoded.dictionary.to_pylist()), np.nan])
        codes = compute.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
        return np.asarray(values[codes], np.float64)

    def _value(self, text: str) -> float:
        value = self._known.get(text)
        if value is None:
            value = self._known[text] = self._parse(text.strip())
        return value

    def _parse(self, text: str) -> float:
        if text.lower() in _MISSING:
            return float("nan")
        if text.lower() in WORDS:
            self._word = text
            return WORDS[text.lower()]
        try:
            return plain_numbers.real(self._without_groups(text))
        except ValueError:
            raise InputError(
                f"{self._where} holds {shorten(text, 40)}; an outcome is 0, 1, true, false, yes, no or a number"
            ) from None

    def _without_groups(self, text: str) -> str:
        """Return a number as Python writes it: without separators of thousands, and with a decimal point."""
        if "," not in text and self._decimal != "comma":
            return text
        if self._decimal is None and not ("." in text and _GROUPED["point"].fullmatch(text)):
            raise InputError(
                f"{self._where} holds {shorten(text, 40)}: give --decimal comma if its comma begins the decimals, and "
                "--decimal point if it separates thousands"
            )
        if self._decimal != "comma":
            return text.replace(",", "") if _GROUPED["point"].fullmatch(text) else text
        if _GROUPED["comma"].fullmatch(text):
            text = text.replace(".", "")
        return text.replace(",", ".") if "." not in text else f"{text} with a point"


def compact_date(text: str) -> str | None:
    """Return the ISO form of a date that is written as a number, in the years 1900 to 2099; None if it is none.

    Example:
        >>> compact_date("20250925"), compact_date("202509251300"), compact_date("20251301"), compact_date("1758758400")
        ('20250925', '20250925T1300', None, None)
    """
    match = _COMPACT_DATE.fullmatch(text.strip())
    if match is None:
        return None
    date, minutes, seconds = match.groups()
    iso = date if minutes is None else f"{date}T{minutes}{seconds or ''}"
    try:
        datetime.fromisoformat(iso)
    except ValueError:
        return None
    return iso


def read_time(text: str, where: str) -> int:
    """Read a time as milliseconds since 1970: an ISO date or time, or a number of seconds or milliseconds.

    A time without a zone is read as UTC. A number that `compact_date` reads is not one of seconds for this function:
    whether the numbers of a column are such dates is decided by `TimeReader`.

    Raises:
        InputError: the text is no time.

    Example:
        >>> read_time("2025-09-25", "log.csv"), read_time("1758758400", ""), read_time("2025-09-25T02:00+02:00", "")
        (1758758400000, 1758758400000, 1758758400000)
    """
    text = text.strip()
    if plain_numbers.is_real(text):
        number = float(text)
        scaled = number if abs(number) > _LARGEST_SECONDS else number * 1000
        if abs(scaled) < 1e17:
            return round(scaled)
    return _iso_time(text, where)


def _iso_time(text: str, where: str) -> int:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"{where} holds {shorten(text, 40)}; a time is an ISO date (2025-09-25T13:00), or seconds since 1970"
        ) from None
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


class TimeReader:
    """Reads the times of a column: its numbers are dates such as 20250925 if the first is, else seconds since 1970."""

    def __init__(self, path: Path, column: str) -> None:
        """Begin a column; the arguments are for messages."""
        self._where = f"{path}: column {column!r}"
        self._first: str | None = None
        self._has_dates = False

    def read(self, text: str) -> int | None:
        """Read a time as milliseconds since 1970; None if the cell is empty.

        Raises:
            InputError: the text is no time, or a number is no date where the first was one.
        """
        if is_missing(text):
            return None
        if not plain_numbers.is_real(text.strip()):
            return read_time(text, self._where)
        iso = compact_date(text)
        if self._first is None:
            self._first, self._has_dates = text, iso is not None
        if self._has_dates and iso is None:
            raise InputError(
                f"{self._where} holds {shorten(self._first, 40)} and {shorten(text, 40)}: dates such as 20250925 and "
                "seconds since 1970 cannot stand in one column"
            )
        return _iso_time(iso, self._where) if iso is not None and self._has_dates else read_time(text, self._where)
