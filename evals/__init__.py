"""Run models on public benchmarks, score them as the benchmarks do, and store what is needed to verify a value.

    >>> import evals
    >>> evals.Metric(value=0.783, low=0.756, high=0.809, n=1000).unit
    'fraction'

The functions behind the commands are `run`, `interleave`, `load`, `score`, `check`, `compare` and `import_logs`; the
types are those of `evals.schema`. The package may import everything, but imports `evals.app` only when one of the
functions is called first, so that importing it takes milliseconds. Start reading with `evals.app.api`.
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
    from evals.app.imports import import_logs

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
    "import_logs",
    "interleave",
    "load",
    "run",
    "score",
]


def __getattr__(name: str) -> Any:
    """Import a function when it is first used, because its module imports every other package."""
    if name in {"interleave", "load", "run", "score"}:
        return getattr(importlib.import_module("evals.app.api"), name)
    if name in {"check", "compare"}:
        return getattr(importlib.import_module("evals.app.check"), name)
    if name == "import_logs":
        return importlib.import_module("evals.app.imports").import_logs
    if name in {"models", "reports", "tasks"}:  # packages that are imported when they are first used
        return importlib.import_module(f"evals.{name}")
    raise AttributeError(f"module 'evals' has no attribute {name!r}")
