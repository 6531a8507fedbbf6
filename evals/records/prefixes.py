"""Write and read `prefixes.jsonl`, and join the inputs of samples with the prefixes that they share.

Nothing is decoded or tokenised again to show what a model read: `PrefixReader.whole` joins what was recorded.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from evals import regular_files
from evals.errors import RecordError
from evals.records.files import drop_torn_line, reading
from evals.records.inputs import RecordedInput, SharedPrefix, digest_of_prefix, unpack_tokens
from evals.schema import ModelInput

PREFIXES = "prefixes.jsonl"
_REMEMBERED = 1 << 16
"""Number of prefixes whose digests are kept in memory; an older one that comes again is written again."""


class PrefixWriter:
    """Appends shared prefixes to the file of a run, each once."""

    def __init__(self, folder: Path) -> None:
        """Continue the file of a folder: a line that was cut off by a crash is removed, and no prefix repeated.

        Raises:
            RecordError: a line of the file is damaged.
        """
        self._path = folder / PREFIXES
        self._digests: dict[str, None] = {}
        if self._path.exists():
            drop_torn_line(self._path)
            for prefix in read_prefixes(self._path):
                self._remember(prefix.digest)

    def add(self, prefixes: Iterable[SharedPrefix]) -> None:
        """Append those that are new, and wait until they are on the disk. Raises `OSError` if they cannot be written.

        They must be on the disk before any sample that refers to them.
        """
        fresh = {prefix.digest: prefix for prefix in prefixes if prefix.digest not in self._digests}
        if not fresh:
            return
        encode = msgspec.json.Encoder().encode
        data = b"".join(encode(prefix) + b"\n" for prefix in fresh.values())
        with self._path.open("ab") as file:
            start = file.tell()
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                os.ftruncate(file.fileno(), start)
                raise
        for digest in fresh:
            self._remember(digest)

    def _remember(self, digest: str) -> None:
        self._digests[digest] = None
        if len(self._digests) > _REMEMBERED:
            del self._digests[next(iter(self._digests))]


def read_prefixes(path: Path) -> Iterator[SharedPrefix]:
    """Yield the prefixes of a file one by one.

    Raises:
        RecordError: a line is damaged, or its digest is not that of its contents.
    """
    decode = msgspec.json.Decoder(SharedPrefix).decode
    with reading(path), regular_files.opened(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return  # cut off by a crash; no sample refers to it
            try:
                prefix = decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise RecordError(f"{path}, line {number}, is damaged: {error}") from error
            if prefix.digest != digest_of_prefix(prefix.text, prefix.tokens):
                raise RecordError(f"{path}, line {number}, was changed: its contents are not those of its digest")
            yield prefix


class PrefixReader:
    """Joins recorded inputs with their shared prefixes."""

    def __init__(self, folder: Path, wanted: Iterable[str] | None = None) -> None:
        """Read the prefixes of a run folder.

        Args:
            folder: the run folder; one without the file has no prefixes.
            wanted: digests of the prefixes to keep in memory, or None for all.

        Raises:
            RecordError: the file is damaged.
        """
        self._path = folder / PREFIXES
        kept = None if wanted is None else set(wanted)
        self._prefixes: Mapping[str, SharedPrefix] = {
            prefix.digest: prefix
            for prefix in (read_prefixes(self._path) if self._path.exists() else ())
            if kept is None or prefix.digest in kept
        }

    def whole(self, recorded: RecordedInput) -> ModelInput:
        """Return what the model read: the prefix and what follows it.

        Raises:
            RecordError: the prefix is missing.
        """
        text, tokens = recorded.text, recorded.tokens
        if recorded.prefix is not None:
            prefix = self._prefixes.get(recorded.prefix)
            if prefix is None:
                raise RecordError(f"{self._path} lacks the prefix {recorded.prefix}: restore the file")
            text = prefix.text + text
            tokens = None if prefix.tokens is None or tokens is None else [*prefix.tokens, *tokens]
        return ModelInput(
            text=text,
            tokens=None if tokens is None else unpack_tokens(tokens),
            continuations=tuple(
                (part.text, None if part.tokens is None else unpack_tokens(part.tokens))
                for part in recorded.continuations or ()
            ),
            messages=recorded.messages,
        )
