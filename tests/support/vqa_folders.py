"""Write small folders in the format of VQA's official files."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image as Picture

ANSWERS = ["red"] * 7 + ["dark red"] * 2 + ["blue"]


def vqa(folder: Path, *, images: bool = True, questions: int = 6) -> Path:
    """A small benchmark in the official layout: two questions on each picture."""
    asked = [
        {"image_id": 1 + n // 2, "question": f"What color is thing {n}?", "question_id": 10 + n}
        for n in range(questions)
    ]
    told = [
        {
            "image_id": question["image_id"], "question_id": question["question_id"], "question_type": "what color is",
            "answer_type": "other",
            "answers": [{"answer": a, "answer_confidence": "yes", "answer_id": i} for i, a in enumerate(ANSWERS, 1)],
        }
        for question in asked
    ]  # fmt: skip
    write(folder / "v2_OpenEnded_mscoco_val2014_questions.json", {"data_subtype": "val2014", "questions": asked})
    write(folder / "v2_mscoco_val2014_annotations.json", {"data_subtype": "val2014", "annotations": told})
    if images:
        (folder / "val2014").mkdir()
        for image in range(1, 1 + (questions + 1) // 2):
            colour = (60 * image % 256, 90, 200 - 20 * image)
            Picture.new("RGB", (50, 40), colour).save(folder / "val2014" / f"COCO_val2014_{image:012d}.jpg")
    return folder


def write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))
