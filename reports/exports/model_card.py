"""Merge results into YAML that others have written, by editing its text: comments, order and quotes of theirs stay.

Two files hold results in a model repository: the front matter of README.md (`model-index`), and files of
`.eval_results/`, which are lists. In both, results are items of a list. Ours are replaced, new ones are added after the
last item, and no other line changes. A list that is not written one item after the other (`[{…}]`) is written anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import yaml

from evals.errors import InputError, one_line
from evals.schema import Json

_FRONT_MATTER = re.compile(r"\A(\s*---[ \t]*\r?\n)((?:.*?\r?\n)??)(?=---[ \t]*(?:\r?\n|\Z))", re.S)
"""As huggingface_hub finds it (`repocard.py`), also if it is empty; the second group is whole lines."""

Replaces = Callable[[Json, Json], bool]
"""Whether a new item takes the place of a present one."""


def merge_card(text: str, results: Sequence[Json], name: str, replaces: Replaces) -> str:
    r"""Merge results into the `model-index` of a model card.

    Args:
        text: the card, README.md; empty if there is none.
        results: items of `model-index[0].results`.
        name: the model's name, if the card has no `model-index` yet.
        replaces: whether a new result takes the place of a present one.

    Raises:
        InputError: the front matter cannot be read, or its `model-index` is none.

    Example:
        >>> card = "---\nlicense: mit  # ours\n---\n# A\n"
        >>> print(merge_card(card, [{"task": {"type": "x"}}], "a", lambda new, present: False))
        ---
        license: mit  # ours
        model-index:
        - name: a
          results:
          - task:
              type: x
        ---
        # A
        <BLANKLINE>
    """
    match = _FRONT_MATTER.match(text)
    newline = "\r\n" if "\r\n" in text else "\n"
    if match is None:
        block = _dump([{"name": name, "results": list(results)}], "model-index", newline)
        return f"---{newline}{block}---{newline}{text}"
    return match[1] + _merge_front(match[2], results, name, replaces, newline) + text[match.end() :]


def merge_list(text: str, items: Sequence[Json], replaces: Replaces) -> str:
    """Merge items into a YAML file that is a list. Raises `InputError` if it is none."""
    value, node = _read(text, "the file of results")
    newline = "\r\n" if "\r\n" in text else "\n"
    if value is None:
        return text + _dump_items(items, 0, newline)
    if not isinstance(value, list):
        raise InputError(f"the file of results holds {type(value).__name__}, expected a list of results")
    expected = _merged(value, items, replaces)
    if expected == value:
        return text
    text += newline * (not text.endswith("\n"))
    merged = _edited(text, node, value, items, replaces, newline)
    return merged if merged is not None and _holds(merged, expected) else _dump_items(expected, 0, newline)


def _merge_front(front: str, results: Sequence[Json], name: str, replaces: Replaces, newline: str) -> str:
    value, node = _read(front, "the front matter of README.md")
    if value is None:
        return front + _dump([{"name": name, "results": list(results)}], "model-index", newline)
    if not isinstance(value, dict):
        raise InputError(f"the front matter of README.md is {type(value).__name__}, not names: correct it first")
    index = value.get("model-index")
    if index is None and "model-index" not in value:
        added = front + _dump([{"name": name, "results": list(results)}], "model-index", newline)
        return _checked(added, {**value, "model-index": [{"name": name, "results": list(results)}]})
    if index is None:
        index = [{"name": name, "results": []}]
    if not isinstance(index, list) or not index or not isinstance(index[0], dict):
        raise InputError("README.md: `model-index` is no list of models; correct it first")
    present = index[0].get("results") or []
    if not isinstance(present, list):
        raise InputError("README.md: `results` of `model-index` is no list; correct it first")
    expected = {**value, "model-index": [{**index[0], "results": _merged(present, results, replaces)}, *index[1:]]}
    if expected == value:
        return front
    where = _at(_at(_at(node, "model-index"), 0), "results")
    edited = _edited(front, where, present, results, replaces, newline) if where is not None else None
    if edited is not None and _holds(edited, expected):
        return edited
    return _checked(_replaced_block(front, node, expected["model-index"], newline), expected)


def _checked(front: str, expected: Json) -> str:
    """Return a front matter that holds what is expected, or refuse the one that it was made from."""
    if not _holds(front, expected):
        raise InputError(
            "README.md: the front matter is one {…}, uses anchors, or repeats a name; write a name per line first"
        )
    return front


def _holds(text: str, expected: Json) -> bool:
    try:
        return bool(yaml.safe_load(text) == expected)
    except yaml.YAMLError:
        return False


def _merged(present: Sequence[Json], items: Sequence[Json], replaces: Replaces) -> list[Json]:
    """Return the present items with ours in the place of those that they replace, and the others of ours at the end."""
    places = [_place(present, item, replaces) for item in items]
    replaced = {place: item for place, item in zip(places, items, strict=True) if place is not None}
    new = [item for place, item in zip(places, items, strict=True) if place is None]
    return [replaced.get(index, item) for index, item in enumerate(present)] + new


def _place(present: Sequence[Json], item: Json, replaces: Replaces) -> int | None:
    return next((index for index, earlier in enumerate(present) if replaces(item, earlier)), None)


def _edited(
    text: str, node: Any, present: Sequence[Json], items: Sequence[Json], replaces: Replaces, newline: str
) -> str | None:
    """Return the text with the items merged into a list that has one item after the other; None for other lists."""
    if not isinstance(node, yaml.SequenceNode) or node.flow_style or not node.value or _has_alias(node):
        return None
    column = node.start_mark.column
    edits: list[tuple[int, int, str]] = []
    added = []
    for item in items:
        place = _place(present, item, replaces)
        if place is None:
            added.append(item)
        elif present[place] != item:
            child = node.value[place]
            start = text.rfind("-", 0, child.start_mark.index)
            edits.append((start - column, _line_end(text, child), _dump_items([item], column, newline)))
    end = _line_end(text, node.value[-1])
    if added:
        edits.append((end, end, _dump_items(added, column, newline)))
    for start, stop, new in sorted(edits, reverse=True):
        if start < 0 or (stop > start and text[start : start + column].strip(" ")):
            return None  # the item begins in the line of something else
        text = text[:start] + new + text[stop:]
    return text


def _line_end(text: str, node: Any) -> int:
    """Return where the last line of a node ends; a comment below it belongs to what follows."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    end = node.end_mark.index
    if end and text[end - 1] in "\r\n" and isinstance(node, yaml.ScalarNode) and node.style in {"|", ">"}:
        return int(end)
    rest = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)?").match(text, end)
    assert rest is not None
    return rest.end()


