"""When a run looks at its interval: the more has been drawn, the longer it takes until the next look."""

from __future__ import annotations

import math

FIRST = 16
"""Number of clusters at the first look."""
STEP = 8
"""Least number of clusters between two looks."""
GROWTH = 1.15
"""Each look has at least this many times the clusters of the look before."""


def looks(clusters: int) -> list[int]:
    """Return the numbers of clusters after which a run looks, ending with all of them.

    They only decide how much is computed in vain. The intervals hold at any number of looks.

    Args:
        clusters: the number of clusters of the set.

    Example:
        >>> looks(100)
        [16, 24, 32, 40, 48, 56, 65, 75, 87, 100]
        >>> len(looks(5_000)), len(looks(20_000))
        (38, 48)
    """
    counts = [min(FIRST, clusters)]
    while counts[-1] < clusters:
        counts.append(min(clusters, max(counts[-1] + STEP, math.ceil(counts[-1] * GROWTH))))
    return counts
