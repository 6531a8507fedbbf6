"""Mini GLUE: all nine tasks of GLUE in a small English, in the hub's columns, with the official labels.

    wnli   {"sentence1": "Anna lent Clara some money because she was poor.", "sentence2": "Clara was poor.", "label": 1}

A row is seeded by its task, split and number, so any row can be generated alone. Every row has a key that names what it
combines (an action and a thing, a schema and its names); a fifth of all keys occur in the validation splits only.
`train` is endless; its first `SHOTS` rows are bundled, for few-shot examples.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from evals.tasks.mini import BUNDLED, math
from evals.tasks.mini.language.english import Draft
from evals.tasks.mini.language.entailment import mnli, rte
from evals.tasks.mini.language.pairs import mrpc, qnli, qqp, stsb
from evals.tasks.mini.language.pronouns import wnli
from evals.tasks.mini.language.sentences import cola, sst2

if TYPE_CHECKING:
    import pyarrow

ITEMS = 200
"""Number of rows of each bundled validation split."""

SHOTS = 64
"""Number of rows of each bundled train split."""

PROBLEMS = 300
"""Number of rows of the bundled validation split of mini math."""


HubRow = dict[str, str | int | float]
"""A row in the hub's columns."""


class RowGenerator(NamedTuple):
    """How the rows of one task are generated."""

    make: Callable[[Random, float], Draft]
    columns: tuple[str, ...]
    shares: tuple[float, ...] = ()
    """Frequency of each label, about as in the real task; empty for STS-B, whose labels come from its rows."""
    splits: tuple[str, ...] = ("train", "validation")


TABLE = {
    "cola": RowGenerator(cola, ("sentence",), (0.3, 0.7)),
    "sst2": RowGenerator(sst2, ("sentence",), (0.49, 0.51)),
    "mrpc": RowGenerator(mrpc, ("sentence1", "sentence2"), (0.32, 0.68)),
    "stsb": RowGenerator(stsb, ("sentence1", "sentence2")),
    "qqp": RowGenerator(qqp, ("question1", "question2"), (0.63, 0.37)),
    "mnli": RowGenerator(
        mnli,
        ("premise", "hypothesis"),
        (0.35, 0.32, 0.33),
        ("train", "validation_matched", "validation_mismatched"),
    ),
    "qnli": RowGenerator(qnli, ("question", "sentence"), (0.5, 0.5)),
    "rte": RowGenerator(rte, ("sentence1", "sentence2"), (0.52, 0.48)),
    "wnli": RowGenerator(wnli, ("sentence1", "sentence2"), (0.52, 0.48)),
}


def row(task: str, split: str, index: int) -> HubRow:
    """Generate one row.

    Args:
        task: a key of `TABLE`.
        split: one of the task's splits; any other name gives another endless stream of training rows.
        index: the number of the row, from 0.
    """
    bench = TABLE[task]
    rng = Random(f"mini glue {task} {split}:{index}")
    label = rng.choices(range(len(bench.shares)), bench.shares)[0] if bench.shares else 0
    make = partial(mnli, genre="mismatched") if split.startswith("validation_mismatched") else bench.make
    while True:
        draft = make(rng, label)
        if is_held_out(draft.key) == split.startswith("validation"):
            label_ = label if bench.shares else draft.score
            return {**dict(zip(bench.columns, draft.texts, strict=True)), "label": label_, "idx": index}


def is_held_out(key: str) -> bool:
    """Return whether rows with this key belong to the validation splits."""
    return crc32(key.encode()) % 5 == 0


def rows(task: str, split: str) -> list[HubRow]:
    """Generate the rows of a bundled split, without repetitions; `math` is a task here too."""
    if task == "math":
        problems = (math.problem(split, index) for index in range(SHOTS if split == "train" else PROBLEMS))
        return [{"question": problem.question, "answer": problem.answer} for problem in problems]
    distinct: dict[tuple[object, ...], HubRow] = {}
    for index in count():
        new = row(task, split, index)
        distinct.setdefault(tuple(new[column] for column in TABLE[task].columns), new)
        if len(distinct) == (SHOTS if split == "train" else ITEMS):
            break
    return list(distinct.values())


def files() -> dict[Path, tuple[str, str]]:
    """Map the path of each bundled file to its task and split."""
    glue_files = {
        BUNDLED / f"glue/{task}-{split}.parquet": (task, split)
        for task, bench in TABLE.items()
        for split in bench.splits
    }
    return {**glue_files, **{BUNDLED / f"math/{split}.parquet": ("math", split) for split in ("train", "validation")}}


def table(task: str, split: str) -> pyarrow.Table:
    """Return a bundled split as a table with the hub's column types."""
    import pyarrow

    split_rows = rows(task, split)
    types = {"label": pyarrow.float32() if task == "stsb" else pyarrow.int64(), "idx": pyarrow.int32()}
    schema = pyarrow.schema([(column, types.get(column, pyarrow.string())) for column in split_rows[0]])
    return pyarrow.Table.from_pylist(split_rows, schema=schema)


def write() -> None:
    """Write all bundled files."""
    from pyarrow import parquet

    for path, (task, split) in files().items():
        path.parent.mkdir(exist_ok=True)
        parquet.write_table(table(task, split), path, compression="zstd")


def differences() -> list[str]:
    """List the bundled files that differ from the generators in content; their encoding is not compared."""
    from pyarrow import parquet

    return [
        f"{path.name} differs"
        for path, (task, split) in files().items()
        if not path.exists() or not parquet.read_table(path).equals(table(task, split))
    ]
