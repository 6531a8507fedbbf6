"""Decoding with shared prefixes: generation and log-likelihoods on a key-value cache with slots.

A prefix that several prompts share is computed once, and its keys and values are copied into one slot per prompt. A
slot is one row of a cache that is allocated once and written in place. A row that ends frees its slot for the next
prompt, so short completions do not wait for long ones. An explicit attention mask says what each token sees, so rows
of different lengths, and several continuations of one prompt in one row (`evals.models.decoding.loglikelihood`), go
through the model together.

On a GPU a mask would rule out the fastest attention kernels. So prompts that begin an empty cache are padded on the
right there, where causal attention needs no mask. How many slots and prefixes are computed at once depends on the
memory, and slots are refilled several at a time, because a forward pass of one row takes as long as one of many.

The model must be a decoder whose layers all attend to every earlier position, as Llama, Qwen2, DeepSeek-V2,
DeepSeek-V3 and the language model of DeepSeek-VL do (`evals.models.decoding.batching.prefix_sharing`).

Letters in the names of tensors: R rows, S new tokens of a row, L positions of the cache, C columns whose logits are
read, V vocabulary.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from evals.models.decoding.loglikelihood import (
    ScoringRow,
    logit_columns,
    logit_indices_by_row,
    positions_and_mask,
    sum_log_likelihoods,
)
from evals.models.decoding.padding import TokenCounts, on_device, pad_left, pad_right, reading_columns
from evals.models.decoding.placeholders import image_positions
from evals.models.decoding.reading import TextReader
from evals.models.decoding.sampling import Completion, GenerationRow, RowProgress, advance_rows
from evals.models.decoding.slots import Slots, chunks

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from evals.models.decoding.kv_cache import SlotCache

Row = TypeVar("Row", GenerationRow, ScoringRow)
RowResult = TypeVar("RowResult")
PrefixInputs = Mapping[str, Sequence["torch.Tensor"]]
"""Further inputs of a model, such as pixel values: by name, one tensor per prefix."""

SLOTS = {"cpu": 64, "cuda": 256}
"""Number of rows that generate at once, by device type. On two cores, more rows make a step slower than they gain."""
PREFILL = {"cpu": 512, "cuda": 16_384}
"""Number of prompt positions that are computed at once, by device type. On two cores, more only adds padding: a Qwen2
of 85M parameters takes 18.1 s for 400 rows of SST-2 with 512, 19.6 s with 1,024 and 20.0 s with 2,048. No GPU was
measured."""
IMAGE_PREFILL = 16_384
"""Number of positions of prompts with images that are computed at once, with their images, on every device."""
REFILL_DIVISOR = {"cpu": 1 << 30, "cuda": 8}
"""Slots are refilled, and at the end dropped, when the number of slots divided by this is free, but at least one, by
device type."""


class Decoder:
    """Generates and scores text with a language model, on a cache with slots."""

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        ends: Iterable[int],
        reader: TextReader,
        cache_positions: int | None = None,
        device_type: str | None = None,
    ) -> None:
        """Wrap a model.

        Args:
            model: a model with a language-model head whose prefixes can be shared.
            ends: ids of the tokens that end a text.
            reader: turns tokens into text, to look for stop strings.
            cache_positions: number of positions that the memory holds, once for the prefixes, each counted once, and
                once more for the slots; None does not limit them.
            device_type: decode as on this type of device; None for the model's own. Tests give "cuda" on a CPU.
        """
        self._model = model
        self._ends = frozenset(ends)
        self._reader = reader
        kind = "cpu" if (device_type or model.device.type) == "cpu" else "cuda"
        self._slots = SLOTS[kind]
        self._prefill = PREFILL[kind]
        self._refill_divisor = REFILL_DIVISOR[kind]
        # On a CPU a mask costs next to nothing; without it, sums of floats would be rounded differently.
        self._without_masks = kind == "cuda"
        self._cache_positions = cache_positions or sys.maxsize
        self._last_prefix: tuple[tuple[int, ...], SlotCache] | None = None
        self.token_counts = TokenCounts()
        """Number of prompt positions computed so far, excluding generated tokens."""

    def generate(
        self, prefixes: Sequence[Sequence[int]], rows: Sequence[GenerationRow], inputs: PrefixInputs
    ) -> list[Completion]:
        """Generate a completion for every row.

        Args:
            prefixes: tokens that rows share; a prefix may be empty.
            rows: the prompts to continue; `prefix_index` points into `prefixes`.
            inputs: further inputs of the model (pixel values): by name, one tensor per prefix.

        Returns:
            One completion per row, in order.
        """
        return self._in_parts(prefixes, rows, inputs, self._generate_part)

    def _generate_part(
        self, prefixes: Sequence[Sequence[int]], rows: Sequence[GenerationRow], inputs: PrefixInputs
    ) -> list[Completion]:
        shared = self._prefixes(prefixes, inputs)
        # Rows are filled in chunks that are padded to their longest, so each part counts with its maximum.
        fills = (len(row.suffix) + len(row.begun) for row in rows)
        parts = (map(len, prefixes), fills, (row.max_new_tokens for row in rows))
        capacity = sum(map(max, parts))
        count = min(self._slots, len(rows), max(1, self._cache_positions // capacity))
        slots = Slots(self._cache(count, capacity), shared)
        return self._generate([RowProgress(row, self._ends, self._reader) for row in rows], slots)

    def loglikelihoods(
        self, prefixes: Sequence[Sequence[int]], rows: Sequence[ScoringRow], inputs: PrefixInputs
    ) -> list[list[float]]:
        """Compute the log-likelihood of every continuation of every row.

        Each row goes through the model once, with its continuations side by side. Continuations of one token cost
        nothing beyond their prompt.

        Args:
            prefixes: tokens that rows share; a prefix may be empty.
            rows: the prompts with their continuations; `prefix_index` points into `prefixes`.
            inputs: further inputs of the model (pixel values): by name, one tensor per prefix.

        Returns:
            For each row, the log-likelihood of every continuation in nats: the sum over its tokens.
        """
        return self._in_parts(prefixes, rows, inputs, self._score_part)

    def _score_part(
        self, prefixes: Sequence[Sequence[int]], rows: Sequence[ScoringRow], inputs: PrefixInputs
    ) -> list[list[float]]:
        shared = self._prefixes(prefixes, inputs)
        log_likelihoods: list[list[float]] = []
        for part in chunks(rows, lambda row: len(row.tokens), self._prefill):
            for chunk in chunks(
                part, lambda row: len(prefixes[row.prefix_index]) + len(row.tokens), self._cache_positions
            ):
                log_likelihoods += self._score(shared, chunk)
        return log_likelihoods

    def _in_parts(
        self,
        prefixes: Sequence[Sequence[int]],
        rows: Sequence[Row],
        inputs: PrefixInputs,
        compute: Callable[[Sequence[Sequence[int]], Sequence[Row], PrefixInputs], list[RowResult]],
    ) -> list[RowResult]:
        """Compute rows in parts whose prefixes, each counted once, fit into the memory; mostly all in one."""
        import torch

        with torch.inference_mode():
            parts = list(chunks(range(len(prefixes)), lambda index: len(prefixes[index]), self._cache_positions))
            if len(parts) == 1:
                return compute(prefixes, rows, inputs)
            answers: dict[int, RowResult] = {}
            for part in parts:
                members = [index for index, row in enumerate(rows) if part[0] <= row.prefix_index <= part[-1]]
                moved = [replace(rows[index], prefix_index=rows[index].prefix_index - part[0]) for index in members]
                of_part = {name: [tensors[index] for index in part] for name, tensors in inputs.items()}
                answers |= zip(members, compute([prefixes[index] for index in part], moved, of_part), strict=True)
            return [answers[index] for index in range(len(rows))]

    def _cache(self, slots: int, capacity: int) -> SlotCache:
        from evals.models.decoding.kv_cache import SlotCache

        return SlotCache(self._model.config.get_text_config().num_hidden_layers, slots, capacity, self._model.device)

    # Prefixes

    def _prefixes(self, prefixes: Sequence[Sequence[int]], inputs: PrefixInputs) -> SlotCache:
        """Compute the shared prefixes; reuse a single prefix from the previous batch (few-shot examples)."""
        key = tuple(prefixes[0]) if len(prefixes) == 1 and not inputs else None
        if key is not None and self._last_prefix is not None and self._last_prefix[0] == key:
            return self._last_prefix[1]
        cache = self._cache(len(prefixes), max(1, *map(len, prefixes)))
        indices = [index for index, tokens in enumerate(prefixes) if tokens]
        for chunk in chunks(indices, lambda index: len(prefixes[index]), IMAGE_PREFILL if inputs else self._prefill):
            tokens = [prefixes[index] for index in chunk]
            self.token_counts.add(tokens)
            # The model matches images to prompts by their order.
            self._fill(cache, chunk, tokens, {name: self._joined(values, chunk) for name, values in inputs.items()})
        self._last_prefix = None if key is None else (key, cache)
        return cache

    def _fill(
        self,
        cache: SlotCache,
        slot_indices: list[int],
        tokens: Sequence[Sequence[int]],
        inputs: Mapping[str, torch.Tensor],
    ) -> torch.Tensor:
        """Append tokens to slots of the cache; returns the logits (R, V) after the last token of each row.

        Rows are padded on the left, so that they end in the same column and the model's head, which is wide, computes
        one column. In the cache the padding goes behind the row, where the next tokens overwrite it. Without a mask,
        rows are padded on the right.
        """
        import torch

        device, lengths = self._model.device, [len(row) for row in tokens]
        starts, S = [cache.filled[slot] for slot in slot_indices], max(lengths)
        slots_R, lengths_R = (on_device(torch.tensor(values), device) for values in (slot_indices, lengths))
        columns_S = torch.arange(S, device=device)
        visible_RSL = None
        if self._needs_no_mask(starts, S):
            ids_RS, mask_RS = pad_right(tokens, device), columns_S < lengths_R[:, None]
            positions_RS = cache.lengths[slots_R][:, None] + columns_S
            read = lengths_R[:, None] - 1
        else:
            ids_RS, mask_RS = pad_left(tokens, device), columns_S >= S - lengths_R[:, None]
            positions_RS = cache.lengths[slots_R][:, None] + (columns_S + lengths_R[:, None]) % S
            visible_RSL = torch.arange(max(starts) + S, device=device) <= positions_RS[:, :, None]
            read = columns_S[-1:]
        rotary = positions_RS + cache.rotary_offsets[slots_R][:, None]
        if (computed := image_positions(self._model, ids_RS, mask_RS, inputs)) is not None:
            rotary, cache.rotary_offsets[slots_R] = computed
        with cache.writing_to(slot_indices, positions_RS, max(starts) + S):
            logits = self._forward(cache, ids_RS, rotary, visible_RSL, columns=read, inputs=inputs)
        cache.lengthen(slot_indices, lengths)
        return logits[:, 0]

    def _needs_no_mask(self, starts: Sequence[int], new: int) -> bool:
        """Return whether causal attention is all that new tokens of rows need.

        This holds for prompts that begin an empty cache, and for single tokens after rows of one length.
        """
        return self._without_masks and (not any(starts) or (new == 1 and len(set(starts)) == 1))

    def _joined(self, tensors: Sequence[torch.Tensor], indices: Sequence[int]) -> torch.Tensor:
        """Concatenate the inputs of prefixes on the device, pixels in the model's number format."""
        import torch

        return torch.cat([on_device(tensors[index], self._model.device, self._model.dtype) for index in indices])

    def _forward(
        self,
        cache: SlotCache,
        ids_RS: torch.Tensor,
        positions_RS: torch.Tensor,
        visible_RSL: torch.Tensor | None,
        *,
        columns: torch.Tensor,
        inputs: Mapping[str, torch.Tensor],
    ) -> torch.Tensor:
        """Run the model; returns the logits at the given columns, (R, C, V).

        Args:
            cache: the cache, with the slots to write to.
            ids_RS: the tokens.
            positions_RS: their rotary positions.
            visible_RSL: what each token sees; None for causal attention, which the library computes without a mask.
            columns: columns that are read in all rows, (C,), or in each row, (R, C).
            inputs: further inputs.
        """
        import torch

        mask = None
        if visible_RSL is not None:
            dtype = self._model.dtype
            mask = torch.zeros(visible_RSL.shape, dtype=dtype, device=ids_RS.device)[:, None]
            mask.masked_fill_(~visible_RSL[:, None], torch.finfo(dtype).min)
        with reading_columns(self._model, columns) as kept:
            output = self._model(
                input_ids=ids_RS, attention_mask=mask, position_ids=positions_RS, past_key_values=cache,
                use_cache=True, logits_to_keep=kept, **inputs,
            )  # fmt: skip
        logits: torch.Tensor = output.logits
        assert logits.shape[1] == columns.shape[-1]
        return logits

    # Generation

    def _generate(self, states: Sequence[RowProgress], slots: Slots) -> list[Completion]:
        waiting = list(range(len(states) - 1, -1, -1))
        fills = [[*state.row.suffix, *state.row.begun] for state in states]
        while waiting or slots.slot_by_row:
            many_free = len(slots.free) > (slots.cache.slots - 1) // self._refill_divisor
            if waiting and many_free:
                entering = [waiting.pop() for _ in range(min(len(waiting), len(slots.free)))]
                for chunk in chunks(entering, lambda row: len(fills[row]), self._prefill):
                    slot_indices = slots.allocate(chunk, [states[row].row.prefix_index for row in chunk])
                    tokens = [fills[row] for row in chunk]
                    self.token_counts.add(tokens)
                    self._advance(states, chunk, slots, self._fill(slots.cache, slot_indices, tokens, {}))
            else:
                if many_free:
                    slots.compact()  # copies the cache, as filling slots does
                rows = slots.rows()
                last_tokens = [[0] if row is None else states[row].tokens[-1:] for row in rows.values()]
                logits_RV = self._fill(slots.cache, list(rows), last_tokens, {})
                self._advance(states, list(rows.values()), slots, logits_RV)
        return [state.completion() for state in states]

    def _advance(
        self, states: Sequence[RowProgress], rows: Sequence[int | None], slots: Slots, logits_RV: torch.Tensor
    ) -> None:
        """Choose the next token of each of these rows, and free the slots of the rows that end; None has no row."""
        advance_rows([None if row is None else states[row] for row in rows], logits_RV)
        for row in rows:
            if row is not None and states[row].finished:
                slots.release(row)

    # Log-likelihoods

    def _score(self, shared: SlotCache, rows: Sequence[ScoringRow]) -> list[list[float]]:
        import torch

        device, tokens = self._model.device, [row.tokens for row in rows]
        prefix_indices, slot_indices = [row.prefix_index for row in rows], list(range(len(rows)))
        self.token_counts.add(tokens)
        S = max(map(len, tokens))
        capacity = max(shared.filled[index] for index in prefix_indices) + S
        cache = self._cache(len(rows), capacity)
        cache.copy_from(shared, prefix_indices, slot_indices)
        columns_RS = cache.lengths[:, None] + torch.arange(S, device=device)
        if self._without_masks and all(row.is_causal for row in rows):
            ids_RS, positions_RS, visible_RSL = pad_right(tokens, device), columns_RS, None
            if not self._needs_no_mask(cache.filled, S):
                visible_RSL = torch.arange(capacity, device=device) <= positions_RS[:, :, None]
            indices = logit_indices_by_row(rows)
            read = on_device(torch.tensor(indices), device)
        else:
            ids_RS = pad_left(tokens, device)
            positions_RS, visible_RSL = positions_and_mask(rows, cache.filled, capacity)
            positions_RS, visible_RSL = on_device(positions_RS, device), on_device(visible_RSL, device)
            columns = logit_columns(rows)
            indices = [[column - (S - len(row)) for column in columns] for row in tokens]
            read = on_device(torch.tensor(columns), device)
        with cache.writing_to(slot_indices, columns_RS, capacity):
            logits = self._forward(cache, ids_RS, positions_RS, visible_RSL, columns=read, inputs={})
        return sum_log_likelihoods(rows, indices, logits)
