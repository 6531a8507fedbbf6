"""Read the results of mteb: `results/<model>/<revision>/<Task>.json`, with `model_meta.json` beside.

    {"task_name": "STS12", "dataset_revision": "…", "mteb_version": "2.0.1", "evaluation_time": 12.1,
     "scores": {"test": [{"hf_subset": "default", "main_score": 0.72, "cosine_spearman": 0.72}]}}

(mteb/results/task_result.py, `TaskResult`.) mteb records no samples: a run has its metrics alone. Its main score is
the mean over the subsets of the split, as `TaskResult.get_score` computes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from evals.errors import InputError
from evals.logs import json_text
from evals.logs.harness_run import UNKNOWN, HarnessRun, ReportedMetric
from evals.schema import Json


def is_log(path: Path) -> bool:
    """Return whether a file holds mteb's results of a task."""
    if path.suffix != ".json" or not path.is_file() or path.name == "model_meta.json":
        return False
    content = json_text.read(path)
    return isinstance(content, dict) and ({"task_name", "mteb_version", "scores"} <= content.keys() or _is_old(content))


def _is_old(content: Mapping[str, Json]) -> bool:
    return {"mteb_dataset_name", "mteb_version"} <= content.keys() and "scores" not in content


def read(paths: Sequence[Path]) -> list[HarnessRun]:
    """Read one run from each file and split. Raises `InputError` if a file has no scores, or those of an old format."""
    return [run for path in paths for run in _runs(path)]


def _runs(path: Path) -> list[HarnessRun]:
    content = json_text.read_object(path)
    if _is_old(content):
        raise InputError(
            f"{path} has the format of mteb before 1.11, whose main score depends on the task: mteb's own "
            f"`TaskResult.from_disk` reads it, and `to_disk` writes the format that is read here"
        )
    meta_path = path.with_name("model_meta.json")
    meta = json_text.read_object(meta_path) if meta_path.is_file() else {}
    splits = json_text.mapping(content.get("scores"))
    runs = []
    for split, entries in splits.items():
        subsets = [json_text.mapping(entry) for entry in (entries if isinstance(entries, list) else [])]
        runs.append(
            HarnessRun(
                harness="mteb",
                version=json_text.text(content.get("mteb_version")),
                task=str(content["task_name"]),
                model=json_text.text(meta.get("name")) or path.parent.parent.name.replace("__", "/") or UNKNOWN,
                samples=[],
                metrics=_metrics(path, split, subsets),
                files=[path, *([meta_path] if meta else [])],
                split=split,
                data={"dataset_revision": content.get("dataset_revision")},
                protocol={"model_revision": meta["revision"]} if meta.get("revision") else {},
            )
        )
    if not runs:
        raise InputError(f"{path} has no scores")
    return runs


def _metrics(path: Path, split: str, subsets: Sequence[Mapping[str, Json]]) -> dict[str, ReportedMetric]:
    """Return the main score, the mean of the subsets, and all scores; those of several subsets after their names."""
    main = [value for entry in subsets if (value := json_text.number(entry.get("main_score"))) is not None]
    if not main or len(main) < len(subsets):
        raise InputError(f"{path}, {split}: {len(subsets) - len(main)} of {len(subsets)} subsets have no main_score")
    metrics = {"main_score": ReportedMetric(sum(main) / len(main))}
    for entry in subsets:
        start = "" if len(subsets) == 1 else f"{entry.get('hf_subset')}/"
        for name, stated in entry.items():
            value = json_text.number(stated) if not isinstance(stated, str) else None
            if value is not None:
                metrics.setdefault(f"{start}{name}", ReportedMetric(value))
    return metrics
