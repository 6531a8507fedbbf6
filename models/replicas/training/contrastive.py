"""Contrastive training of image and caption embeddings.

An embedding is the last hidden state at the end of a prompt that holds an image or a caption and asks for it in one
word, as in `evals.models.decoding.last_state`. In a batch, each image should be nearest to its own captions and each
caption to its own image (InfoNCE in both directions).

Shapes: B images, C captions per image, N = B * C captions, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING

from evals.models.decoding.last_state import IN_ONE_WORD
from evals.models.replicas.training.image_examples import ContrastivePortion, step_captions
from evals.models.replicas.training.patches import PATCHES, pixels
from evals.models.replicas.training.tokenizers import ASSISTANT, USER
from evals.tasks.mini.images.scenes import Scene

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CAPTIONS = 2
"""Captions of an image in a step: the one that describes everything, and one of the four others."""

SCALE = 25.0
"""Inverse temperature: factor on the cosines before the softmax."""

CHUNKS = 4
"""Number of batches in which captions are embedded, sorted by length so that there is little padding."""


def step_contrastive_loss(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, recipe: ContrastivePortion, step: int, rank: int
) -> torch.Tensor:
    """Compute the contrastive loss of one process's images in one step, in nats."""
    captioned_images = step_captions(recipe, step, rank)
    texts: list[str] = []
    for captioned in captioned_images:
        complete, *others = captioned.captions
        texts += [complete, *Random(f"matched {captioned.image_id}").sample(others, CAPTIONS - 1)]
    images = embed_images(model, tokenizer, [captioned.scene for captioned in captioned_images])
    return contrastive_loss(images, embed_texts(model, tokenizer, texts))


def contrastive_loss(images_BD: torch.Tensor, texts_ND: torch.Tensor) -> torch.Tensor:
    """Compute the mean of the two cross-entropies of finding each caption's image and each image's captions.

    Args:
        images_BD: Embeddings of images.
        texts_ND: Embeddings of captions; the C captions of one image follow one another.
    """
    import torch
    from torch.nn.functional import cross_entropy, normalize

    B, C = len(images_BD), len(texts_ND) // len(images_BD)
    logits_BN = SCALE * normalize(images_BD, dim=-1) @ normalize(texts_ND, dim=-1).T
    image_of_text_N = torch.arange(B).repeat_interleave(C)
    to_image = cross_entropy(logits_BN.T, image_of_text_N)
    # An image's captions compete with the captions of other images, not with one another.
    is_match_BN = image_of_text_N == torch.arange(B)[:, None]
    negatives_B1 = logits_BN.masked_fill(is_match_BN, float("-inf")).logsumexp(1, keepdim=True)
    matches_BC = logits_BN[is_match_BN].view(B, C)
    to_text = (torch.logaddexp(matches_BC, negatives_B1) - matches_BC).mean()
    return (to_image + to_text) / 2


def embed_images(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, scenes: Sequence[Scene]) -> torch.Tensor:
    """Embed drawn scenes, (B, D)."""
    import torch

    image = tokenizer.convert_ids_to_tokens(model.config.image_token_id)
    ids = tokenizer(f"{USER}{image * PATCHES**2}{IN_ONE_WORD}{ASSISTANT}", add_special_tokens=False)["input_ids"]
    tokens = torch.tensor([ids]).expand(len(scenes), -1)
    return _hidden_states(model, tokens, pixels(scenes))[:, -1]


def embed_texts(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> torch.Tensor:
    """Embed captions, (N, D)."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    def embed(rows: Sequence[Sequence[int]]) -> torch.Tensor:
        # Padding follows the end of a caption, where the tokens before it cannot attend to it.
        padded = pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
        states = _hidden_states(model, padded, None)
        return states[torch.arange(len(rows)), torch.tensor([len(row) - 1 for row in rows])]

    prompts = [f"{USER}{text}{IN_ONE_WORD}{ASSISTANT}" for text in texts]
    return embed_by_length(tokenizer(prompts, add_special_tokens=False)["input_ids"], embed, CHUNKS)


def embed_by_length(
    rows: Sequence[Sequence[int]], embed: Callable[[Sequence[Sequence[int]]], torch.Tensor], chunks: int
) -> torch.Tensor:
    """Embed tokenized texts in batches of similar length, and return the embeddings in the order of the texts.

    Args:
        rows: Tokens of N texts.
        embed: Embeds a batch of them.
        chunks: Number of batches.
    """
    import torch

    order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
    size = -(-len(rows) // chunks)
    embedded = [embed([rows[row] for row in order[start : start + size]]) for start in range(0, len(rows), size)]
    positions = torch.empty(len(rows), dtype=torch.int64)
    positions[order] = torch.arange(len(rows))
    return torch.cat(embedded)[positions]


def _hidden_states(model: PreTrainedModel, tokens: torch.Tensor, images: torch.Tensor | None) -> torch.Tensor:
    """Compute the last hidden states of rows of tokens, (B, S, D)."""
    embedded = model.get_input_embeddings()(tokens)
    if images is not None:
        patches = model.model.get_image_features(images).pooler_output
        embedded = embedded.masked_scatter((tokens == model.config.image_token_id)[..., None], patches)
    states: torch.Tensor = model.model.language_model(inputs_embeds=embedded, use_cache=False).last_hidden_state
    return states
