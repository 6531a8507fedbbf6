"""Export finished runs as metadata of the Hugging Face Hub.

    model-index    the `model-index` of a model card's front matter: the metrics of one model's runs
    eval-results   a file for the hub's `.eval_results/`: the headline of each run on a whole benchmark of the hub

Leaderboards hold results on whole public benchmarks, so `eval-results` refuses other runs: those on bundled data or on
a part of a split, and blind controls. The name of a bundled benchmark says that it is bundled.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import yaml

from evals import records
from evals.errors import InputError
from evals.logs.matching import is_imported
from evals.records.folder import Record
from evals.records.imported import ImportEntry
from evals.records.types import MetricEntry
from evals.reports.rendering.formatting import one_line
from evals.reports.runs.early.parts import part
from evals.reports.runs.naming import blind
from evals.schema import Json

LIBRARY = "claim-evals"
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d)[:-](\d\d)(?:[:-](\d\d))?)?")
"""The beginning of a date in a log: `2026-11-28T09-33-37.76`."""


@dataclass(frozen=True, slots=True)
class HubBenchmark:
    """A task as the hub names it."""

    title: str
    """Its name for readers."""
    kind: str
    """The hub's type of task."""
    dataset: str | None = None
    """The hub's data set."""
    part: str = "default"
    """Its configuration."""
    items: Mapping[str, int] = field(default_factory=dict)
    """Number of items of each whole split."""


_MATHS_TYPE = "text-generation"
_BENCHMARKS: Mapping[str, HubBenchmark] = {
    "vqa": HubBenchmark("VQA 2.0", "visual-question-answering", "HuggingFaceM4/VQAv2", items={"validation": 214_354}),
    "math/gsm8k": HubBenchmark("GSM8K", _MATHS_TYPE, "openai/gsm8k", "main", {"test": 1_319}),
    "math/math500": HubBenchmark("MATH-500", _MATHS_TYPE, "HuggingFaceH4/MATH-500", items={"test": 500}),
    "math/math": HubBenchmark("MATH", _MATHS_TYPE),
    "math": HubBenchmark("mathematics", _MATHS_TYPE),
    "retrieval": HubBenchmark("image-text retrieval", "image-to-text"),
    "glue": HubBenchmark("GLUE", "text-classification"),
}
_GLUE_ITEMS = {
    "cola": 1_043,
    "sst2": 872,
    "mrpc": 408,
    "stsb": 1_500,
    "qqp": 40_430,
    "qnli": 5_463,
    "rte": 277,
    "wnli": 71,
}
"""Number of items of the validation splits of nyu-mll/glue."""


def model_index(runs: Sequence[Record]) -> str:
    """Write the front matter of one model's card. Raises `InputError` for runs of several models."""
    names = list(dict.fromkeys(model_id(run) for run in runs))
    if len(names) != 1:
        raise InputError(f"model-index is for the card of one model: runs of {' and '.join(names)} were given")
    return _dump({"model-index": [{"name": names[0], "results": [card(run) for run in runs]}]})


def card(run: Record) -> dict[str, Json]:
    """Return the item of a card's `model-index` for a run: its task, data set and metrics."""
    hub_benchmark, task, result = benchmark(run), run.manifest.task, run.finished()
    names = [name for name in result.metrics if name.count("/") < 2]  # no breakdown by question type
    names.sort(key=lambda name: (name != result.headline, name))
    dataset = {"name": dataset_title(run), "type": f"{LIBRARY}/{task.name.replace('/', '-')}"}
    if public(run) and hub_benchmark.dataset:
        dataset |= {"type": hub_benchmark.dataset, "config": hub_benchmark.part}
    return {
        "task": {"type": hub_benchmark.kind, "name": one_line(task.name)},
        "dataset": {**dataset, "split": task.split},
        "metrics": [_metric(name, result.metrics[name], part(run)) for name in names],
    }


def _metric(name: str, metric: MetricEntry, part: str) -> dict[str, Json]:
    interval = [metric.low, metric.high] if metric.low is not None else None
    args = {"n": metric.n, "interval_95": interval, "samples": part or None}
    return {
        "type": kind(name),
        "name": name,
        "value": metric.value,
        "args": {key: value for key, value in args.items() if value is not None},
    }


