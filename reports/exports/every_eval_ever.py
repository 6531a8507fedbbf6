"""Export finished runs: Every Eval Ever's log here, its samples and the hub's formats in the modules beside.

    every-eval-ever           one JSON log per run, schema 0.3.0 of https://github.com/evaleval/every_eval_ever
    every-eval-ever-samples   the samples of a run with all that the model read, in the same project's format
    model-index               the `model-index` of a model card's front matter
    eval-results              a file for the hub's `.eval_results/`

Scores stay fractions and coefficients, as the formats allow. The file itself says whether a run used a replica, a
bundled benchmark or a part of a split, or is a blind control, so that nobody takes it for a result of the public model
or benchmark.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from evals.errors import InputError, RecordError
from evals.records.folder import Record
from evals.records.imported import ImportEntry
from evals.records.types import MetricEntry
from evals.reports.exports import every_eval_ever_samples, hub
from evals.reports.exports.hub import LIBRARY, dataset_title, finished, kind, model_id
from evals.reports.rendering.formatting import one_line
from evals.reports.runs.early.parts import part, whole_size
from evals.reports.runs.naming import about, model
from evals.reports.runs.sections import higher_is_better
from evals.schema import Json

PART = "part_of_split"
"""Detail of a log whose run has not all samples of its split: which ones it has."""

_RANGES: Mapping[str, tuple[float, float | str]] = {"fraction": (0.0, 1.0), "coefficient": (-1.0, 1.0)}
_UNITS = {"fraction": "proportion"}


def render(runs: Sequence[Record], format: str) -> str:
    """Write finished runs in one of `FORMATS`.

    Raises:
        InputError: when the format cannot hold these runs.
        RecordError: when a run is not finished.
    """
    for run in runs:
        if run.result is None:
            raise RecordError(f"{run.folder} is not finished: start its command again to finish it")
    return FORMATS[format](runs)


def _every_eval_ever(runs: Sequence[Record]) -> str:
    if len(runs) != 1:
        raise InputError(f"every-eval-ever holds one run per file: {len(runs)} were given")
    return json.dumps(log(runs[0]), indent=2, ensure_ascii=False) + "\n"


def log(run: Record) -> dict[str, Json]:
    """Make the Every Eval Ever log of a finished run.

    Example:
        >>> sorted(_texts({"replica": True, "note": None}))
        ['replica']
    """
    manifest, when = run.manifest, finished(run)
    return {
        "schema_version": every_eval_ever_samples.SCHEMA,
        "evaluation_id": every_eval_ever_samples.evaluation_id(run),
        "evaluation_timestamp": when.isoformat(),
        "retrieved_timestamp": str(int(when.timestamp())),
        "source_metadata": {
            "source_name": f"{LIBRARY} run {manifest.signature}",
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "other",
            "additional_details": {"about": about([run])},
        },
        "eval_library": {
            "name": LIBRARY,
            "version": "unknown",  # a run records its commit
            "additional_details": _texts({"signature": manifest.signature, "commit": manifest.code.commit}),
        },
        "model_info": _model(run),
        "evaluation_results": [_evaluation(run, metric) for metric in sorted(run.finished().metrics)],
    }


def _model(run: Record) -> dict[str, Json]:
    facts = run.manifest.model
    engine = {"name": "transformers", "version": run.manifest.packages.get("transformers", "unknown")}
    details = ("replica", "family", "checkpoint", "digest", "dtype", "device")
    elsewhere = {"endpoint": "externally_managed", "replay": "unknown"}
    on_hub = not model_id(run).startswith(f"{LIBRARY}/") and str(facts.get("family")) not in elsewhere
    return {
        "name": model(run),
        "id": model_id(run),
        **({"inference_engine": engine} if str(facts.get("family")) not in elsewhere else {}),
        "additional_details": {
            "deployment_type": elsewhere.get(str(facts.get("family")), "self_deployed"),
            "model_availability": "open_weights" if on_hub or facts.get("replica") else "unknown",
            **_texts({key: facts.get(key) for key in details}),
        },
    }


def _evaluation(run: Record, name: str) -> dict[str, Json]:
    """Describe one metric of a run."""
    result, task = run.finished(), run.manifest.task
    metric = result.metrics[name]
    data = run.manifest.data
    return {
        "evaluation_result_id": f"{task.name}/{name}",
        "evaluation_name": task.name,
        "source_data": {
            "dataset_name": dataset_title(run),
            "source_type": "other",
            "additional_details": _texts(
                {
                    "source": data.get("source"),
                    "split": task.split,
                    "samples": result.n,
                    "ids": data.get("ids") if result.stopped is None else result.stopped.ids,
                    PART: part(run) or None,
                }
            ),
        },
        "metric_config": _config(task.name, name, metric.unit, higher_is_better(run, name)),
        "score_details": {
            "score": metric.value,
            "details": _texts(
                {**{key: result[key] for key in ("failed", "unparsed", "truncated")}, "note": metric.note}
            ),
            "uncertainty": _uncertainty(metric, run),
        },
        "generation_config": _generation(run),
    }


def _config(task: str, metric: str, unit: str, higher: bool) -> dict[str, Json]:
    low, high = _RANGES.get(unit, (0.0, "Infinity"))
    return {
        "metric_id": f"{task.replace('/', '.')}.{metric}",
        "metric_name": metric,
        "metric_kind": kind(metric).partition("@")[0],
        "metric_unit": _UNITS.get(unit, unit),
        "lower_is_better": not higher,
        "score_type": "continuous",
        "min_score": low,
        "max_score": high,
    }


def _uncertainty(metric: MetricEntry, run: Record) -> dict[str, Json]:
    if metric.low is None or metric.high is None:
        return {"num_samples": metric.n}
    interval: dict[str, Json] = {"lower": metric.low, "upper": metric.high, "confidence_level": 0.95}
    if (whole := whole_size(run)) is not None:
        method = "confidence sequence by betting" if run.finished().stopped else "finite population"
        interval["method"] = f"{method}, for the value of all {whole:,} samples"
    return {"num_samples": metric.n, "confidence_interval": interval}


def _generation(run: Record) -> dict[str, Json]:
    task, imported = run.manifest.task.to_dict(), run.manifest.imported
    if isinstance(imported, ImportEntry):  # the log's settings: those of the task are this suite's defaults
        asked = imported.protocol.get("generation_kwargs")
        task = {
            **{key: task.get(key) for key in ("shots", "first")},
            **imported.protocol,
            **(asked if isinstance(asked, Mapping) else {}),
        }
    command = _texts({"execution_command": run.manifest.command} if run.manifest.command else {})
    sampling = {key: task[key] for key in ("temperature", "top_p") if isinstance(task.get(key), int | float)}
    details = ("shots", "method", "seed", "samples", "limit", "first", "blind")
    return {
        "generation_args": {**sampling, **command},
        "additional_details": _texts({key: task.get(key) for key in details}),
    }


def _texts(values: Mapping[str, Json]) -> dict[str, str]:
    """Write the values that are set as text, as the format's free fields require; home folders become `~`."""
    home = str(Path.home()).rstrip("/") or None
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
    return {
        key: one_line(text.replace(home, "~") if home else text)
        for key, text in texts.items()
        if values[key] is not None
    }


FORMATS: Mapping[str, Callable[[Sequence[Record]], str]] = {
    "every-eval-ever": _every_eval_ever,
    "every-eval-ever-samples": every_eval_ever_samples.render,
    "model-index": hub.model_index,
    "eval-results": hub.eval_results,
}
