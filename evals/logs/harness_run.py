"""What every log of a harness holds, in one form: `HarnessRun` with its `HarnessSample`s and `ReportedMetric`s."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evals.data import digest
from evals.errors import InputError, counted
from evals.schema import Json


@dataclass(frozen=True, slots=True)
class ReportedMetric:
    """A metric of a whole run as its harness reports it."""

    value: float
    """In the harness's own unit: mostly a fraction, in some logs a percentage."""
    stderr: float | None = None
    """The standard error that it reports."""
    higher_is_better: bool | None = None
    n: int | None = None
    """Number of samples, where the log states it for the metric."""
    unit: str | None = None
    """`score` where the log may hold percentages under a name that means a fraction elsewhere."""


UNKNOWN = "unknown"
"""The name of a model that a log does not name."""
_OTHER_TEXT = "another text than the scored one"


@dataclass(slots=True)
class HarnessSample:
    """One sample of a log."""

    id: str
    """The harness's own identifier of the sample."""
    position: int
    """Its index in the split, where the harness counts; else its place in the log."""
    outputs: tuple[str, ...] = ()
    """The texts that the model wrote, unprocessed; several if it was asked several times."""
    question: str = ""
    """The text of the question: without instruction and examples where the log has it apart, else the last message."""
    prompt: str = ""
    """The whole text that the model read, as far as the log has it."""
    target: Json = None
    """What the harness compared with."""
    choices: tuple[str, ...] = ()
    """The continuations that were scored."""
    log_likelihoods: tuple[float, ...] = ()
    """Their log-likelihoods in nats."""
    taken: int | None = None
    """Index of the choice that counts as the output, where it is not the likeliest one; -1 if it is none of them."""
    values: Mapping[str, float] = field(default_factory=dict)
    """The harness's own scores of the sample, by its names."""
    answers: Mapping[str, Json] = field(default_factory=dict)
    """What the harness extracted from the output, by the name of the filter or scorer."""
    row: Mapping[str, Json] | None = None
    """The row of the data set, where the log has it."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """By what the harness breaks its metrics down."""
    thought: str | None = None
    """What a reasoning model thought, where the log has it apart."""
    failure: str | None = None
    """Why there is no output."""
    truncated: bool = False
    """The output was cut at the token limit, as far as the log says."""
    cost: Mapping[str, float] = field(default_factory=dict)
    """Tokens and seconds, under the names of a run folder's `cost`."""

    @property
    def choice(self) -> str | None:
        """The choice that counts as the output: the one that was taken, or the likeliest; None if none was scored.

        Example:
            >>> HarnessSample("0", 0, choices=("yes", "no"), log_likelihoods=(-2.0, -1.0)).choice
            'no'
            >>> HarnessSample("0", 0, choices=("yes", "no"), log_likelihoods=(-2.0, -1.0), taken=0).choice
            'yes'
        """
        if self.taken is not None:
            return _OTHER_TEXT if self.taken < 0 else self.choices[self.taken]
        if not self.log_likelihoods:
            return None
        return self.choices[max(range(len(self.choices)), key=lambda index: self.log_likelihoods[index])]


@dataclass(frozen=True, slots=True)
class HarnessRun:
    """One model on one task, as a harness logged it."""

    harness: str
    """`lm-eval`, `inspect_ai`, …"""
    version: str | None
    task: str
    """The harness's own name of the task."""
    model: str
    samples: Sequence[HarnessSample]
    metrics: Mapping[str, ReportedMetric]
    """By the harness's own names, its headline first."""
    files: Sequence[Path]
    """The files that the run was read from."""
    split: str | None = None
    shots: int | None = None
    date: str | None = None
    """When the run was made, as the log writes it."""
    data: Mapping[str, Json] = field(default_factory=dict)
    """What the log says of the data: name, revision, number of rows of the whole split (`samples_in_split`)."""
    protocol: Mapping[str, Json] = field(default_factory=dict)
    """Settings that determine the result: prompt template, generation settings, chat template, seeds, limit."""
    machine: Mapping[str, Json] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    """What the log does not say, in one sentence for the report."""
    lacks: str = ""
    """How many samples are missing (`lacking`); those that are left are no random choice of all."""

    def digests(self) -> dict[str, str]:
        """Return the first 16 hexadecimal digits of the SHA-256 of each file, by name."""
        return {path.name: digest(path) for path in self.files}


def model_of(name: str, digests: Mapping[str, str]) -> str:
    """Return the name of a log's model; logs that do not say it are told apart by their digests.

    Example:
        >>> model_of("org/model", {}), model_of("unknown", {"samples_rte.jsonl": "f267d3aa90"})
        ('org/model', 'unknown-f267d3')
    """
    return f"{UNKNOWN}-{next(iter(digests.values()))[:6]}" if name == UNKNOWN else name


def is_unnamed(model: str) -> bool:
    """Return whether a name is that of a model that its log does not name.

    Example:
        >>> is_unnamed("unknown-f267d3"), is_unnamed("org/unknown-model")
        (True, False)
    """
    return re.fullmatch(rf"{UNKNOWN}(?:-[0-9a-f]{{6}})?", model) is not None


def lacking(held: int, stated: int, more: str = "") -> str:
    """Say how many samples a log lacks; empty if it has as many as it says.

    Args:
        held: the number of its samples.
        stated: the number that it says it has; 0 if it says none.
        more: what is to be said of these numbers.

    Example:
        >>> lacking(2, 3), lacking(3, 3)
        ('the log holds 2 of its 3 samples: 1 is missing', '')
    """
    lost = "1 is missing" if stated - held == 1 else f"{stated - held:,} are missing"
    return f"the log holds {held:,} of its {counted(stated, 'sample')}{more}: {lost}" if held < stated else ""


def unique(samples: Iterable[HarnessSample], path: Path) -> list[HarnessSample]:
    """Return the samples in the order of their positions.

    Raises:
        InputError: there is none, or two have one id or one position.
    """
    ordered = sorted(samples, key=lambda sample: sample.position)
    if not ordered:
        raise InputError(f"{path} holds no samples")
    seen: set[str] = set()
    for before, sample in zip([None, *ordered], ordered, strict=False):
        if sample.id in seen or (before is not None and before.position == sample.position):
            raise InputError(f"{path}: sample {sample.id!r} comes twice; each sample of a run has one entry")
        seen.add(sample.id)
    return ordered
