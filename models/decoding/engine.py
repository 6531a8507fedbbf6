"""Decoding with shared prefixes: generation and log-likelihoods on a key-value cache with slots.

A prefix that several prompts share is computed once, and its keys and values are copied into one slot per prompt. A
slot is one row of a cache that is allocated once and written in place. A row that ends frees its slot for the next
prompt, so short completions do not wait for long ones. An explicit attention mask says what each token sees, so rows
of different lengths, and several continuations of one prompt in one row (`evals.models.decoding.loglikelihood`), go
through the model together.

The model must be a decoder whose layers all attend to every earlier position (`supports_prefix_sharing`), as Llama,
Qwen2, DeepSeek-V2, DeepSeek-V3 and the language model of DeepSeek-VL do.

Letters in the names of tensors: R rows, S new tokens of a row, L positions of the cache, C columns whose logits are
read, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from evals.models.decoding.loglikelihood import ScoringRow, logit_columns, positions_and_mask, sum_log_likelihoods
from evals.models.decoding.padding import TokenCounts, pad_left
from evals.models.decoding.placeholders import has_image_positions, image_positions
from evals.models.decoding.reading import TextReader
from evals.models.decoding.sampling import Completion, GenerationRow, RowProgress
from evals.models.decoding.slots import Slots, chunks

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from evals.models.decoding.kv_cache import SlotCache

SLOTS = {"cpu": 64, "cuda": 256}
"""Number of rows that generate at once, by device type. On two cores, more rows make a step slower than they gain."""
PREFILL = {"cpu": 512, "cuda": 16_384}
"""Number of prompt positions that are computed at once, by device type. On two cores, more only adds padding: a Qwen2
of 85M parameters takes 18.1 s for 400 rows of SST-2 with 512, 19.6 s with 1,024 and 20.0 s with 2,048. No GPU was
measured."""


def supports_prefix_sharing(model: PreTrainedModel) -> bool:
    """Return whether a model's cache can be cut and copied.

    This holds when every layer attends to every earlier position and positions are plain rotary ones.
    """
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    config = model.config.get_text_config()
    rotary = getattr(config, "rope_parameters", None) or {}
    # With other schemes (ALiBi, learned positions, length-dependent scaling) a token's position is not all that counts.
    plain = rotary.get("rope_type") in {"default", "linear", "llama3", "yarn"}
    if "mrope_section" in rotary and not has_image_positions(model):
        return False
    if not plain or config.is_encoder_decoder or getattr(config, "alibi", False):
        return False
    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=config).layers)


class Decoder:
    """Generates and scores text with a language model, on a cache with slots."""

    def __init__(self, model: PreTrainedModel, *, ends: Iterable[int], reader: TextReader) -> None:
        """Wrap a model.

        Args:
            model: a model with a language-model head that `supports_prefix_sharing`.
            ends: ids of the tokens that end a text.
            reader: turns tokens into text, to look for stop strings.
        """
        self._model = model
        self._ends = frozenset(ends)
        self._reader = reader
        self._slots = SLOTS.get(model.device.type, SLOTS["cuda"])
        self._prefill = PREFILL.get(model.device.type, PREFILL["cuda"])
        self._last_prefix: tuple[tuple[int, ...], SlotCache] | None = None
        self.token_counts = TokenCounts()
        """Number of prompt positions computed so far, excluding generated tokens."""

    def generate(
        self, prefixes: Sequence[Sequence[int]], rows: Sequence[GenerationRow], inputs: Mapping[str, torch.Tensor]
    ) -> list[Completion]:
        """Generate a completion for every row.

        Args:
            prefixes: tokens that rows share; a prefix may be empty.
            rows: the prompts to continue; `prefix_index` points into `prefixes`.
            inputs: further inputs that belong to the prefixes (pixel values), in their order.

        Returns:
            One completion per row, in order.
        """
        import torch

        with torch.inference_mode():
            shared = self._prefixes(prefixes, inputs)
            # Rows are filled in chunks that are padded to their longest, so each part counts with its maximum.
            fills = (len(row.suffix) + len(row.begun) for row in rows)
            parts = (map(len, prefixes), fills, (row.max_new_tokens for row in rows))
            capacity = sum(map(max, parts))
            slots = Slots(self._cache(min(self._slots, len(rows)), capacity), shared)
            return self._generate([RowProgress(row, self._ends, self._reader) for row in rows], slots)

    def loglikelihoods(
        self, prefixes: Sequence[Sequence[int]], rows: Sequence[ScoringRow], inputs: Mapping[str, torch.Tensor]
    ) -> list[list[float]]:
        """Compute the log-likelihood of every continuation of every row.

        Each row goes through the model once, with its continuations side by side. Continuations of one token cost
        nothing beyond their prompt.

        Args:
            prefixes: tokens that rows share; a prefix may be empty.
            rows: the prompts with their continuations; `prefix_index` points into `prefixes`.
            inputs: further inputs that belong to the prefixes (pixel values), in their order.

        Returns:
            For each row, the log-likelihood of every continuation in nats: the sum over its tokens.
        """
        import torch

        with torch.inference_mode():
            shared = self._prefixes(prefixes, inputs)
            log_likelihoods: list[list[float]] = []
            for chunk in chunks(rows, lambda row: len(row.tokens), self._prefill):
                log_likelihoods += self._score(shared, chunk)
            return log_likelihoods

    def _cache(self, slots: int, capacity: int) -> SlotCache:
        from evals.models.decoding.kv_cache import SlotCache

        return SlotCache(self._model.config.get_text_config().num_hidden_layers, slots, capacity, self._model.device)

    # Prefixes

    def _prefixes(self, prefixes: Sequence[Sequence[int]], inputs: Mapping[str, torch.Tensor]) -> SlotCache:
        """Compute the shared prefixes; reuse a single prefix from the previous batch (few-shot examples)."""
        key = tuple(prefixes[0]) if len(prefixes) == 1 and not inputs else None
        if key is not None and self._last_prefix is not None and self._last_prefix[0] == key:
            return self._last_prefix[1]
        cache = self._cache(len(prefixes), max(1, *map(len, prefixes)))
        if inputs:  # the model matches images to prompts by their order, so these prefixes are computed together
            self.token_counts.add(prefixes)
            self._fill(cache, list(range(len(prefixes))), prefixes, inputs)
        else:
            numbered = [(index, tokens) for index, tokens in enumerate(prefixes) if tokens]
            for chunk in chunks(numbered, lambda pair: len(pair[1]), self._prefill):
                self.token_counts.add([tokens for _, tokens in chunk])
                self._fill(cache, [index for index, _ in chunk], [tokens for _, tokens in chunk], {})
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
        one column. In the cache the padding goes behind the row, where the next tokens overwrite it.
        """
        import torch

        device = self._model.device
        lengths = torch.tensor([len(row) for row in tokens], device=device)
        ids_RS = pad_left(tokens, device)
        S = ids_RS.shape[1]
        starts = cache.lengths[slot_indices]
        positions_RS = starts[:, None] + (torch.arange(S, device=device) + lengths[:, None]) % S
        visible_RSL = torch.arange(int(starts.max()) + S, device=device) <= positions_RS[:, :, None]
        rotary = positions_RS + cache.rotary_offsets[slot_indices][:, None]
        if (computed := image_positions(self._model, ids_RS, lengths, inputs)) is not None:
            rotary, cache.rotary_offsets[slot_indices] = computed
        with cache.writing_to(slot_indices, positions_RS):
            last = torch.tensor([S - 1], device=device)
            logits = self._forward(cache, ids_RS, rotary, visible_RSL, columns=last, inputs=inputs)
        cache.lengths[slot_indices] += lengths
        return logits[:, 0]

    def _forward(
        self,
        cache: SlotCache,
        ids_RS: torch.Tensor,
        positions_RS: torch.Tensor,
        visible_RSL: torch.Tensor,
        *,
        columns: torch.Tensor,
        inputs: Mapping[str, torch.Tensor],
    ) -> torch.Tensor:
        """Run the model; returns the logits at the given columns, (R, columns, V)."""
        import torch

        dtype = self._model.dtype
        mask = torch.zeros(visible_RSL.shape, dtype=dtype, device=ids_RS.device)
        mask.masked_fill_(~visible_RSL, torch.finfo(dtype).min)
        output = self._model(
            input_ids=ids_RS, attention_mask=mask[:, None], position_ids=positions_RS, past_key_values=cache,
            use_cache=True, logits_to_keep=columns, **inputs,
        )  # fmt: skip
        logits: torch.Tensor = output.logits
        return logits

    # Generation

    def _generate(self, states: Sequence[RowProgress], slots: Slots) -> list[Completion]:
        waiting = list(range(len(states) - 1, -1, -1))
        fills = [[*state.row.suffix, *state.row.begun] for state in states]
        while waiting or slots.slot_by_row:
            if waiting and slots.free:
                entering = [waiting.pop() for _ in range(min(len(waiting), len(slots.free)))]
                for chunk in chunks(entering, lambda row: len(fills[row]), self._prefill):
                    slot_indices = slots.allocate(chunk, [states[row].row.prefix_index for row in chunk])
                    tokens = [fills[row] for row in chunk]
                    self.token_counts.add(tokens)
                    self._advance(states, chunk, slots, self._fill(slots.cache, slot_indices, tokens, {}))
            else:
                slots.compact()
                active = list(slots.slot_by_row)
                last_tokens = [states[row].tokens[-1:] for row in active]
                logits_RV = self._fill(slots.cache, list(slots.slot_by_row.values()), last_tokens, {})
                self._advance(states, active, slots, logits_RV)
        return [state.completion() for state in states]

    def _advance(
        self, states: Sequence[RowProgress], rows: Sequence[int], slots: Slots, logits_RV: torch.Tensor
    ) -> None:
        """Choose the next token of each of these rows, and free the slots of the rows that end."""
        maxima_R, greedy_R = logits_RV.max(dim=-1)
        finite = maxima_R.isfinite().tolist()
        for row, logits_V, greedy, is_finite in zip(rows, logits_RV, greedy_R.tolist(), finite, strict=True):
            states[row].advance(logits_V, greedy, finite=is_finite)
            if states[row].finished:
                slots.release(row)

    # Log-likelihoods

    def _score(self, shared: SlotCache, rows: Sequence[ScoringRow]) -> list[list[float]]:
        import torch

        device = self._model.device
        prefix_indices, slot_indices = [row.prefix_index for row in rows], list(range(len(rows)))
        self.token_counts.add([row.tokens for row in rows])
        ids_RS = pad_left([row.tokens for row in rows], device)
        capacity = int(shared.lengths[prefix_indices].max()) + ids_RS.shape[1]
        cache = self._cache(len(rows), capacity)
        cache.copy_from(shared, prefix_indices, slot_indices)
        starts = cache.lengths[slot_indices]
        positions_RS, visible_RSL = positions_and_mask(rows, starts, capacity)
        columns = logit_columns(rows)
        with cache.writing_to(slot_indices, starts[:, None] + torch.arange(ids_RS.shape[1], device=device)):
            columns_C = torch.tensor(columns, device=device)
            logits = self._forward(cache, ids_RS, positions_RS, visible_RSL, columns=columns_C, inputs={})
        return sum_log_likelihoods(rows, columns, logits)
