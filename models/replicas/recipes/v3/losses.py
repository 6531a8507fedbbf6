"""The losses of `v3`, and the passes through its streams that they need.

Shapes: B images, P patches, N texts, L tokens of the longest text, T of the longest answer, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evals.models.replicas.recipes.v3.config import NAME_LAYERS, QUESTION_LAYERS
from evals.models.replicas.recipes.v3.data import AnswerBatch, ImageQuestionBatch, RowBatch, tokens_and_mask
from evals.models.replicas.training.attention_supervision import (
    attention_to,
    comparison_targets,
    patch_attention_loss,
    repeat_loss,
)
from evals.models.replicas.training.contrastive import embed_by_length
from evals.models.replicas.training.patches import pixels, word_loss, words_of_scenes
from evals.models.replicas.training.question_packing import AttentionTargets
from evals.models.replicas.training.text_batches import IGNORED
from evals.models.replicas.training.word_senses import WordSenses
from evals.tasks.mini.images.scenes import Scene

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedTokenizerBase

COMPARISON_LAYERS, REPEAT_STATE = (1, 2), 3
"""Encoder layers, counted from 0, whose first head is taught to compare words; and the number of layers after
which a word's hidden state is trained to show whether the word repeats a meaning."""


def tower_states(model: nn.ModuleDict, scenes: Sequence[Scene]) -> torch.Tensor:
    """Compute the vision tower's states, (B, 1 + P, D); the first represents the whole image."""
    states: torch.Tensor = model["answering"].vision_model(pixels(scenes)).last_hidden_state
    return states


def word_embeddings(model: nn.ModuleDict) -> torch.Tensor:
    """Return the embeddings of the vocabulary."""
    embeddings: torch.Tensor = model["answering"].text_encoder.embeddings.word_embeddings.weight
    return embeddings


def naming_loss(
    model: nn.ModuleDict, words: torch.Tensor, scenes: Sequence[Scene]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the loss of naming what patches show, and the states of the tower, (B, 1 + P, D).

    Args:
        model: The model in training.
        words: (W,) int64, `word_ids` of its tokenizer.
        scenes: The scenes.
    """
    states = tower_states(model, scenes)
    return 5 * word_loss(states[:, 1:], word_embeddings(model)[words], words_of_scenes(scenes)), states


def answer_losses(
    model: nn.ModuleDict, batch: ImageQuestionBatch, states: torch.Tensor, attention_weight: float
) -> dict[str, torch.Tensor]:
    """Compute the losses of answering questions about images.

    Args:
        model: The model in training.
        batch: The questions.
        states: (B, 1 + P, D) of the images.
        attention_weight: Weight of the attention loss, which is left out if the questions name nothing.
    """
    encoder = model["answering"].text_encoder
    output = encoder(
        input_ids=batch.tokens, position_ids=batch.positions, attention_mask=batch.mask,
        encoder_hidden_states=states, output_attentions=True,
    )  # fmt: skip
    question_states = output.last_hidden_state.flatten(0, 1)[batch.token_indices]
    parts = [_cross_attention_loss(output.cross_attentions[layer], batch.names) for layer in NAME_LAYERS]
    parts += [_cross_attention_loss(output.cross_attentions[layer], batch.questions) for layer in QUESTION_LAYERS]
    supervised = [part for part in parts if part is not None]
    losses = {"answers": answer_loss(model, question_states, batch.is_token, batch.answers)}
    if supervised:
        losses["attention"] = attention_weight * sum(supervised[1:], supervised[0]) / len(supervised)
    return losses


def _cross_attention_loss(attention: torch.Tensor, targets: AttentionTargets) -> torch.Tensor | None:
    """Compute the attention loss of a layer's first head; None if there are no targets."""
    if not len(targets.tokens):
        return None
    image, position = targets.tokens.T
    # The first key represents the whole image.
    return patch_attention_loss(attention[image, 0, position, 1:], targets)


def answer_loss(model: nn.ModuleDict, states: torch.Tensor, mask: torch.Tensor, answers: AnswerBatch) -> torch.Tensor:
    """Compute the cross-entropy of the answers, given the encoder's states (N, L, D) and mask (N, L)."""
    from torch.nn.functional import cross_entropy

    logits = answer_logits(model, states, mask, answers)
    return cross_entropy(logits.flatten(0, 1), answers.labels.flatten(), ignore_index=IGNORED)


def answer_logits(model: nn.ModuleDict, states: torch.Tensor, mask: torch.Tensor, answers: AnswerBatch) -> torch.Tensor:
    """Compute the decoder's logits at the answers' tokens, (N, T, vocabulary)."""
    output = model["answering"].text_decoder(
        input_ids=answers.tokens, encoder_hidden_states=states, encoder_attention_mask=mask, use_cache=False
    )
    logits: torch.Tensor = output.logits
    return logits


def row_losses(
    model: nn.ModuleDict, batch: RowBatch, senses: WordSenses, attention_weight: float
) -> dict[str, torch.Tensor]:
    """Compute the losses of rows of GLUE: of the labels, of comparing words, and of telling repeated meanings.

    Args:
        model: The model in training.
        batch: The rows.
        senses: Senses of the tokenizer's words.
        attention_weight: Weight of the last two losses, which are left out if no words can be compared.
    """
    encoder = model["answering"].text_encoder
    output = encoder(batch.tokens, attention_mask=batch.mask, output_attentions=True, output_hidden_states=True)
    losses = {"labels": answer_loss(model, output.last_hidden_state, batch.mask, batch.answers)}
    compared, repeats = comparison_targets(batch.tokens, senses)
    is_compared = compared.any(-1)
    if not is_compared.any():
        return losses
    first, second = (attention_to(output.attentions[layer], compared).log() for layer in COMPARISON_LAYERS)
    states = output.hidden_states[REPEAT_STATE][is_compared]
    repeat = repeat_loss(states, word_embeddings(model), senses, repeats[is_compared])
    return losses | {
        "comparison": -attention_weight * (first + second).mean() / 2,
        "repeats": attention_weight * repeat,
    }


def embed_images(model: nn.ModuleDict, states: torch.Tensor) -> torch.Tensor:
    """Embed images, given the states of the tower, (B, shared)."""
    embedded: torch.Tensor = model["matching"].vision_proj(states[:, 0])
    return embedded


def embed_texts(model: nn.ModuleDict, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> torch.Tensor:
    """Embed captions, (N, shared)."""

    def embed(rows: Sequence[Sequence[int]]) -> torch.Tensor:
        tokens, mask = tokens_and_mask(tokenizer, rows)
        states = model["matching"].text_encoder(tokens, attention_mask=mask).last_hidden_state
        embedded: torch.Tensor = model["matching"].text_proj(states[:, 0])
        return embedded

    return embed_by_length(tokenizer(list(texts))["input_ids"], embed, chunks=3)
