"""How many random cases a test draws: some of them, or all where `$EVALS_DRAWS` is `all` (`tox -e draws`)."""

from __future__ import annotations

import os
from collections.abc import Callable

import hypothesis
import pytest


def count(some: int, whole: int) -> int:
    """Return how many cases to draw."""
    return whole if os.environ.get("EVALS_DRAWS") == "all" else some


def examples(some: int, whole: int) -> Callable:
    """Mark a test of hypothesis with the number of its examples."""

    def decorate(test: Callable) -> Callable:
        settings = hypothesis.settings(max_examples=count(some, whole), deadline=None)
        return pytest.mark.draws(some, whole)(settings(test))

    return decorate
