"""Writes the bundled mini benchmarks, checks them against the generator, and exports them in the official layout.

python -m evals.tasks.mini.generate                                 write the parquet files
python -m evals.tasks.mini.generate --check                       exit 1 if a bundled row or pixel is not the
generator's
python -m evals.tasks.mini.generate --official DIR --split test   write JSON files and a folder of JPEG, as VQA 2.0 has
them
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.tasks.mini import BUNDLED, tones
from evals.tasks.mini.pictures.annotators import annotate
from evals.tasks.mini.pictures.drawing import draw
from evals.tasks.mini.retrieval import told
from evals.tasks.mini.vqa import Question, Sheet, split

if TYPE_CHECKING:
    from PIL.Image import Image

MINI = BUNDLED / "vqa"
RETRIEVAL = BUNDLED / "retrieval"
TONES = BUNDLED / "tones"
SPLITS = ("validation", "test")

Row = dict[str, Any]
"""A question of a bundled file with its ten annotations: the columns of the official JSON, and `pair_id`, `region`."""


def rows(sheets: Iterable[Sheet]) -> list[Row]:
    """Give the rows of a split."""
    return [_row(question) for sheet in sheets for question in sheet.questions]


def _row(question: Question) -> Row:
    return {
        "question_id": question.question_id,
        "image_id": question.image_id,
        "question": question.text,
        "question_type": question.question_type,
        "answer_type": question.answer_type,
        "multiple_choice_answer": question.answer,
        "answers": [dict(annotation) for annotation in annotate(question)],
        "pair_id": question.pair_id,
        "region": list(question.region) if question.region else None,
    }


def bundled_rows(name: str) -> list[Row]:
    """Read the rows of a bundled split."""
    from pyarrow import parquet

    read: list[Row] = parquet.read_table(MINI / f"{name}.parquet").to_pylist()
    return read


def bundled_images(name: str) -> dict[int, Image]:
    """Read the images of a bundled split by their ids."""
    from PIL import Image
    from pyarrow import parquet

    read = parquet.read_table(MINI / f"{name}-images.parquet").to_pylist()
    return {row["image_id"]: Image.open(io.BytesIO(row["image"])) for row in read}


def write(name: str) -> None:
    """Write the two files of a bundled split."""
    import pyarrow as pa
    from pyarrow import parquet

    sheets = split(name)
    said = pa.struct([("answer", pa.string()), ("answer_confidence", pa.string()), ("answer_id", pa.int64())])
    numbers = ("question_id", "image_id", "pair_id")
    texts = ("question", "question_type", "answer_type", "multiple_choice_answer")
    columns = {**dict.fromkeys(numbers, pa.int64()), **dict.fromkeys(texts, pa.string())}
    columns |= {"answers": pa.list_(said), "region": pa.list_(pa.int32())}
    questions = rows(sheets)
    MINI.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(questions, schema=pa.schema([(column, columns[column]) for column in questions[0]]))
    parquet.write_table(table, MINI / f"{name}.parquet", compression="zstd")
    images = pa.table(
        {
            "image_id": pa.array([sheet.image_id for sheet in sheets], pa.int64()),
            "image": [_png(draw(sheet.scene)) for sheet in sheets],
        }
    )
    parquet.write_table(images, MINI / f"{name}-images.parquet", compression="none")


def write_told(name: str) -> None:
    """Write the file of a bundled split of mini retrieval."""
    import pyarrow as pa
    from pyarrow import parquet

    rows = [{"image_id": one.image_id, "image": _png(draw(one.scene)), "captions": one.captions} for one in told(name)]
    schema = pa.schema([("image_id", pa.int64()), ("image", pa.binary()), ("captions", pa.list_(pa.string()))])
    RETRIEVAL.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(rows, schema), RETRIEVAL / f"{name}.parquet", compression="none")


def told_differences(name: str) -> list[str]:
    """Say where a bundled split of mini retrieval is not what the generator gives."""
    from PIL import Image
    from pyarrow import parquet

    held, made = parquet.read_table(RETRIEVAL / f"{name}.parquet").to_pylist(), told(name)
    if [(row["image_id"], tuple(row["captions"])) for row in held] != [(one.image_id, one.captions) for one in made]:
        return [f"{name}: the bundled captions are others than the generated"]
    return [
        f"{name}: image {one.image_id} differs"
        for row, one in zip(held, made, strict=True)
        if Image.open(io.BytesIO(row["image"])).tobytes() != draw(one.scene).tobytes()
    ]


def tone_rows(name: str) -> list[Row]:
    """Give the rows of a bundled split of mini tones."""
    return [
        {
            "clip_id": one.clip_id,
            "audio": tones.wav(one),
            "question": tones.QUESTION,
            "answer": one.digit,
            "noise": one.noise,
        }
        for one in tones.split(name)
    ]


def write_tones(name: str) -> None:
    """Write the file of a bundled split of mini tones."""
    import pyarrow as pa
    from pyarrow import parquet

    texts = [(column, pa.string()) for column in ("question", "answer", "noise")]
    schema = pa.schema([("clip_id", pa.int64()), ("audio", pa.binary()), *texts])
    TONES.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(tone_rows(name), schema), TONES / f"{name}.parquet", compression="zstd")


def tone_differences(name: str) -> list[str]:
    """Say where a bundled split of mini tones is not what the generator gives."""
    from pyarrow import parquet

    held, made = parquet.read_table(TONES / f"{name}.parquet").to_pylist(), tone_rows(name)
    if len(held) != len(made):
        return [f"{name}: {len(held)} recordings are bundled, {len(made)} are generated"]
    return [f"{name}: recording {new['clip_id']} differs" for old, new in zip(held, made, strict=True) if old != new]


def _png(image: Image) -> bytes:
    written = io.BytesIO()
    image.save(written, "PNG", optimize=True)
    return written.getvalue()


def differences(name: str) -> list[str]:
    """Say where a bundled split is not what the generator gives; what the files hold counts, not their encoding."""
    sheets = split(name)
    held, made = bundled_rows(name), rows(sheets)
    found = [
        f"{name}: question {new['question_id']} differs" for old, new in zip(held, made, strict=False) if old != new
    ]
    if len(held) != len(made):
        found.append(f"{name}: {len(held)} questions are bundled, {len(made)} are generated")
    images = bundled_images(name)
    if list(images) != [sheet.image_id for sheet in sheets]:
        found.append(f"{name}: the bundled images are others than the generated")
        return found
    changed = (sheet.image_id for sheet in sheets if images[sheet.image_id].tobytes() != draw(sheet.scene).tobytes())
    return found + [f"{name}: image {image_id} differs" for image_id in changed]


def export(name: str, folder: Path) -> None:
    """Write a bundled split in the layout of VQA 2.0: questions, annotations, complementary pairs, and images as JPEG.

    Args:
        name: Of the bundled split.
        folder: Where to; made if it is not there.
    """
    subtype = {"validation": "val2014", "test": "test2015"}[name]
    (folder / subtype).mkdir(parents=True, exist_ok=True)
    for image_id, image in bundled_images(name).items():
        image.convert("RGB").save(folder / subtype / f"COCO_{subtype}_{image_id:012d}.jpg", quality=95, subsampling=0)
    questions = bundled_rows(name)
    head = {"info": {"description": "Mini VQA", "version": "2.0"}, "data_type": "mscoco", "data_subtype": subtype}
    asked = _columns(questions, ("image_id", "question", "question_id"))
    known = _columns(
        questions, ("question_type", "multiple_choice_answer", "answers", "image_id", "answer_type", "question_id")
    )
    _write_json(
        folder / f"v2_OpenEnded_mscoco_{subtype}_questions.json",
        {**head, "task_type": "Open-Ended", "questions": asked},
    )
    _write_json(folder / f"v2_mscoco_{subtype}_annotations.json", {**head, "annotations": known})
    pairs: dict[int, list[int]] = {}
    for row in questions:
        pairs.setdefault(row["pair_id"], []).append(row["question_id"])
    _write_json(folder / f"v2_mscoco_{subtype}_complementary_pairs.json", list(pairs.values()))


def _columns(rows: Sequence[Row], columns: Sequence[str]) -> list[Row]:
    return [{column: row[column] for column in columns} for row in rows]


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m evals.tasks.mini.generate", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--check", action="store_true", help="compare the bundled files with the generator, write nothing"
    )
    parser.add_argument("--official", type=Path, metavar="DIR", help="export a bundled split in the layout of VQA 2.0")
    parser.add_argument(
        "--split", choices=SPLITS, default="validation", help="which split to export (default: validation)"
    )
    options = parser.parse_args(arguments)
    if options.official:
        export(options.split, options.official)
        return 0
    if options.check:
        found = [line for name in SPLITS for line in (*differences(name), *told_differences(name))]
        found += [line for name in tones.SPLITS for line in tone_differences(name)]
        print("\n".join(found) or "the bundled files are what the generator gives")
        return 1 if found else 0
    for name in SPLITS:
        write(name)
        write_told(name)
        print(f"wrote {MINI / name}.parquet and {name}-images.parquet, {RETRIEVAL / name}.parquet")
    for name in tones.SPLITS:
        write_tones(name)
        print(f"wrote {TONES / name}.parquet")
    return 0


if __name__ == "__main__":
    sys.exit(main())
