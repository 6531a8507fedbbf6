"""Values of several sampled outputs of one math problem: pass@k and majority voting."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence

from evals.metrics.math_grader import AnswerPair
from evals.tasks.scoring.math_reading.normal import normalise


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


def majority(groups: Sequence[int | None], right: Sequence[bool]) -> float:
    """Return 1 if the most frequent answer is right, else 0; with ties, the share of right answers among them.

    Args:
        groups: for each output, the group of its answer, as `grouped` numbers them; None where it gives no answer.
        right: for each output, whether its answer is right.

    Example:
        >>> majority([0, 0, 1, None], [True, True, False, False]), majority([0, 1], [True, False])
        (1.0, 0.5)
    """
    counts = Counter(group for group in groups if group is not None)
    if not counts:
        return 0.0
    most = max(counts.values())
    verdicts = dict(zip(groups, right, strict=True))
    leaders = [group for group, count in counts.items() if count == most]
    return sum(verdicts[group] for group in leaders) / len(leaders)


def grouped(
    answers: Sequence[str | None], right: Sequence[bool], equal: Callable[[list[AnswerPair]], list[bool]]
) -> list[int | None]:
    """Group the answers of several outputs that are equal, however they are written: ``1/2`` and ``0.5``.

    All right answers equal the gold answer, so they are one group. Wrong answers that are written alike are one group;
    others are compared by `equal`, unless no comparison could change which group is the largest.

    Args:
        answers: for each output its answer, None where it gives none.
        right: for each output, whether its answer is right.
        equal: compares pairs of answers, all in one call.

    Returns:
        For each output the number of its group, None where it gives no answer.

    Example:
        >>> grouped(["0.5", "1/2", "x", None], [False, False, True, False], lambda pairs: [True for _ in pairs])
        [1, 1, 0, None]
    """
    keys = [
        None if answer is None else ("" if verdict else f"={normalise(answer)}")
        for answer, verdict in zip(answers, right, strict=True)
    ]
    counts = Counter(keys)
    wrong = {key: answer or "" for key, answer in zip(keys, answers, strict=True) if key}
    largest = max((counts[key] for key in wrong), default=0)
    number = {"": 0} | {key: place for place, key in enumerate(wrong, start=1)}
    if largest <= counts[""] <= sum(counts[key] for key in wrong):
        pairs = list(itertools.combinations(wrong, 2))
        for (first, second), same in zip(pairs, equal([(wrong[a], wrong[b]) for a, b in pairs]), strict=True):
            if same:
                kept, dropped = number[first], number[second]
                number = {key: kept if place == dropped else place for key, place in number.items()}
    return [None if key is None else number[key] for key in keys]
