"""The `v3-seq2seq` replica: a T5 of twelve encoder and twelve decoder layers that learns what `r1` learns.

It reads the same lessons with the same tokenizer. What it learns of English beyond the labels it learns as T5 does: a
part of the rows is not answered but read with holes, and the decoder says what stood in them. Half of a pair of
sentences often tells what is missing in the other, so holes teach to compare. And it is shown
where to look (`v3_looks`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from evals.models.replicas.recipes.r1 import config as r1
from evals.models.replicas.recipes.r1.config import IGNORED, Marks
from evals.models.replicas.recipes.r1.train import EXAM, WATCH_EVERY
from evals.models.replicas.recipes.v3_seq2seq import looks as v3_looks
from evals.models.replicas.training import alignment, loop
from evals.models.replicas.training.lessons import TASKS, Lesson, lesson

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase, T5ForConditionalGeneration

HOLES = tuple(f"<|hole_{number}|>" for number in range(12))
"""What stands in the place of words that are left out; T5 calls them sentinels."""

KINDS = ("reading", "answers", "solutions", "results")

OTHER_ROWS = 500_000_000
"""Number of the first row that is read with holes."""


@dataclass(frozen=True)
class Recipe:
    """All that settles the checkpoint."""

    steps: int = 800
    cooling: int = 250
    """Over so many of the last steps the learning rates fall to nothing."""
    rows: int = 10
    """Rows of each task of GLUE that are answered in a step, all processes together."""
    easy: int = 250
    """In so many of the first steps twice as many rows are drawn, and of each task the shorter half is kept."""
    holed: int = 2
    """Rows of each task of GLUE that are read with holes in a step."""
    problems: int = 12
    """Mathematical problems a step."""
    drill: int = 40
    """Further problems a step of which only the sums are learned."""
    processes: int = 2
    rate: float = 3e-3
    """Of AdamW, for embeddings, position biases and norms; the matrices' is `muon_rate`."""
    muon_rate: float = 2.5e-3
    warmup: int = 60
    decay: float = 0.02
    reading: float = 0.5
    """Weight of saying what stood in the holes."""
    looks: float = 1.0
    """Weight of looking where `v3_looks` shows."""
    early: int = 600
    """Both weights fall to a tenth over so many steps."""
    missing: float = 0.2
    """Share of the words that are left out where holes are made."""
    seed: int = 5
    width: int = 96
    inner: int = 256
    heads: int = 4
    layers: int = 12
    """Of the encoder, and as many of the decoder."""
    vocabulary: int = 1792


def build_tokenizer(vocabulary: int) -> PreTrainedTokenizerBase:
    """Give `r1`'s tokenizer with a token for each hole."""
    tokenizer = r1.build_tokenizer(vocabulary)
    tokenizer.add_tokens(list(HOLES), special_tokens=True)
    return tokenizer


