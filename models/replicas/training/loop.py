"""The loop that trains every replica: processes, optimisers, steps, and what a killed run goes on from.

A recipe's module has its own class of a `Course`, which each process makes; all else about a recipe is in the course.
"""

from __future__ import annotations

import copy
import sys
import tempfile
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

STATE = "training.pt"
"""The file in a checkpoint's folder from which a killed run goes on; gone when the run is finished."""


class Course(Protocol):
    """What one process learns, step by step.

    All that a step does is a function of the recipe, the step and the rank, so training can stop and go on anywhere.
    """

    model: PreTrainedModel
    steps: int
    decay: float
    """Weight decay of Muon."""
    stops: Container[int]
    """After so many steps, and after the last, the first process looks how far the model is, and saves it and the
    state of training."""

    def rates(self, step: int) -> tuple[float, float]:
        """Give the learning rates of Muon and of AdamW at a step, which is counted from 0."""

    def learn(self, step: int) -> Mapping[str, float]:
        """Add the gradients of this process's share of a step to the model's, and give the losses by name."""

    def watch(self, done: int) -> str:
        """Say how far the model is after so many steps."""

    def save(self, out: Path, done: int) -> None:
        """Save the model as it is after so many steps, with all that is loaded with it; `watch` came before."""


class Plan(Protocol):
    """The part of every recipe that the loop reads."""

    @property
    def processes(self) -> int:
        """How many there are, each with one thread and a share of every step.

        Two threads in one process wait for each other at every operation, two processes once a step.
        """


class Schedule(Protocol):
    """The part of a recipe that says how the learning rates go."""

    @property
    def steps(self) -> int:
        """In all."""

    @property
    def warmup(self) -> int:
        """Steps over which the rates rise."""

    @property
    def cooling(self) -> int:
        """Steps at the end over which they fall."""

    @property
    def rate(self) -> float:
        """Highest of AdamW."""

    @property
    def muon_rate(self) -> float:
        """Highest of Muon."""


def rates(schedule: Schedule, step: int) -> tuple[float, float]:
    """Give the learning rates of Muon and AdamW: they rise, stay, and fall to nothing."""
    share = min(1, (step + 1) / schedule.warmup, (schedule.steps - step) / schedule.cooling)
    return schedule.muon_rate * share, schedule.rate * share


R = TypeVar("R", bound=Plan)


def train(begin: Callable[[R, int], Course], recipe: R, out: Path, *, resume: bool = False) -> None:
    """Train a replica and save it, in as many processes as the recipe says.

    Args:
        begin: Makes the course of a process from the recipe and the process's rank; the class of a module, so that it
            can be sent to a process.
        recipe: What to do.
        out: Folder for the checkpoint; holds `training.pt` until it is finished.
        resume: Go on from `training.pt` if it is there.
    """
    from torch import multiprocessing

    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as meeting:
        arguments = (begin, recipe, out, resume, f"file://{meeting}/point")
        multiprocessing.spawn(work, arguments, nprocs=recipe.processes)


def work(rank: int, begin: Callable[[Any, int], Course], recipe: Any, out: Path, resume: bool, meeting: str) -> None:
    """Be one of the processes: all hold the same weights and average their gradients at every step."""
    import torch
    from torch import distributed
    from tqdm import tqdm

    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=recipe.processes)
    course = begin(recipe, rank)
    optimisers = make_optimisers(course)
    first = load_state(out, course, optimisers) if resume else 0
    bar = tqdm(
        range(first, course.steps), initial=first, total=course.steps, disable=rank > 0, mininterval=10, unit="step"
    )

    def look(done: int, losses: Mapping[str, float]) -> None:
        said = " ".join(f"{name} {loss:.3f}" for name, loss in losses.items())
        bar.write(f"step {done} {said}: {course.watch(done)}", file=sys.stderr)
        course.save(out, done)
        save_state(out, course, optimisers, done)

    if rank == 0 and first == 0 and 0 in course.stops:
        look(0, {})
    for step in bar:
        losses = course.learn(step)
        _average_gradients(course.model)
        take_step(course, optimisers, step)
        if rank == 0 and (step + 1 in course.stops or step + 1 == course.steps):
            look(step + 1, losses)
    if rank == 0:
        (out / STATE).unlink(missing_ok=True)
    distributed.barrier()
    distributed.destroy_process_group()


