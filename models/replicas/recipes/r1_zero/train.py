"""How the `r1-zero` replica is trained: it samples answers, and those with a higher reward become likelier (GRPO)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from evals.models.replicas.recipes.r1_zero.config import Recipe, build_model, build_tokenizer
from evals.models.replicas.recipes.r1_zero.curve import point, read_curve, solved, write_curve
from evals.models.replicas.training import loop
from evals.tasks.mini.sums import LONGEST

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

CHECKPOINTS_AT = {"0": 0, "5000": 5_000}
"""Name of each checkpoint that is kept besides the last, and its number of interactions: `r1-zero@5000`."""

EVALUATE_EVERY = 25
"""Steps between two points of the learning curve."""

RECIPE = Recipe()


class SampledAnswers(NamedTuple):
    """The same number of answers to each of some sums; those to one sum are adjacent. N answers in all."""

    texts: list[str]
    log_likelihoods: torch.Tensor
    """(N) float32: of each answer up to its end token."""
    entropies: torch.Tensor
    """(N) float32: entropy in nats of the distributions that an answer's tokens were drawn from, added up."""


def sample_answers(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], answers: int, seed: int
) -> SampledAnswers:
    """Sample answers, with gradients of their log-likelihoods.

    Args:
        model: The model in training.
        tokenizer: Its tokenizer.
        prompts: All of the same length.
        answers: Number of answers to each prompt.
        seed: Seed of the samples.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    output = model(torch.tensor(tokenizer(list(prompts))["input_ids"]), use_cache=True, logits_to_keep=1)
    output.past_key_values.batch_repeat_interleave(answers)
    logits = output.logits[:, -1].repeat_interleave(answers, dim=0)
    drawn, log_likelihoods, entropies = [], [], []
    for position in range(LONGEST):
        log_probabilities = logits.log_softmax(-1)
        drawn.append(torch.multinomial(log_probabilities.detach().exp(), 1, generator=generator))
        log_likelihoods.append(log_probabilities.gather(1, drawn[-1])[:, 0])
        entropies.append(-(log_probabilities.exp() * log_probabilities).sum(-1))
        if position + 1 < LONGEST:
            logits = model(drawn[-1], past_key_values=output.past_key_values, use_cache=True).logits[:, -1]
    tokens = torch.cat(drawn, dim=1)
    is_end = (tokens == tokenizer.eos_token_id).int()
    counts = is_end.cumsum(1) - is_end == 0  # true up to the end token, that token included
    texts = [tokenizer.decode(row[count], skip_special_tokens=True) for row, count in zip(tokens, counts, strict=True)]
    sums = ((torch.stack(values, 1) * counts).sum(1) for values in (log_likelihoods, entropies))
    return SampledAnswers(texts, *sums)


def advantages(rewards: torch.Tensor) -> torch.Tensor:
    """Compute how much better each answer is than the others to its sum, in their standard deviations.

    Args:
        rewards: (sums, answers) float.

    Returns:
        The same shape; a row of equal rewards is all 0.
    """
    return (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-2)


class Course:
    """One process's part of the training."""

    def __init__(self, recipe: Recipe, rank: int) -> None:
        from evals.models.replicas.recipes.r1_zero.data import Arithmetic

        self._recipe, self._rank = recipe, rank
        self._environment = Arithmetic()
        self._tokenizer = build_tokenizer()
        self.model = build_model(recipe, self._tokenizer)
        self.steps, self.decay = recipe.schedule.steps, recipe.schedule.decay
        self._checkpoints = {interactions // recipe.interactions: name for name, interactions in CHECKPOINTS_AT.items()}
        self.stops = {*self._checkpoints, *range(EVALUATE_EVERY, self.steps, EVALUATE_EVERY)}
        self._points: list[dict[str, str]] = []

    def rates(self, step: int) -> tuple[float, float]:
        """Compute the learning rates of Muon and AdamW."""
        return self._recipe.schedule.rates(step)

    def learn(self, step: int) -> dict[str, float]:
        """Sample answers to every sum, and make those with a higher reward likelier."""
        import torch

        recipe = self._recipe
        share = recipe.problems // recipe.processes
        first = (step * recipe.processes + self._rank) * share
        seeds = [recipe.seed * 1_000_000_000 + number for number in range(first, first + share)]
        prompts = [self._environment.reset(seed=seed)[0] for seed in seeds]
        sampled = sample_answers(self.model, self._tokenizer, prompts, recipe.answers, seed=seeds[0])
        rewards, right = [], 0
        for number, text in enumerate(sampled.texts):
            self._environment.reset(seed=seeds[number // recipe.answers])
            _, reward, _, _, information = self._environment.step(text)
            rewards.append(reward)
            right += information["right"]
        advantage = advantages(torch.tensor(rewards).view(share, recipe.answers)).flatten()
        loss = -(advantage * sampled.log_likelihoods + recipe.entropy * sampled.entropies).mean()
        loss.backward()
        return {
            "reward": sum(rewards) / len(rewards),
            "right": right / len(rewards),
            "entropy": float(sampled.entropies.detach().mean()),
        }

    def watch(self, steps_done: int) -> str:
        """Compute a point of each split's learning curve."""
        self._points = [
            point(steps_done * self._recipe.interactions, split, solved(self.model, self._tokenizer, split))
            for split in ("environment", "validation")
        ]
        return " ".join(f"{row['split']} {row['rate']}" for row in self._points)

    def save(self, out: Path, steps_done: int) -> None:
        """Add to the learning curve, and save the model in a separate folder at `CHECKPOINTS_AT`."""
        before = [row for row in read_curve(out) if int(row["interactions"]) < steps_done * self._recipe.interactions]
        write_curve(out, [*before, *self._points])
        name = "last" if steps_done == self.steps else self._checkpoints.get(steps_done)
        if name:
            loop.save_model(self.model, self._tokenizer, out / name)


def report(out: Path) -> list[str]:
    """Return the first and the last points of the learning curve."""
    rows = read_curve(out)
    return [" ".join(f"{name} {value}" for name, value in row.items()) for row in (*rows[:2], *rows[-2:])]
