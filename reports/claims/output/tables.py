"""What `check` found, as JSON, CSV, Markdown, LaTeX, and text for the terminal.

`claims.json` is for programs: `{"about": …, "claims": [{"id": "B-24", "headline": "internally_inconsistent",
"arithmetic": …, "cross_document": …, "public_record": …, "measurement": …, "subject_match": …, "contradicts": [ids],
"working": [lines], …}], "summary": {word: count}, "contradictions": […]}`. The others say the same for people.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from evals.errors import UnknownName
from evals.reports.claims.evidence.cross_document import StatementPair
from evals.reports.claims.language.schema import Claim
from evals.reports.claims.output import figures
from evals.reports.claims.verdicts import AXES, PRECEDENCE, Assessment, CheckResult
from evals.reports.rendering import table_formats
from evals.reports.rendering.table_formats import Table, escape_markdown

_CSV = ("document", "id", "kind", "subjects", "says", "quote", "headline", *AXES, "subject_match", "contradicts",
        "about")  # fmt: skip


def render(checked: CheckResult, format: str) -> str:
    """Write what was found in a format of `FORMATS`; the same findings give the same text."""
    if format not in FORMATS:
        raise UnknownName("format", format, FORMATS)
    return FORMATS[format](checked).rstrip("\n") + "\n"


def say(word: str) -> str:
    """A verdict as people read it."""
    return word.replace("_", " ")


def subjects(claim: Claim) -> list[str]:
    """Who a claim is about, each once."""
    return list(dict.fromkeys(claim.subject))


def summary(assessments: Sequence[Assessment]) -> list[tuple[str, int]]:
    """Count the headlines, the gravest first; those that came up."""
    counts = Counter(each.headline for each in assessments)
    return [(word, counts[word]) for word in PRECEDENCE if counts[word]]


def by_subject(assessments: Sequence[Assessment], least: int = 5) -> Table:
    """Count the headlines of each subject; those of few claims together, as others."""
    names = Counter(subject for each in assessments for subject in subjects(each.claim))
    frequent = [name for name in sorted(names, key=lambda name: (-names[name], name)) if names[name] >= least]
    columns = [*(frequent or names), *(["others"] if frequent and len(frequent) < len(names) else [])]

    def own(column: str) -> list[Assessment]:
        named = [each for each in assessments if column in subjects(each.claim)]
        rest = [each for each in assessments if not set(frequent) & set(subjects(each.claim))]
        return rest if column == "others" and column not in names else named

    rows = []
    for word, _ in summary(assessments):
        counts = [sum(each.headline == word for each in own(column)) for column in columns]
        rows.append((say(word), *(str(count) if count else "" for count in counts)))
    rows.append(("claims", *(str(len(own(column))) for column in columns)))
    return Table("By system", ("verdict", *columns), "l" + "r" * len(columns), tuple(rows))


def verdicts(assessments: Sequence[Assessment]) -> Table:
    """Count the headlines of each document."""
    names = list(dict.fromkeys(each.document.document.id for each in assessments))
    rows = []
    for word, total in summary(assessments):
        counts = [sum(a.headline == word and a.document.document.id == name for a in assessments) for name in names]
        rows.append((say(word), *(str(count) if count else "" for count in counts), str(total)))
    rows.append(("claims", *(str(sum(a.document.document.id == n for a in assessments)) for n in names),
                 str(len(assessments))))  # fmt: skip
    columns = ("verdict", *(f"document {name}" for name in names), "all")
    return Table("By verdict", columns, "l" + "r" * (len(names) + 1), tuple(rows))


def topics(conflicts: Sequence[StatementPair]) -> list[tuple[str, str, list[StatementPair]]]:
    """Group the contradictions between documents by what they are about: subject, quantity, pairs."""
    groups: dict[tuple[str, str], list[StatementPair]] = {}
    for pair in conflicts:
        who = list(dict.fromkeys((pair.first.subject, pair.second.subject)))
        groups.setdefault((" or ".join(who), pair.quantity), []).append(pair)
    return [(subject, quantity.replace("-", " "), group) for (subject, quantity), group in groups.items()]


def sides(checked: CheckResult) -> list[tuple[str, str, dict[str, list[tuple[str, str, str]]]]]:
    """List the topics on which documents disagree: subject, quantity, and by document who says what.

    A saying is a claim's id, its subject where the topic has two, and its value.
    """
    found = []
    for subject, quantity, group in topics(checked.conflicts):
        cells: dict[str, list[tuple[str, str, str]]] = {each.document.id: [] for each in checked.documents}
        for said in (said for pair in group for said in (pair.first, pair.second)):
            cell = (said.by, said.subject if " or " in subject else "", said.show())
            cells[said.where] += [cell] if cell not in cells[said.where] else []
        found.append((subject, quantity, cells))
    return found


def contradictions(checked: CheckResult) -> Table:
    """One row a topic on which documents disagree, a column a document: what each says, with the claims."""
    columns = ("about", *(f"document {each.document.id}" for each in checked.documents))
    rows = tuple(
        (f"{quantity} of {subject}", *("; ".join(_saying(*cell) for cell in side) for side in cells.values()))
        for subject, quantity, cells in sides(checked)
    )
    return Table("Contradictions between documents", columns, "l" * len(columns), rows)


def _saying(by: str, subject: str, shown: str) -> str:
    return f"{by} {shown}" + (f" ({subject})" if subject else "")


# Formats


def entry(each: Assessment) -> dict[str, object]:
    """One claim as `claims.json` has it."""
    return {
        "id": each.claim.id,
        "document": each.document.document.id,
        "headline": each.headline,
        **each.vector,
        "subject_match": each.subject_match,
        "contradicts": list(each.contradicts),
        "working": each.working,
        "says": each.claim.says,
        "quote": each.claim.quote,
        "printed": each.claim.printed,
        "unit": each.claim.unit,
        "inherits": each.inherits,
        "measured": [row.to_json() for row in each.measured],
    }


def _json(checked: CheckResult) -> str:
    found = {
        "about": checked.about,
        "claims": [entry(each) for each in checked.assessments],
        "summary": dict(summary(checked.assessments)),
        "contradictions": [
            {"ids": [pair.first.by, pair.second.by], "subjects": [pair.first.subject, pair.second.subject],
             "quantity": pair.quantity, "rule": pair.rule, "says": pair.describe()}
            for pair in checked.conflicts
        ],
        "agreements": [
            {"ids": [pair.first.by, pair.second.by], "quantity": pair.quantity, "says": pair.describe()}
            for pair in checked.agreements
        ],
    }  # fmt: skip
    return json.dumps(found, ensure_ascii=False, indent=1, allow_nan=False)


def _csv(checked: CheckResult) -> str:
    return table_formats.csv(_CSV, (_row(each, checked) for each in checked.assessments))


def _row(each: Assessment, checked: CheckResult) -> list[str | float | None]:
    claim = each.claim
    start = [each.document.document.id, claim.id, claim.kind, " ".join(subjects(claim)), claim.says, claim.quote or ""]
    return [*start, each.headline, *each.vector.values(), each.subject_match, " ".join(each.contradicts), checked.about]


def _markdown(checked: CheckResult) -> str:
    parts = [escape_markdown(checked.about), "# Claims", table_formats.markdown(verdicts(checked.assessments))]
    parts += ["## By system", table_formats.markdown(by_subject(checked.assessments))]
    if checked.conflicts:
        parts += ["## Contradictions between documents", table_formats.markdown(contradictions(checked))]
    if (variants := figures.variants(checked.runs)).rows:
        parts += [f"## {variants.title}", table_formats.markdown(variants)]
    for document in checked.documents:
        info = document.document
        parts.append(f"## Document {escape_markdown(info.id)}: {escape_markdown(info.title)}")
        parts += [_section(each) for each in checked.assessments if each.document is document]
    return "\n\n".join(parts)


def _section(each: Assessment) -> str:
    claim = each.claim
    vector = ", ".join(f"{say(axis)}: {say(word)}" for axis, word in each.vector.items())
    lines = [f"### {claim.id} {escape_markdown(claim.says)}", ""]
    lines += [f"> {escape_markdown(claim.quote)}", ""] if claim.quote else []
    lines += [f"**{say(each.headline)}** ({vector}; subject match: {say(each.subject_match)})", ""]
    lines += [f"Contradicts {', '.join(each.contradicts)}.", ""] if each.contradicts else []
    lines += [f"- {escape_markdown(line)}" for line in each.working]
    lines += ["", f"Note: {escape_markdown(claim.note)}"] if claim.note else []
    return "\n".join(lines).rstrip()


def _latex(checked: CheckResult) -> str:
    columns = ("claim", "says", "headline", *map(say, AXES))
    rows = tuple(
        (each.claim.id, each.claim.says, say(each.headline), *map(say, each.vector.values()))
        for each in checked.assessments
    )
    tables = [verdicts(checked.assessments), by_subject(checked.assessments)]
    tables += [contradictions(checked)] if checked.conflicts else []
    tables += [variants] if (variants := figures.variants(checked.runs)).rows else []
    tables.append(Table("Every claim", columns, "lllllll", rows))
    head = f"% {table_formats.escape_latex(checked.about)}\n% needs \\usepackage{{booktabs}}"
    return "\n\n".join([head, *(table_formats.latex(table) for table in tables)])


def _text(checked: CheckResult) -> str:
    """The summary for the terminal."""
    found = len(topics(checked.conflicts))
    parts = [
        checked.about,
        table_formats.text(verdicts(checked.assessments)),
        table_formats.text(by_subject(checked.assessments)),
    ]
    if len(checked.documents) > 1:
        parts.append(
            f"The documents contradict each other on {found} topics ({len(checked.conflicts)} pairs of claims)."
        )
    return "\n\n".join(parts)


FORMATS: Mapping[str, Callable[[CheckResult], str]] = {
    "json": _json, "csv": _csv, "md": _markdown, "tex": _latex, "text": _text,
}  # fmt: skip
"""What findings can be written as, apart from the page."""
