"""Decide whether a measured interval supports or refutes a claimed value, or neither.

    against_band(interval, band)      "78.3 %": the rounding interval, widened by the protocol's margin
    against_bound(lower, upper, ...)  "at least 85 %": one-sided bounds
    against_tail(exceeding, ...)      "99 % within 500 ms": exact binomial test
    equivalent(interval, margin)      "about the same": two one-sided tests
    ordered(interval)                 "A is better than B": the sign of the difference

`inconclusive` means that the measurement ran and its interval covers both sides. A measurement that did not run has
other verdicts (`evals.reports.claims.verdicts`).
"""

from __future__ import annotations

from typing import Literal

from evals.statistics.intervals import LEVEL, Interval

Decision = Literal["supported", "refuted", "inconclusive"]
Band = tuple[float, float]
"""Lower and upper end of a claimed range of values."""


def against_band(interval: Interval, band: Band) -> Decision:
    """Compare a two-sided interval with a claimed band: inside supports the claim, outside refutes it.

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
    """Compare one-sided confidence bounds with a claim of "at least" or "at most".

    Args:
        lower: the lower confidence bound of the true value.
        upper: the upper confidence bound of the true value.
        bound: the claimed bound.
        least: True for "at least", False for "at most".

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
    """Decide whether at most a given share of all trials exceeds a limit, from a sample of trials.

    Args:
        exceeding: the number of trials that exceeded the limit.
        n: the number of trials.
        allowed: the share that may exceed the limit, for example 0.01 for a 99th percentile.

    Returns:
        `supported` or `refuted` if the exact one-sided binomial test is significant at 5 %, else `inconclusive`. For a
        99th percentile, support takes at least 299 trials, none of which exceeds the limit.

    Example:
        >>> against_tail(0, 299, 0.01), against_tail(0, 298, 0.01), against_tail(3, 20, 0.01)
        ('supported', 'inconclusive', 'refuted')
    """
    from scipy.stats import binomtest

    if binomtest(exceeding, n, allowed, "less").pvalue <= 1 - LEVEL:
        return "supported"
    return "refuted" if binomtest(exceeding, n, allowed, "greater").pvalue <= 1 - LEVEL else "inconclusive"


def equivalent(interval: Interval, margin: Band) -> Decision:
    """Decide on equivalence by two one-sided tests: compare the interval of level 1 - 2 alpha with a margin.

    Args:
        interval: the 90 % interval (`EQUIVALENCE_LEVEL`) of the difference, or of the logarithm of the ratio.
        margin: the range of values that count as the same.

    Source: Schuirmann, J. Pharmacokinet. Biopharm. 15 (1987); Lakens, Soc. Psychol. Personal. Sci. 8 (2017).

    Example:
        >>> equivalent((-0.01, 0.012), (-0.02, 0.02)), equivalent((-0.01, 0.03), (-0.02, 0.02))
        ('supported', 'inconclusive')
    """
    return against_band(interval, margin)


def ordered(interval: Interval, null: float = 0.0) -> Decision:
    """Decide whether an interval lies above a value (supported), below it (refuted), or covers it (inconclusive).

    Example:
        >>> ordered((0.01, 0.05)), ordered((-0.05, -0.01)), ordered((-0.01, 0.05))
        ('supported', 'refuted', 'inconclusive')
    """
    if interval is None:
        return "inconclusive"
    return "supported" if interval[0] > null else "refuted" if interval[1] < null else "inconclusive"


EQUIVALENCE_LEVEL = 1 - 2 * (1 - LEVEL)
"""Level of the interval that is equivalent to two one-sided tests at 5 % each."""
