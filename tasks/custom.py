"""Your own questions: rows of text, images and audio in a JSON Lines file, each with the right answer.

    python -m evals run --model vl --task custom --data questions.jsonl

Each line of the file is one row:

    {"text": "What color is the star?", "image": "images/7.png", "target": "red"}

`text`, `image` and `audio` are the prompt; at least one is required, and image and audio come before the text. `image`
is a path relative to the file's folder, or the image itself in base64, bare or as a data URL; `audio` is a path. A path
cannot leave the folder. `target` is the right answer, or a list of answers of which any is right. `id` names the row;
the default is its line number. Other keys are an error, so that a misspelt key is not ignored.

A model that lacks a modality of any row is refused by name before it is loaded.

`accuracy`: an answer is right if it equals a target after both are normalised: Unicode NFKC, case folding, white space
runs replaced by one space, and punctuation, quotes and brackets stripped from both ends. Nothing else is removed: -5 is
not 5, 3.5 is not 35 and C++ is not C. `contains`: whether a normalised target occurs in the normalised output outside
longer words and numbers.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from evals import data
from evals.data.images import FORMATS
from evals.errors import InputError, one_line, shorten
from evals.registry import TASKS
from evals.schema import (
    MODALITIES,
    Audio,
    Generate,
    Image,
    Json,
    Metric,
    Options,
    Part,
    Prediction,
    Sample,
    Samples,
    Score,
    Task,
)

MAX_NEW_TOKENS = 64
SOURCE = 'custom reads rows of {"text", "image", "audio", "target"} from a file: name it with --data FILE.jsonl'
_MIN_BASE64_LENGTH = 64
"""Shorter values are paths: no image is smaller in base64. Longer ones are base64 only if they decode to `_MAGIC`."""
_MAX_PATH_LENGTH = 255
_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"GIF8", b"II*\0", b"MM\0*")
"""First bytes of encoded images."""

_DECIMAL = re.compile(r"\.\d")
"""A full stop that belongs to a number, as in .5, and is not stripped."""
_IN_NUMBER = re.compile(r"\d[.,]\d")
_MARKS = frozenset(".,;:!?…。、\"'`*_")
"""Marks that are stripped from both ends. NFKC turns the wide forms of the other marks into these."""


class CustomRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line of the file."""

    target: str | list[str]
    text: str | None = None
    image: str | None = None
    audio: str | None = None
    id: str | int | None = None


# Samples


def samples(options: Options) -> Samples:
    """Read a JSON Lines file, or the only `*.jsonl` file of a folder.

    Raises:
        InputError: there is no such file, or a row is malformed, has neither text, image nor audio, has no target,
            repeats an id or names a path outside the folder; the message names the line.
    """
    path = _file(options.data)
    numbered_rows = data.read_jsonl_lines(path, CustomRow)
    if not numbered_rows:
        raise InputError(f"{path} has no rows")
    for number, row in numbered_rows:
        _check(row, f"{path}, line {number}")
    ids = [str(row.id) if row.id is not None else str(number) for number, row in numbered_rows]
    data.unique(ids, path)
    prompts = [_parts(row, path.parent, f"{path}, line {number}") for number, row in numbered_rows]

    def build(index: int) -> Sample:
        id, parts, target = ids[index], prompts[index], numbered_rows[index][1].target
        request = Generate(
            id, parts, MAX_NEW_TOKENS, temperature=options.temperature, top_p=options.top_p, seed=options.seed
        )
        return Sample(
            id,
            requests=(request,),
            target=target if isinstance(target, list) else [target],
            cluster=next((part.key for part in parts if not isinstance(part, str)), ""),
            labels={"shows": "+".join(MODALITIES[type(part)] for part in parts)},
        )

    modalities = sorted({MODALITIES[type(part)] for parts in prompts for part in parts})
    files = {path.name: data.digest(path)}
    facts: dict[str, Json] = {
        "source": "own file",
        "folder": str(path.parent),
        "split": path.stem,
        "files": files,
        "modalities": modalities,
    }
    media = [part.path for parts in prompts for part in parts if not isinstance(part, str) and part.path is not None]
    facts["media"] = data.listing_digest({media_path for media_path in media if media_path.is_file()})
    return Samples(ids, build, facts)


def _file(path: Path | None) -> Path:
    """Return the file that `--data` names, or the only JSON Lines file of the folder that it names."""
    if path is None:
        raise InputError(SOURCE)
    if not path.is_dir():
        return path
    (paths,) = data.find(path, ["*.jsonl"], SOURCE)
    if len(paths) > 1:
        raise InputError(f"{path} holds {', '.join(file.name for file in paths)}: name one of them with --data")
    return paths[0]


