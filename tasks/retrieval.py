"""Image-text retrieval: find the captions of an image among all captions, and the image of a caption among all images.

Karpathy and Fei-Fei, Deep visual-semantic alignments, CVPR 2015, and since then Flickr8k, Flickr30k and COCO. An image
and its captions, as in Flickr8k:

    1000268201_693b08cb0e.jpg#0   A child in a pink dress is climbing up a set of stairs in an entry way .
    1000268201_693b08cb0e.jpg#1   A girl going into a wooden building .                     … five in all

A model embeds every image and every caption separately; a caption is embedded as written, without a prompt. Each image
is compared with all captions (image to text) and each caption with all images (text to image), by cosine similarity.
Image-to-text recall at k counts an image as found if *any* of its captions is among the first k, as the CLIP literature
does; it is not the share of its captions. Ties never help (`evals.metrics.retrieval`): with identical embeddings,
recall is close to 0.

A few captions belong to several images, word for word. The headline follows the literature, where a caption has one
image; `…/shared-captions` are the same metrics when every image with the caption counts as right.

The protocols have fixed names and definitions:

    flickr8k-1k, flickr30k-1k    the test split, 1,000 images with five captions each
    coco-5k                      Karpathy's test split, 5,000 images with their first five captions each
    coco-val2017-5k              the 5,000 images of val2017, which are not those of Karpathy's test split
    …-5x1000                     the average over five consecutive galleries of 1,000 images
    …-all-captions               all captions of an image, not only the first five
    mini                         200 drawn scenes in complementary groups (`evals.tasks.mini.retrieval`)
    custom                       anything else, such as a split of which some images are missing
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from evals import data
from evals.errors import InputError, UnknownName
from evals.registry import TASKS
from evals.schema import Embed, Image, Json, Options, Sample, Samples, Task
from evals.tasks.formats import own_tables, retrieval, retrieval_hub, retrieval_tables
from evals.tasks.formats.retrieval import CaptionedImage, Official
from evals.tasks.mini import BUNDLED
from evals.tasks.scoring.retrieval import images_of_captions, score, text_ids
from evals.tasks.scoring.retrieval_metrics import summarise

SPLITS = ("validation", "test")
MINI = BUNDLED / "retrieval"
FIRST = 5
"""Number of captions of an image that are used, unless the protocol uses all."""
FOLD = 1000
"""Number of images in a gallery of the protocols that average over several galleries."""
ALL, FOLDS = "-all-captions", "-5x1000"
"""Suffixes of a split's name that choose a variant of its protocol."""
PROTOCOLS = {
    ("flickr8k", "test"): ("flickr8k-1k", 1000),
    ("flickr30k", "test"): ("flickr30k-1k", 1000),
    ("coco", "test"): ("coco-5k", 5000),
    ("coco-captions", "val2017"): ("coco-val2017-5k", 5000),
}
"""By collection and split: the protocol, and the number of its images."""


class BundledRow(msgspec.Struct, frozen=True, gc=False):
    """An image of the bundled data and its captions."""

    image_id: int
    image: bytes
    captions: list[str]


# Samples


def samples(options: Options) -> Samples:
    """Read a bundled split, or a split of the official files in a folder. A sample is an image with its captions.

    With a folder, `--split` names a split of its files (`test`, `val`, `val2017`), optionally followed by
    `-all-captions`, by `-5x1000`, or by both in this order. If the folder has only some of the split's images, the
    benchmark consists of these; if it has none, of all: recorded outputs can be scored without images.

    Raises:
        InputError: files are missing, malformed, or do not belong together; or five galleries are requested of a split
            that does not have 5,000 images.
        UnknownName: there is no such split.
    """
    if own_tables.is_own(options):
        return _of_table(options)
    if options.data is not None:
        return _official(options.data, options.split)
    if options.scale == "full":
        return _of_hub(options.split)
    return _bundled(options.split or SPLITS[0])


def _bundled(split: str) -> Samples:
    if split not in SPLITS:
        raise UnknownName("split of retrieval", split, SPLITS)
    path = MINI / f"{split}.parquet"
    rows = data.read_parquet(path, BundledRow)
    captioned = [CaptionedImage(str(row.image_id), "", tuple(row.captions)) for row in rows]
    images = {str(row.image_id): Image(str(row.image_id), data=row.image) for row in rows}
    facts = {"source": "bundled", "split": split, "files": {path.name: data.digest(path)}}
    return _samples(captioned, images, facts | _protocol_facts("mini", captioned), folds=False)


def _of_table(options: Options) -> Samples:
    """Make samples of a user's table, by the protocol `custom`."""
    assert options.data is not None, "the table is named by it"
    name, all_captions = _without_suffix(options.split, ALL)
    table = retrieval_tables.read(own_tables.open_rows(retrieval_tables.FIELDS, options.data, name, options.columns))
    captioned, suffix = table.captioned, ALL
    if not all_captions:
        captioned, suffix = _first(captioned), ""
    facts = table.facts | _protocol_facts("custom" + suffix, captioned)
    return _samples(captioned, table.images, facts, folds=False)


