"""The `r1-zero` replica: the shape of `r1` from random weights, trained by reinforcement learning alone.

It never sees an answer. It draws answers, character by character; the environment (`arithmetic`) judges them; and what
was judged better than the other answers to the same sum becomes likelier (GRPO: Shao et al., arXiv 2402.03300, without
its reference model, since there is nothing to stay close to). A step draws and learns once, so what is learnt from is
what the weights would say: GRPO's ratio is one, and there is nothing to clip.

TRL has a GRPO trainer. It brings its own loop, processes and state in place of `loop`, and takes a data set of prompts
where there is an environment here, so the forty lines of it that are needed stand here.
"""

from __future__ import annotations

import csv
import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from evals.models.replicas.training import loop
from evals.models.replicas.training.llama import llama_config
from evals.statistics.bootstrap import wilson
from evals.tasks.mini.sums import LONGEST, read, sums

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

KEPT = {"0": 0, "5000": 5_000}
"""The checkpoints that are kept besides the last, and after how many interactions: `r1-zero@5000`."""

WATCH_EVERY = 25
"""Steps between two points of the learning curve."""

CURVE = "curve.csv"
COLUMNS = ("interactions", "split", "right", "of", "rate", "low", "high")

END, PAD, UNKNOWN = "<|end_of_sentence|>", "<|pad|>", "<|unknown|>"


@dataclass(frozen=True)
class Recipe:
    """All that settles the checkpoints."""

    steps: int = 1_000
    cooling: int = 100
    """Over so many of the last steps the learning rates fall to nothing."""
    problems: int = 20
    """Sums that are shown in a step, all processes together."""
    answers: int = 10
    """Answers that are drawn to each: episodes of the same sum, compared with one another."""
    processes: int = 1
    rate: float = 1e-3
    muon_rate: float = 1e-3
    warmup: int = 20
    decay: float = 0.0
    entropy: float = 0.1
    """What is paid for staying undecided, in standard deviations of the reward a nat."""
    seed: int = 3
    width: int = 128
    inner: int = 352
    heads: int = 4
    layers: int = 12

    @property
    def interactions(self) -> int:
        """Episodes a step."""
        return self.problems * self.answers


def build_tokenizer() -> PreTrainedTokenizerBase:
    """Make a token of every printable character of ASCII."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = [PAD, END, UNKNOWN, *sorted(string.printable)]
    level = Tokenizer(models.WordLevel({token: number for number, token in enumerate(tokens)}, unk_token=UNKNOWN))
    level.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    level.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=level, eos_token=END, pad_token=PAD, unk_token=UNKNOWN, model_max_length=1024
    )


def build_model(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> LlamaForCausalLM:
    """Make the untrained model, seeded."""
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(recipe.seed)
    return LlamaForCausalLM(llama_config(recipe, tokenizer))


# What a step learns from


class Drawn(NamedTuple):
    """Answers to some sums, as many to each, those to one sum next to one another; N in all."""

    texts: list[str]
    likely: torch.Tensor
    """(N) float32: log-likelihood of each, up to where it ends."""
    undecided: torch.Tensor
    """(N) float32: entropy in nats of the choices that were made, added up."""


def draw(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, asked: Sequence[str], answers: int, seed: int
) -> Drawn:
    """Draw answers, with the gradients of how likely they were; what is asked is equally long."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    read = model(torch.tensor(tokenizer(list(asked))["input_ids"]), use_cache=True, logits_to_keep=1)
    read.past_key_values.batch_repeat_interleave(answers)
    logits = read.logits[:, -1].repeat_interleave(answers, dim=0)
    said, likely, undecided = [], [], []
    for place in range(LONGEST):
        sure = logits.log_softmax(-1)
        said.append(torch.multinomial(sure.detach().exp(), 1, generator=generator))
        likely.append(sure.gather(1, said[-1])[:, 0])
        undecided.append(-(sure.exp() * sure).sum(-1))
        if place + 1 < LONGEST:
            logits = model(said[-1], past_key_values=read.past_key_values, use_cache=True).logits[:, -1]
    tokens = torch.cat(said, dim=1)
    ended = (tokens == tokenizer.eos_token_id).int()
    counts = ended.cumsum(1) - ended == 0  # up to the token that ends it, that token included
    texts = [tokenizer.decode(row[kept], skip_special_tokens=True) for row, kept in zip(tokens, counts, strict=True)]
    return Drawn(texts, *((torch.stack(each, 1) * counts).sum(1) for each in (likely, undecided)))


