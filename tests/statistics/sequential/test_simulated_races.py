"""A few simulated races: wrong decisions are rare, where a test at each look is often wrong."""

from __future__ import annotations

import runpy

import numpy as np
from commands import ROOT


def test_races_rarely_decide_wrongly_and_their_intervals_hold():
    simulation = runpy.run_path(str(ROOT / "tests" / "benchmarks" / "sequential.py"))
    for points, clusters in ((0, None), (0, 60), (12, None)):
        setting, rng = simulation["Setting"](400, points, clusters), np.random.default_rng(7)
        races = [simulation["race"](setting, rng) for _ in range(60)]
        shares = {name: np.mean([race[name] for race in races]) for name in races[0]}
        assert shares["wrong"] <= 0.1
        assert min(shares["population"], shares["set"]) >= 0.9
        if points == 0:
            assert shares["peeking"] > 0.15
            assert shares["early"] <= 0.1
        else:
            assert shares["early"] > 0.9
            assert shares["used"] < 0.6
