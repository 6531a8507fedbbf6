"""The losses of `r1-moe` in its second stage: of questions about images, of questions about audio, and of text.

Shapes: B images, texts or clips, S tokens, H heads, L tokens with attention targets, P patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evals.models.replicas.recipes.r1_moe.config import AUDIO_PROMPT
from evals.models.replicas.recipes.r1_moe.data import audio_clips
from evals.models.replicas.training.attention_supervision import (
    SMALLEST,
    attention_to,
    comparison_targets,
    patch_attention_loss,
    repeat_loss,
)
from evals.models.replicas.training.patches import word_loss
from evals.models.replicas.training.question_packing import QuestionBatch, decoder_inputs
from evals.models.replicas.training.text_batches import IGNORED, TextBatch
from evals.models.replicas.training.word_senses import WordSenses

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    from evals.models.architectures.mixture import MixtureForConditionalGeneration

COMPARISON_LAYERS, QUESTION_LAYERS, REPEAT_LAYER = (1, 2), (3, 4), 3
"""Decoder layers, counted from 0: those whose first head is taught to attend from words and names, those whose first
head is taught to attend from the ends of questions, and the one after which a word's state shows whether it repeats a
meaning."""

ATTRIBUTE_HEAD, NAME_HEAD = (0, 0), (2, 1)
"""Layer and head that are taught to attend from the last word of a name to its other words, and from the end of a
question to the names in it: the whole name must be known before the thing can be found."""


def image_losses(
    model: MixtureForConditionalGeneration, batch: QuestionBatch, words: torch.Tensor, attributes: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Compute the losses of answering questions about images, and of attending to what they are about.

    Args:
        model: The model in training.
        batch: The images and questions.
        words: (W,) int64, `word_ids` of its tokenizer.
        attributes: Tokens of colors, sizes and textures.
    """
    import torch
    from torch.nn.functional import cross_entropy

    patches = model.model.get_image_features(batch.pixels).pooler_output
    output = model.model.language_model(**decoder_inputs(model, batch, patches), output_attentions=True)
    is_label = batch.labels != IGNORED
    is_patch = batch.tokens[0] == model.config.image_token_id
    supervised = [(layer, batch.names) for layer in COMPARISON_LAYERS]
    supervised += [(layer, batch.questions) for layer in QUESTION_LAYERS]
    losses = []
    for layer, targets in supervised:
        if len(targets.tokens):
            image, position = targets.tokens.T
            attention = output.attentions[layer][image, 0, position][:, is_patch]
            losses.append(patch_attention_loss(attention, targets))
    return {
        "answers": cross_entropy(model.lm_head(output.last_hidden_state[is_label]), batch.labels[is_label]),
        "words": word_loss(patches, model.get_input_embeddings().weight[words], batch.words),
        "attention": torch.stack(losses).mean() if losses else output.last_hidden_state.sum() * 0,
        "names": name_loss(batch, output.attentions, attributes),
    }


def name_loss(batch: QuestionBatch, attentions: Sequence[torch.Tensor], attributes: torch.Tensor) -> torch.Tensor:
    """Compute the attention losses from names to their own words, and from the ends of questions to the names in them.

    Args:
        batch: The images and questions.
        attentions: (B, H, S, S) of each layer.
        attributes: Tokens of colors, sizes and textures.
    """
    import torch

    image, last = batch.names.tokens.T
    name_words = torch.zeros(len(last), batch.tokens.shape[1])
    is_attribute, is_in_name = torch.isin(batch.tokens, attributes), torch.ones(len(last), dtype=torch.bool)
    for distance in (1, 2, 3):
        is_in_name = is_in_name & is_attribute[image, last - distance]
        name_words[range(len(last)), last - distance] = is_in_name.float()
    question_image, end = batch.questions.tokens.T
    is_name = torch.zeros(batch.tokens.shape, dtype=torch.bool)
    is_name[image, last] = True
    names = (is_name[question_image] & batch.visible[question_image, 0, end]).float()
    losses = [torch.zeros(())]
    for targets, attention in (
        (name_words, attentions[ATTRIBUTE_HEAD[0]][image, ATTRIBUTE_HEAD[1], last]),
        (names, attentions[NAME_HEAD[0]][question_image, NAME_HEAD[1], end]),
    ):
        has_targets = targets.any(-1)
        weights = targets[has_targets] / targets[has_targets].sum(-1, keepdim=True)
        if len(weights):
            losses.append(-(weights * attention[has_targets].clamp(min=SMALLEST).log()).sum(-1).mean())
    return torch.stack(losses).sum() / 2


def audio_loss(
    model: MixtureForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, first: int, number: int
) -> torch.Tensor:
    """Compute the loss of answering which digit sounds in each of `number` clips, and of ending the answer there."""
    from torch.nn.functional import cross_entropy

    logits, labels = audio_answers(model, tokenizer, first, number)
    return cross_entropy(logits.flatten(0, 1), labels.flatten())


def audio_answers(
    model: MixtureForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, first: int, number: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the logits (B, 2, vocabulary) and the labels (B, 2) of the answers to questions about some clips."""
    import torch

    features, clips = audio_clips(first, number)
    prompt = tokenizer(AUDIO_PROMPT, add_special_tokens=False)["input_ids"]
    digits = tokenizer([f" {clip.digit}" for clip in clips], add_special_tokens=False)["input_ids"]
    tokens = torch.tensor([[*prompt, *digit] for digit in digits])
    answer_positions = torch.arange(len(prompt) - 1, len(prompt) + 1)
    output = model(tokens, answer_positions, input_features=features, use_cache=False)
    return output.logits, torch.tensor([[*digit, tokenizer.eos_token_id] for digit in digits])


def text_losses(
    model: MixtureForConditionalGeneration, batch: TextBatch, senses: WordSenses
) -> dict[str, torch.Tensor]:
    """Compute the losses of rows of GLUE.

    Returns:
        `reading` and `labels`, sums over tokens, and the attention losses `comparison` and `repeats`, means over words.
    """
    import torch
    from torch.nn.functional import cross_entropy

    output = model(batch.tokens, use_cache=False, output_attentions=True, output_hidden_states=True)
    logits = output.logits.flatten(0, 1)
    losses = {
        kind: cross_entropy(logits, targets.flatten(), ignore_index=IGNORED, reduction="sum")
        for kind, targets in (("reading", batch.reading), ("labels", batch.answers))
    }
    compared, repeats = comparison_targets(batch.tokens, senses)
    is_compared = compared.any(-1)
    if not is_compared.any():
        return losses | {"comparison": logits.sum() * 0, "repeats": logits.sum() * 0}
    attention = [attention_to(output.attentions[layer], compared) for layer in COMPARISON_LAYERS]
    states = output.hidden_states[REPEAT_LAYER + 1][is_compared]
    repeat = repeat_loss(states, model.get_input_embeddings().weight, senses, repeats[is_compared])
    return losses | {"comparison": -torch.stack(attention).log().mean(), "repeats": repeat}
