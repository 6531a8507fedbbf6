"""Write the bundled mini benchmarks, check them against the generators, and export mini VQA in the official layout.

    python -m evals.tasks.mini.generate                               write the parquet files
    python -m evals.tasks.mini.generate --check                       exit 1 if a bundled file is not the generated
    python -m evals.tasks.mini.generate --official DIR --split test   write VQA 2.0's JSON files and a folder of JPEGs

The parquet files of mini GLUE and mini math are written by `evals.tasks.mini.glue.write`.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.tasks.mini import BUNDLED, retrieval, tones
from evals.tasks.mini.images.annotators import annotate
from evals.tasks.mini.images.drawing import draw
from evals.tasks.mini.vqa import QuestionSheet, SceneQuestion, split

if TYPE_CHECKING:
    from PIL.Image import Image

MINI = BUNDLED / "vqa"
RETRIEVAL = BUNDLED / "retrieval"
TONES = BUNDLED / "tones"
SPLITS = ("validation", "test")

JsonRow = dict[str, Any]
"""One row of a bundled file. For mini VQA: a question with its ten annotations, in the columns of the official JSON,
and `pair_id` and `region`."""


def rows(sheets: Iterable[QuestionSheet]) -> list[JsonRow]:
    """Return the rows of a mini VQA split."""
    return [_row(question) for sheet in sheets for question in sheet.questions]


def _row(question: SceneQuestion) -> JsonRow:
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


def bundled_rows(name: str) -> list[JsonRow]:
    """Read the rows of a bundled mini VQA split."""
    from pyarrow import parquet

    rows: list[JsonRow] = parquet.read_table(MINI / f"{name}.parquet").to_pylist()
    return rows


def bundled_images(name: str) -> dict[int, Image]:
    """Read the images of a bundled mini VQA split, by image id."""
    from PIL import Image
    from pyarrow import parquet

    rows = parquet.read_table(MINI / f"{name}-images.parquet").to_pylist()
    return {row["image_id"]: Image.open(io.BytesIO(row["image"])) for row in rows}


def write(name: str) -> None:
    """Write the two files of a mini VQA split: the questions and the images."""
    import pyarrow as pa
    from pyarrow import parquet

    sheets = split(name)
    annotation = pa.struct([("answer", pa.string()), ("answer_confidence", pa.string()), ("answer_id", pa.int64())])
    numbers = ("question_id", "image_id", "pair_id")
    texts = ("question", "question_type", "answer_type", "multiple_choice_answer")
    columns = {**dict.fromkeys(numbers, pa.int64()), **dict.fromkeys(texts, pa.string())}
    columns |= {"answers": pa.list_(annotation), "region": pa.list_(pa.int32())}
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


def write_captions(name: str) -> None:
    """Write the file of a mini retrieval split."""
    import pyarrow as pa
    from pyarrow import parquet

    rows = [
        {"image_id": item.image_id, "image": _png(draw(item.scene)), "captions": item.captions}
        for item in retrieval.split(name)
    ]
    schema = pa.schema([("image_id", pa.int64()), ("image", pa.binary()), ("captions", pa.list_(pa.string()))])
    RETRIEVAL.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(rows, schema), RETRIEVAL / f"{name}.parquet", compression="none")


def caption_differences(name: str) -> list[str]:
    """List the differences between a bundled mini retrieval split and its generator."""
    from PIL import Image
    from pyarrow import parquet

    bundled, generated = parquet.read_table(RETRIEVAL / f"{name}.parquet").to_pylist(), retrieval.split(name)
    captions = [(row["image_id"], tuple(row["captions"])) for row in bundled]
    if captions != [(item.image_id, item.captions) for item in generated]:
        return [f"{name}: the bundled captions differ from the generated ones"]
    return [
        f"{name}: image {item.image_id} differs"
        for row, item in zip(bundled, generated, strict=True)
        if Image.open(io.BytesIO(row["image"])).tobytes() != draw(item.scene).tobytes()
    ]


def tone_rows(name: str) -> list[JsonRow]:
    """Return the rows of a mini tones split."""
    return [
        {
            "clip_id": clip.clip_id,
            "audio": tones.wav(clip),
            "question": tones.QUESTION,
            "answer": clip.digit,
            "noise": clip.noise,
        }
        for clip in tones.split(name)
    ]


def write_tones(name: str) -> None:
    """Write the file of a mini tones split."""
    import pyarrow as pa
    from pyarrow import parquet

    texts = [(column, pa.string()) for column in ("question", "answer", "noise")]
    schema = pa.schema([("clip_id", pa.int64()), ("audio", pa.binary()), *texts])
    TONES.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(tone_rows(name), schema), TONES / f"{name}.parquet", compression="zstd")


def tone_differences(name: str) -> list[str]:
    """List the differences between a bundled mini tones split and its generator."""
    from pyarrow import parquet

    bundled, generated = parquet.read_table(TONES / f"{name}.parquet").to_pylist(), tone_rows(name)
    if len(bundled) != len(generated):
        return [f"{name}: {len(bundled)} audio clips are bundled, {len(generated)} are generated"]
    return [
        f"{name}: audio clip {new['clip_id']} differs"
        for old, new in zip(bundled, generated, strict=True)
        if old != new
    ]


def _png(image: Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def differences(name: str) -> list[str]:
    """List the differences between a bundled mini VQA split and its generator.

    Decoded contents are compared, so another encoding of the same rows and pixels does not count as a difference.
    """
    sheets = split(name)
    bundled, generated = bundled_rows(name), rows(sheets)
    lines = [
        f"{name}: question {new['question_id']} differs"
        for old, new in zip(bundled, generated, strict=False)
        if old != new
    ]
    if len(bundled) != len(generated):
        lines.append(f"{name}: {len(bundled)} questions are bundled, {len(generated)} are generated")
    images = bundled_images(name)
    if list(images) != [sheet.image_id for sheet in sheets]:
        lines.append(f"{name}: the bundled images differ from the generated ones")
        return lines
    changed = (sheet.image_id for sheet in sheets if images[sheet.image_id].tobytes() != draw(sheet.scene).tobytes())
    return lines + [f"{name}: image {image_id} differs" for image_id in changed]


def export(name: str, folder: Path) -> None:
    """Write a mini VQA split in the layout of VQA 2.0: questions, annotations, complementary pairs, and JPEG images.

    Args:
        name: the bundled split, `validation` or `test`.
        folder: the output folder; it is created if it does not exist.
    """
    subtype = {"validation": "val2014", "test": "test2015"}[name]
    (folder / subtype).mkdir(parents=True, exist_ok=True)
    for image_id, image in bundled_images(name).items():
        image.convert("RGB").save(folder / subtype / f"COCO_{subtype}_{image_id:012d}.jpg", quality=95, subsampling=0)
    questions = bundled_rows(name)
    head = {"info": {"description": "Mini VQA", "version": "2.0"}, "data_type": "mscoco", "data_subtype": subtype}
    question_rows = _columns(questions, ("image_id", "question", "question_id"))
    annotation_rows = _columns(
        questions, ("question_type", "multiple_choice_answer", "answers", "image_id", "answer_type", "question_id")
    )
    _write_json(
        folder / f"v2_OpenEnded_mscoco_{subtype}_questions.json",
        {**head, "task_type": "Open-Ended", "questions": question_rows},
    )
    _write_json(folder / f"v2_mscoco_{subtype}_annotations.json", {**head, "annotations": annotation_rows})
    pairs: dict[int, list[int]] = {}
    for row in questions:
        pairs.setdefault(row["pair_id"], []).append(row["question_id"])
    _write_json(folder / f"v2_mscoco_{subtype}_complementary_pairs.json", list(pairs.values()))


def _columns(rows: Sequence[JsonRow], columns: Sequence[str]) -> list[JsonRow]:
    return [{column: row[column] for column in columns} for row in rows]


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m evals.tasks.mini.generate", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--check", action="store_true", help="compare the bundled files with the generators and write nothing"
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
        lines = [line for name in SPLITS for line in (*differences(name), *caption_differences(name))]
        lines += [line for name in tones.SPLITS for line in tone_differences(name)]
        print("\n".join(lines) or "the bundled files are what the generator gives")
        return 1 if lines else 0
    for name in SPLITS:
        write(name)
        write_captions(name)
        print(f"wrote {MINI / name}.parquet and {name}-images.parquet, {RETRIEVAL / name}.parquet")
    for name in tones.SPLITS:
        write_tones(name)
        print(f"wrote {TONES / name}.parquet")
    return 0


if __name__ == "__main__":
    sys.exit(main())
