"""Log-likelihoods of several continuations of one prompt, computed in one row of a forward pass.

A row holds the prompt's tokens after its shared prefix (its suffix), followed by the tokens of every continuation
except the last token of each, whose log-likelihood is read at the token before it. Therefore a continuation of one
token costs nothing beyond its prompt. No continuation sees another. Rows are padded on the left, so that they end in
the same column: then continuations of equal lengths are read at the same columns, and the model's head, which is wide,
computes only these columns. Log-likelihoods are computed in float32.

Letters in the names of tensors: R rows, S tokens of a row, L positions of the cache, C columns whose logits are read, V
vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evals.errors import SampleError
from evals.models.decoding.padding import on_device
from evals.models.decoding.sampling import NOT_FINITE
from evals.schema import Batch, Choose, Group, Prediction, Prompt
from evals.ties import first_of_largest

if TYPE_CHECKING:
    import torch


_LOGITS_AT_ONCE = 1 << 27
"""Number of logits of which a GPU computes the log-likelihoods at once. A CPU takes one row, for its caches."""

ScoreRows = Callable[[Sequence[Sequence[int]], Sequence["ScoringRow"], Mapping[str, Any]], list[list[float]]]
"""A decoder's `loglikelihoods`: takes prefixes, rows and further model inputs; returns each row's log-likelihoods."""


@dataclass(frozen=True, slots=True)
class ChoicePrompt(Prompt):
    """A prompt with the continuations among which the model chooses."""

    continuations: tuple[tuple[int, ...], ...]
    """Tokens of each continuation."""


@dataclass(frozen=True)
class ScoringRow:
    """One prompt after its shared prefix, with the continuations to score."""

    prefix_index: int
    """Index of the shared prefix that the prompt begins with."""
    suffix: Sequence[int]
    """The prompt's tokens after the shared prefix; at least one."""
    continuations: Sequence[Sequence[int]]
    """Tokens of each continuation; at least one each."""

    @property
    def tokens(self) -> list[int]:
        """The row's tokens: the suffix, then every continuation without its last token."""
        return [*self.suffix, *(token for tokens in self.continuations for token in tokens[:-1])]

    @property
    def is_causal(self) -> bool:
        """Whether each of the row's tokens sees all before it: at most one continuation has more than one token."""
        return sum(len(tokens) > 1 for tokens in self.continuations) <= 1

    @property
    def logit_indices(self) -> list[list[int]]:
        """For each token of each continuation, the index in the row whose logits predict it.

        Example:
            >>> ScoringRow(0, [7, 7, 7], [[1], [2, 3, 4], [5, 6]]).logit_indices
            [[2], [2, 3, 4], [2, 5]]
        """
        indices, start = [], len(self.suffix)
        for tokens in self.continuations:
            indices.append([len(self.suffix) - 1, *range(start, start + len(tokens) - 1)])
            start += len(tokens) - 1
        return indices


def choice_prompt(
    request: Choose, context: tuple[int, ...], continuations: tuple[tuple[int, ...], ...], *, removed: int = 0
) -> ChoicePrompt:
    """Make the prompt of a choice from tokens. Raises `SampleError` if the context or a continuation is empty.

    Args:
        request: the request.
        context: tokens of the context.
        continuations: tokens of each continuation.
        removed: number of tokens by which the context was shortened.
    """
    if not context or not all(continuations):
        raise SampleError(f"request {request.id}: a continuation adds no token to its prompt")
    reserve = sum(len(tokens) - 1 for tokens in continuations)
    return ChoicePrompt(request, request.parts[:-1] or (request.id,), context, reserve, continuations, removed=removed)


def split_prefixes(prompts: Sequence[Prompt], batch: Batch) -> tuple[list[Sequence[int]], list[int]]:
    """Split a batch into shared prefixes and prompts that continue them.

    Returns:
        The shared tokens of each group, and for each member of the batch the index of its group. The prefix of a group
        with one prompt is empty, so that the prompt goes through the model in one piece.
    """
    prefixes = [_prefix(prompts[group.members[0]].tokens, group) for group in batch.groups]
    prefix_indices = [index for index, group in enumerate(batch.groups) for _ in group.members]
    return prefixes, prefix_indices


def _prefix(tokens: Sequence[int], group: Group) -> Sequence[int]:
    # The batch plan leaves every prompt at least one token after its prefix.
    single = len(group.members) == 1 and group.shared == len(tokens) - 1
    return () if single else tokens[: group.shared]


