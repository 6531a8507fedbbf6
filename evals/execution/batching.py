"""Requests to batches: shared prefixes, longest first, a token token_budget.

A plan is a pure function of the prompts and the token_budget. Who runs a batch, how many workers there are and what was
interrupted never changes what is in it; that is what makes a result independent of them.

A batch is as big as the token positions that it holds while it runs: every prompt's row is as long as the longest
shared part, plus the longest rest, plus the most tokens that may follow. Prompts that begin alike are kept together
as long as they fit: their shared part is computed once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from evals.schema import Batch, Group, Prompt


@dataclass(frozen=True, slots=True)
class _Size:
    """The lengths that make a batch's footprint, each the longest of its rows."""

    rows: int = 0
    shared: int = 0
    rest: int = 0
    reserve: int = 0

    def grown(self, shared: int, members: Iterable[Prompt]) -> _Size:
        """The size after more rows with a shared part of this length."""
        added = list(members)
        return _Size(
            self.rows + len(added),
            max(self.shared, shared),
            max(self.rest, *(len(prompt.tokens) - shared for prompt in added)),
            max(self.reserve, *(prompt.reserve for prompt in added)),
        )

    @property
    def slots(self) -> int:
        """Token positions held: rows times the padded length."""
        return self.rows * (self.shared + self.rest + self.reserve)


def plan(prompts: Sequence[Prompt], token_budget: int, *, share: bool = True) -> tuple[Batch, ...]:
    """Divide prompts into batches.

    Args:
        prompts: what to compute; only keys, tokens and reserves are read.
        token_budget: token positions that a batch may hold, at least 1. A prompt that alone needs more gets a batch
        alone.
        share: compute leading tokens of prompts with equal keys once.

    Returns:
        Batches in which every prompt has one place, longest prompts first, so that the one that needs most memory
        comes first and the time that remains can be told early.

    Raises:
        ValueError: when the token_budget is not positive.

    Example:
        >>> from evals.schema import Embed
        >>> def prompt(key, *tokens):
        ...     return Prompt(Embed("", ()), key, tokens, reserve=0)
        >>> plan([prompt("cat", 7, 7, 1), prompt("dog", 8, 2), prompt("cat", 7, 7, 3, 4)], token_budget=8)
        (Batch(groups=(Group(shared=2, members=(2, 0)),)), Batch(groups=(Group(shared=1, members=(1,)),)))
    """
    if token_budget < 1:
        raise ValueError(f"a token_budget of {token_budget} tokens holds nothing")
    batches: list[Batch] = []
    groups: list[Group] = []
    size = _Size()
    for group in _groups(prompts, share):
        for piece in _pieces(group, prompts, token_budget, size):
            grown = size.grown(piece.shared, (prompts[member] for member in piece.members))
            if groups and grown.slots > token_budget:
                batches.append(Batch(tuple(groups)))
                groups, grown = [], _Size().grown(piece.shared, (prompts[member] for member in piece.members))
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
    size = _Size()
    useful = 0
    for group in batch.groups:
        members = [prompts[member] for member in group.members]
        size = size.grown(group.shared, members)
        useful += group.shared + sum(len(prompt.tokens) - group.shared for prompt in members)
    return len(batch.groups) * size.shared + size.rows * size.rest, useful


def _groups(prompts: Sequence[Prompt], share: bool) -> list[Group]:
    """Gather prompts with equal keys, longest first within and among groups; ties keep the given order."""
    gathered: dict[object, list[int]] = {}
    for place, prompt in enumerate(prompts):
        gathered.setdefault(prompt.key if share else place, []).append(place)

    def length(place: int) -> int:
        return len(prompts[place].tokens) + prompts[place].reserve

    groups = []
    for places in gathered.values():
        members = tuple(sorted(places, key=length, reverse=True))
        groups.append(Group(_shared([prompts[member].tokens for member in members]), members))
    return sorted(groups, key=lambda group: length(group.members[0]), reverse=True)


def _shared(prompts: Sequence[Sequence[int]]) -> int:
    """Count the leading tokens that prompts have in common, leaving each at least one of its own.

    The rest may not be empty: it is where the first prediction comes from.
    """
    first, last = min(map(tuple, prompts)), max(map(tuple, prompts))  # what these two share, all between them do
    common = next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return max(0, min(common, min(map(len, prompts)) - 1))


def _pieces(group: Group, prompts: Sequence[Prompt], token_budget: int, size: _Size) -> Iterator[Group]:
    """Cut a group that exceeds the token_budget; one that fits a batch of its own stays whole."""
    if _Size().grown(group.shared, (prompts[member] for member in group.members)).slots <= token_budget:
        yield group
        return
    piece: list[int] = []
    # The first piece may fill what the batch under way has left; the others start batches of their own.
    room = size
    for member in group.members:
        grown = room.grown(group.shared, [prompts[member]])
        if grown.slots > token_budget and (piece or room.rows):
            if piece:
                yield Group(group.shared, tuple(piece))
            piece, grown = [], _Size().grown(group.shared, [prompts[member]])
        piece.append(member)
        room = grown
    yield Group(group.shared, tuple(piece))
