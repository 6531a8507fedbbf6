"""The values of a table of results with its systems in rows, whichever way the table is printed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evals.reports.claims.drafting.tables.columns import is_condition
from evals.reports.claims.drafting.tables.headers import is_blank, is_number
from evals.reports.claims.drafting.tables.labels import AT_RANK, is_change_name, names_measure
from evals.reports.claims.drafting.tables.layout import Layout
from evals.reports.claims.drafting.tables.orientation import NO_SYSTEM
from evals.reports.claims.language.sources.articles import Text

_FOOTNOTE = re.compile(r"\s*(?:\[\d{1,2}\]|[†‡*§¶]+)\s*$")


@dataclass(frozen=True, slots=True)
class SystemGrid:
    """A table with its systems in rows."""

    names: tuple[Text, ...]
    headers: tuple[str, ...]
    cells: tuple[tuple[Text, ...], ...]
    groups: tuple[str, ...] = ()
    """For each row its task or its setting, where a system has several rows; else empty."""
    is_nameless: bool = False
    """Whether the rows are settings of one system, which the table does not name."""
    corner: str = ""
    """What stands above the first column, where that may be the name of the one system."""

    def of(self, subject: str | None) -> SystemGrid:
        """Return the grid; one without names keeps the labels of its rows for them if no other subject is known."""
        return self if subject or not self.is_nameless else replace(self, is_nameless=False, groups=())


def grid_of(form: Layout) -> SystemGrid:
    """Return the values of a table of results, turned where its systems stand above.

    Args:
        form: a table whose form is neither words nor properties.
    """
    width = len(form.header)
    body = [row for row in form.body if len(row) == width]
    if form.form == "settings in columns":
        return _stages_grid(form, body)
    settings = _settings(form.header, body)
    if form.form == "settings in rows":
        return _settings_grid(form, body, [0, *(n for n in settings if n)])
    if form.form == "systems in rows":
        kept = [n for n, row in enumerate(body) if not is_change_name(row[0].text)]
        groups = tuple(form.groups[n] for n in kept) if len(form.groups) == len(body) else ()
        body = [body[n] for n in kept]
        if 0 in settings:
            return _settings_grid(form, body, settings)
        kept = [n for n in range(1, width) if n not in settings or is_condition(form.header[n].text)]
        return SystemGrid(
            tuple(row[0] for row in body),
            tuple(_name(form.header[n].text) for n in kept),
            tuple(tuple(row[n] for n in kept) for row in body),
            groups or _differences(form.header, body, settings),
        )
    systems = systems_above(form)
    columns = tuple(tuple(row[n] for row in body) for n in systems)
    shots = next((n for n in range(1, width) if _SHOTS.fullmatch(form.header[n].text.strip())), None)
    measures = [_name(row[0].text) + _shots(row, shots) for row in body]
    ranks = [match[0].strip() if (match := AT_RANK.search(form.header[n].text)) else "" for n in systems]
    groups = tuple(ranks) if all(ranks) and len({*ranks}) > 1 else ()
    return SystemGrid(tuple(form.header[n] for n in systems), tuple(measures), columns, groups)


def _stages_grid(form: Layout, body: Sequence[tuple[Text, ...]]) -> SystemGrid:
    """The values of one system in several settings, which stand above: `250B tokens | 500B tokens`."""
    stages = [n for n in range(1, len(form.header)) if form.header[n].text.strip()]
    return SystemGrid(
        tuple(form.header[n] for n in stages),
        tuple(_name(row[0].text) for row in body),
        tuple(tuple(row[n] for row in body) for n in stages),
        tuple(" ".join(form.header[n].text.split()) for n in stages),
        is_nameless=True,
        corner=form.corner,
    )


def _settings(header: tuple[Text, ...], body: Sequence[tuple[Text, ...]]) -> list[int]:
    """The columns that say under what the others were measured: `batch | tp | throughput`, or powers of two alone."""
    columns = [[row[n].text.strip() for row in body] for n in range(len(header))]
    are_measured = any("." in cell and is_number(cell) for column in columns for cell in column)
    return [
        n
        for n, cells in enumerate(columns)
        if (is_condition(header[n].text) and all(map(_BARE.fullmatch, cells)))
        or (n and are_measured and not names_measure(header[n].text) and _are_powers(cells))
    ]


_BARE = re.compile(r"\d[\d,.]*[kKM]?")
"""A number without a unit."""


def _are_powers(cells: Sequence[str]) -> bool:
    """Whether cells are powers of two, as sizes of batches and lengths are."""
    filled = [cell for cell in cells if not is_blank(cell)]
    whole = [int(cell) for cell in filled if re.fullmatch(r"\d{1,9}", cell)]
    return len(filled) > 1 and len(whole) == len(filled) and all(n and not n & (n - 1) for n in whole)


def _differences(
    header: tuple[Text, ...], body: Sequence[tuple[Text, ...]], settings: Sequence[int]
) -> tuple[str, ...]:
    """For each row what tells it apart from others of the same name: its settings, and the words beside its name."""
    names = [row[0].text.strip() for row in body]
    if len({*names}) == len(names):
        return ()
    columns = [
        n
        for n in range(1, len(header))
        if n in settings or all(_is_word(row[n].text) for row in body if row[n].text.strip())
    ]
    columns = [n for n in columns if len({row[n].text for row in body}) > 1]
    groups = [
        ", ".join(f"{header[n].text.strip()} {row[n].text.strip()}" for n in columns if row[n].text.strip())
        if names.count(row[0].text.strip()) > 1
        else ""
        for row in body
    ]
    pairs = list(zip(names, groups, strict=True))
    if not columns or len({*pairs}) < len(pairs):
        return ()
    return tuple(groups)


def _is_word(text: str) -> bool:
    return len(text) < _LONGEST_SETTING and not is_number(text)


_LONGEST_SETTING = 40


def _settings_grid(form: Layout, body: Sequence[tuple[Text, ...]], settings: Sequence[int]) -> SystemGrid:
    """The values of one system in several settings, which tell the rows apart."""
    columns = [n for n in range(len(form.header)) if n not in settings]
    groups = [
        ", ".join(f"{form.header[n].text.strip()} {row[n].text.strip()}".strip() for n in settings) for row in body
    ]
    if len({*groups}) < len(groups):
        groups = [f"{group} ({number})" for number, group in enumerate(groups, 1)]
    return SystemGrid(
        tuple(row[0] for row in body),
        tuple(_name(form.header[n].text) for n in columns),
        tuple(tuple(row[n] for n in columns) for row in body),
        tuple(groups),
        is_nameless=True,
        corner=form.corner,
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
