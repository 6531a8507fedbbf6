"""Request bodies for an OpenAI-compatible server, with images and audio embedded."""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from evals import regular_files
from evals.data import audio as wav
from evals.data import images
from evals.data.images import MAX_PIXELS, decode
from evals.errors import SampleError
from evals.models.decoding.text import join_text, plain_text
from evals.models.decoding.thoughts import SWITCHES
from evals.schema import MODALITIES, Audio, ChatSettings, Choose, Generate, Image, Json, Part, RecordedBeginning

_UNCHANGED_FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
"""Image formats that are sent unchanged, with their media types."""
_ORIENTATION = 0x0112
NEUTRAL: Mapping[str, Json] = {
    "top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}  # fmt: skip
"""Values that change nothing, under the names of vLLM and SGLang. A field that is not sent gets the value of the
checkpoint's `generation_config.json` there, and its penalty would change greedy texts too."""
MAX_STOPS = 4
"""Number of stop strings that the interface accepts; all of them are applied again to the response."""


def chat_body(
    request: Generate, *, model: str, max_tokens: int, stop: bool, neutral: bool, limit: str = "max_tokens"
) -> dict[str, Json]:
    """Make the body of a chat completion, with the prompt as one user message.

    Args:
        request: the request.
        model: the model's name on the server.
        max_tokens: maximum number of new tokens.
        stop: whether to send the request's stop strings; in a reasoning model they would end the reasoning.
        neutral: whether to send `NEUTRAL`, so that the server's configuration adds nothing to the request's sampling.
        limit: the server's name for `max_tokens`.

    Raises:
        SampleError: an image cannot be read.
    """
    system = request.chat.system
    messages = [] if system is None else [{"role": "system", "content": system}]
    messages.append(message(request.parts))
    sampling = _sampling(request, stop, neutral)
    return {"model": model, "messages": messages, limit: max_tokens, **sampling, **_chat(request.chat)}


def recorded_messages(parts: Sequence[Part], system: str | None = None) -> list[dict[str, Json]]:
    """Describe the messages of a chat for the record: numbers of characters in place of texts, names of media.

    Example:
        >>> from evals.schema import Image
        >>> recorded_messages((Image("7"), "Is it red?"))
        [{'role': 'user', 'content': [{'image': 0}, 10]}]
    """
    content: list[Json] = []
    media = 0
    for part in parts:
        if isinstance(part, str):
            content.append(len(part))
        else:
            content.append({MODALITIES[type(part)]: media})
            media += 1
    user = {"role": "user", "content": content if media else [len(join_text(parts))]}
    return [user] if system is None else [{"role": "system", "content": [len(system)]}, user]


def completion_body(
    request: Generate,
    *,
    model: str,
    max_tokens: int,
    stop: bool,
    neutral: bool,
    begun: RecordedBeginning | None = None,
) -> dict[str, Json]:
    """Make the body of a text completion; as `chat_body`. Raises `SampleError` if the prompt is not text only.

    With what the server wrote until the limit (`begun`), it is asked to go on, with random numbers of its own.
    """
    text = plain_text(request, "this server completes texts only")
    if request.chat.system is not None or request.chat.thinking is not None or request.chat.template == "on":
        raise SampleError(f"request {request.id}: a system prompt, a template or thinking needs a chat, not plain text")
    if begun is not None:
        text, max_tokens = text + begun.text, max_tokens - begun.tokens
        request = replace(request, id=f"{request.id}@{begun.tokens}")
    return {"model": model, "prompt": text, "max_tokens": max_tokens, **_sampling(request, stop, neutral)}


def _sampling(request: Generate, stop: bool, neutral: bool) -> dict[str, Json]:
    """Return the fields for sampling and stop strings; none for the checkpoint's own sampling."""
    body: dict[str, Json] = {}
    if request.sampling == "request":
        body = {"temperature": request.temperature, **(NEUTRAL if neutral else {})}
    if request.temperature:
        body |= {"top_p": request.top_p, "seed": zlib.crc32(f"{request.seed}:{request.id}".encode()) >> 1}
        body |= {} if request.top_k is None else {"top_k": request.top_k}
        body |= {"min_p": request.min_p} if request.min_p else {}
    if stop and request.stop:
        body["stop"] = list(request.stop[:MAX_STOPS])
    return body


def _chat(chat: ChatSettings) -> dict[str, Json]:
    """Return the fields for another template and for thinking, as vLLM and SGLang name them."""
    body: dict[str, Json] = {}
    if chat.template not in {None, "on"}:
        body["chat_template"] = chat.template
    if chat.thinking is not None:
        body["chat_template_kwargs"] = dict.fromkeys(SWITCHES, chat.thinking)  # a template ignores what it never reads
    return body


def message(parts: Sequence[Part]) -> dict[str, Json]:
    """Make a user message: a string for plain text, which every server accepts, otherwise a list of parts."""
    if all(isinstance(part, str) for part in parts):
        return {"role": "user", "content": join_text(parts)}
    return {"role": "user", "content": [_content_part(part) for part in parts]}


def _content_part(part: Part) -> dict[str, Json]:
    match part:
        case str():
            return {"type": "text", "text": part}
        case Image():
            return {"type": "image_url", "image_url": {"url": data_url(part)}}
        case Audio():
            return {"type": "input_audio", "input_audio": {"data": _wav_base64(part), "format": "wav"}}


def _wav_base64(audio: Audio) -> str:
    """Encode a WAV file in base64; blind audio becomes silence. Raises `SampleError` if it cannot be read."""
    if audio.blind:
        return base64.b64encode(wav.to_wav(wav.decode(audio))).decode()
    name = audio.path or f"audio {audio.key}"
    try:
        data = audio.data or b""
        if audio.data is None and audio.path:
            data = regular_files.read(audio.path, limit=wav.MAX_BYTES)
    except OSError as error:
        raise SampleError(f"{name} cannot be read: {error.strerror}") from error
    if not data.startswith(b"RIFF"):
        raise SampleError(f"{name} is not a WAV file")
    if wav.is_cut_off(data):
        raise SampleError(f"{name} is cut off: its header announces more audio than the file holds")
    return base64.b64encode(data).decode()


def data_url(image: Image) -> str:
    """Encode an image as a `data:` URL.

    A JPEG, PNG or WebP file is sent unchanged, unless its metadata ask for a rotation: some servers would apply it, and
    the local families do not. Any other image is sent as a PNG of its pixels, and a blind image as flat grey.

    Raises:
        SampleError: the file is missing, damaged, too large, or not an image.
    """
    kind, data = ("PNG", _png(image)) if image.blind else _unchanged(image) or ("PNG", _png(image))
    return f"data:{_UNCHANGED_FORMATS[kind]};base64,{base64.b64encode(data).decode()}"


def _unchanged(image: Image) -> tuple[str, bytes] | None:
    """Return the image's format and bytes if a server decodes them to the same pixels; otherwise None."""
    from PIL import Image as pillow

    if image.data is None and image.path is None:
        return None
    try:
        data = image.data or b""
        if image.data is None and image.path is not None:
            data = regular_files.read(image.path, limit=images.MAX_BYTES)
        with pillow.open(io.BytesIO(data), formats=tuple(_UNCHANGED_FORMATS)) as opened:
            plain = opened.mode in {"RGB", "L"} and opened.getexif().get(_ORIENTATION, 1) == 1
            small = opened.width * opened.height <= MAX_PIXELS
            return (str(opened.format), data) if plain and small and opened.format else None
    except (OSError, ValueError, SyntaxError, pillow.DecompressionBombError, pillow.DecompressionBombWarning):
        return None  # decoding it reports what is wrong


def _png(image: Image) -> bytes:
    buffer = io.BytesIO()
    try:
        decode(image).save(buffer, "PNG", compress_level=1)
    except OSError as error:
        raise SampleError(f"{image.path or image.key} cannot be written as PNG: {error}") from error
    return buffer.getvalue()


def parts_with_choices(request: Choose) -> tuple[Part, ...]:
    """Return a prompt that asks the model to write one of the choices."""
    listed = ", ".join(choice.strip() for choice in request.choices)
    return (*request.parts, f"\n\nAnswer with exactly one of these and nothing else: {listed}")


def has_media(parts: Sequence[Part]) -> bool:
    """Return whether a prompt has images or audio."""
    return not all(isinstance(part, str) for part in parts)
