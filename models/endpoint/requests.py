"""What is sent to a server of OpenAI's kind: requests as JSON bodies, pictures and recordings within them."""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Sequence

from evals.data import audio as sounds
from evals.data.images import MAX_PIXELS, decode
from evals.errors import SampleError
from evals.schema import Audio, Generate, Image, Json, Part

_SENT = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
"""Formats that go out as they are, and what they are called."""
_ORIENTATION = 0x0112
MOST_STOPS = 4
"""Stops that the interface takes; all are heeded here once more."""


def chat_body(
    request: Generate, *, model: str, max_tokens: int, stop: bool, limit: str = "max_tokens"
) -> dict[str, Json]:
    """Ask to continue a prompt as one user's message.

    Args:
        request: what is asked.
        model: its name at the server.
        max_tokens: how many tokens may come.
        stop: whether the server is to stop at the request's stops; where it thinks first, they would end a thought.
        limit: what the server calls `max_tokens`.

    Raises:
        SampleError: a picture cannot be read.
    """
    return {"model": model, "messages": [message(request.parts)], limit: max_tokens, **_drawn(request, stop)}


def completion_body(request: Generate, *, model: str, max_tokens: int, stop: bool) -> dict[str, Json]:
    """Ask to continue a plain text, as `chat_body` does. Raises `SampleError` for a prompt of more than text."""
    if not all(isinstance(part, str) for part in request.parts):
        raise SampleError(f"request {request.id} shows more than text; this server completes texts only")
    text = "".join(part for part in request.parts if isinstance(part, str))
    return {"model": model, "prompt": text, "max_tokens": max_tokens, **_drawn(request, stop)}


def _drawn(request: Generate, stop: bool) -> dict[str, Json]:
    """How tokens are drawn and where they end."""
    body: dict[str, Json] = {"temperature": request.temperature}
    if request.temperature:
        body |= {"top_p": request.top_p, "seed": zlib.crc32(f"{request.seed}:{request.id}".encode()) >> 1}
    if stop and request.stop:
        body["stop"] = list(request.stop[:MOST_STOPS])
    return body


def message(parts: Sequence[Part]) -> dict[str, Json]:
    """Write a prompt as a user's message: plain text as a string, which every server takes, else part by part."""
    if all(isinstance(part, str) for part in parts):
        return {"role": "user", "content": "".join(part for part in parts if isinstance(part, str))}
    return {"role": "user", "content": [_piece(part) for part in parts]}


def _piece(part: Part) -> dict[str, Json]:
    match part:
        case str():
            return {"type": "text", "text": part}
        case Image():
            return {"type": "image_url", "image_url": {"url": data_address(part)}}
        case Audio():
            return {"type": "input_audio", "input_audio": {"data": _sound(part), "format": "wav"}}


def _sound(audio: Audio) -> str:
    """A recording's own bytes in base64; of a blind one silence. Raises `SampleError` for what cannot be read."""
    if audio.blind:
        return base64.b64encode(sounds.to_wav(sounds.decode(audio))).decode()
    name = audio.path or f"recording {audio.key}"
    try:
        data = audio.data if audio.data is not None else audio.path.read_bytes() if audio.path else b""
    except OSError as error:
        raise SampleError(f"{name} cannot be read: {error.strerror}") from error
    if not data.startswith(b"RIFF"):
        raise SampleError(f"{name} is not a WAV file")
    return base64.b64encode(data).decode()


def data_address(image: Image) -> str:
    """Write a picture as a `data:` address.

    A JPEG, PNG or WebP goes out as it is, unless it asks to be turned: some servers would do that, and the families
    that run here do not. Anything else becomes a PNG of its pixels, a blind picture a flat grey one of its size.

    Raises:
        SampleError: missing, no picture, damaged, or too large.
    """
    kind, data = ("PNG", _png(image)) if image.blind else _as_it_is(image) or ("PNG", _png(image))
    return f"data:{_SENT[kind]};base64,{base64.b64encode(data).decode()}"


def _as_it_is(image: Image) -> tuple[str, bytes] | None:
    """The picture's own bytes and format, where a server reads the same pixels in them; else None."""
    from PIL import Image as pillow

    if image.data is None and image.path is None:
        return None
    try:
        data = image.data if image.data is not None else image.path.read_bytes()  # type: ignore[union-attr]
        with pillow.open(io.BytesIO(data), formats=tuple(_SENT)) as picture:
            plain = picture.mode in {"RGB", "L"} and picture.getexif().get(_ORIENTATION, 1) == 1
            small = picture.width * picture.height <= MAX_PIXELS
            return (str(picture.format), data) if plain and small and picture.format else None
    except (OSError, ValueError, SyntaxError, pillow.DecompressionBombError, pillow.DecompressionBombWarning):
        return None  # decoding it will say what is wrong


def _png(image: Image) -> bytes:
    buffer = io.BytesIO()
    try:
        decode(image).save(buffer, "PNG", compress_level=1)
    except OSError as error:
        raise SampleError(f"{image.path or image.key} cannot be written as PNG: {error}") from error
    return buffer.getvalue()
