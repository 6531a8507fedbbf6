"""What `check` found, for continuous integration: JUnit XML with a test case a claim, and a job's summary.

A claim that something contradicts is a failure, as `check --strict` counts it; a run that failed is an error; a claim
that is supported, wholly or partly, passes; every other word is a skipped test case that says the word. Nothing is ever
passed because it was not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as Xml

from evals.reports.claims.language.schema import Document
from evals.reports.claims.output import tables
from evals.reports.claims.output.tables import say
from evals.reports.claims.verdicts import CONTRADICTED, SUPPORTED, Assessment, CheckResult
from evals.reports.rendering import table_formats
from evals.reports.rendering.formatting import visible
from evals.reports.rendering.table_formats import Table, escape_markdown

LIMIT = 1_000_000
"""Bytes that a job's summary may have; a step's whole summary is refused beyond 1 MiB."""
_TITLE = 120


def junit(checked: CheckResult) -> str:
    """Write JUnit XML: a suite a document, a case a claim, the working as its output.

    Returns:
        XML that begins with its declaration; the same findings give the same text.
    """
    suites = [(document, [a for a in checked.assessments if a.document is document]) for document in checked.documents]
    root = Xml.Element("testsuites", {"name": "claims", **_counts(checked.assessments)})
    for document, found in suites:
        root.append(_suite(document, found, checked.about))
    Xml.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def _suite(document: Document, found: Sequence[Assessment], about: str) -> Xml.Element:
    suite = Xml.Element("testsuite", {"name": _clean(f"document {document.document.id}"), **_counts(found)})
    properties = Xml.SubElement(suite, "properties")
    Xml.SubElement(properties, "property", name="title", value=_clean(document.document.title))
    Xml.SubElement(properties, "property", name="about", value=_clean(about))
    for each in found:
        suite.append(_case(each))
    return suite


def _case(each: Assessment) -> Xml.Element:
    claim, word = each.claim, each.headline
    name = f"{claim.id} {claim.says}"
    case = Xml.Element(
        "testcase", classname=_clean(f"{each.document.document.id}.{claim.kind}"), name=_clean(name), time="0"
    )
    kind = outcome(word)
    if kind != "passed":
        attributes = {"message": _clean(say(word))} | ({} if kind == "skipped" else {"type": word})
        result = Xml.SubElement(case, kind, attributes)
        result.text = _clean("\n".join(each.working)) if kind != "skipped" else None
    lines = [f"verdict: {say(word)}", *([f"quote: {claim.quote}"] if claim.quote else [])]
    lines += [] if kind in {"failure", "error"} else each.working  # which hold it themselves
    Xml.SubElement(case, "system-out").text = _clean("\n".join(lines))
    return case


def outcome(word: str) -> str:
    """Say what a headline is as the outcome of a test.

    Example:
        >>> outcome("refuted"), outcome("error"), outcome("supported"), outcome("unmeasured")
        ('failure', 'error', 'passed', 'skipped')
    """
    if word in CONTRADICTED:
        return "failure"
    if word == "error":
        return "error"
    return "passed" if word in SUPPORTED else "skipped"


def _counts(found: Sequence[Assessment]) -> dict[str, str]:
    kinds = [outcome(each.headline) for each in found]
    return {
        "tests": str(len(kinds)),
        "failures": str(kinds.count("failure")),
        "errors": str(kinds.count("error")),
        "skipped": str(kinds.count("skipped")),
        "time": "0",
    }


def _clean(text: str) -> str:
    r"""Show what XML cannot hold as escapes.

    Example:
        >>> _clean("a\x00b\x1b[31m")
        'a\\x00b\\x1b[31m'
    """
    return re.sub("[\ud800-\udfff\ufffe\uffff]", "\ufffd", visible(text, limit=100_000))


def job_summary(checked: CheckResult) -> str:
    """Write a summary of a job in GitHub's Markdown: the counts, what was measured, the contradictions, every claim.

    What would go beyond `LIMIT` bytes is left out from the end, and the summary says so.
    """
    measured = [each for each in checked.assessments if each.measured]
    parts = [escape_markdown(checked.about), "## Claims", table_formats.markdown(tables.verdicts(checked.assessments))]
    if measured:
        parts += ["### Measured", table_formats.markdown(_table(measured))]
    if checked.conflicts:
        parts += ["### Contradictions between documents", table_formats.markdown(tables.contradictions(checked))]
    for document in checked.documents:
        found = [each for each in checked.assessments if each.document is document]
        head = f"Every claim of document {escape_markdown(document.document.id)} ({len(found)})"
        parts.append(f"<details><summary>{head}</summary>\n\n{table_formats.markdown(_table(found))}\n\n</details>")
    return _fit(parts)


def _table(found: Sequence[Assessment]) -> Table:
    rows = tuple(
        (each.claim.id, visible(each.claim.says, _TITLE), say(each.headline), ", ".join(each.contradicts[:6]))
        for each in found
    )
    return Table("", ("claim", "says", "verdict", "against"), "llll", rows)


def _fit(parts: Sequence[str]) -> str:
    kept: list[str] = []
    for part in parts:
        if len("\n\n".join([*kept, part]).encode()) > LIMIT:
            kept.append("The rest is left out: a summary may not be longer. `claims.md` has it.")
            break
        kept.append(part)
    return "\n\n".join(kept) + "\n"
