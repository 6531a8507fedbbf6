"""Evaluation of a finished `vl` checkpoint on a bundled split, with its images and blind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from evals.models.replicas.training.evaluation import Shares, means_by_kind
from evals.models.replicas.training.question_packing import INSTRUCTION
from evals.tasks.mini.images.annotators import annotate
from evals.tasks.mini.images.drawing import draw
from evals.tasks.mini.images.scenes import SIDE
from evals.tasks.mini.vqa import QuestionSheet, SceneQuestion

GRAY = (127, 127, 127)
"""Color of the uniform image that replaces every image in the blind control."""


class CheckpointScores(NamedTuple):
    """VQA accuracy of a checkpoint on a split, overall and by answer type; answers are compared as written."""

    with_images: Shares
    blind: Shares
    """With every image replaced by a uniform one."""


def evaluate_checkpoint(checkpoint: Path, sheets: Sequence[QuestionSheet]) -> CheckpointScores:
    """Generate a saved checkpoint's answers with the library's own `generate`, and score them."""
    questions = [(sheet, question) for sheet in sheets for question in sheet.questions]
    with_images, blind = (
        means_by_kind(
            (question.answer_type, vqa_accuracy(answer, question))
            for (_, question), answer in zip(questions, _generate(checkpoint, questions, blind=blind), strict=True)
        )
        for blind in (False, True)
    )
    return CheckpointScores(with_images, blind)


def vqa_accuracy(answer: str, question: SceneQuestion) -> float:
    """Compute the VQA accuracy of an answer, in 0 to 1.

    It is the mean, over the ten annotators, of a third of the number of other annotators who gave the answer, at most
    1.
    """
    answers = [annotation["answer"] for annotation in annotate(question)]
    return sum(min(1.0, (answers.count(answer) - (other == answer)) / 3) for other in answers) / len(answers)


def _generate(checkpoint: Path, questions: Sequence[tuple[QuestionSheet, SceneQuestion]], *, blind: bool) -> list[str]:
    """Answer questions greedily, fifty at a time."""
    import torch
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(checkpoint)
    model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.float32)
    uniform = Image.new("RGB", (SIDE, SIDE), GRAY)
    answers: list[str] = []
    for start in range(0, len(questions), 50):
        part = questions[start : start + 50]
        images = [uniform if blind else draw(sheet.scene) for sheet, _ in part]
        texts = [
            processor.apply_chat_template(conversation(question.text), add_generation_prompt=True)
            for _, question in part
        ]
        inputs = processor(text=texts, images=images, padding=True, padding_side="left", return_tensors="pt")
        new = model.generate(**inputs, max_new_tokens=8, do_sample=False)[:, inputs["input_ids"].shape[1] :]
        answers += [text.strip() for text in processor.batch_decode(new, skip_special_tokens=True)]
    return answers


def conversation(question: str) -> list[dict[str, object]]:
    """Build the message that asks a question: the image, the instruction, the question."""
    parts: list[dict[str, str]] = [
        {"type": "image"},
        *({"type": "text", "text": text} for text in (INSTRUCTION, question)),
    ]
    return [{"role": "user", "content": parts}]
