"""What a column of a table of results holds: its unit, the quantity, the factor, the split."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from evals.errors import InputError
from evals.reports.claims.drafting.language.header_units import header_unit, printed_unit
from evals.reports.claims.drafting.language.lexicon import BENCHMARKS, METRICS
from evals.reports.claims.drafting.language.words import entries, joined, pattern
from evals.reports.claims.language.tables.printed_cells import PrintedCell, read_cell

_NO_VALUES = pattern("columns.no_values")
_CONDITIONS = pattern("columns.conditions")
_PARAMETERS = re.compile(
    r"(?<!\d-)(?<!zero-)\bparam(?:eter)?s?(?:_count|_m)?\b|#\s?params?|(?<![全缺超])参数(?:量|数|规模|大小|$|(?![\u4e00-\u9fff]))"
    r"|^\W*(?:model )?size\s?\([MB]\)",
    re.I,
)
_BY_WORDS: tuple[tuple[re.Pattern[str], str, str | None, str | None], ...] = tuple(
    (re.compile(joined(row["any"])), row["unit"], row.get("factor"), row.get("quantity"))
    for row in entries("column_units")
)
_OPEN_SCORES = pattern("columns.open_scores")
_PERCENT = pattern("columns.percent")
_PRECISION = re.compile(r"\W*(?:weight |activation )?precision\W*", re.I)
_BITS = frozenset((1, 2, 3, 4, 6, 8, 16, 32, 64))
"""Numbers under "Precision" that are widths of number formats, and no shares."""
_AVERAGE = re.compile(r"^\W*(?:avg\.?|average|mean|macro(?:[- ]avg)?|平均(?:分|值)?|均值|overall)\W*$", re.I)
_SPLIT = re.compile(r"\b(dev|val(?:idation)?|test)\b|(测试集|验证集)", re.I)


@dataclass(frozen=True, slots=True)
class ColumnMeaning:
    """What a column holds."""

    unit: str
    quantity: str | None = None
    times: float | None = None
    split: str | None = None
    better: str | None = None
    is_average: bool = False

    def keys(self) -> dict[str, Any]:
        """Return the keys of the column in a claims file."""
        keys: dict[str, Any] = {"unit": self.unit}
        if self.times:
            keys["times"] = self.times
        if self.split:
            keys["split"] = self.split
        if self.better:
            keys["better"] = self.better
        if self.is_average:
            keys["role"] = "average"
        return keys


def is_average(header: str) -> bool:
    """Whether a column holds averages of others."""
    return _AVERAGE.match(header) is not None


def is_condition(header: str) -> bool:
    """Whether a column holds the conditions of the others (batch size, shots), or a date, a rank or a link."""
    bare = re.sub(r"[\[((].*?[\]))]", " ", header)
    return _CONDITIONS.search(bare) is not None or _NO_VALUES.search(bare) is not None


def _is_setting(header: str, numbers: Sequence[PrintedCell], *, is_alone: bool) -> bool:
    """Whether a column holds conditions; tokens and shots with decimals are measured, and so are lengths alone."""
    is_measured = re.search(r"tokens|shot", header, re.I) is not None and any("." in cell.digits for cell in numbers)
    return is_condition(header) and not is_measured and not (is_alone and _LENGTH.search(header))


def column_meaning(
    header: str,
    cells: Sequence[str],
    caption: str,
    heading: str,
    *,
    is_alone: bool = False,
    unit_of_all: str = "",
) -> ColumnMeaning | None:
    """Tell what a column holds; None for words, dates and conditions.

    Args:
        header: its name.
        cells: its cells as printed.
        caption: the caption of the table.
        heading: the heading above it.
        is_alone: whether no other column holds values, so that the length of a sequence is what the table states.
        unit_of_all: "Unit: ms" of the table, if it prints that.

    Example:
        >>> column_meaning("Latency (ms)", ["3.1", "9.6"], "", ""), column_meaning("Released", ["2024"], "", "")
        (ColumnMeaning(unit='milliseconds', quantity=None, times=None, split=None, better=None, is_average=False), None)
    """
    printed = [_read(cell, header) for cell in cells]
    numbers = [cell for cell in printed if cell is not None and (cell.unit is None or printed_unit(cell.unit))]
    units = [cell for cell in numbers if cell.unit and printed_unit(cell.unit)]
    filled = [cell for cell in cells if not _is_empty(cell)]
    if not numbers or len(numbers) * 2 < len(filled) or (_is_setting(header, numbers, is_alone=is_alone) and not units):
        return None
    if _PRECISION.match(header) and all(_value(cell) in _BITS and not cell.unit for cell in numbers):
        return None
    split = _split(header, caption)
    average = is_average(header)
    is_size = _PARAMETERS.search(header) and not re.search(r"\b(?:with|without|missing)\b", header, re.I)
    if is_size and not any(cell.unit for cell in numbers):
        return ColumnMeaning("parameters", "parameters", _factor_of_parameters(header, numbers))
    if any(cell.count > 1 for cell in numbers):
        return _counts(header, numbers, split)
    if unit := _unit_in_cells(numbers):
        return ColumnMeaning(unit, None, split=split, is_average=average)
    named = header_unit(header)
    are_whole = not any("." in cell.digits for cell in numbers)
    for words, unit, factor, quantity in _BY_WORDS:
        if (
            words.search(header)
            and named in {None, unit}
            and (are_whole or unit != "items")
            and not _RATIO.search(header)
        ):
            times = float(factor) if factor else _header_factor(header, unit, numbers)
            return ColumnMeaning(unit, quantity, times, split)
    if named or (named := header_unit(unit_of_all) or _unit_by_words(unit_of_all)):
        return ColumnMeaning(named, None, split=split, is_average=average)
    if all("$" in cell for cell in filled):
        return ColumnMeaning("dollars", "price")
    return ColumnMeaning(
        _score_unit(header, numbers, f"{caption} {heading}"), None, None, split, _better(header, caption), average
    )


def _unit_by_words(words_of_all: str) -> str | None:
    """The rate that the words above a table name: "Decoding throughput (Token/sec)"."""
    return next(
        (unit for words, unit, *_ in _BY_WORDS if unit.endswith("-per-second") and words.search(words_of_all)), None
    )


def _factor_of_parameters(header: str, numbers: Sequence[PrintedCell]) -> float | None:
    """The factor of numbers of parameters: millions or billions where the cells print none."""
    largest = max(map(_value, numbers))
    if any(cell.count > 1 for cell in numbers) or largest > 10_000:
        return None
    return 1e6 if re.search(r"\bM\b|param_count|_m$", header) or largest > 2000 else 1e9


def _unit_in_cells(numbers: Sequence[PrintedCell]) -> str | None:
    """The unit that the cells print."""
    units = [unit for cell in numbers if cell.unit and (unit := printed_unit(cell.unit))]
    if not units:
        return None
    below = [other.unit for other in numbers if _value(other) < 0]
    bare = [_value(other) for other in numbers if not other.unit]
    is_of_shares = units[0] == "percent" and len(bare) * 2 > len(numbers) and max(map(abs, bare)) <= 1
    if is_of_shares or (units[0] in {"percent", "points"} and below and all(below)):
        return "number"  # shares such as 0.62 beside "16 %", or differences, which are no shares of a whole
    return units[0]


def with_units_of_averages(meanings: Sequence[ColumnMeaning | None]) -> list[ColumnMeaning | None]:
    """Give a column of averages the unit of the scores beside it, if they have one: averages of marks are marks."""
    scores = {m.unit for m in meanings if m and not m.is_average and m.unit in {"percent", "number"} and not m.quantity}
    if scores != {"number"}:
        return list(meanings)
    return [replace(m, unit="number") if m and m.is_average and m.unit == "percent" else m for m in meanings]


_FACTORS = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
_FACTOR = re.compile(
    r"[\[((]\s?(?:in\s)?(?P<letter>[KkMBT]|(?:thousand|million|billion|trillion)s?)\s?[\]))]", re.ASCII
)
"""The factor that a header gives the counts below it: "Samples (B)"."""
_COUNTED = frozenset(("tokens", "items", "images", "pairs", "documents", "sequences"))
_MOST_COUNTED = 10**15


def _header_factor(header: str, unit: str, numbers: Sequence[PrintedCell]) -> float | None:
    """The factor that a header gives counts; None if it gives none, or the cells are too large for it."""
    match = _FACTOR.search(header) if unit in _COUNTED else None
    factor = _FACTORS[match["letter"][0].lower()] if match else None
    return factor if factor and float(max(map(_value, numbers))) * factor < _MOST_COUNTED else None


def _counts(header: str, numbers: Sequence[PrintedCell], split: str | None) -> ColumnMeaning:
    """The meaning of a column of numbers such as `7B`, `650B tokens` or `32K`, by their unit, else by its header."""
    units = {printed_unit(cell.unit) for cell in numbers if cell.count > 1 and cell.unit} - {
        None,
        "times",
        "percent",
    }
    if len(units) == 1:
        return ColumnMeaning(str(units.pop()), None, split=split)
    if _LENGTH.search(header):
        return ColumnMeaning("tokens", None, split=split)
    if _DATA.search(header) and max(_value(cell) * cell.count for cell in numbers) >= _MANY:
        return ColumnMeaning("tokens", None, split=split)
    if (named := header_unit(header)) in {"hours", "days"}:
        return ColumnMeaning(str(named), None, split=split)
    for words, unit, factor, quantity in _BY_WORDS:
        if factor is None and unit in {"hours", "days", "documents"} and words.search(header):
            return ColumnMeaning(unit, quantity, split=split)
    if _OPERATIONS.search(header):
        return ColumnMeaning("operations", None, split=split)
    return ColumnMeaning("parameters" if _SIZE.search(header) else "number", None, split=split)


_DATA = re.compile(r"\b(?:pre-?)?(?:train(?:ing)?\s)?data\b|corpus", re.I)
_MANY = 10**9
"""From this count on, data are counted in tokens."""
_OPERATIONS = re.compile(r"(?<![A-Za-z])(?:FLOPs?|MACs?|MAdds)(?![A-Za-z/])", re.I)
_LENGTH = re.compile(r"length|context|window|token|长度|上下文|词元|数据", re.I)
_SIZE = re.compile(r"size|model|weights|\bpara|\bpram|backbone|参数|规模|大小", re.I)


_BYTES = re.compile(r"size|mem(?:ory)?\b|disk|storage|download|space|显存|内存|体积|大小", re.I)


def plain_cell(cell: str, header: str = "") -> str:
    """Return a cell without the marks around its number that the reader of cells does not know.

    Args:
        cell: the cell.
        header: the name of its column, which tells a G of bytes from one of operations.

    Example:
        >>> plain_cell("8.4G", "MACs"), plain_cell("295G", "Size")
        ('8.4B', '295GB')
        >>> plain_cell("x 1.96"), plain_cell("约30B Token"), plain_cell("$-3.4$")
        ('1.96×', '~30B Token', '-3.4')
    """
    text = re.sub(r"\$|\\,", "", " ".join(cell.split()))
    text = re.sub(r"(?<=\d)\s?[Bb](?:illio)n$", "B", re.sub(r"(?<=\d)\s?[Mm]illion$", "M", text))
    letter = "B" if _OPERATIONS.search(header) else "GB" if _BYTES.search(header) else "G"
    text = re.sub(r"^([\d.,]+)\s?G$", rf"\1{letter}", text)
    return re.sub(
        r"^[x×]\s?(?P<digits>\d[\d,]*(?:\.\d+)?)$", r"\g<digits>×", re.sub(r"^(?:约|大约|ca\.)\s?(?=\d)", "~", text)
    )


def _read(cell: str, header: str = "") -> PrintedCell | None:
    try:
        return read_cell(plain_cell(cell, header))
    except InputError:
        return None


def _is_empty(cell: str) -> bool:
    """Whether a cell prints nothing: blank, a dash, an asterisk, `N/A`."""
    try:
        return read_cell(plain_cell(cell)) is None
    except InputError:
        return False


def _value(cell: PrintedCell) -> Decimal:
    try:
        return Decimal(cell.digits)
    except InvalidOperation:
        return Decimal(0)


def _score_unit(header: str, numbers: Sequence[PrintedCell], around: str) -> str:
    """Percent for shares between 1 and 100, else a plain number."""
    largest = max(map(_value, numbers))
    if any(_value(cell) < 0 for cell in numbers) or largest > 100 or _OPEN_SCORES.search(header):
        return "number"
    if _COST.search(header) and not _PERCENT.search(header):
        return "number"
    if "↓" in header and not _ERRORS.search(header):
        return "number"
    known = any(words.pattern is not None and words.pattern.search(header) for words in (*BENCHMARKS, *METRICS))
    if not known and _OPEN_SCORES.search(around) and not _PERCENT.search(f"{header} {around}"):
        return "number"
    if _PERCENT.search(header) or _PERCENT.search(around):
        return "percent" if largest > 1 else "number"
    return "percent" if largest > 1 and (known or largest > 10 or _AVERAGE.match(header)) else "number"


_RATIO = re.compile(r"(?:accuracy|acc\.?|scores?|准确率|得分)\s*(?:/|per)?\s*(?:[KMGTP]?FLOPs?|param)", re.I)
"""A score for a cost: "Accuracy/GFLOPs"."""
_ERRORS = re.compile(r"\b[WCSP]?ER\b|error|错误率|字错率|词错率|hallucinat|fail|\brate\b", re.I)
"""What is a share although less of it is better."""
_COST = re.compile(
    r"\b(?:time|latency|memory|V?RAM|speed|throughput|cost|size|power|energy|duration|length|hours|minutes|seconds|steps|"
    r"epochs|count|number of|total|delay)\b(?!.*\b(?:accuracy|score|acc)\b)|时间|延迟|显存|内存|速度|耗时|功耗",
    re.I,
)
"""What is no share of a whole, so that its numbers without a unit are no percentages."""


def _better(header: str, caption: str) -> str | None:
    if "↑" in header or "↓" in header:
        return "higher" if "↑" in header else "lower"
    return (
        "lower"
        if re.search(
            r"word error|\bWER\b|\bCER\b|error rate|perplexity|lower is better|字错率|词错率|越低越好",
            f"{header} {caption}",
            re.I,
        )
        else None
    )


def _split(header: str, caption: str) -> str | None:
    match = _SPLIT.search(header) or _SPLIT.search(caption)
    if match is None:
        return None
    name = next(group for group in match.groups() if group).lower()
    return {"val": "dev", "validation": "dev", "测试集": "test", "验证集": "dev"}.get(name, name)