def advantages(rewards: torch.Tensor) -> torch.Tensor:
    """Say how much better each answer was than the others to its sum, in their standard deviations.

    Args:
        rewards: (sums, answers) float.

    Returns:
        The same shape; a row whose answers were equally good is all 0.
    """
    return (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-2)


class Course:
    """One process's side of the training."""

    def __init__(self, recipe: Recipe, rank: int) -> None:
        from evals.models.replicas.recipes.r1_zero.environment import Arithmetic

        self._recipe, self._rank = recipe, rank
        self._environment = Arithmetic()
        self._tokenizer = build_tokenizer()
        self.model = build_model(recipe, self._tokenizer)
        self.steps, self.decay = recipe.steps, recipe.decay
        self._kept = {interactions // recipe.interactions: name for name, interactions in KEPT.items()}
        self.stops = {*self._kept, *range(WATCH_EVERY, recipe.steps, WATCH_EVERY)}
        self._points: list[dict[str, str]] = []

    def rates(self, step: int) -> tuple[float, float]:
        """Rise, stay, and fall to nothing."""
        return loop.rates(self._recipe, step)

    def learn(self, step: int) -> dict[str, float]:
        """Let every sum be answered some times, and make likelier what was judged better."""
        import torch

        recipe = self._recipe
        share = recipe.problems // recipe.processes
        first = (step * recipe.processes + self._rank) * share
        seeds = [recipe.seed * 1_000_000_000 + number for number in range(first, first + share)]
        asked = [self._environment.reset(seed=seed)[0] for seed in seeds]
        drawn = draw(self.model, self._tokenizer, asked, recipe.answers, seed=seeds[0])
        rewards, right = [], 0
        for number, text in enumerate(drawn.texts):
            self._environment.reset(seed=seeds[number // recipe.answers])
            _, reward, _, _, told = self._environment.step(text)
            rewards.append(reward)
            right += told["right"]
        better = advantages(torch.tensor(rewards).view(share, recipe.answers)).flatten()
        loss = -(better * drawn.likely + recipe.entropy * drawn.undecided).mean()
        loss.backward()
        return {
            "reward": sum(rewards) / len(rewards),
            "right": right / len(rewards),
            "undecided": float(drawn.undecided.detach().mean()),
        }

    def watch(self, done: int) -> str:
        """Make a point of the learning curve of each split: how many of its sums the likeliest answer solves."""
        self._points = [
            point(done * self._recipe.interactions, split, solved(self.model, self._tokenizer, split))
            for split in ("environment", "validation")
        ]
        return " ".join(f"{one['split']} {one['rate']}" for one in self._points)

    def save(self, out: Path, done: int) -> None:
        """Add to the learning curve; save the model where it is to be kept, each in a folder."""
        before = [row for row in read_curve(out) if int(row["interactions"]) < done * self._recipe.interactions]
        with (out / CURVE).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows([*before, *self._points])
        name = "last" if done == self.steps else self._kept.get(done)
        if name:
            loop.save_model(self.model, self._tokenizer, out / name)


def solved(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, split: str) -> list[bool]:
    """Say which sums of a split are solved by the likeliest answer."""
    import torch

    asked = torch.tensor(tokenizer([one.prompt for one in sums(split)])["input_ids"])
    given = model.generate(
        asked, attention_mask=torch.ones_like(asked), max_new_tokens=LONGEST, do_sample=False
    )  # fmt: skip
    texts = tokenizer.batch_decode(given[:, asked.shape[1] :], skip_special_tokens=True)
    return [read(text) == one.result for text, one in zip(texts, sums(split), strict=True)]


def point(interactions: int, split: str, right: Sequence[bool]) -> dict[str, str]:
    """Make a row of the learning curve, with Wilson's interval of 95 %."""
    low, high = wilson(sum(right), len(right))
    figures = (f"{figure:.4f}" for figure in (sum(right) / len(right), low, high))
    return dict(zip(COLUMNS, (str(interactions), split, str(sum(right)), str(len(right)), *figures), strict=True))


def read_curve(out: Path) -> list[dict[str, str]]:
    """Read the learning curve; no rows where there is none yet."""
    if not (out / CURVE).exists():
        return []
    with (out / CURVE).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


RECIPE = Recipe()


def report(out: Path) -> list[str]:
    """Give the ends of the learning curve."""
    rows = read_curve(out)
    return [" ".join(f"{name} {value}" for name, value in row.items()) for row in (*rows[:2], *rows[-2:])]
