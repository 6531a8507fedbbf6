"""Scenes and rows to batches for the `v3` replica.

A row is an image: its questions stand side by side, each with its own beginning and end and its own positions, and do
not see one another. So the keys and values of a picture are computed once for a dozen questions. Rows of GLUE and
captions are one text each.

Shapes: B images, S tokens of the longest row, N questions, L tokens of the longest question, T of the longest answer,
P patches (`PATCHES` a side, squared), W words of `WORDS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from evals.models.replicas.recipes.vl.data import IGNORED, Looks, looks_of, named, padded, patch_shares
from evals.models.replicas.training.lessons import Lesson
from evals.tasks.mini.vqa import QuestionSheet

if TYPE_CHECKING:
    import numpy as np
    import torch
    from transformers import PreTrainedTokenizerBase


class Said(NamedTuple):
    """Answers, as a decoder learns them."""

    tokens: torch.Tensor
    """(N, T) int64: what begins an answer, and then the answer."""
    labels: torch.Tensor
    """(N, T) int64: the token that comes next, else `IGNORED`."""


class Asked(NamedTuple):
    """Questions about images."""

    tokens: torch.Tensor
    """(B, S) int64."""
    positions: torch.Tensor
    """(B, S) int64."""
    mask: torch.Tensor
    """(B, 1, S, S) float32: 0 where a token (row) attends to another (column), else as low as can be."""
    places: torch.Tensor
    """(N, L) int64: where each question's tokens stand among all B * S, 0 where there is padding."""
    there: torch.Tensor
    """(N, L) int64: 1 for a token, 0 for padding."""
    said: Said
    named: Looks
    """From the last word of a name to all that it fits."""
    asked: Looks
    """From the beginning of a question to the one thing that it is about."""


class Page(NamedTuple):
    """Rows of GLUE of about one length."""

    tokens: torch.Tensor
    """(N, L) int64."""
    mask: torch.Tensor
    """(N, L) int64: 1 for a token, 0 for padding."""
    said: Said


def said(tokenizer: PreTrainedTokenizerBase, answers: Sequence[str]) -> Said:
    """Lay out answers, each with the space before it."""
    cut = tokenizer(list(answers), add_special_tokens=False)["input_ids"]
    return Said(
        padded([[tokenizer.bos_token_id, *ids] for ids in cut], tokenizer.pad_token_id),
        padded([[*ids, tokenizer.eos_token_id] for ids in cut], IGNORED),
    )


def ask(tokenizer: PreTrainedTokenizerBase, sheets: Sequence[QuestionSheet]) -> Asked:
    """Lay out images' questions, a row an image."""
    import torch

    rows = [_row(tokenizer, sheet) for sheet in sheets]
    blocks = padded([row.blocks for row in rows], 0)
    # A row that is padded attends to padding from padding, so that no softmax is empty.
    seen = blocks[:, None, :, None] == blocks[:, None, None, :]
    width = blocks.shape[1]
    spans = [range(i * width + start, i * width + end) for i, row in enumerate(rows) for start, end in row.spans]
    return Asked(
        padded([row.tokens for row in rows], tokenizer.pad_token_id),
        padded([row.positions for row in rows], 0),
        torch.zeros(seen.shape).masked_fill_(~seen, torch.finfo(torch.float32).min),
        padded([list(span) for span in spans], 0),
        padded([[1] * len(span) for span in spans], 0),
        said(tokenizer, [f" {question.answer}" for sheet in sheets for question in sheet.questions]),
        looks_of([row.named for row in rows]),
        looks_of([row.asked for row in rows]),
    )


class _Row(NamedTuple):
    """The questions about one image."""

    tokens: list[int]
    positions: list[int]
    blocks: list[int]
    """Which question a token is of, from 1."""
    spans: list[tuple[int, int]]
    """Where each question begins and ends."""
    named: list[tuple[int, np.ndarray]]
    asked: list[tuple[int, np.ndarray]]


def _row(tokenizer: PreTrainedTokenizerBase, sheet: QuestionSheet) -> _Row:
    row, shares = _Row([], [], [], [], [], []), patch_shares(sheet.scene)
    boxes = [thing.box for thing in sheet.scene.things]
    cut = tokenizer([question.text for question in sheet.questions])["input_ids"]
    for block, (question, ids) in enumerate(zip(sheet.questions, cut, strict=True), start=1):
        start = len(row.tokens)
        row.tokens.extend(ids)
        row.positions.extend(range(len(ids)))
        row.blocks.extend([block] * len(ids))
        row.spans.append((start, start + len(ids)))
        found = named(tokenizer, question, sheet.scene, shares)
        row.named.extend((start + 1 + token, spread) for token, spread in found)
        if question.region in boxes:
            row.asked.append((start, shares[boxes.index(question.region)]))
    return row


def pages(tokenizer: PreTrainedTokenizerBase, lessons: Sequence[Lesson], sheets: int = 4) -> list[Page]:
    """Lay out rows of GLUE, the short ones and the long ones apart, so that little is padding."""
    cut = tokenizer([one.asked for one in lessons])["input_ids"]
    laid = sorted(zip(cut, lessons, strict=True), key=lambda one: len(one[0]))
    ends = [round(len(laid) * sheet / sheets) for sheet in range(sheets + 1)]
    found = []
    for start, end in pairwise(ends):
        if start < end:
            texts = [ids for ids, _ in laid[start:end]]
            found.append(Page(*rows_of(tokenizer, texts), said(tokenizer, [one.answer for _, one in laid[start:end]])))
    return found


def rows_of(tokenizer: PreTrainedTokenizerBase, texts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Make texts as long as the longest, and say where there is none: tokens and mask, both (N, L) int64."""
    return padded(texts, tokenizer.pad_token_id), padded([[1] * len(ids) for ids in texts], 0)
