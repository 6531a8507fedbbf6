"""Does a mixture of experts want larger batches than a dense network? Both of one active size, at equal tokens.

The mixture is of DeepSeek-V3's class, as the `r1-moe` replica is, with 16 routed experts per layer of which 4 process a
token, and a shared one; the dense network is the same class with feed-forward layers of the size of the five. Both are
pretrained on eight tasks of mini GLUE and then fine-tuned on the ninth, QNLI, with batches of 8 to 256 rows: the same
2,560 rows once, and for every batch the best of some learning rates. The quality is the held-out loss per token.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from evals.models.replicas import CHECKPOINTS
from evals.models.replicas.studies.training import Arm, Plan, Training, learn, mean_loss, run
from evals.models.replicas.training.text_batches import TextBatch, text_batches
from evals.models.replicas.training.text_examples import EVALUATION_SPLIT, GLUE_TASKS, text_example

if TYPE_CHECKING:
    import torch
    from transformers import DeepseekV3ForCausalLM, PreTrainedTokenizerBase

STUDY, TASK = "batch_size", "qnli"
ARMS, BATCHES = ("mixture", "dense"), (8, 32, 128, 256)
ROWS, HELD_OUT = 2560, 200
"""Rows of fine-tuning, and held-out rows."""
PRETRAINING_STEPS, PRETRAINING_ROWS, PRETRAINING_RATE = 120, 4, 3e-3
"""Steps of pretraining, rows of each of the eight tasks in a step, learning rate."""
RATES = (5e-4, 1.5e-3, 4.5e-3)
"""Learning rates that are tried for a batch of 32."""
EXPERTS, ACTIVE, EXPERT_INNER, WIDTH, LAYERS, BALANCE = 16, 4, 32, 64, 2, 2e-3
LOSSES = ("reading", "answers")


def arms(seed: int) -> Iterator[Arm]:
    """List the trainings of a seed, which determines the rows and the random weights."""
    for name in ARMS:
        for batch in BATCHES:
            yield Arm(STUDY, name, TASK, batch, seed)


def rates(arm: Arm) -> tuple[float, ...]:
    """Return the learning rates of AdamW that are tried, on a seed of their own: they grow as the root of the batch."""
    return tuple(rate * math.sqrt(arm.batch / 32) for rate in RATES)


@cache
def tokenizer_of_r1() -> PreTrainedTokenizerBase:
    """Load the tokenizer, that of the `r1` replica."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(CHECKPOINTS / "r1")


