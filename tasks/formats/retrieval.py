"""The official files of image-text retrieval: Flickr8k's token file and split lists, Karpathy's JSON, COCO captions.

What lies in a folder tells which of them it is. Each reader gives the pictures of one split with all their captions, in
the order of its file; what of them is asked is the protocol's matter.

    Flickr8k.token.txt          1000268201_693b08cb0e.jpg#0	A child in a pink dress is climbing up a set of stairs …
    Flickr_8k.testImages.txt    3385593926_d3e9c21170.jpg
    dataset*.json (Karpathy)    {"dataset": "coco", "images": [{"filename": …, "split": "test", "cocoid": 391895,
                                 "sentences": [{"raw": "A man with a red helmet on a small moped …"}, …]}, …]}
    captions_*.json (COCO)      {"images": [{"id": 139, "file_name": …}, …], "annotations": [{"image_id": 139, …}, …]}
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from evals import data
from evals.errors import InputError, UnknownName
from evals.schema import Json

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
SOURCE = (
    "retrieval reads Flickr8k (Flickr8k.token.txt and Flickr_8k.*Images.txt), Karpathy's JSON (dataset*.json, for "
    "Flickr8k, Flickr30k and COCO) or COCO captions (captions_*.json), each with its pictures in the folder or in "
    "folders in it"
)


class CaptionedImage(msgspec.Struct, frozen=True, gc=False):
    """A picture with its captions."""

    id: str
    """Its name in the benchmark: of COCO the number, of Flickr the file name."""
    file: str
    captions: tuple[str, ...]


@dataclass(frozen=True)
class Official:
    """One split of the files of a folder."""

    collection: str
    """`flickr8k`, `flickr30k`, `coco`, as the files say; `coco-captions` where the split is not Karpathy's."""
    split: str
    told: Sequence[CaptionedImage]
    pictures: Mapping[str, Path]
    """The picture files of the folder, by name."""
    files: Mapping[str, Json]
    """Digests of what was read, by file name."""


class Sentence(msgspec.Struct, frozen=True, gc=False):
    """A caption of Karpathy's files."""

    raw: str


class KarpathyImage(msgspec.Struct, frozen=True, gc=False):
    """A picture of Karpathy's files; `cocoid` stands in those of COCO only."""

    filename: str
    split: str
    sentences: list[Sentence]
    cocoid: int | None = None


class KarpathyFile(msgspec.Struct, frozen=True):
    """`dataset_flickr30k.json` and its like."""

    dataset: str
    images: list[KarpathyImage]


class CocoImage(msgspec.Struct, frozen=True, gc=False):
    """A picture of COCO's captions file."""

    id: int
    file_name: str


class CocoCaption(msgspec.Struct, frozen=True, gc=False):
    """A caption of COCO's captions file."""

    image_id: int
    caption: str


class CocoFile(msgspec.Struct, frozen=True):
    """`captions_val2017.json` and its like."""

    images: list[CocoImage]
    annotations: list[CocoCaption]


def read(folder: Path, split: str | None) -> Official:
    """Read a split of whatever files a folder holds.

    Raises:
        InputError: there are none, or files of several kinds; malformed files; captions without a picture, pictures
            without a caption, a name that comes twice.
        UnknownName: there is no such split.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; {SOURCE}")
    kinds = {"Flickr8k.token.txt": _flickr8k, "dataset*.json": _karpathy, "captions_*.json": _coco}
    found = {pattern: sorted(folder.glob(pattern)) for pattern in kinds}
    present = [pattern for pattern, paths in found.items() if paths]
    if len(present) != 1:
        what = f"files of several kinds ({', '.join(present)})" if present else "no captions"
        raise InputError(f"{folder} has {what}; {SOURCE}")
    official = kinds[present[0]](found[present[0]], split)
    data.unique([told.id for told in official.told], folder, "picture")
    silent = [told.id for told in official.told if not told.captions]
    if silent:
        raise InputError(f"{folder}: picture {silent[0]} has no caption ({len(silent)} have none)")
    return official


def _flickr8k(paths: list[Path], split: str | None) -> Official:
    tokens = paths[0]
    lists = {path.name[10:-10]: path for path in sorted(tokens.parent.glob("Flickr_8k.*Images.txt"))}
    split = _chosen(tokens.parent, split, lists, "test")
    wanted = [line.strip() for line in _text(lists[split]).split("\n") if line.strip()]
    captions: dict[str, dict[int, str]] = {}
    for number, line in enumerate(_text(tokens).split("\n"), start=1):
        if not line.strip():
            continue
        match = re.fullmatch(r"(.+)#(\d+)\t(.*)", line.rstrip("\r"))
        if match is None:
            raise InputError(f"{tokens}, line {number}: expected a file name, #, a number, a tab and a caption")
        own = captions.setdefault(match[1], {})
        if int(match[2]) in own:
            raise InputError(f"{tokens}, line {number}: caption {match[1]}#{match[2]} comes twice")
        own[int(match[2])] = match[3].strip()
    # The published token file tells of one picture that does not exist (….jpg.1); no list names it.
    told = [
        CaptionedImage(name, name, tuple(text for _, text in sorted(captions.get(name, {}).items()))) for name in wanted
    ]
    return Official("flickr8k", split, told, _pictures(tokens.parent), _digests(tokens, lists[split]))


def _karpathy(paths: list[Path], split: str | None) -> Official:
    if len(paths) > 1:
        raise InputError(f"{paths[0].parent} holds several of Karpathy's files: {', '.join(p.name for p in paths)}")
    file = data.read_json(paths[0], KarpathyFile)
    splits = dict.fromkeys(image.split for image in file.images)
    split = _chosen(paths[0].parent, split, splits, "test")
    told = [
        CaptionedImage(
            image.filename if image.cocoid is None else str(image.cocoid),
            image.filename,
            tuple(sentence.raw.strip() for sentence in image.sentences),
        )
        for image in file.images
        if image.split == split
    ]
    return Official(file.dataset, split, told, _pictures(paths[0].parent), _digests(paths[0]))


def _coco(paths: list[Path], split: str | None) -> Official:
    named = {path.stem.removeprefix("captions_"): path for path in paths}
    split = _chosen(paths[0].parent, split, named, next(iter(named)) if len(named) == 1 else "val2017")
    path = named[split]
    file = data.read_json(path, CocoFile)
    captions: dict[int, list[str]] = {image.id: [] for image in file.images}
    for annotation in file.annotations:
        if annotation.image_id not in captions:
            raise InputError(f"{path}: a caption belongs to image_id {annotation.image_id}, which is not among images")
        captions[annotation.image_id].append(annotation.caption.strip())
    told = [CaptionedImage(str(image.id), image.file_name, tuple(captions[image.id])) for image in file.images]
    return Official("coco-captions", split, told, _pictures(path.parent), _digests(path))


def _chosen(folder: Path, split: str | None, known: Mapping[str, object], default: str) -> str:
    if (split or default) not in known:
        raise UnknownName(f"split of {folder}", split or default, known)
    return split or default


def _pictures(folder: Path) -> dict[str, Path]:
    """Find the picture files of a folder and of the folders in it. Of two of one name the first counts."""
    places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    paths: dict[str, Path] = {}
    for path in (path for place in places for path in sorted(place.iterdir())):
        if path.suffix.lower() in PICTURES:
            paths.setdefault(path.name, path)
    return paths


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _digests(*paths: Path) -> dict[str, Json]:
    return {path.name: data.digest(path) for path in paths}
