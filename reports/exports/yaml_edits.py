r"""Add, insert and replace values in a YAML text that others wrote: no other character of it changes.

    parsed = parse(text)                         # parts with their places in the text
    edits = added_items(parsed, part, items)     # what to write, and where
    apply(text, edits)

A part knows where it begins and ends, from the events of the parser; a block ends with its last scalar, since comments
below it belong to what follows. Values are written one per line where the text around them is, and inside the brackets
of lists and mappings that are written with brackets. The caller reads the edited text again: what an edit cannot reach
(text that stands elsewhere, behind an anchor) shows there.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

from evals.schema import Json

_BREAK = "\r\n\x85\u2028\u2029"
"""Characters that end a line of YAML 1.1."""
_REST_OF_LINE = re.compile(r"[^\r\n\x85\u2028\u2029]*(?:\r\n|[\r\n\x85\u2028\u2029])?")
_NOT_PLAIN = re.compile(r"[-+.\d]|(?:yes|no|on|off|true|false|null|~)?\Z", re.IGNORECASE)
"""Texts that some reader of YAML may take for another value: `12e34` is a text in YAML 1.1, and a number in 1.2."""


@dataclass(frozen=True)
class TextEdit:
    """A text that takes the place of another."""

    start: int
    end: int
    text: str


@dataclass
class YamlPart:
    """A value in the text."""

    kind: Literal["scalar", "alias", "list", "mapping"]
    start: int
    """Index of its first character, its anchor and tag included."""
    end: int
    """Index after its last character; of a block, which has no last character, that of its last scalar."""
    is_flow: bool = False
    """Whether it is written with brackets."""
    is_block_text: bool = False
    """Whether it is a text after `|` or `>`, which ends at the beginning of a line."""
    text: str = ""
    """The text of a scalar."""
    keys: list[YamlPart] = field(default_factory=list)
    """The keys of a mapping."""
    values: list[YamlPart] = field(default_factory=list)
    """The values of a mapping or a list."""


@dataclass(frozen=True)
class ParsedText:
    """A YAML text and its parts."""

    text: str
    root: YamlPart | None
    """None for a text without a value."""
    newline: str
    dashes: tuple[int, ...]
    """Places of the dashes of lists."""
    key_marks: tuple[int, ...]
    """Places at which keys of mappings begin."""

    def dash(self, item: YamlPart) -> int:
        """Return the place of the dash before an item."""
        return self.dashes[bisect.bisect_left(self.dashes, item.start) - 1]

    def column(self, place: int) -> int:
        """Return the number of characters between the beginning of the line and a place."""
        begun = place
        while begun and self.text[begun - 1] not in _BREAK:
            begun -= 1
        return place - begun

    def line_end(self, part: YamlPart) -> int:
        """Return where the last line of a part ends."""
        if part.is_block_text and part.end and self.text[part.end - 1] in _BREAK:
            return part.end
        rest = _REST_OF_LINE.match(self.text, part.end)
        assert rest is not None
        return rest.end()


def parse(text: str) -> ParsedText:
    """Find the parts of a YAML text of at most one document.

    Raises:
        yaml.YAMLError: it is not YAML.
        RecursionError: it is nested too deeply.

    Example:
        >>> parsed = parse("a: [b]  # c")
        >>> parsed.root.values[0].start, parsed.root.values[0].end, parsed.root.values[0].values[0].text
        (3, 6, 'b')
    """
    tokens = list(yaml.scan(text, Loader=yaml.SafeLoader))
    kinds = (yaml.NodeEvent, yaml.CollectionEndEvent)
    events = iter([event for event in yaml.parse(text, Loader=yaml.SafeLoader) if isinstance(event, kinds)])
    first = next(events, None)
    return ParsedText(
        text,
        None if first is None else _part(first, events),
        newline(text),
        tuple(token.start_mark.index for token in tokens if isinstance(token, yaml.BlockEntryToken)),
        tuple(token.start_mark.index for token in tokens if isinstance(token, yaml.KeyToken)),
    )


def newline(text: str) -> str:
    r"""Return how the lines of a text end.

    Example:
        >>> newline("a\r\nb"), newline("")
        ('\r\n', '\n')
    """
    return next((ending for ending in ("\r\n", "\n", "\r") if ending in text), "\n")


def _part(event: Any, events: Iterator[Any]) -> YamlPart:
    start, end = event.start_mark.index, event.end_mark.index
    if isinstance(event, yaml.AliasEvent):
        return YamlPart("alias", start, end)
    if isinstance(event, yaml.ScalarEvent):
        return YamlPart("scalar", start, end, is_block_text=event.style in {"|", ">"}, text=event.value)
    kind: Literal["list", "mapping"] = "list" if isinstance(event, yaml.SequenceStartEvent) else "mapping"
    part = YamlPart(kind, start, end, is_flow=bool(event.flow_style))
    children = []
    while not isinstance(inner := next(events), yaml.CollectionEndEvent):
        children.append(_part(inner, events))
    end_mark: Any = inner.end_mark
    part.end = end_mark.index
    part.keys, part.values = (children[::2], children[1::2]) if kind == "mapping" else ([], children)
    if not part.is_flow:  # the parser's own end is where the next token begins
        part.end, part.is_block_text = part.values[-1].end, part.values[-1].is_block_text
    return part


def apply(text: str, edits: Sequence[TextEdit]) -> str:
    """Return a text with edits that do not overlap."""
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def added_items(parsed: ParsedText, part: YamlPart, items: Sequence[Json]) -> list[TextEdit]:
    """Add items to the end of a list that has some, or is written with brackets."""
    if part.is_flow:
        after = part.values[-1].end if part.values else part.start + parsed.text[part.start : part.end].index("[") + 1
        separated = ", ".join(in_line(item) for item in items)
        return [TextEdit(after, after, f", {separated}" if part.values else separated)]
    column = parsed.column(parsed.dash(part.values[0]))
    return [_added_lines(parsed, part, in_lines(list(items), column, parsed.newline))]


def replaced_item(parsed: ParsedText, part: YamlPart, place: int, item: Json) -> TextEdit:
    """Put an item in the place of one of a list; the blank lines below it stay."""
    old = part.values[place]
    if part.is_flow:
        return TextEdit(old.start, old.end, in_line(item))
    start = parsed.dash(old)
    whole = parsed.text[start : parsed.line_end(old)]
    kept = whole.rstrip(_BREAK + " \t")
    column = parsed.column(start)
    lines = in_lines([item], column, parsed.newline)[column:].removesuffix(parsed.newline)
    return TextEdit(start, start + len(kept), lines)


def added_key(parsed: ParsedText, part: YamlPart, name: str, value: Json) -> list[TextEdit]:
    """Add a name and its value to the end of a mapping."""
    if not part.is_flow:
        column = parsed.column(parsed.key_marks[bisect.bisect_right(parsed.key_marks, part.keys[0].start) - 1])
        return [_added_lines(parsed, part, in_lines({name: value}, column, parsed.newline))]
    pair = in_line({name: value})[1:-1]
    if not part.values:
        after = part.start + parsed.text[part.start : part.end].index("{") + 1
        return [TextEdit(after, after, pair)]
    after = part.values[-1].end
    space = " " if parsed.text[after - 1] == ":" else ""
    return [TextEdit(after, after, f"{space}, {pair}")]


def filled(parsed: ParsedText, key: YamlPart, part: YamlPart, items: Sequence[Json]) -> list[TextEdit]:
    """Write items in the place of nothing, or of an empty list: in the lines below the key where there is room."""
    between, written = parsed.text[key.end : part.start], parsed.text[part.start : part.end]
    rest = parsed.text[part.end : parsed.line_end(part)].strip(_BREAK + " \t")
    is_alone = not rest or rest.startswith("#")
    is_below = not any(character in _BREAK for character in between) and is_alone
    if not is_below or written.strip("[] \t") not in {"", "~", "null", "Null", "NULL"}:
        if part.kind == "list":
            return added_items(parsed, part, items)
        return [TextEdit(part.start, part.end, " " * (not written) + in_line(list(items)))]
    column = parsed.column(parsed.key_marks[bisect.bisect_right(parsed.key_marks, key.start) - 1])
    colon = part.start - (len(between) - len(between.rstrip(" \t")))
    return [
        TextEdit(colon, part.end, ""),
        _added_lines(parsed, part, in_lines(list(items), column, parsed.newline)),
    ]


def _added_lines(parsed: ParsedText, part: YamlPart, lines: str) -> TextEdit:
    """Write lines below the last line of a part."""
    end = parsed.line_end(part)
    begun = parsed.newline * bool(end and parsed.text[end - 1] not in _BREAK)
    return TextEdit(end, end, begun + lines)


class _Dumper(yaml.SafeDumper):
    """Writes each text in one line, so that it means the same in every version of YAML, and no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write a value wherever it stands."""
        return True

    def text(self, data: str) -> yaml.ScalarNode:
        """Write a text in the quotes that it needs."""
        style = '"' if any(character in data for character in _BREAK) else "'" if _NOT_PLAIN.match(data) else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.text)


def _dumped(value: Json, *, is_flow: bool) -> str:
    options: dict[str, Any] = {"sort_keys": False, "allow_unicode": True, "width": float("inf")}
    text: str = yaml.dump(value, Dumper=_Dumper, default_flow_style=is_flow, **options)
    return text.removesuffix("\n")


def in_line(value: Json) -> str:
    """Write a list or a mapping with brackets.

    Example:
        >>> in_line({"a": ["12e3", "no", 0.5]})
        "{a: ['12e3', 'no', 0.5]}"
    """
    return _dumped(value, is_flow=True)


def in_lines(value: Json, column: int, newline: str = "\n") -> str:
    r"""Write a list or a mapping, an item or a name per line, at a column.

    Example:
        >>> in_lines({"a": ["b"]}, 2)
        '  a:\n  - b\n'
    """
    return "".join(" " * column + line + newline for line in _dumped(value, is_flow=False).split("\n"))