def build_model(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> T5ForConditionalGeneration:
    """Make the untrained model, seeded."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(recipe.seed)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=recipe.width,
        d_kv=recipe.width // recipe.heads,
        d_ff=recipe.inner,
        num_layers=recipe.layers,
        num_decoder_layers=recipe.layers,
        num_heads=recipe.heads,
        feed_forward_proj="gated-silu",
        dropout_rate=0.0,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )
    config._attn_implementation = "eager"  # the looks that are led must be seen
    return T5ForConditionalGeneration(config)


# What a step learns from


class Pair(NamedTuple):
    """Tokens that are read, and tokens that are said."""

    kind: str
    """One of the first three of `KINDS`."""
    asked: list[int]
    said: list[int]
    results: Sequence[int] = ()
    """Places in `said` of the digits of results, which are losses of their own."""


class Page(NamedTuple):
    """Pairs of about one length, as tensors: B pairs, S tokens of the longest that is read, T that is said."""

    tokens: torch.Tensor
    """(B, S) int64."""
    mask: torch.Tensor
    """(B, S) int64, 0 where there is padding."""
    labels: torch.Tensor
    """(B, T) int64: what is to be said, else `IGNORED`."""
    kinds: list[str]
    """(B) of `KINDS`."""
    results: torch.Tensor
    """(B, T) bool: the digits of results."""


def pairs(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, step: int, rank: int) -> list[Pair]:
    """Give what one process learns from in one step: a function of its arguments."""
    return [
        *answered(tokenizer, r1.lessons(recipe, step, rank)),
        *(_holed(recipe, tokenizer, text) for text in _texts(recipe, step, rank)),
    ]


def answered(tokenizer: PreTrainedTokenizerBase, found: Sequence[Lesson]) -> list[Pair]:
    """Cut lessons into tokens."""
    asked = tokenizer([one.asked for one in found], add_special_tokens=False)["input_ids"]
    said = tokenizer([r1.ended(one) for one in found], add_special_tokens=False)["input_ids"]
    kinds = ["solutions" if one.task in {"math", "sums"} else "answers" for one in found]
    results = [
        r1.result_places(tokenizer.convert_ids_to_tokens(ids), one.task) if kind == "solutions" else []
        for one, kind, ids in zip(found, kinds, said, strict=True)
    ]
    return [Pair(*pair) for pair in zip(kinds, asked, said, results, strict=True)]


def _texts(recipe: Recipe, step: int, rank: int) -> Iterator[str]:
    """Give the texts of rows, without the question that is asked of them."""
    share = recipe.holed // recipe.processes
    first = OTHER_ROWS + (step * recipe.processes + rank) * share
    for task in TASKS[:-1]:
        for index in range(first, first + share):
            yield lesson(task, "train", index).asked.rsplit("\n", 2)[0]


def _holed(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, text: str) -> Pair:
    """Leave words out of a text; what is said is each hole and what stood there. Seeded by the text."""
    rng = Random(f"holes {recipe.seed} {text}")
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    most = min(len(HOLES), max(1, round(recipe.missing * len(ids))))
    gone = set(rng.sample(range(len(ids)), most))
    holes = iter(tokenizer.convert_tokens_to_ids(list(HOLES)))
    asked: list[int] = []
    said: list[int] = []
    for place, token in enumerate(ids):
        if place not in gone:
            asked.append(token)
            continue
        if place - 1 not in gone or not said:
            asked.append(hole := next(holes))
            said.append(hole)
        said.append(token)
    return Pair("reading", asked, [*said, tokenizer.eos_token_id])


def pages(found: Sequence[Pair], sheets: int = 4) -> list[Page]:
    """Lay out pairs, those that say little and read little apart from the others, so that little is padding."""
    laid = sorted(found, key=lambda pair: (len(pair.said) > 4, len(pair.asked)))
    total, cuts, seen = sum(len(pair.asked) for pair in laid), [0], 0
    for number, pair in enumerate(laid, start=1):
        seen += len(pair.asked)
        if seen >= total * len(cuts) / sheets:
            cuts.append(number)
    return [_page(laid[start:end]) for start, end in pairwise(cuts)]


def _page(laid: Sequence[Pair]) -> Page:
    import torch

    size = (len(laid), max(len(pair.asked) for pair in laid))
    tokens, mask = torch.zeros(size, dtype=torch.int64), torch.zeros(size, dtype=torch.int64)
    labels = torch.full((len(laid), max(len(pair.said) for pair in laid)), IGNORED)
    results = torch.zeros(labels.shape, dtype=torch.bool)
    for row, pair in enumerate(laid):
        tokens[row, : len(pair.asked)], mask[row, : len(pair.asked)] = torch.tensor(pair.asked), 1
        labels[row, : len(pair.said)] = torch.tensor(pair.said)
        results[row, list(pair.results)] = True
    return Page(tokens, mask, labels, [pair.kind for pair in laid], results)


class Weights(NamedTuple):
    """How much it counts what is learnt beside the answers."""

    reading: float
    looks: float
    words: alignment.Sense


def learn(model: T5ForConditionalGeneration, laid: Sequence[Page], weights: Weights) -> dict[str, float]:
    """Add the gradients of some pages, and give the mean loss of each kind.

    A label is one token and a worked solution fifty: each kind counts as a whole, or labels would hardly count.
    """
    from torch.nn.functional import cross_entropy

    of_kind = [_places(page) for page in laid]
    totals = {kind: sum(int(places[kind].sum()) for places in of_kind) for kind in KINDS}
    losses = dict.fromkeys((*KINDS, "looks", "likes"), 0.0)
    for page, places in zip(laid, of_kind, strict=True):
        said = model(
            input_ids=page.tokens, attention_mask=page.mask, labels=page.labels, use_cache=False,
            output_attentions=True, output_hidden_states=True,
        )  # fmt: skip
        each = cross_entropy(said.logits.flatten(0, 1), page.labels.flatten(), ignore_index=IGNORED, reduction="none")
        parts = {kind: each[places[kind].flatten()].sum() / max(1, totals[kind]) for kind in KINDS}
        looks, likes = v3_looks.lead(model, page, said, weights.words)
        parts |= {"looks": looks / len(laid), "likes": likes / len(laid)}
        beside = weights.reading * parts["reading"] + weights.looks * (parts["looks"] + parts["likes"])
        (parts["answers"] + parts["solutions"] + parts["results"] + beside).backward()
        losses = {name: losses[name] + float(part.detach()) for name, part in parts.items()}
    return losses


def _places(page: Page) -> dict[str, torch.Tensor]:
    """Say which labels count for which loss, each (B, T) bool."""
    import torch

    there = page.labels != IGNORED
    found = {kind: torch.tensor([one == kind for one in page.kinds])[:, None] & there for kind in KINDS}
    return found | {"solutions": found["solutions"] & ~page.results, "results": page.results}


def marks(model: T5ForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, exam: Sequence[Lesson]) -> Marks:
    """Say how much of an exam the model would answer entirely right, as `r1.marks` does."""
    import torch

    shares = {}
    for task in TASKS:
        right: list[bool] = []
        for page in pages(answered(tokenizer, [one for one in exam if one.task == task]), sheets=2):
            with torch.no_grad():
                given = model(input_ids=page.tokens, attention_mask=page.mask, labels=page.labels, use_cache=False)
            right += ((given.logits.argmax(-1) == page.labels) | (page.labels == IGNORED)).all(1).tolist()
        shares[task] = sum(right) / len(right)
    return Marks(shares)


# The training


class Course:
    """One process's side of the training."""

    def __init__(self, recipe: Recipe, rank: int) -> None:
        self._recipe, self._rank = recipe, rank
        self.tokenizer = build_tokenizer(recipe.vocabulary)
        self.model = build_model(recipe, self.tokenizer)
        self.steps, self.decay = recipe.steps, recipe.decay
        self.stops = range(WATCH_EVERY, recipe.steps, WATCH_EVERY)
        self._exam = r1.watched(EXAM) if rank == 0 else []
        self._words = alignment.sense(self.tokenizer)

    def rates(self, step: int) -> tuple[float, float]:
        """Rise, stay, and fall to nothing."""
        return loop.rates(self._recipe, step)

    def learn(self, step: int) -> dict[str, float]:
        """Learn from the step's pairs; reading, and where to look, count less and less."""
        recipe = self._recipe
        share = max(0.1, 1 - 0.9 * step / recipe.early)
        weights = Weights(recipe.reading * share, recipe.looks * share, self._words)
        return learn(self.model, pages(pairs(recipe, self.tokenizer, step, self._rank)), weights)

    def watch(self, done: int) -> str:
        """Mark the watched stream."""
        return str(marks(self.model, self.tokenizer, self._exam))

    def save(self, out: Path, done: int) -> None:
        """Save the model and its tokenizer."""
        loop.save_model(self.model, self.tokenizer, out)


RECIPE = Recipe()


def report(out: Path) -> list[str]:
    """Say what a finished checkpoint reaches on more of the watched stream."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    model = AutoModelForSeq2SeqLM.from_pretrained(out, dtype="float32")
    return [f"watched stream: {marks(model, AutoTokenizer.from_pretrained(out), r1.watched(5 * EXAM))}"]
