"""GLUE: nine tasks of understanding English sentences.

Wang et al., GLUE: A Multi-Task Benchmark and Analysis Platform for Natural Language Understanding, ICLR 2019;
https://gluebenchmark.com. The test labels are secret, so models are measured on the validation ("dev") split. The first
rows of three of the official files, and what a language model is asked of the second:

    CoLA/dev.tsv    gj04	1		The sailors rode the breeze clear of the rocks.
    SST-2/dev.tsv   it 's a charming and often affecting journey . 	1
    RTE/dev.tsv     0	Dana Reeve, the widow of …	Christopher Reeve had an accident.	not_entailment

    Sentence: it 's a charming and often affecting journey .
    Is the opinion in this sentence positive or negative?
    Answer: positive

What tells the nine apart is in `evals.tasks.glue_tasks`. Each is a task of its own, and `glue` is all nine in one run,
with the leaderboard's average. A model is asked in one of three ways, by what it can do:

    choose      which continuation of the prompt is the likeliest, whatever its length; of STS-B the mean of the scale's
                points, each weighted by the probability of its continuation
    classify    which class a checkpoint that was trained on the task puts the texts into, as they stand in the files
    probe       what a logistic regression on the train rows' embeddings says of a row's
    (`evals.tasks.scoring.glue_probe`)

Outputs that were recorded elsewhere are names or numbers of labels, or scores.
"""

from __future__ import annotations

import functools
import math
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evals import data
from evals.errors import InputError, UnknownName
from evals.registry import TASKS
from evals.schema import (
    Choose,
    Classify,
    Embed,
    Json,
    Metric,
    Options,
    Prediction,
    Request,
    Sample,
    Samples,
    Score,
    Task,
)
from evals.tasks.formats.glue import WHERE, GlueSplit, read
from evals.tasks.glue_tasks import HIGHEST, TABLE, Subtask, continuation, prompt, read_answer
from evals.tasks.scoring import glue_probe

if TYPE_CHECKING:
    from evals.metrics.estimates import Estimate

__all__ = ["TABLE", "Subtask", "continuation", "prompt"]

METHODS = {"choose": "choose", "classify": "classify", "probe": "embed"}
"""The ways to ask, and the ability that each needs."""


# Where the samples come from


@dataclass(frozen=True)
class RowsFile:
    """One file of rows, on its way to samples."""

    task: Subtask
    split: str
    """As the hub calls it."""
    prefix: str
    """What ids begin with in the suite, and where a task has several files of rows."""
    source: GlueSplit
    examples: GlueSplit | None
    """What examples for the prompt are drawn from, if any are wanted."""

    @property
    def labels(self) -> dict[str, str]:
        """What its samples are told apart by: the task, and of MNLI the set."""
        subset = self.split.partition("_")[2]
        return {"task": self.task.name, **({"set": subset} if subset else {})}

    @functools.cached_property
    def clusters(self) -> list[str]:
        """For each row the id of the first with the same first text: MNLI asks of most premises three things."""
        firsts: dict[str, str] = {}
        texts = (next(iter(row.texts.values())) for row in self.source.rows)
        return [firsts.setdefault(text, f"{self.prefix}{index}") for index, text in enumerate(texts)]


def samples(names: Sequence[str], options: Options) -> Samples:
    """Read the validation rows of some of the nine tasks.

    A row's id is its index, as GLUE's submission files have it. Where several files are read it follows the name of the
    task, of the set, or of both (`cola/0`, `matched/0`, `mnli/matched/0`), and the files' rows are taken in turn, so
    that a limited run has some of each.

    Examples for the prompt are drawn from train by the sample's id, each row as likely as any other: which come does
    not depend on other samples. They are as unbalanced as train is, and of the few rows that stand in train too (16 of
    CoLA's, 6 of STS-B's) one may be its own example. With `same_shots` all rows of a task have the examples of one
    draw: a run is several times as fast, and its result depends on that draw.

    Raises:
        InputError: files are missing or malformed, or more examples are wanted than there are.
        UnknownName: there is no such split.
    """
    if options.data is None and options.scale == "full":
        raise InputError(f"glue at full scale needs its files; {WHERE}")
    if options.shots and options.method not in (None, "choose"):
        raise InputError(f"--shots {options.shots} is for method choose; {options.method} has no prompt")
    parts = [part for name in names for part in _parts(TABLE[name], options, suite=len(names) > 1)]
    learned = [TABLE[name] for name in names if options.method == "probe" and TABLE[name].labels]
    train = [
        RowsFile(task, "train", f"train/{task.name}/", read(task, "train", options.data), None) for task in learned
    ]
    facts = _facts([*parts, *train], options)
    return replace(_in_turn(parts, options, facts), train=_in_turn(train, options, {}) if train else None)


