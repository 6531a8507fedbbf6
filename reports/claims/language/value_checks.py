"""Check that the values of a claims file can be meant: units, ranges, derivations, quotes.

`evals.reports.claims.language.names` checks that names exist; this module checks what is said with them. The first
mistake is an `InputError` with its line and its claim.
"""

from __future__ import annotations

import difflib
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from evals.errors import InputError
from evals.reports.claims.language.expressions import referenced_claims
from evals.reports.claims.language.facts import Quantity
from evals.reports.claims.language.schema import Claim, Document
from evals.reports.claims.language.sources.articles import line_starts, plain
from evals.reports.claims.language.sources.encodings import decoded
from evals.reports.claims.language.sources.quotes import QuoteIndex, normalised
from evals.reports.claims.language.statements import StatedValue, Statement
from evals.reports.claims.language.tables.expansion import CellClaim, located
from evals.reports.claims.language.units import Units, spell
from evals.reports.claims.language.values import MAX_STEPS
from evals.reports.claims.language.yaml_lines import YamlFile
from evals.yaml_files import Location

_SHARES = ("accuracy", "pass@1", "recall")
"""Quantities in percent that begin with one of these words are shares of a whole."""


def check_values(
    source: YamlFile, document: Document, quantities: Mapping[str, Quantity], units: Units, folder: Path
) -> None:
    """Check the values, derivations and quotes of all claims, whose names exist.

    Args:
        source: the file, for the lines of its parts.
        document: its content.
        quantities: every quantity by name.
        units: the units of the vocabulary.
        folder: the folder of the file, in which a document's source file is looked for.

    Raises:
        InputError: a value cannot be meant.
    """
    text = _source_text(document, folder)
    index, lines = _quotes(document, text) if text is not None else (None, [])
    _check_derivations(source, document)
    for at, claim in located(document):
        if isinstance(claim, CellClaim):  # what a table may say is a verdict, not a mistake of the file
            _check_unit(source, at, claim, quantities.get(claim.quantity or ""), units)
            continue
        statements = [(at, claim), *(((*at, "implies", n), entry) for n, entry in enumerate(claim.implies))]
        for location, statement in statements:
            _check_value(source, location, statement, quantities.get(statement.quantity or ""), units)
        _check_share_of_measure(source, at, claim)
        _check_count(source, at, claim, units)
        if text is not None and index is not None:
            _check_quote(source, at, claim, text, index, lines)


def _check_value(source: YamlFile, at: Location, statement: Statement, quantity: Quantity | None, units: Units) -> None:
    """Check that a unit fits its quantity, and that a value is not below zero or above a whole."""
    if statement.unit is None:
        return
    unit = units[statement.unit]
    if statement.baseline is None or unit.dimension:  # a ratio to a baseline has no dimension
        _check_unit(source, at, statement, quantity, units)
    is_difference = statement.baseline is not None or "difference" in (statement.quantity or "")
    if unit.dimension and not is_difference and _least(statement) < 0:
        raise source.refuse((*at, "printed"), f"{statement.digits} {unit.symbol}: the value cannot be below zero")
    is_share = quantity is not None and quantity.unit == "percent" and quantity.says.startswith(_SHARES)
    if is_share and statement.baseline is None and statement.unit in {"percent", "%"}:
        _require_share(source, at, statement)


def _check_unit(source: YamlFile, at: Location, statement: Statement, quantity: Quantity | None, units: Units) -> None:
    """Check that a unit fits its quantity."""
    if statement.unit is None or quantity is None or quantity.unit is None:
        return
    if units[quantity.unit].dimension != units[statement.unit].dimension:
        expected = spell(units[quantity.unit].dimension) or "a plain number"
        message = f"{statement.quantity} is given in {quantity.unit} ({expected}); {statement.unit!r} does not fit it"
        raise source.refuse((*at, "unit"), message)


def _check_share_of_measure(source: YamlFile, at: Location, claim: Claim) -> None:
    """A level of an accuracy is a share of a whole."""
    measure = claim.measure
    is_level = measure is not None and measure.relation == "level" and measure.metric.startswith("accuracy")
    if is_level and claim.unit in {"percent", "%"}:
        _require_share(source, at, claim)


def _check_count(source: YamlFile, at: Location, claim: Claim, units: Units) -> None:
    """A count of items is no more than the largest of the test sets that the claim gives as numbers."""
    sizes = [int(size) for size in claim.attainable if size.isdecimal() and len(size) < 20]
    if claim.unit is None or not sizes or len(sizes) < len(claim.attainable) or claim.digits is None:
        return
    if units[claim.unit].dimension.keys() == {"item"} and _most(claim) * claim.times > max(sizes):
        message = f"{claim.digits} of {max(sizes)} items: a part cannot be more than the whole"
        raise source.refuse((*at, "printed"), message)


