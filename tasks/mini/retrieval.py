"""Mini retrieval: the first 200 images of each split of mini VQA, five captions each, in complementary pairs.

A row, as bundled in `retrieval/validation.parquet`:

    image_id 100000, captions ["There is a large striped green heart, a small pink triangle, a large green circle, …",
                               "A green circle sits below a solid pink triangle.", … five in all]

Images 2k and 2k + 1 differ in two or three edits, often with the same colours and the same shapes on other things: who
knows which words fit a picture, and not which belong together, confuses the two.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from tasks.mini.captions import captions
from tasks.mini.scenes import Scene
from tasks.mini.vqa import split

IMAGES = 200
"""Images in each bundled split."""


class Told(NamedTuple):
    """An image and what five people say of it."""

    image_id: int
    scene: Scene
    captions: tuple[str, ...]


def told(name: str) -> list[Told]:
    """Give a bundled split, `validation` or `test`; the captions of an image depend on its id and its scene alone."""
    return [
        Told(sheet.image_id, sheet.scene, captions(sheet.scene, Random(f"captions {sheet.image_id}")))
        for sheet in split(name)[:IMAGES]
    ]
