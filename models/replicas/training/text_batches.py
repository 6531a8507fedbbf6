"""Text examples as tensors for a decoder, and for any model the positions of the results of sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from evals.models.replicas.training.text_examples import SUMS, TextExample
from evals.models.replicas.training.tokenizers import END

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
"""Label of a position at which nothing is predicted."""

LOSSES = ("reading", "answers", "solutions", "results")
"""The kinds of targets, each with a separate loss: the prompt itself, labels of GLUE, worked solutions without the
results of their sums, and those results."""

T = TypeVar("T")


class TextBatch(NamedTuple):
    """Examples of similar length as tensors: B examples, S tokens of the longest.

    Each token is the target of at most one loss.
    """

    tokens: torch.Tensor
    """(B, S) int64; padding follows the end, where the tokens before it cannot attend to it."""
    reading: torch.Tensor
    """(B, S) int64: the next token where it belongs to the prompt, else `IGNORED`."""
    answers: torch.Tensor
    """(B, S) int64: the next token where it belongs to the label of a GLUE task, else `IGNORED`."""
    solutions: torch.Tensor
    """(B, S) int64: the next token where it belongs to a worked solution but not to a sum's result, else `IGNORED`."""
    results: torch.Tensor
    """(B, S) int64: the next token where it is a digit of a sum's result, else `IGNORED`."""


class _TokenizedExample(NamedTuple):
    """An example as tokens."""

    example: TextExample
    prompt: list[int]
    answer: list[int]
    result_positions: list[int]
    """Positions in `answer` of the digits of sums' results."""

    def length(self) -> int:
        """Count the tokens."""
        return len(self.prompt) + len(self.answer)


def text_batches(
    tokenizer: PreTrainedTokenizerBase, examples: Sequence[TextExample], parts: int = 4
) -> list[TextBatch]:
    """Turn examples into at most `parts` batches of similar length, so that there is little padding."""
    prompts = tokenizer([example.prompt for example in examples], add_special_tokens=False)["input_ids"]
    answers = tokenizer([target_text(example) for example in examples], add_special_tokens=False)["input_ids"]
    results = [
        result_positions(tokenizer.convert_ids_to_tokens(ids), example.task)
        for example, ids in zip(examples, answers, strict=True)
    ]
    rows = sorted(
        (_TokenizedExample(*row) for row in zip(examples, prompts, answers, results, strict=True)),
        key=_TokenizedExample.length,
    )
    return [_text_batch(part) for part in split_by_size(rows, _TokenizedExample.length, parts)]


def split_by_size(items: Sequence[T], size: Callable[[T], int], parts: int) -> list[Sequence[T]]:
    """Split items, without reordering them, into at most `parts` parts of about equal total size.

    >>> split_by_size("aabbbbcc", lambda letter: 1, 2)
    ['aabb', 'bbcc']
    """
    total, cuts, cumulative_size = sum(size(item) for item in items), [0], 0
    for number, item in enumerate(items, start=1):
        cumulative_size += size(item)
        if cumulative_size >= total * len(cuts) / parts:
            cuts.append(number)
    return [items[start:end] for start, end in pairwise(cuts)]


def target_text(example: TextExample) -> str:
    """Return what the model learns to write: a worked solution ends with the end token.

    A label does not, because at evaluation labels are not generated: their log-likelihoods are compared.
    """
    return f"{example.answer}{END}" if example.task == "math" else example.answer


def result_positions(answer: Sequence[str], task: str) -> list[int]:
    """Find the digits of the results of sums in an answer, which is given as tokens."""
    positions, is_result = [], task == SUMS
    for position, token in enumerate(answer):
        if token.isdigit():
            positions += [position] if is_result else []
        elif token != "Ġ":
            is_result = token == "Ġ="
    return positions


def _text_batch(rows: Sequence[_TokenizedExample]) -> TextBatch:
    import torch

    size = (len(rows), max(row.length() for row in rows) - 1)
    tokens = torch.zeros(size, dtype=torch.int64)
    reading, answers, solutions, results = (torch.full(size, IGNORED) for _ in LOSSES)
    for number, (example, prompt, answer, places) in enumerate(rows):
        ids = torch.tensor(prompt + answer)
        start, end = len(prompt) - 1, len(ids) - 1
        tokens[number, :end] = ids[:-1]
        reading[number, :start] = ids[1 : start + 1]
        targets = solutions if example.task in {"math", SUMS} else answers
        targets[number, start:end] = ids[start + 1 :]
        positions = [start + place for place in places]
        solutions[number, positions], results[number, positions] = IGNORED, ids[[place + 1 for place in positions]]
    return TextBatch(tokens, reading, answers, solutions, results)


def count_targets(batches: Sequence[TextBatch]) -> dict[str, int]:
    """Count the tokens that are targets of each loss of `LOSSES`."""
    return {kind: sum(int((getattr(batch, kind) != IGNORED).sum()) for batch in batches) for kind in LOSSES}
