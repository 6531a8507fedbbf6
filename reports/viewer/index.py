"""An index of the samples of some runs: what is filtered and sorted by is in a database, the rest stays in the logs.

A row of the index has a sample's place in its log, its score, what became of it, its labels, and the beginnings of its
texts. A search for a text reads the log once, and its result is remembered; so are the pairs of two runs (`pairing`).
200,000 samples take about 100 MB of a
temporary file and no memory to speak of.
"""

from __future__ import annotations

import functools
import json
import sqlite3
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from evals.errors import InputError, UnknownName
from evals.logs.matching import are_of_one_benchmark
from evals.records import files
from evals.records.digests import base_signature
from evals.records.folder import SAMPLES, Record
from evals.records.types import SampleRecord
from evals.reports.rendering.formatting import json_text, visible
from evals.reports.runs.naming import labels_of
from evals.reports.runs.worst_samples import sample_value
from evals.reports.samples.choosing import STATES
from evals.reports.viewer import contents, pairing
from evals.schema import Json

_SHOWN = 240
"""Characters of a text in a list."""
PAGE = 50
"""Samples of a page of the list."""
SORTS = {
    "id": "a.position",
    "score": "a.score",
    "-score": "a.score DESC",
    "length": "a.length",
    "-length": "a.length DESC",
}
_COLUMNS = (
    "position", "id", "score", "states", "question", "answer", "expected", "other_id", "other_answer", "other_score",
)  # fmt: skip
"""What a list says of a sample, and of the one of another run that is shown beside it."""
_TABLE = """
CREATE TABLE sample (
    run INTEGER, position INTEGER, id TEXT, place INTEGER, score REAL, states TEXT, length INTEGER,
    question TEXT, answer TEXT, expected TEXT, labels TEXT, PRIMARY KEY (run, position)
);
CREATE INDEX ids ON sample (run, id);
"""


@dataclass(frozen=True, slots=True)
class SampleQuery:
    """Which samples of a run a page shows."""

    run: int
    state: str = ""
    """A key of `STATES`, or empty for all."""
    label: str = ""
    """A label as `NAME=TEXT`, or empty for all."""
    text: str = ""
    """A text that occurs in prompt, output, answer, target or thought, in any case."""
    sort: str = "id"
    """A key of `SORTS`."""
    other: int | None = None
    """A run that is shown beside it."""
    flips: bool = False
    """Only samples whose scores differ between the two."""
    offset: int = 0
    count: int = PAGE


