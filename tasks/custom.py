"""Your own questions: rows of text, pictures and recordings in a JSON-lines file, each with what should be answered.

    python -m evals run --model vl --task custom --data questions.jsonl

A row, one a line:

    {"text": "What color is the star?", "image": "pictures/7.png", "target": "red"}

`text`, `image` and `audio` are what the model is shown, at least one of them; pictures and recordings come before the
text. `image` is a path from the file's folder, or the picture itself in base64, bare or as a data URL; `audio` is a
path. A path cannot leave the folder. `target` is the right answer, or a list of answers any of which is right. `id`
names the row; without it the number of its line does. No other key is allowed, lest one that is misspelt be ignored.

A model that lacks a modality which any row shows is refused by name before it is loaded.

An answer is right when it equals a target after both are normalised: Unicode NFKC, case folded, runs of white space as
one space, sentence marks, quotes and brackets off both ends. Nothing else is dropped, so that -5 is not 5, 3.5 is not
35 and C++ is not C. `contains` says, beside it, whether a normalised target occurs in the normalised output, not as
a part of a longer word or number.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from evals import data
from evals.errors import InputError
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
_SHORTEST_PICTURE = 64
"""Characters of base64; no picture is smaller, and no file name of a benchmark looks like one that long."""
_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"BM", b"GIF8", b"II*\0", b"MM\0*")
"""What encoded pictures begin with."""

_DECIMAL = re.compile(r"\.\d")
"""A full stop that frames nothing: .5 is a number."""
_IN_NUMBER = re.compile(r"\d[.,]\d")
_FRAMES = frozenset(".,;:!?…。、\"'`*_")
"""NFKC turns the wide forms of the other marks into these."""


class CustomRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line of the file."""

    target: str | list[str]
    text: str | None = None
    image: str | None = None
    audio: str | None = None
    id: str | int | None = None


# Where the samples come from


def samples(options: Options) -> Samples:
    """Read a file, or the only `*.jsonl` of a folder.

    Raises:
        InputError: there is no such file, or a row of it is malformed, shows nothing, has no target, repeats an id or
            names a path outside the folder; the message names the line.
    """
    path = _file(options.data)
    numbered = data.read_jsonl_lines(path, CustomRow)
    if not numbered:
        raise InputError(f"{path} has no rows")
    for number, row in numbered:
        _check(row, f"{path}, line {number}")
    ids = [str(row.id) if row.id is not None else str(number) for number, row in numbered]
    data.unique(ids, path)
    shown = [_parts(row, path.parent, f"{path}, line {number}") for number, row in numbered]

    def build(index: int) -> Sample:
        id, parts, target = ids[index], shown[index], numbered[index][1].target
        drawn = Generate(
            id, parts, MAX_NEW_TOKENS, temperature=options.temperature, top_p=options.top_p, seed=options.seed
        )
        return Sample(
            id,
            requests=(drawn,),
            target=target if isinstance(target, list) else [target],
            cluster=next((part.key for part in parts if not isinstance(part, str)), ""),
            labels={"shows": "+".join(MODALITIES[type(part)] for part in parts)},
        )

    kinds = sorted({MODALITIES[type(part)] for parts in shown for part in parts})
    files = {path.name: data.digest(path)}
    facts: dict[str, Json] = {
        "source": "own file",
        "folder": str(path.parent),
        "split": path.stem,
        "files": files,
        "modalities": kinds,
    }
    media = [part.path for parts in shown for part in parts if not isinstance(part, str) and part.path is not None]
    facts["media"] = data.listing_digest({place for place in media if place.is_file()})
    return Samples(ids, build, facts)


def _file(given: Path | None) -> Path:
    if given is None:
        raise InputError(SOURCE)
    if not given.is_dir():
        return given
    (found,) = data.find(given, ["*.jsonl"], SOURCE)
    if len(found) > 1:
        raise InputError(f"{given} holds {', '.join(path.name for path in found)}: name one of them with --data")
    return found[0]


def _check(row: CustomRow, where: str) -> None:
    if not (row.text or row.image or row.audio):
        raise InputError(f"{where}: the row shows nothing: give it a text, an image or an audio")
    targets = row.target if isinstance(row.target, list) else [row.target]
    if not any(map(normalised, targets)):
        raise InputError(f"{where}: target {row.target!r:.40} is empty once it is normalised: no answer could be right")


def _parts(row: CustomRow, folder: Path, where: str) -> tuple[Part, ...]:
    """What a row shows, in the order in which the model reads it."""
    parts: list[Part] = []
    try:
        if row.image:
            parts.append(_picture(row.image, folder))
        if row.audio:
            parts.append(Audio(row.audio, path=data.inside(folder, row.audio)))
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    return (*parts, row.text) if row.text else tuple(parts)