def _replaced_block(front: str, node: Any, index: Json, newline: str) -> str:
    """Write the `model-index` anew; the lines around it stay."""
    for key, value in node.value:
        if key.value == "model-index":
            start, end = key.start_mark.index, _line_end(front, value)
            return front[:start] + _dump(index, "model-index", newline) + front[end:]
    raise AssertionError("the front matter has a model-index")


def _at(node: Any, key: str | int) -> Any:
    """Return the node at a key or an index, or None."""
    if isinstance(node, yaml.MappingNode):
        return next((value for name, value in node.value if name.value == key), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        return node.value[key]
    return None


def _has_alias(node: Any) -> bool:
    """Whether a node is used in two places, so that its text stands elsewhere."""
    seen: set[int] = set()

    def walk(node: Any) -> bool:
        if id(node) in seen:
            return True
        seen.add(id(node))
        children = node.value if isinstance(node, yaml.CollectionNode) else []
        return any(walk(part) for child in children for part in (child if isinstance(child, tuple) else (child,)))

    return walk(node)


def _read(text: str, what: str) -> tuple[Any, Any]:
    """Return the value and the nodes of a YAML text."""
    try:
        return yaml.safe_load(text), yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"{what} cannot be read: {one_line(error)}; correct it first") from error


def _dump(value: Json, name: str, newline: str) -> str:
    return _yaml({name: value}).replace("\n", newline)


def _dump_items(items: Sequence[Json], column: int, newline: str) -> str:
    lines = _yaml(list(items)).splitlines()
    return "".join(" " * column * bool(line) + line + newline for line in lines)


def _yaml(value: Json) -> str:
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=10_000)
    return text
