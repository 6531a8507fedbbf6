"""What `v3` is trained on, and how a step's images, questions and rows of GLUE become tensors.

In a batch of questions, a row is an image: its questions are adjacent, each with its own start, end and positions, and
do not attend to one another. So the keys and values of an image are computed once for a dozen questions. Rows of GLUE
and captions are one text each.

Shapes: B images, S tokens of the longest row, N questions, L tokens of the longest question, T of the longest answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from evals.models.replicas.recipes.v3.config import Recipe
from evals.models.replicas.training.image_examples import caption_groups, question_sheets
from evals.models.replicas.training.patches import patch_shares
from evals.models.replicas.training.question_packing import AttentionTargets, attention_targets, name_targets, padded
from evals.models.replicas.training.text_batches import IGNORED
from evals.models.replicas.training.text_examples import GLUE_TASKS, TextExample, text_example
from evals.tasks.mini.images.captions import captions
from evals.tasks.mini.images.scenes import Scene
from evals.tasks.mini.retrieval import GROUP
from evals.tasks.mini.vqa import HELD_OUT, PAIRS, QuestionSheet

if TYPE_CHECKING:
    import numpy as np
    import torch
    from transformers import PreTrainedTokenizerBase

FIRST_QUESTIONED, FIRST_CAPTIONED = 40_000_000, 45_000_000
"""First image id of the scenes with questions, and of those with captions alone; no bundled split uses these ids."""

SceneAndCaptions = tuple[Scene, tuple[str, ...]]
"""A scene with its captions."""


class AnswerBatch(NamedTuple):
    """Answers, as a decoder learns them."""

    tokens: torch.Tensor
    """(N, T) int64: the start token, then the answer."""
    labels: torch.Tensor
    """(N, T) int64: the next token, else `IGNORED`."""


class ImageQuestionBatch(NamedTuple):
    """Questions about images."""

    tokens: torch.Tensor
    """(B, S) int64."""
    positions: torch.Tensor
    """(B, S) int64."""
    mask: torch.Tensor
    """(B, 1, S, S) float32: 0 where a token (row) attends to another (column), else the lowest float."""
    token_indices: torch.Tensor
    """(N, L) int64: the index of each question's tokens among all B * S, 0 where there is padding."""
    is_token: torch.Tensor
    """(N, L) int64: 1 for a token, 0 for padding."""
    answers: AnswerBatch
    names: AttentionTargets
    """From the last word of a name to all things that it fits."""
    questions: AttentionTargets
    """From the start of a question to the single thing that it is about."""


class RowBatch(NamedTuple):
    """Rows of GLUE of similar length."""

    tokens: torch.Tensor
    """(N, L) int64."""
    mask: torch.Tensor
    """(N, L) int64: 1 for a token, 0 for padding."""
    answers: AnswerBatch


# What a step reads


def step_scenes(recipe: Recipe, step: int) -> tuple[list[QuestionSheet], list[SceneAndCaptions]]:
    """Make the images with questions of a step of stage 2, and those with captions alone."""
    first = FIRST_QUESTIONED + step * recipe.images
    sheets = question_sheets(first, recipe.images, recipe.questions, easy=step < recipe.texts.easy)
    size = recipe.groups * GROUP
    first = FIRST_CAPTIONED + step * size
    captioned = caption_groups(range(first, first + size, GROUP), allowed=PAIRS - HELD_OUT)
    return sheets, [(row.scene, row.captions) for row in captioned]


def two_captions(sheets: Sequence[QuestionSheet], captioned: Sequence[SceneAndCaptions], step: int) -> list[str]:
    """Choose two captions of each scene: the one that describes everything, and one of the four others."""
    questioned = [captions(sheet.scene, Random(f"captions {sheet.image_id}")) for sheet in sheets]
    rng = Random(f"told {step}")
    chosen: list[str] = []
    for texts in [*questioned, *(texts for _, texts in captioned)]:
        chosen += [texts[0], rng.choice(texts[1:])]
    return chosen


def step_rows(recipe: Recipe, step: int) -> list[TextExample]:
    """Make the rows of GLUE of a step of stage 2; in easy steps, the shorter half of twice as many."""
    portions = recipe.texts
    rows: list[TextExample] = []
    for task in GLUE_TASKS:
        drawn = 2 * portions.rows if step < portions.easy else portions.rows
        first = (step + min(step, portions.easy)) * portions.rows
        candidates = [text_example(task, "train", index) for index in range(first, first + drawn)]
        rows += sorted(candidates, key=lambda example: len(example.prompt))[: portions.rows]
    return rows


