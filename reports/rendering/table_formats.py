r"""Write one table as Markdown, LaTeX, CSV or text, with every cell escaped for that format.

    >>> table = Table("Accuracy", ("type", "value"), "lr", (("how|many", "61.2 %"),))
    >>> print(markdown(table))
    | type | value |
    | :--- | ---: |
    | how\|many | 61.2 % |

Cells are printed text; only `csv` takes numbers, and writes all their digits.
"""

from __future__ import annotations

import csv as _csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evals.reports.rendering.formatting import MISSING, one_line, visible

_MARKDOWN = {ord(c): f"\\{c}" for c in "\\`*_[]<>|~$&#!"} | {ord("\n"): " ↵ ", ord("\t"): " "}
_LATEX = {ord(c): f"\\{c}" for c in "&%$#_{}"} | {
    ord("\\"): r"\textbackslash{}",
    ord("~"): r"\textasciitilde{}",
    ord("^"): r"\textasciicircum{}",
    ord("<"): r"\textless{}",
    ord(">"): r"\textgreater{}",
    ord("|"): r"\textbar{}",
    ord("["): "{[}",  # a row that began with one of these would be an argument of the line break before it
    ord("*"): "{*}",
    ord(MISSING): "--",
    ord("\n"): " ",
    ord("\t"): " ",
}
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # a spreadsheet reads the wide ones too


@dataclass(frozen=True, slots=True)
class Table:
    """A table of printed cells."""

    title: str
    """What it shows."""
    columns: tuple[str, ...]
    """The headers."""
    align: str
    """`l` or `r` for each column."""
    rows: tuple[tuple[str, ...], ...]
    """Rows with one cell per column."""


def markdown(table: Table) -> str:
    """Write a GitHub table, without its title."""
    rule = tuple(":---" if side == "l" else "---:" for side in table.align)
    body = (tuple(escape_markdown(cell) for cell in row) for row in (table.columns, *table.rows))
    head, *rows = body
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def escape_markdown(text: str) -> str:
    r"""Escape every character that Markdown or HTML would interpret, and return one line.

    Example:
        >>> print(escape_markdown("a|b `c`\n<script>"))
        a\|b \`c\` ↵ \<script\>
    """
    return visible(text).translate(_MARKDOWN)


def latex(table: Table, label: str) -> str:
    r"""Write a centred `booktabs` table with its title as caption, and the label under which a text refers to it."""
    lines = [" & ".join(escape_latex(cell) for cell in row) + r" \\" for row in (table.columns, *table.rows)]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape_latex(table.title)}}}",
            rf"\label{{{label}}}",
            rf"\begin{{tabular}}{{{table.align}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


def latex_tables(tables: Sequence[Table]) -> list[str]:
    r"""Write tables of one document; each has a label of its own, made of the first sentence of its title.

    Example:
        >>> table = Table("vl on vqa: Metrics. Mini scale", ("metric",), "l", ())
        >>> [text.splitlines()[3] for text in latex_tables([table, table])]
        ['\\label{tab:vl-on-vqa-metrics-1}', '\\label{tab:vl-on-vqa-metrics-2}']
    """
    labels = [re.sub("[^a-z0-9]+", "-", table.title.split(". ")[0].lower()).strip("-") for table in tables]
    return [
        latex(table, f"tab:{label}" if labels.count(label) == 1 else f"tab:{label}-{number}")
        for number, (table, label) in enumerate(zip(tables, labels, strict=True), start=1)
    ]


def escape_latex(text: str) -> str:
    r"""Escape every character that LaTeX would interpret.

    Example:
        >>> print(escape_latex("50 % of $x_1"))
        50 \% of \$x\_1
    """
    return visible(text).translate(_LATEX)


def csv(columns: Sequence[str], rows: Iterable[Sequence[str | float | None]]) -> str:
    """Write comma-separated values: numbers with all digits, None as empty, no text that a spreadsheet would compute.

    Example:
        >>> print(csv(("metric", "value"), [("=1+1", -0.1)]), end="")
        metric,value
        '=1+1,-0.1
    """
    stream = io.StringIO()
    writer = _csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_inert(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return stream.getvalue()


def _inert(text: str) -> str:
    return inert(visible(text))


def inert(text: str) -> str:
    """Prefix text that a spreadsheet would take for a formula.

    Example:
        >>> inert("=1+1"), inert("1+1")
        ("'=1+1", '1+1')
    """
    return f"'{text}" if text.startswith(_FORMULA) else text


def text(table: Table, width: int = 100) -> str:
    """Align a table for a terminal; columns that do not fit follow below, after the first column again.

    Example:
        >>> print(text(Table("", ("type", "value"), "lr", (("number", "61.2 %"), ("所有", "7.0 %")))))
        type     value
        number  61.2 %
        所有     7.0 %
    """
    rows = [tuple(one_line(cell, width) for cell in row) for row in (table.columns, *table.rows)]
    widths = [max(cells(row[column]) for row in rows) for column in range(len(table.columns))]
    return "\n\n".join(
        "\n".join("  ".join(_pad(row[c], widths[c], table.align[c]) for c in block).rstrip() for row in rows)
        for block in _blocks(widths, width)
    )


def _blocks(widths: Sequence[int], width: int) -> list[list[int]]:
    """Divide the columns into blocks that fit the width, all with the first column."""
    blocks, used = [[0]], widths[0]
    for column in range(1, len(widths)):
        if used + 2 + widths[column] > width and len(blocks[-1]) > 1:
            blocks.append([0])
            used = widths[0]
        blocks[-1].append(column)
        used += 2 + widths[column]
    return blocks


def cells(text: str) -> int:
    """Count the terminal cells that a text takes: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 or c in "\u200c\u200d" for c in text)


def _pad(text: str, width: int, side: str) -> str:
    space = " " * (width - cells(text))
    return text + space if side == "l" else space + text
