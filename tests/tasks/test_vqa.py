"""VQA 2.0: the official numbers, metrics, bundled and official files, and bad input."""

from __future__ import annotations

import collections
import json
import random
import re

import pytest

from evals import Generate, Image, InputError, Options, Prediction, Sample, SampleError, Score, UnknownName, data
from evals.data.images import decode
from evals.registry import TASKS
from evals.statistics.intervals import clopper_pearson
from evals.tasks import vqa
from evals.tasks.scoring import vqa as vqa_accuracy

RULES = ["accuracy", "accuracy-2017", "accuracy-always-normalised"]


# The official numbers


@pytest.mark.parametrize(("results", "overall"), [("majority", 96.2), ("perturbed_majority", 81.09)])
def test_official_results_to_the_last_digit(shared_data, results, overall):
    folder = shared_data / "vqa2"
    rows = data.read_json(folder / "official_eval" / f"{results}_results.json", list)
    printed = data.read_json(folder / "official_eval" / f"{results}_expected.json", dict)
    scores = vqa.score(
        list(vqa.samples(Options(data=folder))),
        {str(row["question_id"]): [Prediction(str(row["question_id"]), row["answer"])] for row in rows},
    )
    metrics = {name: round(100 * metric.value, 2) for name, metric in vqa.summarise(scores).items()}
    by_type, by_answer = printed["accuracy"]["perQuestionType"], printed["accuracy"]["perAnswerType"]
    assert metrics["accuracy"] == printed["accuracy"]["overall"] == overall
    assert {kind: metrics[f"accuracy/question-type/{kind}"] for kind in by_type} == by_type
    assert {kind: metrics[f"accuracy/{kind.replace('/', '-')}"] for kind in by_answer} == by_answer
    assert {score.id: round(100 * score.values["accuracy"], 2) for score in scores} == printed["evalQA"]
    assert len(metrics) == 3 + len(by_type) + len(by_answer)


# Scores and metrics


def sample(id, *, image="1", answer_type="other", question_type="what", target=("red",) * 10):
    return Sample(id, (), list(target), image, {"answer type": answer_type, "question type": question_type})


def test_a_score_keeps_what_was_read_and_what_it_was_worth():
    (score,) = vqa.score([sample("7")], {"7": [Prediction("7", " Red\n")]})
    assert score == Score(
        "7", "Red", ["red"] * 10,
        {"accuracy": 0.0, "accuracy-2017": 1.0, "accuracy-always-normalised": 1.0},
        cluster="1", labels={"answer type": "other", "question type": "what"},
    )  # fmt: skip


def test_no_output_and_an_empty_one_are_told_apart():
    articles = ["the"] * 5 + ["a"] * 5
    failed, empty, luck = vqa.score(
        [sample("1"), sample("2"), sample("3", target=articles)],
        {"1": [Prediction("1", failure="out of memory")], "2": [Prediction("2", " ")], "3": [Prediction("3", "")]},
    )
    assert (failed.failed, failed.answer, set(failed.values.values())) == (True, None, {0.0})
    assert (empty.failed, empty.answer, set(empty.values.values())) == (False, None, {0.0})
    assert (luck.failed, luck.answer, luck.values["accuracy"]) == (False, None, 1.0)


@pytest.mark.parametrize("output", [3, None, ["red"]])
def test_an_output_that_is_no_text_is_refused(output):
    with pytest.raises(InputError, match=re.escape(f"the output for question_id 7 is {output!r}, expected text")):
        vqa.score([sample("7")], {"7": [Prediction("7", output)]})


def scores_of(rows):
    return [
        Score(str(n), "x", ["x"], dict.fromkeys(RULES, value), cluster=image,
              labels={"answer type": answer_type, "question type": question_type})
        for n, (value, image, answer_type, question_type) in enumerate(rows)
    ]  # fmt: skip


