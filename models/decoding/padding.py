"""Pad sequences of different lengths to one rectangle, and count the padding.

Letters in the names of tensors: R rows, S tokens of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evals.schema import Prediction

if TYPE_CHECKING:
    import torch


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
    return ids_RS.to(device)
