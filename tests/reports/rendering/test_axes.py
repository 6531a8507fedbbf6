"""The values at the axes of figures."""

from __future__ import annotations

import random
from itertools import pairwise

from evals.reports.rendering.svg import round_ticks


def test_every_axis_has_several_round_values_within_its_ends():
    rng = random.Random(8)
    for _ in range(2_000):
        low = rng.uniform(-1, 1) * 10 ** rng.uniform(-6, 9)
        high = low + max(10 ** rng.uniform(-4, 9), 1e-6 * abs(low))
        wanted = rng.randint(2, 8)
        ticks = round_ticks(low, high, wanted)
        assert 3 <= len(ticks) <= 3 * wanted, (low, high, wanted)
        slack = 1e-9 * (abs(low) + abs(high))
        assert low - slack <= ticks[0] < ticks[-1] <= high + slack
        steps = {round((b - a) / (ticks[1] - ticks[0]), 3) for a, b in pairwise(ticks)}
        assert steps == {1.0}
