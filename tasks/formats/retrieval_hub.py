"""Read Flickr30k's and COCO's test images with their captions from the hub, which has Karpathy's split of both.

    nlphuji/flickr30k                                   flickr_annotations_30k.csv, flickr30k-images.zip
    nlphuji/mscoco_2014_5k_test_image_text_retrieval    test_5k_mscoco_2014.csv, images_mscoco_2014_5k_test.zip

A row has the captions of an image as a list in text (`raw`), its file (`filename`), its split, and for COCO `cocoid`.
"""

from __future__ import annotations

import ast
import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from evals.data import digest
from evals.data.row_tables import open_table
from evals.data.row_tables.archives import ZippedImages
from evals.data.row_tables.table import RowValues
from evals.errors import InputError, shorten
from evals.schema import Image, Json
from evals.tasks.formats.retrieval import CaptionedImage

SPLIT = "test"
_MAX_CAPTIONS = 100_000
"""Longest list of captions, in characters."""


@dataclass(frozen=True)
class HubCollection:
    """Where the hub has a collection."""

    name: str
    """As Karpathy's files name it."""
    repository: str
    table: str
    images: str
    """The zip of its images."""
    id: str
    """The column with the ids of images, as other files of the collection have them."""


COLLECTIONS = {
    "flickr30k-1k": HubCollection(
        "flickr30k", "nlphuji/flickr30k", "flickr_annotations_30k.csv", "flickr30k-images.zip", "filename"
    ),
    "coco-5k": HubCollection(
        "coco", "nlphuji/mscoco_2014_5k_test_image_text_retrieval", "test_5k_mscoco_2014.csv",
        "images_mscoco_2014_5k_test.zip", "cocoid",
    ),
}  # fmt: skip
"""By the protocol of the test split."""


class ImagesOfFiles(Mapping[str, Image]):
    """The images of a zip by their ids; an image is read when it is needed."""

    def __init__(self, files: Mapping[str, str], contents: Mapping[str, bytes]) -> None:
        """Take the file of each image, and the contents of the files."""
        self._files, self._contents = files, contents

    def __getitem__(self, id: str) -> Image:
        """Return an image."""
        return Image(id, data=self._contents[self._files[id]])

    def __iter__(self) -> Iterator[str]:
        """Yield the ids."""
        return iter(self._files)

    def __len__(self) -> int:
        """Count the images."""
        return len(self._files)


@dataclass(frozen=True)
class HubCaptions:
    """The test images of a collection, in the order of its table."""

    captioned: list[CaptionedImage]
    images: ImagesOfFiles
    facts: dict[str, Json]


def read(collection: HubCollection) -> HubCaptions:
    """Read the test split of a collection, which is downloaded at its first use.

    Raises:
        InputError: the hub cannot be reached, or a row has no list of captions.
    """
    from evals.data.row_tables.hub_files import official

    folder, fetched = official(collection.repository, [collection.table, collection.images], collection.name)
    path = folder / collection.table
    table = open_table(path)
    columns = ["raw", "split", "filename", collection.id]
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise InputError(f"{path} has no column {missing[0]}; its columns are {', '.join(table.columns)}")
    captioned = [
        CaptionedImage(str(row[collection.id]), str(row["filename"]), _captions(row, f"{path}, {table.place(index)}"))
        for index, row in enumerate(table.rows(columns))
        if row["split"] == SPLIT
    ]
    if not captioned:
        raise InputError(f"{path} has no row of the split {SPLIT}")
    files = {item.id: item.file for item in captioned}
    zipped = ZippedImages(folder / collection.images)
    if lacking := [file for file in files.values() if file not in zipped]:
        raise InputError(
            f"{folder / collection.images} has no image {shorten(lacking[0])} ({len(lacking)} are missing)"
        )
    names = (collection.table, collection.images)
    facts: dict[str, Json] = {
        "source": "hub", "split": SPLIT, "files": {name: digest(folder / name) for name in names}, **fetched
    }  # fmt: skip
    return HubCaptions(captioned, ImagesOfFiles(files, zipped), facts)


def _captions(row: RowValues, place: str) -> tuple[str, ...]:
    """Return the captions of a row: a list of texts, as JSON or Python writes it."""
    text = str(row["raw"] or "")
    captions: Json = None
    for read_list in (json.loads, ast.literal_eval):
        with contextlib.suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            captions = captions or read_list(text[:_MAX_CAPTIONS])
    if not isinstance(captions, list) or not captions or not all(isinstance(caption, str) for caption in captions):
        raise InputError(f"{place}: raw is {shorten(text, 40)}, expected a list of captions")
    return tuple(caption.strip() for caption in captions)
