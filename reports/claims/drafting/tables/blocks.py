"""Turn the tables of an article into `table` blocks, and the words in their cells into statements."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from evals.errors import InputError
from evals.reports.claims.drafting.language import settings
from evals.reports.claims.drafting.language.header_units import printed_unit
from evals.reports.claims.drafting.language.words import pattern
from evals.reports.claims.drafting.proposals import Proposal, TableProposal
from evals.reports.claims.drafting.tables.cells import cell_statements, statements_of_cells, subject_of
from evals.reports.claims.drafting.tables.changes import changes_beside
from evals.reports.claims.drafting.tables.columns import (
    ColumnMeaning,
    column_meaning,
    is_condition,
    plain_cell,
    with_units_of_averages,
)
from evals.reports.claims.drafting.tables.grids import SystemGrid, grid_of, systems_above
from evals.reports.claims.drafting.tables.harness import harness_table, is_harness_table
from evals.reports.claims.drafting.tables.labels import is_change_name, names_measure
from evals.reports.claims.drafting.tables.layout import Layout, bare_name, layout
from evals.reports.claims.drafting.tables.orientation import is_certain_turn
from evals.reports.claims.drafting.tables.pairs import parts
from evals.reports.claims.drafting.text.names import Names
from evals.reports.claims.drafting.text.statements import Surroundings
from evals.reports.claims.language.facts import Vocabulary
from evals.reports.claims.language.files import vocabulary_units
from evals.reports.claims.language.sources.articles import Article, Block, Text
from evals.reports.claims.language.tables.printed_cells import read_cell

_BOLD_MEANS_BEST = re.compile(r"bold|best|加粗|粗体|最[佳优好]", re.I)
_UNIT_OF_ALL = re.compile(r"\bunits?\s?[::]\s?\S+|单位\s?[::]\s?\S+", re.I)
_BOLD = pattern("tables.bold")
_WORDS_AFTER = re.compile(r"(?<=\d)\s+[A-Za-z][A-Za-z ]*$")
"""Words after a value whose unit the column has: "1.5x faster"."""


def read_table(
    article: Article, block: Block, names: Names, place: Surroundings, vocabulary: Vocabulary
) -> Iterator[TableProposal | Proposal]:
    """Yield the block of a table of results, and the statements of cells that hold words.

    Args:
        article: the article.
        block: a block of kind `table`.
        names: the systems of the article.
        place: the heading above, and its subject.
        vocabulary: the units that cells may name.
    """
    if is_harness_table(block):
        printed = harness_table(block)
        grid = SystemGrid(printed.models, printed.measures, printed.values)
        yield from _read_grid(article, block, grid, names, place=place, vocabulary=vocabulary)
        return
    form = layout(block, names.stated)
    if form.form in {"words", "properties"}:
        yield from statements_of_cells(article, form, names, place)
        return
    yield from _changes(article, form, names)
    yield from _read_grid(article, block, _split(grid_of(form)), names, place=place, vocabulary=vocabulary)


def _read_grid(
    article: Article, block: Block, grid: SystemGrid, names: Names, *, place: Surroundings, vocabulary: Vocabulary
) -> Iterator[TableProposal | Proposal]:
    """Yield the block of a table of results, and the statements of its columns of words."""
    caption = " ".join(block.text.text.split()) or place.lead
    corner = block.rows[0][0].text + " " + block.rows[min(1, len(block.rows) - 1)][0].text
    columns = [(header, [row[n].text for row in grid.cells]) for n, header in enumerate(grid.headers)]
    unit = next((match[0] for text in (corner, *grid.headers, caption) if (match := _UNIT_OF_ALL.search(text))), "")
    if not unit and not any(map(names_measure, grid.headers)):
        unit = place.heading  # no column says what it measures: hardware, sizes of batches
    meanings = [column_meaning(*column, caption, place.heading, unit_of_all=unit) for column in columns]
    if not any(meanings):
        meanings = [column_meaning(*column, caption, place.heading, is_alone=True) for column in columns]
    meanings = with_units_of_averages(meanings)
    kept = [n for n, meaning in enumerate(meanings) if meaning is not None]
    nameless = (grid.corner and subject_of(grid.corner, names)) or _subject(place, names)
    grid = grid.of(nameless)
    if kept and (
        table := _table(
            article,
            grid,
            kept,
            meanings,
            caption,
            heading=place.heading,
            names=names,
            vocabulary=vocabulary,
            nameless=nameless,
        )
    ):
        yield table
    for n, header in enumerate(grid.headers):
        if n in kept or is_condition(header):
            continue
        for number, row in enumerate(grid.cells):
            subject = subject_of(grid.names[number].text, names)
            yield from cell_statements(article, row[n], header, subject, names)


def _subject(place: Surroundings, names: Names) -> str | None:
    """The system that a table without names of systems is of."""
    return place.run_subject or place.label_subject or place.heading_subject or place.text_subject or names.main


def _changes(article: Article, form: Layout, names: Names) -> Iterator[Proposal]:
    """Yield the changes that stand beside two systems: "Before | After | Change"."""
    systems = systems_above(form) if form.form == "systems in columns" else []
    changes = [n for n in range(1, len(form.header)) if is_change_name(form.header[n].text)]
    if len(systems) != 2 or len(changes) != 1 or changes[0] < systems[1]:
        return
    if not is_certain_turn(form.corner, [form.header[n].text for n in systems], [row[0].text for row in form.body]):
        return
    body = [row for row in form.body if len(row) == len(form.header)]
    cells = [(row[0], row[changes[0]]) for row in body]
    yield from changes_beside(article, cells, [tuple(row[n] for row in body) for n in systems], names)


def _split(grid: SystemGrid) -> SystemGrid:
    """Make two columns of one that prints two values in each cell."""
    columns = [(header, [row[n] for row in grid.cells]) for n, header in enumerate(grid.headers)]
    parted = [part for header, cells in columns for part in parts(header, cells)]
    rows = tuple(tuple(cells[n] for _, cells in parted) for n in range(len(grid.names)))
    return replace(grid, headers=tuple(header for header, _ in parted), cells=rows)


def _table(
    article: Article,
    grid: SystemGrid,
    kept: Sequence[int],
    meanings: Sequence[ColumnMeaning | None],
    caption: str,
    *,
    heading: str,
    names: Names,
    vocabulary: Vocabulary,
    nameless: str | None,
) -> TableProposal | None:
    """Build the block of a table of results; None if no cell has a number. A lone row without a name is `nameless`."""
    headers = _distinct([grid.headers[n] for n in kept])
    columns: list[dict[str, Any]] = []
    for header, n in zip(headers, kept, strict=True):
        meaning = meanings[n]
        assert meaning is not None
        columns.append({"name": header, **meaning.keys()})
    rows: list[dict[str, Any]] = []
    group = ""
    bare_names = [bare_name(text.text) or "row" for text in grid.names]
    row_names = bare_names if grid.groups else _distinct(bare_names)
    for number, name in enumerate(grid.names):
        cells, spans = [], []
        for n, column in zip(kept, columns, strict=True):
            text, span = _cell(article, grid.cells[number][n], vocabulary, column)
            cells.append(text)
            spans.append(span)
        if not any(spans):
            group = bare_name(name.text) if not any(cell.text.strip() for cell in grid.cells[number]) else group
            continue
        is_lone = grid.is_nameless or (not name.text.strip() and len(grid.names) == 1)
        row: dict[str, Any] = {"name": names.names.get(nameless or "", "row") if is_lone else row_names[number]}
        subject = nameless if is_lone else subject_of(name.text, names)
        if subject:
            row["subject"] = subject
        if grid.groups and grid.groups[number]:
            key = "setting" if grid.is_nameless else "task"
            row |= {"group": grid.groups[number], "protocol": {key: grid.groups[number]}}
        elif group:
            row["group"] = group
        first = next(span for span in spans if span)
        row["rest"] = "" if is_lone else name.text.replace(names.names.get(subject or "", ""), " ")
        rows.append({**row, "line": article.line(first[0]), "cells": cells, "spans": spans})
    _leave_out_counts(columns, rows)
    rows = [row for row in rows if any(row["spans"])]
    if not rows:
        return None
    settings.mark(columns, rows, texts=(caption, heading))
    places = [span for row in rows for span in row["spans"] if span]
    bold = "best" if _BOLD_MEANS_BEST.search(caption) else "none"
    return TableProposal(
        caption,
        article.line(places[0][0]),
        (min(places)[0], max(places)[1]),
        columns,
        rows,
        bold=bold,
        grounds=["a table whose cells are numbers"],
    )


def _leave_out_counts(columns: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> None:
    """Leave out plain numbers above 100 in a column of percentages that print their sign: they count something."""
    for n, column in enumerate(columns):
        if column["unit"] != "percent" or not any("%" in row["cells"][n] for row in rows):
            continue
        for row in rows:
            digits = re.sub(r"[^\d.]", "", row["cells"][n])
            if "%" not in row["cells"][n] and re.fullmatch(r"\d+(?:\.\d+)?", digits) and float(digits) > 100:
                row["cells"][n], row["spans"][n] = "-", None


def _distinct(names: list[str]) -> list[str]:
    """Give names that occur twice a number."""
    result: list[str] = []
    for name in names:
        number, candidate = 2, name
        while candidate in result:
            candidate, number = f"{name} {number}", number + 1
        result.append(candidate)
    return result


def _cell(
    article: Article, cell: Text, vocabulary: Vocabulary, column: dict[str, Any]
) -> tuple[str, tuple[int, int] | None]:
    """Return a cell as printed, with the place of its number; `-` where it prints none."""
    text = re.sub(
        r"^(?:US)?[$€£¥]\s?", "", re.sub(r"~(?=\S)(?!\d)", "", plain_cell(cell.text, str(column["name"])))
    ).strip()
    text = re.sub(r"\s*(?:±|\\pm|\+/-)\s*", " ± ", text)
    try:
        printed = read_cell(text)
    except InputError:
        return "-", None
    if printed is None or (printed.total is not None and printed.value > printed.total):
        return "-", None
    units = vocabulary_units()
    named = printed_unit(printed.unit) if printed.unit and printed.unit not in vocabulary.units else None
    if printed.unit and named and named != column["unit"]:  # KB below MB: kB
        text = text.replace(printed.unit, units[named].symbol, 1)
        printed = replace(printed, unit=units[named].symbol)
    is_foreign = printed.unit is not None and (
        printed.unit not in vocabulary.units or units[printed.unit].dimension != units[column["unit"]].dimension
    )
    is_of_other_kind = is_foreign and printed.unit in vocabulary.units and column["unit"] not in {"percent", "number"}
    if is_of_other_kind or (printed.value < 0 and (is_foreign or _is_never_negative(vocabulary, column))):
        return "-", None  # a change, or a value in another unit than the header says
    if is_foreign:
        text = _WORDS_AFTER.sub("", re.sub(re.escape(printed.unit or ""), "", text)).strip()
    digits = re.search(r"\d(?:[\d,]|['’](?=\d{3}))*(?:\.\d+)?|\.\d+", cell.text)
    assert digits is not None
    span = cell.span(*digits.span())
    if _BOLD.search(article.source[max(0, span[0] - 24) : span[0]]):
        text = f"**{text}**"
    return text, span


def _is_never_negative(vocabulary: Vocabulary, column: dict[str, Any]) -> bool:
    """Whether values of a column are times, sizes or shares, so that one below zero is read wrong."""
    unit = str(column["unit"])
    return unit != "number" and not re.search(r"dollar|euro|yuan|pound", unit) and unit in vocabulary.units
