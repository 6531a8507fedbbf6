"""The loop that trains every replica: processes, steps, and the state from which an interrupted run resumes.

Each recipe's `train` module defines a class that implements `Course`. Each process creates one instance; everything
that is specific to a recipe is in it.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from evals.models.replicas.training.optimisation import make_optimisers, take_step
from evals.temporaries import scratch_folder

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

STATE = "training.pt"
"""File in the checkpoint's folder from which an interrupted run resumes; deleted when the run has finished."""


class Course(Protocol):
    """The training of one model, as one process sees it.

    A step depends only on the recipe, the step's number and the rank, so training can be interrupted and resumed
    at any step.
    """

    model: PreTrainedModel
    steps: int
    decay: float
    """Weight decay of Muon."""
    stops: Container[int]
    """Numbers of completed steps after which the first process evaluates the model, saves it and saves the state of
    training. It also does so after the last step."""

    def rates(self, step: int) -> tuple[float, float]:
        """Compute the learning rates of Muon and AdamW at a step, which is counted from 0."""

    def learn(self, step: int) -> Mapping[str, float]:
        """Accumulate the gradients of this process's share of a step, and return the losses by name."""

    def watch(self, steps_done: int) -> str:
        """Describe in one line how good the model is after `steps_done` steps."""

    def save(self, out: Path, steps_done: int) -> None:
        """Save the model after `steps_done` steps, with its tokenizer or processor; `watch` has been called before."""


class Processes(Protocol):
    """The part of every recipe that the loop reads."""

    @property
    def processes(self) -> int:
        """Number of processes; each has one thread and takes an equal share of every step.

        Two threads in one process wait for each other at every operation, two processes once a step.
        """


R = TypeVar("R", bound=Processes)


def train(begin: Callable[[R, int], Course], recipe: R, out: Path, *, resume: bool = False) -> None:
    """Train a replica in as many processes as its recipe asks for, and save it.

    Args:
        begin: Makes a process's course from the recipe and the process's rank. It must be defined at the top of a
            module, because it is sent to the processes.
        recipe: The settings of the training.
        out: Folder for the checkpoint; holds `training.pt` until training has finished.
        resume: Continue from `training.pt` if that file exists.
    """
    from torch import multiprocessing

    out.mkdir(parents=True, exist_ok=True)
    with scratch_folder("evals-training") as meeting:
        arguments = (begin, recipe, out, resume, f"file://{meeting}/point")
        multiprocessing.spawn(work, arguments, nprocs=recipe.processes)


def work(rank: int, begin: Callable[[Any, int], Course], recipe: Any, out: Path, resume: bool, meeting: str) -> None:
    """Run one process; all processes hold the same weights and average their gradients at every step.

    Args:
        rank: Number of the process, from 0; process 0 evaluates and saves.
        begin: As in `train`.
        recipe: As in `train`.
        out: As in `train`.
        resume: As in `train`.
        meeting: URL through which the processes find one another.
    """
    import torch
    from torch import distributed
    from tqdm import tqdm

    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=recipe.processes)
    course = begin(recipe, rank)
    optimisers = make_optimisers(course.model, course.decay)
    first = load_state(out, course, optimisers) if resume else 0
    bar = tqdm(
        range(first, course.steps), initial=first, total=course.steps, disable=rank > 0, mininterval=10, unit="step"
    )

    def evaluate_and_save(steps_done: int, losses: Mapping[str, float]) -> None:
        losses_text = " ".join(f"{name} {loss:.3f}" for name, loss in losses.items())
        bar.write(f"step {steps_done} {losses_text}: {course.watch(steps_done)}", file=sys.stderr)
        course.save(out, steps_done)
        save_state(out, course, optimisers, steps_done)

    if rank == 0 and first == 0 and 0 in course.stops:
        evaluate_and_save(0, {})
    for step in bar:
        losses = course.learn(step)
        _average_gradients(course.model)
        take_step(course.model, optimisers, course.rates(step))
        if rank == 0 and (step + 1 in course.stops or step + 1 == course.steps):
            evaluate_and_save(step + 1, losses)
    if rank == 0:
        (out / STATE).unlink(missing_ok=True)
    distributed.barrier()
    distributed.destroy_process_group()


def _average_gradients(model: PreTrainedModel) -> None:
    """Replace every process's gradients by their mean over the processes, sent as one vector."""
    import torch
    from torch import distributed

    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    for gradient, mean in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def save_model(model: PreTrainedModel, reader: PreTrainedTokenizerBase | ProcessorMixin, out: Path) -> None:
    """Save a float16 copy of a model with its tokenizer or processor; the model itself is not changed."""
    import torch

    copy.deepcopy(model).to(torch.float16).save_pretrained(out)
    reader.save_pretrained(out)


def save_state(out: Path, course: Course, optimisers: Sequence[torch.optim.Optimizer], steps_done: int) -> None:
    """Save everything that the next step depends on; if this is interrupted, the previous state remains."""
    import torch

    optimiser_states = [optimiser.state_dict() for optimiser in optimisers]
    part = out / f"{STATE}.part"
    torch.save({"step": steps_done, "model": course.model.state_dict(), "optimisers": optimiser_states}, part)
    part.replace(out / STATE)


def start_at(
    begin: Callable[[Any, int], Course], recipe: Any, checkpoints: Mapping[Path, float], step: int, out: Path
) -> None:
    """Write a state from which training starts at a step, with new optimisers and the mean of checkpoints' weights.

    Args:
        begin: As in `train`.
        recipe: As in `train`.
        checkpoints: Folders of checkpoints, each with its weight in the mean.
        step: The step to start at.
        out: Folder to which the state is written.
    """
    import torch

    course = begin(recipe, 0)
    model_class = type(course.model)
    states = [
        (model_class.from_pretrained(folder, dtype=torch.float32).state_dict(), share)
        for folder, share in checkpoints.items()
    ]
    total = sum(share for _, share in states)
    course.model.load_state_dict(
        {name: sum(weights[name] * (share / total) for weights, share in states) for name in states[0][0]}
    )
    out.mkdir(parents=True, exist_ok=True)
    save_state(out, course, make_optimisers(course.model, course.decay), step)


def load_state(out: Path, course: Course, optimisers: Sequence[torch.optim.Optimizer]) -> int:
    """Load what `save_state` saved, and return the step to continue with; 0 if nothing was saved."""
    import torch

    if not (out / STATE).exists():
        return 0
    saved = torch.load(out / STATE, weights_only=True)
    course.model.load_state_dict(saved["model"])
    for optimiser, state in zip(optimisers, saved["optimisers"], strict=True):
        optimiser.load_state_dict(state)
    return int(saved["step"])
