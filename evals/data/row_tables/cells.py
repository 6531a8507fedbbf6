"""Values of rows as what tasks need: a text, the right answers, an image, an audio clip.

A value is what a reader returned: text, numbers, lists and mappings, bytes, and what `datasets` stores for its features
(`{"bytes": …, "path": …}` for an image or audio).
"""

from __future__ import annotations

import base64
import datetime
import decimal
import hashlib
import math
from collections.abc import Mapping
from typing import Any

from evals.data.files import inside
from evals.data.images import FORMATS
from evals.data.row_tables.table import DataTable, RowValues
from evals.errors import InputError, one_line, shorten
from evals.schema import Audio, Image

_MIN_BASE64_LENGTH = 64
"""Shorter values are paths: no image is smaller in base64. Longer ones are base64 only if they decode to `_MAGIC`."""
_MAX_PATH_LENGTH = 255
_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"GIF8", b"II*\0", b"MM\0*")
"""First bytes of encoded images."""
_ANSWER_KEYS = ("text", "answer", "value", "answers", "label", "aliases", "normalized_aliases")
"""Keys of a mapping that hold answers: SQuAD has `text`, VQA `answer`, TriviaQA `value` and `aliases`."""


def value_of(row: RowValues, column: str) -> Any:
    """Return the value of a column, or of a part of it (`answers.text`; of a list, the part of every entry).

    Example:
        >>> value_of({"answers": {"text": ["a", "b"]}}, "answers.text")
        ['a', 'b']
        >>> value_of({"answers": [{"answer": "a"}, {"answer": "b"}]}, "answers.answer")
        ['a', 'b']
    """
    if column in row or "." not in column:
        return row.get(column)
    first, _, rest = column.partition(".")
    value: Any = row.get(first)
    for key in rest.split("."):
        if isinstance(value, list):
            value = [entry.get(key) if isinstance(entry, Mapping) else None for entry in value]
        else:
            value = value.get(key) if isinstance(value, Mapping) else None
    return value


def text_of(value: Any) -> str | None:
    """Return a value as text, None for a missing one.

    Raises:
        InputError: the value is a list, a mapping or bytes.

    Example:
        >>> text_of(2), text_of(2.0), text_of(0.5), text_of(True), text_of("2.0"), text_of(None)
        ('2', '2', '0.5', 'true', '2.0', None)
    """
    texts = _texts(value)
    return texts[0] if texts else None


def answers_of(value: Any) -> list[str]:
    """Return the right answers that a value holds, each once; empty if there is none.

    A number that is written as 2.0 in the file's type of numbers is 2 and 2.0. A list holds answers of which any is
    right; of a mapping the keys count that data sets use for answers (`text`, `answer`, `value`, `aliases`).

    Raises:
        InputError: the value is a mapping without such a key, or bytes.

    Example:
        >>> answers_of("red"), answers_of(2.0), answers_of(["a", None, "a", "b"])
        (['red'], ['2', '2.0'], ['a', 'b'])
        >>> answers_of({"text": ["x", "y"], "answer_start": [1, 2]})
        ['x', 'y']
        >>> answers_of([{"answer": "net", "answer_id": 1}, {"answer": "nets", "answer_id": 2}])
        ['net', 'nets']
    """
    if isinstance(value, Mapping):
        keys = [key for key in _ANSWER_KEYS if key in value]
        if not keys:
            present = ", ".join(map(shorten, list(value)[:8]))
            raise InputError(
                f"a mapping with {present}; expected one of {', '.join(_ANSWER_KEYS)}: choose a part with --columns "
                f"target=COLUMN.KEY"
            )
        chosen = keys if keys[0] in {"value", "aliases"} else keys[:1]
        return list(dict.fromkeys(answer for key in chosen for answer in answers_of(value[key])))
    if isinstance(value, (list, tuple)):
        return list(dict.fromkeys(answer for entry in value for answer in answers_of(entry)))
    return _texts(value)


def _texts(value: Any) -> list[str]:
    """Return the ways to write a single value."""
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if isinstance(value, float):
        if not math.isfinite(value):
            return []
        return [str(int(value)), repr(value)] if value.is_integer() and abs(value) < 2**53 else [repr(value)]
    if isinstance(value, (int, decimal.Decimal)):
        return [str(value)]
    if isinstance(value, (datetime.date, datetime.time)):
        return [value.isoformat()]
    raise InputError(f"{shorten(value, 40)} ({type(value).__name__}), expected text or a number")