def _picture(given: str, folder: Path) -> Image:
    encoded = _decoded(given)
    if encoded is not None:
        return Image(hashlib.sha256(encoded).hexdigest()[:16], data=encoded)
    return Image(given, path=data.inside(folder, given))


def _decoded(given: str) -> bytes | None:
    """The bytes of a picture that stands in the row itself; None for a path."""
    head, comma, body = given.partition(",")
    if given.startswith("data:"):
        if not comma or not head.endswith(";base64"):
            raise InputError(f"image {given[:30]!r}… is a data URL without base64")
        try:
            return base64.b64decode(body, validate=True)
        except binascii.Error as error:
            raise InputError(f"image {given[:30]!r}… is no base64: {error}") from error
    if len(given) < _SHORTEST_PICTURE:
        return None
    try:
        found = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if found.startswith(_MAGIC) else None


# What they are worth


def normalised(text: str) -> str:
    r"""Bring a text into the form in which answers are compared, as the module's docstring says.

    Example:
        >>> normalised("  The ＲＥＤ\n star. "), normalised("(-5)"), normalised(".5%"), normalised("“红色”。")
        ('the red star', '-5', '.5%', '红色')
    """
    joined = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    start, end = 0, len(joined)
    while start < end and _frames(joined[start]) and not _DECIMAL.match(joined, start):
        start += 1
    while start < end and _frames(joined[end - 1]):
        end -= 1
    return joined[start:end]


def occurs(target: str, output: str) -> bool:
    """Whether a normalised target occurs in a normalised output, not inside a longer word or number.

    Example:
        >>> occurs("red", "it is red."), occurs("red", "a hundred"), occurs("红色", "是红色的")
        (True, False, True)
        >>> occurs("3", "it is 3."), occurs("3", "13"), occurs("3", "3.5"), occurs("3", "1,3")
        (True, False, False, False)
    """
    at = output.find(target)
    while at >= 0:
        if not _inside(output, at) and not _inside(output, at + len(target)):
            return True
        at = output.find(target, at + 1)
    return False


def _frames(character: str) -> bool:
    """Whether a character only frames an answer: a sentence mark, a quote, a bracket, a mark of emphasis, a space."""
    return character in _FRAMES or unicodedata.category(character) in {"Ps", "Pe", "Pi", "Pf", "Zs"}


def _inside(text: str, place: int) -> bool:
    """Whether a place between two characters is inside a word, of a script that puts spaces between words, or number.

    A point or a comma between two digits belongs to their number: it may be a decimal, a thousands mark or a list, and
    what is not certain is not found.
    """
    if not 0 < place < len(text):
        return False
    if all(c.isalnum() and c < "\u2e80" for c in text[place - 1 : place + 1]):
        return True
    return any(_IN_NUMBER.match(text, start) for start in (place - 2, place - 1) if start >= 0)


def score(samples: Sequence[Sample], predictions: Mapping[str, Sequence[Prediction]]) -> list[Score]:
    """Compare each output with its targets. A sample without output is wrong and marked as failed.

    Raises:
        InputError: an output is no text.
    """
    return [_score(sample, *predictions[sample.id]) for sample in samples]


def _score(sample: Sample, prediction: Prediction) -> Score:
    failed = prediction.failure is not None
    answer, targets = normalised(prediction.text()), [target for target in map(normalised, sample.target) if target]
    values = {
        "accuracy": float(not failed and answer in targets),
        "contains": float(not failed and any(occurs(target, answer) for target in targets)),
    }
    return Score(sample.id, answer or None, sample.target, values, failed, sample.cluster, sample.labels)


def summarise(scores: Sequence[Score]) -> dict[str, Metric]:
    """Average over all rows, and over those that show the same kinds of things where they differ.

    Intervals are 95 %, by a bootstrap in which rows about one picture or recording are drawn together.
    """
    from evals.metrics.estimates import Mean, means

    wanted = {"accuracy": Mean("accuracy"), "contains": Mean("contains")}
    shows = sorted({score.labels["shows"] for score in scores})
    if len(shows) > 1:
        wanted |= {f"accuracy/{kinds}": Mean("accuracy", "shows", kinds) for kinds in shows}
    return means(scores, wanted)


TASKS.add(
    Task(
        name="custom",
        summary="your own rows of text, pictures and recordings, exact match",
        version=1,
        needs="generate",
        splits=("all",),
        headline="accuracy",
        samples=samples,
        score=score,
        summarise=summarise,
        supported_options=frozenset({"temperature"}),
    )
)
