"""Which way a table of results lies: whether its systems stand on the left, above, or nowhere in it.

All evidence is weighed at once: what the label in the corner announces, what the labels of the rows and of the columns
may name (`labels.weight`, of which the middle one counts, so that no single label decides), names that the text has
elsewhere, variants of one name, a sum among the labels, and whether the values are of one kind in each column or in
each row (`formats.lean`).

Invariants, which tests/reports/claims/drafting/test_table_orientation.py shows by property:

- a further row, whatever words its label has, does not turn a table whose header has metrics or benchmarks;
- a label that says how a system was varied ("longer context", "w/o training") is no measure and turns no table;
- a majority of the rows that is not all of them turns a table, but its changes are held against nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import median
from typing import Literal

from evals.reports.claims.drafting.language.lexicon import is_measure
from evals.reports.claims.drafting.language.words import pattern
from evals.reports.claims.drafting.tables.formats import lean
from evals.reports.claims.drafting.tables.labels import (
    have_one_stem,
    is_aggregate,
    is_change_name,
    is_known,
    is_model_like,
    is_setting,
    names_measure,
    weight,
)

TableForm = Literal[
    "systems in rows", "systems in columns", "settings in rows", "settings in columns", "properties", "words"
]
"""With settings in rows or columns the values are those of one system, which the corner or the text names."""
SYSTEMS = pattern("table_layout.systems")
MEASURES = pattern("table_layout.measures")
_PROPERTIES = pattern("table_layout.properties")
_DATA = re.compile(
    r"^\W*(?:(?:training|evaluation|test|train|dev)\s)?"
    r"(?:data\s?sets?|(?:sub)?sets?\b|splits?\b|corpus|corpora|data source|数据集|语料)",
    re.I,
)
_CONDITIONS = re.compile(
    r"^\W*(?:severity|corruptions?|degradation|languages?|conditions?|hardware|devices?|gpus?|platforms?|precision|语言|语种|硬件|设备)\W*$",
    re.I,
)
_COUNTS = re.compile(
    r"^\W*(?:#\s?)?(?:num(?:ber)? of )?(?:tokens|percentage|percent|share|proportion|ratio|weight|samples|examples|"
    r"documents|hours|size|epochs|sampling \w+|languages?|license|数据集?语言|语言|使用数据量|数据量|占比|比例|备注|"
    r"样本数|许可证?)\W*$",
    re.I,
)
_STAGE = re.compile(r"\W*(?:after |at )?\d[\d.,]*\s*[KMBT]?\s*(?:tokens|steps|iterations|iters|epochs)\W*", re.I)
NO_SYSTEM = re.compile(r"\W*(?:#\s?)?(?:speakers|samples|examples|hours|tokens|size|count|n)\W*", re.I)
"""Headers of columns that count something beside columns of systems."""
_HALF = 0.5
_LEFT = 0.5
"""How much more usual it is that systems stand on the left."""
_CORNER, _STEM, _SUM = 2.0, 1.0, 1.5


def table_form(
    corner: str,
    columns: Sequence[str],
    rows: Sequence[str],
    cells: Sequence[Sequence[str]] = (),
    known: frozenset[str] = frozenset(),
) -> TableForm:
    """Tell which way a table of numbers with several columns lies.

    Args:
        corner: what stands above the labels of the rows.
        columns: the headers beside the corner.
        rows: the labels of the rows.
        cells: the cells of each row beside its label.
        known: names of systems that the text has, in small letters and digits.

    Example:
        >>> table_form("Configuration", ["Clean", "C10-C", "Δ"], ["Otter 2", "longer context"])
        'systems in rows'
        >>> table_form("Model", ["B16B_2", "L16L"], ["Size", "Latency"], [["474 MB", "2.4 GB"], ["10 ms", "12 ms"]])
        'systems in columns'
    """
    if len(columns) > 1 and all(map(_STAGE.fullmatch, filter(str.strip, columns))) and any(map(str.strip, columns)):
        return "settings in columns"
    counts = [name for name in columns if _COUNTS.match(name)]
    if _DATA.match(corner) and counts and not any(map(names_measure, {*columns} - {*counts})):
        return "systems in rows"
    values = [name for name in columns if name.strip() and not is_change_name(name) and not NO_SYSTEM.fullmatch(name)]
    labels = [name for name in rows if name.strip()]
    if labels and values and all(map(names_measure, [*labels, *values])) and not SYSTEMS.match(corner):
        return "settings in rows"  # benchmarks and their metrics
    if _measures_stand_above(corner, values, labels, lean(cells), known):
        return "settings in rows" if _are_settings(labels, corner, known) else "systems in rows"
    if not _are_settings(values, "", known):
        return "systems in columns"
    if sum(map(names_measure, labels)) * 2 >= len(labels):
        return "settings in columns"
    return "systems in rows" if any(map(is_aggregate, labels)) else "settings in rows"  # parts and their sum


def is_of_data(corner: str) -> bool:
    """Whether the corner says that the labels below it are sets of data, which are no systems.

    Example:
        >>> is_of_data("Training Subsets"), is_of_data("Setup")
        (True, False)
    """
    return _DATA.match(corner) is not None


def _measures_stand_above(
    corner: str, values: Sequence[str], labels: Sequence[str], formats: float, known: frozenset[str]
) -> bool:
    """Whether the columns are what is measured, and the rows of what, by all evidence."""
    above = sum(map(names_measure, values))
    is_left = bool(labels) and all(map(names_measure, labels))
    if above and not is_left and not MEASURES.match(corner):
        return True  # headers are chosen with care, labels of rows are loose
    if is_left and not above and values and len(labels) > 1 and not SYSTEMS.match(corner):
        return False
    return _side(labels, known) - _side(values, known) + _announced(corner) + formats + _LEFT >= 0


def _announced(corner: str) -> float:
    """What the corner says of the labels below it."""
    if SYSTEMS.match(corner):
        return _CORNER
    return -_CORNER if MEASURES.match(corner) else -_CORNER / 2 if _CONDITIONS.match(corner) else 0.0


def _side(labels: Sequence[str], known: frozenset[str]) -> float:
    """How far the labels of one side speak for systems."""
    if not labels:
        return 0.0
    weights = [weight(label, known) for label in labels]
    is_summed = any(map(is_aggregate, labels)) and max(weights) <= 0
    return median(weights) + _STEM * have_one_stem(labels) - _SUM * is_summed


def _are_settings(labels: Sequence[str], corner: str, known: frozenset[str]) -> bool:
    """Whether the labels that measures stand beside are settings or parts of one system, which has another name."""
    if not labels or any(is_known(label, known) for label in labels) or SYSTEMS.match(corner):
        return False
    if _DATA.match(corner):
        return True
    is_named = any(is_model_like(label) and not is_setting(label) and weight(label) > _HALF for label in labels)
    is_of_parts = any(map(is_aggregate, labels)) or sum(map(is_setting, labels)) * 2 > len(labels)
    return is_of_parts and not is_named


def is_certain_turn(corner: str, columns: Sequence[str], rows: Sequence[str]) -> bool:
    """Whether it is certain that the columns are systems, so that a change beside two of them is one between them.

    The corner says that the rows are measures, or each of them is one; and no column is.

    Example:
        >>> is_certain_turn("Metric", ["Before", "After"], ["Accuracy"]), is_certain_turn("", ["A", "B"], ["F1", "x"])
        (True, False)
    """
    labels = [name for name in rows if name.strip()]
    is_declared = MEASURES.match(corner) is not None and not SYSTEMS.match(corner)
    is_shown = bool(labels) and all(map(names_measure, labels))
    return (is_declared or is_shown) and not any(map(names_measure, columns))


def is_table_of_properties(corner: str, column: str, rows: Sequence[str]) -> bool:
    """Whether a table with one column of values lists the properties of one system."""
    if SYSTEMS.match(corner) or not (
        not is_measure(column) or _PROPERTIES.match(corner) or column.lower() in {"score", "value", "accuracy"}
    ):
        return False
    measures = sum(is_measure(row) or _DIMENSION.search(row) is not None for row in rows)
    return bool(_PROPERTIES.match(corner) or MEASURES.match(corner) or measures * 2 >= len(rows))


_DIMENSION = re.compile(r"\bnumber of|\bdimension|\blength|\bvocab|\bheads\b|\bexperts\b|数量|维度|词表|长度", re.I)
