"""The samples of a run in random order: compute them up to the next look, and read their values.

A look uses the samples of a beginning of the order and no others. So it does not depend on workers, batches and
interruptions: a run that was killed computes what is missing, and looks at the same samples again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from evals.errors import InputError
from evals.execution.run import Evaluation
from evals.execution.sequential.eligible import EarlyStop
from evals.records import rewrite
from evals.records.digests import digest_of_ids
from evals.records.folder import Record
from evals.records.types import SampleRecord
from evals.statistics.clusters import Floats
from evals.statistics.sequential.looks import looks


class PrefixRun:
    """A run that is computed in random order, from look to look."""

    def __init__(self, evaluation: Evaluation, early: EarlyStop) -> None:
        """Read what is on disk.

        Args:
            evaluation: computes samples and records them.
            early: the random order of the samples, and the value that counts.

        Raises:
            InputError: the folder holds samples that do not come next in the order.
        """
        self.order = early.order
        self._evaluation = evaluation
        self._headline = early.headline
        self._ids = [evaluation.samples.ids[position] for position in early.order.positions]
        self._values: dict[str, float] = {}
        evaluation.on_rows = self._add
        self._add(list(self._record.samples()))
        self._check_disk(early.flag)

    @property
    def _record(self) -> Record:
        return Record(self._evaluation.folder.folder, self._evaluation.folder.manifest, None)

    @cached_property
    def looks(self) -> Sequence[int]:
        """Numbers of clusters after which the run looks."""
        return looks(self.order.whole.clusters)

    @property
    def complete_looks(self) -> int:
        """Number of looks whose samples are all on disk."""
        finished, count = self._evaluation.folder.finished_ids, 0
        while count < len(self.looks) and finished.issuperset(self._ids[: self.order.end(self.looks[count])]):
            count += 1
        return count

    def advance(self, clusters: int) -> None:
        """Compute what is missing of the first clusters."""
        positions = self.order.positions[: self.order.end(clusters)]
        finished, ids = self._evaluation.folder.finished_ids, self._evaluation.samples.ids
        if missing := sorted(position for position in positions if ids[position] not in finished):
            self._evaluation.compute(missing)

    def values(self, clusters: int) -> Floats:
        """Return the values of the samples of the first clusters, in their order.

        Raises:
            InputError: a sample has no value, or one that is not between 0 and 1.
        """
        values_N = np.array([self._values.get(id, np.nan) for id in self._ids[: self.order.end(clusters)]])
        wrong = np.flatnonzero(~((values_N >= 0) & (values_N <= 1)))
        if len(wrong):
            raise InputError(
                f"sample {self._ids[wrong[0]]} has {self._headline} {values_N[wrong[0]]}, expected 0 to 1: the run "
                f"cannot stop early; the same command without --precision or --until-decided continues it"
            )
        return values_N

    def digest(self) -> str:
        """Return the digest of the IDs of the samples on disk, in the order of the benchmark."""
        finished = self._evaluation.folder.finished_ids
        return digest_of_ids([id for id in self._evaluation.samples.ids if id in finished])

    def drop_unfinished(self) -> None:
        """Remove the samples after the last look that is complete: a kill may have left some of the next ones."""
        complete = self.looks[self.complete_looks - 1]
        kept, folder = set(self._ids[: self.order.end(complete)]), self._evaluation.folder
        if folder.finished_ids - kept:
            rewrite(self._record, (row for row in list(self._record.samples()) if row.id in kept))
            folder.finished_ids &= kept

    def _add(self, rows: Sequence[SampleRecord]) -> None:
        self._values |= {row.id: float(row.values[self._headline]) for row in rows if self._headline in row.values}

    def _check_disk(self, flag: str) -> None:
        """Raise `InputError` if a sample is on disk that no look up to the next one uses."""
        complete = self.complete_looks
        next_ids = self._ids[: self.order.end(self.looks[min(complete, len(self.looks) - 1)])]
        others = self._evaluation.folder.finished_ids.difference(next_ids)
        if others:
            raise InputError(
                f"{self._evaluation.folder.folder} holds samples of an interrupted run that are not the first ones of "
                f"the random order; the same command without {flag} finishes it, another --out begins a new one"
            )
