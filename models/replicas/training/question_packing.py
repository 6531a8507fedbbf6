"""Pack each image and its questions into one sequence, for a decoder that reads image tokens.

A sequence is the shared prefix (image, instruction), followed by each question with its answer. The attention mask lets
a question attend to the prefix and to itself, and its positions continue from the prefix as if it stood alone. So a
dozen questions cost one image, and training computes exactly what evaluating the questions one by one does.

Shapes: B images, S tokens of the longest sequence, P patches (`PATCHES` per side, squared), W words of `WORDS`, L
tokens whose attention is supervised.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from evals.models.replicas.training.patches import PATCHES, patch_shares, patch_words, pixels
from evals.models.replicas.training.text_batches import IGNORED
from evals.models.replicas.training.tokenizers import ASSISTANT, IMAGE, USER
from evals.tasks.mini.images.scenes import Scene
from evals.tasks.mini.vqa import QuestionSheet, SceneQuestion

if TYPE_CHECKING:
    import numpy as np
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

INSTRUCTION = "Answer the question using a single word or phrase.\n"

PREFIX = f"{USER}{IMAGE * PATCHES**2}{INSTRUCTION}"
"""The beginning of every prompt about an image, as the processor expands it."""


class AttentionTargets(NamedTuple):
    """The patches to which some tokens should attend."""

    tokens: torch.Tensor
    """(L, 2) int64: image and position of each token."""
    patches: torch.Tensor
    """(L, P) float32: how a token's attention should be distributed over the patches; each row sums to one."""


class QuestionBatch(NamedTuple):
    """Tensors of some images and all their questions."""

    pixels: torch.Tensor
    """(B, 3, SIDE, SIDE) float32 in -1 to 1."""
    tokens: torch.Tensor
    """(B, S) int64."""
    positions: torch.Tensor
    """(B, S) int64."""
    visible: torch.Tensor
    """(B, 1, S, S) bool: which token (row) attends to which (column)."""
    labels: torch.Tensor
    """(B, S) int64: the next token where the model is to predict it, else `IGNORED`."""
    words: torch.Tensor
    """(B, P, W) float32, 1 where a word is true of a patch."""
    names: AttentionTargets
    """From the last word of a name ("large red heart", "circles") to all things that it fits."""
    questions: AttentionTargets
    """From the end of a question to the single thing that it is about."""


class _PackedRow:
    """The sequence of one image while it is being built."""

    def __init__(self, prefix: Sequence[int]) -> None:
        self.tokens, self.positions = list(prefix), list(range(len(prefix)))
        self.blocks, self.labels = [0] * len(prefix), [IGNORED] * len(prefix)
        self.names: list[tuple[int, np.ndarray]] = []
        self.questions: list[tuple[int, np.ndarray]] = []


class Packer:
    """Turns images with questions into batches, with one tokenizer.

    Args:
        tokenizer: The replica's tokenizer.
        prefix: The beginning of every prompt, in which the image token is already repeated.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, prefix: str = PREFIX) -> None:
        self.tokenizer = tokenizer
        self.prefix = self._ids(prefix)

    def pack(self, sheets: Sequence[QuestionSheet]) -> QuestionBatch:
        """Make the batch of some images and all their questions."""
        import torch

        shares = [patch_shares(sheet.scene) for sheet in sheets]
        rows = [self._row(sheet, share) for sheet, share in zip(sheets, shares, strict=True)]
        blocks = padded([row.blocks for row in rows], 0)
        before = torch.ones(blocks.shape[1], blocks.shape[1], dtype=torch.bool).tril()
        prefix_or_same = (blocks[:, None, :] == 0) | (blocks[:, None, :] == blocks[:, :, None])
        return QuestionBatch(
            pixels=pixels([sheet.scene for sheet in sheets]),
            tokens=padded([row.tokens for row in rows], 0),
            positions=padded([row.positions for row in rows], 0),
            visible=(prefix_or_same & before)[:, None],
            labels=padded([row.labels for row in rows], IGNORED),
            words=torch.stack([patch_words(sheet.scene, share) for sheet, share in zip(sheets, shares, strict=True)]),
            names=attention_targets([row.names for row in rows]),
            questions=attention_targets([row.questions for row in rows]),
        )

    def _row(self, sheet: QuestionSheet, shares: np.ndarray) -> _PackedRow:
        """Build the sequence of one image: the prefix is block 0, and each question with its answer is one block."""
        row = _PackedRow(self.prefix)
        for block, question in enumerate(sheet.questions, start=1):
            start = len(row.tokens)
            prompt = self._ids(f"{question.text}{ASSISTANT}")
            answer = [*self._ids(f" {question.answer}"), self.tokenizer.eos_token_id]
            row.tokens += prompt + answer[:-1]
            length = len(row.tokens) - start
            row.positions += range(len(self.prefix), len(self.prefix) + length)
            row.blocks += [block] * length
            row.labels += [IGNORED] * (len(prompt) - 1) + answer
            targets = name_targets(self.tokenizer, question, sheet.scene, shares)
            row.names += [(start + token, weights) for token, weights in targets]
            boxes = [thing.box for thing in sheet.scene.things]
            if question.region in boxes:
                row.questions.append((start + len(prompt) - 1, shares[boxes.index(question.region)]))
        return row

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def decoder_inputs(model: PreTrainedModel, batch: QuestionBatch, patches: torch.Tensor) -> dict[str, Any]:
    """Prepare the arguments with which a vision-language model's decoder reads a batch.

    Args:
        model: Its embeddings of words are used.
        batch: The images and questions.
        patches: The model's image features of the batch, which replace the image tokens.
    """
    import torch

    embedded = model.get_input_embeddings()(batch.tokens)
    embedded = embedded.masked_scatter((batch.tokens == model.config.image_token_id)[..., None], patches)
    mask = torch.zeros(batch.visible.shape).masked_fill_(~batch.visible, torch.finfo(torch.float32).min)
    return {"inputs_embeds": embedded, "attention_mask": mask, "position_ids": batch.positions, "use_cache": False}


def name_targets(
    tokenizer: PreTrainedTokenizerBase, question: SceneQuestion, scene: Scene, shares: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    """Find the last token of each name in a question, and the patches of all things that the name fits.

    Args:
        tokenizer: Tokenizes the question, without special tokens.
        question: The question.
        scene: The scene that it is about.
        shares: The scene's `patch_shares`.

    Yields:
        The token's position, and weights of the patches, (P,) float32; names that fit nothing are left out.
    """
    encoded = tokenizer(question.text, add_special_tokens=False)
    end = 0
    for name in question.names:
        match = re.compile(f"{name.plural}|{name}").search(question.text, end)
        assert match is not None, (question.text, name)
        end = match.end()
        fitting = [share / share.sum() for share, thing in zip(shares, scene.things, strict=True) if name.fits(thing)]
        if fitting:
            yield encoded.char_to_token(end - 1), sum(fitting)


def padded(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    """Pad rows of tokens on the right to the length of the longest."""
    import torch

    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value)


def attention_targets(rows: Sequence[Sequence[tuple[int, np.ndarray]]]) -> AttentionTargets:
    """Collect the attention targets of some images: of each image the tokens' positions and weights of the patches."""
    import numpy as np
    import torch

    tokens = [(image, token) for image, row in enumerate(rows) for token, _ in row]
    patches = np.array([weights / weights.sum() for row in rows for _, weights in row], np.float32)
    return AttentionTargets(
        torch.tensor(tokens, dtype=torch.int64).reshape(-1, 2), torch.from_numpy(patches.reshape(-1, PATCHES**2))
    )