def _check(row: CustomRow, where: str) -> None:
    if not (row.text or row.image or row.audio):
        raise InputError(f"{where}: the row has no prompt: give it a text, an image or an audio file")
    for name, value in (("image", row.image), ("audio", row.audio)):
        if value is not None and not value.strip():  # the text alone would be another question
            raise InputError(f"{where}: {name} is empty: give a path, or leave it out")
    targets = row.target if isinstance(row.target, list) else [row.target]
    if not targets or not all(map(normalised, targets)):
        raise InputError(
            f"{where}: target {shorten(row.target, 40)} is empty once it is normalised: no answer could be right"
        )


def _parts(row: CustomRow, folder: Path, where: str) -> tuple[Part, ...]:
    """Return the parts of the prompt, in the order in which the model reads them."""
    parts: list[Part] = []
    try:
        if row.image:
            parts.append(_image(row.image, folder))
        if row.audio:
            parts.append(Audio(row.audio, path=data.inside(folder, row.audio)))
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    return (*parts, row.text) if row.text else tuple(parts)


def _image(value: str, folder: Path) -> Image:
    encoded = _decoded(value)
    if encoded is not None:
        return Image(hashlib.sha256(encoded).hexdigest()[:16], data=encoded)
    return Image(value, path=data.inside(folder, value))


def _decoded(value: str) -> bytes | None:
    """Return the bytes of an image that the row itself holds in base64; None for a path."""
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


# Scores


def normalised(text: str) -> str:
    r"""Normalise a text for comparison, as the module's docstring describes.

    Example:
        >>> normalised("  The ＲＥＤ\n star. "), normalised("(-5)"), normalised(".5%"), normalised("“红色”。")
        ('the red star', '-5', '.5%', '红色')
    """
    joined = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    start, end = 0, len(joined)
    while start < end and _is_mark(joined[start]) and not _DECIMAL.match(joined, start):
        start += 1
    while start < end and _is_mark(joined[end - 1]):
        end -= 1
    return joined[start:end]


def occurs(target: str, output: str) -> bool:
    """Return whether a normalised target occurs in a normalised output outside longer words and numbers.

    Example:
        >>> occurs("red", "it is red."), occurs("red", "a hundred"), occurs("红色", "是红色的")
        (True, False, True)
        >>> occurs("3", "it is 3."), occurs("3", "13"), occurs("3", "3.5"), occurs("3", "1,3")
        (True, False, False, False)
    """
    start = output.find(target)
    while start >= 0:
        if not _splits_word(output, start) and not _splits_word(output, start + len(target)):
            return True
        start = output.find(target, start + 1)
    return False


def _is_mark(character: str) -> bool:
    """Return whether a character is stripped from the ends: punctuation, a quote, a bracket, emphasis or a space."""
    return character in _MARKS or unicodedata.category(character) in {"Ps", "Pe", "Pi", "Pf", "Zs"}


def _splits_word(text: str, index: int) -> bool:
    """Return whether cutting `text` before `index` cuts through a number or a word.

    Words count only in scripts that put spaces between them (below U+2E80). A point or a comma between two digits
    belongs to their number: it may be a decimal point, a thousands separator or a list separator, and an uncertain
    match does not count.
    """
    if not 0 < index < len(text):
        return False
    if all(c.isalnum() and c < "\u2e80" for c in text[index - 1 : index + 1]):
        return True
    return any(_IN_NUMBER.match(text, start) for start in (index - 2, index - 1) if start >= 0)


def score(samples: Sequence[Sample], predictions: Mapping[str, Sequence[Prediction]]) -> list[Score]:
    """Compare each output with its targets. A sample without output is wrong and marked as failed.

    Raises:
        InputError: an output is not text.
    """
    return [_score(sample, *predictions[sample.id]) for sample in samples]


def _score(sample: Sample, prediction: Prediction) -> Score:
    failed = prediction.failure is not None
    answer, targets = normalised(prediction.text()), [target for target in map(normalised, sample.target) if target]
    values = {
        "accuracy": float(not failed and answer in targets),
        "contains": float(not failed and any(occurs(target, answer) for target in targets)),
    }
    return Score.of(sample, answer=answer or None, values=values, failed=failed)


def summarise(scores: Sequence[Score]) -> dict[str, Metric]:
    """Average over all rows, and by modalities if rows differ in them.

    Rows about one image or audio file are one unit of the 95 % intervals.
    """
    from evals.metrics.estimates import Mean, means

    metrics_by_name = {"accuracy": Mean("accuracy"), "contains": Mean("contains")}
    shows = sorted({score.labels["shows"] for score in scores})
    if len(shows) > 1:
        metrics_by_name |= {f"accuracy/{modalities}": Mean("accuracy", "shows", modalities) for modalities in shows}
    return means(scores, metrics_by_name)


TASKS.add(
    Task(
        name="custom",
        summary="your own rows of text, images and audio, exact match",
        version=1,
        needs="generate",
        splits=("all",),
        headline="accuracy",
        samples=samples,
        score=score,
        summarise=summarise,
    )
)
