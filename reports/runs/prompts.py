"""What a model read, from the record: for one sample as text, and for the samples of a report.

`show` writes the text exactly as it was recorded, not shortened or escaped, so that it can be read by another program.
`ShownPrompts` has what a page shows, with each shared prefix once, whatever begins with it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class ShownPrompt:
    """What a model read for one request."""

    prefix: str | None
    """Digest of the shared prefix that it begins with; None if the text is whole."""
    text: str
    """The text after the prefix, with special tokens."""
    whole_text: str
    """The text with its prefix."""
    tokens: int | None
    """Number of tokens, those of the prefix included; None if only a server knows it."""
    continuations: tuple[str, ...]
    """The continuations that were scored after the prompt."""
    media: tuple[str, ...]
    """The images and audio: kind and digest."""


@dataclass(frozen=True, slots=True)
class ShownPrefix:
    """The beginning of several prompts."""

    digest: str
    text: str
    tokens: int | None
    """Number of tokens; None if only a server knows it."""
    prompts: int
    """Number of the shown prompts that begin with it."""


class ShownPrompts:
    """The prompts of some samples of a run, with the prefixes that they share."""

    def __init__(self, record: Record, rows: Sequence[SampleRecord]) -> None:
        """Read the prefixes that the samples refer to.

        Args:
            record: the run.
            rows: the records of the samples.

        Raises:
            RecordError: a prefix is missing, or their file is damaged.
        """
        uses = Counter(entry.prefix for row in rows for entry in _inputs(row) if entry.prefix is not None)
        self._reader = PrefixReader(record.folder, uses)
        self._uses = uses

    def of(self, row: SampleRecord) -> tuple[ShownPrompt, ...]:
        """Return what was read for each request of a sample; one entry if it was the same for all, none if unknown."""
        return tuple(self._shown(entry) for entry in _inputs(row))

    def prefixes(self) -> tuple[ShownPrefix, ...]:
        """Return the shared prefixes in the order of their first use."""
        shown = []
        for digest, count in self._uses.items():
            read = self._reader.whole(RecordedInput("", [], digest))
            shown.append(ShownPrefix(digest, read.text, None if read.tokens is None else len(read.tokens), count))
        return tuple(shown)

    def _shown(self, entry: RecordedInput) -> ShownPrompt:
        read = self._reader.whole(entry)
        return ShownPrompt(
            prefix=entry.prefix,
            text=entry.text,
            whole_text=read.text,
            tokens=None if read.tokens is None else len(read.tokens),
            continuations=tuple(text for text, _ in read.continuations),
            media=tuple(_named(part) for part in entry.media or ()),
        )


def _inputs(row: SampleRecord) -> list[RecordedInput]:
    return [entry for entry in row.inputs or () if entry is not None]


def _named(media: Media) -> str:
    """Name an image or audio clip.

    Example:
        >>> _named(Media("image", "0123456789abcdef", blind=True)), _named(Media("audio", None))
        ('image 0123456789abcdef, replaced', 'audio, unreadable')
    """
    return media.kind + (f" {media.digest}" if media.digest else ", unreadable") + (", replaced" if media.blind else "")