def test_metrics_by_hand():
    rows = [
        (1.0, "1", "yes/no", "is the"),
        (0.0, "1", "other", "what"),
        (0.3, "2", "other", "what color"),
        (0.6, "3", "number", "how many"),
        (1.0, "4", "other", "what"),
        (0.1, "4", "date", "when"),
    ]
    metrics = vqa.summarise(scores_of(rows))
    assert {name: (pytest.approx(metric.value), metric.n) for name, metric in metrics.items()} == {
        "accuracy": (0.5, 6),
        "accuracy/yes-no": (1.0, 1),
        "accuracy/number": (0.6, 1),
        "accuracy/other": (1.3 / 3, 3),
        "accuracy/date": (0.1, 1),
        "accuracy-always-normalised": (0.5, 6),
        "accuracy-2017": (0.5, 6),
        "accuracy/question-type/how many": (0.6, 1),
        "accuracy/question-type/is the": (1.0, 1),
        "accuracy/question-type/what": (0.5, 2),
        "accuracy/question-type/what color": (0.3, 1),
        "accuracy/question-type/when": (0.1, 1),
    }
    first = ["", "/yes-no", "/number", "/other", "/date", "-always-normalised", "-2017"]
    assert list(metrics)[:7] == [f"accuracy{name}" for name in first]
    assert metrics["accuracy"].low < 0.5 < metrics["accuracy"].high
    assert (metrics["accuracy/yes-no"].low, metrics["accuracy/yes-no"].high) == clopper_pearson(1, 1)


