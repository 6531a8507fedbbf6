"""Write chosen samples for the terminal."""

from __future__ import annotations

from evals.records.folder import Record
from evals.reports.runs.naming import count, title
from evals.reports.runs.terminal import sample_lines
from evals.reports.runs.worst_samples import described
from evals.reports.samples.choosing import ChosenSamples


def text(record: Record, chosen: ChosenSamples) -> str:
    """Write the samples one below the other, after a line that counts them."""
    wanted = f": {' and '.join(chosen.conditions)}" if chosen.conditions else ""
    total = count(chosen.total, record.manifest.task.name)
    shown = f"; {len(chosen.rows):,} shown" if len(chosen.rows) < chosen.matching else ""
    parts = [f"{title(record)}: {chosen.matching:,} of {total}{wanted}{shown}"]
    parts += ["\n".join(sample_lines(sample)) for sample in described(record, chosen.rows)]
    return "\n\n".join(parts) + "\n"
