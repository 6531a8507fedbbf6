"""Execute the run of another harness again, from the prompts in its log: those of lm-eval that are no chats.

A log has the prompts and continuations as the model read them, so neither the harness nor its data are needed. The
weights are the user's (`--model`): a log has no digest of them. Where the settings of the harness are not stated, or
cannot be repeated, the run is refused, and the fields that hinder are named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from evals import registry
from evals.app.verification import protocol
from evals.app.verification.protocol import VerificationSettings
from evals.errors import InputError
from evals.execution import validation
from evals.execution.run import resolved
from evals.records import Record
from evals.records.imported import ImportEntry
from evals.records.prefixes import PrefixReader
from evals.records.types import SampleRecord
from evals.schema import (
    ChatSettings,
    Choose,
    Generate,
    Json,
    Options,
    Prediction,
    Predictions,
    Request,
    RunConfig,
    Sample,
    Samples,
    Score,
    Task,
)

if TYPE_CHECKING:
    from evals.app.verification.verify import RepeatedRun

_HARNESS = "lm-eval"
_CHAT = ("chat_template_sha", "system_instruction", "fewshot_as_multiturn")


def repeated(record: Record, rows: Sequence[SampleRecord], settings: VerificationSettings) -> RepeatedRun:
    """Make of an imported run what can be executed.

    Raises:
        InputError: the protocol cannot be executed; the message says which fields hinder.
    """
    from evals.app.verification.verify import RepeatedRun

    entry = record.manifest.imported
    assert isinstance(entry, ImportEntry)
    chooses = any(scores for row in rows for scores in row.scores)
    limit = _token_limit(entry, settings)
    if hindrances := list(_hindrances(entry, rows, settings, chooses, limit)):
        raise InputError(f"{record.folder} cannot be executed again: {'; '.join(hindrances)}")
    config = _config(settings)
    reader = PrefixReader(record.folder)
    stops = _stops(entry)
    built = [_sample(row, reader, chooses, limit, stops) for row in rows]
    samples = Samples([sample.id for sample in built], built.__getitem__, {"source": f"the log of {entry.harness}"})
    task = _task(record, entry, chooses)
    validation.check_numbers(config)
    source = resolved(config)
    validation.check_engine(config, source)
    validation.method(replace(task, methods={}), source, None)
    protocol.check_server(config, settings)
    return RepeatedRun(task, config, samples, samples, source.replica, is_imported=True)


def comparable(row: SampleRecord) -> SampleRecord:
    """Return a sample with the continuation of the highest log-likelihood as its output, whatever it was read as."""
    if not any(row.scores) or row.failed or row.inputs is None or row.inputs[0] is None:
        return row
    texts = [part.text for part in row.inputs[0].continuations or ()]
    scores = row.scores[0]
    return msgspec.structs.replace(row, output=texts[max(range(len(scores)), key=lambda index: scores[index])])


def _hindrances(
    entry: ImportEntry, rows: Sequence[SampleRecord], settings: VerificationSettings, chooses: bool, limit: int | None
) -> list[str]:
    """Say which fields of a log hinder its execution."""
    reasons = []
    stated = entry.protocol
    if entry.harness != _HARNESS:
        reasons.append(
            f"imported.harness: only logs of {_HARNESS} have prompts as the model read them, this is of {entry.harness}"
        )
    if not rows:
        reasons.append("samples: the log holds none")
    reasons += [f"imported.protocol.{name}: the prompts are chats" for name in _CHAT if stated.get(name)]
    lacking = sum(row.inputs is None or row.inputs[0] is None for row in rows if not row.failed)
    if lacking:
        reasons.append(f"inputs: {lacking} of {len(rows)} samples have no prompt")
    if settings.model is None:
        reasons.append("model: the log has no weights; give --model")
    if chooses:
        return reasons
    generation = _generation(entry)
    if generation.get("do_sample") or generation.get("temperature"):
        reasons.append("imported.protocol.generation_kwargs: the texts were sampled, with draws that are not known")
    if any(isinstance(row.output, list) for row in rows):
        reasons.append("output: several texts per sample")
    if limit is None:
        reasons.append("imported.protocol.generation_kwargs.max_gen_toks is not stated; give --max-new-tokens")
    if "until" not in generation:
        reasons.append("imported.protocol.generation_kwargs.until: where a text ends is not stated")
    return reasons


def _generation(entry: ImportEntry) -> dict[str, Json]:
    """Return the settings of a log for generated texts; those of the command stand over those of the task."""
    settings: dict[str, Json] = {}
    for name in ("generation_kwargs", "gen_kwargs"):
        stated = entry.protocol.get(name)
        settings |= dict(stated) if isinstance(stated, Mapping) else {}
    return settings


def _token_limit(entry: ImportEntry, settings: VerificationSettings) -> int | None:
    stated = _generation(entry).get("max_gen_toks", _generation(entry).get("max_new_tokens"))
    if settings.max_new_tokens is not None:
        return settings.max_new_tokens
    return stated if isinstance(stated, int) and not isinstance(stated, bool) and stated > 0 else None


def _stops(entry: ImportEntry) -> tuple[str, ...]:
    until = _generation(entry).get("until")
    return tuple(map(str, until)) if isinstance(until, list) else (until,) if isinstance(until, str) else ()


def _config(settings: VerificationSettings) -> RunConfig:
    assert settings.model is not None
    has_mini = settings.model in registry.VARIANTS and "mini" in registry.VARIANTS.get(settings.model).checkpoints
    places: dict[str, Any] = {
        name: value for name in ("engine", "dtype", "device") if (value := getattr(settings, name)) is not None
    }
    if settings.checkpoint is not None:
        places["checkpoint"] = settings.checkpoint
    return RunConfig.of(
        settings.model, "a log", scale="mini" if has_mini else "full", progress=settings.progress,
        command=settings.command, **places,
    )  # fmt: skip


def _sample(
    row: SampleRecord, reader: PrefixReader, chooses: bool, limit: int | None, stops: tuple[str, ...]
) -> Sample:
    """Make a sample that asks what the log says was read."""
    requests: tuple[Request, ...] = ()
    if row.inputs is not None and row.inputs[0] is not None:
        read = reader.whole(row.inputs[0])
        if chooses:
            requests = (Choose(row.id, (read.text,), tuple(text for text, _ in read.continuations)),)
        else:
            requests = (
                Generate(row.id, (read.text,), limit or 1, stop=stops, chat=ChatSettings(template="off")),
            )  # fmt: skip
    return Sample(row.id, requests, row.target, row.cluster, row.labels)


def _task(record: Record, entry: ImportEntry, chooses: bool) -> Task:
    """Return the task that scores the samples; of one that this suite does not have, scores are not computed."""
    needs = "choose" if chooses else "generate"
    if not entry.scored_again:
        return Task(
            name=record.manifest.task.name, summary="", version=1, needs=needs, splits=("unknown",), headline="score",
            samples=_no_samples, score=_no_scores, summarise=lambda scores: {}, per_sample=False,
        )  # fmt: skip
    task = registry.TASKS.get(record.manifest.task.name)
    if not chooses:
        return replace(task, needs=needs)

    def score(samples: Sequence[Sample], predictions: Predictions) -> list[Score]:
        return task.score(samples, {sample.id: _labelled(sample, predictions[sample.id]) for sample in samples})

    return replace(task, needs=needs, score=score)


def _labelled(sample: Sample, predictions: Sequence[Prediction]) -> list[Prediction]:
    """Return predictions with the label of the continuation of the highest log-likelihood as their output."""
    from evals.tasks.glue_tasks import TABLE

    labels = TABLE[sample.labels["task"]].labels
    return [
        prediction
        if prediction.failure is not None
        else replace(
            prediction, output=labels[max(range(len(prediction.scores)), key=lambda index: prediction.scores[index])]
        )
        for prediction in predictions
    ]


def _no_samples(options: Options) -> Samples:
    raise InputError("a task of another harness has no samples here: it is known from its log only")


def _no_scores(samples: Sequence[Sample], predictions: Predictions) -> list[Score]:
    raise InputError("a task of another harness has no scorer here")
