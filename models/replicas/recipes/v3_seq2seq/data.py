"""What `v3-seq2seq` is trained on: examples of mini GLUE and mini math, and rows whose missing words it writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from evals.models.replicas.recipes.v3_seq2seq.config import SENTINELS, Recipe
from evals.models.replicas.training.text_batches import (
    IGNORED,
    LOSSES,
    result_positions,
    split_by_size,
    target_text,
)
from evals.models.replicas.training.text_examples import (
    GLUE_TASKS,
    SUMS,
    TextExample,
    step_examples,
    text_example,
)

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

FIRST_CORRUPTED_ROW = 500_000_000
"""Number of the first row that is read with words missing."""


class SourceAndTarget(NamedTuple):
    """Tokens that the encoder reads, and tokens that the decoder writes."""

    kind: str
    """`reading`, `answers` or `solutions`, of `LOSSES`."""
    source: list[int]
    target: list[int]
    results: Sequence[int] = ()
    """Positions in `target` of the digits of sums' results, which have a separate loss."""


class Seq2SeqBatch(NamedTuple):
    """Pairs of similar length as tensors: B pairs, S tokens of the longest source, T of the longest target."""

    tokens: torch.Tensor
    """(B, S) int64."""
    mask: torch.Tensor
    """(B, S) int64, 0 where there is padding."""
    labels: torch.Tensor
    """(B, T) int64: the target, else `IGNORED`."""
    kinds: list[str]
    """The kind of each pair."""
    results: torch.Tensor
    """(B, T) bool: the digits of sums' results."""

    def targets_by_loss(self) -> dict[str, torch.Tensor]:
        """Mark the labels that each loss of `LOSSES` is about, (B, T) bool each."""
        import torch

        is_label = self.labels != IGNORED
        targets = {kind: torch.tensor([row == kind for row in self.kinds])[:, None] & is_label for kind in LOSSES[:-1]}
        return targets | {"solutions": targets["solutions"] & ~self.results, "results": self.results}


def step_pairs(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, step: int, rank: int) -> list[SourceAndTarget]:
    """Make the pairs that one process learns from in one step; the result depends only on the arguments."""
    examples = step_examples(recipe.texts, recipe.processes, step, rank)
    texts = corrupted_texts(recipe, step, rank)
    return [*answered(tokenizer, examples), *(_corrupt(recipe, tokenizer, text) for text in texts)]


def answered(tokenizer: PreTrainedTokenizerBase, examples: Sequence[TextExample]) -> list[SourceAndTarget]:
    """Tokenize examples: the source is the prompt, the target the answer."""
    sources = tokenizer([example.prompt for example in examples], add_special_tokens=False)["input_ids"]
    targets = tokenizer([target_text(example) for example in examples], add_special_tokens=False)["input_ids"]
    kinds = ["solutions" if example.task in {"math", SUMS} else "answers" for example in examples]
    results = [
        result_positions(tokenizer.convert_ids_to_tokens(ids), example.task) if kind == "solutions" else []
        for example, kind, ids in zip(examples, kinds, targets, strict=True)
    ]
    return [SourceAndTarget(*pair) for pair in zip(kinds, sources, targets, results, strict=True)]


def corrupted_texts(recipe: Recipe, step: int, rank: int) -> Iterator[str]:
    """Make the rows of one step that are read with words missing, without the task's question."""
    share = recipe.corrupted // recipe.processes
    first = FIRST_CORRUPTED_ROW + (step * recipe.processes + rank) * share
    for task in GLUE_TASKS:
        for index in range(first, first + share):
            yield text_example(task, "train", index).prompt.rsplit("\n", 2)[0]


def _corrupt(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, text: str) -> SourceAndTarget:
    """Replace words of a text by sentinels; the target is each sentinel followed by the words that it replaces.

    The choice of words is seeded by the text.
    """
    rng = Random(f"holes {recipe.seed} {text}")
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    count = min(len(SENTINELS), max(1, round(recipe.missing * len(ids))))
    missing = set(rng.sample(range(len(ids)), count))
    sentinels = iter(tokenizer.convert_tokens_to_ids(list(SENTINELS)))
    source: list[int] = []
    target: list[int] = []
    for position, token in enumerate(ids):
        if position not in missing:
            source.append(token)
            continue
        if position - 1 not in missing or not target:
            source.append(sentinel := next(sentinels))
            target.append(sentinel)
        target.append(token)
    return SourceAndTarget("reading", source, [*target, tokenizer.eos_token_id])


def seq2seq_batches(pairs: Sequence[SourceAndTarget], parts: int = 4) -> list[Seq2SeqBatch]:
    """Turn pairs into at most `parts` batches of similar length, so that there is little padding."""
    rows = sorted(pairs, key=lambda pair: (len(pair.target) > 4, len(pair.source)))
    return [_seq2seq_batch(part) for part in split_by_size(rows, lambda pair: len(pair.source), parts)]


def _seq2seq_batch(pairs: Sequence[SourceAndTarget]) -> Seq2SeqBatch:
    import torch

    size = (len(pairs), max(len(pair.source) for pair in pairs))
    tokens, mask = torch.zeros(size, dtype=torch.int64), torch.zeros(size, dtype=torch.int64)
    labels = torch.full((len(pairs), max(len(pair.target) for pair in pairs)), IGNORED)
    results = torch.zeros(labels.shape, dtype=torch.bool)
    for row, pair in enumerate(pairs):
        tokens[row, : len(pair.source)], mask[row, : len(pair.source)] = torch.tensor(pair.source), 1
        labels[row, : len(pair.target)] = torch.tensor(pair.target)
        results[row, list(pair.results)] = True
    return Seq2SeqBatch(tokens, mask, labels, [pair.kind for pair in pairs], results)
