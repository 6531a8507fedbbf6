"""A key-value cache with slots: allocated once, written in place, each slot with its own length.

Letters in the names of tensors: R rows of one forward pass, S new tokens of a row, L positions that are filled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

from evals.models.decoding.padding import on_device


class SlotCache(Cache):  # type: ignore[misc]  # the library is untyped here
    """Keys and values of every layer, one slot per row; `writing_to` selects the slots of a forward pass."""

    def __init__(self, layers: int, slots: int, capacity: int, device: torch.device) -> None:
        """Make an empty cache; the first forward pass allocates the memory, because it knows the head sizes.

        Args:
            layers: number of layers of the model.
            slots: number of rows that the cache can hold.
            capacity: number of positions per slot.
            device: device of the cache.
        """
        super().__init__(layers=[_SlotLayer(self) for _ in range(layers)])
        self.slots = slots
        self.capacity = capacity
        self.lengths = torch.zeros(slots, dtype=torch.long, device=device)
        """Number of filled positions of each slot."""
        self.filled = [0] * slots
        """The same numbers on the host, so that a step on a GPU does not wait for them."""
        self.rotary_offsets = torch.zeros_like(self.lengths)
        """What is added to a token's index for its rotary position, by slot (`evals.models.decoding.placeholders`)."""
        self.slot_indices = self.columns_RS = self.lengths
        self.length = 0
        self.all_slots = True

    @contextmanager
    def writing_to(self, slot_indices: Sequence[int], columns_RS: torch.Tensor, length: int) -> Iterator[None]:
        """Let a forward pass write its new keys and values to given positions of given slots.

        Args:
            slot_indices: the slot of each row; all different.
            columns_RS: the position of each new token.
            length: number of positions up to which all rows are read; larger than every new position.
        """
        self.slot_indices = on_device(torch.tensor(slot_indices), columns_RS.device)
        self.columns_RS = columns_RS
        self.length = min(self.capacity, length)
        self.all_slots = list(slot_indices) == list(range(self.slots))
        yield

    def lengthen(self, slot_indices: Sequence[int], lengths: Sequence[int]) -> None:
        """Count new tokens of slots as filled."""
        for slot, length in zip(slot_indices, lengths, strict=True):
            self.filled[slot] += length
        indices, added = (on_device(torch.tensor(values), self.lengths.device) for values in (slot_indices, lengths))
        self.lengths[indices] += added

    def copy_from(self, source: SlotCache, source_indices: Sequence[int], slot_indices: Sequence[int]) -> None:
        """Copy slots of another cache into slots of this one."""
        length = max(source.filled[index] for index in source_indices)
        from_, to = (on_device(torch.tensor(i), self.lengths.device) for i in (source_indices, slot_indices))
        for layer, source_layer in zip(self.layers, source.layers, strict=True):
            if not source_layer.is_initialized:
                continue  # all slots of the source are empty
            layer.allocate(source_layer.keys, source_layer.values)
            # The layers of a model that is spread over GPUs have devices of their own.
            layer_from, layer_to = from_.to(layer.keys.device), to.to(layer.keys.device)
            layer.keys[layer_to, :, :length] = source_layer.keys[layer_from, :, :length]
            layer.values[layer_to, :, :length] = source_layer.values[layer_from, :, :length]
        self.lengths[to], self.rotary_offsets[to] = source.lengths[from_], source.rotary_offsets[from_]
        for source_index, slot in zip(source_indices, slot_indices, strict=True):
            self.filled[slot] = source.filled[source_index]

    def empty(self, slot_indices: Sequence[int]) -> None:
        """Forget what slots hold."""
        if not slot_indices:
            return
        for slot in slot_indices:
            self.filled[slot] = 0
        indices = on_device(torch.tensor(slot_indices), self.lengths.device)
        self.lengths[indices] = self.rotary_offsets[indices] = 0

    def keep_slots(self, slot_indices: Sequence[int]) -> None:
        """Drop all other slots, and renumber these in the given order."""
        indices = on_device(torch.tensor(slot_indices), self.lengths.device)
        for layer in self.layers:
            layer_indices = indices.to(layer.keys.device)
            layer.keys, layer.values = layer.keys[layer_indices], layer.values[layer_indices]
        self.lengths, self.rotary_offsets = self.lengths[indices], self.rotary_offsets[indices]
        self.filled = [self.filled[slot] for slot in slot_indices]
        self.slots = len(slot_indices)


class _SlotLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values (slots, heads, L, head size) of one layer."""

    def __init__(self, cache: SlotCache) -> None:
        super().__init__()
        self._cache = cache
        self.is_initialized = False

    def allocate(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Allocate the memory once, with the head count and head size of these tensors."""
        if not self.is_initialized:
            slots, capacity = self._cache.slots, self._cache.capacity
            self.keys, self.values = (
                states.new_zeros(slots, states.shape[1], capacity, states.shape[3]) for states in (keys, values)
            )
            self.is_initialized = True

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Write new keys and values (R, heads, S, head size) to their positions; return all that the rows hold."""
        self.allocate(key_states, value_states)
        device, length = key_states.device, self._cache.length
        indices, columns = self._cache.slot_indices.to(device), self._cache.columns_RS.to(device)
        for stored, new in ((self.keys, key_states), (self.values, value_states)):
            stored[indices[:, None], :, columns] = new.transpose(1, 2)
        if self._cache.all_slots:
            return self.keys[:, :, :length], self.values[:, :, :length]
        return self.keys[indices, :, :length], self.values[indices, :, :length]

    def get_seq_length(self) -> int:
        """Return 0: every forward pass is given its positions and its mask."""
        return 0
