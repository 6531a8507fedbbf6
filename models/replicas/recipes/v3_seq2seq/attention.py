"""Where the heads of `v3-seq2seq` are taught to attend: what `r1.attention` does for a decoder, for an encoder-decoder.

- comparison: the first head of two encoder layers, from words to earlier words that mean the same or are alike;
- copying: the first head of two decoder layers, from where a number is about to be written to where it occurs, both in
  the source and in the target so far;
- arithmetic: the first two heads of two more decoder layers, from where the result of a sum is about to be written to
  the sum's two numbers.

Shapes: B pairs, S tokens of the source, T of the target.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evals.models.replicas.recipes.v3_seq2seq.data import Seq2SeqBatch
from evals.models.replicas.training.attention_supervision import attention_to, comparison_targets, repeat_loss
from evals.models.replicas.training.word_senses import WordSenses, numbers_in

if TYPE_CHECKING:
    import torch
    from transformers import T5ForConditionalGeneration
    from transformers.modeling_outputs import Seq2SeqLMOutput

COMPARISON_LAYERS, REPEAT_LAYER = (1, 2), 4
"""Encoder layers, counted from 0: the supervised ones, and the one after which a word's state shows whether it repeats
a meaning."""
COPY_LAYERS, ARITHMETIC_LAYERS = (2, 3), (4, 5)
"""Decoder layers, counted from 0."""


def copy_targets(batch: Seq2SeqBatch, senses: WordSenses) -> tuple[torch.Tensor, torch.Tensor]:
    """Find where a number that is about to be written occurs already, unless it is the result of a sum.

    Returns:
        (B, T, S) bool, true at the number's first digit in the source, and (B, T, T) bool, true where that digit is
        read in the target.
    """
    import torch

    (rows, length), width = batch.labels.shape, batch.tokens.shape[1]
    in_source = torch.zeros(rows, length, width, dtype=torch.bool)
    in_target = torch.zeros(rows, length, length, dtype=torch.bool)
    for row in range(rows):
        target_ids = batch.labels[row].tolist()
        if batch.kinds[row] != "solutions" or len(target_ids) < 2:
            continue
        source_numbers = list(numbers_in(batch.tokens[row].tolist(), senses))
        written: list[tuple[int, tuple[int, ...]]] = []
        for position, number in numbers_in(target_ids, senses):
            if not batch.results[row, position]:
                for start, other in source_numbers:
                    in_source[row, position, start] = other == number
                for start, other in written:
                    # The decoder reads a token one position after it has written it.
                    in_target[row, position, start + 1] = other == number
            written.append((position, number))
    return in_source, in_target


def operand_targets(batch: Seq2SeqBatch, senses: WordSenses) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Find the digits of a sum's two numbers, from where its result is written.

    Returns:
        For each of the two numbers (B, T, S) bool, for sums in the source, and (B, T, T) bool, for sums in the target.
    """
    import torch

    (rows, length), width = batch.labels.shape, batch.tokens.shape[1]
    in_source, in_target = (
        [torch.zeros(rows, length, size, dtype=torch.bool) for _ in range(2)] for size in (width, length)
    )  # fmt: skip
    for row, position in batch.results.nonzero().tolist():
        target_ids = batch.labels[row].tolist()
        equals = [at for at in range(position) if target_ids[at] == senses.equals]
        if equals:
            marked, shift, ids = in_target, 1, target_ids[: equals[-1]]
        else:
            marked, shift, ids = in_source, 0, batch.tokens[row].tolist()
        operands = list(numbers_in(ids, senses))[-2:]
        for targets, (start, number) in zip(marked, operands, strict=True):
            targets[row, position, start + shift : start + shift + len(number)] = True
    return in_source, in_target


def attention_losses(
    model: T5ForConditionalGeneration, batch: Seq2SeqBatch, output: Seq2SeqLMOutput, senses: WordSenses
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the losses of the supervised heads and of telling whether a word repeats a meaning.

    Args:
        model: The model in training.
        batch: The pairs that it read.
        output: Its output, with the attentions and the hidden states of all layers.
        senses: Senses of the tokenizer's words.

    Returns:
        The mean over heads of the negative log of the attention that reaches the targets, and the mean of
        `repeat_loss`; each is 0 where nothing is supervised.
    """
    import torch

    compared, repeats = comparison_targets(batch.tokens, senses)
    copied_source, copied_target = copy_targets(batch, senses)
    candidates = [_head_loss(output.encoder_attentions[layer], compared) for layer in COMPARISON_LAYERS]
    for layer in COPY_LAYERS:
        candidates += [
            _head_loss(output.cross_attentions[layer], copied_source),
            _head_loss(output.decoder_attentions[layer], copied_target),
        ]
    operands = operand_targets(batch, senses)
    for layer in ARITHMETIC_LAYERS:
        for attentions, numbers in zip((output.cross_attentions, output.decoder_attentions), operands, strict=True):
            candidates += [_head_loss(attentions[layer], targets, head) for head, targets in enumerate(numbers)]
    losses = [loss for loss in candidates if loss is not None]
    mean = torch.stack(losses).mean() if losses else output.logits.sum() * 0
    is_compared = compared.any(-1)
    states = output.encoder_hidden_states[REPEAT_LAYER + 1][is_compared]
    return mean, repeat_loss(states, model.get_input_embeddings().weight, senses, repeats[is_compared])


def _head_loss(attention: torch.Tensor, targets: torch.Tensor, head: int = 0) -> torch.Tensor | None:
    """Compute the mean negative log of the attention that a head pays to its targets; None if there are none."""
    return -attention_to(attention, targets, head).log().mean() if targets.any() else None
