"""The keys of a task file, with their types, and how one is read; an error names the file's line."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from evals import registry
from evals.errors import InputError, shorten
from evals.yaml_files import Location, load_with_lines

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
READERS = ("exact", "contains", "letter", "number", "math", "regex", "label", "mmmu")
METRICS = ("accuracy", "contains", "f1", "matthews")
"""Metrics of the suite that a file can name, beside those of plug-ins; f1 and matthews are of labels."""
CLASS_METRICS = frozenset({"f1", "matthews"})
_CHOICES = {
    "ask": ("generate", "choose"),
    "normalise": ("none", "tokens", "characters"),
    "average": ("samples", "subsets"),
    "read": READERS,
    "order": ("first", "random"),
    "take": ("first", "last"),
    "target_is": ("any", "index", "label", "choice"),
}
_TEMPLATES = ("prompt", "description", "continuation", "examples.answer")
_VERBATIM = frozenset({"choices", "labels", "target", "stop"})
"""Keys whose values are texts as written: `[yes, no]` and `[1, 2]` are choices."""
_EXPRESSIONS = ("target", "choices", "labels", "id", "subset", "cluster", "where", "answer.read_by")


@dataclass(frozen=True)
class AnswerSpec:
    """How an answer is read from an output."""

    read: str = "exact"
    """One of `READERS`."""
    read_by: str | None = None
    """Expression that names the reader of a row, in place of `read`."""
    pattern: str | None = None
    """For `regex`, and optionally `letter`: a regular expression; its first group is the answer."""
    letters: str = ""
    """For `letter`: the letters that are read, where they are not those of the row's choices."""
    take: str = "last"
    """Which match of the pattern counts: `first` or `last`."""
    form: str = "boxed"
    """For `math`: `boxed` or `####`."""


@dataclass(frozen=True)
class ExamplesSpec:
    """Few-shot examples."""

    split: str
    """The split that they come from."""
    count: int = 0
    """How many, if `--shots` is not given."""
    order: str = "first"
    """`first`: the first rows; `random`: drawn by the seed and the sample's id."""
    same_subset: bool = False
    """Take rows of the sample's subset only."""
    answer: str | None = None
    """Template of the answer that follows an example's prompt; for `choose` the right continuation."""


