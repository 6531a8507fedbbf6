"""Write a draft as a claims file, and check that the file can be read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from evals.errors import InputError
from evals.reports.claims.drafting.drafter import ArticleDraft
from evals.reports.claims.drafting.proposals import Proposal, TableProposal
from evals.reports.claims.language.facts import Quantity
from evals.reports.claims.language.files import load, load_record, load_vocabulary, vocabulary_units
from evals.reports.claims.language.schema import Document

_MOST_REPAIRS = 60
_CLAIM_IN_MESSAGE = re.compile(r":\d+: (?P<id>[CT]-\d+) ")
_BOUND_WORDS = {
    "about": "about ",
    "at-least": "at least ",
    "at-most": "at most ",
    "above": "more than ",
    "below": "less than ",
}


def as_yaml(draft: ArticleDraft, *, id: str, source: str, recorded: Mapping[str, Any] | None = None) -> str:
    """Return the text of a claims file.

    A proposal that the format refuses loses first its formula, then its quantity, and is left out at last; each such
    case is a line in `draft.left_out`.

    Args:
        draft: the drafted claims; changed where the format refuses one.
        id: the ID of the document.
        source: the path or address of the article, as the file gives it.
        recorded: further keys of the document.

    Raises:
        InputError: the article has no claim, or a file that can be read could not be made.
    """
    return readable(draft, id=id, source=source, recorded=recorded)[0]


def readable(
    draft: ArticleDraft, *, id: str, source: str, recorded: Mapping[str, Any] | None = None
) -> tuple[str, Document]:
    """Return the text of a claims file as `as_yaml` does, and what it says."""
    for _ in range(_MOST_REPAIRS):
        if not draft.claims and not draft.tables:
            raise InputError(f"{source}: no statement with a number was found; nothing to check")
        text = _text(draft, id, source, recorded or {})
        try:
            return text, _read(text)
        except InputError as error:
            _repair(draft, error)
    raise InputError(f"{source}: more than {_MOST_REPAIRS} drafted claims do not fit the format of claims files")


def _read(text: str) -> Document:
    """Read the text as a claims file; raises `InputError` for the first mistake."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "draft.yaml")
        path.write_text(text, encoding="utf-8")
        return load(path)


def _repair(draft: ArticleDraft, error: InputError) -> None:
    """Take from the refused proposal what the format refuses."""
    match = _CLAIM_IN_MESSAGE.search(str(error))
    if match is None:
        raise error
    id = match["id"]
    reason = str(error).partition(f"{id} ")[2]
    tables = [table for table in draft.tables if table.id == id]
    if tables:
        draft.tables.remove(tables[0])
        draft.left_out.append(f"{id} (table, line {tables[0].line}): {reason}")
        return
    claim = next(claim for claim in draft.claims if claim.id == id)
    if claim.derive or claim.compares:
        claim.derive, claim.compares, claim.readings = None, None, []
    elif claim.quantity:
        claim.quantity = None
    else:
        draft.claims.remove(claim)
        for other in draft.claims:
            if other.derive and re.search(rf"\b{id}\b", other.derive):
                other.derive, other.readings = None, []
    draft.left_out.append(f"{id} (line {claim.line}): {reason}")


def _text(draft: ArticleDraft, id: str, source: str, more: Mapping[str, Any]) -> str:
    quantities = _quantities(draft)
    lines = [
        "# Drafted by `python -m evals draft`: read each claim against the article before relying on a verdict.",
        "document:",
    ]
    lines += [
        f"  id: {id}",
        f"  title: {_quoted(draft.article.title or id)}",
        f"  language: {draft.article.language}",
        f"  source: {_quoted(source)}",
        "  drafted: true",
    ]
    lines += [f"  {key}: {_flow(value)}" for key, value in more.items()]
    if subjects := _subjects(draft):
        lines += ["  subjects:", *(f"    {key}: {{name: {_quoted(name)}}}" for key, name in subjects.items())]
    if quantities:
        lines += [
            "  quantities:",
            *(f"    {key}: {{says: {_quoted(says)}, unit: {unit}}}" for key, (says, unit) in quantities.items()),
        ]
    lines += ["claims:"]
    parts = [(claim.span, _claim_lines(claim, draft)) for claim in draft.claims]
    parts += [(table.span, _table_lines(table)) for table in draft.tables]
    for _, text in sorted(parts):
        lines += text
    return "\n".join(lines) + "\n"


def _subjects(draft: ArticleDraft) -> dict[str, str]:
    """The subjects that claims and tables name and that the record does not have."""
    used = {name for claim in draft.claims for name in (claim.subject, claim.baseline) if name}
    used |= {row["subject"] for table in draft.tables for row in table.rows if "subject" in row}
    return {id: name for id, name in draft.names.names.items() if id in used and id not in load_record().subjects}


def _quantities(draft: ArticleDraft) -> dict[str, tuple[str, str]]:
    """Declare the quantities that the vocabulary does not have; in units of another kind they get another name."""
    known: dict[str, Quantity] = dict(load_vocabulary().quantities)
    units = vocabulary_units()
    declared: dict[str, tuple[str, str]] = {}
    for claim in draft.claims:
        if claim.quantity is None or claim.unit is None:
            continue
        unit = (
            known[claim.quantity].unit if claim.quantity in known else declared.get(claim.quantity, ("", claim.unit))[1]
        )
        if unit is not None and units[unit].dimension != units[claim.unit].dimension:
            claim.quantity = f"{claim.quantity}-in-{claim.unit}"
        if claim.quantity not in known:
            declared.setdefault(claim.quantity, (claim.quantity_says or claim.quantity, claim.unit))
    return declared


