"""An environment for reinforcement learning, with Gymnasium's interface: a sum is shown, an answer is judged.

    environment.reset(seed=7)        " 7 + 5 =", {}
    environment.step("12")           the next problem's text is "", the reward 1.0, and the episode is over

An episode is one answer. Nothing is told but the reward: 1 for the right number, a tenth for a number that is wrong (as
DeepSeek-R1-Zero was rewarded for its form), and nothing for anything else.
"""

from __future__ import annotations

import string
from typing import Any

import gymnasium

from evals.tasks.mini.sums import LONGEST, Sum, read, sums

FORM = 0.1
"""The reward of a number that is wrong."""


class Arithmetic(gymnasium.Env[str, str]):  # type: ignore[misc]  # gymnasium is not followed by mypy here
    """Shows one sum of a split an episode.

    Args:
        split: As in `evals.tasks.mini.sums.sums`.
    """

    def __init__(self, split: str = "environment") -> None:
        self._sums = sums(split)
        self._shown: Sum | None = None
        characters = frozenset(string.printable)
        self.observation_space = gymnasium.spaces.Text(16, min_length=0, charset=characters)
        self.action_space = gymnasium.spaces.Text(LONGEST, min_length=0, charset=characters)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Show a sum, which the seed decides."""
        super().reset(seed=seed)
        self._shown = self._sums[int(self.np_random.integers(len(self._sums)))]
        return self._shown.prompt, {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Judge an answer; `right` in the last value says whether it was the number."""
        assert self._shown is not None, "reset comes first"
        said, result = read(action), self._shown.result
        self._shown = None
        reward = 1.0 if said == result else 0.0 if said is None else FORM
        return "", reward, True, False, {"right": said == result}
