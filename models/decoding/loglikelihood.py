"""How endings of a prompt are weighed in one pass: laid side by side in a row, each blind to the others.

A row holds what its prompt adds to a shared prefix, and then every ending but for its last token, whose likelihood is
read before it. So an ending of one token costs nothing beyond its prompt. Rows are padded in front, so that they end
together: endings of the same lengths are then read at the same columns, and the model's head, which is wide, computes
no others. Log-likelihoods are taken in float32.

Letters in the names of tensors: R rows, S tokens of a row, L positions of the cache, C columns whose logits are read, V
vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evals.models.decoding.sampling import NOT_FINITE
from evals.schema import Batch, Choose, Group, Prediction, Prompt

if TYPE_CHECKING:
    import torch


Weigh = Callable[[Sequence[Sequence[int]], Sequence["Endings"], Mapping[str, "torch.Tensor"]], list[list[float]]]
"""Prefixes, rows and what else the model reads with the prefixes, to the log-likelihoods of each row's endings."""


@dataclass(frozen=True, slots=True)
class Weighing(Prompt):
    """A prompt whose endings are to be weighed."""

    endings: tuple[tuple[int, ...], ...]
    """Tokens of each ending."""


@dataclass(frozen=True)
class Endings:
    """A prompt with endings to weigh, after its shared part."""

    owner: int
    """The prefix that it continues."""
    rest: Sequence[int]
    """Its own tokens, at least one."""
    endings: Sequence[Sequence[int]]
    """Each at least one token."""

    @property
    def tokens(self) -> list[int]:
        """Its row: its own tokens and then, but for its last token, every ending."""
        return [*self.rest, *(token for ending in self.endings for token in ending[:-1])]

    @property
    def readings(self) -> list[list[int]]:
        """For each ending, the places in the row after which its tokens come.

        Example:
            >>> Endings(0, [7, 7, 7], [[1], [2, 3, 4], [5, 6]]).readings
            [[2], [2, 3, 4], [2, 5]]
        """
        found, at = [], len(self.rest)
        for ending in self.endings:
            found.append([len(self.rest) - 1, *range(at, at + len(ending) - 1)])
            at += len(ending) - 1
        return found


def prefixes_of(prompts: Sequence[Prompt], batch: Batch) -> tuple[list[Sequence[int]], list[int]]:
    """Give each group's shared tokens, and each member's group; a prompt that is alone goes through in one piece."""
    prefixes = [_prefix(prompts[group.members[0]].tokens, group) for group in batch.groups]
    owners = [owner for owner, group in enumerate(batch.groups) for _ in group.members]
    return prefixes, owners


def _prefix(tokens: Sequence[int], group: Group) -> Sequence[int]:
    alone = len(group.members) == 1 and group.shared == len(tokens) - 1  # the plan leaves every prompt a token
    return () if alone else tokens[: group.shared]


def weighed(prompts: Sequence[Prompt], batch: Batch, loglikelihoods: Weigh) -> list[Prediction]:
    """Choose among the endings of every member of a batch, in the order of `batch.members`."""
    prefixes, owners = prefixes_of(prompts, batch)
    rows = []
    for member, owner in zip(batch.members, owners, strict=True):
        prompt = prompts[member]
        assert isinstance(prompt, Weighing)
        rows.append(Endings(owner, prompt.tokens[len(prefixes[owner]) :], prompt.endings))
    found = loglikelihoods(prefixes, rows, {})
    return [chosen(prompts[member], scores) for member, scores in zip(batch.members, found, strict=True)]


def read_columns(rows: Sequence[Endings]) -> list[int]:
    """List the columns at which some row reads logits, ascending; rows end together."""
    return sorted({front + place for row, front in _fronts(rows) for reading in row.readings for place in reading})


