r"""Read the tables of LaTeX: cells over several rows and columns, cells of several lines, notes below."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate, pairwise

from evals.reports.claims.drafting.language.words import pattern
from evals.reports.claims.drafting.readers.latex_text import ARGUMENT, clean
from evals.reports.claims.language.sources.articles import Block, Text, TextBuilder, plain

TABLE = pattern("latex.table")
_BRACES = ARGUMENT.replace("(", "(?:", 1)
_TABULAR = re.compile(r"\\(?P<edge>begin|end)\{(?:tabular[*x]?|tabularx|tabu|longtable)\}")
_INNER_ARGUMENTS = re.compile(rf"\s*(?:\[[^\]]*\])?(?:\s*{_BRACES}){{0,2}}")
_ROW_END = re.compile(r"\\\\(?:\s*\[[^\]]*\])?|\\tabularnewline")
_RULES = re.compile(
    r"(?:\s|\\(?:toprule|midrule|bottomrule|hline|Xhline\{[^}]*\}|cmidrule(?:\([^)]*\))?\{[^}]*\}|cline\{[^}]*\}"
    r"|specialrule\{[^}]*\}\{[^}]*\}\{[^}]*\}|addlinespace(?:\[[^\]]*\])?|rowcolor(?:\[[^\]]*\])?\{[^}]*\}))*"
)
_MULTICOLUMN = re.compile(r"\s*\\multicolumn\s*\{(\d+)\}")
_MULTIROW = re.compile(r"\s*\\multirow(?:\s*\[[^\]]*\])?\s*\{\s*(-?\d+)\s*\}")
_DECIMAL = re.compile(r"[-+−]?\d*\.\d+(?:\s?±.*)?")
_LONGEST_SPAN = 200


def without_inner_tables(text: Text) -> Text:
    r"""Print a `tabular` inside a cell as the words of the cell.

    Example:
        >>> source = r"\begin{tabular}{c}\begin{tabular}{@{}c@{}}A\\B\end{tabular} & C\end{tabular}"
        >>> without_inner_tables(plain(source)).text
        '\\begin{tabular}{c} A B  & C\\end{tabular}'
    """
    if text.text.count("\\begin{tab") < 2:
        return text
    depth, last, builder = 0, 0, TextBuilder()
    for match in _TABULAR.finditer(text.text):
        opens = match["edge"] == "begin"
        depth = max(0, depth + (1 if opens else -1))
        if depth + (not opens) < 2:
            continue
        _copy_line(builder, text, last, match.start(), is_inside=not opens)
        arguments = _INNER_ARGUMENTS.match(text.text, match.end()) if opens else None
        builder.put(" ", *text.span(*match.span()))
        last = arguments.end() if arguments else match.end()
    builder.copy(text, last, len(text.text))
    return builder.build()


def _copy_line(builder: TextBuilder, text: Text, start: int, end: int, *, is_inside: bool) -> None:
    """Copy a part; inside an inner table its ends of rows become spaces."""
    part = text.part(start, end)
    part = part.edited(_ROW_END, fill=" ") if is_inside and end > start else part
    builder.copy(part, 0, len(part.text))


def tables(text: Text) -> Iterator[Block]:
    """Yield the tables of a float, each with its caption."""
    caption = re.search(r"\\caption\*?\s*(?:\[[^\]]*\])?" + ARGUMENT, text.text)
    printed = clean(text.part(*caption.span(1))) if caption else plain("")
    for match in TABLE.finditer(text.text):
        body = text.part(*match.span("body"))
        arguments = re.match(rf"\s*(?:\[[^\]]*\])?(?:\s*{_BRACES}){{1,2}}", body.text)
        body = body.part(arguments.end(), len(body.text)) if arguments else body
        rows, headers = _rows(body)
        if len(rows) > 1 and len(rows[0]) > 1:
            yield Block("table", printed, rows=tuple(rows), headers=headers)
            printed = plain("")


def _rows(body: Text) -> tuple[list[tuple[Text, ...]], int]:
    rows: list[list[Text]] = []
    spans: list[tuple[int, int, int]] = []
    headers, last = 0, 0
    depth = _depths(body.text)
    cuts = [cut for cut in _ROW_END.finditer(body.text) if not depth[cut.start()]]
    for start, end in zip(
        [0, *(match.end() for match in cuts)], [*(match.start() for match in cuts), len(body.text)], strict=True
    ):
        line = body.part(start, end)
        rule = _RULES.match(line.text)
        if rule and re.search(r"midrule|hline|toprule", rule[0]) and rows and not headers:
            headers = len(rows)
        line = line.part(rule.end() if rule else 0, len(line.text))
        if not line.text.strip():
            continue
        cells, tall = _cells(line)
        spans += [(len(rows), column, height) for column, height in tall]
        rows.append(cells)
        last = max(last, len(cells))
    for row in rows:
        place = (row[0].starts[0],) * 2 if row[0].text else (0, 0)
        row += [Text(" ", place[:1], place[1:])] * (last - len(row))
    for row_number, column, height in spans:
        _fill(rows, row_number, column, height)
    return [tuple(row) for row in rows], min(max(headers, 1), max(1, len(rows) - 1), _first_values(rows))


def _first_values(rows: list[list[Text]]) -> int:
    """The number of rows before the first one below the top of values with decimals, which is no row of a header."""
    for number, row in enumerate(rows[1:], 1):
        filled = [cell.text.strip() for cell in row[1:] if cell.text.strip()]
        if sum(_DECIMAL.fullmatch(text) is not None for text in filled) * 2 > len(filled):
            return number
    return len(rows)


def _fill(rows: list[list[Text]], number: int, column: int, height: int) -> None:
    """Put a cell of words over several rows into each of them that leaves its column empty."""
    words = rows[number][column]
    if re.search(r"\d", words.text) and not re.search(r"[A-Za-z]", words.text):
        return
    others = range(number + 1, number + height) if height > 0 else range(number + height + 1, number)
    for other in others:
        if not (0 <= other < len(rows)) or rows[other][column].text.strip():
            continue
        rows[other][column] = words


def _depths(text: str) -> list[int]:
    """The number of braces that are open at each character."""
    steps = [(text[i] == "{") - (text[i] == "}") if i == 0 or text[i - 1] != "\\" else 0 for i in range(len(text))]
    return list(accumulate(steps, lambda depth, step: max(0, depth + step))) if steps else []


def _cells(line: Text) -> tuple[list[Text], list[tuple[int, int]]]:
    """The cells of a row, and of those over several rows the column and the number of rows."""
    depth = _depths(line.text)
    edges = [-1, *(match.start() for match in re.finditer(r"(?<!\\)&", line.text) if not depth[match.start()])]
    cells: list[Text] = []
    tall: list[tuple[int, int]] = []
    for first, last in pairwise([*edges, len(line.text)]):
        cell = line.part(first + 1, last)
        if match := _MULTIROW.match(cell.text):
            tall.append((len(cells), max(-_LONGEST_SPAN, min(int(match[1]), _LONGEST_SPAN))))
        wide = _MULTICOLUMN.match(cell.text)
        place = cell.starts[0] if cell.text else 0
        cleaned = clean(cell)
        cells.append(cleaned if cleaned.text else Text(" ", [place], [place]))
        cells += [Text(" ", [place], [place])] * (min(int(wide[1]), _LONGEST_SPAN) - 1 if wide else 0)
    return cells, tall
