"""The `r1` replica: a narrow decoder of twelve layers that reads and reckons, trained on what the mini benchmarks ask.

It is a Llama with a tokenizer of its own, in which every word of the benchmarks is one token and every digit is one.
Five things make three quarters of an hour on two cores enough:

- Heads are led to what can be compared, copied and reckoned with (`alignment`). Without it no label was learnt in 600
  steps; with it seven of the nine tasks are.
- It begins with short rows.
- It also learns, with less weight, to continue the questions themselves.
- The results of sums are a kind of their own among the losses, and the sums of many further problems are learned alone,
  ten tokens each: a problem of a hundred tokens has only two or three.
- The matrices are trained by `Muon`, as those of the `vl` replica are.

The stream of lessons is a function of the recipe: every step takes as many rows of each task, by their numbers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, Protocol

from evals.models.replicas.training.lessons import TASKS, Lesson, lesson
from evals.models.replicas.training.llama import llama_config
from evals.tasks.mini import math

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

END, PAD = "<|end_of_sentence|>", "<|pad|>"

WATCHED = "validation watched"
"""The stream on which training is watched: of the kind of the bundled validation splits, drawn apart from them."""

OTHER_PROBLEMS = 1_000_000_000
"""Number of the first problem of which only the sums are learned."""

SUM = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)")

IGNORED = -100
"""The target of a position that predicts nothing."""


@dataclass(frozen=True)
class Recipe:
    """All that settles the checkpoint."""

    steps: int = 1250
    cooling: int = 350
    """Over so many of the last steps the learning rates fall to nothing; before them they do not depend on `steps`."""
    rows: int = 10
    """Rows of each task of GLUE a step, all processes together."""
    easy: int = 400
    """In so many of the first steps twice as many rows are drawn, and of each task the shorter half is kept."""
    problems: int = 12
    """Mathematical problems a step, all processes together."""
    drill: int = 60
    """Further problems a step of which only the sums are learned, all processes together."""
    processes: int = 2
    rate: float = 1.5e-3
    """Of AdamW, for embeddings and norms; the matrices' is `muon_rate`."""
    muon_rate: float = 2.5e-3
    warmup: int = 100
    """Steps over which the learning rates rise."""
    decay: float = 0.02
    reading: float = 0.5
    """Weight of continuing the questions; it falls to a tenth over the first `early` steps."""
    looks: float = 1.0
    """Weight of looking where `alignment` shows; it falls as that of reading does."""
    early: int = 1000
    seed: int = 1
    width: int = 128
    inner: int = 352
    heads: int = 4
    layers: int = 12
    vocabulary: int = 1792


class Portions(Protocol):
    """The part of a recipe that says how much is learnt in a step."""

    @property
    def rows(self) -> int:
        """Rows of each task of GLUE a step, all processes together."""

    @property
    def easy(self) -> int:
        """In so many of the first steps twice as many rows are drawn, and of each task the shorter half is kept."""

    @property
    def problems(self) -> int:
        """Mathematical problems a step, all processes together."""

    @property
    def drill(self) -> int:
        """Further problems a step of which only the sums are learned, all processes together."""

    @property
    def processes(self) -> int:
        """Among whom they are divided."""


def lessons(recipe: Portions, step: int, rank: int) -> list[Lesson]:
    """Give what one process learns from in one step: a function of its arguments."""
    found = []
    for task in TASKS:
        share = (recipe.problems if task == "math" else recipe.rows) // recipe.processes
        drawn = 2 * share if step < recipe.easy else share
        first = (step + min(step, recipe.easy)) * recipe.processes * share + rank * drawn
        rows = [lesson(task, "train", index) for index in range(first, first + drawn)]
        found += sorted(rows, key=lambda one: len(one.asked) + len(one.answer))[:share]
    share = recipe.drill // recipe.processes
    first = OTHER_PROBLEMS + (step * recipe.processes + rank) * share
    return found + [one for index in range(first, first + share) for one in sums(index)]


def sums(index: int) -> list[Lesson]:
    """Give the sums of a problem alone, but for those whose two numbers are kept for validation."""
    problem = math.problem("train", index)
    return [
        Lesson("sums", f" {first} {sign} {second} =", f" {result}")
        for first, sign, second, result in SUM.findall(problem.answer)
        if not math.are_held_out((int(first), int(second)))
    ]


