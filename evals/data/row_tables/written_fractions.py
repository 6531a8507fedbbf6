"""Fractions of 32 bits as they are written: 0.1 is no answer any more once it is 0.10000000149."""

from __future__ import annotations

from typing import Any


def with_written_fractions(table: Any) -> Any:
    """Return an Arrow table whose 32-bit fractions are the decimal fractions that they are written as.

    Example:
        >>> import pyarrow
        >>> table = pyarrow.table({"score": pyarrow.array([0.1, None], pyarrow.float32())})
        >>> table["score"].to_pylist(), with_written_fractions(table)["score"].to_pylist()
        ([0.10000000149011612, None], [0.1, None])
    """
    import pyarrow

    texts = [_with_fractions(kind, pyarrow.string()) for kind in table.schema.types]
    if texts == table.schema.types:
        return table
    doubles = [_with_fractions(kind, pyarrow.float64()) for kind in table.schema.types]
    columns = [
        column if column.type == text else column.cast(text).cast(double)
        for column, text, double in zip(table.columns, texts, doubles, strict=True)
    ]
    return pyarrow.table(columns, names=table.column_names)


def _with_fractions(kind: Any, other: Any) -> Any:
    """Return a type with another one in place of 32-bit fractions, also within lists and mappings."""
    import pyarrow
    from pyarrow import types

    if types.is_float32(kind):
        return other
    if types.is_list(kind):
        return pyarrow.list_(_with_fractions(kind.value_type, other))
    if types.is_large_list(kind):
        return pyarrow.large_list(_with_fractions(kind.value_type, other))
    if types.is_fixed_size_list(kind):
        return pyarrow.list_(_with_fractions(kind.value_type, other), kind.list_size)
    if types.is_struct(kind):
        return pyarrow.struct([(part.name, _with_fractions(part.type, other)) for part in kind])
    return kind
