"""How the `v3` replica is trained: first it sees, and then it learns to answer, to match and to compare, all at once.

A step of the second stage is taught three things, one after the other, as each takes its memory:

- Questions about some images, packed as `v3_packing` says. The cross-attention of a few layers is shown where to look.
- Those images and some more, of the same words in other order, are to be nearest to their own captions. A patch goes on
  being shown what it shows.
- Rows of GLUE, which are read without a picture. The self-attention of a few layers is led from words to their like,
  and a word's state is to tell whether it repeats a meaning, as for `r1` (`alignment`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from evals.models.replicas.recipes.r1.config import watched as watched_rows
from evals.models.replicas.recipes.v3.config import (
    ASKING_LAYERS,
    NAMING_LAYERS,
    TOWER,
    Recipe,
    build_model,
    build_processor,
    build_tokenizer,
    save,
)
from evals.models.replicas.recipes.v3.data import Asked, Page, Said, ask, pages, rows_of
from evals.models.replicas.recipes.vl.data import IGNORED, Looks, patch_shares, patch_words, pixels
from evals.models.replicas.training import alignment, exam, matching, teaching
from evals.models.replicas.training.lessons import TASKS, Lesson, lesson
from evals.tasks.mini.images.captions import captions
from evals.tasks.mini.images.scenes import Scene
from evals.tasks.mini.retrieval import GROUP, group
from evals.tasks.mini.vqa import HELD_OUT, PAIRS, THINGS, QuestionSheet, sheets_of_pair

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedTokenizerBase

ASKED, TOLD, WATCHED = 40_000_000, 45_000_000, 97_000_000
"""First image ids of the scenes that are asked about, of those that are told, and of what is watched: of no bundled
split."""
COMPARING_LAYERS, SAID_AFTER = (1, 2), 3
"""Layers of the encoder, from 0, whose first head is led to like words; after the last layer but one a word's state
says whether it repeats a meaning."""
WATCH_EVERY = 75
RECIPE = Recipe()


class Lookout(NamedTuple):
    """What training is watched on."""

    sheets: list[QuestionSheet]
    told: list[tuple[Scene, tuple[str, ...]]]
    rows: list[Lesson]


class Course:
    """The training, in one process."""

    def __init__(self, recipe: Recipe, rank: int) -> None:
        self._recipe = recipe
        self.tokenizer = build_tokenizer(recipe.vocabulary)
        self.model = build_model(recipe, self.tokenizer, TOWER if recipe.width == Recipe.width else None)
        self.steps, self.decay = recipe.seeing + recipe.learning, recipe.decay
        self.stops = {recipe.seeing, *range(recipe.seeing, self.steps, WATCH_EVERY)}
        self._words, self._sense = teaching.word_ids(self.tokenizer), alignment.sense(self.tokenizer)
        self._lookout = lookout(pairs=30, groups=15, rows=24)

    def rates(self, step: int) -> tuple[float, float]:
        """Rise, stay, and fall: in the first stage to a fifth, in the second to nothing. Muon's is twice AdamW's."""
        recipe, taught = self._recipe, step - self._recipe.seeing
        if taught < 0:
            rate = recipe.seeing_rate * min(1, (step + 1) / 20, 0.2 + (recipe.seeing - step) / recipe.seeing)
        else:
            rate = recipe.rate * min(1, (taught + 1) / recipe.warmup, (recipe.learning - taught) / recipe.cooling)
        return 2 * rate, rate

    def learn(self, step: int) -> dict[str, float]:
        """See, and then learn everything at once."""
        recipe, taught = self._recipe, step - self._recipe.seeing
        if taught < 0:
            return _backward({"words": _see(self.model, self._words, teaching.sight(recipe, step, 0))[0]})
        looks = max(0.1, 1 - 0.9 * taught / recipe.early)
        losses = self._look(taught, looks)
        laid = pages(self.tokenizer, glue_lessons(recipe, taught))
        for page in laid:
            parts = glue_losses(self.model, page, self._sense, looks)
            found = _backward({name: loss / len(laid) for name, loss in parts.items()})
            losses = {name: losses.get(name, 0.0) + found.get(name, 0.0) for name in {**losses, **found}}
        return losses

    def _look(self, taught: int, looks: float) -> dict[str, float]:
        """Learn from pictures: what patches show, which captions are theirs, and to answer."""
        recipe = self._recipe
        sheets, told = scenes(recipe, taught)
        seen, states = _see(
            self.model, self._words, [*(sheet.scene for sheet in sheets), *(scene for scene, _ in told)]
        )
        texts = [text for _, two in told_of(sheets, told, taught) for text in two]
        matched = matching.match_loss(embed_pictures(self.model, states), self._embed(texts))
        losses = {"words": seen, "match": matched}
        if sheets:
            patches = states[: len(sheets)]
            batch = ask(self.tokenizer, sheets)
            losses |= answer_losses(self.model, batch, patches.detach() if taught < recipe.apart else patches, looks)
        return _backward(losses)

    def _embed(self, texts: Sequence[str]) -> torch.Tensor:
        return embed_texts(self.model, self.tokenizer, texts)

    def watch(self, done: int) -> str:
        """Say how much is seen, answered, found and told of what is watched."""
        seen = f"sees {sees(self.model, self._words, self._lookout)}"
        if done <= self._recipe.seeing:
            return seen
        return f"{seen} {marks(self.model, self.tokenizer, self._lookout)}"

    def save(self, out: Path, done: int) -> None:
        """Save both classes' weights, and what reads for them."""
        save(self.model, build_processor(self.tokenizer), out)


