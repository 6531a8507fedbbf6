"""Read questions about images from a user's table, for the task `vqa`: VQA 2.0's scores of other questions.

The usual tables of the hub have the columns `question`, `image`, `answers` (texts, or `{"answer": …}` of each
annotator), `question_id`, `image_id`, `question_type` and `answer_type`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals.data import listing_digest, unique
from evals.data.row_tables import RowField
from evals.data.row_tables.cells import answers_of, images_of, text_of
from evals.data.row_tables.row_ids import RowNumbers
from evals.errors import InputError, counted, shorten
from evals.schema import Image, Json, Options
from evals.tasks.formats.own_tables import FieldRow, OwnTable, open_rows

ANNOTATORS = 10
"""Annotators of a question of VQA 2.0; a single answer counts as that of all."""
_FEWEST = 4
"""Fewest annotators among whom an answer can score 1."""
FIELDS = (
    RowField("question", ("text", "prompt", "query"), required=True),
    RowField("image", ("img", "picture", "photo", "image_path", "file_name", "filename"), required=True),
    RowField("answers", ("answer", "direct_answers", "target", "multiple_choice_answer", "label"), required=True),
    RowField("id", ("question_id", "qid", "uid")),
    RowField("image_id"),
    RowField("answer_type"),
    RowField("question_type"),
)


@dataclass(frozen=True)
class ImageQuestion:
    """A question about an image."""

    question: str
    image: Image
    answers: Sequence[str]
    """One per annotator."""
    image_id: str
    labels: Mapping[str, str]


class QuestionTable:
    """The questions of a user's table; a question is read when it is needed."""

    def __init__(self, data: Path, options: Options, *, split: str | None) -> None:
        """Open the table, and check every row; the images of a data set of the hub are read when they are needed.

        Args:
            data: the table.
            options: the options of the run.
            split: the split; None for the only one.

        Raises:
            InputError: a field has no column, or a row lacks a question, an image or answers; the message names it.
        """
        self._source = open_rows(FIELDS, data, split, options.columns)
        self.facts: dict[str, Json] = self._source.facts
        self.ids: Sequence[str] = RowNumbers(len(self._source.table), self._source.table.number)
        ids: list[str] = []
        paths = set()
        is_hub = self.facts["source"] == "hub"
        for row in self._source.rows(without="image") if is_hub else self._source:
            row.text("question")
            annotators(row)
            if not is_hub:
                paths.add(self._question(row).image.path)
            if "id" in row.values:
                ids.append(row.optional_text("id") or str(self._source.table.number(row.index)))
        unique(ids, self._source.table.name)
        self.ids = ids or self.ids
        self.facts["media"] = listing_digest(path for path in paths if path is not None and path.is_file())

    def __getitem__(self, index: int) -> ImageQuestion:
        """Return a question."""
        table = self._source.table
        values = {field: self._source.value(index, field) for field in self._source.match.columns}
        return self._question(FieldRow(f"{table.name}, {table.place(index)}", index, values))

    def _question(self, row: FieldRow) -> ImageQuestion:
        images = _images(self._source, row)
        if len(images) != 1:
            raise InputError(f"{row.place}: {counted(len(images), 'image')}, expected one")
        labels = {
            name.replace("_", " "): text
            for name in ("answer_type", "question_type")
            if (text := row.optional_text(name))
        }
        image_id = row.optional_text("image_id") or images[0].key
        return ImageQuestion(row.text("question"), images[0], annotators(row), image_id, labels)


def _images(source: OwnTable, row: FieldRow) -> list[Image]:
    try:
        return images_of(row.values.get("image"), source.table)
    except InputError as error:
        raise InputError(f"{row.place}: {error}") from error


def annotators(row: FieldRow) -> list[str]:
    """Return the answers of a row, one per annotator.

    Raises:
        InputError: there is none, or there are two or three: no answer could score 1.

    Example:
        >>> annotators(FieldRow("t, row 1", 0, {"answers": "red"}))[8:]
        ['red', 'red']
        >>> annotators(FieldRow("t, row 1", 0, {"answers": [{"answer": "red"}] * 3 + [{"answer": "pink"}]}))
        ['red', 'red', 'red', 'pink']
    """
    value = row.values.get("answers")
    try:
        if isinstance(value, list):
            entries = [entry.get("answer") if isinstance(entry, Mapping) else entry for entry in value]
            texts = [text for text in map(text_of, entries) if text is not None]
        else:
            texts = answers_of(value)[:1] if isinstance(value, float) else answers_of(value)
    except InputError as error:
        raise InputError(f"{row.place}: answers is {error}") from error
    if len(texts) == 1 and texts[0].strip().startswith("[") and texts[0].strip().endswith("]"):
        raise InputError(
            f"{row.place}: answers is the text {shorten(texts[0], 30)}, which looks like a list: JSON Lines and "
            f"Parquet hold lists"
        )
    if len(texts) == 1:
        return texts * ANNOTATORS
    if len(texts) < _FEWEST:
        raise InputError(
            f"{row.place}: {counted(len(texts), 'answer')}; expected one, or those of {_FEWEST} or more annotators: "
            f"among fewer, no answer scores 1"
        )
    return texts
