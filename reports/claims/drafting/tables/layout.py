"""Tell what a table of an article is: results with systems in rows or columns, properties of one system, or words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from evals.reports.claims.drafting.language.lexicon import is_benchmark, is_measure
from evals.reports.claims.drafting.tables.harness import harness_table, is_harness_table
from evals.reports.claims.drafting.tables.headers import header_and_body, is_blank, is_number
from evals.reports.claims.drafting.tables.labels import AT_RANK, METRIC_TAIL, is_aggregate, is_model_like, names_measure
from evals.reports.claims.drafting.tables.orientation import (
    MEASURES,
    NO_SYSTEM,
    SYSTEMS,
    TableForm,
    is_of_data,
    is_table_of_properties,
    table_form,
)
from evals.reports.claims.drafting.tables.pairs import are_several
from evals.reports.claims.language.sources.articles import Block, Text, TextBuilder

_FOOTNOTE = re.compile(
    r"\s*(?:\[\d+(?:,\s?\d+)*\]|(?:[†‡§¶↑↓]|\*(?![\d*]*\d)|(?<!\d)\*)+|"
    r"[\[((](?:ours|baseline|this work|本文|我们|model ?scope|hugging ?face|hf|"
    r"git ?hub|wise ?model|link|paper|download|model|weights|ckpt|checkpoint|code|demo|card|config|log)"
    r"(?:,\s?(?:checkpoint|config|log|model|weights|paper|code))*[\]))])\s*",
    re.I,
)
_SIZE = re.compile(r"[~≈]?\d+(?:\.\d+)?\s?[BMbm](?:-A\d+B)?|\d+[x×*✕]\d+B")
_RANK = re.compile(r"\W*(?:#|no\.?|nr\.?|rank|index|排名|序号|编号)?\W*", re.I)


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


def layout(block: Block, known: frozenset[str] = frozenset()) -> Layout:
    """Tell what a table is.

    Args:
        block: a block of kind `table`.
        known: names of systems that the text has, in small letters and digits.
    """
    header, body = header_and_body(block)
    header, body = _with_name_first(*_without_ranks(*_with_a_label(header, _repeated(body))))
    body, groups = _with_groups(header, body)
    header, body = _with_one_label(header, body)
    body = _with_sizes(header, _with_parents(body), known)
    corner = header[0].text.strip() if header else ""
    inner = [cell.text for row in body for cell in row[1:] if cell.text.strip()]
    numeric = sum(is_number(text) or are_several(text) for text in inner)
    values = numeric + sum(is_blank(text) for text in inner)
    is_mixed = numeric * 2 < len(inner) and values * 2 < len(inner) + 1
    if not inner or numeric == 0 or (is_mixed and not _has_numbers_below(header, body)):
        form: TableForm = "words"
        if len(header) == 2 and inner and any(re.search(r"\d", text) for text in inner):
            form = "properties"
        return Layout(form, header, body, corner)
    return Layout(_form(header, body, corner, known), header, body, corner, groups if len(groups) == len(body) else ())


def _has_numbers_below(header: tuple[Text, ...], body: tuple[tuple[Text, ...], ...]) -> bool:
    """Whether a column of a table of words holds numbers alone."""
    rows = [row for row in body if len(row) == len(header)]
    return len(rows) > 1 and any(all(is_number(row[n].text) for row in rows) for n in range(1, len(header)))


def _with_a_label(
    header: tuple[Text, ...], body: tuple[tuple[Text, ...], ...]
) -> tuple[tuple[Text, ...], tuple[tuple[Text, ...], ...]]:
    """Put an empty column before a table whose first column is a benchmark with its scores."""
    first = [row[0].text for row in body if row]
    is_score = is_benchmark(header[0].text.strip()) or (len(body) == 1 and all(is_number(c.text) for c in body[0]))
    if len(header) < 2 or not first or not is_score or not all(map(is_number, first)):
        return header, body
    return (header[0].part(0, 0), *header), tuple((row[0].part(0, 0), *row) for row in body)


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


_DITTO = re.compile(r"\s*(?:[-–—]{1,3}|[\"〃″”]{1,2}|(?:ditto|same|同上))\s*", re.I)


def _repeated(body: tuple[tuple[Text, ...], ...]) -> tuple[tuple[Text, ...], ...]:
    """Write the name above where a row prints a mark for it: `Otter 2`, below it `--`."""
    rows: list[tuple[Text, ...]] = []
    for row in body:
        is_ditto = bool(row) and _DITTO.fullmatch(row[0].text) is not None
        rows.append((rows[-1][0], *row[1:]) if is_ditto and rows and len(row) > 1 else row)
    return tuple(rows)


def _with_name_first(
    header: tuple[Text, ...], body: tuple[tuple[Text, ...], ...]
) -> tuple[tuple[Text, ...], tuple[tuple[Text, ...], ...]]:
    """Move the column that names the systems to the front, where numbers or settings stand before it."""
    if not header or not body or SYSTEMS.match(header[0].text):
        return header, body
    first = [row[0].text.strip() for row in body]
    if sum(is_number(text) or not text for text in first) * 2 <= len(first):
        return header, body
    rows = [row for row in body if len(row) == len(header)]
    named = [
        n
        for n in range(1, len(header))
        if SYSTEMS.match(header[n].text) and all(row[n].text.strip() and not is_number(row[n].text) for row in rows)
    ]
    if not named or not rows:
        return header, body
    name = max(named, key=lambda n: (len({row[n].text for row in rows}), -n))
    order = [name, *(n for n in range(len(header)) if n != name)]
    return tuple(header[n] for n in order), tuple(tuple(row[n] for n in order) for row in rows)


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


def _with_sizes(
    header: tuple[Text, ...], body: tuple[tuple[Text, ...], ...], known: frozenset[str]
) -> tuple[tuple[Text, ...], ...]:
    """Tell rows of one family apart by their size: `Llama 2 | 7B` is Llama 2 7B, also if the text calls it so."""
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
    are_known = any(re.sub(r"[^a-z0-9]", "", "".join(pair).lower()) in known for pair in pairs)
    if len(pairs) == len({*names} - {""}) and not are_known:
        return body
    again = {name for name in names if names.count(name) > 1 or are_known}
    return tuple((_joined(row[0], row[size]), *row[1:]) if row[0].text.strip() in again - {""} else row for row in body)


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


def _form(
    header: tuple[Text, ...], body: tuple[tuple[Text, ...], ...], corner: str, known: frozenset[str]
) -> TableForm:
    columns = [cell.text for cell in header[1:]]
    rows = [row[0].text for row in body]
    if len(header) == 2 and is_table_of_properties(corner, columns[0], rows):
        return "properties"
    cells = [[cell.text for cell in row[1:]] for row in body if len(row) == len(header)]
    return table_form(corner, columns, rows, cells, known)


def bare_name(text: str) -> str:
    """Return the name of a row or column without marks of footnotes and the metric ("UForm @ 1" is UForm).

    Example:
        >>> bare_name("Ibis (ours)"), bare_name("V3准确率"), bare_name("Conformer-L [12]")
        ('Ibis', 'V3', 'Conformer-L')
    """
    name = AT_RANK.sub("", _FOOTNOTE.sub(" ", " ".join(text.split())).strip())
    return METRIC_TAIL.sub("", name).strip() or name


def system_names(block: Block, known: frozenset[str] = frozenset()) -> list[str]:
    """Return the names of the systems of a table of results.

    Args:
        block: a block of kind `table`.
        known: names of systems that the text has, in small letters and digits.
    """
    table = layout(block, known)
    if is_harness_table(block):
        names = [cell.text for cell in harness_table(block).models]
    elif is_of_data(table.corner):
        return []
    elif table.form == "systems in rows":
        names = [row[0].text for row in table.body]
        names = [] if any(map(is_aggregate, names)) else names
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


def certain_names(block: Block) -> list[str]:
    """Return the names of the rows of a table whose corner and whose header say that its rows are systems.

    Args:
        block: a block of kind `table`.
    """
    table = layout(block)
    columns = [cell.text for cell in table.header[1:]]
    is_certain = table.form == "systems in rows" and SYSTEMS.match(table.corner) and any(map(names_measure, columns))
    names = [bare_name(row[0].text) for row in table.body] if is_certain else []
    return [name for name in names if is_model_like(name) and len(name) > 3]
