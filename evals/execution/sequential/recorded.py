"""The recorded outputs of an earlier run as one side of a race: nothing of it is computed again."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from evals.errors import InputError
from evals.execution.sequential.eligible import EarlyStop
from evals.records.folder import Record
from evals.schema import Samples
from evals.statistics.clusters import Floats
from evals.statistics.sequential.looks import looks


class RecordedRun:
    """A complete run of earlier, whose values are read in the random order of another run."""

    def __init__(self, record: Record, samples: Samples, early: EarlyStop) -> None:
        """Read its values.

        Args:
            record: a finished run with all of its samples.
            samples: those of the other run.
            early: their random order, and the value that counts.

        Raises:
            InputError: it has other samples, or one without a value between 0 and 1.
        """
        self.order = early.order
        self.looks: Sequence[int] = looks(early.order.whole.clusters)
        rows = {row.id: row for row in record.values()}
        ids = [samples.ids[position] for position in early.order.positions]
        if rows.keys() != set(ids):
            other = next((id for id in ids if id not in rows), None) or next(id for id in rows if id not in set(ids))
            raise InputError(f"--against {record.folder}: it has other samples, for example {other!r}")
        values = [float(rows[id].values.get(early.headline, math.nan)) for id in ids]
        self._values_N = np.array(values)
        wrong = np.flatnonzero(~((self._values_N >= 0) & (self._values_N <= 1)))
        if len(wrong):
            raise InputError(
                f"--against {record.folder}: sample {ids[wrong[0]]} has {early.headline} {values[wrong[0]]}, expected "
                f"0 to 1"
            )

    def advance(self, clusters: int) -> None:
        """Do nothing: all samples are there."""

    def values(self, clusters: int) -> Floats:
        """Return the values of the samples of the first clusters, in their order."""
        values_N: Floats = self._values_N[: self.order.end(clusters)]
        return values_N

    def drop_unfinished(self) -> None:
        """Do nothing: the earlier run stays as it is."""
