"""What the families that run on torch share: placing and loading weights, decoding with shared prefixes, memory.

Shapes in this file: G groups, R rows (prompts), P positions of the padded shared parts, S of the padded rests,
V vocabulary. Prompts are padded on the left, so the last position of every row is where its next token comes from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.errors import InputError
from evals.schema import Batch, Group, Placement, Prediction

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache, PreTrainedModel

_ROOT = Path(__file__).parents[1]
DTYPES = ("float32", "bfloat16", "float16")
_CPU_BUDGET_PER_CORE = 4096
"""Token positions a core; two cores decode small models fastest with some 64 to 128 rows of 100 positions."""
_LARGEST_BUDGET = 1 << 18
_MEMORY_SHARE = 0.5
"""Of the memory that is free once the weights are on a GPU; activations and fragments need the rest."""


@dataclass(frozen=True)
class Place:
    """Where a model computes, and in which number format."""

    device: torch.device
    dtype: torch.dtype


def place(placement: Placement) -> Place:
    """Choose device and number format.

    Raises:
        InputError: for a device that is not there or a number format that is not offered.
    """
    import torch

    if placement.threads:
        torch.set_num_threads(placement.threads)
    wanted = placement.device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {wanted} cannot be used: {str(error).splitlines()[0]}") from error
    name = placement.dtype or ("bfloat16" if device.type == "cuda" else "float32")
    if name not in DTYPES:
        raise InputError(f"--dtype {name} is not offered; allowed: {', '.join(DTYPES)}")
    return Place(device, getattr(torch, name))


def load_weights(auto_class: Any, folder: Path, where: Place) -> PreTrainedModel:
    """Load a checkpoint's weights: safetensors only, and never code that lies beside them.

    Raises:
        InputError: when the folder is no such checkpoint, or lacks some of the weights.
    """
    if not any(folder.glob("*.safetensors")):
        raise InputError(f"{folder} has no .safetensors file: other weight formats can run code and are not read")
    try:
        model, found = auto_class.from_pretrained(
            folder, dtype=where.dtype, use_safetensors=True, trust_remote_code=False, local_files_only=True,
            output_loading_info=True,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(f"{folder} cannot be loaded: {str(error).strip().splitlines()[0]}") from error
    if found["missing_keys"]:
        missing = sorted(found["missing_keys"])
        raise InputError(f"{folder} lacks {len(missing)} weights, the first being {missing[0]}")
    loaded: PreTrainedModel = model.to(where.device).eval()
    return loaded


def facts(model: PreTrainedModel, folder: Path, where: Place) -> dict[str, Any]:
    """What determines a loaded model's answers, for the signature."""
    import torch

    on_gpu = where.device.type == "cuda"
    return {
        "checkpoint": str(folder.relative_to(_ROOT) if folder.is_relative_to(_ROOT) else folder),
        "digest": digest(folder),
        "architecture": type(model).__name__,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "device": torch.cuda.get_device_name(where.device) if on_gpu else where.device.type,
        "dtype": str(where.dtype).removeprefix("torch."),
        "attention": model.config._attn_implementation,
        "remote_code": False,
    }


def digest(folder: Path) -> str:
    """Hash all files of a checkpoint that it is loaded from."""
    patterns = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")
    total = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
        with path.open("rb") as file:
            total.update(path.name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:16]


def token_budget(model: PreTrainedModel, where: Place) -> int:
    """How many token positions a batch may hold: from the free memory of a GPU, or from the cores of a CPU."""
    import torch

    if where.device.type != "cuda":
        return _CPU_BUDGET_PER_CORE * int(torch.get_num_threads())
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    cache = 2 * config.num_hidden_layers * heads * width
    # The cache is held twice while it grows; a layer's activations are some twenty times the hidden size.
    bytes_each = where.dtype.itemsize * (2 * cache + 20 * config.hidden_size)
    free, _ = torch.cuda.mem_get_info(where.device)
    fits = max(1, int(_MEMORY_SHARE * free / bytes_each))
    return min(_LARGEST_BUDGET, 1 << (fits.bit_length() - 1))  # a power of two, so that runs agree


