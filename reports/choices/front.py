"""The Pareto front: the candidates that no other one matches in everything and beats in something; what it is about."""

from __future__ import annotations

from collections.abc import Sequence

from evals.reports.choices import comparable
from evals.reports.choices.measurements import DEVICE_TIME, TIMING, ModelCandidate
from evals.reports.choices.requirements import COSTS, LATENCY, PRICE, Criteria
from evals.timing.statistics import model_option

ObjectiveValues = Sequence[float]
"""The values of a candidate, one per objective; higher is better."""


def dominates(first: ObjectiveValues, second: ObjectiveValues) -> bool:
    """Whether a point is nowhere worse than another and somewhere better.

    Example:
        >>> dominates((0.8, -2.0), (0.8, -3.0)), dominates((0.8, -2.0), (0.8, -2.0))
        (True, False)
    """
    pairs = list(zip(first, second, strict=True))
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def dominators(points: Sequence[ObjectiveValues]) -> list[list[int]]:
    """Return, for each point, the indices of the points of the front that dominate it; none for the front itself.

    Points with equal values do not dominate each other: all of them are on the front, or none is.

    Example:
        >>> dominators([(0.8, -2.0), (0.7, -3.0), (0.9, -9.0)])
        [[], [0], []]
    """
    by_any = [
        [index for index, other in enumerate(points) if dominates(other, point)] for point in points
    ]  # fmt: skip
    return [[index for index in indices if not by_any[index]] for indices in by_any]


def objectives(eligible: Sequence[ModelCandidate], criteria: Criteria) -> tuple[list[str], dict[str, str]]:
    """Return what the front is about: the tasks, and each cost that can be compared for all candidates.

    Returns:
        The names, and for each cost that takes no part the reason.
    """
    left_out = {}
    for name in COSTS:
        values = [candidate.measured(name) for candidate in eligible]
        lacking = [candidate.name for candidate in eligible if candidate.measured(name) is None]
        if not eligible or len(lacking) == len(eligible):
            left_out[name] = "it is not measured"
        elif lacking:
            left_out[name] = f"it is not measured for {', '.join(lacking)}"
        elif name == PRICE and len({value.unit for value in values if value is not None}) > 1:
            left_out[name] = "the currencies differ, and are not converted"
        elif name == PRICE and len({candidate.price_of for candidate in eligible}) > 1:
            left_out[name] = "some prices are of tokens and some of the device's time"
        elif name in {LATENCY, PRICE} and _timed_apart(name, eligible):
            left_out[name] = f"the models were not timed in turn ({_advice(eligible)})"
    return [*criteria.tasks, *(name for name in COSTS if name not in left_out)], left_out


def _timed_apart(name: str, eligible: Sequence[ModelCandidate]) -> bool:
    timed = name == LATENCY or any(candidate.price_of == DEVICE_TIME for candidate in eligible)
    several = len({candidate.identity.timed for candidate in eligible}) > 1  # settings for texts share a timing
    return timed and several and not all(candidate.in_turn for candidate in eligible)


def _advice(eligible: Sequence[ModelCandidate]) -> str:
    """Return the command that times models in turn."""
    models = list(dict.fromkeys(candidate.model for candidate in eligible))
    scale = next(run.manifest.task.scale for candidate in eligible for run in candidate.runs.values())
    options = f" --scale {scale}" if scale == comparable.FULL else ""
    return f"python -m evals run {model_option(models)} --task {TIMING}{options}"


def point(candidate: ModelCandidate, objectives: Sequence[str]) -> list[float]:
    """Return the values of a candidate as points of the front: higher is better."""
    values = []
    for name in objectives:
        value = candidate.measured(name)
        assert value is not None, name
        lower = name in COSTS or value.higher_is_better is False
        values.append(-value.value if lower else value.value)
    return values
