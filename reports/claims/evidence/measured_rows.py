"""One measured value beside the claimed one: the hypothesis of a claim, and the row that reports and JSON show."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from evals.errors import counted
from evals.reports.claims.language.schema import Measure, Relation
from evals.reports.claims.language.statements import Bound
from evals.reports.rendering.formatting import amount
from evals.schema import Json
from evals.statistics.decisions import Decision


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One reading of a claim in a form that a run can test."""

    measure: Measure
    relation: Relation
    """What the value describes: one system's level, or a relation of two systems."""
    bound: Bound
    """How the value is meant: exactly, about, at least, …"""
    low: float | None
    """Low end of the claimed interval; None if it is open."""
    high: float | None
    """High end of the claimed interval; None if it is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRow:
    """What was measured for one reading of a claim; fractions, ratios, seconds or bytes, by `unit`."""

    task: str
    metric: str
    relation: Relation
    value: float | None
    """The measured value; None if the runs do not give one."""
    low: float | None
    """Low end of its 95 % interval."""
    high: float | None
    """High end of its 95 % interval."""
    n: int
    """Number of samples or repetitions."""
    claimed_low: float | None
    claimed_high: float | None
    decision: Decision | None
    """What the value decides about the described system; None if another system was run."""
    unit: str
    p: float | None = None
    """Two-sided p-value of a comparison."""
    detectable: float | None = None
    """Minimum detectable difference at 80 % power."""
    direction: str | None = None
    """Whether a comparison has the claimed sign at the scale that was run: holds, fails, undecided."""
    p_holm: float | None = None
    """The p-value after Holm's correction for all comparisons of the document."""
    decided_by_p: bool = False
    """Whether `decision` follows from the test of `p`; an interval against a band or a bound decides otherwise."""
    shared_level: bool = False
    """Whether the interval holds together with those of all comparisons of the document (`early`)."""
    subject_match: str = "none"
    """How the measured system relates to the described one."""
    replica: bool = False
    """Whether a bundled replica was run."""

    def to_json(self) -> dict[str, Json]:
        """Return the row as `claims.json` has it; keys that do not apply to the relation are left out."""
        row = asdict(self)
        compared = self.relation != "level" and self.value is not None
        omitted = () if compared else ("p", "detectable", "direction")
        del row["decided_by_p"], row["shared_level"]
        return {key: value for key, value in row.items() if value is not None or key not in (*omitted, "p_holm")}


def band_text(low: float | None, high: float | None, percent: bool, unit: str = "") -> str:
    """Describe a claimed interval.

    Example:
        >>> band_text(0.7825, 0.7835, True), band_text(2.5, None, False), band_text(None, 2e9, False, "bytes")
        ('78.25 % to 78.35 %', 'at least 2.5', 'at most 1.9 GiB')
    """
    if low is None and high is None:
        return "nothing in numbers"

    def shown(end: float | None) -> str:
        return amount(end, unit) if unit in {"seconds", "bytes"} else value_text(end, percent)

    if low is None:
        return f"at most {shown(high)}"
    if high is None:
        return f"at least {shown(low)}"
    return f"{shown(low)} to {shown(high)}"


def value_text(value: float | None, percent: bool) -> str:
    """Format a value as a percentage or a plain number; a dash for None.

    Example:
        >>> value_text(0.5, True), value_text(1.23456, False), value_text(None, True)
        ('50.00 %', '1.235', '–')
    """
    return "–" if value is None else f"{value * 100:.2f} %" if percent else f"{value:.4g}"


def detectable_text(value: float | None, relation: Relation, n: int, percent: bool) -> str:
    """State the minimum detectable difference.

    Example:
        >>> detectable_text(0.0404, "difference", 1319, True)
        'minimum detectable difference at 80 % power with 1,319 samples: 4.04 points'
    """
    name = {"level": "difference", "order": "difference", "difference": "difference"}.get(relation, relation)
    if value == 0:
        return f"the {n:,} differences do not vary, so the minimum detectable {name} is not known"
    if value is None:
        return f"with {counted(n, 'sample')}, no {name} can be detected with 80 % power"
    amount = f"{value * 100:.2f} points" if percent and name == "difference" else value_text(value, percent)
    return f"minimum detectable {name} at 80 % power with {counted(n, 'sample')}: {amount}"
