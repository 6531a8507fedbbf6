"""Runs as one page: self-contained, without scripts, for a screen, a phone or paper.

The page needs nothing but itself: pictures are inside, the one style sheet is allowed by its hash, and the content
security policy forbids everything else. Whatever a model or a file wrote is escaped by the template engine, after
`visible` has taken its control characters and its length.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from evals.errors import InputError
from evals.records import Record
from reports import figures, layout
from reports.wording import about, amount, blind, interval, measured, title, visible
from reports.worst import Case, cases

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class _Shown:
    """A worst sample with its picture."""

    case: Case
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
        comparison=layout.comparison(records) if several else None,
        ratios=layout.ratios(records) if several else None,
        joined=layout.joined(records) if several and layout.side_by_side(records) else None,
        runs=[_run(record) for record in records],
    )


def fill(template: str, sheets: Sequence[str], **shown: Any) -> str:
    """Fill a template that extends `base.html`; only its own style sheets are allowed, by their hash."""
    css = "".join((_TEMPLATES / name).read_text(encoding="utf-8") for name in sheets)
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    sheet = Markup(css)  # ours, and checked by its hash
    return _environment().get_template(template).render(css=sheet, css_hash=digest, **shown)


def _run(record: Record) -> dict[str, Any]:
    """Gather what the template shows of a run."""
    sections = layout.sections(record)
    return {
        "title": title(record),
        "about": about([record]),
        "blind": blind(record),
        "head": layout.headline(record),
        "metrics": layout.metrics(record),
        "n": record.finished()["n"],
        "counts": layout.counts(record),
        "notes": layout.notes(record),
        "sections": [(section, figures.scale([row.metric for row in section.rows])) for section in sections],
        "efficiency": layout.efficiency(record),
        "made": layout.made(record),
        "worst": [_Shown(case, _picture(record, case.id)) for case in cases(record)],
    }


def _picture(record: Record, sample_id: str) -> Markup | None:
    data = record.picture(sample_id)
    return None if data is None else Markup(f"data:image/png;base64,{base64.b64encode(data).decode()}")


@cache
def _environment() -> Environment:
    """The template engine of all pages: escapes every text after making it visible, refuses unknown names."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    engine = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    engine.globals |= {"amount": amount, "interval": interval, "measured": measured, "visible": visible}
    engine.globals |= {"floors": layout.floors, "strip": figures.strip, "axis": figures.axis}
    return engine


def _finalize(value: object) -> object:
    """Make every text visible on its way into the page, except what this package drew itself."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
