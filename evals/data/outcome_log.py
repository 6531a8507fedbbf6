"""Read the log of an experiment with deployed variants, and keep its sums: the variants, and what came of them.

Rows are added up while they are read. So the memory grows with the number of units (`OutcomeColumns.unit`), and with
nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evals.data.outcome_values import DecimalSign, OutcomeReader, TimeReader
from evals.data.tables import stream_table
from evals.errors import InputError, shorten
from evals.statistics.experiments.cells import NO_TIME, Integers, OutcomeCells, mixed_key

MOST_VARIANTS, MOST_SEGMENTS = 20, 100
NO_SEGMENT = "(none)"
"""The segment of rows whose cell is empty."""
_PENDING_ROWS = 1 << 18
"""Rows that are kept before they are added to the cells, or as many as there are cells: adding reads all of them."""
_TIMES, _UNIT_TIMES = 1_024, 64
"""Number of times that are told apart, at most: where the rows have no units, and where they have some."""
_CELLS_PER_UNIT = 4
"""With more cells per unit than these, and more than `_PENDING_ROWS`, fewer times are told apart."""


@dataclass(frozen=True, slots=True)
class OutcomeColumns:
    """The names of the columns of a log."""

    variant: str
    success: str
    unit: str | None = None
    segment: str | None = None
    time: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are read."""
        return tuple(name for name in (self.variant, self.success, self.unit, self.segment, self.time) if name)


@dataclass(frozen=True)
class OutcomeLog:
    """The sums of a log, and what was left out."""

    cells: OutcomeCells
    rows: int
    without_variant: int
    without_outcome: int
    without_unit: int
    without_time: int
    times: tuple[int, int] | None
    """The first and the last time, in milliseconds since 1970; None if the rows have none of their own."""


def read_outcomes(
    path: Path,
    columns: OutcomeColumns,
    *,
    baseline: str | None = None,
    decimal: DecimalSign | None = None,
    over_time: bool = True,
) -> OutcomeLog:
    """Read a log.

    Args:
        path: a table that `stream_table` reads.
        columns: which columns are read.
        baseline: the variant that the others are compared with; None is one that is named so, or else the first.
        decimal: what a comma in a number means; None refuses it where it could mean either.
        over_time: whether the rows of a unit are told apart by their times; otherwise they count when it first came.

    Raises:
        InputError: the table cannot be read, an outcome or a time is none, there are fewer than two variants or more
            than `MOST_VARIANTS`, one has no outcome, or no variant is the baseline.
    """
    sums = _LogSums(path, columns, OutcomeReader(path, columns.success, decimal), over_time=over_time)
    for piece in stream_table(path, columns.names):
        sums.add(dict(zip(columns.names, piece, strict=True)))
    return sums.finish(baseline)


class _Names:
    """The distinct names of a column, numbered in the order in which they came."""

    def __init__(self, path: Path, column: str, most: int, empty: str | None) -> None:
        self.numbers: dict[str, int] = {}
        self._path, self._column, self._most, self._empty = path, column, most, empty

    def numbered(self, array: Any) -> Integers:
        """Return the number of each row's name; -1 if it has none."""
        codes, texts = _distinct(array)
        missing = self._number(None) if (codes < 0).any() else -1
        return np.array([*map(self._number, texts), missing], np.int64)[codes]

    def _number(self, text: str | None) -> int:
        name = (text or "").strip() or self._empty
        if name is None:
            return -1
        number = self.numbers.setdefault(name, len(self.numbers))
        if number >= self._most:
            raise InputError(
                f"{self._path}: column {self._column!r} has over {self._most} values, such as {shorten(name, 40)}"
            )
        return number


def _distinct(array: Any) -> tuple[Integers, list[str]]:
    """Return the index of each row's text, -1 where it is null, and the distinct texts."""
    import pyarrow
    from pyarrow import compute

    if pyarrow.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if not pyarrow.types.is_string(array.type):
        array = compute.cast(array, pyarrow.string())
    encoded = compute.dictionary_encode(array)
    codes = compute.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, encoded.dictionary.to_pylist()


