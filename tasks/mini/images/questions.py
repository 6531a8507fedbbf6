"""The families of questions about scenes, in the words of the official question types, each with one right answer.

`naming` defines queries and answers; `open_questions` and `closed_questions` define how each family asks and answers.
"""

from __future__ import annotations

from random import Random

from evals.tasks.mini.images import closed_questions, open_questions
from evals.tasks.mini.images.naming import Name, Query, QuestionFamily, SceneAnswer
from evals.tasks.mini.images.scenes import Scene

FAMILIES: dict[str, QuestionFamily] = {
    "color": open_questions.aspect(
        5,
        "color",
        "What color is the {a}?",
        "What color is the {a}?",
        "What is the color of the {a}?",
        "What color is the {a} in the picture?",
    ),
    "shape": open_questions.aspect(4, "shape", "What shape is the {a}?", "What is the {a}?"),
    "texture": open_questions.aspect(
        2.5,
        "texture",
        "What kind of pattern does the {a} have?",
        "What type of pattern is on the {a}?",
        "What pattern is on the {a}?",
    ),
    "size": open_questions.aspect(0.8, "size", "How big is the {a}?", "What size is the {a}?"),
    "ground": open_questions.ground(0.8, "What color is the background?", "What is the color of the background?"),
    "where": open_questions.where(
        5, "Where is the {a}?", "Where is the {a} in the picture?", "Where is the {a} located?"
    ),
    "edge color": open_questions.edge(
        1.5, "color", "What color is the {word}most shape?", "What is the color of the {word}most shape?"
    ),
    "edge shape": open_questions.edge(
        1.5, "shape", "What is the {word}most shape?", "What shape is nearest to the {word} edge?"
    ),
    "nearest color": open_questions.nearest(1, "color", "What color is the object closest to the {a}?"),
    "nearest shape": open_questions.nearest(
        1.5, "shape", "What shape is closest to the {a}?", "What is the object closest to the {a}?"
    ),
    "in front": open_questions.layer(
        1, "in front", "What is in front of the {a}?", "What shape is in front of the {a}?"
    ),
    "behind": open_questions.layer(1, "behind", "What is behind the {a}?", "What shape is behind the {a}?"),
    "which size": open_questions.which_size(
        2, "Which is {word}, the {a} or the {b}?", "Which shape is {word}, the {a} or the {b}?"
    ),
    "which side": open_questions.which_side(2, "Which is closer to the {word}, the {a} or the {b}?"),
    "count": closed_questions.count(
        1, "How many {some} are there?", "How many {some} are in the picture?", "How many {some} do you see?"
    ),
    "exists": closed_questions.exists(
        1.6,
        "Is there {one}?",
        "Is there {one} in the picture?",
        "Are there any {some}?",
        "Are there any {some} in the picture?",
    ),
    "has": closed_questions.has(3, "Is the {a} {word}?"),
    "has shape": closed_questions.has_shape(1, "Is the {a} a {word}?"),
    "relation": closed_questions.relation(5, "Is the {a} {word} the {b}?"),
    "same": closed_questions.same(
        2, "Are the {a} and the {b} the same {word}?", "Is the {a} the same {word} as the {b}?"
    ),
    "layers": closed_questions.layers(1, "Is the {a} in front of the {b}?", "Does the {a} cover part of the {b}?"),
    "more": closed_questions.more(2, "Are there more {some} than {others}?"),
}
"""The families by name. The number is the relative frequency among the families of the same answer type."""


def ask(query: Query, rng: Random) -> str:
    """Put a query into words."""
    a, b, *_ = (*query.names, Name(), Name())
    template = rng.choice(FAMILIES[query.family].phrasings)
    return template.format(a=a, b=b, some=a.plural, others=b.plural, one=a.indefinite, word=query.word)


def answer(scene: Scene, query: Query) -> SceneAnswer | None:
    """Answer a query; None if the answer is ambiguous in this scene."""
    return FAMILIES[query.family].answer(scene, query)
