"""What the user of `plan` chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evals.reports.choices.amounts import Money


@dataclass(frozen=True, slots=True)
class PlanSettings:
    """The options of `plan`."""

    tasks: Sequence[str]
    detect: float
    """The difference that is to be shown, a fraction."""
    runs: Sequence[Path] = ()
    """Folders of finished runs that serve as pilots."""
    models: Sequence[str] = ()
    """One or two models, of which pilots are run."""
    pilot: int = 50
    """Number of samples of a pilot, for each subset."""
    scale: str = "mini"
    split: str | None = None
    data: Mapping[str, str | None] = field(default_factory=dict)
    """Where the data of each task are."""
    hourly: Money | None = None
    """The price of the device for an hour."""
    progress: bool = False
    command: str = ""
