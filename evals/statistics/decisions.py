"""What an interval says of a claimed value: supported, refuted, or inconclusive.

    against_band(interval, band)      "78.3 %": the band of its rounding, widened by the margin of the protocol
    against_bound(estimate, ...)      "at least 85 %": one-sided
    against_tail(exceeding, ...)      "99 % within 500 ms": exact binomial
    equivalent(estimate, margin)      "about the same": two one-sided tests
    ordered(estimate)                 "A is better than B": the sign

Inconclusive is said of what ran and covers both sides. What did not run, or failed to, has other words.
"""

from __future__ import annotations

from typing import Literal

from evals.statistics.bootstrap import LEVEL, Interval

Decision = Literal["supported", "refuted", "inconclusive"]
Band = tuple[float, float]


def against_band(interval: Interval, band: Band) -> Decision:
    """Hold a two-sided interval against a claimed band: inside supports, outside refutes.

    Example:
        >>> against_band((0.780, 0.786), (0.758, 0.808)), against_band((0.70, 0.73), (0.758, 0.808))
        ('supported', 'refuted')
        >>> against_band((0.74, 0.79), (0.758, 0.808))
        'inconclusive'
    """
    if interval is None:
        return "inconclusive"
    low, high = interval
    if band[0] <= low and high <= band[1]:
        return "supported"
    return "refuted" if high < band[0] or low > band[1] else "inconclusive"


def against_bound(lower: float | None, upper: float | None, bound: float, *, least: bool) -> Decision:
    """Hold one-sided bounds against "at least" or "at most".

    Args:
        lower: what the true value is above with the chosen confidence.
        upper: what it is below.
        bound: what is claimed.
        least: whether the claim is "at least", else "at most".

    Example:
        >>> against_bound(0.90, 0.97, 0.85, least=True), against_bound(0.80, 0.84, 0.85, least=True)
        ('supported', 'refuted')
    """
    if lower is None or upper is None:
        return "inconclusive"
    if not least:
        lower, upper, bound = -upper, -lower, -bound
    return "supported" if lower >= bound else "refuted" if upper < bound else "inconclusive"


def against_tail(exceeding: int, n: int, allowed: float) -> Decision:
    """Say whether no more than a share of all would exceed a limit, by how many of some trials did.

    Args:
        exceeding: trials that exceeded it.
        n: all trials.
        allowed: the share that may, 0.01 for a 99th percentile.

    Returns:
        Supported or refuted where the exact one-sided binomial test says so at 5 %. For a 99th percentile 299 trials,
        none of which exceeds the limit, are the fewest that support it.

    Example:
        >>> against_tail(0, 299, 0.01), against_tail(0, 298, 0.01), against_tail(3, 20, 0.01)
        ('supported', 'inconclusive', 'refuted')
    """
    from scipy.stats import binomtest

    if binomtest(exceeding, n, allowed, "less").pvalue <= 1 - LEVEL:
        return "supported"
    return "refuted" if binomtest(exceeding, n, allowed, "greater").pvalue <= 1 - LEVEL else "inconclusive"


def equivalent(interval: Interval, margin: Band) -> Decision:
    """Hold the interval of level 1 - 2 alpha (90 % for tests at 5 %) against a margin: two one-sided tests.

    Args:
        interval: of the difference, or of the logarithm of the ratio.
        margin: what still counts as the same.

    Source: Schuirmann, J. Pharmacokinet. Biopharm. 15 (1987); Lakens, Soc. Psychol. Personal. Sci. 8 (2017).

    Example:
        >>> equivalent((-0.01, 0.012), (-0.02, 0.02)), equivalent((-0.01, 0.03), (-0.02, 0.02))
        ('supported', 'inconclusive')
    """
    return against_band(interval, margin)


def ordered(interval: Interval, null: float = 0.0) -> Decision:
    """Say whether an interval lies above a value (supported), below it (refuted), or on both sides.

    Example:
        >>> ordered((0.01, 0.05)), ordered((-0.05, -0.01)), ordered((-0.01, 0.05))
        ('supported', 'refuted', 'inconclusive')
    """
    if interval is None:
        return "inconclusive"
    return "supported" if interval[0] > null else "refuted" if interval[1] < null else "inconclusive"


EQUIVALENCE_LEVEL = 1 - 2 * (1 - LEVEL)
"""The level of the interval that two one-sided tests at 5 % each amount to."""
