"""Pad sequences of different lengths to one rectangle, and count the padding.

Letters in the names of tensors: R rows, S tokens of a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from evals.schema import Prediction

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


@dataclass
class TokenCounts:
    """Number of prompt positions that a model computed, and how many of them were not padding."""

    computed: int = 0
    useful: int = 0

    def add(self, sequences: Sequence[Sequence[int]]) -> None:
        """Count sequences that are padded to the longest of them.

        Example:
            >>> counts = TokenCounts()
            >>> counts.add([[1, 2, 3], [4]])
            >>> counts
            TokenCounts(computed=6, useful=4)
        """
        self.computed += len(sequences) * max(map(len, sequences))
        self.useful += sum(map(len, sequences))

    def assign(self, predictions: Sequence[Prediction]) -> list[Prediction]:
        """Divide the counts equally among the predictions of a batch, and reset them to zero."""
        computed, useful = self.computed / len(predictions), self.useful / len(predictions)
        self.computed = self.useful = 0
        return [replace(prediction, computed_tokens=computed, useful_tokens=useful) for prediction in predictions]


def pad_left(sequences: Sequence[Sequence[int]], device: torch.device) -> torch.Tensor:
    """Pad with zeros on the left, so that all sequences end in the same column; returns (R, S) int64."""
    import torch

    longest = max(map(len, sequences))
    ids_RS = torch.zeros(len(sequences), longest, dtype=torch.long)
    for row, tokens in enumerate(sequences):
        ids_RS[row, longest - len(tokens) :] = torch.tensor(tokens)
    return on_device(ids_RS, device)


def pad_right(sequences: Sequence[Sequence[int]], device: torch.device) -> torch.Tensor:
    """Pad with zeros on the right, so that all sequences begin in the first column; returns (R, S) int64."""
    import torch

    longest = max(map(len, sequences))
    return on_device(torch.tensor([[*tokens, *[0] * (longest - len(tokens))] for tokens in sequences]), device)


@contextmanager
def reading_columns(model: PreTrainedModel, columns: torch.Tensor) -> Iterator[Any]:
    """Let a model's head compute some columns only.

    Args:
        model: a model with a language-model head.
        columns: columns that are read in all rows, (C,), or in each row, (R, C).

    Yields:
        The value for the model's `logits_to_keep`. It selects columns of all rows; for columns of each row, the head's
        input is selected.
    """
    if columns.dim() == 1:
        yield columns
        return

    def select(_: Any, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        (hidden_RSH,) = inputs
        chosen_RC = columns.to(hidden_RSH.device)
        return (hidden_RSH.take_along_dim(chosen_RC[:, :, None], dim=1),)

    hook = model.get_output_embeddings().register_forward_pre_hook(select)
    try:
        yield 0
    finally:
        hook.remove()


def on_device(tensor: torch.Tensor, device: torch.device, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Move a tensor to a device, floating-point numbers in the given format.

    A copy to a GPU is made from pinned memory, so it neither waits for the GPU nor lets it wait; the format is changed
    there.

    Example:
        >>> import torch
        >>> on_device(torch.tensor([1.5]), torch.device("cpu"), torch.bfloat16).dtype
        torch.bfloat16
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device, dtype if tensor.is_floating_point() else None)


def pinned(tensors: Mapping[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
    """Pin the memory of tensors that will be copied to a GPU, ahead of the copy; does nothing for other devices."""
    if device.type != "cuda":
        return dict(tensors)
    return {name: tensor.pin_memory() for name, tensor in tensors.items()}
