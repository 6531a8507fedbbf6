"""Scenes to batches for the `vl` replica: a sequence an image, its questions seeing the image and not one another.

A sequence is the shared prefix (image, instruction) and then each question with its answer. The block mask lets a
question attend to the prefix and to itself, and its positions go on from the prefix as if it stood alone: a dozen
questions cost one image, and training computes exactly what evaluating them one by one does.

Shapes: B images, S tokens of the longest sequence, P patches (`PATCHES` a side, squared), W words of `WORDS`, L tokens
that should look somewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from evals.tasks.mini.images.drawing import draw
from evals.tasks.mini.images.scenes import COLORS, GROUNDS, SHAPES, SIDE, SIZES, TEXTURES, Scene, Thing, silhouette
from evals.tasks.mini.vqa import QuestionSheet, SceneQuestion

if TYPE_CHECKING:
    import numpy as np
    import torch
    from transformers import PreTrainedTokenizerBase

PATCH = 12
"""Width and height of a patch, in pixels."""

PATCHES = SIDE // PATCH

INSTRUCTION = "Answer the question using a single word or phrase.\n"

USER, ASSISTANT = "<|User|>", "<|Assistant|>"
"""Who speaks next: one token each, so that a question is no longer than its words."""

PLACES = ("left", "right", "top", "bottom")
WORDS = tuple(dict.fromkeys((*COLORS, *GROUNDS, *SHAPES, *SIZES, *TEXTURES, *PLACES, "background")))
"""What can be said of a patch, in the words of the questions."""

IGNORED = -100
"""The label of a token that is given, not predicted."""


class Looks(NamedTuple):
    """Where tokens should look."""

    tokens: torch.Tensor
    """(L, 2) int64: image and position of each."""
    patches: torch.Tensor
    """(L, P) float32: how what it should look at is spread over the patches; each row sums to one."""


class Batch(NamedTuple):
    """Tensors of one training step."""

    pixels: torch.Tensor
    """(B, 3, SIDE, SIDE) float32 in -1 to 1."""
    tokens: torch.Tensor
    """(B, S) int64."""
    positions: torch.Tensor
    """(B, S) int64."""
    visible: torch.Tensor
    """(B, 1, S, S) bool: which token (row) attends to which (column)."""
    labels: torch.Tensor
    """(B, S) int64: at each position the token that comes next, where the model is to say it; else `IGNORED`."""
    words: torch.Tensor
    """(B, P, W) float32, 1 where a word is true of a patch."""
    named: Looks
    """From the last word of a name ("large red heart", "circles") to all that it fits."""
    asked: Looks
    """From the end of a question to the one thing that it is about."""


class _Row:
    """The sequence of one image as it grows."""

    def __init__(self, prefix: Sequence[int]) -> None:
        self.tokens, self.positions = list(prefix), list(range(len(prefix)))
        self.blocks, self.labels = [0] * len(prefix), [IGNORED] * len(prefix)
        self.named: list[tuple[int, np.ndarray]] = []
        self.asked: list[tuple[int, np.ndarray]] = []


class Packer:
    """Turns sheets into batches with one tokenizer.

    Args:
        tokenizer: Of the replica.
        prefix: What every prompt begins with, its image token already repeated.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, prefix: str) -> None:
        self.tokenizer = tokenizer
        self.prefix = self._ids(prefix)

    def pack(self, sheets: Sequence[QuestionSheet]) -> Batch:
        """Make the batch of some images and all their questions."""
        import torch

        shares = [patch_shares(sheet.scene) for sheet in sheets]
        rows = [self._row(sheet, share) for sheet, share in zip(sheets, shares, strict=True)]
        blocks = padded([row.blocks for row in rows], 0)
        before = torch.ones(blocks.shape[1], blocks.shape[1], dtype=torch.bool).tril()
        prefix_or_own = (blocks[:, None, :] == 0) | (blocks[:, None, :] == blocks[:, :, None])
        return Batch(
            pixels([sheet.scene for sheet in sheets]),
            padded([row.tokens for row in rows], 0),
            padded([row.positions for row in rows], 0),
            (prefix_or_own & before)[:, None],
            padded([row.labels for row in rows], IGNORED),
            torch.stack([patch_words(sheet.scene, share) for sheet, share in zip(sheets, shares, strict=True)]),
            looks_of([row.named for row in rows]),
            looks_of([row.asked for row in rows]),
        )

    def _row(self, sheet: QuestionSheet, shares: np.ndarray) -> _Row:
        """Lay out one image: the prefix is block 0, each question with its answer a block of its own."""
        row = _Row(self.prefix)
        for block, question in enumerate(sheet.questions, start=1):
            start = len(row.tokens)
            asked = self._ids(f"{question.text}{ASSISTANT}")
            said = [*self._ids(f" {question.answer}"), self.tokenizer.eos_token_id]
            row.tokens += asked + said[:-1]
            length = len(row.tokens) - start
            row.positions += range(len(self.prefix), len(self.prefix) + length)
            row.blocks += [block] * length
            row.labels += [IGNORED] * (len(asked) - 1) + said
            found = named(self.tokenizer, question, sheet.scene, shares)
            row.named += [(start + token, spread) for token, spread in found]
            boxes = [thing.box for thing in sheet.scene.things]
            if question.region in boxes:
                row.asked.append((start + len(asked) - 1, shares[boxes.index(question.region)]))
        return row

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def named(
    tokenizer: PreTrainedTokenizerBase, question: SceneQuestion, scene: Scene, shares: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    """Find the last token of each name in a question, and the patches of all things that it fits.

    Args:
        tokenizer: Cuts the question; its special tokens are not counted.
        question: What is asked.
        scene: Of what.
        shares: Its `patch_shares`.

    Yields:
        The token's place, and how much of each patch it is about, (P,) float32.
    """
    encoded = tokenizer(question.text, add_special_tokens=False)
    end = 0
    for name in question.names:
        said = re.compile(f"{name.plural}|{name}").search(question.text, end)
        assert said is not None, (question.text, name)
        end = said.end()
        fitting = [share / share.sum() for share, thing in zip(shares, scene.things, strict=True) if name.fits(thing)]
        if fitting:
            yield encoded.char_to_token(end - 1), sum(fitting)


def padded(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    """Make rows of tokens as long as the longest."""
    import torch

    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value)


def looks_of(rows: Sequence[Sequence[tuple[int, np.ndarray]]]) -> Looks:
    """Say where tokens should look; a row an image, of each token its place and how its attention is spread."""
    import numpy as np
    import torch

    tokens = [(image, token) for image, row in enumerate(rows) for token, _ in row]
    patches = np.array([spread / spread.sum() for row in rows for _, spread in row], np.float32)
    return Looks(
        torch.tensor(tokens, dtype=torch.int64).reshape(-1, 2), torch.from_numpy(patches.reshape(-1, PATCHES**2))
    )


def pixels(scenes: Sequence[Scene]) -> torch.Tensor:
    """Draw scenes as the image processor would hand them on, (B, 3, SIDE, SIDE) float32 in -1 to 1."""
    import numpy as np
    import torch

    images = np.stack([np.asarray(draw(scene)) for scene in scenes])
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def patch_shares(scene: Scene) -> np.ndarray:
    """Give what share of each patch each thing takes, hidden or not: (things, P) float32 in 0 to 1."""
    import numpy as np

    return np.stack(
        [np.asarray(silhouette(thing).reduce(PATCH), np.float32).reshape(-1) / 255 for thing in scene.things]
    )


def patch_words(scene: Scene, shares: np.ndarray) -> torch.Tensor:
    """Say what each patch shows, (P, W) float32.

    Args:
        scene: What is drawn.
        shares: Its `patch_shares`.

    Returns:
        1 for the words true of the thing that takes most of a patch; for `background` and its colour where none takes a
        twelfth.
    """
    import numpy as np
    import torch

    words = np.zeros((len(scene.things) + 1, len(WORDS)), np.float32)
    words[-1, [WORDS.index("background"), WORDS.index(scene.ground)]] = 1
    for row, thing in zip(words, scene.things, strict=False):
        row[[WORDS.index(word) for word in (thing.color, thing.shape, thing.size, thing.texture, *_places(thing))]] = 1
    ground = np.full((1, PATCHES**2), 0.08, np.float32)
    return torch.from_numpy(words[np.concatenate([shares, ground]).argmax(0)])


def _places(thing: Thing) -> list[str]:
    middle = SIDE // 2
    there = (thing.x < middle - 6, thing.x > middle + 6, thing.y < middle - 6, thing.y > middle + 6)
    return [place for place, is_there in zip(PLACES, there, strict=True) if is_there]
