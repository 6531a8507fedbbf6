"""Merge results into YAML that others have written, by editing its text: everything but the results stays as it is.

Two files hold results in a model repository: the front matter of README.md (`model-index`), and files of
`.eval_results/`, which are lists. In both, results are items of a list: ours are replaced, and new ones are added after
the last item. The edited text is read again, and must hold what was there with the results and nothing else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

import yaml

from evals.errors import InputError, one_line
from evals.reports.exports import yaml_edits
from evals.reports.exports.yaml_edits import ParsedText, TextEdit, YamlPart
from evals.schema import Json

_FRONT_MATTER = re.compile(
    r"\A(\s*---[ \t]*(?:\r\n|\r|\n))((?:.*?(?:\r\n|\r|\n))??)(?=---[ \t]*(?:\r\n|\r|\n|\Z))", re.S
)
"""As huggingface_hub finds it (`repocard.py`), also if it is empty; the second group is whole lines."""
_MARK = "\ufeff"
"""The byte order mark, with which some editors begin a file."""
_INDEX, _RESULTS = "model-index", "results"
_FRONT = "the front matter of README.md"

Replaces = Callable[[Json, Json], bool]
"""Whether a new item takes the place of a present one."""


def merge_card(
    text: str, results: Sequence[Json], names: Sequence[str], replaces: Replaces, chosen: str | None = None
) -> str:
    r"""Merge results into the `model-index` of a model card.

    Args:
        text: the card, README.md; empty if there is none.
        results: items of `results` of the model's entry in `model-index`.
        names: names of the model, the likeliest first. They choose among several entries, and the last one names the
            entry of a card that has none.
        replaces: whether a new result takes the place of a present one.
        chosen: the name of the entry, if the user chose one.

    Raises:
        InputError: the front matter cannot be read, its `model-index` is none or cannot be edited without changing
            something else, or it has several entries of which none is the model's.

    Example:
        >>> card = "---\nlicense: mit  # ours\n---\n# A\n"
        >>> print(merge_card(card, [{"task": {"type": "x"}}], ["a"], lambda new, present: False))
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
    if not results:
        return text
    mark, text = text[: text.startswith(_MARK)], text.removeprefix(_MARK)
    match = _FRONT_MATTER.match(text)
    if match is None:
        newline = yaml_edits.newline(text)
        entry = {"model-index": [{"name": chosen or names[-1], "results": list(results)}]}
        return f"{mark}---{newline}{yaml_edits.in_lines(entry, 0, newline)}---{newline}{text}"
    front = _merge_front(match[2], results, names, replaces, chosen)
    return mark + match[1] + front + text[match.end() :]


def merge_list(text: str, items: Sequence[Json], replaces: Replaces) -> str:
    """Merge items into a YAML file that is a list.

    Raises:
        InputError: it is none, or cannot be edited without changing something else.
    """
    if not items:
        return text
    what = "the file of results"
    mark, text = text[: text.startswith(_MARK)], text.removeprefix(_MARK)
    present, parsed = _read(text, what)
    root = parsed.root
    if present is None and (root is None or root.start == root.end):
        begun = parsed.newline * bool(text and not text.endswith(("\n", "\r")))
        return mark + text + begun + yaml_edits.in_lines(list(items), 0, parsed.newline)
    if not isinstance(present, list) or root is None:
        raise InputError(f"{what} holds {type(present).__name__}, expected a list of results")
    edits = _merging(parsed, root, present, items, replaces)
    return mark + _edited(parsed, edits, _merged(present, items, replaces), what)


def _merge_front(
    front: str, results: Sequence[Json], names: Sequence[str], replaces: Replaces, chosen: str | None
) -> str:
    value, parsed = _read(front, _FRONT)
    new = [{"name": chosen or names[-1], _RESULTS: list(results)}]
    root = parsed.root
    if value is None and (root is None or root.start == root.end):
        return front + yaml_edits.in_lines({_INDEX: new}, 0, parsed.newline)
    if not isinstance(value, dict) or root is None:
        raise InputError(f"{_FRONT} is {type(value).__name__}, not names: correct it first")
    if _INDEX not in value:
        return _edited(parsed, yaml_edits.added_key(parsed, root, _INDEX, new), {**value, _INDEX: new})
    key, part = _at(root, _INDEX)
    entries = value[_INDEX]
    if entries is None or entries == []:
        return _edited(parsed, yaml_edits.filled(parsed, key, part, new), {**value, _INDEX: new})
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError("README.md: `model-index` is no list of models; correct it first")
    place = _chosen(entries, names, chosen)
    entry = entries[place]
    present = [] if (held := entry.get(_RESULTS)) is None else held
    if not isinstance(present, list):
        raise InputError("README.md: `results` of `model-index` is no list; correct it first")
    entries = [*entries[:place], {**entry, _RESULTS: _merged(present, results, replaces)}, *entries[place + 1 :]]
    model = part.values[place] if part.kind == "list" else part
    if _RESULTS not in entry:
        edits = yaml_edits.added_key(parsed, _mapping(model), _RESULTS, list(results))
    else:
        key, part = _at(model, _RESULTS)
        edits = (
            _merging(parsed, part, present, results, replaces)
            if present
            else yaml_edits.filled(parsed, key, part, results)
        )
    return _edited(parsed, edits, {**value, _INDEX: entries})