def _require_share(source: YamlFile, at: Location, value: StatedValue) -> None:
    if value.digits is not None and not (_least(value) >= 0 and _most(value) <= 100):
        raise source.refuse((*at, "printed"), f"{value.digits} %: a share of a whole is between 0 and 100 %")


def _least(value: StatedValue) -> Decimal:
    return Decimal(value.digits or 0)


def _most(value: StatedValue) -> Decimal:
    return Decimal(value.upto or value.digits or 0)


def _check_derivations(source: YamlFile, document: Document) -> None:
    """Check that no claim is computed from itself, also by way of other claims, nor by too many steps."""
    derivations = {claim.id: referenced_claims(claim.derive) for claim in document.claims}
    computed = {claim.id for claim in document.claims if claim.digits is None}
    steps = _steps(derivations, computed)
    for at, claim in located(document):
        if isinstance(claim, CellClaim):
            continue
        if steps.get(claim.id, 0) > MAX_STEPS:
            why = f"is computed in {steps[claim.id]:,} steps, at most {MAX_STEPS}; give one of them its digits"
            raise source.refuse((*at, "derive"), why)
        if claim.id not in steps and (way := _way_back(claim.id, derivations, computed)):
            raise source.refuse((*at, "derive"), f"{' needs '.join(way)}: a claim cannot be computed from itself")


def _steps(derivations: Mapping[str, Sequence[str]], computed: Collection[str]) -> dict[str, int]:
    """Return by how many claims, one from the other, each computed claim is computed; none for circles."""
    needed = {id: {other for other in derivations[id] if other in computed} for id in computed}
    needed_by: dict[str, list[str]] = {id: [] for id in computed}
    for id, others in needed.items():
        for other in others:
            needed_by[other].append(id)
    steps = {id: 1 for id in computed if not needed[id]}
    counted, longest = list(steps), dict.fromkeys(computed, 1)
    for id in counted:  # it grows
        for user in needed_by[id]:
            longest[user] = max(longest[user], steps[id] + 1)
            needed[user].remove(id)
            if not needed[user]:
                steps[user] = longest[user]
                counted.append(user)
    return steps


def _way_back(start: str, derivations: Mapping[str, Sequence[str]], computed: Collection[str]) -> list[str]:
    """Return the claims from a claim back to itself, through claims that are computed; empty if there is no way."""
    before = dict.fromkeys(derivations[start], start)
    pending = list(before)
    while pending:
        id = pending.pop()
        if id == start:
            way = [start]
            while (id := before[id]) != start:
                way.append(id)
            return [start, *reversed(way)]
        for needed in derivations[id] if id in computed else ():
            if needed not in before:
                before[needed] = id
                pending.append(needed)
    return []


def _source_text(document: Document, folder: Path) -> str | None:
    """The text of the document, if its `source` is a file beside the claims file."""
    name = document.document.source
    path = folder / name if name and "://" not in name else None
    if path is None or path.suffix not in {".txt", ".md"} or not path.is_file():
        return None
    content = path.read_bytes()
    try:
        return decoded(content, path.name)
    except InputError:
        return content.decode("utf-8", "replace")


def _quotes(document: Document, text: str) -> tuple[QuoteIndex, list[int]]:
    """The places of the document's quotes in its source text, and where the lines of that text begin."""
    return QuoteIndex(plain(text), [claim.quote for claim in document.claims if claim.quote]), line_starts(text)


def _check_quote(source: YamlFile, at: Location, claim: Claim, text: str, index: QuoteIndex, lines: list[int]) -> None:
    """Check that a quote stands in the source text, in its line if that is given; the nearest line is shown."""
    if claim.line is not None and claim.line > len(lines):
        raise source.refuse((*at, "line"), f"line {claim.line}: the document has {len(lines)} lines")
    if not claim.quote:
        return
    places = index.find(claim.quote)
    if claim.line is not None and places:
        end = lines[claim.line] if claim.line < len(lines) else len(text)
        if not index.find(claim.quote, (lines[claim.line - 1], end)):
            line = bisect_right(lines, places[0][0])
            raise source.refuse((*at, "line"), f"the quote stands in line {line}, not in line {claim.line}")
    if not places:
        near = difflib.get_close_matches(
            normalised(claim.quote), [normalised(line) for line in text.splitlines()], n=1, cutoff=0.0
        )
        shown = near[0].strip()[:120] if near else ""
        raise source.refuse((*at, "quote"), f"{claim.quote!r} does not stand in the document; the nearest is {shown!r}")
