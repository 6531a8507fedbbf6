"""Read published scores: the `model-index` of a model card, the hub's `.eval_results`, and logs of Every Eval Ever.

    of_model_index(index, origin)             the front matter of a hub README.md
    of_eval_results(entries, model, origin)   a file of `.eval_results/`, whose folder names the model
    of_every_eval_ever(log, origin)           schema 0.3 of https://github.com/evaleval/every_eval_ever

Only metrics that are shares of a whole are read. A value up to 1 is taken for a fraction; unless the format says so,
such a value cannot contradict a claim. Replicas, blind controls and parts of a split are no scores of a public model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from evals.errors import InputError
from evals.reports.claims.evidence.published.benchmark_names import METRICS, PASS, named_benchmark

_PERCENTAGE = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(%)?\s*", re.ASCII)
_RESCALED = frozenset(("mmlu-pro", "bbh", "gpqa", "musr", "math lvl 5", "ifeval"))
"""Benchmarks of the second Open LLM Leaderboard, which wrote scores into cards from which the score of guessing was
taken: such a value is no plain accuracy."""
_WHOLE = ("", "default", "all", "main", "none")
"""Names of a dataset's configuration that is not a part of it."""


_MOST_DECIMALS = 4
"""Decimals of a percentage that are kept: documents print one or two."""


@dataclass(frozen=True, slots=True)
class PublishedScore:
    """A score of a model on a benchmark, as somebody published it."""

    model: str
    """The name of the model, with its organisation if the source gives it."""
    benchmark: str
    """The name of the benchmark; of a part of one, the name of the part."""
    metric: str | None
    """The metric in our words; None if it is not stated."""
    percent: Decimal
    is_scaled: bool
    """Whether the source says that the value is a fraction, or it can be none; False where it may be rescaled."""
    split: str | None
    shots: str | None
    date: str | None
    origin: str
    """The source, for readers."""
    mark: str = ""
    """What is known of its truth: that samples of the run were executed again."""


def of_model_index(index: object, origin: str) -> Iterator[PublishedScore]:
    """Yield the scores of a `model-index`.

    Args:
        index: its value in the front matter.
        origin: the source, for readers and errors.

    Raises:
        InputError: it is no `model-index`.

    Example:
        >>> metrics = [{"type": "acc", "value": 61.2}]
        >>> results = [{"dataset": {"name": "MMLU (5-Shot)", "type": "cais/mmlu", "split": "test"}, "metrics": metrics}]
        >>> (score,) = of_model_index([{"name": "otter-2", "results": results}], "card")
        >>> score.benchmark, score.metric, score.percent, score.split, score.shots
        ('MMLU', 'accuracy', Decimal('61.2'), 'test', '5')
    """
    for model in _list(index, "model-index", origin):
        for result in _list(_of(model, "results"), "results", origin):
            dataset = _of(result, "dataset")
            name = str(_of(dataset, "name") or _of(dataset, "type") or "")
            for metric in _list(_of(result, "metrics"), "metrics", origin):
                if " of " in str(_of(_of(metric, "args"), "samples") or ""):  # a part of the split
                    continue
                yield from _score(
                    model=str(_of(model, "name") or ""),
                    benchmark=name,
                    part=str(_of(dataset, "config") or ""),
                    metric=str(_of(metric, "type") or ""),
                    value=_of(metric, "value"),
                    is_card=True,
                    split=_of(dataset, "split"),
                    shots=_of(_of(dataset, "args"), "num_few_shot"),
                    origin=origin,
                )


def of_eval_results(entries: object, model: str, origin: str) -> Iterator[PublishedScore]:
    """Yield the scores of a file of `.eval_results/`; it states neither metric nor split.

    Args:
        entries: its content.
        model: the model in whose repository it is.
        origin: the source, for readers and errors.

    Raises:
        InputError: it is no list of results.
    """
    for entry in _list(entries, "eval results", origin):
        dataset = _of(entry, "dataset")
        yield from _score(
            model=model,
            benchmark=str(_of(dataset, "id") or ""),
            part=str(_of(dataset, "task_id") or ""),
            metric=None,
            value=_of(entry, "value"),
            date=_of(entry, "date"),
            origin=origin,
        )


