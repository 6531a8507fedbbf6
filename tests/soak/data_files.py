"""Kinds of inputs that are benchmark data, and recorded outputs: each is read by a run that scores recorded outputs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tests.soak.targets import Target, changed, image, lines, run

TEXTS = ["what color is the ball?", "how many balls?", "is there a ball?", "what shape is it?"]


def _vqa(folder: Path) -> None:
    asked = [{"image_id": 1 + n // 2, "question": text, "question_id": 10 + n} for n, text in enumerate(TEXTS)]
    answers = [
        {"answer": answer, "answer_confidence": "yes", "answer_id": n}
        for n, answer in enumerate(["red"] * 7 + ["a 2"] * 3)
    ]
    notes = [
        {"image_id": row["image_id"], "question_id": row["question_id"], "question_type": "what",
        "answer_type": "other", "answers": answers}
        for row in asked
    ]  # fmt: skip
    (folder / "v2_OpenEnded_mscoco_val2014_questions.json").write_text(
        json.dumps({"data_subtype": "val2014", "questions": asked})
    )
    (folder / "v2_mscoco_val2014_annotations.json").write_text(
        json.dumps({"data_subtype": "val2014", "annotations": notes})
    )
    (folder / "outputs.json").write_text(
        json.dumps([{"question_id": row["question_id"], "answer": "red"} for row in asked])
    )


def _glue(folder: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    rows = [f"{n}\tA {text}\tB {text}\t{('entailment', 'not_entailment')[n % 2]}" for n, text in enumerate(TEXTS)]
    (folder / "RTE").mkdir()
    (folder / "RTE" / "dev.tsv").write_text("\n".join(["index\tsentence1\tsentence2\tlabel", *rows]) + "\n")
    (folder / "STS-B").mkdir()
    names = ["index", "genre", "filename", "year", "old_index", "source1", "source2", "sentence1", "sentence2", "score"]
    stsb = ["\t".join([str(n), *"abcdef", f"A {text}", f"B {text}", f"{n}.250"]) for n, text in enumerate(TEXTS)]
    (folder / "STS-B" / "dev.tsv").write_text("\n".join(["\t".join(names), *stsb]) + "\n")
    (folder / "hub" / "rte").mkdir(parents=True)
    columns = {"sentence1": TEXTS, "sentence2": TEXTS, "label": [0, 1, 0, 1], "idx": range(4)}
    parquet.write_table(pyarrow.table(columns), folder / "hub" / "rte" / "validation-00000-of-00001.parquet")
    (folder / "rte.tsv").write_text("index\tprediction\n" + "".join(f"{n}\tentailment\n" for n in range(4)))
    (folder / "stsb.tsv").write_text("index\tprediction\n" + "".join(f"{n}\t{n}.5\n" for n in range(4)))


def _glue_tsv(folder: Path) -> None:
    names = {str(path.relative_to(folder)) for path in changed(folder, "*.tsv")}
    for task, files in {"rte": {"RTE/dev.tsv", "rte.tsv"}, "stsb": {"STS-B/dev.tsv", "stsb.tsv"}}.items():
        if names & files:
            run(folder, f"glue/{task}", f"{task}.tsv")


def _math(folder: Path) -> None:
    problems = [
        {"question": f"{n} and {n}?", "answer": f"{n} + {n} = <<{n}+{n}={2 * n}>>{2 * n}\n#### {2 * n}"}
        for n in range(1, 4)
    ]
    lines(folder / "gsm8k" / "test.jsonl", problems)
    lines(folder / "gsm8k" / "train.jsonl", problems * 3)
    hard = [
        {"problem": f"What is ${n}/2$?", "level": "Level 3", "type": "Algebra",
        "solution": f"$\\boxed{{\\frac{{{n}}}{{2}}}}$", "unique_id": f"t/{n}.json"}
        for n in range(3)
    ]  # fmt: skip
    lines(folder / "math" / "test.jsonl", hard)
    lines(folder / "gsm8k.jsonl", [{"id": str(n), "output": f"so {2 * n + 2}.\n#### {2 * n + 2}"} for n in range(3)])
    lines(
        folder / "math.jsonl",
        [{"id": f"t/{n}.json", "output": f"<think>x</think> $\\boxed{{{n}/2}}$"} for n in range(3)],
    )


def _read_math(folder: Path) -> None:
    names = {str(path.relative_to(folder)).split("/")[0].split(".")[0] for path in changed(folder, "*.jsonl")}
    for name in sorted(names):
        run(folder, f"math/{name}", f"{name}.jsonl", name)


def _custom(folder: Path) -> None:
    image(folder / "i.png", "PNG")
    rows = [{"text": text, "target": ["red", "a 2"]} for text in TEXTS]
    lines(folder / "rows.jsonl", [{**rows[0], "image": "i.png"}, {**rows[1], "id": "b"}, *rows[2:]])
    lines(folder / "outputs.jsonl", [{"id": id, "output": "red"} for id in ("1", "b", "3", "4")])


def _retrieval(folder: Path) -> None:
    images = [{"id": n, "file_name": f"{n}.jpg"} for n in range(3)]
    notes = [{"image_id": n % 3, "caption": f"a thing {n}"} for n in range(15)]
    (folder / "captions_val2017.json").write_text(json.dumps({"images": images, "annotations": notes}))
    texts = [f"{n}#{k}" for n in range(3) for k in range(5)]
    vectors = np.random.default_rng(0).normal(size=(18, 8)).astype(np.float32)
    arrays = {
        "image_ids": np.array([*"012"]),
        "image_embeddings": vectors[:3],
        "text_ids": np.array(texts),
        "text_embeddings": vectors[3:],
    }
    np.savez(folder / "v.npz", **arrays)
    np.savez_compressed(folder / "w.npz", **arrays)


def _captions(folder: Path) -> None:
    (folder / "flickr").mkdir()
    _retrieval(folder)
    (folder / "karpathy").mkdir()
    images = [
        {"filename": f"{n}.jpg", "split": "test", "cocoid": n, "sentences": [{"raw": f"thing {k}"} for k in range(5)]}
        for n in range(3)
    ]
    (folder / "karpathy" / "dataset_coco.json").write_text(json.dumps({"dataset": "coco", "images": images}))
    (folder / "flickr" / "Flickr8k.token.txt").write_text(
        "".join(f"{n}#{k}\ta thing {k}\n" for n in range(3) for k in range(5))
    )
    (folder / "flickr" / "Flickr_8k.testImages.txt").write_text("0\n1\n2\n")
    (folder / "coco").mkdir()
    shutil.move(folder / "captions_val2017.json", folder / "coco" / "captions_val2017.json")


def _read_captions(folder: Path) -> None:
    for name in sorted({path.parent.name for path in changed(folder, "*.[jt][sx][ot]*")}):
        run(folder, "retrieval", "v.npz", name)


def _read_vectors(folder: Path) -> None:
    for path in changed(folder, "*.npz"):
        run(folder, "retrieval", path.name)


TARGETS: Mapping[str, Target] = {
    "VQA JSON": Target(
        _vqa, {"v2_OpenEnded_mscoco_val2014_questions.json": "json", "v2_mscoco_val2014_annotations.json": "json"},
        lambda folder: run(folder, "vqa", "outputs.json"),
    ),
    "GLUE TSV": Target(_glue, {"RTE/dev.tsv": "tsv", "STS-B/dev.tsv": "tsv"}, _glue_tsv),
    "GLUE Parquet": Target(
        _glue, {"hub/rte/validation-00000-of-00001.parquet": "parquet"},
        lambda folder: run(folder, "glue/rte", "rte.tsv", "hub"),
    ),
    "math JSONL": Target(_math, {"gsm8k/test.jsonl": "jsonl", "gsm8k/train.jsonl": "jsonl",
    "math/test.jsonl": "jsonl"}, _read_math),
    "custom JSONL": Target(_custom, {"rows.jsonl": "jsonl"}, lambda folder: run(folder, "custom", data="rows.jsonl")),
    "captions": Target(
        _captions, {"coco/captions_val2017.json": "json", "karpathy/dataset_coco.json": "json",
        "flickr/Flickr8k.token.txt": "tsv",
                    "flickr/Flickr_8k.testImages.txt": "tsv"}, _read_captions,
    ),
    "outputs JSONL": Target(_custom, {"outputs.jsonl": "jsonl"}, lambda folder: run(folder, "custom",
    data="rows.jsonl")),
    "math outputs JSONL": Target(_math, {"gsm8k.jsonl": "jsonl", "math.jsonl": "jsonl"}, _read_math),
    "outputs VQA JSON": Target(_vqa, {"outputs.json": "json"}, lambda folder: run(folder, "vqa", "outputs.json")),
    "outputs TSV": Target(_glue, {"rte.tsv": "tsv", "stsb.tsv": "tsv"}, _glue_tsv),
    "embeddings npz": Target(_retrieval, {"v.npz": "npz", "w.npz": "npz"}, _read_vectors),
}  # fmt: skip
"""Kinds of data and of recorded outputs."""
