"""Read images and captions from a user's table: a row of an image with its captions, or a row of each caption."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from evals import data
from evals.data.row_tables import RowField
from evals.data.row_tables.cells import images_of, text_of
from evals.errors import InputError, counted
from evals.schema import Image, Json
from evals.tasks.formats.own_tables import FieldRow, OwnTable
from evals.tasks.formats.retrieval import CaptionedImage

FIELDS = (
    RowField("image", ("img", "picture", "photo", "image_path", "file_name", "filename"), required=True),
    RowField(
        "captions",
        ("caption", "sentences", "sentence", "texts", "text", "alt_text", "description", "raw"),
        required=True,
    ),
    RowField("id", ("image_id", "img_id", "imgid", "cocoid", "uid")),
)


class TableImages(Mapping[str, Image]):
    """The images of a table by their ids; an image is read when it is needed."""

    def __init__(self, source: OwnTable, indices: Mapping[str, int]) -> None:
        """Take the table, and the index of a row of each image."""
        self._source, self._indices = source, indices

    def __getitem__(self, id: str) -> Image:
        """Return an image."""
        index, table = self._indices[id], self._source.table
        row = FieldRow(f"{table.name}, {table.place(index)}", index, {"image": self._source.value(index, "image")})
        image = image_of(self._source, row)
        return Image(id, data=image.data, path=image.path)

    def __iter__(self) -> Iterator[str]:
        """Yield the ids."""
        return iter(self._indices)

    def __len__(self) -> int:
        """Count the images."""
        return len(self._indices)


@dataclass(frozen=True)
class CaptionTable:
    """The images of a user's table with their captions, in the order of their first rows."""

    captioned: list[CaptionedImage]
    images: TableImages
    facts: dict[str, Json]


def read(source: OwnTable) -> CaptionTable:
    """Read the rows of a user's table. Rows with one id, or without ids one image, are captions of one image.

    Raises:
        InputError: a row lacks an image or a caption, has several images, or another image than a row of its id; the
            message names it.
    """
    captions: dict[str, list[str]] = {}
    keys: dict[str, str] = {}
    indices: dict[str, int] = {}
    paths = set()
    for row in source:
        image = image_of(source, row)
        paths.add(image.path)
        id = row.optional_text("id") or image.key
        if keys.setdefault(id, image.key) != image.key:
            raise InputError(f"{row.place}: the id {id} has another image than an earlier row of it")
        indices.setdefault(id, row.index)
        captions.setdefault(id, []).extend(_captions(row))
    captioned = [CaptionedImage(id, "", tuple(texts)) for id, texts in captions.items()]
    media = data.listing_digest(path for path in paths if path is not None and path.is_file())
    return CaptionTable(captioned, TableImages(source, indices), source.facts | {"media": media})


def image_of(source: OwnTable, row: FieldRow) -> Image:
    """Return the image of a row. Raises `InputError` if there is none, several, or no image."""
    try:
        images = images_of(row.values.get("image"), source.table)
    except InputError as error:
        raise InputError(f"{row.place}: {error}") from error
    if len(images) != 1:
        raise InputError(f"{row.place}: {counted(len(images), 'image')}, expected one")
    return images[0]


def _captions(row: FieldRow) -> list[str]:
    """Return the captions of a row: a text, or a list of texts or of `{"raw": …}`."""
    value = row.values.get("captions")
    entries = value if isinstance(value, list) else [value]
    try:
        texts = [text_of(_text_of_mapping(entry)) for entry in entries]
    except InputError as error:
        raise InputError(f"{row.place}: captions is {error}") from error
    captions = [text.strip() for text in texts if text is not None and text.strip()]
    if len(captions) < len(entries):
        raise InputError(f"{row.place}: a caption is empty")
    return captions


def _text_of_mapping(entry: Json) -> Json:
    """Return the text of a caption that a mapping holds."""
    if not isinstance(entry, Mapping):
        return entry
    return next((entry[key] for key in ("raw", "caption", "text") if key in entry), entry)
