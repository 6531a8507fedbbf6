"""What `r1-moe` is trained on besides scenes and captions: audio clips, images with questions, and rows of GLUE.

Shapes: B clips, M mel bands, F frames, T steps of a clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evals.models.replicas.recipes.r1_moe.config import DIGITS, STEPS, Recipe
from evals.models.replicas.training.image_examples import question_sheets, training_image
from evals.models.replicas.training.patches import BACKGROUND
from evals.models.replicas.training.text_batches import TextBatch, text_batches
from evals.models.replicas.training.text_examples import step_examples
from evals.tasks.mini import tones
from evals.tasks.mini.images.scenes import COLORS, SIZES, TEXTURES
from evals.tasks.mini.vqa import QuestionSheet

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

FIRST_NAMED_CLIP, FIRST_QUESTIONED_CLIP, FIRST_EVALUATION_CLIP = 2_000_000, 3_000_000, 900_000_000
"""First clip id of the stage in which steps are named, of the stage in which questions are asked, and for evaluation
during training."""

STEP_SAMPLES = 640
"""Audio samples from the start of one step to the start of the next."""


def audio_clips(first: int, number: int) -> tuple[torch.Tensor, list[tones.Clip]]:
    """Make clips, and the mel spectrograms that the model reads, (B, M, F)."""
    import numpy as np

    from evals.models.architectures.mixture import MelExtractor

    clips = [tones.clip(clip_id) for clip_id in range(first, first + number)]
    waves = [((clip.samples.astype(np.float32) - 128) / 128).astype(np.float32) for clip in clips]
    return MelExtractor(sampling_rate=tones.RATE)(waves)["input_features"], clips


def step_digits(clips: Sequence[tones.Clip]) -> torch.Tensor:
    """Mark the digit that sounds in each step, (B, T, digits + 1) float32; the last column is for no digit."""
    import torch

    digits = torch.zeros(len(clips), STEPS, len(DIGITS) + 1)
    for row, clip in zip(digits, clips, strict=True):
        for step in range(STEPS):
            overlap = min(clip.end, (step + 0.5) * STEP_SAMPLES) - max(clip.start, (step - 0.5) * STEP_SAMPLES)
            row[step, DIGITS.index(clip.digit) if overlap >= STEP_SAMPLES / 4 else -1] = 1
    return digits


def digit_ids(tokenizer: PreTrainedTokenizerBase) -> torch.Tensor:
    """Return the tokens of the digits as they occur within a sentence, and of `background`, (digits + 1,) int64."""
    import torch

    ids = [tokenizer(f" {word}", add_special_tokens=False)["input_ids"] for word in (*DIGITS, BACKGROUND)]
    assert all(len(tokens) == 1 for tokens in ids), ids
    return torch.tensor(ids)[:, 0]


def attribute_ids(tokenizer: PreTrainedTokenizerBase) -> torch.Tensor:
    """Return the tokens of the words that precede the shape in a thing's name: colors, sizes and textures."""
    import torch

    words = (*COLORS, *SIZES, *TEXTURES)
    return torch.tensor(tokenizer([f" {word}" for word in words], add_special_tokens=False)["input_ids"])[:, 0]


def step_questions(recipe: Recipe, step: int, images: int) -> list[QuestionSheet]:
    """Make the images with questions of a step of stage 2, in which there are `images` of them."""
    return question_sheets(training_image(step, images), images, recipe.questions, easy=step < recipe.texts.easy)


def step_text_batches(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, step: int, rank: int) -> list[TextBatch]:
    """Make the batches of rows of GLUE of a step of stage 2."""
    return text_batches(tokenizer, step_examples(recipe.texts, recipe.processes, step, rank))
