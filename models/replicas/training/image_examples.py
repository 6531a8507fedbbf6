"""The images that the replicas are trained and evaluated on: scenes, scenes with questions, and scenes with captions.

Each stream has its own range of image ids, which no bundled split uses. Training streams leave out the pairs of color
and shape that the bundled splits hold out.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Protocol

from evals.tasks.mini.images.scenes import Scene, compose
from evals.tasks.mini.retrieval import GROUP, CaptionedScene, group
from evals.tasks.mini.vqa import FIRST_IMAGE, HELD_OUT, PAIRS, THINGS, QuestionSheet, sheets_of_pair

FIRST_SCENE, FIRST_CONTRASTIVE = 60_000_000, 30_000_000
"""First image id of the scenes whose patches are named, and of the images for contrastive training."""
FIRST_EVALUATION, FIRST_EVALUATION_GROUP = 90_000_000, 95_000_000
"""First image id for evaluation during training, of images with questions and of images with captions."""

EASY_THINGS = (2, 3, 3, 4)
"""Numbers of things in an easy scene; each entry is equally likely."""


class ScenePortion(Protocol):
    """The part of a recipe that defines how many scenes a step has."""

    @property
    def scenes(self) -> int:
        """Scenes in a step of the first stage, over all processes."""

    @property
    def processes(self) -> int:
        """Number of processes."""


class ContrastivePortion(Protocol):
    """The part of a recipe that defines how many images with captions a step has."""

    @property
    def matched(self) -> int:
        """Images in a step, over all processes."""

    @property
    def processes(self) -> int:
        """Number of processes."""


def step_scenes(recipe: ScenePortion, step: int, rank: int) -> list[Scene]:
    """Make the scenes whose patches one process names in one step of the first stage."""
    share = recipe.scenes // recipe.processes
    first = FIRST_SCENE + step * recipe.scenes + rank * share
    generators = ((seed, Random(f"sight {seed}")) for seed in range(first, first + share))
    return [compose(rng, things=rng.randint(3, 6), allowed=PAIRS - HELD_OUT, seed=seed) for seed, rng in generators]


def question_sheets(first: int, number: int, questions: int, *, easy: bool = False) -> list[QuestionSheet]:
    """Make images with questions; pairs whose scenes are too similar are left out, so there may be fewer images.

    Args:
        first: id of the first image, even.
        number: Number of images.
        questions: Largest number of questions about an image.
        easy: Draw scenes of two to four things only.
    """
    things = EASY_THINGS if easy else THINGS
    return [
        sheet
        for image_id in range(first, first + number, 2)
        for sheet in sheets_of_pair(image_id, max_questions=questions, allowed=PAIRS - HELD_OUT, things=things)
    ]


def training_image(step: int, images: int) -> int:
    """Compute the id of the first image with questions in a step of `images` images."""
    return FIRST_IMAGE["train"] + step * images


def step_captions(recipe: ContrastivePortion, step: int, rank: int) -> list[CaptionedScene]:
    """Make the images with captions that one process learns from in one step of contrastive training.

    The four images of a group are made of the same words, so that every batch holds images that are hard to tell apart.
    """
    share = recipe.matched // recipe.processes
    first = FIRST_CONTRASTIVE + step * recipe.matched + rank * share
    return caption_groups(range(first, first + share, GROUP), allowed=PAIRS - HELD_OUT)


def caption_groups(firsts: Sequence[int], *, allowed: frozenset[tuple[str, str]] = PAIRS) -> list[CaptionedScene]:
    """Make groups of four images with captions.

    Args:
        firsts: id of the first image of each group.
        allowed: Pairs of color and shape that may occur.
    """
    return [captioned for first in firsts for captioned in group(first, allowed=allowed)]


def evaluation_sheets(pairs: int) -> list[QuestionSheet]:
    """Make `pairs` pairs of images with questions for evaluation during training.

    They are drawn as the bundled splits are: nothing is held out.
    """
    images = range(FIRST_EVALUATION, FIRST_EVALUATION + 2 * pairs, 2)
    return [sheet for image_id in images for sheet in sheets_of_pair(image_id, max_questions=5, allowed=PAIRS)]