def build(name: str, seed: int) -> DeepseekV3ForCausalLM:
    """Make a network with random weights: `mixture`, or `dense` of the same active size."""
    import torch
    from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

    torch.manual_seed(seed)
    config = DeepseekV3Config(
        vocab_size=len(tokenizer_of_r1()), hidden_size=WIDTH, intermediate_size=(ACTIVE + 1) * EXPERT_INNER,
        moe_intermediate_size=EXPERT_INNER, num_hidden_layers=LAYERS, num_attention_heads=2, num_key_value_heads=2,
        n_routed_experts=EXPERTS, num_experts_per_tok=ACTIVE, n_shared_experts=1, n_group=1, topk_group=1,
        first_k_dense_replace=0 if name == "mixture" else LAYERS, num_mtp_layers=0, q_lora_rank=None, kv_lora_rank=32,
        qk_nope_head_dim=24, qk_rope_head_dim=8, v_head_dim=32, initializer_range=0.05, tie_word_embeddings=True,
        bos_token_id=None, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    model: DeepseekV3ForCausalLM = DeepseekV3ForCausalLM._from_config(config, experts_implementation="grouped_mm")
    return model


def active_parameters(model: DeepseekV3ForCausalLM, active: int = ACTIVE) -> int:
    """Count the parameters that process a token: of each layer's experts, `active`."""
    total: int = sum(parameter.numel() for parameter in model.parameters())
    stacked = [parameter for name, parameter in model.named_parameters() if ".experts." in name]
    idle: int = sum(parameter.numel() * (len(parameter) - active) // len(parameter) for parameter in stacked)
    return total - idle


class Balance:
    """Raise the bias of experts that were chosen too rarely, and lower the others' (DeepSeek-V3, section 2.1.2)."""

    def __init__(self, model: torch.nn.Module, speed: float = BALANCE) -> None:
        """Count the choices of all gates of a model from now on."""
        self._speed = speed
        self._gates = [module for module in model.modules() if hasattr(module, "e_score_correction_bias")]
        self._counts: dict[int, torch.Tensor] = {}
        for number, gate in enumerate(self._gates):
            gate.register_forward_hook(lambda _, __, routing, number=number: self._count(number, routing[2]))

    def _count(self, number: int, chosen: torch.Tensor) -> None:
        if self._gates[number].weight.requires_grad:
            counts = chosen.flatten().bincount(minlength=len(self._gates[number].weight))
            self._counts[number] = self._counts.get(number, 0) + counts

    def step(self) -> None:
        """Change the biases, and count anew."""
        for number, counts in self._counts.items():
            self._gates[number].e_score_correction_bias += self._speed * (counts.float().mean() - counts).sign()
        self._counts = {}


@cache
def _pretrained(name: str, seed: int) -> DeepseekV3ForCausalLM:
    """Pretrain a network on the other eight tasks of mini GLUE."""
    import torch

    model = build(name, seed)
    balance = Balance(model)
    optimiser = torch.optim.AdamW(model.parameters(), lr=PRETRAINING_RATE, weight_decay=0.01)
    tasks = [task for task in GLUE_TASKS if task != TASK]
    for step in range(PRETRAINING_STEPS):
        first = seed * 10**6 + step * PRETRAINING_ROWS
        rows = [text_example(task, "train", first + row) for task in tasks for row in range(PRETRAINING_ROWS)]
        learn(model, text_batches(tokenizer_of_r1(), rows, parts=2), LOSSES)
        optimiser.param_groups[0]["lr"] = PRETRAINING_RATE * min(1, (step + 1) / 10, (PRETRAINING_STEPS - step) / 20)
        optimiser.step()
        optimiser.zero_grad()
        balance.step()
    return model


def train(arm: Arm) -> Training:
    """Fine-tune a pretrained network; the learning rate rises over a tenth of the steps and falls as a cosine."""
    import torch

    model = copy.deepcopy(_pretrained(arm.name, arm.seed))
    for gate in (module for module in model.modules() if hasattr(module, "e_score_correction_bias")):
        gate._forward_hooks.clear()  # those of pretraining were copied with the model
    balance = Balance(model)
    optimiser = torch.optim.AdamW(model.parameters(), lr=arm.rate, weight_decay=0.01)
    steps = ROWS // arm.batch

    def update(step: int) -> None:
        rise = min(1, (step + 1) / max(1, steps // 10))
        optimiser.param_groups[0]["lr"] = arm.rate * rise * (0.05 + 0.475 * (1 + math.cos(math.pi * step / steps)))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        balance.step()

    held_out = _batches(EVALUATION_SPLIT, arm.seed * HELD_OUT, HELD_OUT)
    batches = (_batches("train", arm.seed * 10**6 + step * arm.batch, arm.batch) for step in range(steps))

    def evaluate() -> float:
        model.requires_grad_(False)  # the choices of experts in an evaluation do not count for the balance
        loss = mean_loss(model, held_out, LOSSES)
        model.requires_grad_(True)
        return loss

    plan = Plan(batches, LOSSES, update, evaluate, max(1, steps // 5))
    return run(model, Training(arm, active_parameters(model)), plan)


def _batches(split: str, first: int, number: int) -> list[TextBatch]:
    rows = [text_example(TASK, split, first + row) for row in range(number)]
    return text_batches(tokenizer_of_r1(), rows, parts=1)
