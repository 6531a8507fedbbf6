"""A key-value cache of slots: allocated once, written in place, each row with a length of its own.

Letters in the names of tensors: R rows of one forward pass, S new tokens of a row, L positions held.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer


class SlotCache(Cache):  # type: ignore[misc]  # the library is untyped here
    """Keys and values of every layer, a slot a row. Said through `at`: which slots a forward pass reads and writes."""

    def __init__(self, layers: int, slots: int, room: int, device: torch.device) -> None:
        """Make an empty cache; the memory is taken by the first forward pass, which knows the widths.

        Args:
            layers: how many the model has.
            slots: how many rows it can hold.
            room: positions of a slot.
            device: where it lies.
        """
        super().__init__(layers=[_SlotLayer(self) for _ in range(layers)])
        self.slots = slots
        self.room = room
        self.lengths = torch.zeros(slots, dtype=torch.long, device=device)
        """How many positions of each slot are filled."""
        self.places = self.columns_RS = self.lengths
        self.length = 0
        self.whole = True

    @contextmanager
    def at(self, places: Sequence[int], columns_RS: torch.Tensor) -> Iterator[None]:
        """Let a forward pass write the keys and values of its rows to some positions of some slots.

        Args:
            places: the slot of each row, all different.
            columns_RS: where each new token goes; rows are read up to the last of them all.
        """
        self.places = torch.tensor(places, device=columns_RS.device)
        self.columns_RS = columns_RS
        self.length = min(self.room, int(columns_RS.max()) + 1)
        self.whole = list(places) == list(range(self.slots))
        yield

    def copy(self, other: SlotCache, owners: Sequence[int], places: Sequence[int]) -> None:
        """Fill slots with what others of another cache hold."""
        from_, to = (torch.tensor(rows, device=self.lengths.device) for rows in (owners, places))
        length = int(other.lengths[from_].max())
        for ours, theirs in zip(self.layers, other.layers, strict=True):
            if not theirs.is_initialized:
                continue  # all its slots are empty
            ours.allocate(theirs.keys, theirs.values)
            ours.keys[to, :, :length] = theirs.keys[from_, :, :length]
            ours.values[to, :, :length] = theirs.values[from_, :, :length]
        self.lengths[to] = other.lengths[from_]

    def keep(self, places: Sequence[int]) -> None:
        """Drop all slots but some, which are then numbered in this order."""
        kept = torch.tensor(places, device=self.lengths.device)
        for layer in self.layers:
            layer.keys, layer.values = layer.keys[kept], layer.values[kept]
        self.lengths = self.lengths[kept]
        self.slots = len(places)


class _SlotLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values (slots, heads, L, width) of one layer."""

    def __init__(self, cache: SlotCache) -> None:
        super().__init__()
        self._cache = cache
        self.is_initialized = False

    def allocate(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Take the memory, with the widths of these; once."""
        if not self.is_initialized:
            size = (self._cache.slots, self._cache.room)
            self.keys, self.values = (
                new.new_zeros(size[0], new.shape[1], size[1], new.shape[3]) for new in (keys, values)
            )
            self.is_initialized = True

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Write new keys and values (R, heads, S, width) where they go; return all that the rows hold."""
        self.allocate(key_states, value_states)
        places, columns, length = self._cache.places, self._cache.columns_RS, self._cache.length
        for held, new in ((self.keys, key_states), (self.values, value_states)):
            held[places[:, None], :, columns] = new.transpose(1, 2)
        if self._cache.whole:
            return self.keys[:, :, :length], self.values[:, :, :length]
        return self.keys[places, :, :length], self.values[places, :, :length]

    def get_seq_length(self) -> int:
        """Say nothing of lengths: positions and masks are given with every forward pass."""
        return 0