@dataclass(frozen=True)
class TaskSpec:
    """A task file."""

    prompt: str
    """Template of the question; the columns of the row are its variables, `row` holds all of them."""
    target: str
    """Expression of the right answer: for choices an index from 0, a label or a choice; else a text, or several."""
    target_is: str = "any"
    """What the target of choices is, `index`, `label` or `choice`, where it could be several of these."""
    name: str = ""
    """By default the file's name."""
    prompts: list[str] = field(default_factory=list)
    """Further templates of the question, which ask the same in other words (`--prompts`)."""
    summary: str = ""
    version: int = 1
    """Raised whenever a score may change."""
    source: str = ""
    """The paper and where the data are."""
    data: str | None = None
    """`hf:ORG/NAME[@REV][#CONFIG]`, or a table below the file's folder; `--data` takes its place."""
    split: str = "test"
    ask: str = "generate"
    """`generate` a text, or `choose` the likeliest of the choices."""
    description: str = ""
    """Template of what stands before the examples."""
    choices: str | list[str] | None = None
    """The choices: an expression, or the texts."""
    labels: str | list[str] | None = None
    """Labels of the choices: an expression, or the texts; by default A, B, C, …"""
    shuffle: bool = False
    """Put the choices of each row in an order that depends on the row's id alone."""
    continuation: str = " {{ label }}"
    """Template of each continuation that is chosen from; `label` and `choice` are its variables."""
    normalise: str = "none"
    """Divide log-likelihoods by the continuation's `tokens` or `characters`, or by nothing (`none`)."""
    images: list[str] = field(default_factory=list)
    """Columns with images, which come before the text; missing ones are left out."""
    audio: str | None = None
    """Column with audio."""
    where: str | None = None
    """Expression: only rows for which it is true are samples."""
    id: str | None = None
    """Expression of a row's id; by default its number."""
    subset: str | None = None
    """Expression of a row's subset, by which metrics are split."""
    average: str = "samples"
    """What `accuracy` averages: `samples`, or the accuracies of the `subsets`, which then weigh the same."""
    cluster: str | None = None
    """Expression of what a row shares with others, such as a passage: they are one unit of the intervals."""
    examples: ExamplesSpec | None = None
    answer: AnswerSpec = field(default_factory=AnswerSpec)
    metrics: list[str] = field(default_factory=lambda: ["accuracy"])
    max_new_tokens: int = 64
    stop: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class TaskFile:
    """A task file as it was read."""

    path: Path
    spec: TaskSpec
    text: str
    """The file's text, by which a finished run can be scored again."""

    @property
    def digest(self) -> str:
        """SHA-256 of the text, the first 16 hexadecimal digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    @property
    def templates(self) -> dict[str, str]:
        """The templates that the file has, by their keys."""
        return self._texts(_TEMPLATES)

    @property
    def expressions(self) -> dict[str, str]:
        """The expressions that the file has, by their keys."""
        return self._texts(_EXPRESSIONS)

    def _texts(self, keys: tuple[str, ...]) -> dict[str, str]:
        texts = {}
        for key in keys:
            value: Any = self.spec
            for name in key.split("."):
                value = getattr(value, name, None)
            if isinstance(value, str) and value:
                texts[key] = value
        return texts


def read_task_file(path: Path) -> TaskFile:
    """Read a task file.

    Raises:
        InputError: the file is missing or malformed, has an unknown key, lacks one, or has a value of another type; the
            message names the line.
    """
    values, lines = load_with_lines(path, _VERBATIM)
    if not isinstance(values, Mapping):
        raise InputError(f"{path}:1: a task file holds keys and values, such as prompt: and target:")
    spec = _built(TaskSpec, values, _Place(path, lines, ()))
    if not spec.name:
        spec = dataclasses.replace(spec, name=path.stem)
    _check(spec, _Place(path, lines, ()))
    return TaskFile(path, spec, path.read_text(encoding="utf-8-sig"))


@dataclass(frozen=True)
class _Place:
    """A place in a file, for messages."""

    path: Path
    lines: Mapping[Location, int]
    location: Location

    def within(self, key: str) -> _Place:
        return dataclasses.replace(self, location=(*self.location, key))

    def __str__(self) -> str:
        return f"{self.path}:{self.lines.get(self.location, 1)}"


def _built(kind: Any, values: Mapping[str, Any], place: _Place) -> Any:
    """Make a dataclass of a mapping. Raises `InputError` for keys and values that it does not have."""
    hints = get_type_hints(kind)
    inside = f"{'.'.join(map(str, place.location))}." if place.location else ""
    built = {}
    for key, value in values.items():
        if key not in hints:
            near = difflib.get_close_matches(key, hints, n=1)
            hint = f"; did you mean {near[0]}" if near else ""
            raise InputError(
                f"{place.within(key)}: no key {shorten(inside + key)}{hint}; the keys are {', '.join(hints)}"
            )
        if value is None:
            raise InputError(f"{place.within(key)}: the key {inside}{key} has no value; give one, or leave it out")
        built[key] = _typed(hints[key], value, place.within(key), inside + key)
    for entry in dataclasses.fields(kind):
        is_required = entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING
        if is_required and entry.name not in built:
            raise InputError(f"{place}: the key {inside}{entry.name} is missing")
    return kind(**built)


def _typed(hint: Any, value: Any, place: _Place, name: str) -> Any:
    """Return a value of a declared type."""
    kinds = get_args(hint) if get_origin(hint) is UnionType else (hint,)
    if value is None and NoneType in kinds:
        return None
    for kind in kinds:
        if dataclasses.is_dataclass(kind) and isinstance(value, Mapping):
            return _built(kind, value, place)
        if get_origin(kind) is list and isinstance(value, list) and all(isinstance(entry, str) for entry in value):
            return value
        if kind in {str, int, bool} and type(value) is kind:
            allowed = _CHOICES.get(name.rpartition(".")[2])
            if kind is str and allowed and value not in allowed:
                raise InputError(f"{place}: {name} is {shorten(value)}; allowed are {', '.join(allowed)}")
            return value
    wanted = {str: "text", int: "a whole number", bool: "true or false"}
    names = [
        "a list of texts" if get_origin(kind) is list else wanted.get(kind) or _mapping(kind)
        for kind in kinds if kind is not NoneType
    ]  # fmt: skip
    raise InputError(f"{place}: {name} is {shorten(value)}, expected {' or '.join(names)}")


def _mapping(kind: Any) -> str:
    """Say which keys a mapping may have."""
    keys = [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []
    return f"a mapping ({keys[0]}: …) with keys of {', '.join(keys)}" if keys else "a mapping"


def _check(spec: TaskSpec, place: _Place) -> None:
    """Refuse keys that do not fit together."""
    if re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)*", spec.name) is None:
        raise InputError(f"{place.within('name')}: name is {shorten(spec.name)}; allowed are letters, digits, . - _ /")
    if spec.version < 1:
        raise InputError(f"{place.within('version')}: version is {spec.version}, expected a whole number from 1")
    for metric in spec.metrics:
        if metric not in METRICS and metric not in registry.METRICS:
            known = ", ".join([*METRICS, *(entry.name for entry in registry.METRICS)])
            raise InputError(f"{place.within('metrics')}: no metric {shorten(metric)}; the metrics are {known}")
    if CLASS_METRICS & {*spec.metrics} and (not isinstance(spec.choices, list) or spec.shuffle):
        raise InputError(
            f"{place.within('metrics')}: f1 and matthews need the same choices for all rows: list them, unshuffled"
        )
    if "f1" in spec.metrics and len(spec.choices or ()) != 2:
        raise InputError(f"{place.within('metrics')}: f1 needs two choices, of which the second is the positive one")
    _check_keys_of_choices(spec, place)
    _check_answer(spec, place)
    if spec.average == "subsets" and spec.subset is None:
        raise InputError(f"{place.within('average')}: average: subsets needs the key subset")
    if spec.examples and spec.examples.same_subset and spec.subset is None:
        raise InputError(f"{place.within('examples')}: examples.same_subset needs the key subset")
    if spec.examples and spec.ask == "generate" and spec.examples.answer is None:
        raise InputError(f"{place.within('examples')}: the key examples.answer is missing, which generate needs")
    if spec.examples and spec.examples.count < 0:
        raise InputError(f"{place.within('examples')}: examples.count is {spec.examples.count}, expected 0 or more")
    empty = next((key for key in ("stop", "images", "prompts") if "" in getattr(spec, key)), None)
    if empty is not None:
        raise InputError(f"{place.within(empty)}: {empty} has an empty text; leave it out")
    if spec.max_new_tokens < 1:
        raise InputError(
            f"{place.within('max_new_tokens')}: max_new_tokens is {spec.max_new_tokens}, expected 1 or more"
        )


def _check_keys_of_choices(spec: TaskSpec, place: _Place) -> None:
    """Refuse keys that nothing reads: of choices, or of texts that are written."""
    if (spec.ask == "choose" or spec.answer.read in {"letter", "label"}) and spec.choices is None:
        raise InputError(f"{place.within('ask')}: the key choices is missing, which {spec.ask} with this answer needs")
    default = {entry.name: entry.default for entry in dataclasses.fields(spec)}
    unread: tuple[str, ...] = ()
    if spec.ask == "generate":
        unread = ("continuation", "normalise")
    elif spec.answer != AnswerSpec() or spec.stop:
        raise InputError(
            f"{place.within('ask')}: the keys answer and stop are for ask: generate, where texts are written"
        )
    if spec.choices is None:
        unread = (*unread, "labels", "shuffle", "target_is")
    for key in unread:
        if getattr(spec, key) != default[key]:
            needed = "ask: choose" if key in {"continuation", "normalise"} else "choices"
            raise InputError(f"{place.within(key)}: nothing reads the key {key} without {needed}")


def _check_answer(spec: TaskSpec, place: _Place) -> None:
    """Refuse what does not fit the reader of answers."""
    answer, within = spec.answer, place.within("answer")
    if answer.read == "regex" and answer.pattern is None:
        raise InputError(f"{within}: the key answer.pattern is missing, which read: regex needs")
    if answer.pattern is not None and answer.read not in {"regex", "letter"} and answer.read_by is None:
        raise InputError(f"{within}: nothing reads the key answer.pattern with read: {answer.read}; say read: regex")
    if re.fullmatch("[A-Z]*", answer.letters) is None:
        raise InputError(f"{within}: answer.letters is {shorten(answer.letters)}, expected letters from A to Z")
    if answer.form not in {"boxed", "####"}:
        raise InputError(f"{within}: answer.form is {shorten(answer.form)}; allowed are boxed, ####")
