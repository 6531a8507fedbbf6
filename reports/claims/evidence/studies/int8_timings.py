"""Timings of copies with 8-bit weights as evidence: does INT8 bring a model's latency down?

A claim names the study (`study: int8_latency`). Its rows were measured beforehand at replica scale and are committed;
nothing is timed here. In several fresh processes each, the replica of R1 and a copy of it took turns
(`run --model r1,COPY --task efficiency`), so their ratio does not include the state of the machine. It shows a
direction on a CPU, never a level of the described system, and the word of the claim stays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from evals.reports.claims.evidence.studies import trainings
from evals.reports.claims.evidence.studies.rows import read_rows
from evals.reports.claims.evidence.studies.trainings import TrainingEvidence

STUDY = "int8_latency"
ORIGINAL = "original"
"""The copy that the others are compared with."""
COPIES = {"integers": "integers in memory, converted in each layer"}
"""What the copies are, by their name in the rows."""
HARDWARE = "a CPU without kernels for 8-bit weights: nothing follows for a GPU that has them"


class TimingRow(msgspec.Struct, frozen=True, kw_only=True):
    """The times of one copy in one process."""

    copy: str
    """`original`, or a key of `COPIES`."""
    process: int
    repetitions: int
    latency: float
    """Median seconds of an answer of 16 tokens."""
    first_token: float
    """Median seconds of an answer of one token."""
    weights: int
    """Bytes of the weights in memory."""


def evidence(timings: Sequence[TimingRow] | None = None) -> TrainingEvidence:
    """Return what the timings show.

    Args:
        timings: the rows; by default the committed ones.
    """
    rows = read_rows(STUDY, TimingRow) if timings is None else timings
    original = {row.process: row for row in rows if row.copy == ORIGINAL}
    lines, measured = [], []
    for copy, what in COPIES.items():
        pairs = [(row, original[row.process]) for row in rows if row.copy == copy and row.process in original]
        if not pairs:
            continue
        ratio = trainings.estimate([math.log(row.latency / before.latency) for row, before in pairs], logarithmic=True)
        row, before = pairs[0]
        lines.append(
            f"timing, replica scale: with 8-bit weights ({what}; {row.weights / 1e6:.2f} MB in memory instead of "
            f"{before.weights / 1e6:.2f}) an answer of the r1 replica takes {ratio.text()} times as long, over "
            f"{ratio.n} processes in turn"
        )
        direction = trainings.direction_of(ratio, 1.0)
        measured.append(
            trainings.measured_row(
                f"int8-latency/{copy}", "ratio", ratio, unit="ratio", direction=direction, task="timing"
            )
        )
    if not measured:
        return TrainingEvidence((f"the study {STUDY} has not been made",), ())
    return TrainingEvidence((*lines, *trainings.direction_lines(measured), HARDWARE, trainings.SCALE), tuple(measured))
