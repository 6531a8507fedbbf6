"""Runs as one page: self-contained, without scripts, for a screen, a phone or paper.

The page needs no other file: images are embedded, the one style sheet is allowed by its hash, and the content security
policy forbids everything else. The template engine escapes all text of models and files, after `visible` has
replaced control characters and cut long texts.
"""

from __future__ import annotations

from collections.abc import Sequence

from evals.records.folder import Record
from evals.reports.rendering.html import fill
from evals.reports.runs.contents import ReportContents, gather


def render(records: Sequence[Record]) -> str:
    """Write the page of one or several finished runs; the same records give the same page.

    Raises:
        InputError: when there is no run.
        RecordError: when a run is not finished.
    """
    return html(gather(records, "page"))


def html(contents: ReportContents) -> str:
    """Write a report as a page."""
    return fill(
        "run.html", ["report.css"], about=contents.about, mini=contents.mini, title=contents.title, report=contents
    )
