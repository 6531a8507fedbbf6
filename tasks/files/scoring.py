"""Score outputs and summarise scores, as a task file says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from evals.errors import InputError, UnknownName
from evals.registry import METRICS
from evals.schema import Json, Metric, Prediction, Sample, SampleMetric, Score
from evals.tasks.files.choices import class_numbers
from evals.tasks.files.reading import Matches, answer_of, is_right
from evals.tasks.files.spec import METRICS as OWN_METRICS
from evals.tasks.files.spec import READERS, TaskSpec
from evals.tasks.scoring import mmmu
from evals.tasks.scoring.answer_texts import normalised, occurs

if TYPE_CHECKING:
    from evals.metrics import Estimate


def score(
    spec: TaskSpec, matches: Matches, samples: Sequence[Sample], predictions: Mapping[str, Sequence[Prediction]]
) -> list[Score]:
    """Score samples. An output without an answer is wrong and unparsed; one that failed is wrong and marked as failed.

    Raises:
        InputError: an output is not text, or a row names a reader that does not exist.
    """
    by_math = [sample for sample in samples if _reader(spec, sample) == "math" and spec.ask == "generate"]
    scores = {score.id: score for score in _math_scores(spec, by_math, predictions)}
    for sample in samples:
        if sample.id not in scores:
            scores[sample.id] = _score(spec, matches, sample, *predictions[sample.id])
    return [_with_plugins(spec, scores[sample.id], sample, *predictions[sample.id]) for sample in samples]


def _reader(spec: TaskSpec, sample: Sample) -> str:
    read = sample.labels.get("read", spec.answer.read)
    if read not in READERS:
        raise UnknownName("reader of answers", read, READERS)
    return read


def _math_scores(
    spec: TaskSpec, samples: Sequence[Sample], predictions: Mapping[str, Sequence[Prediction]]
) -> list[Score]:
    """Score worked solutions by the rules of the math benchmarks; the headline is verified equivalence."""
    if not samples:
        return []
    from evals.tasks import math as worked_solutions

    names = sorted({"accuracy", *({"contains"} & {*spec.metrics})})
    scores: dict[str, Score] = {}
    for number in range(max(len(_targets(sample)) for sample in samples)):  # any of several answers is right
        asked = [sample for sample in samples if number < len(_targets(sample))]
        against = [replace(sample, target=_targets(sample)[number]) for sample in asked]
        for sample, scored in zip(asked, worked_solutions.score(spec.answer.form, against, predictions), strict=True):
            accuracy = scored.values["accuracy"]
            if sample.id not in scores or accuracy > scores[sample.id].values["accuracy"]:
                values = dict.fromkeys(names, accuracy)
                scores[sample.id] = Score.of(sample, answer=scored.answer, failed=scored.failed, values=values)
    return [*scores.values()]


def _targets(sample: Sample) -> list[str]:
    """Return the right answers of a sample."""
    target = sample.target["right"] if isinstance(sample.target, Mapping) else sample.target
    return list(map(str, target)) if isinstance(target, list) else [str(target)]


def _choices(spec: TaskSpec, sample: Sample, read: str) -> Sequence[str]:
    """Return the choices that the reader of an answer looks for, or their labels for `letter`."""
    if isinstance(sample.target, Mapping):
        choices: Sequence[str] = sample.target["choices"]
        return choices
    if read == "letter":
        return spec.answer.letters
    return spec.choices if isinstance(spec.choices, list) else ()


def _score(spec: TaskSpec, matches: Matches, sample: Sample, prediction: Prediction) -> Score:
    failed = prediction.failure is not None
    output, targets = prediction.text(), _targets(sample)
    if spec.ask == "choose":
        answer: Json = output.strip() or None
        right = answer == targets[0].strip()
    elif failed:
        answer, right = None, False
    elif _reader(spec, sample) == "mmmu":
        answer, right = _read_as_mmmu(sample, output, targets)
    else:
        read = _reader(spec, sample)
        answer = answer_of(read, spec.answer, output, _choices(spec, sample, read), matches)
        right = is_right(read, answer, targets)
    values = {"accuracy": float(right and not failed)}
    if "contains" in spec.metrics:
        text = normalised(output)
        values["contains"] = float(
            not failed and any(occurs(normalised(entry), text) for entry in targets if normalised(entry))
        )
    return Score.of(sample, answer=None if failed else answer, values=values, failed=failed)


def _read_as_mmmu(sample: Sample, output: str, targets: Sequence[str]) -> tuple[Json, bool]:
    """Return the answer of an output, and whether it is right."""
    if isinstance(sample.target, Mapping):
        letter = mmmu.letter_of(output, sample.target["choices"])
        return letter, letter in targets
    answers = mmmu.open_answers(output)
    return list(map(str, answers)), mmmu.is_open_right(answers, targets)


def _with_plugins(spec: TaskSpec, score: Score, sample: Sample, prediction: Prediction) -> Score:
    """Add the metrics of plug-ins. Raises `InputError` if one returns no finite number."""
    targets = _targets(sample)
    values = dict(score.values)
    for metric in plugin_metrics(spec):
        value = metric.value(prediction.text(), targets)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise InputError(
                f"metric {metric.name!r} returned {value!r:.40} for {sample.id!r}, expected a finite number"
            )
        values[metric.name] = float(value)
    return replace(score, values=values)


def plugin_metrics(spec: TaskSpec) -> list[SampleMetric]:
    """Return the metrics of plug-ins that a file names."""
    return [METRICS.get(name) for name in spec.metrics if name not in OWN_METRICS]


def summarise(spec: TaskSpec, scores: Sequence[Score]) -> dict[str, Metric]:
    """Average over all samples or over the subsets, and by subset, with 95 % intervals."""
    from evals.metrics import Mean, means

    subsets = sorted({score.labels["subset"] for score in scores if "subset" in score.labels})
    definitions = {name: Mean(name) for name in ("accuracy", "contains") if name in scores[0].values}
    definitions |= {f"accuracy/{subset}": Mean("accuracy", "subset", subset) for subset in subsets}
    definitions |= {
        metric.name: Mean(metric.name, higher_is_better=metric.higher_is_better) for metric in plugin_metrics(spec)
    }
    metrics = means(scores, definitions)
    if spec.average == "subsets" and len(subsets) > 1:
        metrics = {**metrics, "accuracy": _over_subsets(spec, scores, subsets), "accuracy-samples": metrics["accuracy"]}
    return metrics | _of_labels(spec, scores)


def _over_subsets(spec: TaskSpec, scores: Sequence[Score], subsets: Sequence[str]) -> Metric:
    """Average the accuracies of the subsets, which weigh the same."""
    from evals.metrics import average, estimates

    parts: list[Estimate] = []
    for subset in subsets:
        chosen = [score for score in scores if score.labels.get("subset") == subset]
        right = [int(score.values["accuracy"]) for score in chosen]
        clusters = [score.cluster or f"\0{score.id}" for score in chosen]
        parts.append(
            estimates(["accuracy"], [1] * len(right), right, clusters, stream=f"{spec.name}/{subset}")["accuracy"]
        )
    return average(parts, len(scores)).metric()


def _of_labels(spec: TaskSpec, scores: Sequence[Score]) -> dict[str, Metric]:
    """Compute F1 and Matthews' coefficient of the choices; an answer that is none of them is a wrong one."""
    names = [name for name in spec.metrics if name in {"f1", "matthews"}]
    if not names:
        return {}
    from evals.metrics import estimates

    assert isinstance(spec.choices, list)
    numbers = class_numbers(spec)
    targets = [numbers[_plain(score.target)] for score in scores]
    wrong = len(spec.choices) - 1
    answers = [
        numbers.get(_plain(score.answer), 0 if target == wrong else wrong)
        for score, target in zip(scores, targets, strict=True)
    ]
    clusters = [score.cluster or f"\0{score.id}" for score in scores]
    by_name = estimates(names, targets, answers, clusters, stream=f"{spec.name}/labels")
    return {name: estimate.metric() for name, estimate in by_name.items()}


def _plain(value: object) -> str:
    """Return a target or an answer as `class_numbers` has it."""
    if isinstance(value, Mapping):
        value = value["right"]
    return normalised(str(value[0] if isinstance(value, list) and value else value))
