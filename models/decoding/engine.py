"""Decoding with shared prefixes: generation and log-likelihoods over slots of a key-value cache.

A prefix that several prompts share is computed once, and its keys and values are copied into a slot for each of them.
A slot is a row of a cache that is allocated once and written in place: a row that ends leaves its slot to the next
prompt, so short answers do not wait for long ones. What each token may see is said by an explicit mask, so rows of
different lengths, and several endings of one prompt in one row (`evals.models.decoding.loglikelihood`), go through the
model together.

That needs a decoder whose layers all attend to everything before (`shares`), as Llama, Qwen2, DeepSeek-V2 and -V3 and
the language model of DeepSeek-VL do. Log-likelihoods are taken in float32.

Letters in the names of tensors: G groups, R rows, S new tokens of a row, P positions of the prefixes, L positions of
the cache, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from evals.models.decoding.loglikelihood import Endings, branches, likelihoods, read_columns
from evals.models.decoding.padding import Counted, in_front
from evals.models.decoding.sampling import NOT_FINITE, Continuation, Row

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from evals.models.decoding.kv_cache import SlotCache

T = TypeVar("T")
SLOTS = {"cpu": 64, "cuda": 256}
"""Rows that generate at once, by device; on two cores more make a step dearer than they make it fuller."""
PREFILL = {"cpu": 512, "cuda": 16_384}
"""Token positions of prompts computed at once, by device. On two cores more only adds padding: an 85M Qwen2 takes
18.1 s for 400 rows of SST-2 at 512, 19.6 at 1,024 and 20.0 at 2,048. No GPU was measured."""


def shares(model: PreTrainedModel) -> bool:
    """Whether every layer attends to all before it, at rotary positions, so that a cache may be cut and filled."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    config = model.config.get_text_config()
    rotary = getattr(config, "rope_parameters", None) or {}
    # Other positions (ALiBi, learnt tables, scalings that depend on the length) do not only count a token's own.
    plain = rotary.get("rope_type") in {"default", "linear", "llama3", "yarn"} and "mrope_section" not in rotary
    if not plain or config.is_encoder_decoder or getattr(config, "alibi", False):
        return False
    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=config).layers)


