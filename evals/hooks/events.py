"""The events of a run, which hooks receive and which the stream of JSON lines writes: one object per event.

No event holds a sample: no prompt, output, answer or target.
"""

from __future__ import annotations

from typing import Literal

import msgspec

SCHEMA = 1
"""Version of the events' fields; a field that is added does not change it."""

Setting = str | int | float | bool | None


class RunEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """What all events have."""

    time: str
    """Date and time in UTC, `2026-11-29T08:00:00.123+00:00`."""
    run: str
    """The run folder, which tells apart the runs of one command."""
    model: str
    """The model's name, as the user gave it."""
    task: str
    """The task's name."""


class RunStarted(RunEvent, frozen=True, kw_only=True, tag="run_started"):
    """The model is loaded and the run folder is open."""

    schema: int = SCHEMA
    """Version of the events' fields."""
    signature: str
    """The run's signature."""
    run_id: str | None
    """The same for a run that is continued, and another for each other run; None if no hook but the stream is used."""
    total: int
    """Number of samples of the run."""
    done: int
    """Number of samples that are on disk already."""
    settings: dict[str, Setting]
    """The signed fields of the manifest by dotted names (`model.dtype`, `task.shots`); long texts are cut."""


class BatchDone(RunEvent, frozen=True, kw_only=True, tag="batch_done"):
    """A batch is finished, and its samples are on disk; or training samples of a probe are answered."""

    phase: Literal["training", "samples"]
    """`training`: samples that a probe is fitted on; `samples`: those of the run."""
    done: int
    """Number of samples that are finished, with those of earlier sessions."""
    total: int
    """Number of samples of the phase."""
    failed: int
    """Number of samples without an output, among those of this session."""
    truncated: int
    """Number of samples that were cut, among those of this session."""
    prompt_tokens: int
    """Number of prompt tokens of this session's samples."""
    new_tokens: int
    """Number of new tokens of this session's samples."""
    headline: str | None
    """Name of the metric that `mean` is the mean of; None in training, or if no sample has a value of it yet."""
    mean: float | None
    """Mean of this session's values of the headline, a fraction or a coefficient. It is no result: the metric may be
    something else than a mean."""
    seconds: float
    """Seconds since the phase began in this session."""
    samples_per_second: float | None
    """Samples per second of this session; None before the first."""
    eta_seconds: float | None
    """Seconds that the rest takes at this rate; None if it is not known."""


class MetricValue(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of a result."""

    value: float
    low: float | None
    """Lower end of the 95 % interval, or None if there is none."""
    high: float | None
    """Upper end of the 95 % interval, or None."""
    n: int
    """Number of items."""
    unit: str
    """`fraction`, `coefficient`, `rank`, `seconds`, …"""


class RunFinished(RunEvent, frozen=True, kw_only=True, tag="run_finished"):
    """The result and the reports are written."""

    signature: str
    """The run's signature."""
    n: int
    """Number of samples."""
    failed: int
    """Number of samples without an output."""
    unparsed: int
    """Number of outputs from which no answer could be read."""
    truncated: int
    """Number of samples that were cut."""
    headline: str
    """Name of the metric that represents the run."""
    metrics: dict[str, MetricValue]
    """All metrics by name."""
    efficiency: dict[str, float | None]
    """Seconds, tokens, memory and further costs of the whole run, by the names of `result.json`."""


class RunStopped(RunEvent, frozen=True, kw_only=True, tag="run_stopped"):
    """The run ended before it was finished; the same command continues it."""

    reason: str
    """Why, in one line."""
    done: int
    """Number of samples on disk."""
    total: int
    """Number of samples of the run."""