def choose_batch(prompts: Sequence[Prompt], batch: Batch, score_rows: ScoreRows) -> list[Prediction]:
    """Choose a continuation for every member of a batch, in the order of `batch.members`."""
    prefixes, prefix_indices = split_prefixes(prompts, batch)
    rows = []
    for member, index in zip(batch.members, prefix_indices, strict=True):
        prompt = prompts[member]
        assert isinstance(prompt, ChoicePrompt)
        rows.append(ScoringRow(index, prompt.tokens[len(prefixes[index]) :], prompt.continuations))
    log_likelihoods = score_rows(prefixes, rows, {})
    return [choose(prompts[member], scores) for member, scores in zip(batch.members, log_likelihoods, strict=True)]


def choose(prompt: Prompt, log_likelihoods: Sequence[float]) -> Prediction:
    """Choose the most likely continuation of a `ChoicePrompt`; see `most_likely`."""
    assert isinstance(prompt, ChoicePrompt)
    assert isinstance(prompt.request, Choose)
    lengths = [len(tokens) for tokens in prompt.continuations]
    return most_likely(prompt.request, log_likelihoods, lengths, prompt_tokens=len(prompt.tokens))


def most_likely(
    request: Choose, log_likelihoods: Sequence[float], lengths: Sequence[int], *, prompt_tokens: int
) -> Prediction:
    """Choose the most likely continuation, normalised by length as the request says; the first of those that tie.

    Args:
        request: the request, with its choices and their normalisation.
        log_likelihoods: log-likelihood of each choice in nats.
        lengths: number of tokens of each choice.
        prompt_tokens: number of tokens of the prompt, for the prediction.

    Returns:
        The prediction; a failure if a log-likelihood is not finite.
    """
    divisors = {
        "none": [1] * len(log_likelihoods),
        "tokens": lengths,
        "characters": [len(choice.removeprefix(" ")) for choice in request.choices],  # lm-evaluation-harness: acc_norm
    }[request.normalise]
    if not all(map(math.isfinite, log_likelihoods)):
        return Prediction(request.id, failure=NOT_FINITE)
    normalised = [
        score / divisor if divisor else -math.inf for score, divisor in zip(log_likelihoods, divisors, strict=True)
    ]
    return Prediction(
        request.id,
        output=request.choices[first_of_largest(normalised)],
        scores=tuple(log_likelihoods),
        prompt_tokens=prompt_tokens,
        new_tokens=sum(lengths),
    )


def logit_columns(rows: Sequence[ScoringRow]) -> list[int]:
    """List the columns at which any row reads logits, in ascending order."""
    return sorted({
        padding + index for row, padding in _with_padding(rows) for indices in row.logit_indices for index in indices
    })  # fmt: skip


def logit_indices_by_row(rows: Sequence[ScoringRow]) -> list[list[int]]:
    """List the indices at which each row reads logits, in ascending order; shorter lists repeat their last index.

    Example:
        >>> logit_indices_by_row([ScoringRow(0, [7, 7], [[1], [2, 3]]), ScoringRow(0, [7], [[1]])])
        [[1, 2], [0, 0]]
    """
    lists = [sorted({index for indices in row.logit_indices for index in indices}) for row in rows]
    longest = max(map(len, lists))
    return [[*indices, *indices[-1:] * (longest - len(indices))] for indices in lists]


