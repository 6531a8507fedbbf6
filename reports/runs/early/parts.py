"""Say which part of the samples a run has, and what the intervals of several runs are about.

A run of a random part of its split (`--limit`), or one that stopped early, has intervals for the value of the whole
split. The intervals of a complete run are about samples like these.
"""

from __future__ import annotations

from collections.abc import Sequence

from evals.records.folder import Record


def part(record: Record) -> str:
    """Say which samples of its split a run has: `200 of 1,500, at random`; empty if it has all of them."""
    manifest = record.manifest
    n, total = manifest.sample_count, manifest.samples_in_split
    stopped = None if record.result is None else record.result.stopped
    if stopped is not None:
        return f"{record.finished().n:,} of {stopped.of:,} in random order, stopped early"
    if manifest.subset is None:
        return ""
    if "incomplete" in manifest.data:
        return f"{n:,}{f' of {total:,}' if total is not None else ''}, the others missing in the log"
    if "selected_by" in manifest.data:
        of = f" of {total:,}" if total is not None else ""
        return f"{n:,}{of}, chosen by {manifest.data['selected_by']}"
    if total is None:
        return f"first {manifest.task.limit or n:,} samples only"
    return f"{n:,} of {total:,}, at random" if manifest.subset == "random" else f"the first {n:,} of {total:,}"


def whole_size(record: Record) -> int | None:
    """Return the number of samples of the split if a run has a part of them and its intervals are about all of them."""
    manifest = record.manifest
    if record.result is None or record.timed:
        return None
    if record.result.stopped is not None:
        return record.result.stopped.of
    return manifest.samples_in_split if manifest.subset == "random" and "selected_by" not in manifest.data else None


def interval_kinds(records: Sequence[Record]) -> list[str]:
    """Say what the intervals are about where those of some runs are about the split, and those of others are not."""
    kinds = {whole_size(record) is not None for record in records if _has_interval(record)}
    if len(kinds) < 2:
        return []
    return [
        "Intervals of runs that have a part of the samples (at random, or stopped early) are about the whole split; "
        "those of complete runs are about samples like these."
    ]


def _has_interval(record: Record) -> bool:
    result = record.result
    return result is not None and not record.timed and any(entry.low is not None for entry in result.metrics.values())
