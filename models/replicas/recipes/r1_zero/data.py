"""The environment that `r1-zero` learns from, with Gymnasium's interface: it shows a sum and rewards an answer.

    environment.reset(seed=7)        returns (" 7 + 5 =", {})
    environment.step("12")           returns an empty observation, the reward 1.0, and that the episode is over

An episode is one answer. Its only feedback is the reward: 1 for the right number, 0.1 for a wrong number (as
DeepSeek-R1-Zero was rewarded for the format, too), and 0 for anything else.
"""

from __future__ import annotations

import string
from typing import Any

import gymnasium

from evals.tasks.mini.sums import LONGEST, Sum, read, sums

FORMAT_REWARD = 0.1
"""The reward of a wrong number."""


class Arithmetic(gymnasium.Env[str, str]):  # type: ignore[misc]  # gymnasium is not followed by mypy here
    """Shows one sum of a split in each episode.

    Args:
        split: As in `evals.tasks.mini.sums.sums`.
    """

    def __init__(self, split: str = "environment") -> None:
        self._sums = sums(split)
        self._current: Sum | None = None
        characters = frozenset(string.printable)
        self.observation_space = gymnasium.spaces.Text(16, min_length=0, charset=characters)
        self.action_space = gymnasium.spaces.Text(LONGEST, min_length=0, charset=characters)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Start an episode, and return the prompt of a sum, which the seed determines."""
        super().reset(seed=seed)
        self._current = self._sums[int(self.np_random.integers(len(self._sums)))]
        return self._current.prompt, {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Reward an answer and end the episode.

        Returns:
            The next observation (empty), the reward, whether the episode is over (true), whether it was cut (false),
            and a dictionary in which `right` says whether the answer was the right number.
        """
        assert self._current is not None, "call reset before step"
        answer, result = read(action), self._current.result
        self._current = None
        reward = 1.0 if answer == result else 0.0 if answer is None else FORMAT_REWARD
        return "", reward, True, False, {"right": answer == result}
