"""Compare the records of samples with those of the same samples, executed again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evals.errors import InputError
from evals.records import embeddings
from evals.records.types import SampleRecord
from evals.records.verifying.verified import DifferenceEntry, DifferingEntry, FailedEntry, ToleranceEntry, bounds
from evals.schema import Json, ModelInput

RESPECTS = ("prompts", "outputs", "log-likelihoods", "scores")
"""In what a sample can differ."""
LEVEL = 0.95
_EXACT = ToleranceEntry(log_likelihood=0.01, embedding=0.001, value=0.001)
_ROUNDED = ToleranceEntry(log_likelihood=0.25, embedding=0.02, value=0.02)
"""A score of right or wrong differs by 1, one of ten annotators by 0.1; only scores that follow a log-likelihood, as
STS-B's closeness does, differ by less."""
_LISTED = 50
_LONGEST = 2_000
"""Characters of an output that a listed difference keeps."""


@dataclass(frozen=True, slots=True)
class ExecutedSample:
    """A sample's record with what the model read."""

    row: SampleRecord
    inputs: Sequence[ModelInput | None] | None
    """One per request, or one for all; None if it is not recorded."""


@dataclass(frozen=True, slots=True)
class ComparedSamples:
    """What comparing the samples gives."""

    failed: FailedEntry
    compared: int
    comparable: int
    differing: Mapping[str, DifferingEntry]
    differences: Sequence[DifferenceEntry]
    largest_difference: float | None
    """Of two log-likelihoods of one continuation."""


def default_tolerance(dtypes: Sequence[Json], log_likelihood: float | None = None) -> ToleranceEntry:
    """Return up to which difference numbers count as equal.

    Args:
        dtypes: the number formats in which the run and its verification computed.
        log_likelihood: the user's tolerance, or None for the default: 0.01 nats if both computed in float32, else 0.25.

    Raises:
        InputError: it is negative or not a number.

    Example:
        >>> default_tolerance(["float32", "bfloat16"]).log_likelihood
        0.25
    """
    default = _EXACT if all(dtype == "float32" for dtype in dtypes) else _ROUNDED
    if log_likelihood is None:
        return default
    if not 0 <= log_likelihood < math.inf:
        raise InputError(f"--tolerance {log_likelihood}: expected a number of nats, 0 or more")
    return ToleranceEntry(log_likelihood=log_likelihood, embedding=default.embedding, value=default.value)


def compare_samples(
    recorded: Sequence[ExecutedSample],
    again: Mapping[str, ExecutedSample],
    *,
    failed_in_run: int,
    samples_of_run: int,
    tolerance: ToleranceEntry,
    embeds: bool,
) -> ComparedSamples:
    """Compare samples, and bound the share of the run's samples that would differ.

    The chosen samples are a simple random sample of the run, and those of them that did not fail in it are one of the
    samples that did not fail. So the number of these that differ has a hypergeometric distribution, and the bounds are
    exact for a finite set (Wright, Exact confidence bounds when sampling from small finite universes, 1991), whatever
    clusters the samples belong to.

    Args:
        recorded: the chosen samples as the run recorded them.
        again: the same samples by id, executed again.
        failed_in_run: samples of the whole run that failed.
        samples_of_run: all samples of the run.
        tolerance: up to which difference numbers are equal.
        embeds: whether the outputs are embeddings.
    """
    differences = []
    counts = {respect: [0, 0] for respect in (*RESPECTS, "any")}
    failed = FailedEntry(in_run=failed_in_run, chosen=0, again=0, here=0)
    compared = 0
    by: list[float] = []
    for sample in recorded:
        other = again[sample.row.id]
        if sample.row.failed:
            failed.chosen += 1
            failed.again += other.row.failed
            continue
        compared += 1
        failed.here += other.row.failed
        respects = _compare(sample, other, tolerance, embeds)
        if any(sample.row.scores) and (largest := largest_difference(sample.row.scores, other.row.scores)) is not None:
            by.append(largest)
        for respect, is_different in {**respects, "any": any(respects.values())}.items():
            counts[respect][0] += 1
            counts[respect][1] += is_different
        if any(respects.values()):
            differences.append(_difference(sample.row, other.row, respects))
    comparable = samples_of_run - failed_in_run
    differing = {respect: _bounded(differ, count, comparable) for respect, (count, differ) in counts.items() if count}
    return ComparedSamples(failed, compared, comparable, differing, differences[:_LISTED], max(by, default=None))


