"""The ids of rows without a column of ids: their numbers as texts, which take no memory for each row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import overload


class RowNumbers(Sequence[str]):
    """Numbers of rows as texts, each made when it is needed; no two are equal.

    Example:
        >>> ids = RowNumbers(3, lambda index: 10 * index)
        >>> list(ids), ids[1:], ids[-1]
        (['0', '10', '20'], ['10', '20'], '20')
    """

    def __init__(self, count: int, number: Callable[[int], int]) -> None:
        """Take the count of the rows, and what returns the number of the row at an index."""
        self._indices, self._number = range(count), number

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        """Return the id at an index, or those of a slice."""
        if isinstance(index, slice):
            return [str(self._number(position)) for position in self._indices[index]]
        return str(self._number(self._indices[index]))