def _in_turn(parts: Sequence[RowsFile], options: Options, facts: Mapping[str, Json]) -> Samples:
    """Take the first row of each file, then the second of each, and so on."""
    longest = max(len(part.source.rows) for part in parts)
    places = [(part, index) for index in range(longest) for part in parts if index < len(part.source.rows)]
    ids = [f"{part.prefix}{index}" for part, index in places]
    return Samples(ids, lambda place: _sample(*places[place], options), facts)


def splits_of(task: Subtask) -> tuple[str, ...]:
    """List a task's splits; where there are several files of validation rows, the first stands for all."""
    return tuple(dict.fromkeys(["validation", *task.sizes]))


def _parts(task: Subtask, options: Options, *, suite: bool) -> list[RowsFile]:
    """Read a task's rows and, if they are wanted, its examples."""
    split = options.split or "validation"
    if split not in splits_of(task):
        raise UnknownName(f"split of {task.name}", split, splits_of(task))
    chosen = [name for name in task.sizes if split in (name, "validation")]
    examples = read(task, "train", options.data) if options.shots else None
    if examples is not None and len(examples.rows) < (options.shots or 0):
        raise InputError(f"--shots {options.shots} is more than the {len(examples.rows)} rows of {examples.files[0]}")
    parts = []
    for name in chosen:
        prefix = (f"{task.name}/" if suite else "") + (f"{name.partition('_')[2]}/" if len(chosen) > 1 else "")
        parts.append(RowsFile(task, name, prefix, read(task, name, options.data), examples))
    return parts


def _facts(parts: Sequence[RowsFile], options: Options) -> dict[str, Json]:
    sources = [(part.task, source) for part in parts for source in (part.source, part.examples) if source is not None]
    files = {f"{task.name}/{path.name}": path for task, source in sources for path in source.files}
    return {
        "source": ", ".join(sorted({source.kind for _, source in sources})),
        "split": options.split or "validation",
        "files": {name: data.digest(path) for name, path in files.items()},
    }


def _sample(part: RowsFile, index: int, options: Options) -> Sample:
    task, row, id = part.task, part.source.rows[index], f"{part.prefix}{index}"
    return Sample(
        id,
        requests=_requests(part, index, id, options),
        target=task.labels[int(row.label)] if task.labels else row.label,
        cluster=part.clusters[index],
        labels=part.labels,
    )


def _requests(part: RowsFile, index: int, id: str, options: Options) -> tuple[Request, ...]:
    """Ask of a row in the chosen way. Where there is no prompt, texts go to the model as they stand in the files."""
    task, row = part.task, part.source.rows[index]
    texts = tuple(row.texts.values())
    if options.method == "classify":
        return (Classify(id, texts, task.labels),)
    if options.method == "probe":
        ids = [id] if len(texts) == 1 else [f"{id}#{n}" for n in range(len(texts))]
        return tuple(Embed(own, (text,)) for own, text in zip(ids, texts, strict=True))
    shots: list[str] = []
    if part.examples is not None:
        own = "" if options.same_shots else f"/{part.split}/{index}"
        drawn = random.Random(f"{options.seed}/{task.name}{own}")
        for example in drawn.sample(part.examples.rows, options.shots or 0):
            shots.append(f"{prompt(task.name, example.texts)}{continuation(task.name, example.label)}\n\n")
    return (Choose(id, (*shots, prompt(task.name, row.texts)), task.continuations),)


# What they are worth


def score(samples: Sequence[Sample], predictions: Mapping[str, Sequence[Prediction]]) -> list[Score]:
    """Read each sample's answer, and say whether it is right.

    The figure of a sample is `accuracy` (0 or 1; `accuracy/matched` of MNLI's matched set), and of STS-B `closeness`, 1
    less the part of the scale by which it is off. An output that is neither a label nor a continuation (for STS-B no
    number) is unparsed and wrong, and so is none.
    """
    return [_score(sample, *predictions[sample.id]) for sample in samples]


def score_suite(samples: Sequence[Sample], predictions: Mapping[str, Sequence[Prediction]]) -> list[Score]:
    """Score as `score` does, with the task's name before each figure's."""
    return [
        replace(scored, values={f"{scored.labels['task']}/{name}": value for name, value in scored.values.items()})
        for scored in score(samples, predictions)
    ]


def _score(sample: Sample, prediction: Prediction) -> Score:
    task, failed = TABLE[sample.labels["task"]], prediction.failure is not None
    number = None if failed else _answer(task, prediction)
    answer: Json = number
    if not task.labels:
        figure, value = "closeness", 0.0 if number is None else max(0.0, 1 - abs(number - sample.target) / HIGHEST)
    else:
        answer = None if number is None else task.labels[int(number)]
        figure, value = _named("accuracy", sample.labels), float(answer == sample.target)
    return Score(sample.id, answer, sample.target, {figure: value}, failed, sample.cluster, sample.labels)