def of_every_eval_ever(log: object, origin: str) -> Iterator[PublishedScore]:
    """Yield the scores of a log of Every Eval Ever.

    Args:
        log: the content of a file.
        origin: the source, for readers and errors.

    Raises:
        InputError: it is no such log.
    """
    model = _of(log, "model_info")
    if not str(_of(log, "schema_version") or "").startswith("0.") or not _of(model, "id"):
        raise InputError(f"{origin}: is no log of Every Eval Ever: it has no schema_version or no model_info")
    if str(_of(_of(model, "additional_details"), "replica")).lower() == "true":
        return
    for result in _list(_of(log, "evaluation_results"), "evaluation_results", origin):
        data, config, generation = (_of(result, key) for key in ("source_data", "metric_config", "generation_config"))
        details, more = _of(data, "additional_details"), _of(generation, "additional_details")
        if _of(more, "limit") or _of(more, "first") or str(_of(more, "blind")).lower() == "true" or _is_part(data):
            continue
        if _of(details, "part_of_split"):  # a run that stopped early, for example
            continue
        metric = _of(config, "metric_name") or _of(config, "metric_kind") or _of(config, "evaluation_description")
        shots = _of(more, "shots")
        yield from _score(
            model=str(_of(model, "id")),
            benchmark=str(_of(result, "evaluation_name") or ""),
            metric=str(metric) if _of(config, "metric_name") or str(metric).lower() in METRICS else None,
            value=_of(_of(result, "score_details"), "score"),
            is_fraction=_of(config, "max_score") in {1},
            split=_of(data, "hf_split") or _of(details, "split"),
            shots=shots if shots is not None else _of(more, "num_fewshot"),
            date=_of(log, "evaluation_timestamp"),
            origin=origin,
        )


def _score(
    *,
    model: str,
    benchmark: str,
    metric: str | None,
    value: object,
    origin: str,
    part: str = "",
    is_fraction: bool = False,
    is_card: bool = False,
    split: object = None,
    shots: object = None,
    date: object = None,
) -> Iterator[PublishedScore]:
    """Yield a score, if its metric is a share and its value a number."""
    name = None if metric is None else METRICS.get(metric.lower())
    if metric is not None and name is None:
        if not PASS.fullmatch(metric.lower()):
            return
        name = metric.lower()
    named = named_benchmark(benchmark)
    number, is_percent = _number(value)
    if number is None or not 0 <= number <= 100 or not model:
        return
    is_fraction = is_fraction and not is_percent
    percent = number.scaleb(2) if is_fraction or (number <= 1 and not is_percent) else number
    shortest = percent.quantize(Decimal(1).scaleb(-_MOST_DECIMALS))
    yield PublishedScore(
        model=model,
        benchmark=_part(named.name, part).rpartition("/")[2],
        metric=name if name is not None else named.metric,
        percent=min(percent, shortest, key=lambda value: len(value.as_tuple().digits)),
        is_scaled=(is_fraction or is_percent or number > 1) and not (is_card and named.name.lower() in _RESCALED),
        split=_agreed(split, named.split),
        shots=_agreed(shots, named.shots),
        date=None if date is None else str(date)[:10],
        origin=origin,
    )


def _agreed(stated: object, in_name: str | None) -> str | None:
    """What a field and the name of a benchmark say of the protocol; None where they disagree.

    Example:
        >>> _agreed(5, "5"), _agreed(None, "5"), _agreed(25, "5")
        ('5', '5', None)
    """
    if stated is None or in_name is None:
        return in_name if stated is None else str(stated)
    return in_name if str(stated).lower() == in_name else None


def _number(value: object) -> tuple[Decimal | None, bool]:
    """Return a value as a number, None if it is none, and whether it is a percentage (`"71.3"`, `71.3 %`).

    Example:
        >>> _number("71.3"), _number("0.5 %"), _number(True), _number("n/a"), _number("nan")
        ((Decimal('71.3'), False), (Decimal('0.5'), True), (None, False), (None, False), (None, False))
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None, False
    text = _PERCENTAGE.fullmatch(str(value))
    return (Decimal(text[1]), text[2] is not None) if text else (None, False)


def _part(benchmark: str, part: str) -> str:
    """The name of a benchmark, or of its part where a configuration names one.

    Example:
        >>> _part("MMLU", "all"), _part("Winogrande", "winogrande_xl"), _part("GLUE", "sst2")
        ('MMLU', 'Winogrande', 'sst2')
    """
    is_whole = part.lower() in _WHOLE or part.lower().startswith(benchmark.lower())
    return benchmark if is_whole else part


def _is_part(data: object) -> bool:
    """Whether a log has the samples of a part of the data only."""
    ids, number = _of(data, "sample_ids"), _of(data, "samples_number")
    return isinstance(ids, list) and isinstance(number, int) and len(ids) < number


def _of(value: object, key: str) -> Any:
    """The value of a key; None if there is none, or no mapping."""
    return value.get(key) if isinstance(value, Mapping) else None


def _list(value: object, what: str, origin: str) -> Sequence[object]:
    if not isinstance(value, list):
        raise InputError(f"{origin}: {what} is no list")
    return value