def _bounded(differ: int, compared: int, total: int) -> DifferingEntry:
    low, high, at_most = bounds(differ, compared, total, LEVEL)
    return DifferingEntry(compared=compared, differ=differ, low=low, high=high, at_most=at_most)


def _compare(a: ExecutedSample, b: ExecutedSample, tolerance: ToleranceEntry, embeds: bool) -> dict[str, bool]:
    """Return in which respects a sample differs; those that cannot be compared are left out."""
    respects = {}
    if a.inputs and b.inputs:
        respects["prompts"] = not _equal_inputs(a.inputs, b.inputs)
    if b.row.failed:
        return {**respects, "outputs": True, **({"scores": True} if a.row.values else {})}
    limit = tolerance.embedding if embeds else tolerance.log_likelihood
    same = _equal_outputs(a.row.output, b.row.output, limit, embeds) and a.row.thought == b.row.thought
    respects["outputs"] = not same
    if any(a.row.scores) or any(b.row.scores):
        by = largest_difference(a.row.scores, b.row.scores)
        respects["log-likelihoods"] = by is None or by > tolerance.log_likelihood
    if a.row.values and b.row.values:
        respects["scores"] = not _equal_values(a.row.values, b.row.values, tolerance.value)
    return respects


def _equal_inputs(a: Sequence[ModelInput | None], b: Sequence[ModelInput | None]) -> bool:
    """Return whether the same was read: texts, and tokens where both are known."""
    if len(a) != len(b):
        return False
    for left, right in zip(a, b, strict=True):
        if left is None or right is None:
            if left is not right:
                return False
        elif left.tokens is not None and right.tokens is not None:
            if (list(left.tokens), _tokens(left)) != (list(right.tokens), _tokens(right)):
                return False
        elif left.text != right.text:
            return False
    return True


def _tokens(read: ModelInput) -> list[list[int] | str]:
    return [text if tokens is None else list(tokens) for text, tokens in read.continuations]


def _equal_outputs(a: Json, b: Json, limit: float, embeds: bool) -> bool:
    if isinstance(a, list) and isinstance(b, list) and not (embeds and a and isinstance(a[0], int | float)):
        return len(a) == len(b) and all(_equal_outputs(x, y, limit, embeds) for x, y in zip(a, b, strict=True))
    if embeds and a is not None and b is not None:
        left, right = embeddings.unpack(a), embeddings.unpack(b)
        return left.shape == right.shape and bool(abs(left - right).max() <= limit)
    if isinstance(a, int | float) and isinstance(b, int | float) and not isinstance(a, bool):
        return abs(a - b) <= limit
    return bool(a == b)


def largest_difference(a: Sequence[Sequence[float]], b: Sequence[Sequence[float]]) -> float | None:
    """Return the largest difference of two log-likelihoods; None if they are not of the same continuations.

    Example:
        >>> largest_difference([(-1.0, -2.5)], [(-1.0, -2.0)]), largest_difference([(-1.0,)], [()])
        (0.5, None)
    """
    if [len(scores) for scores in a] != [len(scores) for scores in b]:
        return None
    pairs = [(x, y) for left, right in zip(a, b, strict=True) for x, y in zip(left, right, strict=True)]
    return max((0.0 if x == y else abs(x - y) for x, y in pairs), default=0.0)


def _equal_values(a: Mapping[str, float], b: Mapping[str, float], limit: float) -> bool:
    return a.keys() == b.keys() and all(abs(a[name] - b[name]) <= limit for name in a)


def _difference(recorded: SampleRecord, again: SampleRecord, respects: Mapping[str, bool]) -> DifferenceEntry:
    by = largest_difference(recorded.scores, again.scores) if any(recorded.scores) and any(again.scores) else None
    return DifferenceEntry(
        id=recorded.id,
        what=[respect for respect, is_different in respects.items() if is_different],
        recorded=_short(recorded.output),
        again=_short(again.failure if again.failed else again.output),
        by=by,
    )


def _short(output: Json) -> Json:
    if isinstance(output, str):
        return output[:_LONGEST]
    return [_short(part) for part in output[:4]] if isinstance(output, list) else output
