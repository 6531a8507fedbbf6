"""What the `vl` replica is taught, step by step, and how far it is from it.

Everything a step learns from is a function of the recipe, the step and the process, so training can stop and go on
anywhere. Shapes: as in `packing`; N labels in a batch.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, NamedTuple, Protocol

from evals.models.replicas.recipes.vl.data import IGNORED, WORDS, Batch, Packer, patch_shares, patch_words, pixels
from evals.tasks.mini.images.scenes import Scene, compose
from evals.tasks.mini.vqa import FIRST_IMAGE, HELD_OUT, PAIRS, THINGS, QuestionSheet, sheets_of_pair

if TYPE_CHECKING:
    import torch
    from transformers import DeepseekVLForConditionalGeneration, PreTrainedTokenizerBase

    from evals.models.replicas.recipes.vl.config import Recipe

NAMING_LAYERS, ASKING_LAYERS = (1, 2), (3, 4)
"""Decoder layers, from 0, of which the first head is shown where to look: from a name, from a question's end."""

SEEN, WATCHED = 60_000_000, 90_000_000
"""First image ids of the first stage's scenes, and of what training is watched on: of no bundled split."""

EASY_THINGS = (2, 3, 3, 4)


class Views(Protocol):
    """The part of a recipe that says how much is seen in a step."""

    @property
    def scenes(self) -> int:
        """Images a step of the first stage, all processes together."""

    @property
    def processes(self) -> int:
        """Among whom they are divided."""


def sight(recipe: Views, step: int, rank: int) -> list[Scene]:
    """Give the scenes of which one process names the patches in one step of the first stage."""
    share = recipe.scenes // recipe.processes
    first = SEEN + step * recipe.scenes + rank * share
    chances = ((seed, Random(f"sight {seed}")) for seed in range(first, first + share))
    return [compose(rng, things=rng.randint(3, 6), allowed=PAIRS - HELD_OUT, seed=seed) for seed, rng in chances]


def lesson(recipe: Recipe, step: int, rank: int) -> list[QuestionSheet]:
    """Give the images and questions that one process learns from in one step of the second stage."""
    share = recipe.images // recipe.processes
    things = EASY_THINGS if step < recipe.easy * recipe.horizon else THINGS
    first = FIRST_IMAGE["train"] + step * recipe.images + rank * share
    sheets: list[QuestionSheet] = []
    for image_id in range(first, first + share, 2):
        sheets += sheets_of_pair(image_id, wanted=recipe.questions, allowed=PAIRS - HELD_OUT, things=things)
    return sheets


def watched(pairs: int) -> list[QuestionSheet]:
    """Give what training is watched on: asked as the bundled splits are, of scenes that hold nothing out, as theirs."""
    images = range(WATCHED, WATCHED + 2 * pairs, 2)
    return [sheet for image_id in images for sheet in sheets_of_pair(image_id, wanted=5, allowed=PAIRS)]


def word_ids(tokenizer: PreTrainedTokenizerBase) -> torch.Tensor:
    """Give the token of each of `WORDS` as it stands within a sentence, (W,) int64."""
    import torch

    return torch.tensor([tokenizer.convert_tokens_to_ids(tokenizer.tokenize(f" {word}"))[0] for word in WORDS])


def see(
    model: DeepseekVLForConditionalGeneration, words: torch.Tensor, recipe: Views, step: int, rank: int
) -> dict[str, torch.Tensor]:
    """Give the losses of a step of the first stage; `words` are `word_ids`."""
    import torch

    scenes = sight(recipe, step, rank)
    patches = model.model.get_image_features(pixels(scenes)).pooler_output
    true = torch.stack([patch_words(scene, patch_shares(scene)) for scene in scenes])
    return {"words": 10 * word_loss(patches, model.get_input_embeddings().weight[words], true)}


def answer(
    model: DeepseekVLForConditionalGeneration, words: torch.Tensor, packer: Packer, recipe: Recipe, step: int, rank: int
) -> dict[str, torch.Tensor]:
    """Give the losses of a step of the second stage; where to look counts less and less."""
    for eyes in (model.model.vision_model, model.model.aligner):
        eyes.requires_grad_(step >= recipe.still * recipe.horizon)
    looks = max(0.1, 1 - 2 * step / recipe.horizon)
    return answer_losses(model, words, packer.pack(lesson(recipe, step, rank)), looks)


