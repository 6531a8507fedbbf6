"""Continue the outputs of a finished run that were cut at the token limit, and leave the others untouched (`--extend`).

Only cut outputs record their tokens. Each is continued from them, with the random numbers that the tokens after them
would have had, so the run becomes the one that a higher limit would have made. The sample records are replaced group by
group, so an interrupted extension is continued by the same command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec

from evals.errors import InputError
from evals.execution.executor import Executor
from evals.execution.generation_options import Dated
from evals.execution.loop import AnsweredRequest
from evals.execution.windows import BatchId
from evals.records.folder import Record
from evals.records.result import recorded_predictions
from evals.records.types import Manifest, SampleRecord, signature_of
from evals.schema import Generate, Prediction, Request, Sample, Samples, Task

_GROUP = 256
"""Number of samples that are continued before the records are replaced."""
_EXTENDED = "extended"
"""The entry of `task.generation` with the new limit."""


def base_signature(manifest: Manifest) -> str:
    """Return the signature that a run had before it was extended."""
    return _with_limit(manifest, None).signature


def extended_manifest(record: Record, manifest: Manifest, limit: int) -> Manifest:
    """Return the manifest of a run after its extension to a limit.

    Args:
        record: the finished run, or one whose extension was interrupted.
        manifest: what the command would run without `--extend`.
        limit: the new limit.

    Raises:
        InputError: the folder holds another run, or is not finished; it was extended further; or no output that was
            cut has recorded tokens.
    """
    present, folder = record.manifest, record.folder
    if base_signature(present) != manifest.signature:
        raise InputError(f"{folder} holds another run than this command's: --extend needs the command of the run")
    before = _limit(present)
    if record.result is None and before is None:
        raise InputError(f"{folder} is not finished: run it without --extend first")
    if before is not None and limit < before:
        raise InputError(f"{folder} was extended to {before} tokens: --extend {limit} would not continue it")
    if not any(row.tokens for row in record.samples()):
        if any(row.truncated for row in record.samples()):
            raise InputError(f"{folder} has no tokens of its cut outputs (a server returns none): it is not extended")
        return present
    longest = max((len(tokens) for row in record.samples() for tokens in row.tokens or ()), default=0)
    if limit <= longest and before != limit:
        raise InputError(f"--extend {limit}: the cut outputs of {folder} have {longest} tokens already")
    return _with_limit(present, limit)


def extend(
    task: Task,
    samples: Samples,
    executor: Executor,
    record: Record,
    limit: int,
    *,
    rewrite: Callable[[list[SampleRecord]], None],
) -> None:
    """Continue the cut outputs of a run, group by group.

    Args:
        task: scores the continued samples.
        samples: the run's samples.
        executor: answers with the model of the run.
        record: the run; its manifest is the extended one.
        limit: the new limit.
        rewrite: replaces the sample records on disk.
    """
    rows = list(record.samples())
    cut = [number for number, row in enumerate(rows) if any(0 < len(t) < limit for t in row.tokens or ())]
    for start in range(0, len(cut), _GROUP):
        group = [rows[number] for number in cut[start : start + _GROUP]]
        numbers = cut[start : start + _GROUP]
        for number, row in zip(numbers, _continued(task, samples, executor, record, group, limit), strict=True):
            rows[number] = row
        rewrite(rows)


@dataclass(frozen=True)
class _Continuation:
    """Some samples of a run with the requests whose outputs were cut (`SelectSamples`)."""

    indices: tuple[int, ...]
    """Indices of the samples among those of the run."""
    tokens: tuple[list[list[int]], ...]
    """Tokens of the outputs that were cut, per sample and request."""
    limit: int

    def __call__(self, samples: Samples) -> Samples:
        def build(position: int) -> Sample:
            sample = samples[self.indices[position]]
            pairs = zip(sample.requests, self.tokens[position], strict=True)
            cut = [(request, tokens) for request, tokens in pairs if 0 < len(tokens) < self.limit]
            return replace(sample, requests=tuple(_continuing(*pair, self.limit) for pair in cut))

        return Samples([samples.ids[index] for index in self.indices], build)


def _continued(
    task: Task, samples: Samples, executor: Executor, record: Record, rows: Sequence[SampleRecord], limit: int
) -> Iterator[SampleRecord]:
    """Continue the cut outputs of some samples; yield their new records."""
    answers: dict[str, AnsweredRequest] = {}

    def on_batch(batch_ids: Sequence[BatchId], batch: list[AnsweredRequest]) -> None:
        answers.update((answer.prediction.id, answer) for answer in batch)

    select = _Continuation(tuple(row.index for row in rows), tuple(row.tokens or [] for row in rows), limit)
    dated = Dated(select, record.manifest.started)
    executor.compute(dated, plan=record.manifest.plan, finished_ids=set(), on_batch=on_batch)
    for row in rows:
        sample = samples[row.index]
        earlier = recorded_predictions(row)
        continued = [answers.get(request.id) for request in sample.requests]
        predictions = [old if new is None else new.prediction for old, new in zip(earlier, continued, strict=True)]
        yield _record(task, sample, row, predictions, [answer for answer in continued if answer is not None])


def _continuing(request: Request, tokens: Sequence[int], limit: int) -> Generate:
    assert isinstance(request, Generate)
    return replace(request, begun=tuple(tokens), max_new_tokens=limit)


def _record(
    task: Task,
    sample: Sample,
    row: SampleRecord,
    predictions: Sequence[Prediction],
    continued: Sequence[AnsweredRequest],
) -> SampleRecord:
    """Return a sample's record with its continued outputs and their costs."""
    several = len(predictions) > 1
    outputs = [prediction.output for prediction in predictions]
    truncated = [prediction.truncated for prediction in predictions]
    thoughts = [prediction.thought for prediction in predictions]
    is_open = [prediction.truncated_thinking for prediction in predictions]
    failures = [prediction.failure for prediction in predictions if prediction.failure is not None]
    tokens = [list(prediction.tokens) for prediction in predictions]
    answer, values = row.answer, row.values
    if task.per_sample:
        (score,) = task.score([sample], {sample.id: [prediction.gradable() for prediction in predictions]})
        answer, values = score.answer, dict(score.values)
    begun = sum(map(len, row.tokens or ()))
    new = {
        "new_tokens": sum(answer.prediction.new_tokens for answer in continued) - begun,
        "computed_tokens": sum(answer.prediction.computed_tokens for answer in continued),
        "useful_tokens": sum(answer.prediction.useful_tokens for answer in continued),
        "seconds": sum(answer.seconds for answer in continued),
        "model_seconds": sum(answer.model_seconds for answer in continued),
    }
    return msgspec.structs.replace(
        row,
        output=outputs if several else outputs[0],
        answer=answer,
        values=values,
        failed=bool(failures),
        failure=failures[0] if failures else None,
        truncated=any(truncated),
        truncations=truncated if several and any(truncated) else None,
        thought=(thoughts if several else thoughts[0]) if any(thoughts) else None,
        truncated_thinking=any(is_open),
        truncated_thoughts=is_open if several and any(is_open) else None,
        tokens=tokens if any(tokens) else None,
        cost={name: value + new.get(name, 0) for name, value in row.cost.items()},
    )


def _limit(manifest: Manifest) -> int | None:
    generation = manifest.task.generation
    limit = generation.get(_EXTENDED) if isinstance(generation, dict) else None
    return limit if isinstance(limit, int) else None


def _with_limit(manifest: Manifest, limit: int | None) -> Manifest:
    """Return a manifest with another extended limit, or none, and its signature."""
    generation = dict(manifest.task.generation) if isinstance(manifest.task.generation, dict) else {}
    generation.pop(_EXTENDED, None)
    if limit is not None:
        generation[_EXTENDED] = limit
    task = msgspec.structs.replace(manifest.task, generation=generation or msgspec.UNSET)
    changed = msgspec.structs.replace(manifest, task=task)
    return msgspec.structs.replace(changed, signature=signature_of(changed.to_dict()))
