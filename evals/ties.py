"""Ties of computed scores: which of several choices has the largest, when rounding must not decide.

Equal choices, for example two tokens with the same weights, get scores that differ in their last bits, by an amount
that depends on what shares a batch with them. So the largest score alone would depend on the token budget.
"""

from __future__ import annotations

from collections.abc import Sequence

TOLERANCE = 1e-5
"""Difference of two scores (log-likelihoods in nats, or logits) up to which they tie."""
RELATIVE_TOLERANCE = 2.0**-21
"""The same as a share of the larger score, for scores of more than about 20: four roundings of a float32."""


def first_of_largest(scores: Sequence[float]) -> int:
    """Return the index of the first score that ties with the largest one.

    Args:
        scores: at least one finite number, computed in float32 or better.

    Example:
        >>> first_of_largest([-3.0, -2.000001, -2.0])
        1
        >>> first_of_largest([-3.0, -2.001, -2.0])
        2
    """
    largest = max(scores)
    least = largest - max(TOLERANCE, RELATIVE_TOLERANCE * abs(largest))
    return next(index for index, score in enumerate(scores) if score >= least)
