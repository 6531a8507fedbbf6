"""Make samples of the rows of a table, as a task file says."""

from __future__ import annotations

import functools
import inspect
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals import data
from evals.data.row_tables import DataTable, open_table
from evals.data.row_tables.cells import answers_of, audio_of, images_of, text_of, value_of
from evals.data.row_tables.sources import HUB
from evals.data.templates.renderer import RowRenderer
from evals.errors import InputError, counted, shorten
from evals.registry import METRICS
from evals.schema import MODALITIES, Choose, Generate, Json, Options, Part, Sample, Samples
from evals.tasks.files.reading import label_of
from evals.tasks.files.scoring import plugin_metrics
from evals.tasks.files.spec import LETTERS, TaskFile, TaskSpec

_FIRST = ("where", "id", "subset", "cluster", "choices", "labels", "target", "answer.read_by")
"""Expressions, which are computed before the templates: the choices are variables of these."""


@dataclass(frozen=True)
class AskedRow:
    """A row as the task asks it."""

    id: str
    values: Mapping[str, Any]
    """The variables of the templates."""
    choices: tuple[str, ...]
    labels: tuple[str, ...]
    right: int | None
    """Index of the right choice; None without choices."""
    target: Json
    """What the target expression gives."""
    subset: str
    cluster: str
    read: str


