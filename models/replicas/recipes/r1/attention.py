"""The attention targets of `r1`: to which tokens some heads are trained to attend.

For a while, one head of each of a few layers is supervised:

- comparison: from a word to earlier words that mean the same or are of the same kind;
- copying: from where a worked solution is about to write a number, a name or a thing, to where that occurs already;
- arithmetic: from where it is about to write the result of a sum, to the digits of the sum's two numbers (two heads).

Shapes: B examples, S tokens, D width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evals.models.replicas.training.attention_supervision import comparison_targets, repeat_loss
from evals.models.replicas.training.text_batches import TextBatch
from evals.models.replicas.training.word_senses import WordSenses, number_at, numbers_in

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM

COMPARISON_LAYERS, COPY_LAYERS, ARITHMETIC_LAYERS = (1, 2), (5, 6), (7, 8)
"""Decoder layers, counted from 0, whose first head is supervised; in the arithmetic layers, the first two heads."""
REPEAT_LAYER = 4
"""Layer after which a word's state is trained to show whether it repeats a meaning."""


def copy_targets(batch: TextBatch, senses: WordSenses) -> torch.Tensor:
    """Find where the number, name or thing that a solution is about to write occurs already: (B, S, S) bool."""
    import torch

    targets = torch.zeros(*batch.tokens.shape, batch.tokens.shape[1], dtype=torch.bool)
    for row in (batch.solutions >= 0).any(1).nonzero()[:, 0].tolist():
        ids, next_ids = batch.tokens[row].tolist(), batch.solutions[row].tolist()
        numbers = list(numbers_in(ids, senses))
        for position, (token, next_token) in enumerate(zip(ids, next_ids, strict=True)):
            if next_token in senses.digits and token not in senses.digits:
                written = number_at(next_ids, position, senses)
                for start, number in numbers:
                    targets[row, position, start] = start < position and number == written
            elif next_token in senses.content:
                targets[row, position, :position] = batch.tokens[row, :position] == next_token
    return targets


def operand_targets(batch: TextBatch, senses: WordSenses) -> tuple[torch.Tensor, torch.Tensor]:
    """Find the digits of a sum's first and second number, from where its result is written: (B, S, S) bool each."""
    import torch

    first, second = (torch.zeros(*batch.tokens.shape, batch.tokens.shape[1], dtype=torch.bool) for _ in range(2))
    for row in (batch.results >= 0).any(1).nonzero()[:, 0].tolist():
        ids = batch.tokens[row].tolist()
        numbers = list(numbers_in(ids, senses))
        for position in (batch.results[row] >= 0).nonzero()[:, 0].tolist():
            equals = max(at for at in range(position + 1) if ids[at] == senses.equals)
            operands = [(start, number) for start, number in numbers if start < equals][-2:]
            for targets, (start, number) in zip((first, second), operands, strict=True):
                targets[row, position, start : start + len(number)] = True
    return first, second


def attention_losses(
    model: LlamaForCausalLM, batch: TextBatch, states: tuple[torch.Tensor, ...], senses: WordSenses
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the losses of the supervised heads and of telling whether a word repeats a meaning.

    Args:
        model: The model in training.
        batch: The examples that it read.
        states: (B, S, D) going into each layer, and out of the last.
        senses: Senses of the tokenizer's words.

    Returns:
        The mean over heads of the negative log of the attention that reaches the targets, and the mean of
        `repeat_loss`; each is 0 where nothing is supervised.
    """
    compared, repeats = comparison_targets(batch.tokens, senses)
    copied, operands = copy_targets(batch, senses), operand_targets(batch, senses)
    losses = [_head_loss(model, states[layer], (layer, 0), compared) for layer in COMPARISON_LAYERS]
    losses += [_head_loss(model, states[layer], (layer, 0), copied) for layer in COPY_LAYERS]
    losses += [
        _head_loss(model, states[layer], (layer, head), operands[head])
        for layer in ARITHMETIC_LAYERS
        for head in (0, 1)
    ]
    is_compared = compared.any(-1)
    embeddings = model.get_input_embeddings().weight
    repeat = repeat_loss(states[REPEAT_LAYER + 1][is_compared], embeddings, senses, repeats[is_compared])
    return sum(losses[1:], losses[0]) / len(losses), repeat


def _head_loss(
    model: LlamaForCausalLM, state: torch.Tensor, place: tuple[int, int], targets: torch.Tensor
) -> torch.Tensor:
    """Compute the mean negative log of the attention that a head pays to its targets.

    The head's attention is computed again from the layer's input, so that the other heads can use the fast kernel.

    Args:
        model: The model in training.
        state: (B, S, D) going into the layer.
        place: Layer and head.
        targets: (B, S, S) bool; only tokens that have targets count.
    """
    import torch
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    is_supervised = targets.any(-1)
    if not is_supervised.any():
        return state.sum() * 0
    layer, head = model.model.layers[place[0]], place[1]
    attention, normed = layer.self_attn, layer.input_layernorm(state)
    rows = slice(head * attention.head_dim, (head + 1) * attention.head_dim)
    rotation = model.model.rotary_emb(state, torch.arange(state.shape[1])[None])
    query, key = ((normed @ linear.weight[rows].T)[:, None] for linear in (attention.q_proj, attention.k_proj))
    query, key = apply_rotary_pos_emb(query, key, *rotation)
    scores = (query @ key.mT)[:, 0][is_supervised] * attention.scaling
    later = torch.ones(scores.shape[1], scores.shape[1], dtype=torch.bool).triu(1)
    scores = scores.masked_fill(later.expand(len(is_supervised), -1, -1)[is_supervised], -torch.inf)
    reached = scores.masked_fill(~targets[is_supervised], -torch.inf).logsumexp(-1)
    return -(reached - scores.logsumexp(-1)).mean()