def _claim_lines(claim: Proposal, draft: ArticleDraft) -> list[str]:
    lines = [
        f"- id: {claim.id}",
        f"  quote: {_quoted(claim.quote)}",
        f"  line: {claim.line}",
        f"  says: {_quoted(claim.says or sentence(claim, draft))}",
    ]
    lines += [f"  subject: {claim.subject or 'document'}", f"  kind: {claim.kind}"]
    fields: Iterator[tuple[str, Any]] = iter(
        (
            ("baseline", claim.baseline),
            ("quantity", claim.quantity),
            ("conditions", {key.replace(" ", "-"): value for key, value in claim.conditions.items()} or None),
            ("protocol", claim.protocol or None),
        )
    )
    lines += [f"  {key}: {_flow(value)}" for key, value in fields if value is not None]
    if claim.printed:
        lines.append(f'  {"implied" if claim.is_implied and not claim.upto else "printed"}: "{_signed(claim)}"')
    lines += [
        f'  {key}: "{value}"'
        for key, value in (("upto", claim.upto), ("plus_minus", claim.plus_minus))
        if value is not None
    ]
    if claim.times != 1:
        lines.append(f"  times: {_number(claim.times)}")
    if claim.unit:
        lines.append(f"  unit: {claim.unit}")
    if claim.bound != "exactly":
        lines.append(f"  bound: {claim.bound}")
        if claim.bound == "about":
            lines.append(f'  margin: "{_margin(claim)}"')
    if claim.derive:
        lines.append(f"  derive: {_quoted(claim.derive)}")
    if claim.readings:
        lines += ["  readings:", *(f"  - {_flow(reading)}" for reading in claim.readings)]
    if claim.compares:
        lines.append(f"  compares: {_flow(claim.compares)}")
    if claim.escapes and (claim.derive or claim.compares):
        lines.append(f"  escapes: {_flow(claim.escapes)}")
    return [
        *lines,
        f"  span: [{claim.span[0]}, {claim.span[1]}]",
        *_provenance(claim.confidence, claim.grounds, claim.doubts, claim.proposed_by),
        *([f"  review: {claim.review}"] if claim.review else []),
    ]


def _table_lines(table: TableProposal) -> list[str]:
    lines = [
        f"- id: {table.id}",
        f"  line: {table.line}",
        f"  says: {_quoted(table.caption or 'A table of the article.')}",
    ]
    lines += [
        f"  span: [{table.span[0]}, {table.span[1]}]",
        *_provenance(table.confidence, table.grounds, [], "rules"),
        "  table:",
    ]
    if table.caption:
        lines.append(f"    caption: {_quoted(table.caption)}")
    lines += [
        f"    bold: {table.bold}",
        "    columns:",
        *(f"    - {_flow(column)}" for column in table.columns),
        "    rows:",
    ]
    for row in table.rows:
        lines.append(f"    - {_flow(row)}")
    return lines


def _provenance(confidence: float, grounds: list[str], doubts: list[str], by: str) -> list[str]:
    reason = "; ".join([*dict.fromkeys(grounds), *(f"in doubt: {doubt}" for doubt in dict.fromkeys(doubts))])
    return [
        f"  confidence: {confidence:.2f}",
        f"  reason: {_quoted(reason or 'a number with its unit')}",
        f"  proposed_by: {by}",
    ]


def sentence(claim: Proposal, draft: ArticleDraft) -> str:
    """Return the claim as a sentence.

    Args:
        claim: the claim.
        draft: the draft, for the names.
    """
    record = load_record().subjects

    def name(id: str | None) -> str:
        if id is None:
            return "The document"
        return draft.names.names.get(id) or (record[id].name if id in record else id)

    symbol = vocabulary_units()[claim.unit or "number"].symbol
    value = _signed(claim) if claim.upto is None else f"{claim.printed} to {claim.upto}"
    factor = {
        Decimal(10) ** 3: " thousand",
        Decimal(10) ** 6: " million",
        Decimal(10) ** 9: " billion",
        Decimal(10) ** 12: " trillion",
    }.get(claim.times)
    value += factor or ("" if claim.times == 1 else f" × {_number(claim.times)}")
    amount = f"{_BOUND_WORDS.get(claim.bound, '')}{value} {symbol}".strip()
    against = f" compared with {name(claim.baseline)}" if claim.baseline else ""
    return f"{name(claim.subject)}: {claim.quantity_says or 'a value'}{against}, {amount}."


def _signed(claim: Proposal) -> str:
    """The digits with their minus; a formula is of the size of a change, and itself says which value is lower."""
    return f"-{claim.printed}" if claim.is_negative and not claim.derive else claim.printed


def _margin(claim: Proposal) -> str:
    """A tenth of the value, of "around half" a fifth: what "about" allows unless the text says more."""
    margin = abs(Decimal(claim.printed)) / (5 if claim.is_hedged else 10)
    return f"{margin.normalize():f}" if margin else "0"


def _number(value: Decimal) -> str:
    return f"{value.normalize():f}"


def _quoted(text: str) -> str:
    """Return a text in double quotes, in the escapes that JSON and YAML share."""
    cleaned = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff\ud800-\udfff]", " ", text)
    return json.dumps(cleaned, ensure_ascii=False)


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) and value != int(value) else str(int(value))
    return _quoted(str(value))
