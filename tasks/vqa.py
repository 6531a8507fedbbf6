"""VQA 2.0: questions about photographs, each answered by ten annotators.

Goyal et al., Making the V in VQA Matter, CVPR 2017; https://visualqa.org. The validation split has 214,354 questions
about 40,504 images of COCO; a question is also asked about a similar image that has another answer. A question and its
annotation, as in the official files:

    {"image_id": 42, "question": "What color are the gym shoes?", "question_id": 42000}
    {"question_id": 42000, "image_id": 42, "question_type": "what color are the", "answer_type": "other", "answers":
     [{"answer": "white", "answer_confidence": "yes", "answer_id": 1}, … nine more]}

The score of an answer grows with the number of annotators who gave it; `evals.tasks.scoring.vqa` defines it, by the
official rule and by two others that are in use. The bundled data (`evals.tasks.mini.vqa`) have the same format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from evals import data
from evals.errors import InputError, UnknownName
from evals.registry import TASKS
from evals.schema import Generate, Image, Json, Metric, Options, Prediction, Sample, Samples, Score, Task
from evals.tasks.formats import own_tables, vqa_tables
from evals.tasks.mini import BUNDLED
from evals.tasks.scoring.vqa import RULES, clean

INSTRUCTION = "Answer the question using a single word or phrase.\n"
MAX_NEW_TOKENS = 16
SPLITS = ("validation", "test")
MINI = BUNDLED / "vqa"
REPOSITORY = "hf:lmms-lab/VQAv2"
"""The validation split with its images, read at full scale unless other files are named."""
ANSWER_TYPES = {"yes/no": "yes-no", "number": "number", "other": "other"}
"""The official answer types, and their names in metrics."""
SOURCE = (
    "VQA 2.0 is at https://visualqa.org/download.html: put v2_OpenEnded_mscoco_val2014_questions.json, "
    "v2_mscoco_val2014_annotations.json and, to run a model, a folder val2014/ of COCO_val2014_*.jpg into one folder, "
    "and name that with --data"
)


# Rows of the files


class Question(msgspec.Struct, frozen=True, gc=False):
    """A question about an image."""

    question_id: int
    image_id: int
    question: str


class AnnotatorAnswer(msgspec.Struct, frozen=True, gc=False):
    """The answer of one annotator."""

    answer: str


class Annotation(msgspec.Struct, frozen=True, gc=False):
    """The annotators' answers to a question, and its types."""

    question_id: int
    image_id: int
    question_type: str
    answer_type: str
    answers: Annotated[list[AnnotatorAnswer], msgspec.Meta(min_length=1)]


class QuestionsFile(msgspec.Struct, frozen=True):
    """`*questions.json`."""

    questions: list[Question]


class AnnotationsFile(msgspec.Struct, frozen=True):
    """`*annotations.json`."""

    annotations: list[Annotation]


class BundledImage(msgspec.Struct, frozen=True, gc=False):
    """An image of the bundled data."""

    image_id: int
    image: bytes


# Samples


def samples(options: Options) -> Samples:
    """Read a bundled split, or a split of the official files in a folder.

    A split in a folder is a pair of files, `<name>_questions.json` and `<name>_annotations.json`, and has that name;
    the split of the official `v2_OpenEnded_mscoco_val2014_questions.json` is `val2014`. The default is `val2014` if it
    exists, else the only officially named pair, else the only pair. Images are in the folder or in its subfolders. They
    are not opened here; a missing image fails its samples when a model needs it.

    Raises:
        InputError: files are missing, malformed, or do not belong together.
        UnknownName: there is no such split.
    """
    if own_tables.is_own(options):
        assert options.data is not None, "such data are named"
        return _of_table(options.data, options, split=options.split)
    if options.data is not None:
        return _official(options.data, options.split)
    if options.scale == "full":
        return _of_hub(options)
    return _bundled(options.split or SPLITS[0])


def _of_hub(options: Options) -> Samples:
    try:
        return _of_table(Path(REPOSITORY), options, split=options.split or SPLITS[0])
    except UnknownName:
        raise
    except InputError as error:
        raise InputError(f"{error}; the official files do as well: {SOURCE}") from None


