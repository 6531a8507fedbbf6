"""Run models on public benchmarks, score them as the benchmarks do, and keep what is needed to argue about a number.

    >>> import evals
    >>> evals.Metric(value=0.783, low=0.756, high=0.809, n=1000).unit
    'fraction'

The calls behind the commands are `run`, `interleave`, `load`, `score`, `check` and `compare`; the nouns are those of
`evals.schema`. Importing this package costs milliseconds: nothing heavy is loaded before a call needs it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from evals.errors import EvalsError, InputError, RecordError, SampleError, UnknownName
from evals.schema import (
    Audio,
    Choose,
    Embed,
    Generate,
    Image,
    Metric,
    Options,
    Prediction,
    Sample,
    Samples,
    Score,
    Task,
)

if TYPE_CHECKING:
    from evals.app.api import interleave, load, run, score
    from evals.app.check import check, compare

__version__ = "0.2.0"

__all__ = [
    "Audio",
    "Choose",
    "Embed",
    "EvalsError",
    "Generate",
    "Image",
    "InputError",
    "Metric",
    "Options",
    "Prediction",
    "RecordError",
    "Sample",
    "SampleError",
    "Samples",
    "Score",
    "Task",
    "UnknownName",
    "check",
    "compare",
    "interleave",
    "load",
    "run",
    "score",
]


def __getattr__(name: str) -> Any:
    """Load the calls when one is first used: they know every package, and importing a noun should not."""
    if name in {"interleave", "load", "run", "score"}:
        return getattr(importlib.import_module("evals.app.api"), name)
    if name in {"check", "compare"}:
        return getattr(importlib.import_module("evals.app.check"), name)
    raise AttributeError(f"module 'evals' has no attribute {name!r}")
