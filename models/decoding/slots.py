"""Bookkeeping of generation: which rows are in which slots, and chunks of limited size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from evals.models.decoding.kv_cache import SlotCache

T = TypeVar("T")


class Slots:
    """Assignment of rows to the slots of a cache."""

    def __init__(self, cache: SlotCache, shared: SlotCache) -> None:
        """Start with all slots free; `shared` holds the prefixes that are copied into them."""
        self.cache = cache
        self._shared = shared
        self.slot_by_row: dict[int, int] = {}
        """The slot of each row that is being generated."""
        self.free = list(range(cache.slots - 1, -1, -1))

    def allocate(self, rows: Sequence[int], prefix_indices: Sequence[int]) -> list[int]:
        """Assign a slot to each row, and copy the row's prefix into it."""
        slot_indices = [self.free.pop() for _ in rows]
        self.slot_by_row.update(zip(rows, slot_indices, strict=True))
        self.cache.copy_from(self._shared, prefix_indices, slot_indices)
        return slot_indices

    def release(self, row: int) -> None:
        """Free a row's slot."""
        self.free.append(self.slot_by_row.pop(row))

    def rows(self) -> dict[int, int | None]:
        """Return the row of every slot, in the order of the slots; free slots are emptied, and have none."""
        self.cache.empty(self.free)
        row_by_slot = {slot: row for row, slot in self.slot_by_row.items()}
        return {slot: row_by_slot.get(slot) for slot in range(self.cache.slots)}

    def compact(self) -> None:
        """Order the rows by slot, and drop free slots, which no row is waiting for."""
        self.slot_by_row = dict(sorted(self.slot_by_row.items(), key=lambda item: item[1]))
        if self.free:
            self.cache.keep_slots(list(self.slot_by_row.values()))
            self.slot_by_row = {row: index for index, row in enumerate(self.slot_by_row)}
            self.free = []


def chunks(items: Sequence[T], length: Callable[[T], int], positions: int) -> Iterator[list[T]]:
    """Split a sequence into chunks whose padded size is at most `positions`, or that have one item."""
    chunk: list[T] = []
    longest = 0
    for item in items:
        grown = max(longest, length(item))
        if chunk and grown * (len(chunk) + 1) > positions:
            yield chunk
            chunk, grown = [], length(item)
        chunk.append(item)
        longest = grown
    if chunk:
        yield chunk
