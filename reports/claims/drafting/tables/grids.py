"""The values of a table of results with its systems in rows, whichever way the table is printed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from evals.reports.claims.drafting.tables.columns import is_condition
from evals.reports.claims.drafting.tables.layout import Layout, is_number
from evals.reports.claims.drafting.tables.orientation import AT_RANK, NO_SYSTEM, is_change_name
from evals.reports.claims.language.sources.articles import Text

_FOOTNOTE = re.compile(r"\s*(?:\[\d{1,2}\]|[†‡*§¶]+)\s*$")


@dataclass(frozen=True, slots=True)
class SystemGrid:
    """A table with its systems in rows."""

    names: tuple[Text, ...]
    headers: tuple[str, ...]
    cells: tuple[tuple[Text, ...], ...]
    groups: tuple[str, ...] = ()
    """For each row its task or its setting, where a system has several rows."""
    is_nameless: bool = False
    """Whether the rows are settings of one system, which the table does not name."""
    corner: str = ""
    """What stands above the first column, where that may be the name of the one system."""


def grid_of(form: Layout) -> SystemGrid:
    """Return the values of a table of results, turned where its systems stand above.

    Args:
        form: a table whose form is neither words nor properties.
    """
    width = len(form.header)
    body = [row for row in form.body if len(row) == width]
    if form.form == "settings in columns":
        return _stages_grid(form, body)
    if form.form == "settings in rows":
        return _settings_grid(form.header, body, 1)
    if form.form == "systems in rows":
        kept = [n for n, row in enumerate(body) if not is_change_name(row[0].text)]
        groups = tuple(form.groups[n] for n in kept) if len(form.groups) == len(body) else ()
        body = [body[n] for n in kept]
        if settings := _count_settings(form.header, body):
            return _settings_grid(form.header, body, settings)
        return SystemGrid(
            tuple(row[0] for row in body),
            tuple(_name(cell.text) for cell in form.header[1:]),
            tuple(row[1:] for row in body),
            groups,
        )
    systems = systems_above(form)
    columns = tuple(tuple(row[n] for row in body) for n in systems)
    shots = next((n for n in range(1, width) if _SHOTS.fullmatch(form.header[n].text.strip())), None)
    measures = [_name(row[0].text) + _shots(row, shots) for row in body]
    ranks = [match[0].strip() if (match := AT_RANK.search(form.header[n].text)) else "" for n in systems]
    groups = tuple(ranks) if all(ranks) and len({*ranks}) > 1 else ()
    return SystemGrid(tuple(form.header[n] for n in systems), tuple(measures), columns, groups)


def _stages_grid(form: Layout, body: Sequence[tuple[Text, ...]]) -> SystemGrid:
    """The values of one system at several stages of its training, which stand above: `250B tokens | 500B tokens`."""
    stages = [n for n in range(1, len(form.header)) if form.header[n].text.strip()]
    return SystemGrid(
        tuple(form.header[n].part(0, 0) for n in stages),
        tuple(_name(row[0].text) for row in body),
        tuple(tuple(row[n] for row in body) for n in stages),
        tuple(" ".join(form.header[n].text.split()) for n in stages),
        is_nameless=True,
        corner=form.corner,
    )


def _count_settings(header: tuple[Text, ...], body: Sequence[tuple[Text, ...]]) -> int:
    """The number of leading columns that are settings with numbers: `batch | tp | throughput`."""
    count = 0
    while (
        count < len(header) - 1 and is_condition(header[count].text) and all(is_number(row[count].text) for row in body)
    ):
        count += 1
    return count


def _settings_grid(header: tuple[Text, ...], body: Sequence[tuple[Text, ...]], count: int) -> SystemGrid:
    """The values of one system in several settings, which tell the rows apart."""
    names = [cell.text.strip() for cell in header[:count]]
    groups = [
        ", ".join(f"{name} {cell.text.strip()}" for name, cell in zip(names, row[:count], strict=True)) for row in body
    ]
    if len({*groups}) < len(groups):
        groups = [f"{group} ({number})" for number, group in enumerate(groups, 1)]
    return SystemGrid(
        tuple(row[0].part(0, 0) for row in body),
        tuple(_name(cell.text) for cell in header[count:]),
        tuple(row[count:] for row in body),
        tuple(groups),
        is_nameless=True,
    )


_SHOTS = re.compile(r"\W*(?:(?:n|k|num(?:ber)? of)[ -])?(?:few-?)?shots?\W*", re.I)


def _shots(row: tuple[Text, ...], column: int | None) -> str:
    """The number of shots of a row whose table has a column of them, as headers print it: " (5-shot)"."""
    if column is None or "shot" in row[0].text or not re.fullmatch(r"\d{1,3}", row[column].text.strip()):
        return ""
    return f" ({row[column].text.strip()}-shot)"


def systems_above(form: Layout) -> list[int]:
    """The columns that are systems, where rows are measures: neither conditions nor changes."""
    headers = [cell.text for cell in form.header]
    return [n for n in range(1, len(headers)) if _may_be_system(headers[n])]


def _may_be_system(header: str) -> bool:
    return not (is_condition(header) or is_change_name(header) or NO_SYSTEM.fullmatch(header))


def _name(text: str) -> str:
    return _FOOTNOTE.sub("", " ".join(text.split())).strip() or "column"
