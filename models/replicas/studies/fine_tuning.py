"""Does fine-tuning save compute against training from scratch? The `r1` replica on two tasks that it never saw.

The pretrained arm starts with the bundled checkpoint, the other with the same network from random weights. Both see the
same rows in the same order, and are trained until 90 % of 100 held-out rows are right in two evaluations in a row, or
until the last step, where the compute is only a lower bound. The compute of pretraining is not counted here.

    kind    A chair was painted by David on the beach.  What kind of thing is this about?  -> furniture
    larger  Which number is larger, 470 or 39?  -> 470
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count, islice
from typing import TYPE_CHECKING

from evals.models.replicas import CHECKPOINTS
from evals.models.replicas.studies.training import Arm, Plan, Training, run
from evals.models.replicas.training.evaluation import is_right
from evals.models.replicas.training.optimisation import make_optimisers, take_step
from evals.models.replicas.training.text_batches import TextBatch, text_batches
from evals.models.replicas.training.text_examples import TextExample
from evals.tasks.mini.glue import row
from evals.tasks.mini.language.english import KIND_OF, KINDS

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

STUDY = "fine_tuning"
ARMS, TASKS = ("fine-tuned", "scratch"), ("kind", "larger")
TARGET, EVERY, LAST_STEP, BATCH, HELD_OUT = 0.9, 5, 120, 32, 100
"""The quality to reach, steps between evaluations, the last step, rows of a step, held-out rows."""
RATES = (1.0, 2.5)
MUON_RATE, ADAMW_RATE, DECAY, WARM_UP = 2.5e-3, 1.5e-3, 0.02, 5


def examples(task: str, stream: str) -> Iterator[TextExample]:
    """Draw rows of a task without end; different streams have different rows.

    >>> next(examples("larger", "doc")).prompt.startswith("Which number is larger, ")
    True
    """
    rng = random.Random(f"{task} {stream}")
    while True:
        if task == "larger":
            first, second = rng.sample([rng.randrange(1, 10 ** rng.randint(1, 3)) for _ in range(9)], 2)
            if first != second:
                yield TextExample(
                    task, f"Which number is larger, {first} or {second}?\nAnswer:", f" {max(first, second)}"
                )
            continue
        sentence = str(row("mrpc", "train", rng.randrange(10**8, 10**9))["sentence1"])
        kinds = {KIND_OF[word] for word in sentence.strip(".").split() if word in KIND_OF}
        if len(kinds) == 1:
            kind = kinds.pop().split()[-1]
            yield TextExample(task, f"Sentence: {sentence}\nWhat kind of thing is this about?\nAnswer:", f" {kind}")


def arms(seed: int) -> Iterator[Arm]:
    """List the trainings of a seed, which determines the rows and the random weights."""
    for task in TASKS:
        for name in ARMS:
            yield Arm(STUDY, name, task, BATCH, seed)


def rates(arm: Arm) -> tuple[float, ...]:
    """Return the factors of the learning rates of the `r1` recipe that are tried, on a seed of their own."""
    return RATES


def train(arm: Arm) -> Training:
    """Train one arm until the target or the last step."""
    model, tokenizer = start(arm)
    rows = examples(arm.task, f"train {arm.seed}")
    held_out = text_batches(tokenizer, list(islice(examples(arm.task, f"held out {arm.seed}"), HELD_OUT)), parts=1)
    optimisers = make_optimisers(model, DECAY)

    def update(step: int) -> None:
        share = arm.rate * min(1, (step + 1) / WARM_UP)
        take_step(model, optimisers, (MUON_RATE * share, ADAMW_RATE * share))

    batches = (text_batches(tokenizer, list(islice(rows, arm.batch)), parts=1) for _ in islice(count(), LAST_STEP))
    plan = Plan(batches, ("answers",), update, lambda: share_right(model, held_out), EVERY, TARGET)
    return run(model, Training(arm, sum(parameter.numel() for parameter in model.parameters())), plan)


def start(arm: Arm) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the pretrained model, or make the same network with random weights; with the tokenizer of both."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from evals.models.replicas.recipes.r1.config import Recipe, build_model

    tokenizer = AutoTokenizer.from_pretrained(CHECKPOINTS / "r1")
    if arm.name == "scratch":
        return build_model(Recipe(seed=arm.seed), tokenizer), tokenizer
    return AutoModelForCausalLM.from_pretrained(CHECKPOINTS / "r1", dtype=torch.float32), tokenizer


def share_right(model: PreTrainedModel, batches: list[TextBatch]) -> float:
    """Compute the share of rows whose whole answer greedy decoding would write."""
    import torch

    right: list[bool] = []
    with torch.no_grad():
        for batch in batches:
            right += is_right(model(batch.tokens, use_cache=False).logits, batch.answers)
    return sum(right) / len(right)


assert set(KIND_OF.values()) == set(KINDS)
