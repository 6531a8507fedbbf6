"""Propose sums and means of the values of a sentence, and find the cell that prints a value of the text too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from evals.reports.claims.drafting.proposals import Proposal, TableProposal
from evals.reports.claims.drafting.relations.levels import Level, interval, same_split

_TOTAL = re.compile(r"\btotal|in all|altogether|\bsum\b|合计|共计|总计|总共|一共|together", re.I)
_PART = re.compile(r"of which|including|其中|包括", re.I)
_MEAN = re.compile(r"\baverage|\bmean\b|平均", re.I)


def propose_total(claim: Proposal, known: Sequence[Level]) -> None:
    """Propose a sum or a mean of the other values of a sentence, if they give it."""
    if not claim.unit or not claim.quantity:
        return
    total, mean = _TOTAL.search(claim.words), _MEAN.search(claim.words)
    if not (total or mean):
        return
    dimension = next((level.unit for level in known if level.id == claim.id), None)
    parts = [
        level
        for level in known
        if level.table is None
        and claim.sentence[0] <= level.span[0] < claim.sentence[1]
        and level.id != claim.id
        and dimension is not None
        and level.unit == dimension
        and level.is_plain
    ]
    if len(parts) < 2 or (mean and len({part.subject for part in parts}) > 1):
        return
    low, high = interval(claim)
    count = len(parts) if mean and not total else 1
    if sum(part.low for part in parts) / count <= high and low <= sum(part.high for part in parts) / count:
        text = " + ".join(part.id for part in parts)
        claim.derive = f"({text}) / {count}" if count > 1 else text
        claim.grounds.append(
            "is the mean of the values beside it" if count > 1 else "is the sum of the values beside it"
        )
    elif total and not _PART.search(claim.words) and _are_added(claim, parts):
        claim.derive = " + ".join(part.id for part in parts)


def _are_added(claim: Proposal, parts: Sequence[Level]) -> bool:
    """Whether the text itself adds the values: "a + b + c"."""
    return claim.words.count("+") >= len(parts) - 1 > 0 and all(
        second.span[0] - first.span[1] < 40 for first, second in pairwise(parts)
    )


def propose_cell(claim: Proposal, known: Sequence[Level], tables: Sequence[TableProposal]) -> None:
    """Let a value of the text be checked by the cell that prints it too; one that differs is noted only.

    Another protocol is as likely as a mistake where they differ.
    """
    if claim.quantity is None or claim.subject is None or claim.unit is None or "at" in claim.conditions:
        return
    low, high = interval(claim)
    same = [
        level
        for level in known
        if level.table
        and level.subject == claim.subject
        and level.quantity == claim.quantity
        and same_split(claim, level)
    ]
    equal = [level for level in same if level.low < high and low < level.high]
    if len(equal) == 1 and claim.bound == "exactly" and claim.upto is None and not claim.conditions.get("place"):
        cell = equal[0]
        table = next(table for table in tables if table.id == cell.table)
        unit = next(str(column["unit"]) for column in table.columns if column["name"] == cell.column)
        if unit == claim.unit:
            claim.compares = {"table": cell.table, "column": cell.column, "row": cell.row, "relation": "level"}
            claim.grounds.append(f"{cell.id} prints it too")
    elif len(same) == 1 and not equal:
        claim.doubt(f"{same[0].id} prints another value: another protocol, or one of them is wrong", 0.9)