class RunIndex:
    """The samples of some finished runs."""

    def __init__(self, records: Sequence[Record]) -> None:
        """Read the runs once.

        Raises:
            InputError: a run is not finished, or a file of it is damaged.
        """
        self.records = tuple(records)
        self._lock = threading.Lock()
        self._file = tempfile.NamedTemporaryFile(prefix="evals-view-", suffix=".sqlite")  # noqa: SIM115
        self._database = sqlite3.connect(self._file.name, check_same_thread=False)
        self._database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _TABLE)
        self._pairs = pairing.PairIndex(self._database, self.records)
        self._labels: list[dict[str, list[str]]] = []
        for number, record in enumerate(self.records):
            self._add(number, record)
        self._database.commit()
        self._matching = functools.lru_cache(maxsize=32)(self._searched)

    def close(self) -> None:
        """Remove the database."""
        self._database.close()
        self._file.close()

    def _add(self, run: int, record: Record) -> None:
        record.finished()
        path = record.folder / SAMPLES
        signature = base_signature(record.manifest.to_dict())
        places = {id: place for _, id, place in files.keys(path, signature)} if path.exists() else {}
        labels: dict[str, dict[str, None]] = {}

        def rows() -> Iterator[tuple[Json, ...]]:
            for row in record.samples():
                for name, label in labels_of(row).items():
                    labels.setdefault(name, {})[label] = None
                states = " ".join(name for name, holds in STATES.items() if holds(row, record))
                yield (
                    run, row.index, row.id, places[row.id], sample_value(row, record), f" {states} ",
                    len(json_text(row.output)), visible(row.prompt, _SHOWN), visible(json_text(row.answer), _SHOWN),
                    visible(json_text(row.target), _SHOWN), json.dumps(labels_of(row)),
                )  # fmt: skip

        self._database.executemany(f"INSERT INTO sample VALUES ({', '.join('?' * 11)})", rows())
        self._labels.append({name: sorted(texts)[:200] for name, texts in sorted(labels.items())})

    def runs(self) -> list[Json]:
        """Describe the runs: titles, metrics, counts, the labels that samples have, and the runs to show beside."""
        names = contents.names([record.folder for record in self.records])
        return [
            {
                "number": number,
                "name": name,
                **contents.describe_run(record),
                "labels": labels,
                "others": {
                    str(other): contents.protocols(record, self.records[other]) for other in self._others(number)
                },
            }
            for number, (name, record, labels) in enumerate(zip(names, self.records, self._labels, strict=True))
        ]

    def _others(self, run: int) -> list[int]:
        records = self.records
        return [
            other
            for other in range(len(records))
            if other != run and are_of_one_benchmark(records[run], records[other])
        ]

    def pairs(self) -> dict[int, dict[int, dict[int, tuple[int, float | None]]]]:
        """Return the pairs of samples by run, other run and position, where ids and scores alone do not tell them."""
        with self._lock:
            return {
                run: {
                    other: self._pairs.of(run, other)
                    for other in self._others(run)
                    if not pairing.is_by_ids(self.records[run], self.records[other])
                }
                for run in range(len(self.records))
            }

    def samples(self, query: SampleQuery) -> dict[str, Json]:
        """Return a page of the samples that a query asks for, how many there are, and how many are in the other run.

        Raises:
            InputError: the query names a run, state, label or order that there is not.
        """
        where, values = self._conditions(query)
        joined = ""
        if query.other is not None:
            self._check_run(query.other)
            joined = pairing.JOIN
            values = [query.other, *values]
            if query.flips:
                where.append(pairing.FLIPPED)
        condition = " AND ".join(where)
        beside = "b.id, b.answer, p.score" if joined else "NULL, NULL, NULL"
        paired = None
        with self._lock:
            if query.other is not None:
                self._pairs.add(query.run, query.other)
                (paired,) = self._database.execute(pairing.COUNT, (query.run, query.other)).fetchone()
            (matching,) = self._database.execute(
                f"SELECT COUNT(*) FROM sample a {joined} WHERE {condition}", values
            ).fetchone()
            listed = self._database.execute(
                f"SELECT a.position, a.id, a.score, a.states, a.question, a.answer, a.expected, {beside} FROM sample a "
                f"{joined} WHERE {condition} ORDER BY {SORTS[query.sort]}, a.position LIMIT ? OFFSET ?",
                [*values, query.count, query.offset],
            ).fetchall()
        rows: list[Json] = [dict(zip(_COLUMNS, row, strict=True)) for row in listed]
        return {"matching": matching, "total": len_of(self, query.run), "paired": paired, "rows": rows}

    def _conditions(self, query: SampleQuery) -> tuple[list[str], list[Json]]:
        self._check_run(query.run)
        if query.sort not in SORTS:
            raise UnknownName("order", query.sort, SORTS)
        where: list[str] = ["a.run = ?"]
        values: list[Json] = [query.run]
        if query.state:
            if query.state not in STATES:
                raise UnknownName("state", query.state, STATES)
            where.append("a.states LIKE ?")
            values.append(f"% {query.state} %")
        if query.label:
            name, equals, label = query.label.partition("=")
            if not equals:
                raise InputError(f"the label {query.label!r} has no text: expected NAME=TEXT")
            where.append("(SELECT value FROM json_each(a.labels) WHERE key = ?) = ?")
            values += [name, label]
        if query.text:
            positions = self._matching(query.run, query.text.casefold())
            where.append("a.position IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(positions))
        return where, values

    def _check_run(self, run: int) -> None:
        if not 0 <= run < len(self.records):
            raise InputError(f"there is no run {run}: expected 0 to {len(self.records) - 1}")

    def _searched(self, run: int, text: str) -> list[int]:
        """Return the positions of the samples in which a text occurs."""
        return [
            row.index
            for row in self.records[run].samples()
            if any(text in json_text(part).casefold() for part in _texts(row) if part is not None)
        ]

    def sample(self, run: int, id: str, other: int | None = None) -> dict[str, Json]:
        """Return all of one sample, and under `beside` all of that of another run, or None.

        Raises:
            InputError: there is no such run or sample.
        """
        self._check_run(run)
        beside = None
        if other is not None:
            self._check_run(other)
            with self._lock:
                self._pairs.add(run, other)
                pair = self._database.execute(
                    f"SELECT b.id FROM sample a {pairing.JOIN} WHERE a.run = ? AND a.id = ?", (other, run, id)
                ).fetchone()
            beside = self.sample(other, pair[0]) if pair is not None and pair[0] is not None else None
        with self._lock:
            place = self._database.execute("SELECT place FROM sample WHERE run = ? AND id = ?", (run, id)).fetchone()
        if place is None:
            raise InputError(f"run {run} has no sample {id!r}")
        return {**contents.describe_sample(self.records[run], self._row(run, place[0])), "beside": beside}

    def _row(self, run: int, place: int) -> SampleRecord:
        path = self.records[run].folder / SAMPLES
        try:
            with path.open("rb") as file:
                file.seek(place)
                return msgspec.json.decode(file.readline(), type=SampleRecord)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path} has changed since it was read ({error}): start view again") from error


def len_of(index: RunIndex, run: int) -> int:
    """Return the number of samples of a run."""
    return index.records[run].finished().n


def _texts(row: SampleRecord) -> tuple[Json, ...]:
    return row.prompt, row.output, row.answer, row.target, row.thought


def default_records(folder: Path) -> list[Path]:
    """Return the run folders in a folder, the newest first.

    Raises:
        InputError: there is none.
    """
    folders = [path for path in folder.glob("*") if (path / "result.json").is_file()] if folder.is_dir() else []
    if not folders:
        raise InputError(f"{folder} holds no finished run: name run folders")
    return sorted(folders, key=lambda path: -(path / "result.json").stat().st_mtime)