def report(out: Path) -> list[str]:
    """Say what a finished checkpoint reaches on more of the watched stream."""
    from safetensors.torch import load_file

    tokenizer = build_tokenizer(RECIPE.vocabulary)
    model = build_model(RECIPE, tokenizer)
    weights = load_file(out / "model.safetensors")
    for part in model.values():
        own = part.state_dict()
        own_weights = {name: weights[name].float() for name in own if name in weights}
        part.load_state_dict(own_weights, strict=False)
    return [f"watched: {marks(model, tokenizer, lookout(pairs=60, groups=25, rows=100))}"]


# What a step reads


def scenes(recipe: Recipe, step: int) -> tuple[list[QuestionSheet], list[tuple[Scene, tuple[str, ...]]]]:
    """Give the images that are asked about in a step of the second stage, and those that are only told."""
    things = teaching.EASY_THINGS if step < recipe.easy else THINGS
    first, allowed = ASKED + step * recipe.images, PAIRS - HELD_OUT
    ids = range(first, first + recipe.images, 2)
    sheets = [
        sheet
        for image_id in ids
        for sheet in sheets_of_pair(image_id, wanted=recipe.questions, allowed=allowed, things=things)
    ]
    begin = TOLD + step * recipe.groups * GROUP
    told = [
        (one.scene, one.captions)
        for image_id in range(begin, begin + recipe.groups * GROUP, GROUP)
        for one in group(image_id, allowed=allowed)
    ]
    return sheets, told


def told_of(
    sheets: Sequence[QuestionSheet], told: Sequence[tuple[Scene, tuple[str, ...]]], step: int
) -> list[tuple[Scene, tuple[str, str]]]:
    """Give each scene with two captions: the one that lists everything, and one of the four others."""
    pictured = [(sheet.scene, captions(sheet.scene, Random(f"captions {sheet.image_id}"))) for sheet in sheets]
    rng = Random(f"told {step}")
    return [(scene, (texts[0], rng.choice(texts[1:]))) for scene, texts in [*pictured, *told]]


def glue_lessons(recipe: Recipe, step: int) -> list[Lesson]:
    """Give the rows of GLUE of a step of the second stage; at first the shorter half of twice as many."""
    found = []
    for task in TASKS[:-1]:
        drawn = 2 * recipe.rows if step < recipe.easy else recipe.rows
        first = (step + min(step, recipe.easy)) * recipe.rows
        rows = [lesson(task, "train", index) for index in range(first, first + drawn)]
        found += sorted(rows, key=lambda one: len(one.asked))[: recipe.rows]
    return found


# What it learns


def _backward(losses: dict[str, torch.Tensor]) -> dict[str, float]:
    """Add the gradients of the sum of some losses."""
    import torch

    torch.stack(list(losses.values())).sum().backward()
    return {name: loss.item() for name, loss in losses.items()}


def _see(model: nn.ModuleDict, words: torch.Tensor, pictured: Sequence[Scene]) -> tuple[torch.Tensor, torch.Tensor]:
    """Give the loss of naming what patches show, and the states of the tower, (B, 1 + P, width)."""
    import torch

    states = model["answering"].vision_model(pixels(pictured)).last_hidden_state
    true = torch.stack([patch_words(scene, patch_shares(scene)) for scene in pictured])
    embeddings = model["answering"].text_encoder.embeddings.word_embeddings.weight[words]
    return 5 * teaching.word_loss(states[:, 1:], embeddings, true), states


