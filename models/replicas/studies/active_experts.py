"""Fine-tune the `r1-moe` replica with 8 and with 4 active experts per token: quality and compute.

The checkpoint was trained with 8. Both arms learn from the same rows of the nine tasks of mini GLUE in the same order,
with the loss of the answers alone; the quality is the share of right answers of held-out rows, the mean of the tasks.
The first point of each curve is the checkpoint before fine-tuning, with the arm's number of active experts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from evals.models.replicas import CHECKPOINTS
from evals.models.replicas.studies.batch_size import Balance, active_parameters
from evals.models.replicas.studies.training import Arm, Plan, Training, run
from evals.models.replicas.training.evaluation import text_shares
from evals.models.replicas.training.optimisation import make_optimisers, take_step
from evals.models.replicas.training.text_batches import text_batches
from evals.models.replicas.training.text_examples import EVALUATION_SPLIT, GLUE_TASKS, TextExample, text_example

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

STUDY, TASK = "active_experts", "glue"
ARMS = ("8", "4")
STEPS, ROWS, HELD_OUT = 30, 4, 30
"""Steps of fine-tuning, rows of each task in a step, and held-out rows of each task."""
RATES = (0.03, 0.1, 0.3)
MUON_RATE, ADAMW_RATE, DECAY, WARM_UP = 2.5e-3, 1.5e-3, 0.02, 5
FIRST_ROW = 50_000_000
"""Rows before it may have been seen in the training of the checkpoint."""


def arms(seed: int) -> Iterator[Arm]:
    """List the trainings of a seed, which determines the rows."""
    for name in ARMS:
        yield Arm(STUDY, name, TASK, ROWS * len(GLUE_TASKS), seed)


def rates(arm: Arm) -> tuple[float, ...]:
    """Return the factors of the learning rates of the `r1-moe` recipe that are tried, on a seed of their own."""
    return RATES


def train(arm: Arm) -> Training:
    """Fine-tune the checkpoint with an arm's number of active experts; the rates fall linearly to zero."""
    model, tokenizer = start(int(arm.name))
    optimisers, balance = make_optimisers(model, DECAY), Balance(model)

    def update(step: int) -> None:
        share = arm.rate * min(1, (step + 1) / WARM_UP, (STEPS - step) / STEPS)
        take_step(model, optimisers, (MUON_RATE * share, ADAMW_RATE * share))
        balance.step()

    def rows(split: str, first: int, number: int) -> list[TextExample]:
        return [text_example(task, split, first + row) for task in GLUE_TASKS for row in range(number)]

    held_out = rows(EVALUATION_SPLIT, FIRST_ROW + arm.seed * HELD_OUT, HELD_OUT)

    def evaluate() -> float:
        model.requires_grad_(False)  # the choices of experts in an evaluation do not count for the balance
        shares = text_shares(model, tokenizer, held_out)
        model.requires_grad_(True)
        return sum(shares.values()) / len(shares)

    firsts = (FIRST_ROW + arm.seed * 10**6 + step * ROWS for step in range(STEPS))
    batches = (text_batches(tokenizer, rows("train", first, ROWS), parts=2) for first in firsts)
    plan = Plan(batches, ("answers",), update, evaluate, STEPS)
    return run(model, Training(arm, active_parameters(model, int(arm.name))), plan)


def start(active: int) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the decoder of the checkpoint with a number of active experts, without its encoders, and its tokenizer."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor, DeepseekV3ForCausalLM

    from evals.models.architectures import mixture  # noqa: F401  # registers the checkpoint's classes with transformers

    whole = AutoModelForImageTextToText.from_pretrained(CHECKPOINTS / "r1-moe", dtype=torch.float32)
    config = whole.config.text_config
    config.num_experts_per_tok = active
    config.tie_word_embeddings = True
    model = DeepseekV3ForCausalLM(config)
    model.model.load_state_dict(whole.model.language_model.state_dict())
    model.tie_weights()
    return model, AutoProcessor.from_pretrained(CHECKPOINTS / "r1-moe").tokenizer
