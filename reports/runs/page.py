"""Runs as one page: self-contained, without scripts, for a screen, a phone or paper.

The page needs nothing but itself: pictures are inside, the one style sheet is allowed by its hash, and the content
security policy forbids everything else. Whatever a model or a file wrote is escaped by the template engine, after
`visible` has taken its control characters and its length.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from evals.errors import InputError
from evals.records.folder import Record
from evals.reports.rendering import svg
from evals.reports.rendering.html import fill
from evals.reports.runs import view
from evals.reports.runs.naming import about, blind, title
from evals.reports.runs.worst_samples import WorstSample, describe_worst

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True)
class _Shown:
    """A worst sample with its picture."""

    case: WorstSample
    picture: Markup | None
    """As a `data:` address."""


def render(records: Sequence[Record]) -> str:
    """Write the page of one or several finished runs; the same records give the same page.

    Raises:
        InputError: when there is no run.
        RecordError: when a run is not finished.
    """
    if not records:
        raise InputError("a report needs at least one run: none came")
    several = len(records) > 1
    return fill(
        "run.html",
        ["report.css"],
        about=about(records),
        mini=any(record.manifest["task"]["scale"] == "mini" for record in records),
        title=f"Comparison of {len(records)} runs" if several else title(records[0]),
        comparison=view.comparison(records) if several else None,
        ratios=view.ratios(records) if several else None,
        joined=view.joined(records) if several and view.side_by_side(records) else None,
        runs=[_run(record) for record in records],
    )


def _run(record: Record) -> dict[str, Any]:
    """Gather what the template shows of a run."""
    sections = view.sections(record)
    return {
        "title": title(record),
        "about": about([record]),
        "blind": blind(record),
        "head": view.headline(record),
        "metrics": view.metrics(record),
        "n": record.finished()["n"],
        "counts": view.counts(record),
        "notes": view.notes(record),
        "sections": [(section, svg.scale([row.metric for row in section.rows])) for section in sections],
        "efficiency": view.efficiency(record),
        "made": view.made(record),
        "worst": [_Shown(case, _picture(record, case.id)) for case in describe_worst(record)],
    }


def _picture(record: Record, sample_id: str) -> Markup | None:
    data = record.picture(sample_id)
    return None if data is None else Markup(f"data:image/png;base64,{base64.b64encode(data).decode()}")
