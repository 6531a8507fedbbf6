"""Tell what a table of an article is: results with systems in rows or columns, properties of one system, or words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from evals.errors import InputError
from evals.reports.claims.drafting.language.lexicon import is_benchmark, is_measure
from evals.reports.claims.drafting.tables.columns import is_pair
from evals.reports.claims.drafting.tables.harness import harness_table, is_harness_table
from evals.reports.claims.drafting.tables.orientation import (
    AT_RANK,
    MEASURES,
    NO_SYSTEM,
    SYSTEMS,
    TableForm,
    is_model_like,
    is_table_of_properties,
    table_form,
)
from evals.reports.claims.language.sources.articles import Block, Text, TextBuilder
from evals.reports.claims.language.tables.printed_cells import read_cell

_FOOTNOTE = re.compile(
    r"\s*(?:\[\d+(?:,\s?\d+)*\]|(?:[†‡§¶↑↓]|\*(?![\d*]*\d)|(?<!\d)\*)+|"
    r"[\[((](?:ours|baseline|this work|本文|我们|model ?scope|hugging ?face|hf|"
    r"git ?hub|wise ?model|link|paper|download|model|weights|ckpt|checkpoint|code|demo|card|config|log)"
    r"(?:,\s?(?:checkpoint|config|log|model|weights|paper|code))*[\]))])\s*",
    re.I,
)
_SIZE = re.compile(r"[~≈]?\d+(?:\.\d+)?[BMbm](?:-A\d+B)?|\d+[x×*✕]\d+B")
_RANK = re.compile(r"\W*(?:#|no\.?|nr\.?|rank|index|排名|序号|编号)?\W*", re.I)
_METRIC_TAIL = re.compile(r"[\s_-]*(?:的)?(?:准确率|得分|分数|精度|accuracy|score|acc\.?)(?:\s?\(.*?\))?$", re.I)


@dataclass(frozen=True, slots=True)
class Layout:
    """What a table is."""

    form: TableForm
    header: tuple[Text, ...]
    """The header; several rows of it are joined."""
    body: tuple[tuple[Text, ...], ...]
    corner: str
    """What stands above the first column."""
    groups: tuple[str, ...] = ()
    """For each row the task or group that stands beside its system; empty if each system has one row."""


def layout(block: Block) -> Layout:
    """Tell what a table is.

    Args:
        block: a block of kind `table`.
    """
    header = _joined_header(block)
    body = tuple(row for row in block.rows[block.headers :] if any(cell.text.strip() for cell in row))
    if len(body) > 1 and len(body[0]) == len(header) and _goes_on(body[0]):
        header, body = tuple(map(_below, header, body[0])), body[1:]
    header, body = _without_ranks(*_with_a_label(header, body))
    body, groups = _with_groups(header, body)
    header, body = _with_one_label(header, body)
    body = _with_parents(_with_sizes(header, body))
    corner = header[0].text.strip() if header else ""
    inner = [cell.text for row in body for cell in row[1:] if cell.text.strip()]
    numeric = sum(is_number(text) or is_pair(text.strip()) for text in inner)
    values = numeric + sum(is_blank(text) for text in inner)
    if not inner or numeric == 0 or (numeric * 2 < len(inner) and values * 2 < len(inner) + 1):
        form: TableForm = "words"
        if len(header) == 2 and inner and any(re.search(r"\d", text) for text in inner):
            form = "properties"
        return Layout(form, header, body, corner)
    return Layout(_form(header, body, corner), header, body, corner, groups if len(groups) == len(body) else ())


def _with_a_label(
    header: tuple[Text, ...], body: tuple[tuple[Text, ...], ...]
) -> tuple[tuple[Text, ...], tuple[tuple[Text, ...], ...]]:
    """Put an empty column before a table whose first column is a benchmark with its scores."""
    first = [row[0].text for row in body if row]
    is_score = is_benchmark(header[0].text.strip()) or (len(body) == 1 and all(is_number(c.text) for c in body[0]))
    if len(header) < 2 or not first or not is_score or not all(map(is_number, first)):
        return header, body
    return (header[0].part(0, 0), *header), tuple((row[0].part(0, 0), *row) for row in body)


def _goes_on(row: tuple[Text, ...]) -> bool:
    """Whether a first row goes on with the header: it names no system and has no number."""
    words = [cell.text for cell in row[1:] if cell.text.strip()]
    is_full = len(words) == len(row) - 1 > 1 and not any(map(is_blank, words))
    return not row[0].text.strip() and is_full and not any(map(is_number, words))


def _below(top: Text, low: Text) -> Text:
    """Join a header with what stands below it."""
    if not low.text.strip() or not top.text.strip():
        return low if low.text.strip() else top
    below = f"({low.text.strip()})" if "shot" in low.text else low.text.strip()
    name = f"{top.text.strip()} {below}"
    return Text(name, [top.starts[0]] * len(name), [low.ends[-1]] * len(name))


def _without_ranks(
    header: tuple[Text, ...], body: tuple[tuple[Text, ...], ...]
) -> tuple[tuple[Text, ...], tuple[tuple[Text, ...], ...]]:
    """Leave out a first column that numbers the rows."""
    first = [row[0].text.strip() for row in body if row]
    whole = [text for text in first if re.fullmatch(r"\d{1,4}[.)]?", text)]
    if len(header) < 3 or not _RANK.fullmatch(header[0].text) or len(whole) * 2 < len(first) or not whole:
        return header, body
    if any(re.search(r"[A-Za-z\u4e00-\u9fff]", row[1].text) for row in body if len(row) > 1):
        return header[1:], tuple(row[1:] for row in body)
    return header, body


def _with_one_label(
    header: tuple[Text, ...], body: tuple[tuple[Text, ...], ...]
) -> tuple[tuple[Text, ...], tuple[tuple[Text, ...], ...]]:
    """Leave of several leading columns of words the one that names the rows: of a benchmark, not of its category."""
    width, labels = len(header), _count_labels(header, body)
    if labels < 2:
        return header, body
    different = [len({row[n].text.strip() for row in body if len(row) > n} - {""}) for n in range(labels)]
    systems = [n for n in range(labels) if SYSTEMS.match(header[n].text)]
    names = systems or [n for n in range(labels) if MEASURES.match(header[n].text)]
    distinct = [n for n in range(labels) if different[n] == len(body)]
    label = max(names, key=lambda n: (different[n], -n)) if names else (distinct or [0])[-1]
    if label == 0:
        return header, body if names or distinct else _with_measures(body)
    kept = [label, *range(labels, width)]
    return tuple(header[n] for n in kept), tuple(tuple(row[n] for n in kept) for row in body if len(row) == width)


def _with_groups(
    header: tuple[Text, ...], body: tuple[tuple[Text, ...], ...]
) -> tuple[tuple[tuple[Text, ...], ...], tuple[str, ...]]:
    """Repeat the names of systems that have several rows, and return what tells these apart: their task.

    Both are printed once for the rows below: `Task | Framework | Minutes`, with an empty cell under a task.
    """
    labels = _count_labels(header, body)
    systems = [n for n in range(labels) if SYSTEMS.match(header[n].text)]
    if labels < 2 or len(systems) != 1 or any(len(row) != len(header) for row in body):
        return body, ()
    system = systems[0]
    other = system - 1 if system else 1
    named = [(_above(body, number, system), _above(body, number, other)) for number in range(len(body))]
    keys = [(name.text.strip(), group.text.strip()) for name, group in named]
    names = [name for name, _ in keys]
    if len({*names}) == len(names) or len({*keys}) < len(keys) or not all(map(all, keys)):
        return body, ()
    filled = tuple((*row[:system], name, *row[system + 1 :]) for row, (name, _) in zip(body, named, strict=True))
    return filled, tuple(group for _, group in keys)


def _above(body: tuple[tuple[Text, ...], ...], row: int, column: int) -> Text:
    """The cell of a column in a row, or the last one above it that is not empty."""
    return next((body[n][column] for n in range(row, -1, -1) if body[n][column].text.strip()), body[row][column])


def _count_labels(header: tuple[Text, ...], body: tuple[tuple[Text, ...], ...]) -> int:
    """The number of leading columns that name the rows."""
    labels = 0
    while labels < len(header) - 1 and _is_label(
        header[labels], [row[labels].text for row in body if len(row) > labels]
    ):
        labels += 1
    return labels


def _with_measures(body: tuple[tuple[Text, ...], ...]) -> tuple[tuple[Text, ...], ...]:
    """Give rows of several measures of one system both names: `Otter 2 | accuracy`, below it ` | latency`."""
    named, system = [], None
    for row in body:
        system = row[0] if row[0].text.strip() else system
        named.append((row[0] if system is None else _joined(system, row[1]), *row[1:]))
    return tuple(named)


def _is_label(header: Text, cells: list[str]) -> bool:
    """Whether a column names the rows: words, or under `Model` sizes alone."""
    if SYSTEMS.match(header.text) and all(_SIZE.fullmatch(cell.strip()) for cell in cells if cell.strip()):
        return True
    return not any(map(is_number, cells)) and not any(map(_VALUE.match, cells))


_VALUE = re.compile(r"\W*[~≈<>约]?\s?\d[\d.,]*\s?(?:[x×%](?!\w)|倍|ms\b|GB\b|MB\b|分钟|秒|tok)|\s*[✅❌✓✗✔✘]")
"""A value with words around it, or a tick: the column names no rows."""


def _with_sizes(header: tuple[Text, ...], body: tuple[tuple[Text, ...], ...]) -> tuple[tuple[Text, ...], ...]:
    """Tell rows of one family apart by their size: `Llama 2 | 7B` is Llama 2 7B."""
    names = [row[0].text.strip() for row in body]
    if len(header) < 3 or len({*names}) == len(names):
        return body
    size = next(
        (
            n
            for n in range(1, len(header))
            if all(len(row) > n and _SIZE.fullmatch(row[n].text.strip()) for row in body if row[0].text.strip())
        ),
        None,
    )
    if size is None:
        return body
    pairs = {(row[0].text.strip(), row[size].text.strip()) for row in body if row[0].text.strip()}
    if len(pairs) == len({*names} - {""}):
        return body
    return tuple((_joined(row[0], row[size]), *row[1:]) if row[0].text.strip() else row for row in body)


def _with_parents(body: tuple[tuple[Text, ...], ...]) -> tuple[tuple[Text, ...], ...]:
    """Give rows that vary the one above them its name: `Otter 2`, below it `- int8`."""
    named: list[tuple[Text, ...]] = []
    parent: Text | None = None
    for row in body:
        is_child = bool(row) and _CHILD.match(row[0].text) is not None
        if not is_child:
            has_values = any(is_number(cell.text) for cell in row[1:])
            parent = row[0] if has_values and row[0].text.strip() else None
        named.append((_joined(parent, row[0]), *row[1:]) if is_child and parent is not None else row)
    return tuple(named)


_CHILD = re.compile(r"\s*(?:[-–—•└↳+]\s*(?=[A-Za-z])|w/o?\s)")
"""How the name of a row begins that varies the row above."""


def _joined(name: Text, size: Text) -> Text:
    builder = TextBuilder()
    builder.copy(name, 0, len(name.text))
    if size.text.strip() not in name.text:
        builder.put(" ", name.ends[-1], name.ends[-1])
        builder.copy(size.strip(), 0, len(size.text.strip()))
    return builder.build()


def _form(header: tuple[Text, ...], body: tuple[tuple[Text, ...], ...], corner: str) -> TableForm:
    columns = [cell.text for cell in header[1:]]
    rows = [row[0].text for row in body]
    if len(header) == 2 and is_table_of_properties(corner, columns[0], rows):
        return "properties"
    return table_form(corner, columns, rows)


def _joined_header(block: Block) -> tuple[Text, ...]:
    """Join the rows of a header: what stands above a group of columns comes before each of their names."""
    if block.headers <= 1 or len(block.rows) < 2:
        return block.rows[0] if block.rows else ()
    lowest = block.rows[block.headers - 1]
    above = block.rows[block.headers - 2]
    joined, group = [], ""
    for top, low in zip(above, lowest, strict=True):
        group = top.text.strip() or group
        if low.text.strip() and group and top.text.strip() != low.text.strip():
            name = f"{group} {low.text.strip()}"
            joined.append(Text(name, [low.starts[0]] * len(name), [low.ends[-1]] * len(name)))
        else:
            joined.append(low if low.text.strip() else top)
    return tuple(joined)


def is_number(text: str) -> bool:
    """Whether a cell prints a number."""
    try:
        return read_cell(text) is not None
    except InputError:
        return False


def is_blank(text: str) -> bool:
    """Whether a cell prints nothing: empty, a dash, `OOM`."""
    try:
        return read_cell(text) is None
    except InputError:
        return False


def bare_name(text: str) -> str:
    """Return the name of a row or column without marks of footnotes and the metric ("UForm @ 1" is UForm).

    Example:
        >>> bare_name("Ibis (ours)"), bare_name("V3准确率"), bare_name("Conformer-L [12]")
        ('Ibis', 'V3', 'Conformer-L')
    """
    name = AT_RANK.sub("", _FOOTNOTE.sub(" ", " ".join(text.split())).strip())
    return _METRIC_TAIL.sub("", name).strip() or name


def system_names(block: Block) -> list[str]:
    """Return the names of the systems of a table of results."""
    table = layout(block)
    if is_harness_table(block):
        names = [cell.text for cell in harness_table(block).models]
    elif table.form == "systems in rows":
        names = [row[0].text for row in table.body]
    elif table.form == "systems in columns":
        names = [cell.text for cell in table.header[1:] if not NO_SYSTEM.fullmatch(cell.text)]
    elif table.form == "settings in columns" and is_model_like(table.corner):
        names = [table.corner]
    else:
        return []
    return [
        name
        for name in map(bare_name, names)
        if name and re.search(r"[A-Za-z\u4e00-\u9fff]", name) and not is_measure(name) and len(name) < 60
    ]
