"""Your own questions: rows of text, images and audio in a table, each with the right answer.

    python -m evals run --model vl --task custom --data questions.csv

The table is CSV, TSV, JSON, JSON Lines, Parquet, Arrow, a folder of `save_to_disk`, a zip of images, or a data set of
the hub (`evals.data.row_tables`). A row, in JSON Lines:

    {"text": "What color is the star?", "image": "images/7.png", "target": "red"}

`text`, `image` and `audio` are the prompt; at least one is required, and image and audio come before the text. `image`
is a path relative to the file's folder, or the image itself: bytes, or base64, bare or as a data URL. A path cannot
leave the folder. `target` is the right answer, or a list of answers of which any is right. `id` names the row; the
default is the number of its line or row. `subset` and `cluster`, which `--columns` names, split the metrics and join
rows that are not independent. `--columns text=question,target=answer` says which column is which; usual names are
guessed, and a line says so.

A model that lacks a modality of any row is refused by name before it is loaded.

`accuracy`: an answer is right if it equals a target after both are normalised: Unicode NFKC, case folding, white space
runs replaced by one space, and punctuation, quotes and brackets stripped from both ends. Nothing else is removed: -5 is
not 5, 3.5 is not 35 and C++ is not C. `contains`: whether a normalised target occurs in the normalised output outside
longer words and numbers.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from evals import data
from evals.data.row_tables import ColumnMatch, DataTable, RowField, match_columns, open_table
from evals.data.row_tables.cells import answers_of, audio_of, images_of, text_of, value_of
from evals.data.row_tables.row_ids import RowNumbers
from evals.data.row_tables.table import RowValues, folder_fact
from evals.errors import InputError, shorten
from evals.registry import TASKS
from evals.schema import (
    MODALITIES,
    Audio,
    Generate,
    Image,
    Json,
    Metric,
    Options,
    Part,
    Prediction,
    PromptTemplates,
    Sample,
    Samples,
    Score,
    Task,
)
from evals.tasks.formats import plain_templates
from evals.tasks.scoring.answer_texts import normalised, occurs

MAX_NEW_TOKENS = 64
SOURCE = "custom reads rows of text, image, audio and target from a table: name it with --data FILE.jsonl (or .csv, …)"
FIELDS = (
    RowField("text", ("question", "prompt", "input", "query", "instruction", "problem")),
    RowField("image", ("img", "picture", "photo", "image_path", "image_file", "file_name", "filename", "images")),
    RowField("audio", ("sound", "speech", "wav", "audio_path", "audio_file", "clip")),
    RowField(
        "target",
        ("answer", "answers", "label", "expected", "expected_output", "reference", "gold", "output", "solution"),
        required=True,
    ),
    RowField("id", ("question_id", "example_id", "row_id", "qid", "uid", "uuid")),
    RowField("subset"),
    RowField("cluster"),
)
TEMPLATES = (
    "{{ text }}",
    "Question: {{ text }}\nAnswer:",
    "Q: {{ text }}\nA:",
    "{{ text }}\nAnswer with the answer only.",
    "Please answer this question.\n{{ text }}",
)
"""Ways to ask a row: as it is, and four others (`--prompts`)."""


# Samples


def samples(options: Options) -> Samples:
    """Read a table, or the only one of a folder.

    Raises:
        InputError: there is no such table, a column is missing, or a row is malformed, has neither text, image nor
            audio, has no target, repeats an id or names a path outside the folder; the message names the row.
    """
    if options.data is None:
        raise InputError(SOURCE)
    table = open_table(options.data, options.split)
    match = match_columns(FIELDS, table, options.columns)
    if not {"text", "image", "audio"} & match.columns.keys():
        raise InputError(
            f"{table.name} has no column for text, image or audio; its columns are {', '.join(table.columns)}: choose "
            f"one with --columns text=COLUMN"
        )
    checked = _CheckedRows(table, match)
    ids = checked.ids

    def build(index: int) -> Sample:
        row = table.read(index, checked.read_columns)
        parts = _worded(_parts(row, match, table, index), options.prompt, f"{table.name}, {table.place(index)}")
        request = Generate(
            ids[index], parts, MAX_NEW_TOKENS, temperature=options.temperature, top_p=options.top_p, seed=options.seed
        )
        named = {name: text_of(value_of(row, match.columns[name])) or "" for name in _LABELS if name in match.columns}
        labels = {"shows": _shows(parts)} | ({"subset": named["subset"]} if "subset" in named else {})
        media = next((part.key for part in parts if not isinstance(part, str)), "")
        return Sample(
            ids[index],
            requests=(request,),
            target=_targets(row, match, table, index),
            cluster=named.get("cluster", media),
            labels=labels,
        )

    match.announce(table)
    facts: dict[str, Json] = {
        "source": "own file",
        "folder": folder_fact(table),
        "split": table.split,
        **table.facts,
        "columns": dict(match.columns),
        "modalities": sorted(checked.modalities),
        "media": data.listing_digest(path for path in checked.paths if path.is_file()),
    }
    return Samples(ids, build, facts)


_LABELS = ("subset", "cluster")


class _CheckedRows:
    """The ids of all rows, which are read once, and what they show."""

    def __init__(self, table: DataTable, match: ColumnMatch) -> None:
        """Read and check every row; nothing but stated ids and names of files is kept."""
        self.read_columns = match.read_from(table)
        self.modalities: set[str] = set()
        self.paths = set()
        id_column = match.columns.get("id")
        self.ids: Sequence[str] = RowNumbers(len(table), table.number)
        ids: list[str] = []
        for index, row in enumerate(table.rows(self.read_columns)):
            match.check(row, f"{table.name}, {table.place(index)}")
            parts = _parts(row, match, table, index)
            _targets(row, match, table, index)
            self.modalities |= {MODALITIES[type(part)] for part in parts}
            self.paths |= {part.path for part in parts if not isinstance(part, str) and part.path is not None}
            if id_column is not None:
                ids.append(_text(value_of(row, id_column), "id", table, index) or str(table.number(index)))
        if id_column is not None and ("id" not in match.guessed or len(set(ids)) == len(ids)):
            data.unique(ids, table.name)  # guessed ids that repeat are ids of something else
            self.ids = ids


def _text(value: Json, field: str, table: DataTable, index: int) -> str | None:
    try:
        return text_of(value)
    except InputError as error:
        raise InputError(f"{table.name}, {table.place(index)}: {field} is {error}") from error


def _targets(row: RowValues, match: ColumnMatch, table: DataTable, index: int) -> list[str]:
    """Return the right answers of a row. Raises `InputError` if there is none, or one that no output could equal."""
    where, value = f"{table.name}, {table.place(index)}", value_of(row, match.columns["target"])
    try:
        targets = answers_of(value)
    except InputError as error:
        raise InputError(f"{where}: target is {error}") from error
    if not targets or not all(map(normalised, targets)):
        shown = (
            "is missing" if value is None or value != value else f"{shorten(value, 40)} is empty once it is normalised"
        )
        raise InputError(f"{where}: target {shown}: no answer could be right")
    return targets


def _parts(row: RowValues, match: ColumnMatch, table: DataTable, index: int) -> tuple[Part, ...]:
    """Return the parts of the prompt, in the order in which the model reads them."""
    where = f"{table.name}, {table.place(index)}"
    values = {name: value_of(row, match.columns[name]) for name in ("text", "image", "audio") if name in match.columns}
    for name in ("image", "audio"):
        value = values.get(name)
        if isinstance(value, str) and not value.strip():  # the text alone would be another question
            raise InputError(f"{where}: {name} is empty: give a path, or leave it out")
    try:
        images: list[Image] = images_of(values.get("image"), table)
        clip: Audio | None = audio_of(values.get("audio"), table)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    text = _text(values.get("text"), "text", table, index)
    parts: list[Part] = [*images, *([clip] if clip is not None else []), *([text] if text else [])]
    if not parts:
        raise InputError(f"{where}: the row has no prompt: give it a text, an image or an audio file")
    return tuple(parts)


def _worded(parts: tuple[Part, ...], template: str | None, where: str) -> tuple[Part, ...]:
    """Put the text of a row into the template that the user chose. Raises `InputError` for a row without text."""
    if template is None:
        return parts
    if not isinstance(parts[-1], str):
        raise InputError(f"{where}: the row has no text, which the template of --prompts is about")
    return (*parts[:-1], plain_templates.fill(template, {"text": parts[-1]}))


def _shows(parts: Sequence[Part]) -> str:
    """Name the modalities of a prompt, in their order."""
    return "+".join(dict.fromkeys(MODALITIES[type(part)] for part in parts))


# Scores


def score(samples: Sequence[Sample], predictions: Mapping[str, Sequence[Prediction]]) -> list[Score]:
    """Compare each output with its targets. A sample without output is wrong and marked as failed.

    Raises:
        InputError: an output is not text.
    """
    return [_score(sample, *predictions[sample.id]) for sample in samples]


def _score(sample: Sample, prediction: Prediction) -> Score:
    failed = prediction.failure is not None
    answer, targets = normalised(prediction.text()), [target for target in map(normalised, sample.target) if target]
    values = {
        "accuracy": float(not failed and answer in targets),
        "contains": float(not failed and any(occurs(target, answer) for target in targets)),
    }
    return Score.of(sample, answer=answer or None, values=values, failed=failed)


def summarise(scores: Sequence[Score]) -> dict[str, Metric]:
    """Average over all rows, by subset if there are any, and by modalities if rows differ in them.

    Rows about one image or audio file, or of one cluster, are one unit of the 95 % intervals.
    """
    from evals.metrics.estimates import Mean, means

    metrics_by_name = {"accuracy": Mean("accuracy"), "contains": Mean("contains")}
    shows = sorted({score.labels["shows"] for score in scores})
    if len(shows) > 1:
        metrics_by_name |= {f"accuracy/{modalities}": Mean("accuracy", "shows", modalities) for modalities in shows}
    for subset in sorted({score.labels["subset"] for score in scores if score.labels.get("subset")}):
        metrics_by_name[f"accuracy/{subset}"] = Mean("accuracy", "subset", subset)
    return means(scores, metrics_by_name)


TASKS.add(
    Task(
        name="custom",
        summary="your own rows of text, images and audio, exact match",
        version=1,
        needs="generate",
        supported_options=frozenset({"columns", "prompt"}),
        prompts=PromptTemplates(lambda: TEMPLATES, functools.partial(plain_templates.check, fields=("text",))),
        splits=("all",),
        headline="accuracy",
        samples=samples,
        score=score,
        summarise=summarise,
    )
)
