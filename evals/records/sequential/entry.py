"""What `result.json` says of a run that looked at its interval: the rule, the looks, and what was decided."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import msgspec

from evals.records.stored import Real, Size, Stored
from evals.statistics.sequential.finite_set import FiniteSet


class PairLooks(Stored, kw_only=True):
    """Two models of a race at all looks in which both took part, so that a page can draw them."""

    first: str
    second: str
    samples: list[Size]
    """By look, the number of samples."""
    difference: list[Real]
    """By look, the mean of the first minus that of the second, on these samples."""
    low: list[Real]
    high: list[Real]
    """By look, the interval of the confidence sequence."""

    def __post_init__(self) -> None:
        """Check that each look has a difference and an interval, and more samples than the one before."""
        if not len(self.samples) == len(self.difference) == len(self.low) == len(self.high) >= 1:
            raise ValueError(f"{self.first} and {self.second} have looks that are not complete")
        if any(low > high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError(f"{self.first} and {self.second} have an interval whose ends are exchanged")
        if any(later <= earlier for earlier, later in pairwise(self.samples)):
            raise ValueError(f"{self.first} and {self.second} have looks that are not in their order")


class SequentialEntry(Stored, kw_only=True, omit_defaults=True):
    """How a run looked at its interval, and what was decided (`--precision`, `--until-decided`, `--fast`)."""

    rule: Literal["precision", "until-decided", "fast"]
    """When it stops: when its own interval is narrow enough, when a race between models is decided, or when the claims
    of a document are, or a selection excludes its model."""
    target: Real | None = None
    """The precision (half of the width of the interval), the margin or the minimum that was asked for: a fraction."""
    looks: Size
    """Number of looks."""
    used: Size
    """Number of samples at the last look."""
    of: Size
    """Number of samples of the whole set."""
    decision: Literal["first_better", "second_better", "within_margin", "precise", "undecided", "below_minimum"]
    """Of a race, which model of the `pair` is better."""
    low: Real | None = None
    high: Real | None = None
    """The interval of the confidence sequence at the last look: of the headline, or of the difference of two models."""
    difference: Real | None = None
    """The mean difference of two models, the first minus the second."""
    pair: list[str] = msgspec.field(default_factory=list)
    """The two models whose difference is stated: of several, the one that put this model out, or the closest one."""
    clusters: Size
    """Number of clusters of the whole set; a sample alone is one."""
    largest: Size
    """Number of samples of the largest cluster."""
    ids: str
    """Digest of the IDs of the run's samples, in the order of the benchmark."""
    models: list[str] = msgspec.field(default_factory=list)
    """The models of a race, in the order of the command."""
    predictors: list[str] = msgspec.field(default_factory=list)
    """The models whose values predicted those of a run with a precision; then `low` and `high` rest on them."""
    estimate: Real | None = None
    """The value of the whole set, as the samples and the predictions estimate it."""
    best: str | None = None
    """The model of a race that is shown to be the best."""
    against: str | None = None
    """The signature of the earlier run that was one side of the race (`--against`)."""
    tied: list[str] = msgspec.field(default_factory=list)
    """The models of a race that remain and are shown to be the same within the margin."""
    history: list[PairLooks] = msgspec.field(default_factory=list)
    """How the race went: of two models their pair, of several one pair for each model but the best."""

    def __post_init__(self) -> None:
        """Check that there is such a set, and that the interval is one."""
        if self.used > self.whole.samples:
            raise ValueError(f"{self.used} samples were used of a set of {self.of}")
        if (self.low is None) != (self.high is None) or (self.low or 0) > (self.high or 0):
            raise ValueError(f"the interval is {self.low} to {self.high}")

    @property
    def whole(self) -> FiniteSet:
        """The set that the samples were drawn from."""
        return FiniteSet(self.of, self.clusters, self.largest)