def _answer(task: Subtask, prediction: Prediction) -> float | None:
    """Read a prediction as a label's number or a score."""
    if task.labels or not prediction.scores:  # only a language model weighs STS-B's points
        return read_answer(task, prediction.output)
    highest = max(prediction.scores)
    weights = [math.exp(score - highest) for score in prediction.scores]
    return math.fsum(point * weight for point, weight in enumerate(weights)) / math.fsum(weights)


def _named(metric: str, labels: Mapping[str, str]) -> str:
    """Name a metric of a part: with its set, where there are sets."""
    return f"{metric}/{labels['set']}" if "set" in labels else metric


# What they are worth together


def summarise(scores: Sequence[Score]) -> dict[str, Metric]:
    """Make the official metrics of one task, of each of its sets."""
    return {name: estimate.metric() for name, estimate in _estimates(scores).items()}


def summarise_suite(scores: Sequence[Score]) -> dict[str, Metric]:
    """Make the metrics of every task, and the leaderboard's average over the tasks.

    The average gives each task the same weight, and within a task each metric (of MNLI each set). Its interval comes
    from resampling the tasks independently. A note says if tasks are missing from a limited run, or if a metric in it
    is undefined.
    """
    from evals.metrics.estimates import average

    by_task: dict[str, list[Score]] = defaultdict(list)
    for score in scores:
        by_task[score.labels["task"]].append(score)
    found = {name: _estimates(by_task[name]) for name in TABLE if name in by_task}
    named = {f"{task}/{name}": estimate for task, of_task in found.items() for name, estimate in of_task.items()}
    means = [average(list(of_task.values()), len(by_task[task])) for task, of_task in found.items()]
    metrics = {"average": average(means, len(scores), _doubts(named)), **named}
    return {name: estimate.metric() for name, estimate in metrics.items()}


def _doubts(named: Mapping[str, Estimate]) -> str | None:
    """Say what keeps an average from being the leaderboard's."""
    official = [f"{task.name}/{name}" for task in TABLE.values() for name in metrics_of(task)]
    missing = [name for name in official if name not in named]
    undefined = [name for name, estimate in named.items() if estimate.note]
    doubts = [f"without {', '.join(missing)}"] if missing else []
    doubts += [f"{', '.join(undefined)} undefined, counted as 0"] if undefined else []
    return "; ".join(doubts) or None


def metrics_of(task: Subtask) -> list[str]:
    """Name the metrics of a task: of each set, where there are sets.

    Example:
        >>> metrics_of(TABLE["mrpc"]), metrics_of(TABLE["mnli"])
        (['accuracy', 'f1'], ['accuracy/matched', 'accuracy/mismatched'])
    """
    subsets = [split.partition("_")[2] for split in task.sizes]
    return [_named(metric, {"set": subset} if subset else {}) for subset in subsets for metric in task.metrics]


def _estimates(scores: Sequence[Score]) -> dict[str, Estimate]:
    """Estimate the metrics of one task's scores."""
    from evals.metrics.estimates import estimates

    task = TABLE[scores[0].labels["task"]]
    by_set: dict[str, list[Score]] = defaultdict(list)
    for score in scores:
        by_set[score.labels.get("set", "")].append(score)
    found: dict[str, Estimate] = {}
    for subset, members in sorted(by_set.items()):
        targets, answers = zip(*(_numbers(task, score) for score in members), strict=True)
        clusters = [score.cluster for score in members]
        of_subset = estimates(task.metrics, targets, answers, clusters, stream=f"glue/{task.name}/{subset}")
        found |= {_named(name, members[0].labels): estimate for name, estimate in of_subset.items()}
    return found


def _numbers(task: Subtask, score: Score) -> tuple[float, float]:
    """Turn a score's target and answer into numbers; no answer is a wrong label, or the far end of the scale."""
    if task.labels:
        target = task.labels.index(score.target)
        return target, (target + 1) % len(task.labels) if score.answer is None else task.labels.index(score.answer)
    return score.target, (0.0 if score.target > HIGHEST / 2 else HIGHEST) if score.answer is None else score.answer


for _task in TABLE.values():
    TASKS.add(
        Task(
            name=f"glue/{_task.name}",
            summary=f"GLUE, {_task.folder}: {_task.summary}",
            version=1,
            needs="choose",
            methods=METHODS,
            fit_probe=glue_probe.fit_probe,
            supported_options=frozenset({"shots", "same_shots"}),
            splits=splits_of(_task),
            headline=metrics_of(_task)[0],
            samples=functools.partial(samples, [_task.name]),
            score=score,
            summarise=summarise,
        )
    )
TASKS.add(
    Task(
        name="glue",
        summary="GLUE: nine tasks of understanding English sentences, and the leaderboard's average",
        version=1,
        needs="choose",
        methods=METHODS,
        fit_probe=glue_probe.fit_probe,
        supported_options=frozenset({"shots", "same_shots"}),
        splits=("validation",),
        headline="average",
        samples=functools.partial(samples, list(TABLE)),
        score=score_suite,
        summarise=summarise_suite,
    )
)
