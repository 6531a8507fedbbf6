"""Read the official files of image-text retrieval: Flickr8k's token file and split lists, Karpathy's JSON, COCO's JSON.

The format is detected from the names of the files in a folder. Each reader returns the images of one split with all
their captions, in the order of the file; the protocol (`evals.tasks.retrieval`) decides which captions are used.

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

from evals import data, regular_files
from evals.errors import InputError, UnknownName
from evals.schema import Json

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
SOURCE = (
    "retrieval reads Flickr8k (Flickr8k.token.txt and Flickr_8k.*Images.txt), Karpathy's JSON (dataset*.json, for "
    "Flickr8k, Flickr30k and COCO) or COCO captions (captions_*.json), each with its images in the folder or in its "
    "subfolders"
)


class CaptionedImage(msgspec.Struct, frozen=True, gc=False):
    """An image with its captions."""

    id: str
    """The image's id in the benchmark: COCO's number, Flickr's file name."""
    file: str
    """The name of the image file, without its folder."""
    captions: tuple[str, ...]


@dataclass(frozen=True)
class Official:
    """One split of the files of a folder."""

    collection: str
    """`flickr8k`, `flickr30k` or `coco`, as named in the files; `coco-captions` if the split is not Karpathy's."""
    split: str
    images: Sequence[CaptionedImage]
    paths: Mapping[str, Path]
    """The image files of the folder, by name."""
    files: Mapping[str, Json]
    """Digests of the files that were read, by name."""


class Sentence(msgspec.Struct, frozen=True, gc=False):
    """A caption of Karpathy's files."""

    raw: str


class KarpathyImage(msgspec.Struct, frozen=True, gc=False):
    """An image of Karpathy's files; only COCO's files have `cocoid`."""

    filename: str
    split: str
    sentences: list[Sentence]
    cocoid: int | None = None


class KarpathyFile(msgspec.Struct, frozen=True):
    """Karpathy's files, such as `dataset_flickr30k.json`."""

    dataset: str
    images: list[KarpathyImage]


class CocoImage(msgspec.Struct, frozen=True, gc=False):
    """An image of COCO's captions file."""

    id: int
    file_name: str


class CocoCaption(msgspec.Struct, frozen=True, gc=False):
    """A caption of COCO's captions file."""

    image_id: int
    caption: str


class CocoFile(msgspec.Struct, frozen=True):
    """COCO's captions files, such as `captions_val2017.json`."""

    images: list[CocoImage]
    annotations: list[CocoCaption]


def read(folder: Path, split: str | None) -> Official:
    """Read a split of the captions that a folder holds.

    Args:
        folder: holds the captions in one of the three formats, and the images, directly or in subfolders.
        split: the split as the files name it, or None for the benchmark's usual one.

    Raises:
        InputError: there are no captions, or captions in several formats; a file is malformed; a caption has no image,
            an image has no caption, or an id is repeated.
        UnknownName: there is no such split.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; {SOURCE}")
    readers = {"Flickr8k.token.txt": _flickr8k, "dataset*.json": _karpathy, "captions_*.json": _coco}
    paths_by_pattern = {pattern: sorted(folder.glob(pattern)) for pattern in readers}
    present = [pattern for pattern, paths in paths_by_pattern.items() if paths]
    if len(present) != 1:
        content = f"files of several kinds ({', '.join(present)})" if present else "no captions"
        raise InputError(f"{folder} has {content}; {SOURCE}")
    official = readers[present[0]](paths_by_pattern[present[0]], split)
    data.unique([image.id for image in official.images], folder, "image")
    without_caption = [image.id for image in official.images if not image.captions]
    if without_caption:
        raise InputError(f"{folder}: image {without_caption[0]} has no caption ({len(without_caption)} have none)")
    return official


def _flickr8k(paths: list[Path], split: str | None) -> Official:
    tokens = paths[0]
    lists = {path.name[10:-10]: path for path in sorted(tokens.parent.glob("Flickr_8k.*Images.txt"))}
    split = _chosen(tokens.parent, split, lists, "test")
    names = [line.strip() for line in _text(lists[split]).split("\n") if line.strip()]
    captions: dict[str, dict[int, str]] = {}
    for number, line in enumerate(_text(tokens).split("\n"), start=1):
        if not line.strip():
            continue
        match = re.fullmatch(r"(.+)#(\d{1,9})\t(.*)", line.rstrip("\r"))
        if match is None:
            raise InputError(f"{tokens}, line {number}: expected a file name, #, a number, a tab and a caption")
        of_image = captions.setdefault(match[1], {})
        if int(match[2]) in of_image:
            raise InputError(f"{tokens}, line {number}: caption {match[1]}#{match[2]} comes twice")
        of_image[int(match[2])] = match[3].strip()
    # The published token file has captions of one image that does not exist (….jpg.1); no list names it.
    images = [
        CaptionedImage(name, name, tuple(text for _, text in sorted(captions.get(name, {}).items()))) for name in names
    ]
    return Official("flickr8k", split, images, _image_paths(tokens.parent), _digests(tokens, lists[split]))


def _karpathy(paths: list[Path], split: str | None) -> Official:
    if len(paths) > 1:
        raise InputError(f"{paths[0].parent} holds several of Karpathy's files: {', '.join(p.name for p in paths)}")
    file = data.read_json(paths[0], KarpathyFile)
    splits = dict.fromkeys(image.split for image in file.images)
    split = _chosen(paths[0].parent, split, splits, "test")
    images = [
        CaptionedImage(
            image.filename if image.cocoid is None else str(image.cocoid),
            image.filename,
            tuple(sentence.raw.strip() for sentence in image.sentences),
        )
        for image in file.images
        if image.split == split
    ]
    return Official(file.dataset, split, images, _image_paths(paths[0].parent), _digests(paths[0]))


def _coco(paths: list[Path], split: str | None) -> Official:
    by_split = {path.stem.removeprefix("captions_"): path for path in paths}
    split = _chosen(paths[0].parent, split, by_split, next(iter(by_split)) if len(by_split) == 1 else "val2017")
    path = by_split[split]
    file = data.read_json(path, CocoFile)
    captions: dict[int, list[str]] = {image.id: [] for image in file.images}
    for annotation in file.annotations:
        if annotation.image_id not in captions:
            raise InputError(f"{path}: a caption belongs to image_id {annotation.image_id}, which is not among images")
        captions[annotation.image_id].append(annotation.caption.strip())
    images = [CaptionedImage(str(image.id), image.file_name, tuple(captions[image.id])) for image in file.images]
    return Official("coco-captions", split, images, _image_paths(path.parent), _digests(path))


def _chosen(folder: Path, split: str | None, splits: Mapping[str, object], default: str) -> str:
    if (split or default) not in splits:
        raise UnknownName(f"split of {folder}", split or default, splits)
    return split or default


def _image_paths(folder: Path) -> dict[str, Path]:
    """Find the image files of a folder and its subfolders. Of two files with the same name the first counts."""
    folders = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    paths: dict[str, Path] = {}
    for path in (path for subfolder in folders for path in sorted(subfolder.iterdir())):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            paths.setdefault(path.name, path)
    return paths


def _text(path: Path) -> str:
    try:
        return regular_files.read(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _digests(*paths: Path) -> dict[str, Json]:
    return {path.name: data.digest(path) for path in paths}
