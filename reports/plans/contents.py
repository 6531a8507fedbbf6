"""What a plan holds: the parts of a set of samples, how two models may differ on them, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass, field

from evals.schema import Json
from evals.statistics import planning
from evals.statistics.planning import PairedDesign
from evals.statistics.power import LEVEL, POWER


@dataclass(frozen=True, slots=True)
class PlannedCase:
    """One assumption about how two models differ on a part, with a more cautious one."""

    name: str
    """What is assumed: `as in the pilot`, `disagree on 10 %`."""
    likely: PairedDesign
    cautious: PairedDesign
    """The upper end of the discordance, and of the correlation within clusters."""


@dataclass(frozen=True, slots=True)
class SampleCost:
    """What one sample costs, summed over the two models."""

    seconds: float
    tokens: float
    money: tuple[tuple[str, float], ...] = ()
    """Amounts by currency."""


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """One hypothesis: a task, or a subset of its samples."""

    name: str
    value: str
    """Which value of the samples is compared."""
    size: int
    """Number of samples of the set."""
    cluster_size: float
    """Mean size of a sample's cluster; 1 without clusters."""
    cases: tuple[PlannedCase, ...]
    task: str = ""
    """The run that has its samples: the task, or one benchmark of a suite."""
    is_subset: bool = False
    """Whether another part has all samples of its task."""
    only_whole: bool = False
    """Whether the samples are scored together, so that fewer than all say nothing of the set."""
    cost: SampleCost | None = None
    """None without a pilot."""
    is_estimated: bool = False
    """Whether size and clusters are estimated from the pilot, since the data could not be read."""


@dataclass(frozen=True, slots=True)
class ComparisonPlan:
    """What a comparison needs."""

    gap: float
    """The difference that is to be shown, a fraction."""
    parts: tuple[PlannedPart, ...]
    notes: tuple[str, ...] = ()
    power: float = POWER
    significance: float = field(default=round(1 - LEVEL, 9))

    def level(self, part: PlannedPart) -> float:
        """Return the confidence level of a part's test: that of the first step of Holm's method.

        The tasks are one family, and the subsets, with the tasks, another: whole tasks do not pay for their subsets.
        """
        family = [other for other in self.parts if part.is_subset or not other.is_subset]
        return 1 - self.significance / len(family)

    def smallest(self, part: PlannedPart, design: PairedDesign) -> float | None:
        """Return the smallest difference that all samples of a part show."""
        return planning.smallest_difference(design, level=self.level(part), power=self.power)

    def needed(self, part: PlannedPart, design: PairedDesign) -> int | None:
        """Return how many samples of a part show the difference; None if all of them do not."""
        count = planning.samples_needed(design, self.gap, level=self.level(part), power=self.power)
        return part.size if count is not None and part.only_whole else count

    def for_set(self, part: PlannedPart, design: PairedDesign) -> int:
        """Return how many samples decide which model is better on this set alone."""
        count = planning.samples_for_set(design, self.gap, level=self.level(part), power=self.power)
        return part.size if part.only_whole else count

    def to_json(self) -> dict[str, Json]:
        """Return the plan as `plan --format json` prints it."""
        return {
            "detect": self.gap,
            "power": self.power,
            "significance": self.significance,
            "parts": [self._part(part) for part in self.parts],
            "notes": list(self.notes),
        }

    def _part(self, part: PlannedPart) -> dict[str, Json]:
        return {
            "part": part.name,
            "value": part.value,
            "level": self.level(part),
            "samples": part.size,
            "cluster_size": part.cluster_size,
            "estimated": part.is_estimated,
            "cases": [self._case(part, case) for case in part.cases],
            "cost_per_sample": None
            if part.cost is None
            else {"seconds": part.cost.seconds, "tokens": part.cost.tokens, "money": dict(part.cost.money)},
        }

    def _case(self, part: PlannedPart, case: PlannedCase) -> dict[str, Json]:
        return {
            "case": case.name,
            **{
                name: {
                    "discordance": design.discordance,
                    "correlation": design.correlation,
                    "smallest_difference": self.smallest(part, design),
                    "samples_needed": self.needed(part, design),
                    "samples_for_this_set": self.for_set(part, design),
                }
                for name, design in (("likely", case.likely), ("cautious", case.cautious))
            },
        }
