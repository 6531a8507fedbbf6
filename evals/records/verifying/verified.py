"""Read and write `verified.json`: that samples of a run, chosen at random, were executed again, and what came out.

The file states the digests of the samples and the result that were verified. A run whose samples or result have
changed since is not verified, and `load_verification` says so.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import msgspec

from evals import regular_files
from evals.records.digests import digest_of_result
from evals.records.files import reading
from evals.records.folder import SAMPLES, Record, dumps
from evals.records.stored import Real, Size, Stored
from evals.schema import Json
from evals.temporaries import write_atomically

VERIFIED = "verified.json"


class DifferingEntry(Stored, kw_only=True):
    """How many of the samples that were executed again differ in one respect, and what that says about all."""

    compared: Size
    differ: Size
    low: Real
    """Low end of the two-sided interval of the share of all comparable samples that would differ."""
    high: Real
    """High end of the two-sided interval."""
    at_most: Real
    """One-sided upper bound of this share."""


class ToleranceEntry(Stored, kw_only=True):
    """Up to which absolute difference two numbers count as equal. Texts are equal or differ."""

    log_likelihood: Real
    """In nats; also of an output that is a number."""
    embedding: Real
    """Of a component of an embedding."""
    value: Real
    """Of a sample's values (its scores)."""


class FailedEntry(Stored, kw_only=True):
    """Samples without an output, counted apart."""

    in_run: Size
    """Samples of the whole run that failed there."""
    chosen: Size
    """Those of them that were chosen and executed again; they are not compared."""
    again: Size
    """Those of these that failed again."""
    here: Size
    """Compared samples that failed only here; they count as different."""


class DifferenceEntry(Stored, kw_only=True):
    """One sample that differs."""

    id: str
    what: list[str]
    """In which respects: `prompts`, `outputs`, `log-likelihoods`, `scores`."""
    recorded: Json
    """The output of the run."""
    again: Json
    """The output of the execution that verifies it."""
    by: Real | None = None
    """Largest difference of a log-likelihood, in nats."""


class VerifiedEntry(Stored, kw_only=True):
    """What a verification found: the contents of `verified.json`."""

    signature: str
    """That of the run."""
    samples_digest: str
    """SHA-256 of `samples.jsonl` as it was verified."""
    result_digest: str
    """Digest of the result as it was verified."""
    date: str
    """Date and time with the offset from UTC."""
    salt: str
    """Chooses the samples: the first of the order by the SHA-256 of salt and id."""
    salt_is_fresh: bool
    """Whether the salt was drawn for this verification, after the run; else the user gave it."""
    sample_ids: list[str]
    """The samples that were executed again, in the order of the benchmark."""
    samples: Size
    """Samples of the run."""
    comparable: Size
    """Those that did not fail in the run: the bounds are about them."""
    compared: Size
    """Those of them that were executed again."""
    failed: FailedEntry
    level: Real
    """Confidence level of the bounds."""
    tolerance: ToleranceEntry
    largest_difference: Real | None
    """Of two log-likelihoods of one continuation, in nats; None if there are none."""
    differing: dict[str, DifferingEntry]
    """By respect; `any` is a sample that differs in at least one."""
    differences: list[DifferenceEntry]
    """The samples that differ; at most 50."""
    model: dict[str, Json]
    """What the model that was executed states about itself: engine, device, number format, digest, …"""
    code: dict[str, Json]
    packages: dict[str, str]
    machine: dict[str, Json]
    differs_from_run: list[str]
    """Fields of the manifest in which the execution differs from the run."""
    command: str

    def __post_init__(self) -> None:
        """Check that the counts fit each other. `msgspec` turns the error into one that names the file."""
        counts = [entry for entry in self.differing.values() if not entry.differ <= entry.compared <= self.compared]
        if counts or not self.compared <= self.comparable <= self.samples or "any" not in self.differing:
            raise ValueError("its counts of samples contradict each other")


def digest_of_samples(folder: Path) -> str:
    """Return the SHA-256 of the file of samples of a run folder."""
    with reading(folder / SAMPLES), regular_files.opened(folder / SAMPLES) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_verification(record: Record, entry: VerifiedEntry) -> Path:
    """Write `verified.json` into a run folder, and return its path; other files are left as they are."""
    path = record.folder / VERIFIED
    write_atomically(path, dumps(entry.to_dict()))
    return path


def load_verification(record: Record) -> VerifiedEntry | str | None:
    """Read what verified a finished run.

    Returns:
        The verification; why the file that is there verifies nothing; None if there is no file.
    """
    path = record.folder / VERIFIED
    if not path.exists() or record.result is None:
        return None
    try:
        entry = msgspec.json.decode(regular_files.read(path), type=VerifiedEntry)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OSError) as error:
        return f"{path} is ignored: it is damaged ({error})"
    if entry.signature != record.manifest.signature:
        return f"{path} is ignored: it verifies run {entry.signature}, this is {record.manifest.signature}"
    if not (record.folder / SAMPLES).exists() or entry.samples_digest != digest_of_samples(record.folder):
        return f"{path} is ignored: the samples of the run have changed since (their digest differs)"
    if entry.result_digest != digest_of_result(record.result.to_dict()):
        return f"{path} is ignored: the result of the run has changed since (its digest differs)"
    if not _follows(entry, record.result.n):
        return f"{path} is ignored: its bounds are not those of its counts"
    return entry


def bounds(differ: int, compared: int, comparable: int, level: float) -> tuple[float, float, float]:
    """Return the two-sided interval and the one-sided upper bound of the share of samples that would differ.

    Args:
        differ: number of the compared samples that differ.
        compared: number of samples that were executed again, a random choice without replacement.
        comparable: number of samples that the share is about.
        level: confidence level.

    Example:
        >>> [round(end, 3) for end in bounds(0, 20, 30, 0.95)]
        [0.0, 0.1, 0.067]
    """
    from evals.statistics.finite import hypergeometric_interval

    low, high = hypergeometric_interval(differ, compared, comparable, level)
    return low, high, hypergeometric_interval(differ, compared, comparable, 2 * level - 1)[1]


def _follows(entry: VerifiedEntry, samples: int) -> bool:
    """Whether the counts are those of the run and of the choice, and the bounds those of the counts."""
    counts_fit = (
        entry.samples == samples
        and entry.comparable == samples - entry.failed.in_run
        and entry.compared <= len(entry.sample_ids) == len(set(entry.sample_ids))
    )
    return counts_fit and all(
        row.compared == 0
        or all(
            math.isclose(stated, computed, abs_tol=1e-9)
            for stated, computed in zip(
                (row.low, row.high, row.at_most),
                bounds(row.differ, row.compared, entry.comparable, entry.level),
                strict=True,
            )
        )
        for row in entry.differing.values()
    )