class TaskRows:
    """The rows of one table, asked as a task file says."""

    def __init__(self, file: TaskFile, table: DataTable, renderer: RowRenderer) -> None:
        """Hold a table."""
        self.spec, self.table = file.spec, table
        self._renderer = renderer
        self._expressions = [name for name in _FIRST if name in file.expressions]
        self._templates = [name for name in ("description", "prompt") if name in file.templates]

    def asked(self, index: int, row: Mapping[str, Any]) -> AskedRow | None:
        """Return a row; None if it is no sample."""
        spec, place = self.spec, f"{self.table.name}, {self.table.place(index)}"
        values = self._variables(row)
        first = self._renderer.render(self._expressions, values, place)
        if "where" in first and not first["where"]:
            return None
        stated_id = text_of(first.get("id"))
        id = stated_id if stated_id is not None else str(self.table.number(index))
        choices = _listed(first.get("choices", spec.choices), "choices", place)
        labels = _listed(first.get("labels", spec.labels), "labels", place) or tuple(LETTERS[: len(choices)])
        if choices and len(labels) != len(choices):
            raise InputError(f"{place}: {counted(len(choices), 'choice')} and {counted(len(labels), 'label')}")
        right = _right(first["target"], choices, labels, place) if choices else None
        if spec.shuffle and choices:
            order = list(range(len(choices)))
            random.Random(f"{spec.name}/{id}").shuffle(order)
            choices, right = tuple(choices[n] for n in order), order.index(right or 0)
        numbered = [{"label": label, "text": choice} for label, choice in zip(labels, choices, strict=True)]
        return AskedRow(
            id, {**values, "numbered": numbered}, choices, labels, right, first["target"],
            subset=text_of(first.get("subset")) or "", cluster=text_of(first.get("cluster")) or "",
            read=str(first.get("answer.read_by") or spec.answer.read),
        )  # fmt: skip

    def _variables(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the columns without media, also by names in small letters with underscores for other marks."""
        media = {*self.spec.images, self.spec.audio}
        values = {name: value for name, value in row.items() if name not in media}
        plain = {re.sub(r"\W+", "_", name.strip()).lower(): value for name, value in values.items()}
        return {**plain, **values}

    def texts(self, index: int, asked: AskedRow) -> dict[str, str]:
        """Render the description and the prompt of a row."""
        place = f"{self.table.name}, {self.table.place(index)}"
        rendered = self._renderer.render(self._templates, asked.values, place)
        texts = {"description": "", **{name: str(value) for name, value in rendered.items()}}
        return {**texts, "prompt": texts["prompt"].rstrip("\n")}

    def check(self, index: int, asked: AskedRow) -> None:
        """Raise `InputError` for a row that cannot be asked, or that no output could answer."""
        self.texts(index, asked)
        if self.spec.ask == "choose":
            self.continuations(index, asked)
        target(self.spec, asked, "", f"{self.table.name}, {self.table.place(index)}")

    def continuations(self, index: int, asked: AskedRow) -> tuple[str, ...]:
        """Render the continuation of each choice."""
        place = f"{self.table.name}, {self.table.place(index)}"
        pairs = list(zip(asked.labels, asked.choices, strict=True))
        if self.spec.continuation == " {{ label }}":
            return tuple(f" {label}" for label, _ in pairs)
        return tuple(
            str(self._renderer.render(["continuation"], {**asked.values, "label": label, "choice": choice}, place)[
                "continuation"
            ])
            for label, choice in pairs
        )  # fmt: skip

    def example(self, index: int) -> str:
        """Return a row as a few-shot example: its prompt and its right answer."""
        asked = self.asked(index, self.table.read(index, self.table.columns))
        if asked is None:
            return ""
        prompt = self.texts(index, asked)["prompt"]
        if self.spec.ask == "choose":
            return f"{prompt}{self.continuations(index, asked)[asked.right or 0]}\n\n"
        right = None if asked.right is None else asked.labels[asked.right]
        values = {**asked.values, "label": right}
        place = f"{self.table.name}, {self.table.place(index)}"
        return f"{prompt}{self._renderer.render(['examples.answer'], values, place)['examples.answer']}\n\n"

    def subset(self, index: int) -> str:
        """Return the subset of a row."""
        values = self._variables(self.table.read(index, self.table.columns))
        place = f"{self.table.name}, {self.table.place(index)}"
        return text_of(self._renderer.render(["subset"], values, place)["subset"]) or ""


def _listed(value: Json, name: str, place: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(entry, (str, int, float)) for entry in value):
        raise InputError(f"{place}: {name} is {shorten(value, 60)}, expected a list of texts")
    return tuple(text_of(entry) or "" for entry in value)


def _right(target: Json, choices: Sequence[str], labels: Sequence[str], place: str) -> int:
    """Return the index of the right choice. Raises `InputError` if the target is none of them."""
    if isinstance(target, (bool, int)) and 0 <= int(target) < len(choices):
        return int(target)
    if isinstance(target, str):
        for listed in (labels, choices):
            if listed.count(target.strip()) == 1:
                return listed.index(target.strip())
    allowed = f"an index from 0 to {len(choices) - 1}, or one of {', '.join([*labels, *map(shorten, choices)][:12])}"
    raise InputError(f"{place}: target is {shorten(target, 40)}, expected {allowed}")


def samples(file: TaskFile, renderer: RowRenderer, options: Options) -> Samples:
    """Read the split of a task file.

    Raises:
        InputError: the data are not there or malformed, or a row cannot be asked; the message names it.
    """
    table = _table(file, options, options.split)
    rows = TaskRows(file, table, renderer)
    ids, indices, modalities = [], [], set[str]()
    for index, row in enumerate(table.rows(table.columns)):
        asked = rows.asked(index, row)
        if asked is not None:
            ids.append(asked.id)
            indices.append(index)
            rows.check(index, asked)
            modalities |= {MODALITIES[type(part)] for part in _media(file.spec, row, table, index)}
    if not ids:
        raise InputError(f"{table.name} has no rows for which {file.spec.where} is true")
    data.unique(ids, table.name)
    shots = _Shots(file, renderer, options, table.split)

    def build(position: int) -> Sample:
        index = indices[position]
        row = table.read(index, table.columns)
        asked = rows.asked(index, row)
        assert asked is not None, "rows that are no samples are left out"
        return _sample(rows, index, asked, _media(file.spec, row, table, index), shots, options)

    plugins = [metric.name for metric in plugin_metrics(file.spec)]
    facts: dict[str, Json] = {
        "source": "own file", "folder": str(table.folder), "split": table.split, **table.facts,
        "definition": file.text, "definition_digest": file.digest, "modalities": sorted({"text", *modalities}),
        **({"metrics": {name: _source_digest(name) for name in plugins}} if plugins else {}),
        **({"shots": shots.count, "examples": shots.facts} if shots.count else {}),
    }  # fmt: skip
    return Samples(ids, build, facts)


def _source_digest(name: str) -> str:
    """Return the digest of the module that defines a metric: another source is another run."""
    source = inspect.getsourcefile(METRICS.get(name).value)
    return data.digest(Path(source))[:16] if source is not None and Path(source).is_file() else "unknown"


def _table(file: TaskFile, options: Options, split: str | None) -> DataTable:
    """Open a split of the data that the user named, or else of those that the file names."""
    spec = file.spec
    if options.data is not None:
        is_file = options.data.is_file()
        return open_table(options.data, split if is_file else split or spec.split)
    if spec.data is None:
        raise InputError(f"{file.path} names no data: add the key data, or give --data")
    if spec.data.startswith(HUB):
        if options.scale != "full":
            raise InputError(
                f"task {spec.name} has no bundled data: --scale full reads {spec.data}, and --data FILE your own copy"
            )
        return open_table(Path(spec.data), split or spec.split)
    try:
        source = data.inside(file.path.parent, spec.data)
    except InputError as error:
        raise InputError(f"{file.path}: data: {error}") from error
    return open_table(source, split if source.is_file() else split or spec.split)


def _media(spec: TaskSpec, row: Mapping[str, Any], table: DataTable, index: int) -> list[Part]:
    try:
        images = [image for column in spec.images for image in images_of(value_of(row, column), table)]
        clip = audio_of(value_of(row, spec.audio), table) if spec.audio else None
    except InputError as error:
        raise InputError(f"{table.name}, {table.place(index)}: {error}") from error
    return [*images, *([clip] if clip is not None else [])]


class _Shots:
    """Few-shot examples."""

    def __init__(self, file: TaskFile, renderer: RowRenderer, options: Options, split: str) -> None:
        spec = file.spec.examples
        self.count = options.shots if options.shots is not None else spec.count if spec else 0
        self.facts: Json = None
        self._same, self._seed = options.same_shots, options.seed
        if not self.count:
            return
        if spec is None:
            raise InputError(f"--shots {self.count}: {file.path} has no key examples, which says where they come from")
        self._spec = spec
        table = _table(file, options, spec.split)
        if table.split == split and options.data is not None and options.data.is_file():
            raise InputError(f"--shots {self.count}: {options.data} is one split, and examples come from {spec.split}")
        self._rows = TaskRows(file, table, renderer)
        self._text = functools.lru_cache(maxsize=4_096)(self._rows.example)
        self.facts = {"split": table.split, **table.facts}
        self._by_subset: dict[str, list[int]] = {}
        if spec.same_subset:
            for index in range(len(table)):
                self._by_subset.setdefault(self._rows.subset(index), []).append(index)

    def of(self, asked: AskedRow) -> tuple[str, ...]:
        """Return the examples of a sample. Raises `InputError` if there are too few."""
        if not self.count:
            return ()
        pool: Sequence[int] = range(len(self._rows.table))
        if self._spec.same_subset:
            pool = self._by_subset.get(asked.subset, [])
        if len(pool) < self.count:
            where = f"{self._rows.table.name}{f' of subset {asked.subset}' if self._spec.same_subset else ''}"
            raise InputError(f"--shots {self.count} is more than the {counted(len(pool), 'row')} of {where}")
        if self._spec.order == "first":
            return tuple(map(self._text, pool[: self.count]))
        rng = random.Random(f"{self._seed}/{asked.subset if self._same else asked.id}")
        return tuple(map(self._text, rng.sample(pool, self.count)))


def _sample(rows: TaskRows, index: int, asked: AskedRow, media: list[Part], shots: _Shots, options: Options) -> Sample:
    spec = rows.spec
    texts, examples = rows.texts(index, asked), shots.of(asked)
    leading = texts["description"] + "".join(examples)
    parts: tuple[Part, ...] = (*media, *([leading] if leading else []), texts["prompt"])
    right = ""
    if spec.ask == "choose":
        continuations = rows.continuations(index, asked)
        right = continuations[asked.right or 0]
        request: Choose | Generate = Choose(
            asked.id, parts, continuations, normalise=spec.normalise, examples=examples
        )  # fmt: skip
    else:
        request = Generate(
            asked.id, parts, spec.max_new_tokens, tuple(spec.stop), temperature=options.temperature,
            top_p=options.top_p, seed=options.seed, examples=examples,
        )  # fmt: skip
    labels = {"read": asked.read} if spec.answer.read_by else {}
    labels |= {"subset": asked.subset} if asked.subset else {}
    place = f"{rows.table.name}, {rows.table.place(index)}"
    return Sample(
        asked.id,
        (request,),
        target(spec, asked, right, place),
        asked.cluster or _key(media),
        labels,
    )


def _key(media: Sequence[Part]) -> str:
    """Return the identity of the first image or clip, which questions about it share; "" without media."""
    return next((part.key for part in media if not isinstance(part, str)), "")


def target(spec: TaskSpec, asked: AskedRow, continuation: str, place: str) -> Json:
    """Return the reference of a sample: the right continuation, its label or text, or the right answers.

    Raises:
        InputError: there is no answer that an output could equal.
    """
    if spec.ask == "choose":
        return continuation
    if asked.read == "letter":
        if asked.right is None:
            raise InputError(f"{place}: read letter needs choices")
        return asked.labels[asked.right]
    if asked.read == "label":
        return asked.choices[asked.right or 0]
    try:
        answers = answers_of(asked.target)
    except InputError as error:
        raise InputError(f"{place}: target is {error}") from error
    if not answers or not all(label_of(answer) for answer in answers):
        raise InputError(f"{place}: target {shorten(asked.target, 40)} is empty: no answer could be right")
    return answers[0] if asked.read in {"number", "math"} else answers
