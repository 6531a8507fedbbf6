"""The Pareto front: the candidates that no other one matches in everything and beats in something."""

from __future__ import annotations

from collections.abc import Sequence

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
