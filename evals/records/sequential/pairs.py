"""Two runs, of which at least one stopped early: the samples that both have, in the order in which they were drawn."""

from __future__ import annotations

import math

import numpy as np

from evals.errors import InputError
from evals.records.folder import Record
from evals.records.sequential.random_order import random_order
from evals.records.sequential.stopped import common_samples_of_stopped
from evals.statistics.sequential.differences import DrawnPair


def drawn_pair(a: Record, b: Record, metric: str) -> DrawnPair:
    """Return the values of two runs on the samples that both have, of which at least one stopped early.

    Args:
        a: a finished run.
        b: a finished run of the same samples.
        metric: the name of a value of the samples.

    Raises:
        InputError: neither stopped early, they are runs of different samples or in different orders, or a value is
            lacking or not between 0 and 1; the message says which.
    """
    stopped = next((record for record in (a, b) if record.finished().stopped is not None), None)
    if stopped is None:
        raise InputError(f"{a.folder} and {b.folder} are complete: no order of their samples counts")
    a_rows, b_rows = common_samples_of_stopped(a, b, *({row.id: row for row in record.values()} for record in (a, b)))
    ids = [*a_rows]
    if not ids:
        raise InputError(f"{a.folder} and {b.folder} share no sample")
    order = random_order(ids, [row.cluster for row in a_rows.values()], stopped.manifest.task.seed)
    ordered = [ids[position] for position in order.positions]
    a_N, b_N = (np.array([float(rows[id].values.get(metric, math.nan)) for id in ordered]) for rows in (a_rows, b_rows))
    for record, values_N in ((a, a_N), (b, b_N)):
        wrong = np.flatnonzero(~((values_N >= 0) & (values_N <= 1)))
        if len(wrong):
            raise InputError(
                f"sample {ordered[wrong[0]]} of {record.folder} has {metric} {values_N[wrong[0]]}, expected 0 to 1"
            )
    entry = stopped.finished().stopped
    assert entry is not None
    return DrawnPair(a_N, b_N, order.starts, entry.whole)
