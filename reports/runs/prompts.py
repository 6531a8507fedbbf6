"""Write what a model read for one sample: the whole text, token ids, continuations, images and messages.

The text is written exactly as it was recorded, not shortened or escaped, so that it can be read by another program.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from evals.errors import RecordError, UnknownName
from evals.records.folder import SAMPLES, Record
from evals.records.inputs import Media, RecordedInput
from evals.records.prefixes import PrefixReader
from evals.records.types import SampleRecord
from evals.schema import Json, ModelInput

_SUGGESTED = 20
"""Number of ids that an error about an unknown id lists."""


def show(record: Record, sample_id: str) -> str:
    """Write what a model read for a sample.

    Args:
        record: a run, finished or not.
        sample_id: the sample's id.

    Returns:
        For each request a heading, the text between two marks, and the token ids as a JSON list.

    Raises:
        UnknownName: the run has no such sample.
        RecordError: the record does not say what the model read.
    """
    row = find(record, sample_id)
    if row.inputs is None:
        raise RecordError(
            f"{record.folder / SAMPLES} does not say what the model read for sample {sample_id!r}: it was made by "
            f"version 0.1, no model read it (recorded outputs), or its prompt could not be made"
        )
    recorded = [entry for entry in row.inputs if entry is not None]
    reader = PrefixReader(record.folder, {entry.prefix for entry in recorded if entry.prefix is not None})
    parts: list[str] = []
    for number, entry in enumerate(row.inputs, start=1):
        heading = f"sample {row.id}" + (f", request {number} of {len(row.inputs)}" if len(row.inputs) > 1 else "")
        if entry is None:
            parts.append(f"{heading}: its prompt could not be made\n")
        else:
            parts.append("\n".join([heading, *_lines(reader.whole(entry), entry)]) + "\n")
    return "\n".join(parts)


def find(record: Record, sample_id: str) -> SampleRecord:
    """Return the record of a sample. Raises `UnknownName` if there is none."""
    ids: list[str] = []
    for row in record.samples():
        if row.id == sample_id:
            return row
        if len(ids) < _SUGGESTED:
            ids.append(row.id)
    raise UnknownName(f"sample of {record.folder}", sample_id, ids)


def _lines(model_input: ModelInput, recorded: RecordedInput) -> Iterator[str]:
    media = recorded.media or []
    yield "--- text"
    yield model_input.text
    yield "--- end of text"
    if model_input.tokens is not None:
        yield f"tokens {len(model_input.tokens)}: {json.dumps(list(model_input.tokens))}"
    for text, tokens in model_input.continuations:
        yield f"continuation {json.dumps(text, ensure_ascii=False)}" + (f": {json.dumps(tokens)}" if tokens else "")
    for entry in media:
        yield f"{entry.kind} {entry.digest or 'unreadable'}" + (" (blind: replaced)" if entry.blind else "")
    if model_input.messages is not None:
        yield f"messages {json.dumps(messages(model_input, media), ensure_ascii=False)}"


def messages(model_input: ModelInput, media: list[Media]) -> list[dict[str, Json]]:
    """Write the messages to a server in full; an image is named by its digest.

    Example:
        >>> sent = ModelInput("Is it red?", None, messages=[{"role": "user", "content": [{"image": 0}, 10]}])
        >>> messages(sent, [Media("image", "0123456789abcdef")])
        [{'role': 'user', 'content': [{'image': '0123456789abcdef'}, 'Is it red?']}]
    """
    start = 0
    whole: list[dict[str, Json]] = []
    for message in model_input.messages or ():
        content: list[Json] = []
        for entry in message["content"]:
            if isinstance(entry, int):
                content.append(model_input.text[start : start + entry])
                start += entry
            else:
                content.append({kind: media[index].digest for kind, index in entry.items()})
        whole.append({**message, "content": content[0] if len(content) == 1 else content})
    return whole
