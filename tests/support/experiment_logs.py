"""Logs of experiments: as cells, and as files in each format."""

from __future__ import annotations

import json

import numpy as np

from evals.statistics.experiments.cells import OutcomeCells


def cells_of(values, arms, units=None, segments=None):
    """One cell per row: outcomes, whether each is of the variant, and its unit."""
    values, arms = np.asarray(values, float), np.asarray(arms).astype(np.int64)
    is_share = bool(np.isin(values, (0, 1)).all())
    ones, shift = np.ones(len(values)), 0.0 if is_share else float(values[0])
    codes = np.zeros(len(values), np.int64) if segments is None else np.asarray(segments, np.int64)
    return OutcomeCells(
        variants=("A", "B"), segments=tuple(f"s{code}" for code in range(int(codes.max()) + 1)),
        variant_C=arms, segment_C=codes, time_C=np.arange(len(values)), rows_C=ones, counts_C=ones,
        sums_C=values - shift, squares_C=(values - shift) ** 2,
        cubes_C=(values - shift) ** 3, fourths_C=(values - shift) ** 4, shift=shift, is_share=is_share,
        unit_C=None if units is None else np.asarray(units, np.int64),
    )  # fmt: skip


def write(path, rows, separator=",", mark="", line_end="\n"):
    """Write dictionaries as a table; the suffix says in which format."""
    names = list(rows[0])
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        lines = [separator.join(names), *(separator.join(str(row[name]) for name in names) for row in rows)]
        path.write_bytes((mark + line_end.join(lines) + line_end).encode())
    return path
