"""Read the rows of a GLUE task from a user's table: its texts, by the hub's names of the columns, and `label`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from evals.data.row_tables import RowField
from evals.errors import InputError, shorten
from evals.schema import Json, Options
from evals.tasks.formats.glue import GlueRow, GlueSplit, row_label
from evals.tasks.formats.own_tables import OwnTable, open_rows, open_train
from evals.tasks.glue_tasks import Subtask

_LABELS = ("target", "answer", "gold_label", "gold", "class", "category", "score", "similarity", "sentiment", "output")
_ONE_TEXT = ("text", "review", "content", "input")
_FIRST = ("text1", "text_a", "premise", "question1", "s1", "sentence_a", "first")
_SECOND = ("text2", "text_b", "hypothesis", "question2", "s2", "sentence_b", "second")
_ALIASES: Mapping[str, tuple[str, ...]] = {
    "sentence1": _FIRST, "question1": ("sentence1", *_FIRST), "premise": ("sentence1", *_FIRST),
    "sentence2": _SECOND, "question2": ("sentence2", *_SECOND), "hypothesis": ("sentence2", *_SECOND),
    "question": ("query",),
}  # fmt: skip


@dataclass(frozen=True)
class GlueTable:
    """The rows of a user's table for one of the nine tasks."""

    split: str
    """A name of the hub's splits, which says the set of MNLI."""
    rows: GlueSplit
    train: GlueSplit | None
    """The rows of its split `train`, if examples or a probe need them."""
    facts: dict[str, Json]


def fetched(repository: str, names: Sequence[str], options: Options) -> tuple[Options, dict[str, Json]]:
    """Return the options with the folder of the hub's files of some tasks, which are downloaded at their first use."""
    from evals.data.row_tables.hub_files import official

    facts: dict[str, Json] = {}
    for name in names:
        folder, facts = official(repository, [f"{name}/*.parquet"], name)
    return replace(options, data=folder), facts


def fields_of(task: Subtask) -> tuple[RowField, ...]:
    """Return the fields of a task's rows.

    Example:
        >>> from evals.tasks.glue_tasks import TABLE
        >>> [field.name for field in fields_of(TABLE["qnli"])]
        ['question', 'sentence', 'label']
    """
    texts = [
        RowField(name, _ALIASES.get(name) or (_ONE_TEXT if len(task.columns) == 1 else ("text", "context")), True)
        for name in task.columns
    ]
    return (*texts, RowField("label", _LABELS, required=True))


def read(task: Subtask, options: Options) -> GlueTable:
    """Read the rows of a user's table.

    Raises:
        InputError: a field has no column, a text is missing, or a label is none of the task's; the message names the
            row. There is no split `train`, and few-shot examples or a probe need one.
    """
    assert options.data is not None, "the table is named by it"
    fields = fields_of(task)
    source = open_rows(fields, options.data, options.split, options.columns)
    train = None
    if options.shots or options.method == "probe":
        why = f"--shots {options.shots}" if options.shots else "--method probe"
        train = open_train(fields, options, source, why)
    facts = source.facts | ({"examples": train.table.facts} if train is not None else {})
    (split, *others) = task.sizes
    if source.table.split.endswith("mismatched") and others:
        split = others[0]
    return GlueTable(split, _rows(task, source), None if train is None else _rows(task, train), facts)


def _rows(task: Subtask, source: OwnTable) -> GlueSplit:
    rows = []
    for row in source:
        texts = {name: row.text(name) for name in task.columns}
        label = row_label(task, row.values["label"], row.place)
        if label is None:
            raise InputError(f"{row.place}: label is {shorten(row.values['label'], 40)}: nothing could be right")
        rows.append(GlueRow(texts, label))
    return GlueSplit(rows, "own file", [])
