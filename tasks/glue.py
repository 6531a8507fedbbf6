"""GLUE: nine tasks of understanding English sentences.

Wang et al., GLUE: A Multi-Task Benchmark and Analysis Platform for Natural Language Understanding, ICLR 2019;
https://gluebenchmark.com. The test labels are secret, so models are measured on the validation ("dev") split. The first
rows of three official files, and the prompt and continuation for the second:

    CoLA/dev.tsv    gj04	1		The sailors rode the breeze clear of the rocks.
    SST-2/dev.tsv   it 's a charming and often affecting journey . 	1
    RTE/dev.tsv     0	Dana Reeve, the widow of …	Christopher Reeve had an accident.	not_entailment

    Sentence: it 's a charming and often affecting journey .
    Is the opinion in this sentence positive or negative?
    Answer: positive

The properties of the nine are a table, `evals.tasks.glue_tasks`. Each is a task, and the task `glue` is all nine in one
run, with the leaderboard's average. `--method` names how the model is queried; the default depends on its abilities:

    choose      the continuation of the prompt with the highest log-likelihood, not normalised by length; for STS-B the
                mean of the scale's points, each weighted by the probability of its continuation
    classify    the class that a checkpoint trained on the task gives to the texts, which are passed as in the files
    probe       the answer of a logistic regression that is fitted to the embeddings of the train rows
                (`evals.tasks.scoring.glue_probe`)

Recorded outputs are names or numbers of labels, or scores.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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
    Predictions,
    Probe,
    Request,
    Sample,
    Samples,
    Score,
    Task,
)
from evals.tasks.formats import glue_prompts, glue_submission, glue_tables, own_tables
from evals.tasks.formats.glue import GlueSplit, has_split, read
from evals.tasks.glue_tasks import (
    HIGHEST,
    TABLE,
    Subtask,
    continuation,
    files_of,
    metric_name,
    metrics_of,
    read_answer,
    splits_of,
)
from evals.tasks.scoring import glue_metrics

REPOSITORY = "nyu-mll/glue"
"""The hub's data set, read at full scale unless other files are named."""
METHODS = {"choose": "choose", "classify": "classify", "probe": "embed"}
"""The methods of querying a model, and the ability that each needs."""


# Samples


@dataclass(frozen=True)
class RowsFile:
    """The rows of one file, from which samples are made."""

    task: Subtask
    split: str
    """The hub's name of the split."""
    prefix: str
    """The prefix of sample ids; not empty in the suite, and if a task has several files of rows."""
    source: GlueSplit
    examples: GlueSplit | None
    """The rows from which few-shot examples are drawn, or None for none."""

    @property
    def labels(self) -> dict[str, str]:
        """Labels of its samples: the task, and for MNLI the set (`matched` or `mismatched`)."""
        subset = self.split.partition("_")[2]
        return {"task": self.task.name, **({"set": subset} if subset else {})}

    @functools.cached_property
    def clusters(self) -> list[str]:
        """For each row, the id of the first row with the same first text: most MNLI premises occur three times."""
        firsts: dict[str, str] = {}
        texts = (next(iter(row.texts.values())) for row in self.source.rows)
        return [firsts.setdefault(text, f"{self.prefix}{index}") for index, text in enumerate(texts)]