class Decoder:
    """Runs a model with a language-model head over slots."""

    def __init__(self, model: PreTrainedModel, *, ends: Iterable[int], text: Callable[[Sequence[int]], str]) -> None:
        """Wrap a model.

        Args:
            model: one that `shares`.
            ends: token ids that end a text.
            text: tokens to text, to look for stop strings.
        """
        self._model = model
        self._ends = frozenset(ends)
        self._text = text
        self._slots = SLOTS.get(model.device.type, SLOTS["cuda"])
        self._prefill = PREFILL.get(model.device.type, PREFILL["cuda"])
        self._kept: tuple[tuple[int, ...], SlotCache] | None = None
        self.counted = Counted()
        """What went through but for the tokens that were generated."""

    def generate(
        self, prefixes: Sequence[Sequence[int]], rows: Sequence[Row], inputs: Mapping[str, torch.Tensor]
    ) -> list[Continuation]:
        """Continue every row.

        Args:
            prefixes: tokens that rows share; may be empty.
            rows: what to continue; `owner` points into `prefixes`.
            inputs: what else the model reads with the prefixes (pictures), in their order.

        Returns:
            One continuation a row, in order.
        """
        import torch

        with torch.inference_mode():
            shared = self._prefixes(prefixes, inputs)
            # Rows are filled in chunks that are padded to their longest, so each part counts at its longest.
            parts = (map(len, prefixes), (len(row.rest) for row in rows), (row.max_new_tokens for row in rows))
            room = sum(map(max, parts))
            count = min(self._slots, len(rows))
            return self._generate(rows, _Slots(self._cache(count, room), shared))

    def loglikelihoods(
        self, prefixes: Sequence[Sequence[int]], rows: Sequence[Endings], inputs: Mapping[str, torch.Tensor]
    ) -> list[list[float]]:
        """Weigh endings: for each row the log-likelihood of every ending, in nats, the sum over its tokens.

        A row goes through the model once, its endings side by side, each blind to the others. Endings of one token
        cost nothing beyond their prompt.
        """
        import torch

        with torch.inference_mode():
            shared = self._prefixes(prefixes, inputs)
            found: list[list[float]] = []
            for chunk in _chunks(rows, lambda row: len(row.tokens), self._prefill):
                found += self._weigh(shared, chunk)
            return found

    def _cache(self, slots: int, room: int) -> SlotCache:
        from evals.models.decoding.kv_cache import SlotCache

        return SlotCache(self._model.config.get_text_config().num_hidden_layers, slots, room, self._model.device)

    # Prefixes

    def _prefixes(self, prefixes: Sequence[Sequence[int]], inputs: Mapping[str, torch.Tensor]) -> SlotCache:
        """Compute the shared parts, or take them from the batch before: few-shot examples are everybody's."""
        key = tuple(prefixes[0]) if len(prefixes) == 1 and not inputs else None
        if key is not None and self._kept is not None and self._kept[0] == key:
            return self._kept[1]
        cache = self._cache(len(prefixes), max(1, *map(len, prefixes)))
        if inputs:  # pictures belong to their prompts by order, so these are computed together
            self.counted.add(prefixes)
            self._fill(cache, list(range(len(prefixes))), prefixes, inputs)
        else:
            some = [(number, tokens) for number, tokens in enumerate(prefixes) if tokens]
            for chunk in _chunks(some, lambda numbered: len(numbered[1]), self._prefill):
                self.counted.add([tokens for _, tokens in chunk])
                self._fill(cache, [number for number, _ in chunk], [tokens for _, tokens in chunk], {})
        self._kept = None if key is None else (key, cache)
        return cache

    def _fill(
        self, cache: SlotCache, places: list[int], tokens: Sequence[Sequence[int]], inputs: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        """Put tokens after what the rows at some places hold; returns the logits (R, V) after each row's last.

        Rows are padded in front, so that they end together and the model's head, which is wide, computes one column.
        In the cache the padding goes behind the row, where the next tokens will overwrite it.
        """
        import torch

        device = self._model.device
        lengths = torch.tensor([len(row) for row in tokens], device=device)
        ids_RS = in_front(tokens, device)
        S = ids_RS.shape[1]
        starts = cache.lengths[places]
        positions_RS = starts[:, None] + (torch.arange(S, device=device) + lengths[:, None]) % S
        seen_RSL = torch.arange(int(starts.max()) + S, device=device) <= positions_RS[:, :, None]
        with cache.at(places, positions_RS):
            last = torch.tensor([S - 1], device=device)
            logits = self._forward(cache, ids_RS, positions_RS, seen_RSL, last, inputs)
        cache.lengths[places] += lengths
        return logits[:, 0]

    def _forward(
        self,
        cache: SlotCache,
        ids_RS: torch.Tensor,
        positions_RS: torch.Tensor,
        seen_RSL: torch.Tensor,
        columns: torch.Tensor,
        inputs: Mapping[str, torch.Tensor],
    ) -> torch.Tensor:
        """Run the model; returns the logits at some columns, (R, columns, V)."""
        import torch

        dtype = self._model.dtype
        blocked = torch.zeros(seen_RSL.shape, dtype=dtype, device=ids_RS.device)
        blocked.masked_fill_(~seen_RSL, torch.finfo(dtype).min)
        output = self._model(
            input_ids=ids_RS, attention_mask=blocked[:, None], position_ids=positions_RS, past_key_values=cache,
            use_cache=True, logits_to_keep=columns, **inputs,
        )  # fmt: skip
        logits: torch.Tensor = output.logits
        return logits

    # Generation

    def _generate(self, rows: Sequence[Row], slots: _Slots) -> list[Continuation]:
        new: list[list[int]] = [[] for _ in rows]
        truncated = [False] * len(rows)
        failures: dict[int, str] = {}
        waiting = list(range(len(rows) - 1, -1, -1))
        while waiting or slots.taken:
            if waiting and slots.empty:
                entering = [waiting.pop() for _ in range(min(len(waiting), len(slots.empty)))]
                for chunk in _chunks(entering, lambda row: len(rows[row].rest), self._prefill):
                    places = slots.enter(chunk, [rows[row].owner for row in chunk])
                    rests = [rows[row].rest for row in chunk]
                    self.counted.add(rests)
                    logits_RV = self._fill(slots.cache, places, rests, {})
                    self._append(rows, chunk, logits_RV, new, truncated, failures, slots)
            else:
                slots.close_ranks()
                here = list(slots.taken)
                logits_RV = self._fill(slots.cache, list(slots.taken.values()), [new[row][-1:] for row in here], {})
                self._append(rows, here, logits_RV, new, truncated, failures, slots)
        return [
            Continuation(tokens, cut, failures.get(row))
            for row, (tokens, cut) in enumerate(zip(new, truncated, strict=True))
        ]

    def _append(
        self,
        rows: Sequence[Row],
        here: Sequence[int],
        logits_RV: torch.Tensor,
        new: list[list[int]],
        truncated: list[bool],
        failures: dict[int, str],
        slots: _Slots,
    ) -> None:
        """Choose the next token of some rows; those that end leave their slots."""
        highest_R, likeliest_R = logits_RV.max(dim=-1)
        finite = highest_R.isfinite().tolist()
        for row, logits_V, best, sound in zip(here, logits_RV, likeliest_R.tolist(), finite, strict=True):
            if not sound:
                failures[row] = NOT_FINITE
                slots.leave(row)
                continue
            draw = rows[row].draw
            token = best if draw is None else draw(logits_V)
            if token in self._ends and len(new[row]) < rows[row].min_new_tokens:
                going_on_V = logits_V.index_fill(0, self._end_ids(), -math.inf)
                token = int(going_on_V.argmax()) if draw is None else draw(going_on_V)
            if token in self._ends:
                slots.leave(row)
                continue
            new[row].append(token)
            if self._stops(rows[row], new[row]):
                slots.leave(row)
            elif len(new[row]) >= rows[row].max_new_tokens:
                truncated[row] = True
                slots.leave(row)

    def _end_ids(self) -> torch.Tensor:
        import torch

        return torch.tensor(sorted(self._ends), device=self._model.device)

    def _stops(self, row: Row, tokens: Sequence[int]) -> bool:
        """Whether a stop string is in the new text; only its last tokens can have completed one."""
        if not row.stop:
            return False
        tail = self._text(tokens[-(max(map(len, row.stop)) + 1) :])
        return any(mark in tail for mark in row.stop)

    # Endings

    def _weigh(self, shared: SlotCache, rows: Sequence[Endings]) -> list[list[float]]:
        import torch

        device = self._model.device
        owners, places = [row.owner for row in rows], list(range(len(rows)))
        self.counted.add([row.tokens for row in rows])
        ids_RS = in_front([row.tokens for row in rows], device)
        room = int(shared.lengths[owners].max()) + ids_RS.shape[1]
        cache = self._cache(len(rows), room)
        cache.copy(shared, owners, places)
        starts = cache.lengths[places]
        positions_RS, seen_RSL = branches(rows, starts, room)
        columns = read_columns(rows)
        with cache.at(places, starts[:, None] + torch.arange(ids_RS.shape[1], device=device)):
            logits = self._forward(cache, ids_RS, positions_RS, seen_RSL, torch.tensor(columns, device=device), {})
        return likelihoods(rows, columns, logits)


class _Slots:
    """Which rows are in which slots of a cache."""

    def __init__(self, cache: SlotCache, shared: SlotCache) -> None:
        self.cache = cache
        self._shared = shared
        self.taken: dict[int, int] = {}
        """The slot of each row that is under way."""
        self.empty = list(range(cache.slots - 1, -1, -1))

    def enter(self, rows: Sequence[int], owners: Sequence[int]) -> list[int]:
        """Give rows a slot each, filled with their prefix."""
        places = [self.empty.pop() for _ in rows]
        self.taken.update(zip(rows, places, strict=True))
        self.cache.copy(self._shared, owners, places)
        return places

    def leave(self, row: int) -> None:
        """Free a row's slot."""
        self.empty.append(self.taken.pop(row))

    def close_ranks(self) -> None:
        """Order the rows by slot, and drop the slots that nobody is waiting for."""
        self.taken = dict(sorted(self.taken.items(), key=lambda item: item[1]))
        if self.empty:
            self.cache.keep(list(self.taken.values()))
            self.taken = {row: place for place, row in enumerate(self.taken)}
            self.empty = []


def _chunks(items: Sequence[T], length: Callable[[T], int], positions: int) -> Iterator[list[T]]:
    """Cut a sequence where its padded size would exceed so many positions."""
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
