"""Decoding with shared prefixes: generation and log-likelihoods over slots of a key-value cache.

A prefix that several prompts share is computed once, and its keys and values are copied into a slot for each of them.
A slot is a row of a cache that is allocated once and written in place: a row that ends leaves its slot to the next
prompt, so short answers do not wait for long ones. What each token may see is said by an explicit mask, so rows of
different lengths, and several endings of one prompt in one row, go through the model together.

That needs a decoder whose layers all attend to everything before (`shares`), as Llama, Qwen2, DeepSeek-V2 and -V3 and
the language model of DeepSeek-VL do. Log-likelihoods are taken in float32.

Letters in the names of tensors: G groups, R rows, S new tokens of a row, P positions of the prefixes, L positions of
the cache, V vocabulary.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from evals.schema import Generate

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from models._slot_cache import SlotCache

T = TypeVar("T")
NOT_FINITE = "the model's scores are not finite numbers; try --dtype bfloat16 or float32"
"""A failure of the numbers, which must never pass for an answer."""
SLOTS = {"cpu": 64, "cuda": 256}
"""Rows that generate at once, by device; on two cores more make a step dearer than they make it fuller."""
PREFILL = {"cpu": 2048, "cuda": 16_384}
"""Token positions of prompts computed at once, by device; on two cores more only adds padding. No GPU was measured."""


@dataclass(frozen=True)
class Row:
    """A prompt to continue, after its shared part."""

    owner: int
    """The prefix that it continues."""
    rest: Sequence[int]
    """Its own tokens, at least one."""
    max_new_tokens: int
    """Stop after so many."""
    stop: tuple[str, ...] = ()
    """Stop at any of these strings."""
    draw: Callable[[torch.Tensor], int] | None = None
    """Chooses a token from logits (V,); None takes the likeliest."""


@dataclass(frozen=True)
class Continuation:
    """What was generated for a row."""

    tokens: list[int]
    """New tokens, without the one that ended it."""
    truncated: bool
    """It ended because `max_new_tokens` were there."""
    failure: str | None = None
    """Why it is worth nothing: the model gave no numbers."""


@dataclass(frozen=True)
class Endings:
    """A prompt with endings to weigh, after its shared part."""

    owner: int
    """The prefix that it continues."""
    rest: Sequence[int]
    """Its own tokens, at least one."""
    endings: Sequence[Sequence[int]]
    """Each at least one token."""


def drawing(request: Generate) -> Callable[[torch.Tensor], int] | None:
    """A chooser of tokens whose chance comes from the request alone, whatever shares its batch; None takes the best."""
    import torch

    if not request.temperature:
        return None
    seed = hashlib.sha256(f"{request.seed}:{request.id}".encode()).digest()[:8]
    generator = torch.Generator().manual_seed(int.from_bytes(seed, "little"))

    def draw(logits_V: torch.Tensor) -> int:
        likely, tokens = (logits_V.float().cpu() / request.temperature).softmax(dim=-1).sort(descending=True)
        inside = likely.cumsum(dim=-1) - likely < request.top_p
        return int(tokens[torch.multinomial(likely * inside, 1, generator=generator)])

    return draw


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The ids that end a text: what the checkpoint is configured for, else the tokenizer's end token."""
    configured = model.generation_config.eos_token_id if model.generation_config else None
    ends = configured if isinstance(configured, list) else [configured]
    found = [end for end in ends if end is not None]
    return found or [end for end in [tokenizer.eos_token_id] if end is not None]


