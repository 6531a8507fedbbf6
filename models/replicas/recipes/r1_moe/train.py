"""How the `r1-moe` replica is trained: what a step learns from, its losses, and what is watched.

Shapes: as in `packing` and `alignment`; T steps of a recording, H heads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.models.replicas.recipes.r1 import config
from evals.models.replicas.recipes.r1_moe.config import (
    DIGITS,
    HEARD,
    PREFIX,
    STEPS,
    Recipe,
    build_model,
    build_processor,
    build_tokenizer,
)
from evals.models.replicas.recipes.vl.data import IGNORED, Batch, Looks, Packer
from evals.models.replicas.training import alignment, exam, loop, matching, teaching
from evals.tasks.mini import tones
from evals.tasks.mini.glue import TABLE
from evals.tasks.mini.images.scenes import COLORS, SIZES, TEXTURES
from evals.tasks.mini.vqa import FIRST_IMAGE, HELD_OUT, PAIRS, THINGS, QuestionSheet, sheets_of_pair

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    from evals.models.architectures.mixture import MixtureForConditionalGeneration
    from evals.models.replicas.recipes.r1.config import Page
    from evals.models.replicas.training.alignment import Sense

RECIPE = Recipe()

WATCH_EVERY = 100
"""Steps between two looks at the watched streams."""
EXAM = 20
"""Rows of each task of GLUE that are watched."""
FOUND, LISTENED = 60, 60
"""Pictures that finding is watched on, with five captions each, and recordings."""

COMPARING_LAYERS, ASKING_LAYERS, SAID_AFTER = (1, 2), (3, 4), 3
"""Decoder layers, from 0, of which the first head is led: from words and names, and from the ends of questions. After
the last a word's state says whether it repeats a meaning."""

WORD_HEAD, NAME_HEAD = (0, 0), (2, 1)
"""The layer and the head that are led from the last word of a name to its others, and from the end of a question to the
names in it: for what is to be looked at must be known whole."""

SOUNDED, HEARD_LATER, WATCHED_CLIPS = 2_000_000, 3_000_000, 900_000_000
"""Ids of the first recordings of the two stages, and of those that are watched."""

SPAN = 640
"""Samples from a step of a recording to the next."""


# What sounds


def recordings(first: int, number: int) -> tuple[torch.Tensor, list[tones.Clip]]:
    """Make recordings and what the model reads of them, (B, M, F)."""
    import numpy as np

    from evals.models.architectures.mixture import MelExtractor

    clips = [tones.clip(clip_id) for clip_id in range(first, first + number)]
    heard = [((one.samples.astype(np.float32) - 128) / 128).astype(np.float32) for one in clips]
    read = MelExtractor(sampling_rate=tones.RATE)(heard)
    return read["input_features"], clips


def sounding(clips: Sequence[tones.Clip]) -> torch.Tensor:
    """Say which digit each step holds, (B, T, digits + 1) float32; the last is for those that hold none."""
    import torch

    truth = torch.zeros(len(clips), STEPS, len(DIGITS) + 1)
    for row, one in zip(truth, clips, strict=True):
        for step in range(STEPS):
            inside = min(one.end, (step + 0.5) * SPAN) - max(one.start, (step - 0.5) * SPAN)
            row[step, DIGITS.index(one.digit) if inside >= SPAN / 4 else -1] = 1
    return truth


def digit_ids(tokenizer: PreTrainedTokenizerBase) -> torch.Tensor:
    """Give the tokens of the digits as they stand within a sentence, and of `background`."""
    import torch

    ids = [tokenizer(f" {word}", add_special_tokens=False)["input_ids"] for word in (*DIGITS, "background")]
    assert all(len(one) == 1 for one in ids), ids
    return torch.tensor(ids)[:, 0]


# What a step learns from