# Tensors


def answer_batch(tokenizer: PreTrainedTokenizerBase, answers: Sequence[str]) -> AnswerBatch:
    """Turn answers, each with the space before it, into tensors."""
    rows = tokenizer(list(answers), add_special_tokens=False)["input_ids"]
    return AnswerBatch(
        padded([[tokenizer.bos_token_id, *ids] for ids in rows], tokenizer.pad_token_id),
        padded([[*ids, tokenizer.eos_token_id] for ids in rows], IGNORED),
    )


def question_batch(tokenizer: PreTrainedTokenizerBase, sheets: Sequence[QuestionSheet]) -> ImageQuestionBatch:
    """Turn images' questions into tensors, one row for each image."""
    import torch

    rows = [_question_row(tokenizer, sheet) for sheet in sheets]
    blocks = padded([row.blocks for row in rows], 0)
    # Padding attends to padding, so that no row of the softmax is empty.
    visible = blocks[:, None, :, None] == blocks[:, None, None, :]
    width = blocks.shape[1]
    spans = [range(i * width + start, i * width + end) for i, row in enumerate(rows) for start, end in row.spans]
    return ImageQuestionBatch(
        tokens=padded([row.tokens for row in rows], tokenizer.pad_token_id),
        positions=padded([row.positions for row in rows], 0),
        mask=torch.zeros(visible.shape).masked_fill_(~visible, torch.finfo(torch.float32).min),
        token_indices=padded([list(span) for span in spans], 0),
        is_token=padded([[1] * len(span) for span in spans], 0),
        answers=answer_batch(tokenizer, [f" {question.answer}" for sheet in sheets for question in sheet.questions]),
        names=attention_targets([row.names for row in rows]),
        questions=attention_targets([row.questions for row in rows]),
    )


class _QuestionRow(NamedTuple):
    """The questions about one image."""

    tokens: list[int]
    positions: list[int]
    blocks: list[int]
    """The question that each token belongs to, from 1."""
    spans: list[tuple[int, int]]
    """Start and end of each question."""
    names: list[tuple[int, np.ndarray]]
    questions: list[tuple[int, np.ndarray]]


def _question_row(tokenizer: PreTrainedTokenizerBase, sheet: QuestionSheet) -> _QuestionRow:
    row, shares = _QuestionRow([], [], [], [], [], []), patch_shares(sheet.scene)
    boxes = [thing.box for thing in sheet.scene.things]
    texts = tokenizer([question.text for question in sheet.questions])["input_ids"]
    for block, (question, ids) in enumerate(zip(sheet.questions, texts, strict=True), start=1):
        start = len(row.tokens)
        row.tokens.extend(ids)
        row.positions.extend(range(len(ids)))
        row.blocks.extend([block] * len(ids))
        row.spans.append((start, start + len(ids)))
        targets = name_targets(tokenizer, question, sheet.scene, shares)
        row.names.extend((start + 1 + token, weights) for token, weights in targets)
        if question.region in boxes:
            row.questions.append((start, shares[boxes.index(question.region)]))
    return row


def row_batches(tokenizer: PreTrainedTokenizerBase, rows: Sequence[TextExample], parts: int = 4) -> list[RowBatch]:
    """Turn rows of GLUE into at most `parts` batches of similar length, so that there is little padding."""
    texts = tokenizer([row.prompt for row in rows])["input_ids"]
    ordered = sorted(zip(texts, rows, strict=True), key=lambda pair: len(pair[0]))
    bounds = [round(len(ordered) * part / parts) for part in range(parts + 1)]
    return [
        RowBatch(
            *tokens_and_mask(tokenizer, [ids for ids, _ in ordered[start:end]]),
            answer_batch(tokenizer, [row.answer for _, row in ordered[start:end]]),
        )
        for start, end in pairwise(bounds)
        if start < end
    ]


def tokens_and_mask(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[Sequence[int]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad tokenized texts to the longest, and mark what is not padding: tokens and mask, both (N, L) int64."""
    return padded(texts, tokenizer.pad_token_id), padded([[1] * len(ids) for ids in texts], 0)
