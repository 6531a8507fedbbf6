"""Divide prompts into batches: shared prefixes, longest prompts first, within a token budget.

A plan is a pure function of the prompts and the token budget. The number of workers, the worker that computes a
batch, and interruptions never change what is in a batch, so a result does not depend on them.

The size of a batch is the number of token positions that it holds while it runs: the row of every prompt is as long as
the longest shared prefix, plus the longest suffix, plus the largest number of tokens that may follow. Prompts with a
common prefix stay together as long as they fit; the prefix is computed once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from evals.schema import Batch, Group, Prompt


@dataclass(frozen=True, slots=True)
class _Footprint:
    """The numbers that make a batch's size; each length is that of its longest row."""

    rows: int = 0
    shared: int = 0
    suffix: int = 0
    reserve: int = 0

    def grown(self, shared: int, members: Iterable[Prompt]) -> _Footprint:
        """Return the footprint with more rows that share a prefix of this length."""
        added = list(members)
        return _Footprint(
            self.rows + len(added),
            max(self.shared, shared),
            max(self.suffix, *(len(prompt.tokens) - shared for prompt in added)),
            max(self.reserve, *(prompt.reserve for prompt in added)),
        )

    @property
    def slots(self) -> int:
        """Number of token positions: rows times the padded length."""
        return self.rows * (self.shared + self.suffix + self.reserve)


def plan(prompts: Sequence[Prompt], token_budget: int, *, share: bool = True) -> tuple[Batch, ...]:
    """Divide prompts into batches.

    Args:
        prompts: what to compute; only keys, tokens and reserves are read.
        token_budget: maximum number of token positions in a batch, at least 1. A prompt that needs more gets a batch of
            its own.
        share: compute the common prefix of prompts with equal keys once.

    Returns:
        Batches that contain each prompt once, longest prompts first: so the batch that needs most memory comes first,
        and the remaining time can be estimated early.

    Raises:
        ValueError: if the token budget is not positive.

    Example:
        >>> from evals.schema import Embed
        >>> def prompt(key, *tokens):
        ...     return Prompt(Embed("", ()), key, tokens, reserve=0)
        >>> plan([prompt("cat", 7, 7, 1), prompt("dog", 8, 2), prompt("cat", 7, 7, 3, 4)], token_budget=8)
        (Batch(groups=(Group(shared=2, members=(2, 0)),)), Batch(groups=(Group(shared=1, members=(1,)),)))
    """
    if token_budget < 1:
        raise ValueError(f"a token budget of {token_budget} is not positive")
    batches: list[Batch] = []
    groups: list[Group] = []
    size = _Footprint()
    for group in _groups(prompts, share):
        for piece in _pieces(group, prompts, token_budget, size):
            grown = size.grown(piece.shared, (prompts[member] for member in piece.members))
            if groups and grown.slots > token_budget:
                batches.append(Batch(tuple(groups)))
                groups, grown = [], _Footprint().grown(piece.shared, (prompts[member] for member in piece.members))
            groups.append(piece)
            size = grown
    if groups:
        batches.append(Batch(tuple(groups)))
    return tuple(batches)


def padding(prompts: Sequence[Prompt], batch: Batch) -> tuple[int, int]:
    """Count the prompt positions that a batch computes, and those of them that are not padding.

    Example:
        >>> from evals.schema import Embed
        >>> prompts = [Prompt(Embed("", ()), "k", tokens, 0) for tokens in [(1, 1, 2, 3), (1, 1, 4)]]
        >>> padding(prompts, Batch((Group(2, (0, 1)),)))  # 2 shared + 2 rows of 2, of which one is padded
        (6, 5)
    """
    size = _Footprint()
    useful = 0
    for group in batch.groups:
        members = [prompts[member] for member in group.members]
        size = size.grown(group.shared, members)
        useful += group.shared + sum(len(prompt.tokens) - group.shared for prompt in members)
    return len(batch.groups) * size.shared + size.rows * size.suffix, useful


def _groups(prompts: Sequence[Prompt], share: bool) -> list[Group]:
    """Group prompts with equal keys, longest first within and among groups; ties keep the given order."""
    indices_by_key: dict[object, list[int]] = {}
    for index, prompt in enumerate(prompts):
        indices_by_key.setdefault(prompt.key if share else index, []).append(index)

    def length(index: int) -> int:
        return len(prompts[index].tokens) + prompts[index].reserve

    groups = []
    for indices in indices_by_key.values():
        members = tuple(sorted(indices, key=length, reverse=True))
        groups.append(Group(_shared([prompts[member].tokens for member in members]), members))
    return sorted(groups, key=lambda group: length(group.members[0]), reverse=True)


def _shared(prompts: Sequence[Sequence[int]]) -> int:
    """Count the tokens of the common prefix, leaving each prompt at least one token after it.

    A suffix may not be empty: the first prediction is made at its last token.
    """
    first, last = min(map(tuple, prompts)), max(map(tuple, prompts))  # a prefix common to these two is common to all
    common = next((index for index, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return max(0, min(common, min(map(len, prompts)) - 1))


def _pieces(group: Group, prompts: Sequence[Prompt], token_budget: int, size: _Footprint) -> Iterator[Group]:
    """Split a group that exceeds the token budget; a group that fits one batch is not split."""
    if _Footprint().grown(group.shared, (prompts[member] for member in group.members)).slots <= token_budget:
        yield group
        return
    piece: list[int] = []
    # The first piece may fill the current batch; the others start new batches.
    room = size
    for member in group.members:
        grown = room.grown(group.shared, [prompts[member]])
        if grown.slots > token_budget and (piece or room.rows):
            if piece:
                yield Group(group.shared, tuple(piece))
            piece, grown = [], _Footprint().grown(group.shared, [prompts[member]])
        piece.append(member)
        room = grown
    yield Group(group.shared, tuple(piece))
