"""Write the result of a check for continuous integration: JUnit XML with one test case per claim, and a job summary.

A convicted claim (`CONVICTIONS` of `evals.reports.claims.verdicts`) is a failure, as in `check --strict`; a failed run
is an error; a claim that is supported, wholly or partly, passes. Every other claim is a skipped test case whose message
is the verdict: a claim that was not tested does not pass.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as Xml

from evals.reports.claims.language.schema import Document
from evals.reports.claims.output import tables
from evals.reports.claims.output.tables import in_words
from evals.reports.claims.verdicts import CONVICTIONS, SUPPORTED, Assessment, CheckResult
from evals.reports.rendering import table_formats
from evals.reports.rendering.formatting import visible
from evals.reports.rendering.table_formats import Table, escape_markdown

LIMIT = 1_000_000
"""Maximum size of a job summary in bytes; GitHub rejects a step's summary above 1 MiB."""
_TITLE_LENGTH = 120
"""Characters of a claim in the summary's table."""
_MOST_CONTRADICTIONS = 6
"""Contradicted claims that a row of the summary's table lists."""


def junit(checked: CheckResult) -> str:
    """Write JUnit XML: a test suite per document, a test case per claim, with the working as its output.

    Returns:
        XML with its declaration; equal results give equal text.
    """
    root = Xml.Element("testsuites", {"name": "claims", **_counts(checked.assessments)})
    for document in checked.documents:
        root.append(_suite(document, tables.of_document(checked, document), checked.about))
    Xml.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def _suite(document: Document, assessments: Sequence[Assessment], about: str) -> Xml.Element:
    name = _clean(f"document {document.document.id}")
    suite = Xml.Element("testsuite", {"name": name, **_counts(assessments)})
    properties = Xml.SubElement(suite, "properties")
    Xml.SubElement(properties, "property", name="title", value=_clean(document.document.title))
    Xml.SubElement(properties, "property", name="about", value=_clean(about))
    for assessment in assessments:
        suite.append(_case(assessment))
    return suite


def _case(assessment: Assessment) -> Xml.Element:
    claim, word = assessment.claim, assessment.headline
    case = Xml.Element(
        "testcase",
        classname=_clean(f"{assessment.document.document.id}.{claim.kind}"),
        name=_clean(f"{claim.id} {claim.says}"),
        time="0",
    )
    outcome = case_outcome(word)
    if outcome != "passed":
        attributes = {"message": _clean(in_words(word))} | ({} if outcome == "skipped" else {"type": word})
        element = Xml.SubElement(case, outcome, attributes)
        element.text = _clean("\n".join(assessment.working)) if outcome != "skipped" else None
    lines = [f"verdict: {in_words(word)}", *([f"quote: {claim.quote}"] if claim.quote else [])]
    lines += [] if outcome in {"failure", "error"} else assessment.working  # those two elements contain it
    Xml.SubElement(case, "system-out").text = _clean("\n".join(lines))
    return case


def case_outcome(word: str) -> str:
    """Translate a headline to the outcome of a test case.

    Example:
        >>> case_outcome("refuted"), case_outcome("error"), case_outcome("supported"), case_outcome("unmeasured")
        ('failure', 'error', 'passed', 'skipped')
    """
    if word in CONVICTIONS:
        return "failure"
    if word == "error":
        return "error"
    return "passed" if word in SUPPORTED else "skipped"


def _counts(assessments: Sequence[Assessment]) -> dict[str, str]:
    outcomes = [case_outcome(assessment.headline) for assessment in assessments]
    return {
        "tests": str(len(outcomes)),
        "failures": str(outcomes.count("failure")),
        "errors": str(outcomes.count("error")),
        "skipped": str(outcomes.count("skipped")),
        "time": "0",
    }


def _clean(text: str) -> str:
    r"""Escape the characters that XML cannot contain.

    Example:
        >>> _clean("a\x00b\x1b[31m")
        'a\\x00b\\x1b[31m'
    """
    return re.sub("[\ud800-\udfff\ufffe\uffff]", "\ufffd", visible(text, limit=100_000))


def job_summary(checked: CheckResult) -> str:
    """Write the summary of a GitHub job in Markdown: counts, measured claims, contradictions, every claim.

    Text that exceeds `LIMIT` bytes is cut from the end, and the summary says so.
    """
    measured = [assessment for assessment in checked.assessments if assessment.measured]
    counts = table_formats.markdown(tables.verdicts(checked.assessments))
    parts = [escape_markdown(checked.about), "## Claims", counts]
    if measured:
        parts += ["### Measured", table_formats.markdown(_table(measured))]
    if checked.conflicts:
        parts += ["### Contradictions between documents", table_formats.markdown(tables.contradictions(checked))]
    for document in checked.documents:
        assessments = tables.of_document(checked, document)
        head = f"Every claim of document {escape_markdown(document.document.id)} ({len(assessments)})"
        rows = table_formats.markdown(_table(assessments))
        parts.append(f"<details><summary>{head}</summary>\n\n{rows}\n\n</details>")
    return _fit(parts)


def _table(assessments: Sequence[Assessment]) -> Table:
    rows = tuple(
        (
            assessment.claim.id,
            visible(assessment.claim.says, _TITLE_LENGTH),
            in_words(assessment.headline),
            ", ".join(assessment.opponents[:_MOST_CONTRADICTIONS]),
        )
        for assessment in assessments
    )
    return Table("", ("claim", "says", "verdict", "against"), "llll", rows)


def _fit(parts: Sequence[str]) -> str:
    included: list[str] = []
    for part in parts:
        if len("\n\n".join([*included, part]).encode()) > LIMIT:
            included.append("The rest is left out: a summary may not be longer. `claims.md` has it.")
            break
        included.append(part)
    return "\n\n".join(included) + "\n"