def build_tokenizer(vocabulary: int) -> PreTrainedTokenizerBase:
    """Train a byte-level BPE on lessons: it cuts any text, and keeps their words whole and all digits apart."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex("\n"), "isolated"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(_texts(), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token=END, pad_token=PAD, model_max_length=1024)


def _texts() -> Iterator[str]:
    """Give what the tokenizer learns from; the second genre of MNLI is read too, so that its words are whole."""
    for task in TASKS:
        splits = ("train", "train", "validation_mismatched watched") if task == "mnli" else ("train",)
        for number, split in enumerate(splits):
            for index in range(800):
                made = lesson(task, split, 10_000_000 * (1 + number) + index)
                yield f"{made.asked}{made.answer}"


def build_model(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> LlamaForCausalLM:
    """Make the untrained model, seeded."""
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(recipe.seed)
    return LlamaForCausalLM(llama_config(recipe, tokenizer))


class Page(NamedTuple):
    """Lessons of about one length, as tensors: B lessons, S tokens of the longest."""

    tokens: torch.Tensor
    """(B, S) int64; what follows the end of a lesson is padding, which nothing before it sees."""
    reading: torch.Tensor
    """(B, S) int64: the next token where it is still of the question, else `IGNORED`."""
    answers: torch.Tensor
    """(B, S) int64: the next token where it is of the answer to a task of GLUE, else `IGNORED`."""
    solutions: torch.Tensor
    """(B, S) int64: the same for mathematical problems, but for the results of their sums."""
    results: torch.Tensor
    """(B, S) int64: the next token where it is a digit of the result of a sum, else `IGNORED`."""


def pages(tokenizer: PreTrainedTokenizerBase, found: Sequence[Lesson], sheets: int = 4) -> list[Page]:
    """Lay out lessons, the short ones and the long ones apart, so that little is padding."""
    asked = tokenizer([one.asked for one in found], add_special_tokens=False)["input_ids"]
    answers = tokenizer([ended(one) for one in found], add_special_tokens=False)["input_ids"]
    results = [
        result_places(tokenizer.convert_ids_to_tokens(said), one.task) for one, said in zip(found, answers, strict=True)
    ]
    laid = sorted((_Laid(*one) for one in zip(found, asked, answers, results, strict=True)), key=_Laid.length)
    total, cuts, seen = sum(one.length() for one in laid), [0], 0
    for number, one in enumerate(laid, start=1):
        seen += one.length()
        if seen >= total * len(cuts) / sheets:
            cuts.append(number)
    return [_page(laid[start:end]) for start, end in pairwise(cuts)]


def ended(one: Lesson) -> str:
    """Give what the model is to say: it ends a worked solution by itself; a label is never generated, only weighed."""
    return f"{one.answer}{END}" if one.task == "math" else one.answer


class _Laid(NamedTuple):
    """A lesson as tokens."""

    lesson: Lesson
    asked: list[int]
    said: list[int]
    results: list[int]
    """Places in `said` of digits of results."""

    def length(self) -> int:
        """Count its tokens."""
        return len(self.asked) + len(self.said)


def result_places(said: Sequence[str], task: str) -> list[int]:
    """Find the digits of the results of sums in what is to be said, as tokens."""
    places, is_result = [], task == "sums"
    for place, token in enumerate(said):
        if token.isdigit():
            places += [place] if is_result else []
        elif token != "Ġ":
            is_result = token == "Ġ="
    return places


def _page(laid: Sequence[_Laid]) -> Page:
    import torch

    size = (len(laid), max(one.length() for one in laid) - 1)
    tokens, targets = torch.zeros(size, dtype=torch.int64), [torch.full(size, IGNORED) for _ in range(4)]
    for number, (found, asked, said, result) in enumerate(laid):
        ids = torch.tensor(asked + said)
        start, end = len(asked) - 1, len(ids) - 1
        tokens[number, :end] = ids[:-1]
        targets[0][number, :start] = ids[1 : start + 1]
        targets[2 if found.task in {"math", "sums"} else 1][number, start:end] = ids[start + 1 :]
        places = [start + place for place in result]
        targets[2][number, places], targets[3][number, places] = IGNORED, ids[[place + 1 for place in places]]
    return Page(tokens, *targets)


class Marks(NamedTuple):
    """How lessons went: the share of those whose whole answer greedy decoding would give, by task."""

    shares: dict[str, float]

    def __str__(self) -> str:
        return " ".join(f"{task} {share:.2f}" for task, share in self.shares.items())


def watched(number: int) -> list[Lesson]:
    """Give lessons to watch the training by, so many a task."""
    return [lesson(task, WATCHED, index) for task in TASKS for index in range(number)]


def marks(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, exam: Sequence[Lesson]) -> Marks:
    """Say how much of an exam the model would answer entirely right."""
    import torch

    right: Counter[str] = Counter()
    for task in TASKS:
        for page in pages(tokenizer, [one for one in exam if one.task == task], sheets=2):
            with torch.no_grad():
                said = model(page.tokens, use_cache=False).logits.argmax(-1)
            good = torch.ones(len(said), dtype=torch.bool)
            for targets in (page.answers, page.solutions, page.results):
                good &= ((said == targets) | (targets == IGNORED)).all(1)
            right[task] += int(good.sum())
    totals = Counter(one.task for one in exam)
    return Marks({task: right[task] / totals[task] for task in TASKS})