def asked(recipe: Recipe, step: int) -> list[QuestionSheet]:
    """Give the pictures and questions of a step of the second stage."""
    things = teaching.EASY_THINGS if step < recipe.easy else THINGS
    first = FIRST_IMAGE["train"] + step * recipe.images
    return [
        sheet
        for image_id in range(first, first + recipe.images, 2)
        for sheet in sheets_of_pair(image_id, wanted=recipe.questions, allowed=PAIRS - HELD_OUT, things=things)
    ]


# Its losses


def answer_losses(
    model: MixtureForConditionalGeneration, batch: Batch, words: torch.Tensor, attributes: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Give the losses of answering questions about pictures, and of looking at what they are about."""
    import torch
    from torch.nn.functional import cross_entropy

    patches = model.model.get_image_features(batch.pixels).pooler_output
    embedded = model.get_input_embeddings()(batch.tokens)
    embedded = embedded.masked_scatter((batch.tokens == model.config.image_token_id)[..., None], patches)
    mask = torch.zeros(batch.visible.shape).masked_fill_(~batch.visible, torch.finfo(torch.float32).min)
    said = model.model.language_model(
        inputs_embeds=embedded, attention_mask=mask, position_ids=batch.positions, use_cache=False,
        output_attentions=True,
    )  # fmt: skip
    labels = batch.labels != IGNORED
    is_patch = batch.tokens[0] == model.config.image_token_id
    led = [(layer, batch.named) for layer in COMPARING_LAYERS] + [(layer, batch.asked) for layer in ASKING_LAYERS]
    looks = [_patch_loss(said.attentions[layer], looks, is_patch) for layer, looks in led if len(looks.tokens)]
    return {
        "answers": cross_entropy(model.lm_head(said.last_hidden_state[labels]), batch.labels[labels]),
        "words": teaching.word_loss(patches, model.get_input_embeddings().weight[words], batch.words),
        "named": torch.stack(looks).mean() if looks else embedded.sum() * 0,
        "gathered": gathering_loss(batch, said.attentions, attributes),
    }


def _patch_loss(attention_BHSS: torch.Tensor, looks: Looks, is_patch: torch.Tensor) -> torch.Tensor:
    """Measure how far the first head is from looking at patches as some tokens should."""
    image, position = looks.tokens.T
    paid = attention_BHSS[image, 0, position][:, is_patch].clamp(min=1e-9)
    return -(looks.patches * paid.log()).sum(-1).mean()


def gathering_loss(batch: Batch, attentions: Sequence[torch.Tensor], attributes: torch.Tensor) -> torch.Tensor:
    """Measure how far names are from looking at their own words, and ends of questions from looking at names.

    Args:
        batch: What was read.
        attentions: (B, H, S, S) of each layer.
        attributes: The tokens of colours, sizes and textures.
    """
    import torch

    image, last = batch.named.tokens.T
    words = torch.zeros(len(last), batch.tokens.shape[1])
    before, goes_on = torch.isin(batch.tokens, attributes), torch.ones(len(last), dtype=torch.bool)
    for back in (1, 2, 3):
        goes_on = goes_on & before[image, last - back]
        words[range(len(last)), last - back] = goes_on.float()
    asked, end = batch.asked.tokens.T
    named = torch.zeros(batch.tokens.shape, dtype=torch.bool)
    named[image, last] = True
    names = (named[asked] & batch.visible[asked, 0, end]).float()
    losses = [torch.zeros(())]
    for targets, paid in (
        (words, attentions[WORD_HEAD[0]][image, WORD_HEAD[1], last]),
        (names, attentions[NAME_HEAD[0]][asked, NAME_HEAD[1], end]),
    ):
        there = targets.any(-1)
        spread = targets[there] / targets[there].sum(-1, keepdim=True)
        if len(spread):
            losses.append(-(spread * paid[there].clamp(min=1e-9).log()).sum(-1).mean())
    return torch.stack(losses).sum() / 2


def attribute_ids(tokenizer: PreTrainedTokenizerBase) -> torch.Tensor:
    """Give the tokens of the words that stand before a thing's shape in its name."""
    import torch

    words = (*COLORS, *SIZES, *TEXTURES)
    return torch.tensor(tokenizer([f" {word}" for word in words], add_special_tokens=False)["input_ids"])[:, 0]


def heard_loss(
    model: MixtureForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, first: int, number: int
) -> torch.Tensor:
    """Give the loss of saying which digit sounds, and that this is all."""
    from torch.nn.functional import cross_entropy

    logits, labels = _listen(model, tokenizer, first, number)
    return cross_entropy(logits.flatten(0, 1), labels.flatten())


def _listen(
    model: MixtureForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, first: int, number: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Give the logits (B, 2, vocabulary) and labels (B, 2) of the answers to some recordings."""
    import torch

    features, clips = recordings(first, number)
    prompt = tokenizer(HEARD, add_special_tokens=False)["input_ids"]
    digits = tokenizer([f" {one.digit}" for one in clips], add_special_tokens=False)["input_ids"]
    tokens = torch.tensor([[*prompt, *digit] for digit in digits])
    said = model(tokens, torch.arange(len(prompt) - 1, len(prompt) + 1), input_features=features, use_cache=False)
    return said.logits, torch.tensor([[*digit, tokenizer.eos_token_id] for digit in digits])


def page_losses(model: MixtureForConditionalGeneration, page: Page, sense: Sense) -> dict[str, torch.Tensor]:
    """Give the losses of a page of GLUE: sums over its labels and words, means over what is led."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, normalize

    said = model(page.tokens, use_cache=False, output_attentions=True, output_hidden_states=True)
    logits = said.logits.flatten(0, 1)
    losses = {
        kind: cross_entropy(logits, targets.flatten(), ignore_index=IGNORED, reduction="sum")
        for kind, targets in (("reading", page.reading), ("labels", page.answers))
    }
    compared, repeats = alignment.comparisons(page.tokens, sense)
    there = compared.any(-1)
    if not there.any():
        return losses | {"compared": logits.sum() * 0, "likes": logits.sum() * 0}
    paid = [(said.attentions[layer][:, 0] * compared).sum(-1)[there].clamp(min=1e-9) for layer in COMPARING_LAYERS]
    answers = normalize(model.get_input_embeddings().weight[sense.answers], dim=-1)
    no, yes = (normalize(said.hidden_states[SAID_AFTER + 1][there], dim=-1) @ answers.T).T
    likes = binary_cross_entropy_with_logits(alignment.CONTRAST * (yes - no), repeats[there].float())
    return losses | {"compared": -torch.stack(paid).log().mean(), "likes": likes}


# The training


class Course:
    """The training, in one process."""

    def __init__(self, recipe: Recipe, rank: int) -> None:
        self._recipe, self._rank = recipe, rank
        self._tokenizer = build_tokenizer(recipe.vocabulary)
        self.model = build_model(recipe, self._tokenizer)
        self.steps, self.decay = recipe.sensing + recipe.steps, recipe.decay
        self.stops = range(WATCH_EVERY, self.steps, WATCH_EVERY)
        self._packer, self._words = Packer(self._tokenizer, PREFIX), teaching.word_ids(self._tokenizer)
        self._digits, self._sense = digit_ids(self._tokenizer), alignment.sense(self._tokenizer)
        self._attributes = attribute_ids(self._tokenizer)
        self._gates = [layer.mlp.gate for layer in self.model.model.language_model.layers[1:]]
        self._chosen: list[torch.Tensor] = []
        for number, gate in enumerate(self._gates):
            gate.register_forward_hook(lambda _, __, routed, number=number: self._count(number, routed[2]))

    def rates(self, step: int) -> tuple[float, float]:
        """Rise in each stage; fall as a cosine in the first, stay and then fall to nothing in the second."""
        recipe, done = self._recipe, step - self._recipe.sensing
        if done < 0:
            share = min(1, (step + 1) / recipe.warmup) * (
                0.05 + 0.475 * (1 + math.cos(math.pi * step / recipe.sensing))
            )
            return recipe.muon_rate * share, recipe.sensing_rate * share
        share = min(1, (done + 1) / recipe.warmup, (recipe.steps - done) / recipe.cooling)
        if 0 <= (mends := done - recipe.mending) < recipe.mended:
            share = min(1, (mends + 1) / 10, (recipe.mended - mends) / recipe.mended)
        return recipe.muon_rate * share, recipe.rate * share

    def learn(self, step: int) -> dict[str, float]:
        """See and hear first, then answer, and then match too."""
        recipe, done = self._recipe, step - self._recipe.sensing
        mends = done - recipe.mending
        self.model.requires_grad_(done < 0 or mends >= recipe.mended or mends < 0)
        for senses in self._senses:
            senses.requires_grad_(done < 0 or recipe.matching <= done < recipe.mending + recipe.mended)
        if mends == recipe.mended:
            self._lengthen()
        return self._sense_things(step) if done < 0 or 0 <= mends < recipe.mended else self._answer(done)

    def _lengthen(self) -> None:
        """Make what enters the decoder longer, or what its first layer adds drowns it; the head notices nothing."""
        import torch

        inner, times = self.model.model, self._recipe.lengthened
        with torch.no_grad():
            for one in (inner.language_model.embed_tokens.weight, inner.image_bridge.gain, inner.audio_bridge.gain):
                one.mul_(times)
            inner.language_model.norm.weight.div_(times)

    @property
    def _senses(self) -> tuple[torch.nn.Module, ...]:
        inner = self.model.model
        return inner.vision_model, inner.image_bridge, inner.ears, inner.audio_bridge

    def _sense_things(self, step: int) -> dict[str, float]:
        recipe, self._chosen = self._recipe, []
        self.model.train()
        seen = teaching.see(self.model, self._words, recipe, step, self._rank)
        features, clips = recordings(SOUNDED + step * recipe.sounds, recipe.sounds)
        steps = self.model.model.get_audio_features(features).pooler_output
        heard = teaching.word_loss(steps, self.model.get_input_embeddings().weight[self._digits], sounding(clips))
        return _backward(seen | {"sounds": 10 * heard})

    def _answer(self, step: int) -> dict[str, float]:
        """Learn from pictures, recordings, texts and pairs, one after the other, as each takes its memory."""
        import torch

        recipe, model = self._recipe, self.model
        model.eval()  # nothing is dropped out; the ResNet's norms stay as they were learnt
        later = step - recipe.mending - recipe.mended
        share = max(0.1, 1 - 0.9 * step / recipe.early) if later < 0 else max(0.1, 1 - later / 300)
        images = recipe.images if later < 0 else recipe.images_later
        self._chosen = [torch.zeros(recipe.experts, dtype=torch.int64) for _ in self._gates]
        losses: dict[str, float] = {}
        sheets = asked(replace(recipe, images=images), step)
        if sheets:  # of so few images all may have turned out to be alike
            found = answer_losses(model, self._packer.pack(sheets), self._words, self._attributes)
            looks = recipe.looks * share
            gathers = looks if step >= recipe.gathering else 0.0
            weights = {"answers": 1.0, "words": 5.0, "named": looks, "gathered": gathers}
            losses |= _backward({name: weights[name] * loss for name, loss in found.items()})
        first = HEARD_LATER + step * recipe.heard
        losses |= _backward({"heard": 0.3 * heard_loss(model, self._tokenizer, first, recipe.heard)})
        losses |= self._read(step, share)
        if step >= recipe.matching:
            losses |= _backward({"match": matching.match(model, self._tokenizer, recipe, step, self._rank)})
        self._balance()
        return losses

    def _read(self, step: int, share: float) -> dict[str, float]:
        """Learn from rows of GLUE."""
        recipe = self._recipe
        laid = config.pages(self._tokenizer, config.lessons(recipe, step, self._rank))
        words, labels = (
            sum(int((kind != IGNORED).sum()) for kind in kinds)
            for kinds in zip(*((p.reading, p.answers) for p in laid), strict=True)
        )
        weights = {
            "reading": recipe.reading * share / words, "labels": 1 / labels,
            "compared": recipe.looks * share / len(laid), "likes": recipe.looks * share / len(laid),
        }  # fmt: skip
        losses = dict.fromkeys(weights, 0.0)
        for page in laid:
            found = page_losses(self.model, page, self._sense)
            given = _backward({name: weights[name] * loss for name, loss in found.items()})
            losses = {name: losses[name] + given[name] for name in losses}
        return losses

    def _count(self, number: int, chosen: torch.Tensor) -> None:
        """Count how frequently a layer chose each expert; only while it learns."""
        if self._chosen:
            self._chosen[number] += chosen.flatten().bincount(minlength=self._recipe.experts)

    def _balance(self) -> None:
        """Raise the bias of the experts that were chosen too rarely, lower the others' (DeepSeek-V3, section 2.1.2)."""
        for gate, chosen in zip(self._gates, self._chosen, strict=True):
            gate.e_score_correction_bias += self._recipe.balance * (chosen.float().mean() - chosen).sign()
        self._chosen = []

    def watch(self, done: int) -> str:
        """Say how well it sees and hears, and later how well it answers, reads and finds."""
        import torch

        self.model.eval()
        self._chosen = []
        with torch.no_grad():
            marks: dict[str, Any] = {"sees": exam.sight(self.model, self._packer, self._words)}
            if done <= self._recipe.sensing:
                features, clips = recordings(WATCHED_CLIPS, LISTENED)
                steps = self.model.model.get_audio_features(features).pooler_output
                marks["hears"] = named(steps, self.model.get_input_embeddings().weight[self._digits], sounding(clips))
                return str(marks)
            marks["answers"] = exam.answers(self.model, self._packer, self._words)
            logits, labels = _listen(self.model, self._tokenizer, WATCHED_CLIPS, LISTENED)
            marks["heard"] = round((logits.argmax(-1) == labels).all(-1).float().mean().item(), 3)
            marks["glue"] = glue_marks(self.model, self._tokenizer, EXAM)
            if done > self._recipe.sensing + self._recipe.matching:
                marks["found"] = matching.found(self.model, self._tokenizer, FOUND)
        return str(marks)

    def save(self, out: Path, done: int) -> None:
        """Save the model and its processor."""
        loop.save_model(self.model, build_processor(self._tokenizer), out)


def named(steps: torch.Tensor, embeddings: torch.Tensor, truth: torch.Tensor) -> float:
    """Give the share of steps with a digit that are nearest to its embedding."""
    from torch.nn.functional import normalize

    near = (normalize(steps, dim=-1) @ normalize(embeddings, dim=-1).T).argmax(-1)
    there = truth[..., -1] == 0
    return float(round((near == truth.argmax(-1))[there].float().mean().item(), 3))


def glue_marks(
    model: MixtureForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, number: int
) -> dict[str, float]:
    """Give the share of watched rows of each task whose label comes first of all tokens."""
    shares = {}
    for task in TABLE:
        right = []
        for page in config.pages(tokenizer, [one for one in config.watched(number) if one.task == task], sheets=2):
            said = model(page.tokens, use_cache=False).logits.argmax(-1)
            right += ((said == page.answers) | (page.answers == IGNORED)).all(1).tolist()
        shares[task] = round(sum(right) / len(right), 2)
    return shares


def _backward(losses: dict[str, torch.Tensor]) -> dict[str, float]:
    """Add the gradients of the sum of some losses."""
    import torch

    torch.stack(list(losses.values())).sum().backward()
    return {name: loss.item() for name, loss in losses.items()}


def report(out: Path) -> list[str]:
    """Say what a finished checkpoint reaches on more of the watched stream of GLUE."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from evals.models.architectures import mixture  # noqa: F401  # so that the library knows what such a checkpoint is

    model = AutoModelForImageTextToText.from_pretrained(out, dtype=torch.float32)
    with torch.no_grad():
        marks = glue_marks(model, AutoProcessor.from_pretrained(out).tokenizer, 5 * EXAM)
    return [f"watched stream: {marks}"]
