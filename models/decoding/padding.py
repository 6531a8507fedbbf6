"""Sequences of unequal lengths as one rectangle, and what of it is padding.

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
class Counted:
    """Token positions of prompts that a model computed, and those of them that were no padding."""

    computed: int = 0
    useful: int = 0

    def add(self, sequences: Sequence[Sequence[int]]) -> None:
        """Count sequences that are padded to the longest of them.

        Example:
            >>> counted = Counted()
            >>> counted.add([[1, 2, 3], [4]])
            >>> counted
            Counted(computed=6, useful=4)
        """
        self.computed += len(sequences) * max(map(len, sequences))
        self.useful += sum(map(len, sequences))

    def settle(self, predictions: Sequence[Prediction]) -> list[Prediction]:
        """Divide what was counted among the predictions that it was for, and count from nothing again."""
        computed, useful = self.computed / len(predictions), self.useful / len(predictions)
        self.computed = self.useful = 0
        return [replace(one, computed_tokens=computed, useful_tokens=useful) for one in predictions]


def in_front(sequences: Sequence[Sequence[int]], device: torch.device) -> torch.Tensor:
    """Pad with zeros in front, so that all end together: (R, S) int64."""
    import torch

    longest = max(map(len, sequences))
    ids_RS = torch.zeros(len(sequences), longest, dtype=torch.long)
    for row, tokens in enumerate(sequences):
        ids_RS[row, longest - len(tokens) :] = torch.tensor(tokens)
    return ids_RS.to(device)