def positions_and_mask(
    rows: Sequence[ScoringRow], starts: Sequence[int], capacity: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute position ids and the attention mask: each token sees what comes before it, but no other continuation.

    In the cache, a row's tokens follow its prefix and its padding. Padding sees only itself, so that its values stay
    finite, and no token sees padding.

    Args:
        rows: the rows of the forward pass.
        starts: length of each row's prefix.
        capacity: number of positions of the cache.

    Returns:
        Position ids (R, S) int64, and the mask (R, S, L) bool, true where a token is visible.
    """
    import torch

    longest = max(len(row.tokens) for row in rows)
    positions_RS = torch.zeros(len(rows), longest, dtype=torch.long)
    visible_RSL = torch.zeros(len(rows), longest, capacity, dtype=torch.bool)
    for r, ((row, padding), start) in enumerate(zip(_with_padding(rows), starts, strict=True)):
        count, first = len(row.suffix), start + padding
        positions_RS[r, padding : padding + count] = torch.arange(start, start + count)
        visible_RSL[r, range(padding), range(start, first)] = True
        visible_RSL[r, padding:, :start] = True
        causal = torch.ones(count, count, dtype=torch.bool).tril()
        visible_RSL[r, padding : padding + count, first : first + count] = causal
        visible_RSL[r, padding + count :, first : first + count] = True
        for tokens, indices in zip(row.continuations, row.logit_indices, strict=True):
            added = len(tokens) - 1
            if added:
                column = padding + indices[1]
                positions_RS[r, column : column + added] = torch.arange(start + count, start + count + added)
                block = torch.ones(added, added, dtype=torch.bool).tril()
                visible_RSL[r, column : column + added, start + column : start + column + added] = block
    return positions_RS, visible_RSL


def _with_padding(rows: Sequence[ScoringRow]) -> list[tuple[ScoringRow, int]]:
    """Pair each row with the number of padding positions before it."""
    lengths = [len(row.tokens) for row in rows]
    return [(row, max(lengths) - length) for row, length in zip(rows, lengths, strict=True)]


def sum_log_likelihoods(
    rows: Sequence[ScoringRow], indices: Sequence[Sequence[int]], logits_RCV: torch.Tensor
) -> list[list[float]]:
    """Sum the log-likelihoods of each continuation's tokens.

    Args:
        rows: the rows of the forward pass.
        indices: for each row, the indices of its tokens whose logits were computed; others are not read.
        logits_RCV: those logits.

    Returns:
        For each row, the log-likelihood of every continuation in nats.
    """
    reads: list[list[list[tuple[int, int]]]] = []
    for row, computed in zip(rows, indices, strict=True):
        column_by_index = {index: column for column, index in enumerate(computed)}
        reads.append([
            [(column_by_index[index], token) for index, token in zip(read, tokens, strict=True)]
            for read, tokens in zip(row.logit_indices, row.continuations, strict=True)
        ])  # fmt: skip
    return token_sums(logits_RCV, reads)


def token_sums(logits_RCV: torch.Tensor, reads: Sequence[Sequence[Sequence[tuple[int, int]]]]) -> list[list[float]]:
    """Sum log-likelihoods of tokens; a GPU is waited for once.

    Args:
        logits_RCV: logits.
        reads: for each row, and each of its sums, the columns and tokens whose log-likelihoods are added.

    Returns:
        The sums of each row, in nats.
    """
    import torch

    _, C, V = logits_RCV.shape
    step = 1 if logits_RCV.device.type == "cpu" else max(1, _LOGITS_AT_ONCE // (C * V))
    parts = []
    for first in range(0, len(reads), step):
        log_likelihoods = logits_RCV[first : first + step].float().log_softmax(dim=-1)
        places = [
            (row, *place) for row, sums in enumerate(reads[first : first + step]) for read in sums for place in read
        ]
        row_N, column_N, token_N = on_device(torch.tensor(places).T, logits_RCV.device)
        parts.append(log_likelihoods[row_N, column_N, token_N])
    values = torch.cat(parts).cpu().split([len(read) for sums in reads for read in sums])
    scores = iter(torch.stack([value.sum() for value in values]).tolist())
    return [[next(scores) for _ in sums] for sums in reads]


def tokenise_choices(
    tokenise: Callable[[str], tuple[int, ...]], text: str, choices: Sequence[str]
) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """Tokenise a context and its continuations for a model that reads both as one text.

    The context is tokenised together with each choice, and the tokens that all of these have in common become the
    context: a token may span the border between context and choice. Where no token does, and the context does not end
    in white space, this is the rule of lm-eval 0.4.13 (`_encode_pair` in lm_eval/api/model.py). It counts white space
    at the end of a context to the continuation, which adds one amount to the log-likelihoods of all continuations.

    Args:
        tokenise: turns a text into tokens.
        text: the context.
        choices: the continuations as text.

    Returns:
        The tokens of the context, and the tokens of each continuation.
    """
    context = tokenise(text)
    joined = [tokenise(text + choice) for choice in choices]
    shared = min(common_length(context, tokens) for tokens in joined)
    return context[:shared], tuple(tokens[shared:] for tokens in joined)


def common_length(a: Sequence[int], b: Sequence[int]) -> int:
    """Count the leading tokens that two sequences have in common."""
    return next((index for index, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