def _of_table(path: Path, options: Options, *, split: str | None) -> Samples:
    """Make samples of a table of the user or of the hub; a question is read when it is needed."""
    table = vqa_tables.QuestionTable(path, options, split=split)

    def build(index: int) -> Sample:
        row = table[index]
        request = Generate(table.ids[index], (row.image, INSTRUCTION, row.question), MAX_NEW_TOKENS, stop=("\n",))
        return Sample(request.id, (request,), target=list(row.answers), cluster=row.image_id, labels=dict(row.labels))

    return Samples(table.ids, build, table.facts)


def _bundled(split: str) -> Samples:
    if split not in SPLITS:
        raise UnknownName("split of vqa", split, SPLITS)
    rows_path, images_path = MINI / f"{split}.parquet", MINI / f"{split}-images.parquet"
    questions, annotations = data.read_parquet(rows_path, Question), data.read_parquet(rows_path, Annotation)
    images = {
        row.image_id: Image(str(row.image_id), data=row.image) for row in data.read_parquet(images_path, BundledImage)
    }
    return _samples(questions, annotations, images.__getitem__, _facts("bundled", split, rows_path, images_path))


def _official(folder: Path, split: str | None) -> Samples:
    from concurrent.futures import ThreadPoolExecutor

    split, questions_path, annotations_path = _pair(folder, split)
    with ThreadPoolExecutor(1) as beside:  # hashing 200 MB leaves the interpreter to the thread that decodes them
        hashed = beside.submit(_facts, "official files", split, questions_path, annotations_path)
        questions = data.read_json(questions_path, QuestionsFile).questions
        annotations = data.read_json(annotations_path, AnnotationsFile).annotations
        facts = hashed.result()
    annotations = _joined(questions, annotations, questions_path, annotations_path)
    paths, used_ids = _image_paths(folder), {question.image_id for question in questions}

    def image(image_id: int) -> Image:
        return Image(str(image_id), path=paths.get(image_id) or folder / f"COCO_*_{image_id:012d}.jpg")

    facts["images"] = data.listing_digest(path for image_id, path in paths.items() if image_id in used_ids)
    return _samples(questions, annotations, image, facts)


def _facts(source: str, split: str, *files: Path) -> dict[str, Json]:
    return {"source": source, "split": split, "files": {path.name: data.digest(path) for path in files}}


def _samples(
    questions: Sequence[Question],
    annotations: Sequence[Annotation],
    image: Callable[[int], Image],
    facts: Mapping[str, Json],
) -> Samples:
    """Make the samples.

    Args:
        questions: the questions of the split.
        annotations: their annotations, in the same order.
        image: returns the image with an id.
        facts: see `Samples.facts`.
    """

    def build(index: int) -> Sample:
        question, annotation = questions[index], annotations[index]
        id, parts = str(question.question_id), (image(question.image_id), INSTRUCTION, question.question)
        return Sample(
            id,
            requests=(Generate(id, parts, MAX_NEW_TOKENS, stop=("\n",)),),
            target=[answer.answer for answer in annotation.answers],
            cluster=str(question.image_id),
            labels={"answer type": annotation.answer_type, "question type": annotation.question_type},
        )

    return Samples([str(question.question_id) for question in questions], build, facts)


def _pair(folder: Path, split: str | None) -> tuple[str, Path, Path]:
    """Choose a split of a folder; return its name, its questions file and its annotations file."""
    matches = data.find(folder, ["*questions.json", "*annotations.json"], SOURCE)
    questions, annotations = ({_split_name(path): path for path in paths} for paths in matches)
    splits = sorted(questions.keys() & annotations.keys())
    if not splits:
        names = ", ".join(path.name for paths in matches for path in paths)
        raise InputError(f"{folder} has no annotations file of the name of a questions file, but {names}; {SOURCE}")
    official = [name for name in splits if questions[name].name.startswith("v2_")]
    split = split or _default_split(folder, splits, official)
    if split not in splits:
        raise UnknownName(f"split of {folder}", split, splits)
    return split, questions[split], annotations[split]


def _split_name(path: Path) -> str:
    """Return the split of a file: its name without the official prefix and without the suffix for its kind."""
    return re.sub(r"^v2_(OpenEnded_)?mscoco_|_?(questions|annotations)\.json$", "", path.name) or "unnamed"


def _default_split(folder: Path, splits: list[str], official: list[str]) -> str:
    if "val2014" in official:
        return "val2014"
    candidates = official or splits
    if len(candidates) > 1:
        raise InputError(f"{folder} holds several splits; choose one with --split: {', '.join(splits)}")
    return candidates[0]