# Media


def images_of(value: Any, table: DataTable) -> list[Image]:
    """Return the images that a value holds: a path, base64, bytes, `{"bytes", "path"}`, or a list of these.

    Raises:
        InputError: it is something else, or a path that leaves the folder or the archive of the table.
    """
    if isinstance(value, list):
        return [image for entry in value for image in images_of(entry, table)]
    if value is None:
        return []
    if isinstance(value, str):
        return [_image_of_text(value, table)]
    encoded, path = _stored(value, "image")
    if encoded is not None:
        return [Image(_key(encoded), data=encoded)]
    return [_image_of_text(path, table)] if path else []


def audio_of(value: Any, table: DataTable) -> Audio | None:
    """Return the audio clip that a value holds: a path, bytes, or `{"bytes", "path"}`.

    Raises:
        InputError: it is something else, or a path that leaves the folder or the archive of the table.
    """
    if value is None:
        return None
    if isinstance(value, Mapping) and "array" in value:
        return _waveform(value)
    encoded, path = (None, value) if isinstance(value, str) else _stored(value, "audio")
    if encoded is not None:
        return Audio(_key(encoded), data=encoded)
    if not path:
        return None
    content, place = _file(path, table, "audio")
    return Audio(path, path=place, data=content)


def _waveform(value: Mapping[str, Any]) -> Audio:
    """Encode a waveform that is stored as numbers."""
    import numpy as np

    from evals.data.audio import Waveform, to_wav

    try:
        encoded = to_wav(Waveform(np.asarray(value["array"], dtype=np.float32), int(value["sampling_rate"])))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"audio cannot be read: {one_line(error)}") from error
    return Audio(_key(encoded), data=encoded)


def _stored(value: Any, kind: str) -> tuple[bytes | None, str | None]:
    """Return the bytes and the path of a value of the library's features."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value), None
    if isinstance(value, Mapping) and ("bytes" in value or "path" in value):
        content, path = value.get("bytes"), value.get("path")
        if isinstance(content, bytes | None) and isinstance(path, str | None):
            return content, path
    raise InputError(f'{kind} is {shorten(value, 40)}; expected a path, bytes, or {{"bytes", "path"}}')


def _key(encoded: bytes) -> str:
    return hashlib.sha256(encoded).hexdigest()[:16]


def _image_of_text(value: str, table: DataTable) -> Image:
    encoded = decoded_image(value)
    if encoded is not None:
        return Image(_key(encoded), data=encoded)
    content, place = _file(value, table, "image")
    return Image(value, path=place, data=content)


def _file(name: str, table: DataTable, kind: str) -> tuple[bytes | None, Any]:
    """Return the contents of a file of the table's archive, or its path in the table's folder."""
    if "://" in name:
        raise InputError(f"{kind} {shorten(name, 60)} is an address; download it and give its path")
    content = table.member(name)
    if content is not None:
        return content, None
    if table.folder is None:
        raise InputError(f"{kind} {shorten(name, 60)} is a path, and {table.name} has no folder of files")
    return None, inside(table.folder, name)


def decoded_image(value: str) -> bytes | None:
    """Return the bytes of an image that a text itself holds in base64; None for a path.

    Raises:
        InputError: the text is a data URL that holds no base64, or is neither a path nor an image.
    """
    head, comma, body = value.partition(",")
    if value.startswith("data:"):
        if not comma or not head.endswith(";base64"):
            raise InputError(f"image {value[:30]!r}… is a data URL without base64")
        try:
            return _from_base64(body)
        except ValueError as error:
            raise InputError(f"image {shorten(value, 40)} is not base64: {one_line(error)}") from error
    if len(value) < _MIN_BASE64_LENGTH:
        return None
    try:
        encoded = _from_base64(value)
    except ValueError:
        return None
    if encoded.startswith(_MAGIC) or (encoded.startswith(b"RIFF") and encoded[8:12] == b"WEBP"):
        return encoded
    if len(value) > _MAX_PATH_LENGTH:
        raise InputError(f"image {shorten(value, 40)} is neither a path nor base64 of {', '.join(FORMATS)}")
    return None


def _from_base64(text: str) -> bytes:
    """Decode base64, with or without line breaks. Raises `ValueError` if it is none."""
    return base64.b64decode("".join(text.split()), validate=True)
