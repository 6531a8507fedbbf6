"""Continue the outputs of a finished run that were cut at the token limit, and leave the others untouched (`--extend`).

Only cut outputs record their tokens. Each is continued from them, with the random numbers that the tokens after them
would have had, so the run becomes the one that a higher limit would have made. The sample records are replaced group by
group, so an interrupted extension is continued by the same command.

A server returns no tokens (`evals.execution.extending.server_extension`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec

from evals.errors import InputError
from evals.execution.executor import Executor
from evals.execution.extending import server_extension
from evals.execution.generation_options import Dated
from evals.execution.loop import AnsweredRequest
from evals.execution.windows import BatchId
from evals.records.digests import EXTENDED, base_signature, signature_of
from evals.records.folder import Record
from evals.records.result import recorded_predictions
from evals.records.types import Manifest, SampleRecord
from evals.schema import Generate, Prediction, RecordedBeginning, Request, Sample, Samples, Task

_GROUP = 256
"""Number of samples that are continued before the records are replaced."""
Beginning = tuple[int, ...] | RecordedBeginning
"""What a model wrote of a text until the limit: its tokens, or a server's text."""


def extended_manifest(record: Record, manifest: Manifest, samples: Samples, limit: int) -> Manifest:
    """Return the manifest of a run after its extension to a limit.

    Args:
        record: the finished run, or one whose extension was interrupted.
        manifest: what the command would run without `--extend`.
        samples: the run's samples.
        limit: the new limit.

    Raises:
        InputError: the folder holds another run, or is not finished; it was extended further; or no output that was
            cut has recorded tokens.
    """
    present, folder = record.manifest, record.folder
    if base_signature(present.to_dict()) != manifest.signature:
        raise InputError(f"{folder} holds another run than this command's: --extend needs the command of the run")
    if server_extension.is_partly_served(present):
        raise InputError(
            f"{folder} is of a composed model with a part behind a server: --extend is for its parts alone"
        )
    before = _limit(present)
    if record.result is None and before is None:
        raise InputError(f"{folder} is not finished: run it without --extend first")
    if before is not None and limit < before:
        raise InputError(f"{folder} was extended to {before} tokens: --extend {limit} would not continue it")
    rows = [row for row in record.samples() if row.truncated]
    if server_extension.applies(present):
        longest = before or max((server_extension.first_limit(present, samples[row.index]) for row in rows), default=0)
    elif any(row.tokens for row in rows):
        longest = max(len(tokens) for row in rows for tokens in row.tokens or ())
    elif rows:
        raise InputError(f"{folder} has no tokens of its cut outputs: it is not extended")
    else:
        return present
    if not longest:
        return present
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
) -> list[str]:
    """Continue the cut outputs of a run, group by group.

    Args:
        task: scores the continued samples.
        samples: the run's samples.
        executor: answers with the model of the run.
        record: the run; its manifest is the extended one.
        limit: the new limit.
        rewrite: replaces the sample records on disk.

    Returns:
        Why outputs were not continued, one reason per sample; these samples stay as they were.
    """
    failures: list[str] = []
    rows = list(record.samples())
    cut = pending(record, rows, limit)
    for start in range(0, len(cut), _GROUP):
        group = [rows[number] for number in cut[start : start + _GROUP]]
        numbers = cut[start : start + _GROUP]
        for number, (row, failure) in zip(
            numbers, _continued(task, samples, executor, record, group, limit), strict=True
        ):
            rows[number] = row
            failures += [failure] if failure is not None else []
        rewrite(rows)
    return failures


def pending(record: Record, rows: Sequence[SampleRecord], limit: int) -> list[int]:
    """Return the positions of the samples with outputs that were cut below a limit."""
    if server_extension.applies(record.manifest):
        return server_extension.pending(rows, limit)
    return [number for number, row in enumerate(rows) if any(0 < len(t) < limit for t in row.tokens or ())]


