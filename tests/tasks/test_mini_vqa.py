"""Mini VQA: answers are true of the scenes, it has the properties of VQA 2.0, and its files are those of the generator.

python -m pytest tests/tasks/test_mini_vqa.py
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from itertools import islice
from random import Random

import pytest

from evals.tasks.mini import generate, vqa
from evals.tasks.mini.images import questions
from evals.tasks.mini.images.annotators import annotate
from evals.tasks.mini.images.captions import captions
from evals.tasks.mini.images.drawing import draw
from evals.tasks.mini.images.naming import Name, Query, SceneAnswer
from evals.tasks.mini.images.scenes import COVERED, SIDE, Scene, Thing, hidden
from evals.tasks.scoring.vqa import accuracy

SPLITS = ("validation", "test")

CONTENTS = {
    "validation": "7b5d5e16433f2253058d34505ddf3a86752f60bea1fa77e552aaf5f6e5a48d57",
    "test": "801c7275baec0281ae0fe5040418fd59bfa70baa9c5e29a2d3b1ba118f3d4efd",
}
"""SHA-256 of what the bundled files hold, whatever their encoding: the rows as JSON, then the pixels of every image."""

HEART = Thing("heart", "red", "large", "solid", 20, 20, 15)
STAR = Thing("star", "blue", "small", "striped", 76, 34, 8)
CROSS = Thing("cross", "red", "small", "dotted", 48, 48, 8)
CIRCLE = Thing("circle", "green", "large", "solid", 24, 74, 14)
LID = Thing("square", "black", "small", "striped", 24, 88, 7)
SCENE = Scene("yellow", (HEART, STAR, CROSS, CIRCLE, LID), seed=1)

WORKED = [
    (Query("color", (Name(shape="heart"),)), "red"),
    (Query("shape", (Name(color="blue"),)), "star"),
    (Query("texture", (Name(shape="cross"),)), "dotted"),
    (Query("size", (Name(shape="star"),)), "small"),
    (Query("ground"), "yellow"),
    (Query("where", (Name(shape="heart"),)), "top left"),
    (Query("where", (Name(shape="cross"),)), "center"),
    (Query("edge color", (), "right"), "blue"),
    (Query("edge shape", (), "bottom"), "square"),
    (Query("nearest shape", (Name(shape="circle"),)), "square"),
    (Query("nearest color", (Name(shape="square"),)), "green"),
    (Query("in front", (Name(shape="circle"),)), "square"),
    (Query("behind", (Name(shape="square"),)), "circle"),
    (Query("which size", (Name(shape="star"), Name(shape="circle")), "smaller"), "star"),
    (Query("which side", (Name(shape="cross"), Name(shape="star")), "top"), "star"),
    (Query("count", (Name(),)), "5"),
    (Query("count", (Name(size="small", texture="striped"),)), "2"),
    (Query("count", (Name(color="pink"),)), "0"),
    (Query("exists", (Name(color="red", shape="cross"),)), "yes"),
    (Query("exists", (Name(color="blue", shape="cross"),)), "no"),
    (Query("has", (Name(shape="heart"),), "large"), "yes"),
    (Query("has shape", (Name(color="green"),), "heart"), "no"),
    (Query("relation", (Name(shape="heart"), Name(shape="star")), "to the left of"), "yes"),
    (Query("relation", (Name(shape="star"), Name(shape="cross")), "below"), "no"),
    (Query("same", (Name(shape="heart"), Name(shape="cross")), "color"), "yes"),
    (Query("layers", (Name(shape="square"), Name(shape="circle"))), "yes"),
    (Query("layers", (Name(shape="circle"), Name(shape="square"))), "no"),
    (Query("more", (Name(color="red"), Name(color="blue"))), "yes"),
]

REFUSED = {
    "a name that fits two things": Query("shape", (Name(color="red"),)),
    "a name that fits nothing": Query("color", (Name(shape="diamond"),)),
    "the strip between two places": Query("where", (Name(shape="star"),)),
    "two that are about as far left": Query("edge color", (), "left"),
    "the nearest of two about as near": Query("nearest shape", (Name(shape="cross"),)),
    "behind what covers nothing": Query("behind", (Name(shape="star"),)),
    "two of one size": Query("which size", (Name(shape="star"), Name(shape="cross")), "larger"),
    "hardly to the right": Query("relation", (Name(shape="circle"), Name(shape="heart")), "to the right of"),
    "a tie": Query("more", (Name(shape="star"), Name(shape="heart"))),
}


@pytest.mark.parametrize(("query", "expected"), WORKED, ids=lambda value: getattr(value, "family", value))
def test_answers_worked_by_hand(query, expected):
    assert questions.answer(SCENE, query).text == expected


def test_every_family_is_worked():
    assert {query.family for query, _ in WORKED} == set(questions.FAMILIES)


@pytest.mark.parametrize("query", REFUSED.values(), ids=REFUSED)
def test_what_two_people_could_see_differently_is_refused(query):
    assert questions.answer(SCENE, query) is None


def test_region_is_the_box_of_the_thing_asked_about():
    assert questions.answer(SCENE, Query("color", (Name(shape="cross"),))) == SceneAnswer("red", CROSS.box)
    left, top, right, bottom = CROSS.box
    assert (left + right, top + bottom) == (96, 96)


@pytest.fixture(scope="module", params=SPLITS)
def sheets(request):
    return vqa.split(request.param)


@pytest.mark.parametrize("name", SPLITS)
@pytest.mark.slow
def test_bundled_files_are_what_the_generator_gives(name):
    assert generate.differences(name) == []


@pytest.mark.parametrize("name", SPLITS)
def test_contents_are_pinned(name):
    content = hashlib.sha256(json.dumps(generate.bundled_rows(name), sort_keys=True).encode())
    for image in generate.bundled_images(name).values():
        content.update(image.tobytes())
    assert content.hexdigest() == CONTENTS[name]


def test_bundled_files_are_small():
    assert sum(path.stat().st_size for path in generate.BUNDLED.glob("*.parquet")) < 3_000_000


@pytest.mark.slow
def test_a_changed_row_and_a_changed_pixel_are_named(monkeypatch):
    rows, images = generate.bundled_rows("test"), generate.bundled_images("test")
    rows[3]["question"] = "Why?"
    first = next(iter(images))
    images[first].load()
    images[first].putpixel((5, 5), (1, 2, 3))
    monkeypatch.setattr(generate, "bundled_rows", lambda name: rows)
    monkeypatch.setattr(generate, "bundled_images", lambda name: images)
    assert generate.differences("test") == [
        f"test: question {rows[3]['question_id']} differs",
        f"test: image {first} differs",
    ]


def test_ids_are_numbered_as_in_coco_vqa(sheets):
    ids = [question.question_id for sheet in sheets for question in sheet.questions]
    assert len(ids) == len(set(ids)) == vqa.QUESTIONS
    assert all(
        question.question_id == sheet.image_id * 1000 + n
        for sheet in sheets
        for n, question in enumerate(sheet.questions)
    )


def test_questions_come_in_complementary_pairs(sheets):
    pairs = defaultdict(list)
    for sheet in sheets:
        for question in sheet.questions:
            pairs[question.pair_id].append(question)
    for first, second in pairs.values():
        assert first.question_id == first.pair_id
        assert first.text == second.text
        assert first.answer != second.answer


def test_yes_and_no_come_equally_often(sheets):
    said = Counter(question.answer for sheet in sheets for question in sheet.questions)
    assert said["yes"] == said["no"] > 150


def test_official_question_types_and_the_mix_of_answers(sheets):
    asked = [question for sheet in sheets for question in sheet.questions]
    assert len({question.question_type for question in asked}) >= 15
    assert {question.question_type for question in asked} <= vqa.OFFICIAL_TYPES
    shares = Counter(question.answer_type for question in asked)
    assert 300 < shares["yes/no"] < 450
    assert 100 < shares["number"] < 200
    assert 400 < shares["other"] < 550


def test_ten_annotators_agree_on_the_truth(sheets):
    unanimous = 0
    for question in (question for sheet in sheets for question in sheet.questions):
        given = annotate(question)
        assert [annotation["answer_id"] for annotation in given] == list(range(1, 11))
        assert {annotation["answer_confidence"] for annotation in given} <= {"yes", "maybe", "no"}
        answers = Counter(annotation["answer"] for annotation in given)
        assert answers[question.answer] >= 6
        unanimous += len(answers) == 1
    assert 300 < unanimous < 600


def test_the_truth_is_right_and_guessing_does_not_pay(sheets):
    asked = [question for sheet in sheets for question in sheet.questions]
    given = {question.question_id: [said["answer"] for said in annotate(question)] for question in asked}
    assert all(accuracy(question.answer, given[question.question_id]) == 1 for question in asked)
    common = defaultdict(Counter)
    for question in asked:
        common[question.question_type][question.answer] += 1
    guesses = ((common[question.question_type].most_common(1)[0][0], question) for question in asked)
    guessed = sum(accuracy(guess, given[question.question_id]) for guess, question in guesses) / len(asked)
    assert 0.30 < guessed < 0.45


def test_regions_are_boxes_of_things(sheets):
    for sheet in sheets:
        boxes = {thing.box for thing in sheet.scene.things}
        assert all(0 <= value <= SIDE for box in boxes for value in box)
        assert {question.region for question in sheet.questions} <= boxes | {None}


def test_nothing_is_hidden_beyond_recognition(sheets):
    for scene in (sheet.scene for sheet in sheets):
        for index, back in enumerate(scene.things):
            shares = [hidden(back, front) for front in scene.things[index + 1 :]]
            assert all(share == 0 or COVERED[0] <= share <= COVERED[1] for share in shares)


@pytest.mark.slow
def test_training_shows_nothing_that_is_held_out_and_the_splits_do():
    def looks(sheets):
        return {(thing.color, thing.shape) for sheet in sheets for thing in sheet.scene.things}

    assert not looks(islice(vqa.train(), 400)) & vqa.HELD_OUT
    assert looks(vqa.split("validation")) >= vqa.HELD_OUT


def test_every_pair_can_be_made_alone():
    streamed = list(islice(vqa.train(max_questions=3), 20))
    last = streamed[-1].image_id - 1
    assert vqa.sheets_of_pair(last, max_questions=3, allowed=vqa.PAIRS - vqa.HELD_OUT) == streamed[-2:]


def test_drawing_is_a_function_of_the_scene():
    first, again = draw(SCENE), draw(SCENE)
    assert first.size == (SIDE, SIDE)
    assert first.tobytes() == again.tobytes()
    assert draw(Scene("pink", SCENE.things, seed=1)).tobytes() != first.tobytes()


def test_five_captions_differ_and_are_seeded():
    told = captions(SCENE, Random("caption"))
    assert len(set(told)) == 5
    assert told == captions(SCENE, Random("caption"))
    assert all(sentence[0].isupper() and sentence.endswith(".") for sentence in told)


def test_export_has_the_official_layout(tmp_path):
    assert generate.main(["--official", str(tmp_path), "--split", "validation"]) == 0
    asked = json.loads((tmp_path / "v2_OpenEnded_mscoco_val2014_questions.json").read_text())
    known = json.loads((tmp_path / "v2_mscoco_val2014_annotations.json").read_text())
    pairs = json.loads((tmp_path / "v2_mscoco_val2014_complementary_pairs.json").read_text())
    assert len(asked["questions"]) == len(known["annotations"]) == vqa.QUESTIONS
    assert set(asked["questions"][0]) == {"image_id", "question", "question_id"}
    assert len(pairs) == vqa.QUESTIONS // 2
    assert {len(pair) for pair in pairs} == {2}
    images = {path.name for path in (tmp_path / "val2014").iterdir()}
    assert images == {f"COCO_val2014_{question['image_id']:012d}.jpg" for question in asked["questions"]}