def eval_results(runs: Sequence[Record]) -> str:
    """Write entries for the hub's leaderboards. Raises `InputError` for a run that is not for them."""
    return _dump([_entry(run) for run in runs])


def _entry(run: Record) -> dict[str, Json]:
    hub_benchmark, task, result = benchmark(run), run.manifest.task, run.finished()
    items = hub_benchmark.items.get(task.split)
    reasons = {
        "its data are bundled or your own and no public benchmark": not public(run),
        f"no data set of the hub is known for {task.name} {task.split}": not hub_benchmark.dataset or items is None,
        "it is a blind control": blind(run),
        f"it stopped early, after {result.n:,} of {items or 0:,} samples": result.stopped is not None,
        f"{result.n:,} of {items or 0:,} samples were run": result.n != items,
    }
    if refused := [reason for reason, holds in reasons.items() if holds]:
        raise InputError(f"{run.folder} is not for the hub's leaderboards: {refused[0]}")
    notes = [f"{LIBRARY} {result.headline} on {task.split}"]
    notes += [f"{task.shots} shots"] if task.shots else []
    return {
        "dataset": {"id": hub_benchmark.dataset, "task_id": hub_benchmark.part},
        "value": result.metrics[result.headline].value,
        "date": finished(run).date().isoformat(),
        "notes": ", ".join([*notes, f"signature {run.manifest.signature}"]),
    }


def benchmark(run: Record) -> HubBenchmark:
    """Return a run's task as the hub names it."""
    name = run.manifest.task.name
    family, _, part = name.partition("/")
    if name in _BENCHMARKS:
        return _BENCHMARKS[name]
    if family == "glue":
        items = {"validation": _GLUE_ITEMS[part]} if part in _GLUE_ITEMS else {}
        return HubBenchmark(f"GLUE {part}", "text-classification", "nyu-mll/glue", part, items)
    return HubBenchmark(name, "other")


def public(run: Record) -> bool:
    """Whether a run used the public data of its benchmark."""
    return run.manifest.data.get("source") not in ("bundled", "own file", None)


def dataset_title(run: Record) -> str:
    """Name the data for readers; the name of bundled data says that they are bundled."""
    title = benchmark(run).title
    return title if public(run) else f"{title}, bundled" if run.manifest.data.get("source") == "bundled" else title


def model_id(run: Record) -> str:
    """Name a model as ORG/NAME: by its id on the hub where it was loaded from there, else under our own name.

    The log of another harness names it by the id itself, or by a folder, which has no such name.
    """
    name: str = run.manifest.model_name
    plain = name.partition("@")[0].removeprefix("hf:")
    is_id = name.startswith("hf:") or (is_imported(run) and not name.startswith((".", "/", "~")))
    if is_id and plain.count("/") == 1:
        return plain
    return f"{LIBRARY}/{one_line(name.rpartition('/')[2])}"


def kind(metric: str) -> str:
    """Return what a metric measures, without the part of the data that it is about.

    Example:
        >>> kind("accuracy/yes-no"), kind("image-to-text/recall@1"), kind("f1")
        ('accuracy', 'recall@1', 'f1')
    """
    first, _, rest = metric.partition("/")
    return rest if first in {"image-to-text", "text-to-image"} else first


def finished(run: Record) -> datetime.datetime:
    """Return the time at which a run was finished: when its result was written, or the date of an imported log."""
    imported = run.manifest.imported
    if isinstance(imported, ImportEntry) and (match := _DATE.match(imported.date or "")):
        year, month, day, hour, minute, second = (int(part) for part in match.groups("0"))
        with suppress(ValueError):  # no date of the calendar
            return datetime.datetime(year, month, day, hour, minute, second, tzinfo=datetime.UTC)
    return datetime.datetime.fromtimestamp(int((run.folder / records.RESULT).stat().st_mtime), tz=datetime.UTC)


def _dump(value: Json) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
