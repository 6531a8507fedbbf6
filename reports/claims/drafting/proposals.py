"""The form of a drafted claim, before it is written to a claims file."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from evals.reports.claims.language.sources.articles import SourcePlace
from evals.reports.claims.language.statements import Bound


@dataclass(slots=True)
class Proposal:
    """A statement of an article that a claims file may hold."""

    span: SourcePlace
    """The place of its number in the source."""
    quote: str
    line: int
    printed: str
    """The digits; empty for a statement without a number, which a table checks."""
    times: Decimal = Decimal(1)
    unit: str | None = None
    is_implied: bool = False
    """Whether the value is given in words ("twice")."""
    is_hedged: bool = False
    """Whether it is, and the text itself says that it is about that ("around half")."""
    upto: str | None = None
    plus_minus: str | None = None
    bound: Bound = "exactly"
    subject: str | None = None
    baseline: str | None = None
    quantity: str | None = None
    quantity_says: str = ""
    kind: str = "quality"
    is_score: bool = False
    is_change: bool = False
    """Whether it is a difference, a ratio or a relative change of two values."""
    direction: int = 0
    """Of a change: 1 upwards, -1 downwards, 0 if the words do not say."""
    is_negative: bool = False
    """Of a change: whether a minus is printed. It is written unless a formula says which value is the lower one."""
    between: tuple[SourcePlace, SourcePlace] | None = None
    """Of a change in a table: the places of the old and the new value."""
    formula: str | None = None
    """Of a cell that is computed from others: its expression, with `{0}` and `{1}` for its operands."""
    operands: tuple[SourcePlace, ...] = ()
    """The places of the values that the formula is of."""
    is_settled: bool = False
    """Of a change: whether its sentence gives it though no formula can say so; no other pair is looked for."""
    is_cell: bool = False
    """Whether it is the cell of a table of words: what it compares stands in its table."""
    conditions: dict[str, str] = field(default_factory=dict)
    protocol: dict[str, str] = field(default_factory=dict)
    derive: str | None = None
    readings: list[dict[str, str]] = field(default_factory=list)
    compares: dict[str, Any] | None = None
    escapes: list[str] = field(default_factory=list)
    """Ways out that arithmetic cannot rule out: with one, a value that does not follow is open."""
    sentence: SourcePlace = (0, 0)
    """The sentence that holds it, in the source."""
    words: str = ""
    """The words of the clause, for the relations."""
    doubts: list[str] = field(default_factory=list)
    """What lowers the confidence."""
    grounds: list[str] = field(default_factory=list)
    """What speaks for the reading."""
    confidence: float = 0.9
    proposed_by: str = "rules"
    says: str | None = None
    review: str | None = None
    """What the reader decided: accepted, edited or dropped."""
    id: str = ""

    @property
    def value(self) -> Decimal:
        """The printed number in its unit."""
        return Decimal(self.printed) * self.times

    def doubt(self, reason: str, factor: float) -> None:
        """Lower the confidence, with the reason."""
        self.doubts.append(reason)
        self.confidence = round(self.confidence * factor, 2)


@dataclass(slots=True)
class TableProposal:
    """A table of results of an article."""

    caption: str
    line: int
    span: SourcePlace
    columns: list[dict[str, Any]]
    rows: list[dict[str, Any]]
    unit: str | None = None
    bold: str = "none"
    confidence: float = 0.9
    grounds: list[str] = field(default_factory=list)
    id: str = ""
