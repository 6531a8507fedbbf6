"""Tasks of other harnesses that this suite does not have: their samples keep the scores that the harness gave them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evals.errors import InputError
from evals.logs import HarnessRun, HarnessSample
from evals.metrics.estimates import Mean, means
from evals.schema import Metric, Options, Prediction, Sample, Samples, Score, Task


def task_of(run: HarnessRun) -> Task:
    """Return a task whose scores are those of a log: `lm-eval/arc_easy`.

    A sample's scores are the harness's. Metrics that are means of them get an interval; the others have none.
    """
    by_id = {sample.id: sample for sample in run.samples}
    names = value_names(run)

    def score(samples: Sequence[Sample], predictions: Mapping[str, Sequence[Prediction]]) -> list[Score]:
        return [_score(sample, by_id[sample.id], names) for sample in samples]

    def summarise(scores: Sequence[Score]) -> dict[str, Metric]:
        return _metrics(run, scores, names)

    return Task(
        name=f"{run.harness.replace(' ', '-').lower()}/{run.task}",
        summary=f"{run.task} as {run.harness} scored it",
        version=1,
        needs="choose" if any(sample.log_likelihoods for sample in run.samples) else "generate",
        splits=(run.split or "unknown",),
        headline=next(iter(run.metrics), names[0] if names else "score"),
        samples=_no_samples,
        score=score,
        summarise=summarise,
    )


def _no_samples(options: Options) -> Samples:
    raise InputError("a task of another harness has no samples here: it is known from its log only")


def value_names(run: HarnessRun) -> list[str]:
    """Return the names of the scores that every sample has, in the order of the log.

    Raises:
        InputError: samples have scores, but no score is every sample's.
    """
    first = dict.fromkeys(name for sample in run.samples for name in sample.values)
    whole = [name for name in first if all(name in sample.values for sample in run.samples)]
    if first and not whole:
        raise InputError(f"{run.files[0]}: none of the scores ({', '.join(first)}) is given for every sample")
    return whole


def _score(sample: Sample, logged: HarnessSample, names: Sequence[str]) -> Score:
    extracted = next(iter(logged.answers.values()), None)
    if isinstance(extracted, list) and len(extracted) == 1:
        extracted = extracted[0]
    if logged.log_likelihoods:
        best = max(range(len(logged.choices)), key=lambda index: logged.log_likelihoods[index])
        extracted = logged.choices[best]
    failed = logged.failure is not None
    answer = extracted if extracted is not None else (logged.outputs[0] if logged.outputs else None)
    values = {name: logged.values[name] for name in names}
    return Score.of(sample, answer=None if failed else answer, values=values, failed=failed)


def _metrics(run: HarnessRun, scores: Sequence[Score], names: Sequence[str]) -> dict[str, Metric]:
    """Return the reported metrics in their order; those that are means of samples with their intervals."""
    computed = means(scores, {name: Mean(name) for name in names}) if scores and names else {}
    metrics: dict[str, Metric] = {}
    for name, stated in run.metrics.items():
        mean = computed.get(name)
        is_mean = mean is not None and abs(mean.value - stated.value) <= 1e-6 * max(1.0, abs(stated.value))
        higher = stated.higher_is_better is not False
        if mean is not None and is_mean:
            metrics[name] = Metric(mean.value, mean.low, mean.high, mean.n, _unit(mean.value), higher_is_better=higher)
            continue
        why = "as reported: the log has no score of its own for each sample"
        if mean is not None:
            why = f"as reported; the mean of its samples' scores is {mean.value:.6g}"
        metrics[name] = Metric(
            stated.value, None, None, stated.n or len(scores), _unit(stated.value), why,
            higher_is_better=higher, statistic="reported",
        )  # fmt: skip
    more = {name: metric for name, metric in computed.items() if name not in metrics}
    return metrics | {
        name: Metric(metric.value, metric.low, metric.high, metric.n, _unit(metric.value))
        for name, metric in more.items()
    }


def _unit(value: float) -> str:
    """Return the unit of a value of an unknown metric: a fraction if it can be one.

    Example:
        >>> _unit(0.71), _unit(71.3)
        ('fraction', 'score')
    """
    return "fraction" if 0 <= value <= 1 else "score"