def answer_losses(model: nn.ModuleDict, batch: Asked, states: torch.Tensor, looks: float) -> dict[str, torch.Tensor]:
    """Give the losses of answering; `looks` is what it counts where the encoder looks."""
    encoder = model["answering"].text_encoder
    read = encoder(
        input_ids=batch.tokens, position_ids=batch.positions, attention_mask=batch.mask,
        encoder_hidden_states=states, output_attentions=True,
    )  # fmt: skip
    asked = read.last_hidden_state.flatten(0, 1)[batch.places]
    parts = [_look_loss(read.cross_attentions[layer], batch.named) for layer in NAMING_LAYERS]
    parts += [_look_loss(read.cross_attentions[layer], batch.asked) for layer in ASKING_LAYERS]
    looked = [part for part in parts if part is not None]
    losses = {"answers": say_loss(model, asked, batch.there, batch.said)}
    return losses | ({"looks": looks * sum(looked[1:], looked[0]) / len(looked)} if looked else {})


def _look_loss(attention: torch.Tensor, looks: Looks) -> torch.Tensor | None:
    """Measure how far a layer's first head is from looking where it is shown; the first position is no patch."""
    if not len(looks.tokens):
        return None
    image, position = looks.tokens.T
    paid: torch.Tensor = attention[image, 0, position, 1:]
    return -(looks.patches * paid.clamp(min=1e-9).log()).sum(-1).mean()


def say_loss(model: nn.ModuleDict, states: torch.Tensor, mask: torch.Tensor, answers: Said) -> torch.Tensor:
    """Measure how unlikely the answers are to what was read: states (N, L, width), mask (N, L)."""
    from torch.nn.functional import cross_entropy

    logits = _say(model, states, mask, answers)
    return cross_entropy(logits.flatten(0, 1), answers.labels.flatten(), ignore_index=IGNORED)


def _say(model: nn.ModuleDict, states: torch.Tensor, mask: torch.Tensor, answers: Said) -> torch.Tensor:
    """Give the logits of answers, (N, T, vocabulary)."""
    logits: torch.Tensor = (
        model["answering"]
        .text_decoder(
            input_ids=answers.tokens, encoder_hidden_states=states, encoder_attention_mask=mask, use_cache=False
        )
        .logits
    )
    return logits


def glue_losses(model: nn.ModuleDict, page: Page, sense: alignment.Sense, looks: float) -> dict[str, torch.Tensor]:
    """Give the losses of rows without pictures: the labels, where words look, and whether they know their like."""
    from torch.nn.functional import binary_cross_entropy_with_logits, normalize

    encoder = model["answering"].text_encoder
    read = encoder(page.tokens, attention_mask=page.mask, output_attentions=True, output_hidden_states=True)
    losses = {"labels": say_loss(model, read.last_hidden_state, page.mask, page.said)}
    compared, repeats = alignment.comparisons(page.tokens, sense)
    led = compared.any(-1)
    if not led.any():
        return losses
    paid = [(read.attentions[layer][:, 0] * compared).sum(-1)[led].clamp(min=1e-9).log() for layer in COMPARING_LAYERS]
    answers = normalize(encoder.embeddings.word_embeddings.weight[sense.answers], dim=-1)
    no, yes = (normalize(read.hidden_states[SAID_AFTER][led], dim=-1) @ answers.T).T
    known = binary_cross_entropy_with_logits(alignment.CONTRAST * (yes - no), repeats[led].float())
    return losses | {"likes": -looks * (paid[0] + paid[1]).mean() / 2, "known": looks * known}


def embed_pictures(model: nn.ModuleDict, states: torch.Tensor) -> torch.Tensor:
    """Embed pictures by the states of the tower, (B, shared)."""
    embedded: torch.Tensor = model["matching"].vision_proj(states[:, 0])
    return embedded


