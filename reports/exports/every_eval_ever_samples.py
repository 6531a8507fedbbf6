"""Every Eval Ever's instance-level format: one line of JSON per sample, with all that the model read.

Schema 0.3.0 of https://github.com/evaleval/every_eval_ever, `instance_level_eval.schema.json`. Its `input.formatted` is
the untokenised version of what the model sees: the chat template rendered, examples and special tokens visible. A
sample with several requests (an image with its captions) has one text for each in its `metadata`. A line is the
sample's score under one metric of the log that `every-eval-ever` writes, the headline.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence

from evals.errors import InputError
from evals.records.folder import Record
from evals.records.inputs import RecordedInput
from evals.records.prefixes import PrefixReader
from evals.records.types import SampleRecord
from evals.reports.exports.hub import finished, model_id
from evals.reports.rendering.formatting import json_text
from evals.reports.runs.worst_samples import sample_value
from evals.schema import Json

SCHEMA = "0.3.0"
"""The version of Every Eval Ever's schemas."""


def evaluation_id(run: Record) -> str:
    """Return the id by which samples refer to the log of their run."""
    return f"{run.manifest.task.name}/{model_id(run)}/{int(finished(run).timestamp())}"


def render(runs: Sequence[Record]) -> str:
    """Write the samples of a finished run as JSON lines.

    Raises:
        InputError: several runs were given, or the samples of the run have no score.
        RecordError: a prefix of the prompts is missing, or a file is damaged.
    """
    if len(runs) != 1:
        raise InputError(f"every-eval-ever-samples holds one run per file: {len(runs)} were given")
    (run,) = runs
    if run.timed:
        raise InputError(f"{run.folder} holds times; every-eval-ever-samples is for answers that are right or wrong")
    lines = [json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in _lines(run)]
    if not lines:
        raise InputError(f"{run.folder}: none of its samples has a score of its own")
    return "".join(lines)


def _lines(run: Record) -> Iterator[dict[str, Json]]:
    reader, task, headline = PrefixReader(run.folder), run.manifest.task.name, run.finished().headline
    start = {
        "schema_version": SCHEMA,
        "evaluation_id": evaluation_id(run),
        "model_id": model_id(run),
        "evaluation_name": task,
        "interaction_type": "single_turn",
    }
    for row in run.samples():
        value = 0.0 if row.failed else sample_value(row, run)
        if value is not None:
            result = {"evaluation_result_id": f"{task}/{headline}"} if headline in row.values else {}
            yield {**start, **result, **_sample(row, value, reader)}


def _sample(row: SampleRecord, value: float, reader: PrefixReader) -> dict[str, Json]:
    read = [entry for entry in row.inputs or () if entry is not None]
    texts = [reader.whole(entry).text for entry in read]
    reference = [json_text(target) for target in (row.target if isinstance(row.target, list) else [row.target])]
    outputs = row.output if isinstance(row.output, list) else [row.output]
    thoughts = row.thought if isinstance(row.thought, list) else [row.thought]
    trace = [thought or "" for thought in thoughts] if any(thoughts) else None
    digest = hashlib.sha256((row.prompt + "".join(reference)).encode(errors="surrogatepass")).hexdigest()
    tokens = {name: int(row.cost.get(name, 0)) for name in ("prompt_tokens", "new_tokens")}
    return {
        "sample_id": row.id,
        "sample_hash": digest,
        "input": {
            "raw": row.prompt,
            "formatted": texts[0] if len(texts) == 1 else None,
            "reference": reference,
            "choices": [part.text for part in read[0].continuations or ()] or None if len(read) == 1 else None,
        },
        "output": {"raw": [json_text(output) for output in outputs], "reasoning_trace": trace},
        "messages": None,
        "answer_attribution": _attribution(row),
        "evaluation": {"score": value, "is_correct": value == 1.0},
        "token_usage": {
            "input_tokens": tokens["prompt_tokens"],
            "output_tokens": tokens["new_tokens"],
            "total_tokens": sum(tokens.values()),
        },
        "error": row.failure,
        "metadata": {**row.labels, **_media(read), **_several(texts)} or None,
    }


def _attribution(row: SampleRecord) -> list[dict[str, Json]]:
    """Say which answer was read from the output; nothing if none could be."""
    if row.answer is None:
        return []
    return [
        {
            "turn_idx": 0,
            "source": "output.raw",
            "extracted_value": json_text(row.answer),
            "extraction_method": "custom",
            "is_terminal": True,
        }
    ]


def _several(texts: Sequence[str]) -> dict[str, str]:
    """Name the texts of several requests."""
    return {f"formatted[{number}]": text for number, text in enumerate(texts)} if len(texts) > 1 else {}


def _media(read: Sequence[RecordedInput]) -> dict[str, str]:
    """Name the images and audio that were read, by the first digits of the SHA-256 of their files."""
    media = [part for entry in read for part in entry.media or ()]
    return {f"{part.kind}[{number}]": part.digest or "unreadable" for number, part in enumerate(media)}