def _of_hub(split: str | None) -> Samples:
    """Make samples of a collection of the hub, which the split names: `flickr30k-1k` or `coco-5k`, with suffixes."""
    name, folds = _without_suffix(split, FOLDS)
    name, all_captions = _without_suffix(name, ALL)
    collection = retrieval_hub.COLLECTIONS.get(name or "")
    if collection is None:
        known = " or ".join(f"--split {name}" for name in retrieval_hub.COLLECTIONS)
        raise InputError(f"retrieval at full scale: choose {known}; other files are named with --data")
    read = retrieval_hub.read(collection)
    protocol, count = PROTOCOLS[collection.name, retrieval_hub.SPLIT]
    suffix = (ALL if all_captions else "") + (FOLDS if folds else "")
    captioned = read.captioned if all_captions else _first(read.captioned)
    if folds and len(captioned) != FIRST * FOLD:
        raise InputError(f"{FOLDS} averages five galleries of 1,000 images; {name} has {len(captioned):,}")
    protocol = (protocol if len(captioned) == count else "custom") + suffix
    facts = read.facts | {"split": retrieval_hub.SPLIT + suffix} | _protocol_facts(protocol, captioned)
    return _samples(captioned, read.images, facts, folds=folds)


def _first(captioned: Sequence[CaptionedImage]) -> list[CaptionedImage]:
    """Keep the captions that the protocols use."""
    return [CaptionedImage(item.id, item.file, item.captions[:FIRST]) for item in captioned]


def _official(folder: Path, split: str | None) -> Samples:
    name, folds = _without_suffix(split, FOLDS)
    name, all_captions = _without_suffix(name, ALL)
    official = retrieval.read(folder, name)
    captioned = _present(official)
    protocol = _protocol(official, captioned)
    if not all_captions:
        captioned = _first(captioned)
    if folds and len(captioned) != FIRST * FOLD:
        raise InputError(f"{folder}: {FOLDS} averages five galleries of 1,000 images; the split has {len(captioned):,}")
    suffix = (ALL if all_captions else "") + (FOLDS if folds else "")
    paths = official.paths
    facts = {
        "source": "official files",
        "split": official.split + suffix,
        "files": official.files,
        "images": data.listing_digest(path for item in captioned if (path := paths.get(item.file))),
    }
    images = {
        item.id: Image(item.id, path=paths.get(item.file) or data.inside(folder, item.file)) for item in captioned
    }
    return _samples(captioned, images, facts | _protocol_facts(protocol + suffix, captioned), folds=folds)


def _without_suffix(split: str | None, suffix: str) -> tuple[str | None, bool]:
    """Remove a suffix from a split's name; None, the default split, if nothing else is left."""
    if split is None or not split.endswith(suffix):
        return split, False
    return split.removesuffix(suffix) or None, True


def _present(official: Official) -> Sequence[CaptionedImage]:
    """Return the images that have a file; all images if none has."""
    return [item for item in official.images if item.file in official.paths] or official.images


def _protocol(official: Official, captioned: Sequence[CaptionedImage]) -> str:
    name, count = PROTOCOLS.get((official.collection, official.split), ("custom", 0))
    return name if len(captioned) == len(official.images) == count else "custom"


def _protocol_facts(protocol: str, captioned: Sequence[CaptionedImage]) -> dict[str, Json]:
    """Return the facts of a protocol for the signature: its name, its sizes and a digest of its captions."""
    digest = hashlib.sha256(msgspec.json.encode([(item.id, item.captions) for item in captioned])).hexdigest()
    images_by_caption = images_of_captions([item.captions for item in captioned])
    return {
        "protocol": protocol,
        "images": len(captioned),
        "captions": sum(len(item.captions) for item in captioned),
        "shared captions": sum(len(images) > 1 for images in images_by_caption.values()),
        "captions digest": digest[:16],
    }


def _samples(
    captioned: Sequence[CaptionedImage], images: Mapping[str, Image], facts: Mapping[str, Json], *, folds: bool
) -> Samples:
    """Make the samples, with a label `fold` if there are several galleries."""

    def build(index: int) -> Sample:
        id, captions = captioned[index].id, captioned[index].captions
        texts = (Embed(text_id, (caption,)) for text_id, caption in zip(text_ids(id, captions), captions, strict=True))
        labels = {"fold": str(1 + index // FOLD)} if folds else {}
        return Sample(id, (Embed(id, (images[id],)), *texts), target=list(captions), labels=labels)

    def ids_of_outputs(index: int) -> list[str]:
        return [captioned[index].id, *text_ids(captioned[index].id, captioned[index].captions)]

    return Samples([item.id for item in captioned], build, facts, ids_of_outputs)


TASKS.add(
    Task(
        name="retrieval",
        summary="image-text retrieval in both directions: Flickr8k, Flickr30k, COCO",
        version=1,
        needs="embed",
        supported_options=frozenset({"columns"}),
        splits=SPLITS,
        headline="image-to-text/recall@1",
        samples=samples,
        score=score,
        summarise=summarise,
        per_sample=False,
    )
)
