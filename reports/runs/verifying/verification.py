"""Say what a verification of a run found: which samples were executed again, how many differ, and what that bounds."""

from __future__ import annotations

from collections.abc import Iterator

from evals.errors import counted
from evals.records.folder import Record
from evals.records.verifying.verified import DifferingEntry, VerifiedEntry, load_verification
from evals.reports.rendering import table_formats
from evals.reports.rendering.formatting import amount, json_text, one_line
from evals.reports.rendering.table_formats import Table

_LISTED = 5


def notes(record: Record) -> Iterator[str]:
    """Yield one line about the verification of a run; none if there was none."""
    entry = load_verification(record)
    if isinstance(entry, str):
        yield entry
    elif entry is not None:
        yield f"verified: {sentence(entry)}"


def mark(record: Record) -> str:
    """Return what stands beside the value of a run that is evidence; empty if it is not verified."""
    entry = load_verification(record)
    if entry is None:
        return ""
    if isinstance(entry, str):
        return f" Not verified: {entry}."
    counts = entry.differing["any"]
    return (
        f" Verified on {_date(entry)}: {_differ(counts)} of {counted(counts.compared, 'executed sample')}, so at most "
        f"{amount(counts.at_most, 'fraction')} of all (95 % confidence)."
    )


def sentence(entry: VerifiedEntry) -> str:
    """Describe a verification in two sentences, without a final full stop."""
    counts = entry.differing["any"]
    chosen = "at random after the run" if entry.salt_is_fresh else "by a seed that was given"
    within = ""
    if "log-likelihoods" in entry.differing:
        within = f" (log-likelihoods within {entry.tolerance.log_likelihood:g} nats)"
    engine = ", ".join(str(entry.model[name]) for name in ("engine", "dtype", "device") if entry.model.get(name))
    return (
        f"on {_date(entry)}, {len(entry.sample_ids):,} of {counted(entry.samples, 'sample')}, chosen {chosen}, were "
        f"executed again ({engine}). {_differ(counts)} of the {counts.compared:,} that are compared{within}; with 95 % "
        f"confidence at most {amount(counts.at_most, 'fraction')} of {_all(entry)} would"
    )


def report(record: Record, entry: VerifiedEntry) -> str:
    """Write for the terminal what a verification found."""
    kind = "a fresh random seed" if entry.salt_is_fresh else "the seed that was given"
    parts = [
        f"{record.folder}: {len(entry.sample_ids):,} of {counted(entry.samples, 'sample')}, chosen by {kind} "
        f"({one_line(entry.salt, 80)}), were executed again.",
        table_formats.text(_table(entry)),
        *_explanations(entry),
        *_failures(entry),
        *_differences(entry),
    ]
    if entry.differs_from_run:
        fields = ", ".join(entry.differs_from_run[:12])
        more = f" and {len(entry.differs_from_run) - 12} more" if len(entry.differs_from_run) > 12 else ""
        parts.append(f"The execution differs from the run in {fields}{more}.")
    parts.append(f"{record.folder / 'verified.json'} holds this; the run's samples and result are as they were")
    return "\n\n".join(one_line(part, 2_000) if "\n" not in part else part for part in parts) + "\n"


def _table(entry: VerifiedEntry) -> Table:
    rows = tuple(
        (
            "in any respect" if name == "any" else name,
            f"{counts.compared:,}",
            f"{counts.differ:,}",
            amount(counts.at_most, "fraction"),
            f"{amount(counts.low, 'fraction').removesuffix(' %')} to {amount(counts.high, 'fraction')}",
        )
        for name, counts in entry.differing.items()
    )
    columns = ("differ", "compared", "different", "of all at most", "two-sided")
    return Table("", columns, "lrrrr", rows)


def _explanations(entry: VerifiedEntry) -> Iterator[str]:
    counts, tolerance = entry.differing["any"], entry.tolerance
    yield (
        f"With 95 % confidence, at most {amount(counts.at_most, 'fraction')} of {_all(entry)} would differ (exact, for "
        f"a random choice without replacement). Texts are equal or differ; log-likelihoods may differ by "
        f"{tolerance.log_likelihood:g} nats, scores by {tolerance.value:g}."
    )
    if entry.largest_difference is not None:
        yield f"The largest difference of two log-likelihoods is {entry.largest_difference:.2g} nats."
    if "scores" not in entry.differing and counts.compared:
        yield "Scores are not compared: the task scores all samples together, or another harness scored them."
    if not entry.salt_is_fresh:
        yield "The seed was given: the bound holds only if who made the run did not know it."


def _failures(entry: VerifiedEntry) -> Iterator[str]:
    failed = entry.failed
    if failed.in_run:
        yield (
            f"{counted(failed.in_run, 'sample')} failed in the run and are counted apart: {failed.chosen:,} of them "
            f"were chosen, {failed.again:,} failed again."
        )
    if failed.here:
        yield f"{counted(failed.here, 'sample')} failed only here, and count as different."


def _differences(entry: VerifiedEntry) -> Iterator[str]:
    for row in entry.differences[:_LISTED]:
        by = f", by {row.by:.3g} nats" if row.by else ""
        yield (
            f"{one_line(row.id, 60)} (other {', '.join(row.what)}{by}): {one_line(json_text(row.recorded), 120)!r} in "
            f"the run, {one_line(json_text(row.again), 120)!r} here"
        )
    if len(entry.differences) > _LISTED:
        yield f"verified.json lists {counted(len(entry.differences), 'sample')} that differ"


def _all(entry: VerifiedEntry) -> str:
    return f"all {counted(entry.comparable, 'sample')}" + (" that did not fail" if entry.failed.in_run else "")


def _differ(counts: DifferingEntry) -> str:
    return "none differs" if not counts.differ else f"{counts.differ:,} {'differs' if counts.differ == 1 else 'differ'}"


def _date(entry: VerifiedEntry) -> str:
    return entry.date[:10]
