"""Where `v3-seq2seq` is shown to look while it learns: what `alignment` does for a decoder, for an encoder-decoder.

The first head of two layers of the encoder is led from words to what they repeat; of two layers of the decoder, from
where a number is about to be written to where it stands, in what is read and in what was said before; and the first two
heads of two more from where the result of a sum is about to be written to the sum's two numbers.

Shapes: B pairs, S tokens that are read, T that are said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evals.models.replicas.training import alignment
from evals.models.replicas.training.alignment import Sense

if TYPE_CHECKING:
    import torch
    from transformers import T5ForConditionalGeneration
    from transformers.modeling_outputs import Seq2SeqLMOutput

    from evals.models.replicas.recipes.v3_seq2seq.train import Page

COMPARING_LAYERS, SAID_AFTER = (1, 2), 4
"""Layers of the encoder, from 0, as in `alignment`."""
COPYING_LAYERS, RECKONING_LAYERS = (2, 3), (4, 5)
"""Layers of the decoder; of those that reckon, the first two heads are led."""


def copies(page: Page, words: Sense) -> tuple[torch.Tensor, torch.Tensor]:
    """Say where a number that is about to be said, if it is no result, stands already.

    Returns:
        (B, T, S) bool for what is read, and (B, T, T) bool for what was said: where its first digit goes in.
    """
    import torch

    (rows, long), wide = page.labels.shape, page.tokens.shape[1]
    read, said = torch.zeros(rows, long, wide, dtype=torch.bool), torch.zeros(rows, long, long, dtype=torch.bool)
    for row in range(rows):
        targets = page.labels[row].tolist()
        if page.kinds[row] != "solutions" or len(targets) < 2:
            continue
        there = list(alignment.numbers_in(page.tokens[row].tolist(), words))
        before: list[tuple[int, tuple[int, ...]]] = []
        for place, number in alignment.numbers_in(targets, words):
            if not page.results[row, place]:
                for start, other in there:
                    read[row, place, start] = other == number
                for start, other in before:
                    said[row, place, start + 1] = other == number  # a token goes in one place after it came out
            before.append((place, number))
    return read, said


def operands(page: Page, words: Sense) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Say where the digits of a sum's two numbers are, from where its result is said.

    Returns:
        (B, T, S) bool for each of the two, where the sum is read, and (B, T, T) bool, where it was said.
    """
    import torch

    (rows, long), wide = page.labels.shape, page.tokens.shape[1]
    read, said = (
        [torch.zeros(rows, long, size, dtype=torch.bool) for _ in range(2)] for size in (wide, long)
    )  # fmt: skip
    for row, place in page.results.nonzero().tolist():
        targets = page.labels[row].tolist()
        equals = [at for at in range(place) if targets[at] == words.equals]
        where, shift, ids = (said, 1, targets[: equals[-1]]) if equals else (read, 0, page.tokens[row].tolist())
        summed = list(alignment.numbers_in(ids, words))[-2:]
        for look, (start, number) in zip(where, summed, strict=True):
            look[row, place, start + shift : start + shift + len(number)] = True
    return read, said


def lead(
    model: T5ForConditionalGeneration, page: Page, said: Seq2SeqLMOutput, words: Sense
) -> tuple[torch.Tensor, torch.Tensor]:
    """Measure how far the led heads are from looking where they are shown, and words from knowing their like.

    Args:
        model: What learns.
        page: What it read.
        said: What came out, with the attentions and the states of all layers.
        words: `alignment.sense` of the tokenizer.

    Returns:
        The two losses, means over what they are about; 0 where there is nothing.
    """
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, normalize

    compared, repeats = alignment.comparisons(page.tokens, words)
    read, before = copies(page, words)
    found = [_look(said.encoder_attentions[layer], compared) for layer in COMPARING_LAYERS]
    for layer in COPYING_LAYERS:
        found += [_look(said.cross_attentions[layer], read), _look(said.decoder_attentions[layer], before)]
    reckoned = operands(page, words)
    for layer in RECKONING_LAYERS:
        for attentions, looks in zip((said.cross_attentions, said.decoder_attentions), reckoned, strict=True):
            found += [_look(attentions[layer], look, head) for head, look in enumerate(looks)]
    looks = [look for look in found if look is not None]
    mean = torch.stack(looks).mean() if looks else said.logits.sum() * 0
    asked = compared.any(-1)
    states = said.encoder_hidden_states[SAID_AFTER + 1][asked]
    if not len(states):
        return mean, states.sum()
    answers = normalize(model.get_input_embeddings().weight[words.answers], dim=-1)
    no, yes = (normalize(states, dim=-1) @ answers.T).T
    known = binary_cross_entropy_with_logits(alignment.CONTRAST * (yes - no), repeats[asked].float())
    return mean, known


def _look(attention: torch.Tensor, targets: torch.Tensor, head: int = 0) -> torch.Tensor | None:
    """Give the mean negative log of what a head pays to the targets; None where there are none."""
    led = targets.any(-1)
    if not led.any():
        return None
    return -(attention[:, head] * targets).sum(-1)[led].clamp(min=1e-9).log().mean()
