"""What the studies share: a training of some steps with evaluations, its compute, and its row in the results."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evals.models.replicas.training.text_batches import IGNORED, TextBatch

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

COLUMNS = (
    "study", "arm", "task", "batch", "seed", "rate", "steps", "tokens", "active_parameters", "flops", "quality",
    "reached", "seconds", "curve",
)  # fmt: skip
"""Columns of the results; `curve` holds `tokens:quality` of each evaluation, separated by spaces."""


@dataclass(frozen=True)
class Arm:
    """One way to train, with one seed."""

    study: str
    name: str
    """What is compared with the other arms: `fine-tuned`, `scratch`, `mixture`, …"""
    task: str
    batch: int
    """Rows of a step."""
    seed: int
    """Determines the rows and the random weights."""
    rate: float = math.nan
    """Highest learning rate, or the factor of the recipe's learning rates; nan until it is chosen."""

    @property
    def key(self) -> tuple[str, ...]:
        """The columns of a row that identify the arm, without the seed."""
        return self.name, self.task, str(self.batch)


@dataclass
class Training:
    """The course of one training: its evaluations, and what it took."""

    arm: Arm
    active_parameters: int
    """Parameters that process a token; a tied embedding counts once, as the head."""
    steps: int = 0
    tokens: int = 0
    """Tokens that were learned from, without padding; evaluations do not count."""
    seconds: float = 0.0
    """Seconds of the processor for the steps, without evaluations."""
    reached: bool = False
    """Whether the target was reached; False in studies without a target."""
    points: tuple[tuple[int, float], ...] = ()
    """Tokens and quality at each evaluation."""

    @property
    def flops(self) -> int:
        """Compute of the training: 6 operations for each active parameter and token, forward and backward pass."""
        return 6 * self.active_parameters * self.tokens

    def row(self) -> dict[str, str]:
        """Return the row of the results."""
        arm = self.arm
        values = (
            arm.study, arm.name, arm.task, arm.batch, arm.seed, f"{arm.rate:g}", self.steps, self.tokens,
            self.active_parameters, self.flops, f"{self.points[-1][1]:.4f}", int(self.reached), f"{self.seconds:.1f}",
            " ".join(f"{tokens}:{quality:.3f}" for tokens, quality in self.points),
        )  # fmt: skip
        return dict(zip(COLUMNS, map(str, values), strict=True))


@dataclass(frozen=True)
class Plan:
    """How a training proceeds."""

    batches: Iterable[Sequence[TextBatch]]
    """The batches of each step; training ends with them, or at the target."""
    losses: tuple[str, ...]
    """The targets of `TextBatch` that are learned; all their tokens count alike."""
    update: Callable[[int], None]
    """Updates the weights after a step of this number, from 0, and clears the gradients."""
    evaluate: Callable[[], float]
    """Computes the quality."""
    every: int
    """Steps between evaluations; the end is evaluated, too."""
    target: float | None = None
    """Quality at which training ends, once two evaluations in a row have reached it."""


def run(model: PreTrainedModel, course: Training, plan: Plan) -> Training:
    """Train a model by a plan; returns the course with its points."""
    points = [(0, plan.evaluate())]
    for step, batches in enumerate(plan.batches):
        start = time.process_time()
        course.tokens += learn(model, batches, plan.losses)
        plan.update(step)
        course.seconds += time.process_time() - start
        course.steps = step + 1
        if course.steps % plan.every == 0:
            points.append((course.tokens, plan.evaluate()))
            if plan.target is not None and min(quality for _, quality in points[-2:]) >= plan.target:
                # The first of the two evaluations is where the target was reached.
                course.reached, course.tokens, course.steps = True, points[-2][0], course.steps - plan.every
                break
    if points[-1][0] < course.tokens:
        points.append((course.tokens, plan.evaluate()))
    course.points = tuple(points)
    return course


def learn(model: PreTrainedModel, batches: Sequence[TextBatch], losses: Sequence[str]) -> int:
    """Accumulate the gradients of a step, and return the number of tokens that the model read."""
    total = sum(int((getattr(batch, name) != IGNORED).sum()) for batch in batches for name in losses)
    for batch in batches:
        (summed_loss(model, batch, losses) / total).backward()
    return sum(int((batch.tokens != 0).sum()) for batch in batches)


def summed_loss(model: PreTrainedModel, batch: TextBatch, losses: Sequence[str]) -> torch.Tensor:
    """Compute the sum of the losses of all targets of the named kinds, in nats."""
    import torch

    labels = torch.stack([getattr(batch, name) for name in losses]).amax(0)  # a token is the target of one kind only
    states = model.model(batch.tokens, use_cache=False).last_hidden_state
    is_target = labels != IGNORED
    return torch.nn.functional.cross_entropy(model.lm_head(states[is_target]), labels[is_target], reduction="sum")


def mean_loss(model: PreTrainedModel, batches: Sequence[TextBatch], losses: Sequence[str]) -> float:
    """Compute the mean loss per target token, in nats."""
    import torch

    with torch.no_grad():
        total = sum(float(summed_loss(model, batch, losses)) for batch in batches)
    return total / sum(int((getattr(batch, name) != IGNORED).sum()) for batch in batches for name in losses)


def write_rows(path: Path, courses: Iterable[Training]) -> None:
    """Append the row of each course as soon as it has finished; a new file gets a header."""
    new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if new:
            rows.writeheader()
        for course in courses:
            rows.writerow(course.row())
            file.flush()


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read the rows of a file; none if there is no file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
