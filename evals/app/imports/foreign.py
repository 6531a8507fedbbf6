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
        headline=next((name for name in run.metrics if name in names), next(iter([*names, *run.metrics]), "score")),
        samples=_no_samples,
        score=score,
        summarise=summarise,
    )


def _no_samples(options: Options) -> Samples:
    raise InputError("a task of another harness has no samples here: it is known from its log only")


def value_names(run: HarnessRun) -> list[str]:
    """Return the names of the scores that samples have, in the order of the log."""
    return list(dict.fromkeys(name for sample in run.samples for name in sample.values))


def _score(sample: Sample, logged: HarnessSample, names: Sequence[str]) -> Score:
    extracted = next(iter(logged.answers.values()), None)
    if isinstance(extracted, list) and len(extracted) == 1:
        extracted = extracted[0]
    if logged.choice is not None:
        extracted = logged.choice
    failed = logged.failure is not None
    answer = extracted if extracted is not None else (logged.outputs[0] if logged.outputs else None)
    values = {name: logged.values[name] for name in names if name in logged.values}
    return Score.of(sample, answer=None if failed else answer, values=values, failed=failed)


def _metrics(run: HarnessRun, scores: Sequence[Score], names: Sequence[str]) -> dict[str, Metric]:
    """Return the metrics that samples have, with their intervals, and the reported ones that are no means of samples.

    A mean is over the samples that have the score: a harness leaves out those that failed, and the counts say how many.
    """
    metrics: dict[str, Metric] = {}
    for name in names:
        scored = [score for score in scores if name in score.values]
        mean = means(scored, {name: Mean(name)})[name]
        left_out = len(scores) - len(scored)
        note = f"over the samples that have it; {left_out:,} have none" if left_out else None
        metrics[name] = Metric(
            mean.value, mean.low, mean.high, mean.n, unit(name), note, higher_is_better=higher(run, name) is not False
        )
    for name, stated in run.metrics.items():
        computed = metrics.get(name)
        if computed is None:
            why = "as reported: the log has no score of its own for each sample"
            if stated.n is None and scores:  # it may be of a group of them
                why += ", and does not say over how many the value is"
            metrics[name] = Metric(
                stated.value, None, None, stated.n or len(scores), stated.unit or unit(name), why,
                higher_is_better=higher(run, name) is not False, statistic="reported",
            )  # fmt: skip
    first = [name for name in run.metrics if name in names]
    return {name: metrics[name] for name in dict.fromkeys([*first, *names, *metrics])}


def _plain(name: str) -> str:
    """Return the name of a metric without its filter, its scorer and its underscores."""
    return name.partition(",")[0].rpartition("/")[2].lower()


_FRACTIONS = frozenset(
    {"acc", "acc_norm", "accuracy", "exact_match", "em", "qem", "quasi_exact_match", "prefix_exact_match", "f1",
     "match", "includes", "extractive_match", "final_number_exact_match", "hit", "prompt_level_strict_acc"}
)  # fmt: skip
"""Names whose values are fractions in every harness that is read here."""
_COEFFICIENTS = frozenset({"mcc", "matthews", "pearson", "spearman"})
_HIGHER = _FRACTIONS | _COEFFICIENTS | {"bleu", "rouge1", "rouge2", "rougel", "main_score"}
_LOWER = frozenset(
    {"wer", "cer", "ter", "perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte", "brier_score", "brier",
     "mse", "rmse", "mae", "loss", "error", "error_rate", "nll"}
)  # fmt: skip


def unit(name: str) -> str:
    """Return the unit of a metric: `fraction` where its name says so, else `score`, which is printed as it is.

    Example:
        >>> unit("exact_match,strict-match"), unit("bleu")
        ('fraction', 'score')
    """
    plain = _plain(name)
    return "fraction" if plain in _FRACTIONS else "coefficient" if plain in _COEFFICIENTS else "score"


def higher(run: HarnessRun, name: str) -> bool | None:
    """Return whether a higher value is better, by the log or by the metric's name; None where neither says.

    Example:
        >>> higher(HarnessRun("lm-eval", None, "asr", "m", [], {}, []), "wer")
        False
    """
    stated = run.metrics[name].higher_is_better if name in run.metrics else None
    if stated is not None:
        return stated
    return True if _plain(name) in _HIGHER else False if _plain(name) in _LOWER else None
