"""Which way a table of results lies: whether its systems stand on the left, above, or nowhere in it.

Invariants, which tests/reports/claims/drafting/test_table_orientation.py shows by property:

- a further row, whatever words its label has, does not turn a table whose header has metrics or benchmarks;
- a label that says how a system was varied ("longer context", "w/o training") is no measure and turns no table;
- a majority of the rows that is not all of them turns a table, but its changes are held against nothing.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Literal

from evals.reports.claims.drafting.language.lexicon import is_measure
from evals.reports.claims.drafting.language.words import entries, pattern

TableForm = Literal[
    "systems in rows", "systems in columns", "settings in rows", "settings in columns", "properties", "words"
]
"""With settings in rows or columns the values are those of one system, which the corner or the text names."""
SYSTEMS = pattern("table_layout.systems")
MEASURES = pattern("table_layout.measures")
_PROPERTIES = pattern("table_layout.properties")
_DATA = re.compile(r"^\W*(?:data\s?sets?|corpus|corpora|data source|数据集|语料)", re.I)
_CONDITIONS = re.compile(r"^\W*(?:severity|corruptions?|degradation|languages?|conditions?|语言|语种)\W*$", re.I)
_COUNTS = re.compile(
    r"^\W*(?:#\s?)?(?:num(?:ber)? of )?(?:tokens|percentage|percent|share|proportion|ratio|weight|samples|examples|"
    r"documents|hours|size|epochs|sampling \w+|languages?|license|数据集?语言|语言|使用数据量|数据量|占比|比例|备注|"
    r"样本数|许可证?)\W*$",
    re.I,
)
_STAGE = re.compile(r"\W*(?:after |at )?\d[\d.,]*\s*[KMBT]?\s*(?:tokens|steps|iterations|iters|epochs)\W*", re.I)
_VARIATION = re.compile(
    r"^\W*(?:w/|with\b|using\b|no\b(?!\.)|ours\b|\+)|w/o\b|"
    r"\b(?:without|only|longer|shorter|larger|smaller|bigger|fewer|more|less|higher|lower|wider|deeper|double|half|"
    r"twice|reduced|extended|frozen|removed?|disabled?|full|ablat\w+|extra|additional|different|same)\b",
    re.I,
)
_NUMBER_FORMAT = re.compile(r"\b(?:FP|INT|BF)\d{1,2}\b", re.I)
_BRACKETS = re.compile(r"[\[((][^\[\]()()]*[\]))]")
_MODEL_LIKE = re.compile(r"[A-Z].*[A-Z\d]|\b[Oo]urs\b")
_CHANGE = re.compile(
    r"\W*(?:(?:relative|absolute|total|avg\.?|%|percent(?:age)?)\s)?(?:changes?|diff(?:erence)?s?|delta|Δ|improvements?|"
    r"gains?|speed-?ups?|increases?|decreases?|reductions?|savings?|变化|变化率|差异|差值|提升|提升幅度|降幅|增幅|加速比)"
    r"(?:\s?(?:\(.{1,12}\)|%))?\W*",
    re.I,
)
AT_RANK = re.compile(r"\s@\s?\d+\s*$")
"""The rank of a metric behind the name of a system: "OpenCLIP @ 1"."""
NO_SYSTEM = re.compile(r"\W*(?:#\s?)?(?:speakers|samples|examples|hours|tokens|size|count|n)\W*", re.I)
"""Headers of columns that count something beside columns of systems."""


def names_measure(label: str) -> bool:
    """Whether a row or column is named for a measure, and for no variation of a system.

    Example:
        >>> names_measure("Latency (ms)"), names_measure("arc_challenge"), names_measure("longer context")
        (True, True, False)
    """
    bare = _NUMBER_FORMAT.sub("", _BRACKETS.sub(" ", label)).strip()
    if not bare or _VARIATION.search(bare):
        return False
    return is_measure(bare) or _plain(bare) in _benchmarks()


def is_change_name(name: str) -> bool:
    """Whether the header of a column or row says that it holds changes.

    Example:
        >>> is_change_name("Change"), is_change_name("Δ (%)"), is_change_name("DeltaNet")
        (True, True, False)
    """
    return _CHANGE.fullmatch(" ".join(name.split())) is not None


@functools.cache
def _benchmarks() -> frozenset[str]:
    """The names of benchmarks in small letters and digits alone, as harnesses print them: `arc_challenge`."""
    return frozenset(
        _plain(name)
        for name in (*(row["name"] for row in entries("benchmarks")), *map(str, entries("other_benchmarks")))
        if len(_plain(name)) > 3
    )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def is_model_like(name: str) -> bool:
    """Whether a name may be that of a system: it has a capital and another capital or a digit, and is no measure.

    Example:
        >>> is_model_like("NC-Conv"), is_model_like("Clean"), is_model_like("Recall @ 1")
        (True, False, False)
    """
    return _MODEL_LIKE.search(AT_RANK.sub("", name)) is not None and not names_measure(name)


def table_form(corner: str, columns: Sequence[str], rows: Sequence[str]) -> TableForm:
    """Tell which way a table of numbers with several columns lies.

    Args:
        corner: what stands above the labels of the rows.
        columns: the headers beside the corner.
        rows: the labels of the rows.

    Example:
        >>> table_form("Configuration", ["Clean", "C10-C", "Δ"], ["Otter 2", "longer context"])
        'systems in rows'
    """
    if len(columns) > 1 and all(map(_STAGE.fullmatch, filter(str.strip, columns))) and any(map(str.strip, columns)):
        return "settings in columns"
    if _DATA.match(corner) and all(map(_COUNTS.match, columns)):
        return "systems in rows"
    values = [name for name in columns if name.strip() and not is_change_name(name)]
    above = sum(map(names_measure, values)) / max(1, len(values))
    labels = [name for name in rows if name.strip()]
    left = sum(map(names_measure, labels)) / max(1, len(labels))
    if SYSTEMS.match(corner):
        is_turned = len(rows) > 2 and all(map(is_measure, rows)) and not any(map(is_measure, columns))
        return "systems in columns" if is_turned else "systems in rows"
    if _CONDITIONS.match(corner):
        systems = [name for name in values if not NO_SYSTEM.fullmatch(name)]
        if systems and all(map(is_model_like, systems)):
            return "systems in columns"
    if MEASURES.match(corner):
        if _DATA.match(corner) and above == 1:
            return "settings in rows"
        return "systems in rows" if above >= _HALF and left < 1 else "systems in columns"
    if above > 0:
        return "systems in columns" if left == 1 and above < _HALF else "systems in rows"
    return "systems in columns" if left > _HALF else "systems in rows"


_HALF = 0.5


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
