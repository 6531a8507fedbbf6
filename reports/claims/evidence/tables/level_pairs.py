"""Compare a difference or ratio of the text with two values that the same document states elsewhere.

A claim with a `baseline` and a quantity, and without a formula, is compared with the levels of that quantity: "10.3 %
better on MMLU than Otter 1" with the two claims, or cells, that give the accuracy of both.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from evals.reports.claims.evidence.arithmetic import SEVERITY, Finding
from evals.reports.claims.evidence.tables.grid import GridColumn, GridValue
from evals.reports.claims.evidence.tables.text import TextFinding, TextValue, compare_pair
from evals.reports.claims.language.schema import Claim, Document
from evals.reports.claims.language.tables import headers
from evals.reports.claims.language.tables.models import TableColumn
from evals.reports.claims.language.units import Unit, last_place
from evals.reports.claims.language.values import ValueTable


def check_levels(
    claim: Claim, document: Document, table: ValueTable, stated: TextValue
) -> tuple[Finding, frozenset[str]]:
    """Compare a claim with the levels that its document states; of several pairs of levels, one must agree.

    Args:
        claim: a claim with digits.
        document: its document.
        table: the values of the document.
        stated: the number of the claim.

    Returns:
        The finding, and the IDs of the levels that it fails with.
    """
    column = _column(claim, table)
    outcomes: list[tuple[TextFinding, Claim, Claim]] = [
        (compare_pair(stated, None, _value(first, table, column), _value(other, table, column), column), first, other)
        for first, other in _pairs(claim, document, table, column.unit)
    ]
    if not outcomes:
        return Finding("na"), frozenset()
    finding, first, other = min(outcomes, key=lambda outcome: SEVERITY.index(outcome[0].verdict))
    failed = finding.verdict not in {"na", "consistent"}
    return Finding(finding.verdict, (finding.line,)), frozenset({first.id, other.id} if failed else set())


def is_comparable(claim: Claim) -> bool:
    """Whether a claim states a difference or ratio of two levels, without a formula of its own."""
    has_formula = (
        claim.derive or claim.readings or claim.compares or (claim.measure and claim.measure.relation != "level")
    )
    return claim.digits is not None and not has_formula and None not in (claim.baseline, claim.quantity, claim.unit)


def _pairs(claim: Claim, document: Document, table: ValueTable, unit: Unit) -> Iterator[tuple[Claim, Claim]]:
    """The levels of the claim's subject and baseline that were obtained in the same way."""
    levels = [
        level
        for level in document.claims
        if level.quantity == claim.quantity and level.baseline is None and level.digits is not None
        and level.upto is None and level.id != claim.id and level.bound == "exactly"
        and table.unit(level).dimension == unit.dimension
    ]  # fmt: skip
    for first in levels:
        for other in levels:
            are_both = first.subject == claim.subject and other.subject == (claim.baseline,)
            is_release = claim.release in {None, first.release}
            if are_both and is_release and first.protocol == other.protocol and first.conditions == other.conditions:
                yield first, other


def _column(claim: Claim, table: ValueTable) -> GridColumn:
    """The column that the levels of a quantity would be in."""
    name = (claim.quantity or "").replace("-", " ")
    entries = (entry for entry in table.entries.values() if entry.quantity == claim.quantity and entry.unit)
    level = next((entry for entry in entries if not entry.baseline), claim)
    direction = headers.direction(TableColumn(name=name or "value"), level.unit or "")
    return GridColumn(name, table.unit(level), direction=direction)


def _value(level: Claim, table: ValueTable, column: GridColumn) -> GridValue:
    scale = Fraction(level.times) * table.unit(level).factor / column.unit.factor
    digits = level.digits or "0"
    half = last_place(digits) / 2 * scale if level.printed is not None and not level.exact else Fraction(0)
    return GridValue(level.id, Fraction(digits) * scale, half, digits=digits if scale == 1 else "")
