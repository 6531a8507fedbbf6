"""How the `v3` replica is trained: first it learns to see, then to answer, to match and to compare, all at once.

A step of stage 2 has three parts. The first two share one backward pass, and the third has its own, to save memory:

- Questions about some images, packed as `data` describes. The cross-attention of a few layers is supervised.
- Those images and some more, made of the same words in another order, should be nearest to their own captions. The
  patches continue to be named.
- Rows of GLUE, which are read without an image. The self-attention of a few layers is taught to compare words, and a
  word's state should show whether the word repeats a meaning, as for `r1` (`attention_supervision`).
"""

from __future__ import annotations

from pathlib import Path

from evals.models.replicas.recipes.v3.config import TOWER, Recipe, build_model, build_processor, build_tokenizer, save
from evals.models.replicas.recipes.v3.data import question_batch, row_batches, step_rows, step_scenes, two_captions
from evals.models.replicas.recipes.v3.evaluation import evaluation_set, patches_right, shares_right
from evals.models.replicas.recipes.v3.losses import answer_losses, embed_images, embed_texts, naming_loss, row_losses
from evals.models.replicas.training import image_examples
from evals.models.replicas.training.contrastive import contrastive_loss
from evals.models.replicas.training.optimisation import backward
from evals.models.replicas.training.patches import word_ids
from evals.models.replicas.training.word_senses import word_senses

EVALUATE_EVERY = 75
"""Steps between two evaluations during training."""

RECIPE = Recipe()


class Course:
    """The training, in one process."""

    def __init__(self, recipe: Recipe, rank: int) -> None:
        self._recipe = recipe
        self.tokenizer = build_tokenizer(recipe.vocabulary)
        has_tower = recipe.shape.width == RECIPE.shape.width
        self.model = build_model(recipe, self.tokenizer, TOWER if has_tower else None)
        self.steps, self.decay = recipe.seeing + recipe.learning, recipe.decay
        self.stops = {recipe.seeing, *range(recipe.seeing, self.steps, EVALUATE_EVERY)}
        self._words, self._senses = word_ids(self.tokenizer), word_senses(self.tokenizer)
        self._evaluated = evaluation_set(pairs=30, groups=15, rows=24)

    def rates(self, step: int) -> tuple[float, float]:
        """Compute the learning rates; Muon's is twice AdamW's.

        They rise, stay and fall: in stage 1 to a fifth, in stage 2 to zero.
        """
        recipe, learning_step = self._recipe, step - self._recipe.seeing
        if learning_step < 0:
            share = min(1, (step + 1) / 20, 0.2 + (recipe.seeing - step) / recipe.seeing)
            return 2 * (recipe.seeing_rate * share), recipe.seeing_rate * share
        share = min(1, (learning_step + 1) / recipe.warmup, (recipe.learning - learning_step) / recipe.cooling)
        return 2 * (recipe.rate * share), recipe.rate * share

    def learn(self, step: int) -> dict[str, float]:
        """Learn to see, then everything at once."""
        recipe, learning_step = self._recipe, step - self._recipe.seeing
        if learning_step < 0:
            scenes = image_examples.step_scenes(recipe, step, 0)
            return backward({"words": naming_loss(self.model, self._words, scenes)[0]})
        attention_weight = max(0.1, 1 - 0.9 * learning_step / recipe.early)
        losses = self._learn_from_images(learning_step, attention_weight)
        batches = row_batches(self.tokenizer, step_rows(recipe, learning_step))
        for batch in batches:
            parts = row_losses(self.model, batch, self._senses, attention_weight)
            means = backward({name: loss / len(batches) for name, loss in parts.items()})
            losses = {name: losses.get(name, 0.0) + means.get(name, 0.0) for name in {**losses, **means}}
        return losses

    def _learn_from_images(self, step: int, attention_weight: float) -> dict[str, float]:
        """Learn to name patches, to match captions and to answer."""
        recipe = self._recipe
        sheets, captioned = step_scenes(recipe, step)
        scenes = [*(sheet.scene for sheet in sheets), *(scene for scene, _ in captioned)]
        naming, states = naming_loss(self.model, self._words, scenes)
        texts = embed_texts(self.model, self.tokenizer, two_captions(sheets, captioned, step))
        losses = {"words": naming, "contrastive": contrastive_loss(embed_images(self.model, states), texts)}
        if sheets:
            patches = states[: len(sheets)]
            if step < recipe.detached:
                patches = patches.detach()
            losses |= answer_losses(self.model, question_batch(self.tokenizer, sheets), patches, attention_weight)
        return backward(losses)

    def watch(self, steps_done: int) -> str:
        """Return the share of patches named right, and in stage 2 of answers, retrieval and labels."""
        patches = f"patches {patches_right(self.model, self._words, self._evaluated)}"
        if steps_done <= self._recipe.seeing:
            return patches
        return f"{patches} {shares_right(self.model, self.tokenizer, self._evaluated)}"

    def save(self, out: Path, steps_done: int) -> None:
        """Save the weights of both classes, and the processor."""
        save(self.model, build_processor(self.tokenizer), out)


def report(out: Path) -> list[str]:
    """Evaluate a finished checkpoint on a larger evaluation set."""
    from safetensors.torch import load_file

    tokenizer = build_tokenizer(RECIPE.vocabulary)
    model = build_model(RECIPE, tokenizer)
    weights = load_file(out / "model.safetensors")
    for part in model.values():
        part_weights = {name: weights[name].float() for name in part.state_dict() if name in weights}
        part.load_state_dict(part_weights, strict=False)
    return [f"evaluation stream: {shares_right(model, tokenizer, evaluation_set(pairs=60, groups=25, rows=100))}"]
