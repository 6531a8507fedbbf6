"""Judge a claimed relation of two systems by runs of which at least one stopped early (`check --fast`).

Both systems compute the same samples in random order. At each look the interval of a confidence sequence takes the
place of the ordinary one, and the rules are those of `relations`: the first look at which they decide the claim counts.
The interval holds at every look, so to stop at one of them makes no decision wrong more often.

A document with several comparisons shares its 5 % among them: each has a sequence of the level `1 - 5 % / m`, so the
intervals of all m hold together. Its p-value takes part in Holm's correction, which cannot withdraw what it decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from evals.errors import InputError
from evals.records.folder import Record
from evals.records.sequential.pairs import drawn_pair
from evals.reports.claims.evidence.chance import guessing
from evals.reports.claims.evidence.levels import decide_level, protocol_margin
from evals.reports.claims.evidence.measured_rows import Hypothesis, MeasuredRow
from evals.reports.claims.evidence.relations import (
    SIGNIFICANCE,
    RelationEstimate,
    claimed_text,
    in_percent,
    related_row,
    relation_text,
)
from evals.reports.runs.sections import higher_is_better
from evals.statistics.intervals import LEVEL, Interval
from evals.statistics.sequential.differences import DifferenceLook, DrawnPair, shared_level
from evals.statistics.sequential.means import mean_sequence
from evals.statistics.sequential.sampled import SampledClusters

NO_SEQUENCE = {"retention": "no interval of a retention is known that holds at every look"}
"""Relations that are computed on all samples, with the reason."""


@dataclass(frozen=True, slots=True)
class SequentialEstimate:
    """A relation of two systems at a look, as a `TwoSystemEstimate`: its interval holds at every look."""

    value: float
    """The relation on the samples of the look."""
    look: DifferenceLook
    """The difference of the systems."""
    has_interval: bool
    """Whether the interval of the difference is that of the relation."""
    minimum_detectable: float | None = field(default=None, init=False)
    """None: more samples may follow."""

    @property
    def n(self) -> int:
        """Number of samples."""
        return self.look.samples

    def interval(self, level: float = LEVEL) -> Interval:
        """Return the interval of the sequence, whose own level is at least any that is asked for."""
        return (self.look.low, self.look.high) if self.has_interval else None

    def p_value(self, null: float = 0.0) -> float:
        """Return the p-value of the hypothesis that the systems are equal."""
        return self.look.p


@dataclass(frozen=True, slots=True)
class EarlyRule:
    """When two runs have shown what one reading of a claim says of them."""

    hypothesis: Hypothesis
    """The reading."""
    comparisons: int
    """Number of comparisons of the document, which share its 5 %."""
    replica: bool
    """Whether a replica is run, which shows a direction and decides nothing else."""

    def estimate(self, pair: DrawnPair) -> RelationEstimate:
        """Estimate the relation on what was drawn until a look; none if the divisor is zero there."""
        relation, (a, b) = self.hypothesis.relation, (float(pair.a_N.sum()), float(pair.b_N.sum()))
        look, count = pair.look(shared_level(self.comparisons)), len(pair.a_N)
        null, value = 0.0, None
        match relation:
            case "error-reduction":
                value = (a - b) / (count - b) if b < count else None
            case "retention" | "ratio":
                null, value = 1.0, a / b if b else None
            case "speed-up":
                null, value = 1.0, b / a if a else None
            case _:
                value = look.difference
        if value is None:
            return RelationEstimate(None, null, None)
        has_interval = relation in {"difference", "order"}
        significance = SIGNIFICANCE / max(1, self.comparisons)
        return RelationEstimate(SequentialEstimate(value, look, has_interval), null, look.p, significance)

    def row(self, pair: DrawnPair) -> MeasuredRow:
        """Judge the claim by what was drawn until a look."""
        percent = in_percent(self.hypothesis.relation)
        return replace(related_row(self.hypothesis, self.estimate(pair), percent=percent), shared_level=True)

    def is_decided(self, pair: DrawnPair) -> bool:
        """Whether what was drawn until a look decides all that the runs can decide."""
        row = self.row(pair)
        if row.value is None or row.direction == "undecided" or (self.replica and row.direction is None):
            return False
        if not self.replica and row.decision == "inconclusive":
            return False
        chance = guessing(self.hypothesis.measure.task, self.hypothesis.measure.metric)
        return chance is None or any(low > chance for low, _ in pair.mean_intervals())

    def why_complete(self) -> str:
        """Return why the runs must compute all samples for this reading; empty if they may stop early."""
        relation = self.hypothesis.relation
        if relation in NO_SEQUENCE:
            return NO_SEQUENCE[relation]
        if not self.replica and relation not in {"difference", "order"}:
            return f"no interval of a claimed {relation} is known that holds at every look"
        if self.replica and not self._has_direction:
            return "the claim states a number and no direction"
        return ""

    @property
    def _has_direction(self) -> bool:
        """Whether the claim has one sign: then the direction of any estimate is known."""
        null = 1.0 if self.hypothesis.relation in {"ratio", "speed-up"} else 0.0
        estimate = SequentialEstimate(null, DifferenceLook(1, 0.0, -1.0, 1.0, 1.0), has_interval=False)
        row = related_row(self.hypothesis, RelationEstimate(estimate, null, 1.0), percent=True)
        return row.direction is not None


@dataclass(frozen=True, slots=True)
class EarlyLevelRule:
    """When a run has shown whether a claimed level of the described system is right."""

    hypothesis: Hypothesis
    """What is claimed, with the relation `level`."""

    def is_decided(self, drawn: SampledClusters) -> bool:
        """Whether the samples that were drawn until a look support or refute the claim, as `levels` judges them."""
        intervals = [mean_sequence(drawn, finite=finite) for finite in (True, False)]
        low, high = min(low for low, _ in intervals), max(high for _, high in intervals)
        margin = protocol_margin(self.hypothesis)
        decision = decide_level(drawn.mean, low, high, self.hypothesis, margin, sequential=True)
        return decision != "inconclusive"


def judge_early(hypothesis: Hypothesis, records: Sequence[Record], comparisons: int) -> tuple[MeasuredRow, list[str]]:
    """Compare a relation of two runs, of which at least one stopped early, with the claimed interval.

    Args:
        hypothesis: a reading of a claim with a relation other than `level`.
        records: the finished runs of the subject and of the baseline.
        comparisons: number of comparisons of the document.

    Returns:
        The row of the first look that decides the claim, or of the last one; and lines that explain it.
    """
    relation, metric = hypothesis.relation, hypothesis.measure.metric
    percent = in_percent(relation)
    rule = EarlyRule(hypothesis, comparisons, any(record.manifest.replica for record in records))
    try:
        pair = drawn_pair(records[0], records[1], metric)
    except InputError as error:
        row = related_row(hypothesis, RelationEstimate(None, 0.0, None), percent=percent)
        return row, [f"no {relation}: a run stopped early, and the samples cannot be compared: {error}"]
    if relation == "order" and not higher_is_better(records[0], metric):
        pair = pair.swapped()
    looks = [pair.first(clusters) for clusters in pair.looks] or [pair]
    at = next((look for look in looks if rule.is_decided(look)), None)
    row = rule.row(at or looks[-1])
    if row.value is None:
        return row, [f"no {relation}: the baseline's value may be zero"]
    of, begun = pair.drawn_from.samples, "decided after" if at is not None else "not decided by the first"
    together = "" if comparisons < 2 else f", for all {comparisons} comparisons of the document together"
    kind = f"95 % confidence sequence, valid at every look{together}"
    gap = ""
    if relation not in {"difference", "order"}:
        look = (at or looks[-1]).look(shared_level(comparisons))
        gap = f"difference {100 * look.difference:.2f} points ({100 * look.low:.2f} to {100 * look.high:.2f}); "
    line = f"{begun} {row.n:,} of {of:,} samples ({kind}): {gap}{relation_text(row, percent)}"
    return row, [f"{line}; {claimed_text(hypothesis, percent)}"]
