"""What a model read, as a run folder stores it: `inputs` of a sample record, and the prefixes that inputs share.

    samples.jsonl    `inputs`: for each request a `RecordedInput`, whose `prefix` is the digest of a shared prefix
    prefixes.jsonl   `SharedPrefix`: text and tokens at the beginning of many inputs, stored once per run

Text and tokens of an input are those of its prefix followed by its own. `evals.records.prefixes` writes and reads the
file of prefixes, and joins inputs with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import msgspec

from evals.schema import Json

_RUN = 4
"""From this number of equal tokens in a row, a run is stored as `[token, count]`: the placeholders of an image."""

Tokens = list[int | tuple[int, int]]
"""Token ids in order; `[token, count]` is a token that is repeated `count` times."""


class Media(msgspec.Struct, frozen=True, omit_defaults=True):
    """An image or audio clip that a model read."""

    kind: str
    """`image` or `audio`."""
    digest: str | None
    """The first 16 hexadecimal digits of the SHA-256 of its file; None if the file could not be read."""
    blind: bool = False
    """Whether a flat image, or silence, of the same size took its place."""


class Continuation(msgspec.Struct, frozen=True, omit_defaults=True):
    """A text that was scored after the prompt."""

    text: str
    tokens: Tokens | None = None


class RecordedInput(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a model read for one request, after the prefix that it shares with others."""

    text: str
    """The text after the prefix: the chat template rendered, special tokens visible, one placeholder per image."""
    tokens: Tokens | None = None
    """The tokens after the prefix; None if only a server knows them."""
    prefix: str | None = None
    """Digest of the shared prefix; None if everything is here."""
    continuations: list[Continuation] | None = None
    """The continuations that were scored after the prompt."""
    media: list[Media] | None = None
    """The images and audio, in the order of their placeholders."""
    messages: list[dict[str, Json]] | None = None
    """For a server: the messages. In their contents, a number stands for so many next characters of the whole text, and
    an object is an image or audio of `media`."""

    def __reduce__(self) -> tuple[Callable[[bytes], RecordedInput], tuple[bytes]]:
        """Pickle as one text, in which thousands of tokens are read at once: the driver reads those of all workers."""
        return _unpickled, (msgspec.msgpack.encode(self),)


_decode = msgspec.msgpack.Decoder(RecordedInput).decode


def _unpickled(data: bytes) -> RecordedInput:
    """Make an input that was pickled."""
    return _decode(data)


class SharedPrefix(msgspec.Struct, frozen=True):
    """One line of `prefixes.jsonl`: the beginning of several inputs."""

    digest: str
    text: str
    tokens: Tokens | None

    @classmethod
    def of(cls, text: str, tokens: Sequence[int] | None) -> SharedPrefix:
        """Make a prefix with its digest.

        Example:
            >>> SharedPrefix.of("Solve: ", [1, 5]).digest
            '0e0037f25df50f0e'
        """
        stored = None if tokens is None else pack_tokens(tokens)
        return cls(digest_of_prefix(text, stored), text, stored)


def digest_of_prefix(text: str, tokens: Tokens | None) -> str:
    """Return the digest of a shared prefix: 16 hexadecimal digits."""
    return hashlib.sha256(msgspec.json.encode([text, tokens])).hexdigest()[:16]


def pack_tokens(tokens: Sequence[int]) -> Tokens:
    """Write tokens with runs of equal ones as `[token, count]`.

    Example:
        >>> pack_tokens([1, 9, 9, 9, 9, 2, 2]), unpack_tokens([1, (9, 4), 2, 2])
        ([1, (9, 4), 2, 2], [1, 9, 9, 9, 9, 2, 2])
    """
    packed: Tokens = []
    start = 0
    for index in range(1, len(tokens) + 1):
        if index < len(tokens) and tokens[index] == tokens[start]:
            continue
        count = index - start
        packed += [(tokens[start], count)] if count >= _RUN else [tokens[start]] * count
        start = index
    return packed


def unpack_tokens(packed: Tokens) -> list[int]:
    """Write tokens out, one by one; the inverse of `pack_tokens`."""
    return [
        token
        for entry in packed
        for token in ([entry] if isinstance(entry, int) else [entry[0]] * entry[1])
    ]  # fmt: skip