def until(text: str, stops: Sequence[str]) -> str:
    r"""Cut a text before the first of some strings.

    Example:
        >>> until("18\n\nQuestion: what", ("Question:", "\n\n"))
        '18'
    """
    return text[: min((text.find(stop) for stop in stops if stop in text), default=len(text))]


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
            for chunk in _chunks(rows, lambda row: len(_side_by_side(row)), self._prefill):
                found += self._weigh(shared, chunk)
            return found

    def _cache(self, slots: int, room: int) -> SlotCache:
        from models._slot_cache import SlotCache

        return SlotCache(self._model.config.get_text_config().num_hidden_layers, slots, room, self._model.device)

    # Prefixes

    def _prefixes(self, prefixes: Sequence[Sequence[int]], inputs: Mapping[str, torch.Tensor]) -> SlotCache:
        """Compute the shared parts, or take them from the batch before: few-shot examples are everybody's."""
        key = tuple(prefixes[0]) if len(prefixes) == 1 and not inputs else None
        if key is not None and self._kept is not None and self._kept[0] == key:
            return self._kept[1]
        cache = self._cache(len(prefixes), max(1, *map(len, prefixes)))
        if inputs:  # pictures belong to their prompts by order, so these are computed together
            self._fill(cache, list(range(len(prefixes))), prefixes, inputs)
        else:
            some = [(number, tokens) for number, tokens in enumerate(prefixes) if tokens]
            for chunk in _chunks(some, lambda numbered: len(numbered[1]), self._prefill):
                self._fill(cache, [number for number, _ in chunk], [tokens for _, tokens in chunk], {})
        self._kept = None if key is None else (key, cache)
        return cache

    def _fill(
        self, cache: SlotCache, places: list[int], tokens: Sequence[Sequence[int]], inputs: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        """Put tokens after what the rows at some places hold; returns the logits (R, V) after each row's last."""
        import torch

        device = self._model.device
        lengths = torch.tensor([len(row) for row in tokens], device=device)
        ids_RS = _padded(tokens, device)
        R, S = ids_RS.shape
        starts = cache.lengths[places]
        positions_RS = starts[:, None] + torch.arange(S, device=device)
        seen_RSL = torch.arange(int(starts.max()) + S, device=device) <= positions_RS[:, :, None]
        columns, last = (lengths - 1).unique(return_inverse=True)
        with cache.at(places, positions_RS):
            logits = self._forward(cache, ids_RS, positions_RS, seen_RSL, columns, inputs)
        cache.lengths[places] += lengths
        return logits[torch.arange(R, device=device), last]

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
                    logits_RV = self._fill(slots.cache, places, [rows[row].rest for row in chunk], {})
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
            if token in self._ends:
                slots.leave(row)
                continue
            new[row].append(token)
            if self._stops(rows[row], new[row]):
                slots.leave(row)
            elif len(new[row]) >= rows[row].max_new_tokens:
                truncated[row] = True
                slots.leave(row)

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
        owners = [row.owner for row in rows]
        ids_RS = _padded([_side_by_side(row) for row in rows], device)
        room = int(shared.lengths[owners].max()) + ids_RS.shape[1]
        cache = self._cache(len(rows), room)
        places = list(range(len(rows)))
        cache.copy(shared, owners, places)
        starts = cache.lengths[places]
        columns_RS = starts[:, None] + torch.arange(ids_RS.shape[1], device=device)
        positions_RS, seen_RSL = _branches(rows, starts, room)
        readings = [_readings(row) for row in rows]
        columns = torch.tensor(sorted({column for reading in readings for ending in reading for column in ending}))
        with cache.at(places, columns_RS):
            logits = self._forward(cache, ids_RS, positions_RS, seen_RSL, columns.to(device), {})
        place = {column: index for index, column in enumerate(columns.tolist())}
        found = []
        for logits_CV, row, reading in zip(logits, rows, readings, strict=True):
            likely = logits_CV.float().log_softmax(dim=-1)
            found.append([
                float(likely[[place[column] for column in at], list(ending)].sum())
                for at, ending in zip(reading, row.endings, strict=True)
            ])  # fmt: skip
        return found


def _side_by_side(row: Endings) -> list[int]:
    """A prompt's own tokens and then, but for its last token, every ending."""
    return [*row.rest, *(token for ending in row.endings for token in ending[:-1])]


def _readings(row: Endings) -> list[list[int]]:
    """For each ending, the columns of `_side_by_side` after which its tokens come."""
    found, at = [], len(row.rest)
    for ending in row.endings:
        found.append([len(row.rest) - 1, *range(at, at + len(ending) - 1)])
        at += len(ending) - 1
    return found


def _branches(rows: Sequence[Endings], starts: torch.Tensor, room: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions (R, S), and what each token sees (R, S, L): all before it, but never another ending."""
    import torch

    longest = max(len(_side_by_side(row)) for row in rows)
    positions_RS = torch.zeros(len(rows), longest, dtype=torch.long)
    seen_RSL = torch.zeros(len(rows), longest, room, dtype=torch.bool)
    for r, (row, start) in enumerate(zip(rows, starts.tolist(), strict=True)):
        own = len(row.rest)
        positions_RS[r, :own] = torch.arange(start, start + own)
        seen_RSL[r, :own, : start + own] = torch.arange(start + own) <= positions_RS[r, :own, None]
        seen_RSL[r, own:, : start + own] = True
        for ending, reading in zip(row.endings, _readings(row), strict=True):
            inner = reading[1:]
            if inner:
                first, end = inner[0], inner[-1] + 1
                positions_RS[r, first:end] = torch.arange(start + own, start + own + len(ending) - 1)
                block = torch.ones(end - first, end - first, dtype=torch.bool).tril()
                seen_RSL[r, first:end, start + first : start + end] = block
    return positions_RS.to(starts.device), seen_RSL.to(starts.device)


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


def _padded(sequences: Sequence[Sequence[int]], device: torch.device) -> torch.Tensor:
    """Pad on the right with zeros, (len(sequences), longest) int64."""
    import torch

    ids = torch.zeros(len(sequences), max(map(len, sequences)), dtype=torch.long)
    for row, tokens in enumerate(sequences):
        ids[row, : len(tokens)] = torch.tensor(tokens)
    return ids.to(device)


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
