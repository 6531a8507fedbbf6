"""Find the claims of one document that cannot be true together, and choose which of them is marked inconsistent.

Of two contradicting claims the inconsistent one is chosen by rule: the one whose own arithmetic fails, else the one
that is not printed but implied, else the later one. As few claims as possible are marked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from evals.reports.claims.evidence.arithmetic import Finding
from evals.reports.claims.evidence.cross_document import AGREEMENT, CONFLICT, StatementPair
from evals.reports.claims.language.schema import Claim, Document
from evals.reports.claims.language.tables import headers
from evals.reports.claims.language.tables.expansion import CellClaim, TableCell
from evals.reports.claims.language.values import ValueTable

ClaimKey = tuple[str, str]
"""The id of a document and the id of a claim in it."""
StatementId = tuple[ClaimKey, ClaimKey, str]
"""The two claims of a pair and their quantity."""
_ENOUGH = 3
"""The number of shared cells, none of which agrees, from which two tables are taken to be of two benchmarks."""
_PASSING = {"na", "consistent", "open"}


def inconsistent_claims(
    pairs: Sequence[StatementPair], findings: Mapping[ClaimKey, Finding], documents: Sequence[Document]
) -> frozenset[ClaimKey]:
    """Choose, of each contradicting pair of one document, the claim to mark as inconsistent.

    Args:
        pairs: contradicting statements, both of one document each.
        findings: the arithmetic of every claim.
        documents: the documents, which give the order of the claims.
    """
    position = {(d.document.id, claim.id): number for d in documents for number, claim in enumerate(d.claims)}
    implicit = {(d.document.id, claim.id): claim.implicit for d in documents for claim in d.claims}
    failing = {key for key, finding in findings.items() if finding.verdict not in _PASSING}
    sides = [[pair.first.key, pair.second.key] for pair in pairs]
    chosen: set[ClaimKey] = set()
    for keys in sorted(sides, key=lambda keys: sorted((position[key] for key in keys), reverse=True)):
        if not {*keys} & (chosen | failing):
            chosen.add(max(keys, key=lambda key: (implicit[key], position[key])))
    return frozenset(chosen | {key for keys in sides for key in keys if key in failing})


def of_other_tables(pairs: Sequence[StatementPair], documents: Sequence[Document]) -> dict[StatementId, str]:
    """Find the contradictions of cells of two tables that may measure different things under one header.

    Two tables of one document repeat a benchmark if at least half of the cells that they share agree. Where most
    differ, a header such as `STEM` may belong to two benchmarks, or the protocols differ: neither cell is wrong then.
    One or two shared cells of a benchmark that is known by name must agree.

    Args:
        pairs: all compared pairs of statements of one document each, agreements among them.
        documents: the documents.

    Returns:
        For the claims of each contradicting pair of cells of such tables: `na` if the tables share at least three cells
        and none agrees, so that they are of two benchmarks; else `open`.
    """
    cells = {
        (document.document.id, claim.id): claim.cell
        for document in documents
        for claim in document.claims
        if isinstance(claim, CellClaim)
    }
    shared: dict[tuple[str, frozenset[str]], list[StatementPair]] = defaultdict(list)
    for pair in pairs:
        of = {cells[side.key].table_id for side in (pair.first, pair.second) if side.key in cells}
        if len(of) == 2 and pair.result in {AGREEMENT, CONFLICT}:
            shared[pair.first.where, frozenset(of)].append(pair)
    words: dict[StatementId, str] = {}
    for group in shared.values():
        agreeing = sum(pair.result == AGREEMENT for pair in group)
        are_known = len(group) < _ENOUGH and all(_names_a_benchmark(cells[pair.first.key]) for pair in group)
        if 2 * agreeing < len(group) and not are_known:
            word = "na" if agreeing == 0 and len(group) >= _ENOUGH else "open"
            words |= {statement_id(pair): word for pair in group if pair.result == CONFLICT}
    return words


def _names_a_benchmark(cell: TableCell) -> bool:
    """Whether the header of a cell says by itself what is measured: `SST-2`, not `STEM`."""
    return headers.is_direction_stated(cell.table.columns[cell.column])


def statement_id(pair: StatementPair) -> StatementId:
    """Name a pair by its two claims and their quantity."""
    return pair.first.key, pair.second.key, pair.quantity


def failing_partners(claim: Claim, table: ValueTable, finding: Finding) -> set[str]:
    """Return the ids of the claims that a claim's failed arithmetic uses; none if its arithmetic holds."""
    if finding.verdict in _PASSING:
        return set()
    texts = [claim.derive, *(text for check in claim.checks if check.compare for text in (check.left, check.right))]
    ids = {name for text in texts if text for name in table.inputs(text)}
    return {id for id in ids if id in table.claims} - {claim.id}


def make_symmetric(partners: Mapping[ClaimKey, set[str]]) -> dict[ClaimKey, set[str]]:
    """Add each claim to the partners of its partners: a failed computation does not show which input is wrong."""
    symmetric = {key: set(ids) for key, ids in partners.items()}
    for (document, id), others in partners.items():
        for other in others:
            symmetric[document, other].add(id)
    return symmetric
