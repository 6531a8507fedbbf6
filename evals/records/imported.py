"""The entries of a manifest about others: the log of a harness that a run was made from, and hooks that observed it."""

from __future__ import annotations

import msgspec

from evals.records.stored import Real, Size, Stored
from evals.schema import Json


class ReportedEntry(Stored, kw_only=True, omit_defaults=True):
    """A metric as the harness of an imported log reports it."""

    value: Real
    stderr: Real | None = None
    higher_is_better: bool | None = None
    same_as: str | None = None
    """The metric of this suite that reads the same answers by a like rule; None if there is none."""


class ImportEntry(Stored, kw_only=True, omit_defaults=True):
    """Where an imported run comes from: the log of another harness."""

    harness: str
    version: str | None = None
    task: str
    """The harness's own name of the task."""
    date: str | None = None
    files: dict[str, str]
    """Digests of the log's files, by name."""
    metrics: dict[str, ReportedEntry]
    """What the harness reports, by its names."""
    protocol: dict[str, Json] = msgspec.field(default_factory=dict)
    """The harness's settings that determine the result."""
    scored_again: bool = False
    """Whether the values are this suite's, computed from the recorded outputs; else they are the harness's."""
    note: str = ""
    """Why the outputs were not scored again, where that might be expected."""


class TrackingEntry(Stored, kw_only=True, omit_defaults=True):
    """Which hooks observed a run (`evals.hooks`), and how often they failed."""

    run_id: str
    """The id under which trackers know the run."""
    hooks: list[str] = msgspec.field(default_factory=list)
    """Names of the hooks that were called."""
    errors: dict[str, Size] = msgspec.field(default_factory=dict)
    """Number of errors by hook, over all sessions, where there were any."""
