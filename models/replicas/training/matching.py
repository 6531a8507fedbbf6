"""How the `vl` replica learns to match pictures and captions: the third stage of its training.

A picture and a caption are embedded as `evals.models.decoding.last_state` embeds them: the last hidden state at the
end of a
prompt that shows the one or the other and asks for it in one word. In a batch of pictures and captions, each picture is
to be nearest to its own captions and each caption to its own picture (InfoNCE in both directions). Pictures come in
groups that are made of the same words, as in the benchmark: the hardest to tell apart are always in the batch.

Shapes: B images, C captions an image, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Protocol

from evals.models.decoding.last_state import IN_ONE_WORD
from evals.models.replicas.recipes.vl.data import ASSISTANT, PATCHES, USER, pixels
from evals.tasks.mini.images.scenes import Scene
from evals.tasks.mini.retrieval import GROUP, group
from evals.tasks.mini.vqa import HELD_OUT, PAIRS, QuestionSheet, sheets_of_pair

if TYPE_CHECKING:
    import torch
    from transformers import DeepseekVLForConditionalGeneration, PreTrainedTokenizerBase

    from evals.models.replicas.recipes.vl.config import Recipe

MATCHED, WATCHED = 30_000_000, 95_000_000
"""First image ids of the third stage's pictures, and of those that it is watched on: of no bundled split."""

APART = 100_000
"""Added to the steps of the fourth stage, whose images are others than the third's."""

CAPTIONS = 2
"""Captions an image in a step: the one that lists everything, and one of the four others."""

SCALE = 25.0
"""What a cosine is multiplied by before the softmax."""

CHUNKS = 4
"""Parts that captions are read in, the short ones and the long ones apart, so that little is padding."""


class Matched(Protocol):
    """The part of a recipe that says how much is matched in a step."""

    @property
    def matched(self) -> int:
        """Images a step, all processes together."""

    @property
    def processes(self) -> int:
        """Among whom they are divided."""


def matched(recipe: Matched, step: int, rank: int) -> range:
    """Give the ids of the first image of each group that one process learns from in one step of the third stage."""
    share = recipe.matched // recipe.processes
    first = MATCHED + step * recipe.matched + rank * share
    return range(first, first + share, GROUP)


def rehearsed(recipe: Recipe, step: int, rank: int) -> list[QuestionSheet]:
    """Give the images about which one process is asked in one step of the third stage, with the questions."""
    share = recipe.rehearsed // recipe.processes
    first = MATCHED + step * recipe.rehearsed + rank * share
    images, allowed = range(first, first + share, 2), PAIRS - HELD_OUT
    return [sheet for i in images for sheet in sheets_of_pair(i, wanted=recipe.questions, allowed=allowed)]


def match(
    model: DeepseekVLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    recipe: Matched,
    step: int,
    rank: int,
) -> torch.Tensor:
    """Give the loss of matching in a step of the third stage, in nats."""
    told = [one for image_id in matched(recipe, step, rank) for one in group(image_id, allowed=PAIRS - HELD_OUT)]
    texts = []
    for one in told:
        whole, *others = one.captions
        texts += [whole, *Random(f"matched {one.image_id}").sample(others, CAPTIONS - 1)]
    images = embed_images(model, tokenizer, [one.scene for one in told])
    return match_loss(images, embed_texts(model, tokenizer, texts))


def match_loss(images_BD: torch.Tensor, texts_ND: torch.Tensor) -> torch.Tensor:
    """Measure how far pictures and captions are from being each other's nearest; C captions follow one another."""
    import torch
    from torch.nn.functional import cross_entropy, normalize

    B, C = len(images_BD), len(texts_ND) // len(images_BD)
    logits_BN = SCALE * normalize(images_BD, dim=-1) @ normalize(texts_ND, dim=-1).T
    owner_N = torch.arange(B).repeat_interleave(C)
    to_image = cross_entropy(logits_BN.T, owner_N)
    # A picture's captions are each compared with the captions of the others, not with one another.
    own_BN = owner_N == torch.arange(B)[:, None]
    rivals_B1 = logits_BN.masked_fill(own_BN, float("-inf")).logsumexp(1, keepdim=True)
    own_BC = logits_BN[own_BN].view(B, C)
    to_text = (torch.logaddexp(own_BC, rivals_B1) - own_BC).mean()
    return (to_image + to_text) / 2


def embed_images(
    model: DeepseekVLForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, scenes: Sequence[Scene]
) -> torch.Tensor:
    """Embed drawn scenes, (B, D)."""
    import torch

    image = tokenizer.convert_ids_to_tokens(model.config.image_token_id)
    ids = tokenizer(f"{USER}{image * PATCHES**2}{IN_ONE_WORD}{ASSISTANT}", add_special_tokens=False)["input_ids"]
    tokens = torch.tensor([ids]).expand(len(scenes), -1)
    return _states(model, tokens, pixels(scenes))[:, -1]


def embed_texts(
    model: DeepseekVLForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]
) -> torch.Tensor:
    """Embed captions, (N, D)."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    prompts = [f"{USER}{text}{IN_ONE_WORD}{ASSISTANT}" for text in texts]
    rows = [torch.tensor(ids) for ids in tokenizer(prompts, add_special_tokens=False)["input_ids"]]
    order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
    size = -(-len(rows) // CHUNKS)
    found: list[torch.Tensor] = []
    for start in range(0, len(rows), size):
        chunk = [rows[row] for row in order[start : start + size]]
        # What follows the end of a caption is padding, which nothing before it sees.
        states = _states(model, pad_sequence(chunk, batch_first=True), None)
        found.append(states[torch.arange(len(chunk)), torch.tensor([len(row) - 1 for row in chunk])])
    places = torch.empty(len(rows), dtype=torch.int64)
    places[order] = torch.arange(len(rows))
    return torch.cat(found)[places]


def _states(
    model: DeepseekVLForConditionalGeneration, tokens: torch.Tensor, drawn: torch.Tensor | None
) -> torch.Tensor:
    """Give the last hidden states of rows of tokens, (B, S, D)."""
    embedded = model.get_input_embeddings()(tokens)
    if drawn is not None:
        patches = model.model.get_image_features(drawn).pooler_output
        embedded = embedded.masked_scatter((tokens == model.config.image_token_id)[..., None], patches)
    states: torch.Tensor = model.model.language_model(inputs_embeds=embedded, use_cache=False).last_hidden_state
    return states


def found(
    model: DeepseekVLForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, images: int
) -> dict[str, float]:
    """Give the share of watched pictures of which a caption is among the first five, and the other way about."""
    import torch
    from torch.nn.functional import normalize

    firsts = range(WATCHED, WATCHED + images, GROUP)
    told = [one for image_id in firsts for one in group(image_id, allowed=PAIRS)]
    owner = torch.tensor([n for n, one in enumerate(told) for _ in one.captions])
    scenes = [one.scene for one in told]
    with torch.no_grad():
        seen = torch.cat([embed_images(model, tokenizer, scenes[at : at + 50]) for at in range(0, len(scenes), 50)])
        texts = embed_texts(model, tokenizer, [text for one in told for text in one.captions])
    likeness = normalize(seen, dim=-1) @ normalize(texts, dim=-1).T
    marks = {}
    for k in (1, 5):
        to_text = (owner[likeness.topk(k).indices] == torch.arange(len(told))[:, None]).any(1)
        to_image = (likeness.T.topk(k).indices == owner[:, None]).any(1)
        marks[f"i2t@{k}"] = round(to_text.float().mean().item(), 3)
        marks[f"t2i@{k}"] = round(to_image.float().mean().item(), 3)
    return marks