def answer_losses(
    model: DeepseekVLForConditionalGeneration, words: torch.Tensor, batch: Batch, looks: float
) -> dict[str, torch.Tensor]:
    """Give the losses of answering a batch; `looks` is what it counts where the model looks."""
    from torch.nn.functional import cross_entropy

    reading = read(model, batch)
    return {
        "answers": cross_entropy(reading.logits, batch.labels[batch.labels != IGNORED]),
        "words": 5 * word_loss(reading.patches, model.get_input_embeddings().weight[words], batch.words),
        "looks": looks * look_loss(model, batch, reading),
    }


class Reading(NamedTuple):
    """What the model made of a batch."""

    logits: torch.Tensor
    """(N, vocabulary) at the positions that have a label."""
    patches: torch.Tensor
    """(B, P, width) from the aligner: what the decoder sees of the images."""
    states: tuple[torch.Tensor, ...]
    """(B, S, width) going into each layer of the decoder, and out of the last."""


def read(model: DeepseekVLForConditionalGeneration, batch: Batch) -> Reading:
    """Run the model over packed questions."""
    import torch

    learns_to_see = next(model.model.vision_model.parameters()).requires_grad
    with torch.set_grad_enabled(learns_to_see and torch.is_grad_enabled()):
        patches = model.model.get_image_features(batch.pixels).pooler_output
    embedded = model.get_input_embeddings()(batch.tokens)
    embedded = embedded.masked_scatter((batch.tokens == model.config.image_token_id)[..., None], patches)
    mask = torch.zeros(batch.visible.shape).masked_fill_(~batch.visible, torch.finfo(torch.float32).min)
    said = model.model.language_model(
        inputs_embeds=embedded,
        attention_mask=mask,
        position_ids=batch.positions,
        use_cache=False,
        output_hidden_states=True,
    )
    return Reading(model.lm_head(said.last_hidden_state[batch.labels != IGNORED]), patches, said.hidden_states)


def word_loss(patches: torch.Tensor, embeddings: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
    """Measure how far patches are from the words that are true of them.

    Args:
        patches: (B, P, width), from the aligner.
        embeddings: (W, width), of `WORDS`; the decoder's own.
        words: (B, P, W), 1 where a word is true of a patch.
    """
    from torch.nn.functional import binary_cross_entropy_with_logits, normalize

    # Some eight words are true of a patch. Its cosine with each can be at most one over the root of that, about 0.35.
    cosine = normalize(patches, dim=-1) @ normalize(embeddings, dim=-1).T
    return binary_cross_entropy_with_logits(24 * cosine - 4, words)


def look_loss(model: DeepseekVLForConditionalGeneration, batch: Batch, reading: Reading) -> torch.Tensor:
    """Measure how far the first head of some layers is from looking at what names and questions are about."""
    import torch
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    decoder = model.model.language_model
    turn = decoder.rotary_emb(reading.patches, batch.positions)
    is_patch = batch.tokens[0] == model.config.image_token_id
    lessons = {**dict.fromkeys(NAMING_LAYERS, batch.named), **dict.fromkeys(ASKING_LAYERS, batch.asked)}
    losses = []
    for number, looks in lessons.items():
        if not len(looks.tokens):  # a few questions may name nothing, or be about no one thing
            continue
        attention = decoder.layers[number].self_attn
        state = decoder.layers[number].input_layernorm(reading.states[number])
        weights = (attention.q_proj.weight, attention.k_proj.weight)
        query, key = ((state @ weight[: attention.head_dim].T)[:, None] for weight in weights)
        query, key = apply_rotary_pos_emb(query, key, *turn)
        image, position = looks.tokens.T
        match = torch.einsum("ld,lpd->lp", query[image, 0, position], key[:, 0, is_patch][image]) * attention.scaling
        losses.append(-(looks.patches * match.log_softmax(-1)).sum(-1).mean())
    return torch.stack(losses).mean() if losses else reading.patches.new_zeros(())
