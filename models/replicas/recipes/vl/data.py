"""What `vl` is trained on: scenes whose patches are named, images with questions, and images with captions.

Scenes and captions come from `image_examples`, which `v3` and `r1-moe` share; here is which questions a step has.
"""

from __future__ import annotations

from evals.models.replicas.recipes.vl.config import Recipe
from evals.models.replicas.training.image_examples import FIRST_CONTRASTIVE, question_sheets, training_image
from evals.tasks.mini.vqa import QuestionSheet

SETTLING_OFFSET = 100_000
"""Added to the steps of stage 4, so that its images differ from those of stage 3."""


def step_questions(recipe: Recipe, step: int, rank: int) -> list[QuestionSheet]:
    """Make the images with questions that one process learns from in one step of stage 2."""
    share = recipe.images // recipe.processes
    first = training_image(step, recipe.images) + rank * share
    return question_sheets(first, share, recipe.questions, easy=step < recipe.easy * recipe.horizon)


def step_rehearsal(recipe: Recipe, step: int, rank: int) -> list[QuestionSheet]:
    """Make the images with questions that one process learns from in one step of stage 3."""
    share = recipe.rehearsed // recipe.processes
    first = FIRST_CONTRASTIVE + step * recipe.rehearsed + rank * share
    return question_sheets(first, share, recipe.questions)