def test_intervals_are_clustered_by_image():
    draw = random.Random(0)
    images = [draw.choice([0.0, 1.0]) for _ in range(60)]
    together = vqa.summarise(scores_of([(images[n // 5], str(n // 5), "other", "what") for n in range(300)]))
    apart = vqa.summarise(scores_of([(images[n // 5], str(n), "other", "what") for n in range(300)]))
    width = {name: m["accuracy"].high - m["accuracy"].low for name, m in (("together", together), ("apart", apart))}
    assert width["together"] == pytest.approx(5**0.5 * width["apart"], rel=0.1)


# The bundled benchmark


@pytest.mark.parametrize("split", vqa.SPLITS)
def test_bundled_splits_have_the_official_traits(split):
    samples = vqa.samples(Options(split=split))
    assert samples.facts["source"] == "bundled"
    assert samples.facts["split"] == split
    assert len(samples) == len(set(samples.ids)) == 1000
    built = list(samples)
    assert [one.id for one in built] == list(samples.ids)
    assert {len(one.target) for one in built} == {10}
    assert {one.labels["answer type"] for one in built} == set(vqa.ANSWER_TYPES)
    assert 4 < len(built) / len({one.cluster for one in built}) < 6


def test_a_request_is_the_image_the_instruction_and_the_question():
    one = vqa.samples(Options())[0]
    (request,) = one.requests
    image, instruction, question = request.parts
    assert isinstance(request, Generate)
    assert (request.id, request.max_new_tokens, request.stop) == (one.id, 16, ("\n",))
    assert instruction == "Answer the question using a single word or phrase.\n"
    assert question.endswith("?")
    assert image.key == one.cluster
    assert decode(image).mode == "RGB"


def test_questions_of_one_image_share_what_comes_before_them():
    parts = collections.Counter(one.requests[0].parts[:-1] for one in vqa.samples(Options()))
    assert len(parts) == len({image for image, _ in parts})
    assert max(parts.values()) >= 4


def test_an_unknown_split_is_named():
    with pytest.raises(UnknownName, match="no split of vqa is named 'valid'; did you mean 'validation'"):
        vqa.samples(Options(split="valid"))


def test_full_scale_says_what_to_get_from_where():
    with pytest.raises(InputError, match=r"visualqa\.org/download.*v2_mscoco_val2014_annotations\.json.*--data"):
        vqa.samples(Options(scale="full"))


# Official files


def question(id, image=42, **changes):
    return {"question_id": id, "image_id": image, "question": f"What is {id}?", **changes}


def annotation(id, image=42, answers=("red",) * 10, **changes):
    people = [{"answer": text, "answer_confidence": "yes", "answer_id": n} for n, text in enumerate(answers, start=1)]
    row = {"question_id": id, "image_id": image, "question_type": "what is", "answer_type": "other", "answers": people}
    return {**row, **changes}


@pytest.fixture
def write(tmp_path):
    """Write a split of a folder; the folder."""

    def write(
        questions, annotations, split="val2014", names=("v2_OpenEnded_mscoco_{}_questions", "v2_mscoco_{}_annotations")
    ):
        documents = ({"info": {}, "questions": questions}, {"info": {}, "annotations": annotations})
        for name, document in zip(names, documents, strict=True):
            (tmp_path / f"{name.format(split)}.json").write_text(json.dumps(document))
        return tmp_path

    return write


OWN = ("{}_questions", "{}_annotations")


def test_annotations_follow_the_order_of_the_questions(write):
    folder = write([question(2), question(1)], [annotation(1, answers=["one"]), annotation(2, answers=["two"])])
    samples = vqa.samples(Options(data=folder))
    assert [(one.id, one.target) for one in samples] == [("2", ["two"]), ("1", ["one"])]
    assert samples.facts == {
        "source": "official files",
        "split": "val2014",
        "images": data.listing_digest([]),
        "files": {
            name: data.digest(folder / name)
            for name in ("v2_OpenEnded_mscoco_val2014_questions.json", "v2_mscoco_val2014_annotations.json")
        },
    }


@pytest.mark.parametrize("place", ["", "images", "val2014"])
def test_pictures_lie_in_the_folder_or_one_deeper_and_are_not_opened(write, place):
    folder = write([question(1)], [annotation(1)])
    (folder / place).mkdir(exist_ok=True)
    picture = folder / place / "COCO_val2014_000000000042.jpg"
    picture.write_bytes(b"not opened")
    (folder / place / "COCO_val2014_42.jpg").touch()
    assert vqa.samples(Options(data=folder))[0].requests[0].parts[0] == Image("42", path=picture)


def test_a_missing_picture_is_the_samples_failure(write):
    image = vqa.samples(Options(data=write([question(1)], [annotation(1)])))[0].requests[0].parts[0]
    with pytest.raises(SampleError, match=r"COCO_\*_000000000042\.jpg does not exist"):
        decode(image)


def split_of(folder, split=None):
    return vqa.samples(Options(data=folder, split=split)).facts["split"]


def test_which_split_of_a_folder_is_read(write):
    rows = [question(1)], [annotation(1)]
    assert split_of(write(*rows, "extra", OWN)) == "extra"
    assert split_of(write(*rows, "valsmall")) == "valsmall"  # the only one that is officially named
    with pytest.raises(InputError, match="several splits; choose one with --split: extra, train2014, valsmall"):
        split_of(write(*rows, "train2014"))
    folder = write(*rows, "val2014")
    assert split_of(folder) == "val2014"
    for name in ("extra", "train2014", "valsmall", "val2014"):
        assert split_of(folder, name) == name
    with pytest.raises(UnknownName, match="is named 'val2041'; did you mean 'val2014'"):
        split_of(folder, "val2041")


def test_the_shared_folder_has_two_splits(shared_data):
    folder = shared_data / "vqa2"
    assert len(vqa.samples(Options(data=folder))) == 589
    pictured = vqa.samples(Options(data=folder, split="with_images"))
    assert len(pictured) == 428
    images = {one.requests[0].parts[0] for one in pictured}
    assert len(images) == 71
    assert all(decode(image).size == (256, 256) for image in images)


def test_files_without_their_partners_are_named(write, tmp_path):
    with pytest.raises(InputError, match=r"has no \*questions\.json and no \*annotations\.json; VQA 2\.0 is at https"):
        vqa.samples(Options(data=tmp_path))
    with pytest.raises(InputError, match=r"nowhere is not a folder; VQA 2\.0 is at https"):
        vqa.samples(Options(data=tmp_path / "nowhere"))
    (tmp_path / "v2_OpenEnded_mscoco_test2015_questions.json").write_text('{"questions": []}')
    with pytest.raises(InputError, match=r"has no \*annotations\.json; VQA"):
        vqa.samples(Options(data=tmp_path))
    (tmp_path / "other_annotations.json").write_text('{"annotations": []}')
    with pytest.raises(InputError, match=r"but v2_OpenEnded_mscoco_test2015_questions\.json, other_annotations\.json"):
        vqa.samples(Options(data=tmp_path))


QUESTIONS, ANNOTATIONS = r"v2_OpenEnded_mscoco_val2014_questions\.json: ", r"v2_mscoco_val2014_annotations\.json: "
BAD = {
    "a repeated question": (
        [question(1), question(1)], [annotation(1)], QUESTIONS + "question_id 1 comes twice"),
    "a repeated annotation": (
        [question(1)], [annotation(1), annotation(1)], ANNOTATIONS + "question_id 1 comes twice"),
    "questions without annotations": (
        [question(1), question(2), question(3)], [annotation(1)],
        ANNOTATIONS + r"question_id 2 is missing \(2 of 3 are\)"),
    "annotations without questions": (
        [question(1)], [annotation(1), annotation(2)], QUESTIONS + r"question_id 2 is missing \(1 of 2 are\)"),
    "two images": (
        [question(1, 42)], [annotation(1, 43)],
        ANNOTATIONS + r"question_id 1 has image_id 43, but 42 in v2_OpenEnded_mscoco_val2014_questions\.json"),
    "an image_id that is text": (
        [question(1, "../../etc/passwd")], [annotation(1)],
        QUESTIONS + r"Expected `int`, got `str` - at `\$\.questions\[0\]\.image_id` \(question_id 1, image_id '\.\."),
    "a question_id that is text": (
        [question("1")], [annotation(1)],
        QUESTIONS + r"Expected `int`, got `str` - at `\$\.questions\[0\]\.question_id`"),
    "no question": (
        [{"question_id": 1, "image_id": 2}], [annotation(1)],
        QUESTIONS + r"Object missing required field `question` - at `\$\.questions\[0\]` \(question_id 1"),
    "a question that is null": (
        [question(1, question=None)], [annotation(1)], QUESTIONS + "Expected `str`, got `null`"),
    "no answers": (
        [question(1)], [annotation(1, answers=())],
        ANNOTATIONS + r"Expected `array` of length >= 1 - at `\$\.annotations\[0\]\.answers` \(question_id 1"),
    "an answer that is a number": (
        [question(1)], [annotation(1, answers=("2", 2))],
        ANNOTATIONS + r"Expected `str`, got `int` - at `\$\.annotations\[0\]\.answers\[1\]\.answer` \(question_id 1"),
    "answers that are texts": (
        [question(1)], [{**annotation(1), "answers": ["red"]}],
        ANNOTATIONS + r"Expected `object`, got `str` - at `\$\.annotations\[0\]\.answers\[0\]` \(question_id 1"),
    "no question type": (
        [question(1)], [{k: v for k, v in annotation(1).items() if k != "question_type"}],
        ANNOTATIONS + "Object missing required field `question_type`"),
    "questions that are no list": (
        {"1": question(1)}, [annotation(1)], QUESTIONS + r"Expected `array`, got `object` - at `\$\.questions`"),
}  # fmt: skip


@pytest.mark.parametrize(("questions", "annotations", "problem"), BAD.values(), ids=BAD.keys())
def test_bad_files_are_refused_by_name(write, questions, annotations, problem):
    with pytest.raises(InputError, match=problem) as caught:
        vqa.samples(Options(data=write(questions, annotations)))
    assert "\n" not in str(caught.value)


def test_malformed_json_is_refused_with_its_place(write):
    folder = write([question(1)], [annotation(1)])
    (folder / "v2_mscoco_val2014_annotations.json").write_text('{"annotations": [\n{"question_id": 1,,')
    with pytest.raises(InputError, match=ANNOTATIONS + "malformed JSON at line 2, column 19"):
        vqa.samples(Options(data=folder))


def test_the_task_is_registered_and_its_names_are_the_contract():
    task = TASKS.get("vqa")
    assert (task.needs, task.splits, task.headline, task.per_sample) == (
        "generate",
        ("validation", "test"),
        "accuracy",
        True,
    )
    assert list(vqa_accuracy.RULES) == RULES
