"""Image-text retrieval: which caption belongs to which picture, asked in both directions.

Karpathy and Fei-Fei, Deep visual-semantic alignments, CVPR 2015, and since then Flickr8k, Flickr30k and COCO. A picture
and its captions, as they stand in Flickr8k:

    1000268201_693b08cb0e.jpg#0   A child in a pink dress is climbing up a set of stairs in an entry way .
    1000268201_693b08cb0e.jpg#1   A girl going into a wooden building .                     … five in all

A model embeds every picture and every caption by itself, a caption as it is written, without a prompt around it. Then
each picture is compared with all captions (image to text) and each caption with all pictures (text to image), by
cosine. A picture is found at k when *any* of its captions is among the first k, as the CLIP literature counts it; that
is no share of its captions. Ties never help (`evals.metrics.retrieval`): embeddings that are all alike find next to
nothing.

A few captions stand under several pictures, word for word. The headline follows the literature, where a caption has one
picture; `…/shared-captions` are the same figures when every picture that carries the words counts as right.

Protocols are named and frozen:

    flickr8k-1k, flickr30k-1k    the test split, 1,000 pictures with five captions each
    coco-5k                      Karpathy's test split, 5,000 pictures with their first five captions each
    coco-val2017-5k              the 5,000 pictures of val2017, which are others
    …-5x1000                     five galleries of 1,000 pictures one after the other, averaged
    …-all-captions               where a picture has more than five
    mini                         200 drawn scenes in complementary groups (`evals.tasks.mini.retrieval`)
    custom                       anything else, such as those pictures of a split that are there
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
from evals.tasks.formats import retrieval
from evals.tasks.formats.retrieval import CaptionedImage, Official
from evals.tasks.mini import BUNDLED
from evals.tasks.scoring.retrieval import carriers, score, summarise, text_ids

SPLITS = ("validation", "test")
MINI = BUNDLED / "retrieval"
FIRST = 5
"""Captions of a picture that count, where a protocol does not take all."""
FOLD = 1000
"""Pictures of one gallery of the protocols that average over several."""
ALL, FOLDS = "-all-captions", "-5x1000"
"""Endings of a split's name that choose a variant of its protocol."""
PROTOCOLS = {
    ("flickr8k", "test"): ("flickr8k-1k", 1000),
    ("flickr30k", "test"): ("flickr30k-1k", 1000),
    ("coco", "test"): ("coco-5k", 5000),
    ("coco-captions", "val2017"): ("coco-val2017-5k", 5000),
}
"""By collection and split: the protocol, and how many pictures it is of."""


class Bundled(msgspec.Struct, frozen=True, gc=False):
    """A picture of the bundled data and what is said of it."""

    image_id: int
    image: bytes
    captions: list[str]


# Where the samples come from


def samples(options: Options) -> Samples:
    """Read a split: bundled, or of the official files in a folder; a sample is a picture with its captions.

    Of a folder, `--split` names a split of its files (`test`, `val`, `val2017`), and may end in `-all-captions`, in
    `-5x1000`, or in both in this order. Where some of a split's pictures are in the folder and some are not, those that
    are there make the benchmark; where none is, all are asked for: recorded outputs need no pictures.

    Raises:
        InputError: files are missing, malformed, or do not belong together; five galleries of other than 5,000.
        UnknownName: there is no such split.
    """
    if options.data is not None:
        return _official(options.data, options.split)
    if options.scale == "full":
        raise InputError(f"retrieval at full scale needs the official files: name their folder with --data; "
                         f"{retrieval.SOURCE}")  # fmt: skip
    return _bundled(options.split or SPLITS[0])


def _bundled(split: str) -> Samples:
    if split not in SPLITS:
        raise UnknownName("split of retrieval", split, SPLITS)
    path = MINI / f"{split}.parquet"
    rows = data.read_parquet(path, Bundled)
    told = [CaptionedImage(str(row.image_id), "", tuple(row.captions)) for row in rows]
    pictures = {str(row.image_id): Image(str(row.image_id), data=row.image) for row in rows}
    facts = {"source": "bundled", "split": split, "files": {path.name: data.digest(path)}}
    return _samples(told, pictures, facts | _size("mini", told), folds=False)


def _official(folder: Path, split: str | None) -> Samples:
    name, folds = _without(split, FOLDS)
    name, every = _without(name, ALL)
    official = retrieval.read(folder, name)
    told = _present(official)
    protocol = _protocol(official, told)
    told = told if every else [CaptionedImage(one.id, one.file, one.captions[:FIRST]) for one in told]
    if folds and len(told) != FIRST * FOLD:
        raise InputError(f"{folder}: {FOLDS} averages five galleries of 1,000 pictures; the split has {len(told):,}")
    facts = {
        "source": "official files",
        "split": official.split + (ALL if every else "") + (FOLDS if folds else ""),
        "files": official.files,
        "pictures": data.listing_digest(path for one in told if (path := official.pictures.get(one.file))),
    }
    pictures = {
        one.id: Image(one.id, path=official.pictures.get(one.file) or data.inside(folder, one.file)) for one in told
    }
    protocol += (ALL if every else "") + (FOLDS if folds else "")
    return _samples(told, pictures, facts | _size(protocol, told), folds=folds)


def _without(split: str | None, ending: str) -> tuple[str | None, bool]:
    """Take an ending off a split's name; a name that is nothing else means the default split."""
    if split is None or not split.endswith(ending):
        return split, False
    return split.removesuffix(ending) or None, True


def _present(official: Official) -> Sequence[CaptionedImage]:
    """Keep the pictures that are there; all, where none is."""
    return [one for one in official.told if one.file in official.pictures] or official.told


def _protocol(official: Official, told: Sequence[CaptionedImage]) -> str:
    name, count = PROTOCOLS.get((official.collection, official.split), ("custom", 0))
    return name if len(told) == len(official.told) == count else "custom"


def _size(protocol: str, told: Sequence[CaptionedImage]) -> dict[str, Json]:
    """What a protocol is of, for the signature: names, sizes, and which captions."""
    words = hashlib.sha256(msgspec.json.encode([(one.id, one.captions) for one in told])).hexdigest()
    shared = sum(len(pictures) > 1 for pictures in carriers([one.captions for one in told]).values())
    counted = {"images": len(told), "captions": sum(len(one.captions) for one in told), "shared captions": shared}
    return {"protocol": protocol, **counted, "captions digest": words[:16]}


def _samples(
    told: Sequence[CaptionedImage], pictures: Mapping[str, Image], facts: Mapping[str, Json], *, folds: bool
) -> Samples:
    def build(index: int) -> Sample:
        one = told[index]
        texts = (
            Embed(id, (caption,)) for id, caption in zip(text_ids(one.id, one.captions), one.captions, strict=True)
        )
        labels = {"fold": str(1 + index // FOLD)} if folds else {}
        return Sample(one.id, (Embed(one.id, (pictures[one.id],)), *texts), target=list(one.captions), labels=labels)

    def answers(index: int) -> list[str]:
        return [told[index].id, *text_ids(told[index].id, told[index].captions)]

    return Samples([one.id for one in told], build, facts, answers)


TASKS.add(
    Task(
        name="retrieval",
        summary="image-text retrieval in both directions: Flickr8k, Flickr30k, COCO",
        version=1,
        needs="embed",
        splits=SPLITS,
        headline="image-to-text/recall@1",
        samples=samples,
        score=score,
        summarise=summarise,
        per_sample=False,
    )
)
