"""What the page shows of a run and of a sample, as plain values for JSON."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from evals.comparison import check_protocol
from evals.errors import InputError
from evals.records.folder import Record
from evals.records.prefixes import PrefixReader
from evals.records.types import SampleRecord
from evals.reports.rendering.formatting import interval, json_text, metric_value, visible
from evals.reports.runs import reported, sections
from evals.reports.runs.naming import about, blind, labels_of, model
from evals.reports.runs.worst_samples import sample_value
from evals.schema import Json

_LONGEST = 200_000
"""Characters of a text on the page."""


def names(folders: Sequence[Path]) -> list[str]:
    """Name run folders by the ends of their paths, as long as it takes to tell them apart.

    Example:
        >>> names([Path("runs/a/vl"), Path("runs/b/vl"), Path("runs/b/r1")])
        ['a/vl', 'b/vl', 'r1']
    """
    paths = [folder.resolve().parts for folder in folders]
    lengths = [1] * len(paths)
    while True:
        ends = ["/".join(parts[-length:]) for parts, length in zip(paths, lengths, strict=True)]
        counts = Counter(ends)
        longer = [
            min(length + (counts[end] > 1), len(parts)) for parts, length, end in zip(paths, lengths, ends, strict=True)
        ]
        if longer == lengths:
            return [visible(end, 200) for end in ends]
        lengths = longer


def protocols(record: Record, other: Record) -> str:
    """Say in which field the protocols of two runs differ, so that `compare` refuses them; empty if in none."""
    try:
        check_protocol(record, other)
    except InputError as error:
        return str(error).partition(" have ")[2]
    return ""


def describe_run(record: Record) -> dict[str, Json]:
    """Describe a finished run."""
    result, headline = record.finished(), sections.headline(record)
    metrics = sections.ordered_metrics(record)
    divided = [
        {
            "title": section.title,
            "rows": [
                {
                    "label": row.label,
                    "value": metric_value(row.metric),
                    "interval": interval(row.metric),
                    "n": row.metric.n,
                }
                for row in section.rows
            ],
        }
        for section in sections.divide(metrics)
    ]
    return {
        "model": visible(model(record), 80),
        "task": record.manifest.task.name,
        "split": record.manifest.task.split,
        "blind": blind(record),
        "about": about([record]),
        "folder": visible(str(record.folder), 200),
        "signature": record.manifest.signature,
        "headline": {
            "name": headline.name, "value": metric_value(headline.metric), "interval": interval(headline.metric),
        },
        "n": result.n,
        "counts": {name: getattr(result, name) for name in ("failed", "unparsed", "truncated")},
        "sections": divided,
        "notes": list(reported.sentences(record)),
    }  # fmt: skip


def describe_sample(record: Record, row: SampleRecord) -> dict[str, Json]:
    """Describe a sample of a run, with all that the model read and wrote."""
    reader = PrefixReader(record.folder, [entry.prefix for entry in row.inputs or () if entry and entry.prefix])
    inputs = [reader.whole(entry) for entry in row.inputs or () if entry is not None]
    scores = [list(map(float, scores)) for scores in row.scores]
    continuations = [text for text, _ in inputs[0].continuations] if inputs else []
    image = record.image(row.id)
    score = sample_value(row, record)
    return {
        "id": row.id,
        "question": visible(row.prompt, _LONGEST),
        "read": [visible(entry.text, _LONGEST) for entry in inputs],
        "output": _text(row.output),
        "thought": _text(row.thought),
        "answer": _text(row.answer),
        "target": _text(row.target),
        "score": score,
        "values": dict(row.values),
        "reported": dict(row.reported or {}),
        "labels": dict(labels_of(row)),
        "cost": dict(row.cost),
        "scores": scores if any(scores) else [],
        "continuations": [visible(text, 400) for text in continuations],
        "failure": visible(row.failure, 2000) if row.failure else None,
        "truncated": row.truncated,
        "unfinished": row.truncated_thinking,
        "media": dict(Counter(media.kind for entry in row.inputs or () if entry for media in entry.media or ())),
        "image": f"data:image/png;base64,{base64.b64encode(image).decode()}" if image is not None else None,
    }


def _text(value: Json) -> str | None:
    return None if value is None else visible(json_text(value), _LONGEST)
