"""Simulate ten annotators: most give the true answer, some in other words, and some make a mistake.

At least six annotators give the true answer, so it is always the most frequent and scores 1 by VQA's accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypedDict

from evals.tasks.mini.images.scenes import SHAPES, TEXTURES
from evals.tasks.mini.vqa import SceneQuestion


class SimulatedAnswer(TypedDict):
    """The answer of one annotator, in the form of the official files."""

    answer: str
    answer_confidence: str
    answer_id: int


DISSENT = {"yes/no": (0, 0, 0, 0, 1, 1, 2), "number": (0, 0, 1, 1, 2, 3), "other": (0, 0, 0, 1, 1, 2, 2, 3, 4)}
"""Numbers of dissenters among the ten, by answer type; each entry is equally likely. At least six always agree, and few
are wrong about yes and no: an answer of three annotators counts as right, so more dissenters would reward guessing."""

SAME = {
    "gray": ("grey",),
    "purple": ("violet",),
    "striped": ("stripes", "stripe", "stripes"),
    "dotted": ("dots", "polka dots", "spots"),
    "solid": ("plain", "none", "solid color"),
    "large": ("big", "very large"),
    "small": ("little", "tiny"),
    "center": ("middle", "in center"),
    "left": ("on left", "left side"),
    "right": ("on right", "right side"),
    "top": ("at top", "above"),
    "bottom": ("at bottom", "below"),
    "top left": ("upper left", "left", "top"),
    "top right": ("upper right", "right", "top"),
    "bottom left": ("lower left", "left", "bottom"),
    "bottom right": ("lower right", "right", "bottom"),
    "diamond": ("rhombus",),
    "cross": ("plus sign", "plus"),
    "circle": ("round", "ball"),
    "square": ("box",),
    "0": ("none", "zero"),
    "1": ("one",),
    "2": ("two",),
    "3": ("three",),
}
"""Other words for an answer. The official scorer treats some as equal (`two`) and others as different (`grey`)."""

NEAR = {
    "red": ("orange", "pink"),
    "orange": ("red", "yellow"),
    "yellow": ("orange", "gold"),
    "green": ("blue", "teal"),
    "blue": ("purple", "light blue"),
    "purple": ("blue", "pink"),
    "pink": ("purple", "red"),
    "brown": ("orange", "black"),
    "gray": ("white", "silver"),
    "black": ("gray", "dark gray"),
    "white": ("gray", "cream"),
    "yes": ("no",),
    "no": ("yes",),
}
"""Wrong answers that are close to the true one, for answers that `_mistake` does not handle otherwise."""


def annotate(question: SceneQuestion) -> list[SimulatedAnswer]:
    """Simulate the answers of ten annotators to a question."""
    rng = Random(f"annotators {question.question_id}")
    dissenters = set(rng.sample(range(10), rng.choice(DISSENT[question.answer_type])))
    return [_annotation(number, number in dissenters, question.answer, rng) for number in range(10)]


def _annotation(number: int, dissents: bool, truth: str, rng: Random) -> SimulatedAnswer:
    if not dissents:
        return {"answer": truth, "answer_confidence": _confidence(rng, (92, 7, 1)), "answer_id": number + 1}
    answer = rng.choice(SAME[truth]) if truth in SAME and rng.random() < 0.75 else _mistake(truth, rng)
    if rng.random() < 0.1:
        answer = rng.choice((answer.capitalize(), f"{answer}.", f"a {truth}" if truth in SHAPES else answer))
    return {"answer": answer, "answer_confidence": _confidence(rng, (55, 35, 10)), "answer_id": number + 1}


def _confidence(rng: Random, weights: Sequence[int]) -> str:
    return rng.choices(("yes", "maybe", "no"), weights)[0]


def _mistake(truth: str, rng: Random) -> str:
    if truth.isdigit():
        return str(max(0, int(truth) + rng.choice((-1, 1))))
    if truth in NEAR:
        return rng.choice(NEAR[truth])
    alternatives = next(
        (words for words in (SHAPES, TEXTURES, ("small", "large", "medium")) if truth in words),
        ("left", "right", "top", "bottom", "center"),
    )
    return rng.choice([word for word in alternatives if word != truth])