def _chosen(entries: Sequence[dict[str, Json]], names: Sequence[str], chosen: str | None) -> int:
    """Return the place of the model's entry in `model-index`: the only one, or the one of its name."""
    held = [str(entry.get("name")) for entry in entries]
    if chosen is None and len(held) == 1:
        return 0
    wanted = next((name for name in names if name in held), None) if chosen is None else chosen
    listed = ", ".join(repr(name) for name in held)
    if held.count(str(wanted)) == 1:
        return held.index(str(wanted))
    if wanted in held:
        raise InputError(f"README.md: several models of `model-index` are named {wanted!r}; correct it first")
    if chosen is not None:
        raise InputError(f"--entry {chosen!r}: `model-index` of README.md has no such model; it has {listed}")
    raise InputError(
        f"README.md: `model-index` has {len(held)} models, {listed}, and none is named "
        f"{' or '.join(map(repr, names))}; name the one whose results these are: --entry NAME"
    )


def _at(part: YamlPart, name: str) -> tuple[YamlPart, YamlPart]:
    """Return the key and the value of a name that a mapping has."""
    pairs = [(key, value) for key, value in zip(part.keys, part.values, strict=True) if key.text == name]
    if len(pairs) > 1:
        raise InputError(f"README.md: `{name}` is written twice in one place; correct it first")
    if not pairs or pairs[0][1].kind == "alias":
        raise _elsewhere(f"`{name}`")
    return pairs[0]


def _mapping(part: YamlPart) -> YamlPart:
    if part.kind != "mapping":
        raise _elsewhere("an entry of `model-index`")
    return part


def _elsewhere(what: str) -> InputError:
    return InputError(f"README.md: {what} stands at an anchor (&, *, <<), used in several places; write it out first")


def _merging(
    parsed: ParsedText, part: YamlPart, present: Sequence[Json], items: Sequence[Json], replaces: Replaces
) -> list[TextEdit]:
    """Return the edits that merge items into a list that is not empty."""
    places = [_place(present, item, replaces) for item in items]
    edits = [
        yaml_edits.replaced_item(parsed, part, place, item)
        for place, item in zip(places, items, strict=True)
        if place is not None and not _is_same(present[place], item, set())
    ]
    new = [item for place, item in zip(places, items, strict=True) if place is None]
    return [*edits, *(yaml_edits.added_items(parsed, part, new) if new else ())]


def _merged(present: Sequence[Json], items: Sequence[Json], replaces: Replaces) -> list[Json]:
    """Return the present items with ours in the place of those that they replace, and the others of ours at the end."""
    places = [_place(present, item, replaces) for item in items]
    replaced = {place: item for place, item in zip(places, items, strict=True) if place is not None}
    new = [item for place, item in zip(places, items, strict=True) if place is None]
    return [replaced.get(index, item) for index, item in enumerate(present)] + new


def _place(present: Sequence[Json], item: Json, replaces: Replaces) -> int | None:
    return next((index for index, earlier in enumerate(present) if replaces(item, earlier)), None)


def _edited(parsed: ParsedText, edits: Sequence[TextEdit], expected: Json, what: str = _FRONT) -> str:
    """Return the edited text, which holds what is expected, or refuse."""
    edited = yaml_edits.apply(parsed.text, edits)
    try:
        holds = _is_same(yaml.safe_load(edited), expected, set())
    except (yaml.YAMLError, ValueError):
        holds = False
    if not holds:
        raise InputError(
            f"{what} cannot take the results without another change: it has anchors, or a form that is not edited; "
            f"write one name and one item per line first"
        )
    return edited


def _is_same(a: Json, b: Json, compared: set[tuple[int, int]]) -> bool:
    """Whether two values are of the same types, order and numbers; a NaN is the same as another.

    Args:
        a: a value.
        b: another one.
        compared: values that were compared already, which an anchor may repeat without end.
    """
    if type(a) is not type(b):
        return False
    if not isinstance(a, dict | list):
        return bool(a == b) or (isinstance(a, float) and math.isnan(a) and math.isnan(b))
    if len(a) != len(b) or (id(a), id(b)) in compared:
        return len(a) == len(b)
    compared.add((id(a), id(b)))
    if isinstance(a, dict):
        return all(_is_same(x, y, compared) for x, y in zip(a, b, strict=True)) and all(
            _is_same(x, y, compared) for x, y in zip(a.values(), b.values(), strict=True)
        )
    return all(_is_same(x, y, compared) for x, y in zip(a, b, strict=True))


def _read(text: str, what: str) -> tuple[Json, ParsedText]:
    """Return the value and the parts of a YAML text."""
    try:
        return yaml.safe_load(text), yaml_edits.parse(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"{what} cannot be read: {one_line(error)}; correct it first") from error
