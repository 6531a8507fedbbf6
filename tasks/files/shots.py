"""Few-shot examples: the rows of another split, or of the same one without the sample, that come before a prompt."""

from __future__ import annotations

import bisect
import functools
import random
from array import array
from collections.abc import Callable, Sequence
from typing import Protocol

from evals.data.row_tables import DataTable
from evals.errors import InputError, counted
from evals.schema import Json, Options
from evals.tasks.files.spec import ExamplesSpec, TaskFile


class ExampleRows(Protocol):
    """The rows that examples come from."""

    table: DataTable
    """The table."""

    def subset(self, index: int) -> str | None:
        """Return the subset of a row; None if the row is no sample."""

    def example(self, index: int) -> str:
        """Return a row with its right answer."""


class Shots:
    """The examples of each sample."""

    def __init__(self, count: int, options: Options) -> None:
        """Take their number and the options, of which the seed and `same_shots` count."""
        self.count = count
        self.facts: Json = None
        self._same, self._seed = options.same_shots, options.seed

    @classmethod
    def of_split(cls, file: TaskFile, options: Options, split: str, rows_of: Callable[[str], ExampleRows]) -> Shots:
        """Read the split of the examples, if there are any.

        Args:
            file: the task file.
            options: the options of the run.
            split: the split of the samples.
            rows_of: opens a split.

        Raises:
            InputError: the file says not where examples come from, or there is no such split.
        """
        spec = file.spec.examples
        shots = cls(options.shots if options.shots is not None else spec.count if spec else 0, options)
        if not shots.count:
            return shots
        if spec is None:
            raise InputError(f"--shots {shots.count}: {file.path} has no key examples, which says where they come from")
        if options.data is not None and options.data.is_file() and spec.split != split:
            raise InputError(
                f"--shots {shots.count}: {options.data} is one split, and examples come from {spec.split}; --shots 0 "
                f"leaves them out"
            )
        shots._read(spec, split, rows_of(spec.split))
        return shots

    def _read(self, spec: ExamplesSpec, split: str, rows: ExampleRows) -> None:
        """Find the rows of each subset, if examples are of the sample's own subset, or else of all."""
        self._spec, self._rows = spec, rows
        self._is_same_split = rows.table.split == split
        self._text = functools.lru_cache(maxsize=4_096)(rows.example)
        self.facts = {"split": rows.table.split, **rows.table.facts}
        self._by_subset: dict[str, array[int]] = {}
        for index in range(len(rows.table)):
            subset = rows.subset(index)
            if subset is not None:
                self._by_subset.setdefault(subset if spec.same_subset else "", array("q")).append(index)

    def of(self, index: int, id: str, subset: str) -> tuple[str, ...]:
        """Return the examples of a sample, none of which is the sample itself.

        Args:
            index: the sample's row.
            id: the sample's id.
            subset: its subset, "" without any.

        Raises:
            InputError: there are too few rows.
        """
        if not self.count:
            return ()
        pool: Sequence[int] = self._by_subset.get(subset if self._spec.same_subset else "", ())
        place = bisect.bisect_left(pool, index)
        is_among = self._is_same_split and place < len(pool) and pool[place] == index
        if len(pool) - is_among < self.count:
            where = f"{self._rows.table.name}{f' of subset {subset}' if self._spec.same_subset else ''}"
            raise InputError(
                f"--shots {self.count} is more than the {counted(len(pool) - is_among, 'row')} of {where}"
                f"{' beside the sample itself' if is_among else ''}"
            )
        if self._spec.order == "first":
            chosen = list(pool[: self.count + is_among])
        else:
            rng = random.Random(f"{self._seed}/{subset if self._same else id}")
            chosen = rng.sample(pool, self.count + is_among)
        others = [other for other in chosen if not (is_among and other == index)]
        return tuple(map(self._text, others[: self.count]))