def samples(names: Sequence[str], options: Options) -> Samples:
    """Read the validation rows of some of the nine tasks.

    The id of a row is its index, as in GLUE's submission files. If several files are read, the name of the task, of the
    set or of both precedes it (`cola/0`, `matched/0`, `mnli/matched/0`), and the files alternate row by row, so that a
    limited run has rows of each.

    Few-shot examples are drawn from train with the sample's id as seed, uniformly and independently of other samples.
    Their labels are as unbalanced as those of train, and a validation row that also occurs in train (16 in CoLA, 6 in
    STS-B) may be its own example. With `same_shots` all rows of a task have the same examples: a run is several times
    as fast, and its result depends on that one draw.

    Args:
        names: keys of `TABLE`.
        options: the user's options.

    Raises:
        InputError: files are missing or malformed, or there are fewer train rows than requested examples.
        UnknownName: there is no such split.
    """
    fetched: dict[str, Json] = {}
    if options.data is None and options.scale == "full":
        options, fetched = glue_tables.fetched(REPOSITORY, names, options)
    if options.shots and options.method not in (None, "choose"):
        raise InputError(f"--shots {options.shots} is for method choose; {options.method} has no prompt")
    if options.prompt is not None and options.method not in (None, "choose"):
        raise InputError(f"--prompts is for method choose; {options.method} has no prompt")
    if own_tables.is_own(options):
        return _of_table(names, options)
    present = _present(names, options)
    parts = [part for name in present for part in _parts(TABLE[name], options, suite=len(names) > 1)]
    probed = [TABLE[name] for name in present if options.method == "probe" and TABLE[name].labels]
    train = [RowsFile(task, "train", f"train/{task.name}/", read(task, "train", options.data), None) for task in probed]
    facts = _facts([*parts, *train], options)
    facts |= fetched
    if len(present) < len(names):
        facts["without"] = [name for name in names if name not in present]
    return replace(_alternating(parts, options, facts), train=_alternating(train, options, {}) if train else None)


def _of_table(names: Sequence[str], options: Options) -> Samples:
    """Make samples of the rows of a user's table."""
    if len(names) > 1:
        raise InputError(
            f"--data {options.data} is a table, and glue is nine tasks: name one, such as --task glue/sst2"
        )
    task = TABLE[names[0]]
    table = glue_tables.read(task, options)
    part = RowsFile(task, table.split, "", table.rows, table.train if options.shots else None)
    train = RowsFile(task, "train", f"train/{task.name}/", table.train, None) if table.train else None
    made = _alternating([part], options, table.facts)
    return replace(made, train=_alternating([train], options, {}) if train and options.method == "probe" else None)


def _present(names: Sequence[str], options: Options) -> list[str]:
    """Return the tasks of the suite whose files are in the folder; all of them if there are none, or for one task."""
    split = options.split or "validation"
    present = [name for name in names if has_split(TABLE[name], files_of(TABLE[name], split)[0], options.data)]
    if len(names) == 1 or not present:
        return list(names)
    return present


def _alternating(parts: Sequence[RowsFile], options: Options, facts: Mapping[str, Json]) -> Samples:
    """Make samples of the first row of each file, then of the second of each, and so on."""
    longest = max(len(part.source.rows) for part in parts)
    rows = [(part, index) for index in range(longest) for part in parts if index < len(part.source.rows)]
    ids = [f"{part.prefix}{index}" for part, index in rows]
    return Samples(ids, lambda index: _sample(*rows[index], options), facts)


def _parts(task: Subtask, options: Options, *, suite: bool) -> list[RowsFile]:
    """Read a task's rows and, if examples are requested, its train rows."""
    split = options.split or "validation"
    if split not in splits_of(task):
        raise UnknownName(f"split of {task.name}", split, splits_of(task))
    chosen = files_of(task, split)
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
        target=row.label if row.label is None or not task.labels else task.labels[int(row.label)],
        cluster=part.clusters[index],
        labels=part.labels,
    )


def _requests(part: RowsFile, index: int, id: str, options: Options) -> tuple[Request, ...]:
    """Make the requests of a row for the method. Without a prompt, the texts are passed as in the files."""
    task, row = part.task, part.source.rows[index]
    texts = tuple(row.texts.values())
    if options.method == "classify":
        return (Classify(id, texts, task.labels),)
    if options.method == "probe":
        ids = [id] if len(texts) == 1 else [f"{id}#{n}" for n in range(len(texts))]
        return tuple(Embed(text_id, (text,)) for text_id, text in zip(ids, texts, strict=True))
    shots: list[str] = []
    if part.examples is not None:
        of_row = "" if options.same_shots else f"/{part.split}/{index}"
        rng = random.Random(f"{options.seed}/{task.name}{of_row}")
        for example in rng.sample(part.examples.rows, options.shots or 0):
            assert example.label is not None, "train rows have labels"
            asked = glue_prompts.of_row(task, example.texts, options.prompt)
            shots.append(f"{asked}{continuation(task.name, example.label)}\n\n")
    return (
        Choose(
            id,
            (*shots, glue_prompts.of_row(task, row.texts, options.prompt)),
            task.continuations,
            examples=tuple(shots),
        ),
    )