def branches(rows: Sequence[Endings], starts: torch.Tensor, room: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Say where tokens stand and what they see: all before them, but never another ending.

    A row's tokens lie in the cache after its prefix and its padding, which sees only itself, so that its numbers stay
    finite, and which nothing sees.

    Args:
        rows: what goes through the model.
        starts: the length of each row's prefix, (R,) int64.
        room: positions of the cache.

    Returns:
        Positions (R, S) int64 and what is seen (R, S, L) bool.
    """
    import torch

    longest = max(len(row.tokens) for row in rows)
    positions_RS = torch.zeros(len(rows), longest, dtype=torch.long)
    seen_RSL = torch.zeros(len(rows), longest, room, dtype=torch.bool)
    for r, ((row, front), start) in enumerate(zip(_fronts(rows), starts.tolist(), strict=True)):
        own, first = len(row.rest), start + front
        positions_RS[r, front : front + own] = torch.arange(start, start + own)
        seen_RSL[r, range(front), range(start, first)] = True
        seen_RSL[r, front:, :start] = True
        seen_RSL[r, front : front + own, first : first + own] = torch.ones(own, own, dtype=torch.bool).tril()
        seen_RSL[r, front + own :, first : first + own] = True
        for ending, reading in zip(row.endings, row.readings, strict=True):
            count = len(ending) - 1
            if count:
                at = front + reading[1]
                positions_RS[r, at : at + count] = torch.arange(start + own, start + own + count)
                block = torch.ones(count, count, dtype=torch.bool).tril()
                seen_RSL[r, at : at + count, start + at : start + at + count] = block
    return positions_RS.to(starts.device), seen_RSL.to(starts.device)


def _fronts(rows: Sequence[Endings]) -> list[tuple[Endings, int]]:
    """Each row with the padding before it."""
    lengths = [len(row.tokens) for row in rows]
    return [(row, max(lengths) - length) for row, length in zip(rows, lengths, strict=True)]


def likelihoods(rows: Sequence[Endings], columns: Sequence[int], logits_RCV: torch.Tensor) -> list[list[float]]:
    """Add up what each ending's tokens are worth.

    Args:
        rows: what went through the model.
        columns: the columns whose logits were kept, as `read_columns` lists them.
        logits_RCV: those logits.

    Returns:
        For each row the log-likelihood of every ending, in nats.
    """
    place = {column: index for index, column in enumerate(columns)}
    found = []
    for (row, front), logits_CV in zip(_fronts(rows), logits_RCV, strict=True):
        likely = logits_CV.float().log_softmax(dim=-1)
        found.append([
            float(likely[[place[front + at] for at in reading], list(ending)].sum())
            for reading, ending in zip(row.readings, row.endings, strict=True)
        ])  # fmt: skip
    return found


def chosen(prompt: Prompt, scores: Sequence[float]) -> Prediction:
    """The likeliest ending after dividing by its length as the request says; of equals, the first."""
    request = prompt.request
    assert isinstance(request, Choose)
    assert isinstance(prompt, Weighing)
    lengths = {
        "none": [1] * len(scores),
        "tokens": [len(ending) for ending in prompt.endings],
        "characters": [len(choice) for choice in request.choices],
    }[request.normalise]
    if not all(map(math.isfinite, scores)):
        return Prediction(request.id, failure=NOT_FINITE)
    weighed = [score / length for score, length in zip(scores, lengths, strict=True)]
    return Prediction(
        request.id,
        output=request.choices[weighed.index(max(weighed))],
        scores=tuple(scores),
        prompt_tokens=len(prompt.tokens),
        new_tokens=sum(len(ending) for ending in prompt.endings),
    )


def divided(
    cut: Callable[[str], tuple[int, ...]], text: str, choices: Sequence[str]
) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """Give the tokens of a context and of the endings that may follow it, for a model that reads both as one text.

    The text is cut with each ending, and then what all begin with is taken off: the tokens' borders may fall elsewhere
    than the texts'.

    Args:
        cut: a text to its tokens.
        text: the context.
        choices: the endings.
    """
    context = cut(text)
    wholes = [cut(text + choice) for choice in choices]
    shared = min(_common(context, whole) for whole in wholes)
    return context[:shared], tuple(whole[shared:] for whole in wholes)


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """Count the tokens that two prompts begin with alike."""
    return next((place for place, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