def make_optimisers(course: Course) -> list[torch.optim.Optimizer]:
    """Give Muon for the matrices inside the layers, AdamW for embeddings, norms and biases; their rates come later."""
    from torch import nn
    from torch.optim import AdamW

    from evals.models.replicas.training.muon import Muon

    embeddings = {id(module.weight) for module in course.model.modules() if isinstance(module, nn.Embedding)}
    parameters = list(course.model.parameters())
    # A stack of matrices has three dimensions (the experts of a layer); what convolves is no matrix.
    convolved = {id(module.weight) for module in course.model.modules() if isinstance(module, nn.Conv1d)}
    matrices = {id(one) for one in parameters if one.ndim in {2, 3}} - embeddings - convolved
    inside = [one for one in parameters if id(one) in matrices]
    others = [one for one in parameters if id(one) not in matrices]
    return [Muon(inside, lr=0.0, weight_decay=course.decay), AdamW(others, betas=(0.9, 0.95), weight_decay=0.0)]


def take_step(course: Course, optimisers: Sequence[torch.optim.Optimizer], step: int) -> None:
    """Change the weights by their gradients, at the rates of a step."""
    import torch

    torch.nn.utils.clip_grad_norm_(course.model.parameters(), 1.0)
    for optimiser, rate in zip(optimisers, course.rates(step), strict=True):
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step()
        optimiser.zero_grad()


def _average_gradients(model: PreTrainedModel) -> None:
    """Give every process the mean of all gradients, sent as one vector."""
    import torch
    from torch import distributed

    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    together = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(together)
    together /= distributed.get_world_size()
    for gradient, mean in zip(gradients, together.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def save_model(model: PreTrainedModel, reader: PreTrainedTokenizerBase | ProcessorMixin, out: Path) -> None:
    """Save a model, which stays as it is, at half precision, which is what it is worth, and what it reads with."""
    import torch

    copy.deepcopy(model).to(torch.float16).save_pretrained(out)
    reader.save_pretrained(out)


def save_state(out: Path, course: Course, optimisers: Sequence[torch.optim.Optimizer], done: int) -> None:
    """Keep all that the next step depends on; a kill while writing leaves the one before."""
    import torch

    kept = {"step": done, "model": course.model.state_dict(), "optimisers": [each.state_dict() for each in optimisers]}
    part = out / f"{STATE}.part"
    torch.save(kept, part)
    part.replace(out / STATE)


def start_at(
    begin: Callable[[Any, int], Course], recipe: Any, checkpoints: Mapping[Path, float], step: int, out: Path
) -> None:
    """Make the state from which a run goes on at a step, with new optimisers and the mean of checkpoints' weights.

    Args:
        begin: As in `train`.
        recipe: As in `train`.
        checkpoints: Folders, each with its share in the mean.
        step: The step to go on with.
        out: Where to.
    """
    import torch

    course = begin(recipe, 0)
    kind = type(course.model)
    trained = [(kind.from_pretrained(one, dtype=torch.float32).state_dict(), part) for one, part in checkpoints.items()]
    total = sum(part for _, part in trained)
    course.model.load_state_dict(
        {name: sum(weights[name] * (part / total) for weights, part in trained) for name in trained[0][0]}
    )
    out.mkdir(parents=True, exist_ok=True)
    save_state(out, course, make_optimisers(course), step)


def load_state(out: Path, course: Course, optimisers: Sequence[torch.optim.Optimizer]) -> int:
    """Take up what `save_state` kept, and give the step to go on with."""
    import torch

    if not (out / STATE).exists():
        return 0
    kept = torch.load(out / STATE, weights_only=True)
    course.model.load_state_dict(kept["model"])
    for optimiser, state in zip(optimisers, kept["optimisers"], strict=True):
        optimiser.load_state_dict(state)
    return int(kept["step"])
