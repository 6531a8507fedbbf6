"""Tables that an evaluation harness prints: in each row a task, its metric and its setting, and a value.

`Tasks | Version | Filter | n-shot | Metric | Value | Stderr` (lm-evaluation-harness) holds the values of one model,
which the table does not name; a task is printed once, and its further metrics and filters stand below it.
`dataset | version | metric | mode | MODEL …` (OpenCompass) has a column for each model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from evals.reports.claims.language.sources.articles import Block, Text

_TASK = re.compile(r"\W*(?:tasks?|groups?)\W*", re.I)
_SETTINGS = frozenset(("stderr", "n-shot", "version", "filter"))
_NO_FILTER = frozenset(("", "none", "n/a", "-"))


@dataclass(frozen=True, slots=True)
class HarnessTable:
    """The values of a printed table."""

    measures: tuple[str, ...]
    """For each value its task, metric, filter and shots: "gsm8k exact_match strict-match (5-shot)"."""
    models: tuple[Text, ...]
    """The models that the table names; an empty name for one that it does not name."""
    values: tuple[tuple[Text, ...], ...]
    """For each model its values."""


def is_harness_table(block: Block) -> bool:
    """Whether a table is one that a harness printed.

    Args:
        block: a block of kind `table`.
    """
    names = _header(block)
    return _is_one_run(names) or _is_of_models(names)


def _is_one_run(names: list[str]) -> bool:
    is_task = bool(names) and _TASK.fullmatch(names[0]) is not None
    return is_task and {"metric", "value"} <= {*names} and bool(_SETTINGS & {*names})


def _is_of_models(names: list[str]) -> bool:
    return names[:4] == ["dataset", "version", "metric", "mode"] and len(names) > 4


def harness_table(block: Block) -> HarnessTable:
    """Read a table for which `is_harness_table` is true.

    Args:
        block: the table.
    """
    names = _header(block)
    place = {name: n for n, name in reversed([*enumerate(names)])}
    is_one = _is_one_run(names)
    columns = [place["value"]] if is_one else [*range(4, len(names))]
    header = block.rows[0]
    models = tuple(header[n].part(0, 0) if is_one else header[n] for n in columns)
    measures, values = [], []
    task = ""
    for row in block.rows[max(1, block.headers) :]:
        cells = [cell.text.strip() for cell in row]
        task = re.sub(r"^[-–•·\s]+", "", cells[0]) or task
        words = [task, cells[place["metric"]].partition(",")[0]]
        if "filter" in place and cells[place["filter"]].lower() not in _NO_FILTER:
            words.append(cells[place["filter"]])
        if "n-shot" in place and re.fullmatch(r"\d{1,3}", cells[place["n-shot"]]):
            words.append(f"({cells[place['n-shot']]}-shot)")
        measures.append(" ".join([*filter(None, words), *(["↓"] if "↓" in cells else [])]))
        values.append(tuple(row[n] for n in columns))
    return HarnessTable(tuple(measures), models, tuple(zip(*values, strict=True)))


def _header(block: Block) -> list[str]:
    return [re.sub(r"\s+", " ", cell.text).strip().lower() for cell in block.rows[0]] if block.rows else []