def _image_paths(folder: Path) -> dict[int, Path]:
    """Find `COCO_*_<image id>.jpg` in a folder and its subfolders. Of two files with the same id the first counts."""
    folders = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    paths: dict[int, Path] = {}
    for path in (path for subfolder in folders for path in sorted(subfolder.glob("COCO_*.jpg"))):
        number = path.stem.rpartition("_")[2]
        if re.fullmatch("[0-9]{12}", number):
            paths.setdefault(int(number), path)
    return paths


def _joined(
    questions: Sequence[Question], annotations: Sequence[Annotation], questions_path: Path, annotations_path: Path
) -> list[Annotation]:
    """Put annotations in the order of their questions. Both files must have the same questions, each once."""
    ids, annotated = [row.question_id for row in questions], [row.question_id for row in annotations]
    data.unique(ids, questions_path, "question_id")
    if annotated != ids:  # of two equal lists one is enough
        data.unique(annotated, annotations_path, "question_id")
    joined = list(annotations) if annotated == ids else _in_order(ids, annotations, questions_path, annotations_path)
    for question, annotation in zip(questions, joined, strict=True):
        if question.image_id != annotation.image_id:
            image = f"image_id {annotation.image_id}, but {question.image_id} in {questions_path.name}"
            raise InputError(f"{annotations_path}: question_id {question.question_id} has {image}")
    return joined


def _in_order(
    ids: Sequence[int], annotations: Sequence[Annotation], questions_path: Path, annotations_path: Path
) -> list[Annotation]:
    """Put annotations in the order of the questions' ids; the files may have other orders, but the same questions."""
    by_id, asked = {row.question_id: row for row in annotations}, set(ids)
    for rows, other_ids, path in ((ids, by_id.keys(), annotations_path), (by_id, asked, questions_path)):
        lacking = [id for id in rows if id not in other_ids]
        if lacking:
            raise InputError(f"{path}: question_id {lacking[0]} is missing ({len(lacking)} of {len(rows)} are)")
    return [by_id[id] for id in ids]


# Scores


def score(samples: Sequence[Sample], predictions: Mapping[str, Sequence[Prediction]]) -> list[Score]:
    """Score each sample's answer by the three rules of `evals.tasks.scoring.vqa`.

    A sample without output scores 0 and is marked as failed. An empty output counts as unparsed (its answer is None)
    and gets the official score: 0, unless the annotators' answers normalise to the empty string.

    Raises:
        InputError: an output is not text.
    """
    return [_score(sample, *predictions[sample.id]) for sample in samples]


def _score(sample: Sample, prediction: Prediction) -> Score:
    failed, output = prediction.failure is not None, prediction.text("question_id")
    values = {name: 0.0 if failed else rule(output, sample.target) for name, rule in RULES.items()}
    return Score.of(sample, answer=clean(output) or None, values=values, failed=failed)


def summarise(scores: Sequence[Score]) -> dict[str, Metric]:
    """Average over all questions, each answer type and each question type, with intervals clustered by image.

    Types without questions are left out.
    """
    from evals.metrics.estimates import Mean, means

    answer_types, question_types = (
        sorted({score.labels[label] for score in scores if label in score.labels})
        for label in ("answer type", "question type")
    )
    metrics_by_name = {"accuracy": Mean("accuracy")}
    for kind in sorted(answer_types, key=lambda kind: [*ANSWER_TYPES, *answer_types].index(kind)):
        metrics_by_name[f"accuracy/{ANSWER_TYPES.get(kind, kind)}"] = Mean("accuracy", "answer type", kind)
    metrics_by_name |= {rule: Mean(rule) for rule in ("accuracy-always-normalised", "accuracy-2017")}
    for kind in question_types:
        metrics_by_name[f"accuracy/question-type/{kind}"] = Mean("accuracy", "question type", kind)
    return means(scores, metrics_by_name)


TASKS.add(
    Task(
        name="vqa",
        summary="VQA 2.0: open questions about images, official accuracy",
        version=1,
        needs="generate",
        supported_options=frozenset({"columns"}),
        splits=SPLITS,
        headline="accuracy",
        samples=samples,
        score=score,
        summarise=summarise,
    )
)