def peak_memory_bytes(where: Place) -> int | None:
    """The most bytes that torch held on a GPU since the start; None on a CPU, where the process is asked."""
    import torch

    return int(torch.cuda.max_memory_allocated(where.device)) if where.device.type == "cuda" else None


# Decoding with shared prefixes


@dataclass(frozen=True)
class Row:
    """One prompt of a batch, after its shared part."""

    owner: int
    """The group whose shared part it continues."""
    rest: Sequence[int]
    """Its own tokens, at least one."""
    max_new_tokens: int
    """Stop after so many."""
    stop: tuple[str, ...] = ()
    """Stop at any of these strings."""


@dataclass(frozen=True)
class Continuation:
    """What was generated for a row."""

    tokens: list[int]
    """New tokens, without the one that ended it."""
    truncated: bool
    """It ended because `max_new_tokens` were there."""


class Decoder:
    """Greedy decoding of rows that share prefixes: each prefix is computed once and its cache handed to its rows."""

    def __init__(self, model: PreTrainedModel, *, ends: Iterable[int], text: Callable[[Sequence[int]], str]) -> None:
        """Wrap a model with a language-model head.

        Args:
            model: takes `past_key_values`, `position_ids` and `logits_to_keep`, as the library's decoders do.
            ends: token ids that end a text.
            text: tokens to text, to look for stop strings.
        """
        self._model = model
        self._ends = frozenset(ends)
        self._text = text

    def generate(
        self, prefixes: Sequence[Sequence[int]], rows: Sequence[Row], inputs: Mapping[str, torch.Tensor]
    ) -> list[Continuation]:
        """Continue every row.

        Args:
            prefixes: each group's shared tokens, at least one.
            rows: the prompts; `owner` points into `prefixes`.
            inputs: what else the model reads with the prefixes (pictures).

        Returns:
            One continuation a row, in order.
        """
        import torch

        with torch.inference_mode():
            cache, mask_GP = self._prefill(prefixes, inputs)
            owners = torch.tensor([row.owner for row in rows], device=mask_GP.device)
            if len(rows) != len(prefixes) or [row.owner for row in rows] != list(range(len(prefixes))):
                cache.batch_select_indices(owners)
            ids_RS, mask_RS = self._padded([row.rest for row in rows])
            mask = torch.cat([mask_GP[owners], mask_RS], dim=1)
            return self._decode(rows, ids_RS, mask, cache)

    def ended(self, tokens: Sequence[int], stop: tuple[str, ...]) -> Continuation:
        """Read what another loop generated: tokens up to an end or a stop string."""
        for count, token in enumerate(tokens):
            if token in self._ends:
                return Continuation(list(tokens[:count]), truncated=False)
        return Continuation(list(tokens), truncated=not any(s in self._text(tokens) for s in stop))

    def _prefill(
        self, prefixes: Sequence[Sequence[int]], inputs: Mapping[str, torch.Tensor]
    ) -> tuple[DynamicCache, torch.Tensor]:
        """Compute the shared parts; returns their key-value cache and their attention mask (G, P)."""
        from transformers import DynamicCache

        ids_GP, mask_GP = self._padded(prefixes)
        cache = DynamicCache(config=self._model.config.get_text_config())
        self._model(
            input_ids=ids_GP, attention_mask=mask_GP, position_ids=_positions(mask_GP, ids_GP.shape[1]),
            past_key_values=cache, use_cache=True, logits_to_keep=1, **inputs,
        )  # fmt: skip
        return cache, mask_GP

    def _decode(
        self, rows: Sequence[Row], ids: torch.Tensor, mask: torch.Tensor, cache: DynamicCache
    ) -> list[Continuation]:
        """Add the likeliest token to every row until it ends; rows that have ended leave the batch."""
        import torch

        new: list[list[int]] = [[] for _ in rows]
        truncated = [False] * len(rows)
        alive = list(range(len(rows)))
        while alive:
            logits_RV = self._model(
                input_ids=ids, attention_mask=mask, position_ids=_positions(mask, ids.shape[1]),
                past_key_values=cache, use_cache=True, logits_to_keep=1,
            ).logits[:, -1]  # fmt: skip
            chosen = logits_RV.argmax(dim=-1)
            keep = []
            for place, (row, token) in enumerate(zip(alive, chosen.tolist(), strict=True)):
                if token in self._ends:
                    continue
                new[row].append(token)
                if self._stops(rows[row], new[row]):
                    continue
                truncated[row] = len(new[row]) >= rows[row].max_new_tokens
                if not truncated[row]:
                    keep.append(place)
            if len(keep) < len(alive):
                places = torch.tensor(keep, dtype=torch.long, device=ids.device)
                cache.batch_select_indices(places)
                mask, chosen = mask[places], chosen[places]
                alive = [alive[place] for place in keep]
            ids = chosen[:, None]
            mask = torch.cat([mask, mask.new_ones(len(alive), 1)], dim=1)
        return [Continuation(tokens, cut) for tokens, cut in zip(new, truncated, strict=True)]

    def _stops(self, row: Row, tokens: Sequence[int]) -> bool:
        """Whether a stop string is in the new text; only its last tokens can have completed one."""
        if not row.stop:
            return False
        tail = self._text(tokens[-(max(map(len, row.stop)) + 1) :])
        return any(stop in tail for stop in row.stop)

    def _padded(self, sequences: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Pad on the left; returns ids and mask, both (len(sequences), longest) int64."""
        import torch

        longest = max(map(len, sequences))
        ids = torch.zeros(len(sequences), longest, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, tokens in enumerate(sequences):
            ids[row, longest - len(tokens) :] = torch.tensor(tokens)
            mask[row, longest - len(tokens) :] = 1
        return ids.to(self._model.device), mask.to(self._model.device)


def _positions(mask: torch.Tensor, last: int) -> torch.Tensor:
    """The positions of the last tokens of rows, not counting padding: (rows, last)."""
    return (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -last:]


# Memory


def split_when_full(
    batch: Batch,
    staged: Sequence[Any],
    act: Callable[[Batch, Sequence[Any]], list[Prediction]],
    fail: Callable[[int, str], Prediction],
) -> list[Prediction]:
    """Run a batch; when the memory does not hold it, run its halves, down to single prompts.

    Args:
        batch: what to run.
        staged: one thing a group of the batch.
        act: runs a batch.
        fail: makes the prediction of a prompt (by its place) that fails alone, from the reason.

    Returns:
        One prediction a member, in the order of `batch.members`.
    """
    try:
        return act(batch, staged)
    except RuntimeError as error:  # torch.OutOfMemoryError is one; a CPU allocator raises nothing more special
        if not _is_memory(error):
            raise
    _release()
    halves = _halves(batch, staged)
    if not halves:
        return [fail(batch.members[0], "out of memory, alone in its batch")]
    return [prediction for half, own in halves for prediction in split_when_full(half, own, act, fail)]


def _is_memory(error: RuntimeError) -> bool:
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _release() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _halves(batch: Batch, staged: Sequence[Any]) -> list[tuple[Batch, Sequence[Any]]]:
    """Divide a batch between its groups, or a group between its members; nothing when it is a single prompt."""
    groups = batch.groups
    if len(groups) > 1:
        middle = len(groups) // 2
        return [(Batch(groups[:middle]), staged[:middle]), (Batch(groups[middle:]), staged[middle:])]
    group: Group = groups[0]
    if len(group.members) == 1:
        return []
    middle = len(group.members) // 2
    parts = (group.members[:middle], group.members[middle:])
    return [(Batch((replace(group, members=members),)), staged) for members in parts]
