"""Values of several sampled outputs of one math problem: pass@k and majority voting."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from evals.tasks.scoring.math_normal import normalise


def pass_at(n: int, right: int, k: int) -> float:
    """Estimate the probability that at least one of k outputs is right, without bias, from n outputs.

    Args:
        n: number of outputs.
        right: number of right outputs, at most n.
        k: number of outputs drawn, from 1 to n.

    Source: Chen et al., arXiv 2107.03374, equation 1.

    Example:
        >>> pass_at(4, 1, 1), pass_at(4, 1, 4), round(pass_at(10, 3, 2), 4)
        (0.25, 1.0, 0.5333)
    """
    return 1.0 - math.comb(n - right, k) / math.comb(n, k)


def majority(answers: Sequence[str | None], right: Sequence[bool]) -> float:
    """Return 1 if the most frequent answer is right, else 0; with ties, the share of right answers among them.

    Example:
        >>> majority(["18", "18.0", "3", None], [True, True, False, False])
        1.0
        >>> majority(["18", "3"], [True, False])
        0.5
    """
    written = [normalise(answer) for answer in answers if answer is not None]
    if not written:
        return 0.0
    most = Counter(written).most_common(1)[0][1]
    first = {normalise(answer): verdict for answer, verdict in zip(answers, right, strict=True) if answer is not None}
    leaders = [answer for answer, count in Counter(written).items() if count == most]
    return sum(first[answer] for answer in leaders) / len(leaders)