class _LogSums:
    """Adds up a log piece by piece."""

    def __init__(self, path: Path, columns: OutcomeColumns, reader: OutcomeReader, *, over_time: bool) -> None:
        self._path, self._columns, self._reader = path, columns, reader
        self._by_time = over_time or columns.unit is None
        self._most_times = _TIMES if columns.unit is None else _UNIT_TIMES
        self._variants = _Names(path, columns.variant, MOST_VARIANTS, None)
        self._segments = _Names(path, columns.segment or "", MOST_SEGMENTS, NO_SEGMENT)
        self._time_reader = TimeReader(path, columns.time or "")
        self._rows = self._without_variant = self._without_outcome = self._without_unit = self._without_time = 0
        self._first_and_last: tuple[int, int] | None = None
        self._shift: float | None = None
        self._width = 1
        self._merged: dict[str, Any] | None = None
        self._pending: list[dict[str, Any]] = []
        self._pending_rows = 0

    def add(self, piece: Mapping[str, Any]) -> None:
        """Add a piece of the table."""
        columns, size = self._columns, len(piece[self._columns.variant])
        variant, outcome = self._variants.numbered(piece[columns.variant]), self._reader.read(piece[columns.success])
        segment = self._segments.numbered(piece[columns.segment]) if columns.segment else np.zeros(size, np.int64)
        order = np.arange(self._rows, self._rows + size)
        time = self._times(piece[columns.time]) if columns.time else order
        if columns.time and len(known := time[time > NO_TIME]):
            ends = (int(known.min()), int(known.max()), *(self._first_and_last or ()))
            self._first_and_last = min(ends), max(ends)
        unit, has_unit = self._units(piece[columns.unit]) if columns.unit else (order, np.ones(size, bool))
        self._rows += size
        self._without_variant += int((variant < 0).sum())
        keep = (variant >= 0) & has_unit
        self._without_unit += int(((variant >= 0) & ~has_unit).sum())
        has_outcome = np.isfinite(outcome)
        self._without_outcome += int((keep & ~has_outcome).sum())
        if self._shift is None and (keep & has_outcome).any():
            self._shift = 0.0 if self._reader.is_share else float(outcome[keep & has_outcome].mean())
        values = np.where(has_outcome, outcome - (self._shift or 0.0), 0.0)
        part = {
            "variant": variant, "segment": segment, "unit": unit, "time": time, "order": order, "rows": np.ones(size),
            "counts": has_outcome.astype(float), "sums": values, "squares": values**2, "cubes": values**3,
            "fourths": values**4,
        }  # fmt: skip
        self._pending.append({name: column[keep] for name, column in part.items()})
        self._pending_rows += int(keep.sum())
        cells = 0 if self._merged is None else len(self._merged["unit"])
        if self._pending_rows >= max(_PENDING_ROWS, cells):
            self._merge()

    def _units(self, array: Any) -> tuple[Integers, Any]:
        """Number the units by a hash of 64 bits: of ten million, two share a number once in 300,000 logs."""
        codes, texts = _distinct(array)
        numbers = np.array([hash(text.strip()) for text in texts] + [0], np.int64)
        named = np.array([bool(text.strip()) for text in texts] + [False])
        return numbers[codes], named[codes]

    def _times(self, array: Any) -> Integers:
        import pyarrow
        from pyarrow import compute

        if pyarrow.types.is_temporal(array.type) and not pyarrow.types.is_time(array.type):
            array = compute.cast(compute.cast(array, pyarrow.timestamp("ms"), safe=False), pyarrow.int64())
            times = compute.fill_null(array, NO_TIME).to_numpy(zero_copy_only=False)
            self._without_time += int((times == NO_TIME).sum())
            return np.asarray(times, np.int64)
        codes, texts = _distinct(array)
        numbers = [*map(self._time_reader.read, texts), None]
        result = np.array([NO_TIME if number is None else number for number in numbers], np.int64)[codes]
        self._without_time += int((result == NO_TIME).sum())
        return result

    def _merge(self) -> None:
        """Add the pending rows to the cells."""
        parts = ([self._merged] if self._merged is not None else []) + self._pending
        self._pending, self._pending_rows = [], 0
        cells = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        if self._columns.unit is None:
            cells["unit"] = np.zeros_like(cells["time"])
        if self._by_time:
            self._round_times(cells, self._most_times)
        self._merged = _grouped(cells, by_time=self._by_time)
        if self._columns.unit is None or not self._by_time:
            return
        most = max(_PENDING_ROWS, _CELLS_PER_UNIT * len(np.unique(self._merged["unit"])))
        while len(self._merged["unit"]) > most and self._most_times > 1:
            self._most_times //= 2
            self._round_times(self._merged, self._most_times)
            self._merged = _grouped(self._merged, by_time=True)

    def _round_times(self, cells: dict[str, Any], most: int) -> None:
        """Round the times down, so that few are told apart."""
        times = cells["time"]
        known = times[times > NO_TIME]
        while len(known) and int(known.max()) // self._width - int(known.min()) // self._width >= most:
            self._width *= 2
        cells["time"] = np.where(times > NO_TIME, times // self._width * self._width, times)

    def finish(self, baseline: str | None) -> OutcomeLog:
        """Return the sums, with the baseline as the first variant."""
        if self._pending:
            self._merge()
        cells = self._merged
        if cells is None:
            cells = {name: np.zeros(0) for name in ("variant", "counts")}
        names = list(self._variants.numbers)
        self._check(names, cells)
        order = _ordered(self._path, self._columns.variant, names, baseline)
        places = np.array([order.index(name) for name in names], np.int64)
        segments = sorted(self._segments.numbers)
        segment_places = np.array([segments.index(name) for name in self._segments.numbers] or [0], np.int64)
        result = OutcomeCells(
            variants=tuple(order),
            segments=tuple(segments) or ("",),
            variant_C=places[cells["variant"]],
            segment_C=segment_places[cells["segment"]],
            time_C=cells["time"],
            rows_C=cells["rows"],
            counts_C=cells["counts"],
            sums_C=cells["sums"],
            squares_C=cells["squares"],
            cubes_C=cells["cubes"],
            fourths_C=cells["fourths"],
            shift=self._shift or 0.0,
            is_share=self._reader.is_share,
            unit_C=None if self._columns.unit is None else cells["unit"],
        )
        left_out = (self._without_variant, self._without_outcome, self._without_unit, self._without_time)
        return OutcomeLog(result, self._rows, *left_out, self._first_and_last)

    def _check(self, names: Sequence[str], cells: Mapping[str, Any]) -> None:
        path, columns = self._path, self._columns
        if not self._rows:
            raise InputError(f"{path} has no rows")
        if len(names) < 2:
            only = f"only the value {names[0]!r}" if names else "no value"
            raise InputError(f"{path}: column {columns.variant!r} has {only}; two variants or more are compared")
        for number, name in enumerate(names):
            if not cells["counts"][cells["variant"] == number].sum():
                raise InputError(f"{path}: variant {name!r} has no row with a value of {columns.success!r}")


def _grouped(cells: Mapping[str, Any], *, by_time: bool) -> dict[str, Any]:
    """Add up the rows that are alike in unit, variant and segment, and in time if that is asked for."""
    group = cells["variant"] * (MOST_SEGMENTS + 1) + cells["segment"]
    key = mixed_key(cells["unit"], group, *([cells["time"]] if by_time else []))
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    grouped = {name: cells[name][first] for name in ("variant", "segment", "unit", "time", "order")}
    for name in ("rows", "counts", "sums", "squares", "cubes", "fourths"):
        grouped[name] = np.bincount(inverse, weights=cells[name], minlength=len(first))
    for name in ("time", "order"):
        np.minimum.at(grouped[name], inverse, cells[name])
    rank = np.argsort(grouped["order"], kind="stable")  # by their first rows: hashes differ from process to process
    return {name: column[rank] for name, column in grouped.items()}


_BASELINES = ("control", "baseline", "base", "default", "old", "a", "0", "off", "false", "control group")
"""Names that a baseline usually has, in lower case; the first that some variant has."""


def _ordered(path: Path, column: str, names: Sequence[str], baseline: str | None) -> list[str]:
    """Return the variants in the order of their names, the baseline first."""
    ordered = sorted(names, key=lambda name: (float(name) if _is_number(name) else math.inf, name))
    if baseline is None:
        by_name = {name.lower(): name for name in reversed(ordered)}
        baseline = next((by_name[usual] for usual in _BASELINES if usual in by_name), ordered[0])
    elif baseline not in names:
        shown = ", ".join(shorten(name, 40) for name in ordered)
        raise InputError(f"--baseline {baseline}: column {column!r} of {path} has {shown}")
    return [baseline, *(name for name in ordered if name != baseline)]


def _is_number(name: str) -> bool:
    return name.replace(".", "", 1).isascii() and name.replace(".", "", 1).isdigit()
