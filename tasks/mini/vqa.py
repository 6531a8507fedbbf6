"""Mini VQA: drawn scenes with questions and ten annotators each, in the style of VQA 2.0 (Goyal et al. 2017).

A row, as bundled in `vqa/validation.parquet` and `vqa/test.parquet`:

    question_id 200000002, image_id 200000, question "What shape is the solid object?", question_type "what",
    answer_type "other", multiple_choice_answer "triangle", pair_id 200000002, region [25, 73, 43, 90],
    answers [{"answer": "triangle", "answer_confidence": "yes", "answer_id": 1}, ... ten]

Questions are in complementary pairs: images 2k and 2k + 1 differ by two or three edits, and each question is asked
about both and has different answers. A model that does not look is right about at most one of the two, and yes and no
are equally frequent.

Every draw is seeded by the image's id, so any row can be generated alone, in any order. `train` is endless and never
bundled. It lacks eight pairs of colour and shape, which the other splits contain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import count
from random import Random
from typing import NamedTuple

from evals.tasks.mini.images import questions
from evals.tasks.mini.images.naming import Name, Query, QuestionFamily
from evals.tasks.mini.images.questions import FAMILIES
from evals.tasks.mini.images.scenes import COLORS, SHAPES, Scene, compose, edit

FIRST_IMAGE = {"validation": 100_000, "test": 200_000, "train": 1_000_000}
"""First image id of each split. The id seeds the scene, so no image is in two splits; `train` has no end."""

QUESTIONS = 1_000
"""Number of questions in the bundled validation and test splits."""

MIX = {"yes/no": 0.37, "number": 0.08, "other": 0.55}
"""Target shares of the answer types; in VQA 2.0 they are 0.38, 0.13 and 0.49 (of the validation questions)."""

PAIRS = frozenset((color, shape) for color in COLORS for shape in SHAPES)
HELD_OUT = frozenset(
    {("red", "star"), ("orange", "cross"), ("yellow", "heart"), ("green", "circle")}
    | {("blue", "triangle"), ("purple", "square"), ("pink", "diamond"), ("black", "heart")}
)
"""Pairs of colour and shape that never occur in `train`."""

THINGS = (2, 3, 3, 4, 4, 5, 5, 6)
"""Numbers of things in a scene; each entry is equally likely."""

OFFICIAL_TYPES = frozenset(
    {
        "are", "are the", "are there", "are there any", "does the", "how", "how many", "is", "is it", "is the",
        "is there", "is there a", "what", "what are the", "what color", "what color are the", "what color is",
        "what color is the", "what is", "what is in the", "what is the", "what is the color of the", "what kind of",
        "what type of", "where is the", "which",
    }
)  # fmt: skip
"""The question types of VQA 2.0 that occur here; the type of a question is the longest that it starts with."""


@dataclass(frozen=True, slots=True)
class SceneQuestion:
    """A question about one image, with the true answer; `annotators` adds the answers of ten annotators."""

    question_id: int
    image_id: int
    text: str
    answer_type: str
    answer: str
    pair_id: int
    """The question_id of the same question about the first image of the pair."""
    region: tuple[int, int, int, int] | None
    """Box of the thing that the question is about, in pixels (left, top, right, bottom); None if there is none."""
    names: tuple[Name, ...]
    """The names that occur in the question, in their order."""

    @property
    def question_type(self) -> str:
        """One of `OFFICIAL_TYPES`."""
        return official_type(self.text)


class QuestionSheet(NamedTuple):
    """A scene and the questions about it."""

    image_id: int
    scene: Scene
    questions: tuple[SceneQuestion, ...]


def split(name: str) -> list[QuestionSheet]:
    """Generate the scenes and questions of a bundled split, `QUESTIONS` questions in all."""
    first, remaining = FIRST_IMAGE[name], QUESTIONS
    sheets: list[QuestionSheet] = []
    for image_id in count(first, 2):
        limit = Random(f"questions {image_id}").choice((4, 5, 5, 5, 6))
        pair = sheets_of_pair(image_id, max_questions=min(limit, remaining // 2), allowed=PAIRS)
        sheets += pair
        remaining -= sum(len(sheet.questions) for sheet in pair)
        if not remaining:
            break
    return sheets


def train(*, max_questions: int = 5) -> Iterator[QuestionSheet]:
    """Generate the endless training split; the two images of a pair follow each other.

    Args:
        max_questions: maximum number of questions per image.
    """
    for image_id in count(FIRST_IMAGE["train"], 2):
        yield from sheets_of_pair(image_id, max_questions=max_questions, allowed=PAIRS - HELD_OUT)


def sheets_of_pair(
    image_id: int, *, max_questions: int, allowed: frozenset[tuple[str, str]], things: tuple[int, ...] = THINGS
) -> list[QuestionSheet]:
    """Generate two similar scenes with the same questions, which have different answers.

    Args:
        image_id: the id of the first image, an even number.
        max_questions: maximum number of questions per image.
        allowed: the (colour, shape) pairs to draw from.
        things: numbers of things in a scene; each entry is equally likely.

    Returns:
        Two sheets; none if the scenes are so similar that no question has different answers.
    """
    rng = Random(f"mini vqa {image_id}")
    first = compose(rng, things=rng.choice(things), allowed=allowed, seed=image_id)
    second = _edited(first, rng, allowed)
    text_by_query = _ask_both(first, second, max_questions, rng)
    pair = ((image_id, first), (image_id + 1, second))
    return [
        QuestionSheet(image, scene, _questions(image, scene, text_by_query, pair_image=image_id))
        for image, scene in pair
        if text_by_query
    ]


def _edited(scene: Scene, rng: Random, allowed: frozenset[tuple[str, str]]) -> Scene:
    """Apply two or three edits to a scene."""
    edits = rng.choice((2, 3))
    while edits:
        changed = edit(scene, rng, allowed)
        edits -= changed != scene
        scene = changed
    return scene


def _ask_both(first: Scene, second: Scene, max_questions: int, rng: Random) -> dict[Query, str]:
    """Find questions that both scenes answer differently, and put them into words."""
    text_by_query: dict[Query, str] = {}
    for answer_type in rng.choices(tuple(MIX), tuple(MIX.values()), k=4 * max_questions):
        query = _find(first, second, answer_type, rng) if len(text_by_query) < max_questions else None
        if query and query not in text_by_query:
            text_by_query[query] = questions.ask(query, rng)
    return text_by_query


def _find(first: Scene, second: Scene, answer_type: str, rng: Random) -> Query | None:
    """Find one question of a type that the scenes answer differently, or None.

    The family is drawn first and tried several times; otherwise families whose questions are easy to find would
    dominate.
    """
    families = _families(answer_type)
    for family in rng.choices(families, [family.weight for family in families], k=6):
        for _ in range(6):
            query = family.propose(rng.choice((first, second)), rng)
            answer = family.answer(first, query) if query else None
            second_answer = family.answer(second, query) if query and answer else None
            if query and answer and second_answer and answer.text != second_answer.text:
                return query
    return None


@cache
def _families(answer_type: str) -> tuple[QuestionFamily, ...]:
    return tuple(family for family in FAMILIES.values() if family.answer_type == answer_type)


def _questions(
    image_id: int, scene: Scene, text_by_query: dict[Query, str], *, pair_image: int
) -> tuple[SceneQuestion, ...]:
    """Answer the questions for one image; question ids are formed as in COCO-VQA, `image_id * 1000 + n`."""
    answered = []
    for n, (query, text) in enumerate(text_by_query.items()):
        truth = questions.answer(scene, query)
        assert truth is not None, query
        answered.append(
            SceneQuestion(
                question_id=image_id * 1000 + n,
                image_id=image_id,
                text=text,
                answer_type=FAMILIES[query.family].answer_type,
                answer=truth.text,
                pair_id=pair_image * 1000 + n,
                region=truth.region,
                names=query.names,
            )
        )
    return tuple(answered)


def official_type(text: str) -> str:
    """Return the official type of a question: the longest that it starts with.

    Example:
        >>> official_type("What color is the star?"), official_type("Which is larger, the star or the heart?")
        ('what color is the', 'which')
    """
    words = f"{text.lower().rstrip('?')} "
    return max((kind for kind in OFFICIAL_TYPES if words.startswith(f"{kind} ")), key=len, default="none of the above")