def embed_texts(model: nn.ModuleDict, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> torch.Tensor:
    """Embed captions, (N, shared), the short ones and the long ones apart."""
    import torch

    cut = tokenizer(list(texts))["input_ids"]
    order = sorted(range(len(cut)), key=lambda row: len(cut[row]))
    size = -(-len(cut) // 3)
    found = []
    for start in range(0, len(cut), size):
        tokens, mask = rows_of(tokenizer, [cut[row] for row in order[start : start + size]])
        states = model["matching"].text_encoder(tokens, attention_mask=mask).last_hidden_state
        found.append(model["matching"].text_proj(states[:, 0]))
    places = torch.empty(len(cut), dtype=torch.int64)
    places[order] = torch.arange(len(cut))
    return torch.cat(found)[places]


# What is watched


def lookout(*, pairs: int, groups: int, rows: int) -> Lookout:
    """Give what training is watched on: so many pairs of images with questions, groups of told images, rows a task."""
    firsts = range(WATCHED, WATCHED + groups * GROUP, GROUP)
    told = [(one.scene, one.captions) for image_id in firsts for one in group(image_id, allowed=PAIRS)]
    glue = [one for one in watched_rows(rows) if one.task != "math"]
    return Lookout(teaching.watched(pairs), told, glue)


def sees(model: nn.ModuleDict, words: torch.Tensor, watched: Lookout) -> exam.Marks:
    """Give the share of patches of things whose colour, shape, ... comes first among the words for it."""
    import torch
    from torch.nn.functional import normalize

    pictured = [sheet.scene for sheet in watched.sheets]
    embeddings = model["answering"].text_encoder.embeddings.word_embeddings.weight[words]
    with torch.no_grad():
        states = model["answering"].vision_model(pixels(pictured)).last_hidden_state
        near = normalize(states[:, 1:], dim=-1) @ normalize(embeddings, dim=-1).T
    return exam.first_words(near, torch.stack([patch_words(scene, patch_shares(scene)) for scene in pictured]))


def marks(model: nn.ModuleDict, tokenizer: PreTrainedTokenizerBase, watched: Lookout) -> dict[str, float]:
    """Give shares: of questions that are answered right, pictures that find a caption, rows with the right label."""
    import torch

    found: dict[str, float] = {}
    with torch.no_grad():
        batch = ask(tokenizer, watched.sheets)
        states = model["answering"].vision_model(pixels([sheet.scene for sheet in watched.sheets])).last_hidden_state
        read = model["answering"].text_encoder(
            input_ids=batch.tokens,
            position_ids=batch.positions,
            attention_mask=batch.mask,
            encoder_hidden_states=states,
        )
        asked = read.last_hidden_state.flatten(0, 1)[batch.places]
        right = _right(_say(model, asked, batch.there, batch.said), batch.said)
        kinds = [question.answer_type for sheet in watched.sheets for question in sheet.questions]
        found["vqa"] = sum(right) / len(right)
        for kind in sorted(set(kinds)):
            some = [one for one, own in zip(right, kinds, strict=True) if own == kind]
            found[kind] = sum(some) / len(some)
        found |= _found(model, tokenizer, watched)
        for task in TASKS[:-1]:
            good: list[bool] = []
            for page in pages(tokenizer, [one for one in watched.rows if one.task == task], sheets=2):
                states = model["answering"].text_encoder(page.tokens, attention_mask=page.mask).last_hidden_state
                good += _right(_say(model, states, page.mask, page.said), page.said)
            found[task] = sum(good) / len(good)
    return {name: round(share, 2) for name, share in found.items()}


def _right(logits: torch.Tensor, answers: Said) -> list[bool]:
    """Say which answers greedy decoding would give."""
    right: list[bool] = ((logits.argmax(-1) == answers.labels) | (answers.labels == IGNORED)).all(1).tolist()
    return right


def _found(model: nn.ModuleDict, tokenizer: PreTrainedTokenizerBase, watched: Lookout) -> dict[str, float]:
    """Give the share of pictures that find a caption of theirs, and of captions that find their picture."""
    import torch
    from torch.nn.functional import normalize

    owner = torch.tensor([n for n, (_, texts) in enumerate(watched.told) for _ in texts])
    states = model["answering"].vision_model(pixels([scene for scene, _ in watched.told])).last_hidden_state
    texts = embed_texts(model, tokenizer, [text for _, texts in watched.told for text in texts])
    likeness = normalize(embed_pictures(model, states), dim=-1) @ normalize(texts, dim=-1).T
    found: dict[str, float] = {}
    for k in (1, 5):
        to_text = (owner[likeness.topk(k).indices] == torch.arange(len(watched.told))[:, None]).any(1)
        to_image = (likeness.T.topk(k).indices == owner[:, None]).any(1)
        found |= {f"i2t@{k}": float(to_text.float().mean()), f"t2i@{k}": float(to_image.float().mean())}
    return found
