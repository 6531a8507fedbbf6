"""The samples of two runs side by side: paired as `compare` pairs them, with the score that is compared.

The pairs of two runs are made at the first question about them and stay in the index, so that a page of the list costs
no more than without them. They are kept by positions, since two logs may give one sample two ids.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from evals.logs.matching import SampleKeys, is_matched, sample_keys, sample_pairs
from evals.records.folder import Record

_KEPT = 20
"""Number of runs whose questions are kept: 200,000 take 40 MB."""
TABLE = """
CREATE TABLE pair (
    run INTEGER, other INTEGER, position INTEGER, other_position INTEGER, score REAL, PRIMARY KEY (run, other, position)
) WITHOUT ROWID;
"""
JOIN = (
    "LEFT JOIN pair p ON p.run = a.run AND p.other = ? AND p.position = a.position "
    "LEFT JOIN sample b ON b.run = p.other AND b.position = p.other_position"
)
"""Joins each sample `a` with that of another run, `b`; `p.score` is what is compared with `a.score`."""
COUNT = "SELECT COUNT(*) FROM pair WHERE run = ? AND other = ?"
"""Counts the samples of a run that are in another run too."""
FLIPPED = "a.score IS NOT NULL AND p.score IS NOT NULL AND a.score <> p.score"
"""The condition for samples whose scores differ: as many as `compare` counts as better and worse."""
_BY_IDS = """
INSERT INTO pair SELECT a.run, b.run, a.position, b.position, b.score
FROM sample a JOIN sample b ON b.run = ? AND b.id = a.id WHERE a.run = ?
"""


def is_by_ids(a: Record, b: Record) -> bool:
    """Return whether samples of one id are a pair, and their scores are those of their runs."""
    return not is_matched(a, b) and a.finished().headline == b.finished().headline


class PairIndex:
    """The pairs of samples of some runs, in the database of their index."""

    def __init__(self, database: sqlite3.Connection, records: Sequence[Record]) -> None:
        """Begin without pairs; the caller sees to it that one thread at a time uses the database."""
        database.executescript(TABLE)
        self._database = database
        self._records = records
        self._made: set[tuple[int, int]] = set()
        self._keys: dict[Path, SampleKeys] = {}

    def add(self, run: int, other: int) -> None:
        """Make the pairs of two runs, unless they have been made."""
        if (run, other) in self._made:
            return
        a, b = self._records[run], self._records[other]
        if is_by_ids(a, b):
            self._database.execute(_BY_IDS, (other, run))
        else:
            self._database.executemany("INSERT INTO pair VALUES (?, ?, ?, ?, ?)", self._rows(run, other))
        self._made.add((run, other))

    def _rows(self, run: int, other: int) -> Iterator[tuple[int, int, int, int, float | None]]:
        a, b = self._records[run], self._records[other]
        positions = [
            dict(self._database.execute("SELECT id, position FROM sample WHERE run = ?", (number,)).fetchall())
            for number in (run, other)
        ]
        headline = a.finished().headline
        if headline == b.finished().headline:
            scores = dict(self._database.execute("SELECT id, score FROM sample WHERE run = ?", (other,)).fetchall())
        else:
            scores = {row.id: row.values.get(headline) for row in b.values()}
        pairs = sample_pairs(a, b, self._keys_of)
        if pairs is None:
            pairs = {id: id for id in positions[1] if id in positions[0]}
        for other_id, id in pairs.items():
            yield run, other, positions[0][id], positions[1][other_id], scores.get(other_id)

    def _keys_of(self, record: Record) -> SampleKeys:
        """Return the questions and right answers of a run; those of the last runs are kept."""
        if record.folder not in self._keys:
            self._keys = dict(list(self._keys.items())[-_KEPT:])
            self._keys[record.folder] = sample_keys(record)
        return self._keys[record.folder]

    def of(self, run: int, other: int) -> dict[int, tuple[int, float | None]]:
        """Return the position and the score of the other run's sample by the position of a sample."""
        self.add(run, other)
        rows = self._database.execute(
            "SELECT position, other_position, score FROM pair WHERE run = ? AND other = ?", (run, other)
        )
        return {position: (place, score) for position, place, score in rows}
