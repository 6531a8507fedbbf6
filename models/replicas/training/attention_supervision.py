"""Attention supervision: losses that teach chosen attention heads where to attend.

Labels alone do not teach a small model within half an hour to compare two sentences word by word: after 600 steps of
`r1` without these losses, a word of the first sentence was no more expected in the second than any other word. With
them it takes 200 steps.

- Comparison: a head attends from a word to the earlier words that mean the same (*couch*, *sofa*) or, if there are
  none, to words of the same kind (another color, another day). A second loss asks a later layer which it was.
- Patches: a head attends from a name to the patches of the things that it fits, and from a question to the patches of
  the thing that it is about.
- Copying and arithmetic: `recipes/r1/attention.py` and `recipes/v3_seq2seq/attention.py`.

Shapes: B texts, S tokens, N supervised tokens, L tokens with attention targets, P patches, D width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evals.models.replicas.training.question_packing import AttentionTargets
from evals.models.replicas.training.word_senses import WordSenses

if TYPE_CHECKING:
    import torch

CONTRAST = 8.0
"""Factor on the difference of the cosines with *yes* and *no* in `repeat_loss`."""

SMALLEST = 1e-9
"""Attention below this counts as this much, so that its logarithm is finite."""


def comparison_targets(tokens: torch.Tensor, senses: WordSenses) -> tuple[torch.Tensor, torch.Tensor]:
    """Find the earlier words with which each word should be compared.

    Args:
        tokens: (B, S) int64.
        senses: Senses of the tokenizer's words.

    Returns:
        (B, S, S) bool, true where the token of the second axis should attend to that of the third, and (B, S) bool,
        true where a word repeats an earlier meaning.
    """
    import torch

    meanings, kinds = senses.meanings[tokens], senses.kinds[tokens]
    earlier = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool).tril(-1)
    same_meaning = (meanings[:, :, None] == meanings[:, None]) & (meanings[:, :, None] > 0) & earlier
    same_kind = (kinds[:, :, None] == kinds[:, None]) & (kinds[:, :, None] > 0) & earlier
    repeats = same_meaning.any(-1)
    return torch.where(repeats[..., None], same_meaning, same_kind), repeats


def attention_to(attention: torch.Tensor, targets: torch.Tensor, head: int = 0) -> torch.Tensor:
    """Add up the attention that a head pays to the targets, for every token that has targets.

    Args:
        attention: (B, heads, S, S) after the softmax.
        targets: (B, S, S) bool.
        head: The supervised head.

    Returns:
        (N,) in `SMALLEST` to 1.
    """
    return (attention[:, head] * targets).sum(-1)[targets.any(-1)].clamp(min=SMALLEST)


def patch_attention_loss(attention: torch.Tensor, targets: AttentionTargets) -> torch.Tensor:
    """Compute the mean cross-entropy between the targets and the attention that is paid to the patches.

    Args:
        attention: (L, P) after the softmax, from the targets' tokens.
        targets: How it should be distributed.
    """
    return -(targets.patches * attention.clamp(min=SMALLEST).log()).sum(-1).mean()


def repeat_loss(
    states: torch.Tensor, embeddings: torch.Tensor, senses: WordSenses, repeats: torch.Tensor
) -> torch.Tensor:
    """Compute the binary cross-entropy of telling, from a word's state, whether the word repeats an earlier meaning.

    The prediction is the difference of the state's cosines with the embeddings of *yes* and *no*.

    Args:
        states: (N, D) of the words that have something to compare with.
        embeddings: (V, D) of the vocabulary.
        senses: Senses of the tokenizer's words.
        repeats: (N,) bool.

    Returns:
        A scalar; 0 if there are no such words.
    """
    from torch.nn.functional import binary_cross_entropy_with_logits, normalize

    if not len(states):
        return states.sum()
    answers = normalize(embeddings[senses.answers], dim=-1)
    no, yes = (normalize(states, dim=-1) @ answers.T).T
    return binary_cross_entropy_with_logits(CONTRAST * (yes - no), repeats.float())