# Scores


def score(samples: Sequence[Sample], predictions: Mapping[str, Sequence[Prediction]]) -> list[Score]:
    """Read the answer of each sample and compare it with the label.

    The value of a sample is `accuracy` (0 or 1; `accuracy/matched` for MNLI's matched set), and for STS-B `closeness`:
    1 minus the error as a share of the scale. An output that is neither a label nor a continuation (for STS-B, not a
    number) is unparsed and wrong; a missing output is wrong too.
    """
    return [_score(sample, *predictions[sample.id]) for sample in samples]


def score_suite(samples: Sequence[Sample], predictions: Mapping[str, Sequence[Prediction]]) -> list[Score]:
    """Score as `score` does, with the task's name before the name of each value."""
    return [
        replace(scored, values={f"{scored.labels['task']}/{name}": value for name, value in scored.values.items()})
        for scored in score(samples, predictions)
    ]


def _score(sample: Sample, prediction: Prediction) -> Score:
    task, failed = TABLE[sample.labels["task"]], prediction.failure is not None
    number = None if failed else _answer(task, prediction)
    answer: Json = number if number is None or not task.labels else task.labels[int(number)]
    if sample.target is None:
        return Score.of(
            sample, answer=answer, values={glue_submission.ANSWERED: float(number is not None)}, failed=failed
        )
    if not task.labels:
        name, value = "closeness", 0.0 if number is None else max(0.0, 1 - abs(number - sample.target) / HIGHEST)
    else:
        name, value = metric_name("accuracy", sample.labels), float(answer == sample.target)
    return Score.of(sample, answer=answer, values={name: value}, failed=failed)


def _answer(task: Subtask, prediction: Prediction) -> float | None:
    """Read a prediction as a label's number or an STS-B score."""
    if task.labels or not prediction.scores:  # scores of STS-B are the log-likelihoods of its points
        return read_answer(task, prediction.output)
    highest = max(prediction.scores)
    weights = [math.exp(score - highest) for score in prediction.scores]
    return math.fsum(point * weight for point, weight in enumerate(weights)) / math.fsum(weights)


# Metrics


def summarise(scores: Sequence[Score]) -> dict[str, Metric]:
    """Compute the official metrics of one task, for each of its sets; of an unlabelled split the share of answers."""
    if all(score.target is None for score in scores):
        return glue_submission.answered(scores)
    return glue_metrics.of_task(scores)


def summarise_suite(scores: Sequence[Score]) -> dict[str, Metric]:
    """Compute the metrics of every task and, if none is missing, the leaderboard's average."""
    if all(score.target is None for score in scores):
        return glue_submission.answered(scores)
    return glue_metrics.of_suite(scores)


def _fit_probe(train: Sequence[Sample], embedded: Predictions) -> Probe:
    from evals.tasks.scoring.glue_probe import fit_probe  # with numpy, which `list` need not wait for

    return fit_probe(train, embedded)


def _task(name: str, summary: str, subtasks: Sequence[str], *, splits: tuple[str, ...], headline: str) -> Task:
    is_suite = len(subtasks) > 1
    return Task(
        name=name,
        summary=summary,
        version=1,
        needs="choose",
        methods=METHODS,
        fit_probe=_fit_probe,
        supported_options=frozenset({"shots", "same_shots"} | (set() if is_suite else {"columns", "prompt"})),
        prompts=None if is_suite else glue_prompts.prompt_templates(subtasks[0]),
        splits=splits,
        headline=headline,
        submission=glue_submission.submission,
        samples=functools.partial(samples, subtasks),
        score=score_suite if is_suite else score,
        summarise=summarise_suite if is_suite else summarise,
    )


for _subtask in TABLE.values():
    TASKS.add(
        _task(
            f"glue/{_subtask.name}",
            f"GLUE, {_subtask.folder}: {_subtask.summary}",
            [_subtask.name],
            splits=splits_of(_subtask),
            headline=metrics_of(_subtask)[0],
        )
    )
TASKS.add(
    _task(
        "glue",
        "GLUE: nine tasks of understanding English sentences, and the leaderboard's average",
        list(TABLE),
        splits=("validation", "test"),
        headline="average",
    )
)
