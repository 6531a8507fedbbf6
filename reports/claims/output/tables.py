"""Write the result of a check as JSON, CSV, Markdown, LaTeX, and text for the terminal.

`claims.json` is for programs: `{"about": …, "claims": [{"id": "B-24", "headline": "internally_inconsistent",
"plain": "refuted", "arithmetic": …, "cross_document": …, "public_record": …, "measurement": …, "subject_match": …,
"contradicts": [ids], "working": [lines], …}], "summary": {word: count}, "contradictions": […]}`. The other formats
are for readers.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from evals.errors import UnknownName, counted
from evals.reports.claims.evidence.cross_document import StatementPair
from evals.reports.claims.evidence.proofs import prove
from evals.reports.claims.language.schema import Claim, Document
from evals.reports.claims.language.tables.expansion import CellClaim
from evals.reports.claims.output import figures
from evals.reports.claims.verdicts import AXES, PLAIN_WORDS, PRECEDENCE, Assessment, CheckResult
from evals.reports.rendering import table_formats
from evals.reports.rendering.table_formats import Table, escape_markdown

_CSV = ("document", "id", "kind", "subjects", "says", "quote", "headline", *AXES, "subject_match", "contradicts",
        "about", "plain")  # fmt: skip
InColumn = Callable[[Assessment], bool]
"""Whether a claim is counted in a column."""
_FREQUENT = 5
"""Number of claims from which a subject has its own column."""


def render(checked: CheckResult, format: str) -> str:
    """Write a result in a format of `FORMATS`; equal results give equal text.

    Raises:
        UnknownName: the format is unknown.
    """
    if format not in FORMATS:
        raise UnknownName("format", format, FORMATS)
    return FORMATS[format](checked).rstrip("\n") + "\n"


def in_words(word: str) -> str:
    """Write an identifier such as a verdict for readers: `not_testable_here` becomes `not testable here`."""
    return word.replace("_", " ")


def subjects(claim: Claim) -> list[str]:
    """List the subjects of a claim, each once."""
    return list(dict.fromkeys(claim.subject))


def of_document(checked: CheckResult, document: Document) -> list[Assessment]:
    """List the assessments of one document."""
    return [assessment for assessment in checked.assessments if assessment.document is document]


def summary(assessments: Sequence[Assessment]) -> list[tuple[str, int]]:
    """Count the headlines that occur, in the order of their precedence."""
    counts = Counter(assessment.headline for assessment in assessments)
    return [(word, counts[word]) for word in PRECEDENCE if counts[word]]


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """A row of a table of verdicts: a plain word, or one of its headlines below it."""

    word: str
    is_plain: bool
    assessments: tuple[Assessment, ...]


def verdict_rows(assessments: Sequence[Assessment]) -> list[VerdictRow]:
    """List the four plain words, each followed by those of its headlines that occur."""
    rows = []
    for plain_word in PLAIN_WORDS:
        group = tuple(assessment for assessment in assessments if assessment.plain == plain_word)
        rows.append(VerdictRow(plain_word, True, group))
        rows += [
            VerdictRow(word, False, tuple(assessment for assessment in group if assessment.headline == word))
            for word, _ in summary(group)
        ]
    return rows


def _table_of_verdicts(title: str, assessments: Sequence[Assessment], columns: Mapping[str, InColumn]) -> Table:
    """Count the verdicts in each column; the rows are those of `verdict_rows`, and the last counts the claims."""

    def counts(row: Sequence[Assessment]) -> list[str]:
        numbers = [sum(map(is_in_column, row)) for is_in_column in columns.values()]
        return [str(number) if number else "" for number in numbers]

    rows = [
        (("" if row.is_plain else "· ") + in_words(row.word), *counts(row.assessments))
        for row in verdict_rows(assessments)
    ]
    rows.append(("claims", *counts(assessments)))
    return Table(title, ("verdict", *columns), "l" + "r" * len(columns), tuple(rows))


def by_subject(assessments: Sequence[Assessment]) -> Table:
    """Count the verdicts by subject; subjects with few claims share the column `others`."""
    claims_of = Counter(subject for assessment in assessments for subject in subjects(assessment.claim))
    names = sorted(claims_of, key=lambda name: (-claims_of[name], name))
    frequent = [name for name in names if claims_of[name] >= _FREQUENT] or names
    columns: dict[str, InColumn] = {name: partial(_is_about, name) for name in frequent}
    if len(frequent) < len(names) and "others" not in columns:
        columns["others"] = lambda assessment: not set(frequent) & set(subjects(assessment.claim))
    return _table_of_verdicts("By system", assessments, columns)


def _is_about(name: str, assessment: Assessment) -> bool:
    return name in subjects(assessment.claim)


def verdicts(assessments: Sequence[Assessment]) -> Table:
    """Count the verdicts by document."""
    names = dict.fromkeys(assessment.document.document.id for assessment in assessments)
    columns: dict[str, InColumn] = {f"document {name}": partial(_is_from, name) for name in names}
    return _table_of_verdicts("By verdict", assessments, {**columns, "all": lambda _: True})


def _is_from(name: str, assessment: Assessment) -> bool:
    return assessment.document.document.id == name


def topics(conflicts: Sequence[StatementPair]) -> list[tuple[str, str, list[StatementPair]]]:
    """Group the contradictions between documents by topic: subject, quantity, pairs."""
    groups: dict[tuple[str, str], list[StatementPair]] = {}
    for pair in conflicts:
        names = list(dict.fromkeys((pair.first.subject, pair.second.subject)))
        groups.setdefault((" or ".join(names), pair.quantity), []).append(pair)
    return [(subject, quantity.replace("-", " "), group) for (subject, quantity), group in groups.items()]


def sides(checked: CheckResult) -> list[tuple[str, str, dict[str, list[tuple[str, str, str]]]]]:
    """List the topics on which documents disagree: subject, quantity, and the cells of each document.

    A cell is a claim's id, its subject if the topic has two, and its value.
    """
    rows = []
    for subject, quantity, group in topics(checked.conflicts):
        cells: dict[str, list[tuple[str, str, str]]] = {document.document.id: [] for document in checked.documents}
        for assertion in (assertion for pair in group for assertion in (pair.first, pair.second)):
            cell = (assertion.by, assertion.subject if " or " in subject else "", assertion.show())
            cells[assertion.where] += [cell] if cell not in cells[assertion.where] else []
        rows.append((subject, quantity, cells))
    return rows


def contradictions(checked: CheckResult) -> Table:
    """Table of the topics on which documents disagree: a row per topic, a column per document."""
    columns = ("about", *(f"document {document.document.id}" for document in checked.documents))
    rows = tuple(
        (f"{quantity} of {subject}", *("; ".join(_cell(*cell) for cell in side) for side in cells.values()))
        for subject, quantity, cells in sides(checked)
    )
    return Table("Contradictions between documents", columns, "l" * len(columns), rows)


def _cell(by: str, subject: str, value: str) -> str:
    return f"{by} {value}" + (f" ({subject})" if subject else "")


# Formats


def _entry(checked: CheckResult, assessment: Assessment) -> dict[str, object]:
    """Return one claim as `claims.json` has it."""
    claim, place = assessment.claim, checked.place(assessment)
    return {
        "id": claim.id,
        "document": assessment.document.document.id,
        "headline": assessment.headline,
        "plain": assessment.plain,
        **assessment.vector,
        "subject_match": assessment.subject_match,
        "contradicts": list(assessment.contradicts),
        "working": assessment.working,
        "says": claim.says,
        "quote": claim.quote,
        "printed": claim.printed,
        "unit": claim.unit,
        "span": list(place) if place else None,
        **({"cell": _cell_entry(claim)} if isinstance(claim, CellClaim) else {}),
        "inherits": assessment.inherits,
        "judged": claim.record.judged if claim.record else None,
        "measured": [row.to_json() for row in assessment.measured],
    }


def _cell_entry(claim: CellClaim) -> dict[str, str]:
    """The place of a cell in its table, by names."""
    cell = claim.cell
    return {
        "table": cell.table_id,
        "row": cell.table.rows[cell.row].name,
        "column": cell.table.columns[cell.column].name,
        "text": cell.printed.text,
    }


def _sides(pair: StatementPair) -> dict[str, object]:
    """The two claims of a pair: their ids, and their documents."""
    return {"ids": [pair.first.by, pair.second.by], "documents": [pair.first.where, pair.second.where]}


def _json(checked: CheckResult) -> str:
    content = {
        "about": checked.about,
        "claims": [_entry(checked, assessment) for assessment in checked.assessments],
        "summary": dict(summary(checked.assessments)),
        "plain_summary": {row.word: len(row.assessments) for row in verdict_rows(checked.assessments) if row.is_plain},
        "contradictions": [
            {**_sides(pair), "subjects": [pair.first.subject, pair.second.subject],
             "quantity": pair.quantity, "rule": pair.rule, "says": pair.describe(), "proof": list(prove(pair))}
            for pair in checked.conflicts
        ],
        "agreements": [
            {**_sides(pair), "quantity": pair.quantity, "says": pair.describe()}
            for pair in checked.agreements
        ],
        "differences": [
            {**_sides(pair), "quantity": pair.quantity, "says": pair.describe()}
            for pair in checked.differences
        ],
        "notes": [
            {**_sides(pair), "quantity": pair.quantity, "rule": pair.rule, "says": pair.describe()}
            for pair in checked.notes
        ],
    }  # fmt: skip
    return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)


def _csv(checked: CheckResult) -> str:
    return table_formats.csv(_CSV, (_csv_row(assessment, checked.about) for assessment in checked.assessments))


def _csv_row(assessment: Assessment, about: str) -> list[str | float | None]:
    claim, document = assessment.claim, assessment.document.document.id
    start = [document, claim.id, claim.kind, " ".join(subjects(claim)), claim.says, claim.quote or ""]
    words = [assessment.headline, *assessment.vector.values()]
    return [*start, *words, assessment.subject_match, " ".join(assessment.contradicts), about, assessment.plain]


def _markdown(checked: CheckResult) -> str:
    parts = [escape_markdown(checked.about), "# Claims", table_formats.markdown(verdicts(checked.assessments))]
    parts += ["## By system", table_formats.markdown(by_subject(checked.assessments))]
    if checked.conflicts:
        parts += ["## Contradictions between documents", table_formats.markdown(contradictions(checked))]
    if (systems := figures.systems(checked.runs)).rows:
        parts += [f"## {systems.title}", table_formats.markdown(systems)]
    for document in checked.documents:
        info = document.document
        parts.append(f"## Document {escape_markdown(info.id)}: {escape_markdown(info.title)}")
        parts += [_section(assessment) for assessment in of_document(checked, document)]
    return "\n\n".join(parts)


def _section(assessment: Assessment) -> str:
    claim = assessment.claim
    vector = ", ".join(f"{in_words(axis)}: {in_words(word)}" for axis, word in assessment.vector.items())
    match = in_words(assessment.subject_match)
    lines = [f"### {claim.id} {escape_markdown(claim.says)}", ""]
    lines += [f"> {escape_markdown(claim.quote)}", ""] if claim.quote else []
    lines += [f"**{_verdict(assessment)}** ({vector}; subject match: {match})", ""]
    lines += [f"Contradicts {', '.join(assessment.opponents)}.", ""] if assessment.opponents else []
    lines += [f"- {escape_markdown(line)}" for line in assessment.working]
    lines += ["", f"Note: {escape_markdown(claim.note)}"] if claim.note else []
    return "\n".join(lines).rstrip()


def _verdict(assessment: Assessment) -> str:
    """The plain word and the headline; one of them where they are the same."""
    return ": ".join(dict.fromkeys(map(in_words, (assessment.plain, assessment.headline))))


def _latex(checked: CheckResult) -> str:
    columns = ("claim", "says", "headline", *map(in_words, AXES))
    rows = tuple(
        (a.claim.id, a.claim.says, in_words(a.headline), *map(in_words, a.vector.values())) for a in checked.assessments
    )
    tables = [verdicts(checked.assessments), by_subject(checked.assessments)]
    tables += [contradictions(checked)] if checked.conflicts else []
    tables += [systems] if (systems := figures.systems(checked.runs)).rows else []
    tables.append(Table("Every claim", columns, "lllllll", rows))
    head = f"% {table_formats.escape_latex(checked.about)}\n% needs \\usepackage{{booktabs}}"
    return "\n\n".join([head, *table_formats.latex_tables(tables)])


def _text(checked: CheckResult) -> str:
    """The summary for the terminal."""
    counts = [verdicts(checked.assessments), by_subject(checked.assessments)]
    parts = [checked.about, *(table_formats.text(table) for table in counts)]
    if len(checked.documents) > 1:
        pairs = len(checked.conflicts)
        number = len(topics(checked.conflicts))
        parts.append(
            f"The documents contradict each other on {counted(number, 'topic')} ({counted(pairs, 'pair')} of claims)."
        )
    return "\n\n".join(parts)


FORMATS: Mapping[str, Callable[[CheckResult], str]] = {
    "json": _json, "csv": _csv, "md": _markdown, "tex": _latex, "text": _text,
}  # fmt: skip
"""The writer of each format, except the page."""
