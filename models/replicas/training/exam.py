"""How good the `vl` replica is: at a glance while it trains, and in full when it is finished."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from evals.models.replicas.recipes.vl.data import IGNORED, INSTRUCTION, WORDS, Batch, Packer
from evals.models.replicas.training.teaching import read, watched
from evals.tasks.mini.images.annotators import annotate
from evals.tasks.mini.images.drawing import draw
from evals.tasks.mini.images.scenes import COLORS, SHAPES, SIDE, SIZES, TEXTURES
from evals.tasks.mini.vqa import QuestionSheet, SceneQuestion

if TYPE_CHECKING:
    import torch
    from transformers import DeepseekVLForConditionalGeneration

PAIRS = 60
"""Pairs of images that training is watched on, some 550 questions."""

GRAY = (127, 127, 127)
"""Of the flat image that the blind control sees."""

Marks = dict[str, float]
"""Shares of what is right, in 0 to 1, by name."""


def sight(model: DeepseekVLForConditionalGeneration, packer: Packer, words: torch.Tensor) -> Marks:
    """Give the share of patches of things whose colour, shape, ... comes first among the words for it."""
    import torch
    from torch.nn.functional import normalize

    batch, _ = _watched(packer)
    with torch.no_grad():
        patches = model.model.get_image_features(batch.pixels).pooler_output
        near = normalize(patches, dim=-1) @ normalize(model.get_input_embeddings().weight[words], dim=-1).T
    return first_words(near, batch.words)


def first_words(near: torch.Tensor, true: torch.Tensor) -> Marks:
    """Give the share of patches of things whose colour, shape, ... comes first among the words for it.

    Args:
        near: (B, P, W), how near a patch is to each of `WORDS`.
        true: (B, P, W), 1 where a word is true of a patch.
    """
    on_thing = true[..., WORDS.index("background")] == 0
    marks = {}
    for name, values in {"color": tuple(COLORS), "shape": SHAPES, "size": SIZES, "texture": TEXTURES}.items():
        columns = [WORDS.index(word) for word in values]
        right = near[..., columns].argmax(-1) == true[..., columns].argmax(-1)
        marks[name] = round(right[on_thing].float().mean().item(), 3)
    return marks


def answers(model: DeepseekVLForConditionalGeneration, packer: Packer, words: torch.Tensor) -> Marks:
    """Give the share of answers that greedy generation would get exactly right, in all and by answer type."""
    import torch

    batch, kinds = _watched(packer)
    with torch.no_grad():
        logits = read(model, batch).logits
    labels = batch.labels[batch.labels != IGNORED]
    right = (logits.argmax(-1) == labels).tolist()
    # Each answer's labels end with the token that ends it.
    ends = [index + 1 for index, label in enumerate(labels.tolist()) if label == packer.tokenizer.eos_token_id]
    spans = zip([0, *ends], ends, strict=False)
    return _means((kind, all(right[start:end])) for kind, (start, end) in zip(kinds, spans, strict=True))


@cache
def _watched(packer: Packer) -> tuple[Batch, list[str]]:
    """Give what training is watched on, packed, and the answer types of its questions."""
    sheets = watched(PAIRS)
    return packer.pack(sheets), [question.answer_type for sheet in sheets for question in sheet.questions]


def _means(marked: Iterable[tuple[str, float]]) -> Marks:
    """Average marks in all and by kind."""
    kinds: dict[str, list[float]] = defaultdict(list)
    for kind, mark in marked:
        kinds["all"].append(mark)
        kinds[kind].append(mark)
    return {kind: round(sum(marks) / len(marks), 4) for kind, marks in sorted(kinds.items())}


class Result(NamedTuple):
    """What a finished checkpoint reaches on a split, by the accuracy of VQA (texts compared as they are written)."""

    seeing: Marks
    blind: Marks
    """With every image replaced by a flat one."""


def sit(checkpoint: Path, sheets: Sequence[QuestionSheet]) -> Result:
    """Let a saved checkpoint answer, through the library's own `generate`, and mark it."""
    asked = [(sheet, question) for sheet in sheets for question in sheet.questions]
    said = {blind: _generate(checkpoint, asked, blind=blind) for blind in (False, True)}
    marks = (
        _means(
            (question.answer_type, worth(answer, question))
            for (_, question), answer in zip(asked, said[blind], strict=True)
        )
        for blind in (False, True)
    )
    return Result(*marks)


def worth(answer: str, question: SceneQuestion) -> float:
    """Mark an answer: the mean over ten annotators of how many of the other nine said the same, thirds, at most 1."""
    given = [annotation["answer"] for annotation in annotate(question)]
    return sum(min(1.0, (given.count(answer) - (one == answer)) / 3) for one in given) / len(given)


def _generate(checkpoint: Path, asked: Sequence[tuple[QuestionSheet, SceneQuestion]], *, blind: bool) -> list[str]:
    """Answer questions greedily, fifty at a time."""
    import torch
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(checkpoint)
    model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.float32)
    flat = Image.new("RGB", (SIDE, SIDE), GRAY)
    said: list[str] = []
    for start in range(0, len(asked), 50):
        some = asked[start : start + 50]
        images = [flat if blind else draw(sheet.scene) for sheet, _ in some]
        texts = [
            processor.apply_chat_template(conversation(question.text), add_generation_prompt=True)
            for _, question in some
        ]
        given = processor(text=texts, images=images, padding=True, padding_side="left", return_tensors="pt")
        new = model.generate(**given, max_new_tokens=8, do_sample=False)[:, given["input_ids"].shape[1] :]
        said += [text.strip() for text in processor.batch_decode(new, skip_special_tokens=True)]
    return said


def conversation(question: str) -> list[dict[str, object]]:
    """Give the message that asks a question: the image, the instruction, the question."""
    parts: list[dict[str, str]] = [
        {"type": "image"},
        *({"type": "text", "text": text} for text in (INSTRUCTION, question)),
    ]
    return [{"role": "user", "content": parts}]