@dataclass(frozen=True)
class _Continuation:
    """Some samples of a run with the requests whose outputs were cut (`SelectSamples`)."""

    indices: tuple[int, ...]
    """Indices of the samples among those of the run."""
    beginnings: tuple[tuple[Beginning | None, ...], ...]
    """What was written so far, per sample and request; None for an output that was not cut."""
    limit: int

    def __call__(self, samples: Samples) -> Samples:
        def build(position: int) -> Sample:
            sample = samples[self.indices[position]]
            pairs = zip(sample.requests, self.beginnings[position], strict=True)
            cut = (_continuing(request, begun, self.limit) for request, begun in pairs if begun is not None)
            return replace(sample, requests=tuple(cut))

        return Samples([samples.ids[index] for index in self.indices], build)


def _continued(
    task: Task, samples: Samples, executor: Executor, record: Record, rows: Sequence[SampleRecord], limit: int
) -> Iterator[tuple[SampleRecord, str | None]]:
    """Continue the cut outputs of some samples; yield their new records, or the old ones with the reason."""
    answers: dict[str, AnsweredRequest] = {}
    manifest, is_server = record.manifest, server_extension.applies(record.manifest)

    def on_batch(batch_ids: Sequence[BatchId], batch: list[AnsweredRequest]) -> None:
        answers.update((answer.prediction.id, answer) for answer in batch)

    def beginnings(row: SampleRecord) -> tuple[Beginning | None, ...]:
        if is_server:
            return server_extension.beginnings(manifest, row, samples[row.index])
        return tuple(tuple(tokens) if 0 < len(tokens) < limit else None for tokens in row.tokens or ())

    select = _Continuation(tuple(row.index for row in rows), tuple(map(beginnings, rows)), limit)
    dated = Dated(select, manifest.started)
    kept = record.folder if is_server else None
    executor.compute(dated, plan=manifest.plan, finished_ids=set(), on_batch=on_batch, kept=kept)
    for row in rows:
        sample = samples[row.index]
        earlier = recorded_predictions(row)
        continued = [answers.get(request.id) for request in sample.requests]
        if is_server and (failures := server_extension.failures(continued)):
            yield row, failures[0]  # the same command tries again
            continue
        if is_server:
            continued = server_extension.accepted(sample, earlier, continued)
            row.extended_to = limit
        predictions = [old if new is None else new.prediction for old, new in zip(earlier, continued, strict=True)]
        yield _record(task, sample, row, predictions, [answer for answer in continued if answer is not None]), None


def _continuing(request: Request, begun: Beginning, limit: int) -> Generate:
    assert isinstance(request, Generate)
    if isinstance(begun, RecordedBeginning):
        return replace(request, recorded=begun, max_new_tokens=limit)
    return replace(request, begun=begun, max_new_tokens=limit)


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
    charges = dict.fromkeys(name for answer in continued for name in answer.prediction.charges)
    new = {
        "new_tokens": sum(answer.prediction.new_tokens for answer in continued) - begun,
        "computed_tokens": sum(answer.prediction.computed_tokens for answer in continued),
        "useful_tokens": sum(answer.prediction.useful_tokens for answer in continued),
        "seconds": sum(answer.seconds for answer in continued),
        "model_seconds": sum(answer.model_seconds for answer in continued),
        **{name: sum(answer.prediction.charges.get(name, 0) for answer in continued) for name in charges},
    }
    if row.extended_to is not None:  # a server reads, and charges for, the prompt again
        new["prompt_tokens"] = sum(answer.prediction.prompt_tokens for answer in continued)
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
        cost={name: row.cost.get(name, 0) + new.get(name, 0) for name in {**row.cost, **new}},
    )


def _limit(manifest: Manifest) -> int | None:
    generation = manifest.task.generation
    limit = generation.get(EXTENDED) if isinstance(generation, dict) else None
    return limit if isinstance(limit, int) else None


def _with_limit(manifest: Manifest, limit: int | None) -> Manifest:
    """Return a manifest with another extended limit, or none, and its signature."""
    generation = dict(manifest.task.generation) if isinstance(manifest.task.generation, dict) else {}
    generation.pop(EXTENDED, None)
    if limit is not None:
        generation[EXTENDED] = limit
    task = msgspec.structs.replace(manifest.task, generation=generation or msgspec.UNSET)
    changed = msgspec.structs.replace(manifest, task=task)
    return msgspec.structs.replace(changed, signature=signature_of(changed.to_dict()))
