"""Make samples of the rows of a table, as a task file says."""

from __future__ import annotations

import difflib
import inspect
import random
import re
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals import data
from evals.data.row_tables import DataTable, open_table
from evals.data.row_tables.cells import audio_of, images_of, text_of, value_of
from evals.data.row_tables.columns import shown
from evals.data.row_tables.row_ids import RowNumbers
from evals.data.row_tables.sources import HUB
from evals.data.row_tables.table import folder_fact
from evals.data.templates.renderer import RowRenderer
from evals.errors import InputError, shorten
from evals.registry import METRICS
from evals.schema import MODALITIES, Choose, Generate, Json, Options, Part, Sample, Samples
from evals.tasks.files.choices import RowChoices, choices_of, target_of
from evals.tasks.files.scoring import plugin_metrics
from evals.tasks.files.shots import Shots
from evals.tasks.files.spec import READERS, TaskFile, TaskSpec

_FIRST = ("where", "id", "subset", "cluster", "choices", "labels", "target", "answer.read_by")
"""Expressions, which are computed before the templates: the choices are variables of these."""


@dataclass(frozen=True)
class AskedRow:
    """A row as the task asks it."""

    id: str
    values: Mapping[str, Any]
    """The variables of the templates."""
    choices: RowChoices
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
        if not _is_sample(first, place):
            return None
        id = text_of(first.get("id")) or ""
        if not id and spec.id is not None:
            raise InputError(f"{place}: id is empty; without the key id, rows have their numbers")
        id = id or str(self.table.number(index))
        read = str(first.get("answer.read_by") or spec.answer.read)
        if read not in READERS:
            raise InputError(f"{place}: answer.read_by gives {shorten(read)}; the readers are {', '.join(READERS)}")
        choices = choices_of(
            spec, first.get("choices", spec.choices), first.get("labels", spec.labels), first["target"],
            read=read, place=place,
        )  # fmt: skip
        if spec.shuffle and choices.texts:
            choices = _shuffled(choices, f"{spec.name}/{id}")
        numbered = [
            {"label": label, "text": choice} for label, choice in zip(choices.labels, choices.texts, strict=True)
        ]
        subset = text_of(first.get("subset")) or ""
        if spec.average == "subsets" and not subset:
            raise InputError(f"{place}: subset is empty, and average: subsets needs one for each row")
        return AskedRow(
            id, {**values, "numbered": numbered}, choices, first["target"],
            subset=subset, cluster=text_of(first.get("cluster")) or "", read=read,
        )  # fmt: skip

    def _variables(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the columns without media, also by names in small letters with underscores for other marks.

        A name that would be that of two columns is none of them.
        """
        media = {*self.spec.images, self.spec.audio}
        values = {name: value for name, value in row.items() if name not in media}
        plain = [re.sub(r"\W+", "_", name.strip()).lower() for name in values]
        by_plain_name = {
            name: value for name, value in zip(plain, values.values(), strict=True) if plain.count(name) == 1
        }
        return {**by_plain_name, **values}

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
        self.target(index, asked, "")

    def target(self, index: int, asked: AskedRow, continuation: str) -> Json:
        """Return the reference of a row's sample. Raises `InputError` if no output could be right."""
        place = f"{self.table.name}, {self.table.place(index)}"
        return target_of(
            self.spec, asked.choices, asked.target, read=asked.read, continuation=continuation, place=place
        )

    def continuations(self, index: int, asked: AskedRow) -> tuple[str, ...]:
        """Render the continuation of each choice."""
        place = f"{self.table.name}, {self.table.place(index)}"
        pairs = list(zip(asked.choices.labels, asked.choices.texts, strict=True))
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
        assert asked is not None, "examples are rows that could be samples"
        prompt = self.texts(index, asked)["prompt"]
        if self.spec.ask == "choose":
            return f"{prompt}{self.continuations(index, asked)[asked.choices.right or 0]}\n\n"
        right = None if asked.choices.right is None else asked.choices.labels[asked.choices.right]
        values = {**asked.values, "label": right}
        place = f"{self.table.name}, {self.table.place(index)}"
        return f"{prompt}{self._renderer.render(['examples.answer'], values, place)['examples.answer']}\n\n"

    def subset(self, index: int) -> str | None:
        """Return the subset of a row, "" without any; None if the row is no sample."""
        values = self._variables(self.table.read(index, self.table.columns))
        place = f"{self.table.name}, {self.table.place(index)}"
        first = self._renderer.render(
            [name for name in ("where", "subset") if name in self._expressions], values, place
        )
        return (text_of(first.get("subset")) or "") if _is_sample(first, place) else None


def _is_sample(first: Mapping[str, Any], place: str) -> bool:
    """Return whether `where` holds. Raises `InputError` for a text, such as `false` in a CSV, which would be true."""
    holds = first.get("where", True)
    if isinstance(holds, str):
        raise InputError(f"{place}: where gives the text {shorten(holds)}; compare it: where: COLUMN == 'yes'")
    return bool(holds)


def _shuffled(choices: RowChoices, seed: str) -> RowChoices:
    """Put choices into an order that depends on the seed alone; the labels stay."""
    order = list(range(len(choices.texts)))
    random.Random(seed).shuffle(order)
    return RowChoices(tuple(choices.texts[n] for n in order), choices.labels, order.index(choices.right or 0))


def samples(file: TaskFile, renderer: RowRenderer, options: Options) -> Samples:
    """Read the split of a task file.

    Raises:
        InputError: the data are not there or malformed, or a row cannot be asked; the message names it.
    """
    table = split_of(file, options, options.split)
    _check_media(file, table)
    rows = TaskRows(file, table, renderer)
    stated_ids, indices, modalities = list[str](), array("q"), set[str]()
    for index, row in enumerate(table.rows(table.columns)):
        asked = rows.asked(index, row)
        if asked is not None:
            indices.append(index)
            if file.spec.id is not None:
                stated_ids.append(asked.id)
            rows.check(index, asked)
            modalities |= {MODALITIES[type(part)] for part in _media(file.spec, row, table, index)}
    if not indices:
        raise InputError(f"{table.name} has no rows for which {file.spec.where} is true")
    data.unique(stated_ids, table.name)
    ids = stated_ids or RowNumbers(len(indices), lambda position: table.number(indices[position]))
    shots = Shots.of_split(
        file, options, table.split, lambda split: TaskRows(file, split_of(file, options, split), renderer)
    )

    def build(position: int) -> Sample:
        index = indices[position]
        row = table.read(index, table.columns)
        asked = rows.asked(index, row)
        assert asked is not None, "rows that are no samples are left out"
        return _sample(rows, index, asked, _media(file.spec, row, table, index), shots, options)

    plugins = [metric.name for metric in plugin_metrics(file.spec)]
    facts: dict[str, Json] = {
        "source": "own file", "folder": folder_fact(table), "split": table.split, **table.facts,
        "definition": file.text, "definition_digest": file.digest, "modalities": sorted({"text", *modalities}),
        **({"metrics": {name: _source_digest(name) for name in plugins}} if plugins else {}),
        **({"shots": shots.count, "examples": shots.facts} if shots.count else {}),
    }  # fmt: skip
    return Samples(ids, build, facts)


def _source_digest(name: str) -> str:
    """Return the digest of the module that defines a metric: another source is another run."""
    source = inspect.getsourcefile(METRICS.get(name).value)
    return data.digest(Path(source))[:16] if source is not None and Path(source).is_file() else "unknown"


def split_of(file: TaskFile, options: Options, split: str | None) -> DataTable:
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
    source = default_data(file)
    assert source is not None, "the data are neither missing nor on the hub"
    return open_table(source, split if source.is_file() else split or spec.split)


def default_data(file: TaskFile) -> Path | None:
    """Return the table beside a task file that its key `data` names; None for none, or for a data set of the hub.

    Raises:
        InputError: the table is outside the file's folder.
    """
    if file.spec.data is None or file.spec.data.startswith(HUB):
        return None
    try:
        return data.inside(file.path.parent, file.spec.data)
    except InputError as error:
        raise InputError(f"{file.path}: data: {error}") from error


def _check_media(file: TaskFile, table: DataTable) -> None:
    """Refuse columns of images or audio that a table lacks: the questions would be asked without them.

    Of several columns, such as `image_1` to `image_7`, a table may lack some.
    """
    spec = file.spec
    free = [column for column in table.columns if column not in spec.images]
    for names in (spec.images, [spec.audio] if spec.audio else []):
        missing = [name for name in names if name.partition(".")[0] not in table.columns]
        near = [close for name in missing for close in difflib.get_close_matches(name, free, n=1, cutoff=0.74)]
        if missing and (len(missing) == len(names) or near):
            hint = f"; did you mean {shown(near[0])}" if near else ""
            columns = ", ".join(map(shown, table.columns))
            raise InputError(
                f"{file.path}: {table.name} has no column {shown(missing[0])}{hint}; its columns are {columns}"
            )


def _media(spec: TaskSpec, row: Mapping[str, Any], table: DataTable, index: int) -> list[Part]:
    try:
        images = [image for column in spec.images for image in images_of(value_of(row, column), table)]
        clip = audio_of(value_of(row, spec.audio), table) if spec.audio else None
    except InputError as error:
        raise InputError(f"{table.name}, {table.place(index)}: {error}") from error
    return [*images, *([clip] if clip is not None else [])]


def _sample(rows: TaskRows, index: int, asked: AskedRow, media: list[Part], shots: Shots, options: Options) -> Sample:
    spec = rows.spec
    texts, examples = rows.texts(index, asked), shots.of(index, asked.id, asked.subset)
    leading = texts["description"] + "".join(examples)
    parts: tuple[Part, ...] = (*media, *([leading] if leading else []), texts["prompt"])
    right = ""
    if spec.ask == "choose":
        continuations = rows.continuations(index, asked)
        right = continuations[asked.choices.right or 0]
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
    return Sample(
        asked.id, (request,), rows.target(index, asked, right), cluster=asked.cluster or _key(media), labels=labels
    )


def _key(media: Sequence[Part]) -> str:
    """Return the identity of the first image or clip, which questions about it share; "" without media."""
    return next((part.key for part in media if not isinstance(part, str)), "")
