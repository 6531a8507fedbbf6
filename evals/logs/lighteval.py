"""Read the logs of lighteval.

    details/<model>/<date>/details_<suite|task|shots>_<date>.parquet   with `--save-details`: one row per sample
    results/<model>/results_<date>.json                                metrics and settings of all tasks

A row (lighteval/logging/info_loggers.py, `DetailsLogger.Detail`, 0.13) has the structures `doc` (query, choices,
gold_index), `model_response` (text, logprobs, input, reasonings) and `metric`. Versions before 0.10 wrote them as
columns of their own: `full_prompt`, `predictions`, `choices`, `gold`, `metrics`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evals.errors import InputError, one_line, shorten
from evals.logs import json_text
from evals.logs.harness_run import UNKNOWN, HarnessRun, HarnessSample, ReportedMetric, unique
from evals.schema import Json

_DATE = r"\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2}(?:\.\d+)?"
_DETAILS = re.compile(rf"details_(?P<task>.+)_(?P<date>{_DATE})\.parquet")
_RESULTS = re.compile(rf"results_(?P<date>{_DATE})\.json")
_STRUCTURES = frozenset({"doc", "model_response", "metric"})
_COLUMNS = frozenset({"full_prompt", "predictions", "metrics"})


def is_log(path: Path) -> bool:
    """Return whether a file is one of these logs, by its name and its columns or fields."""
    if path.suffix == ".parquet" and _DETAILS.fullmatch(path.name):
        import pyarrow.parquet as parquet

        try:
            columns = set(parquet.read_schema(path).names)
        except (OSError, ValueError):
            return False
        return columns >= _STRUCTURES or columns >= _COLUMNS
    if _RESULTS.fullmatch(path.name):
        content = json_text.read(path)
        return isinstance(content, dict) and "config_general" in content
    return False


def pieces(paths: Sequence[Path]) -> list[list[Path]]:
    """Divide files into the details of one task with the results of their date."""
    results = {match["date"]: path for path in paths if (match := _RESULTS.fullmatch(path.name))}
    details = [(path, match) for path in paths if (match := _DETAILS.fullmatch(path.name))]
    used = {match["date"] for _, match in details}
    alone = [[path] for date, path in results.items() if date not in used]
    return [[path, *([results[match["date"]]] if match["date"] in results else [])] for path, match in details] + alone


def read(paths: Sequence[Path]) -> list[HarnessRun]:
    """Read one run from each file of details, with the results of the same date.

    Raises:
        InputError: a file is malformed, or results have no details.
    """
    results = {match["date"]: path for path in paths if (match := _RESULTS.fullmatch(path.name))}
    details = [(path, match) for path in paths if (match := _DETAILS.fullmatch(path.name))]
    if not details:
        raise InputError(
            f"{next(iter(results.values()))} has no details beside it (details_<task>_<date>.parquet): lighteval "
            f"writes them with --save-details; without them there is nothing to score or to compare"
        )
    return [_run(path, match["task"], match["date"], results.get(match["date"])) for path, match in details]


def _run(path: Path, named: str, date: str, results_path: Path | None) -> HarnessRun:
    suite, task, shots = _task(named)
    results_path = results_path or _beside(path, date)
    results = {} if results_path is None else json_text.read_object(results_path)
    general = json_text.mapping(results.get("config_general"))
    keys = [key for key in json_text.mapping(results.get("results")) if _task(key)[1:] == (task, shots)]
    settings = json_text.mapping(general.get("model_config"))
    config = next(
        (json_text.mapping(entry) for key, entry in json_text.mapping(results.get("config_tasks")).items()
         if _task(key)[1] == task), {},
    )  # fmt: skip
    generation = json_text.mapping(settings.get("generation_parameters")) or json_text.mapping(
        general.get("generation_parameters")
    )
    samples = unique(_samples(path), path)
    stated = json_text.mapping(json_text.mapping(results.get("results")).get(keys[0])) if keys else {}
    sha = json_text.text(general.get("lighteval_sha"))
    return HarnessRun(
        harness="lighteval",
        version=None if sha in (None, "?") else sha,
        task=f"{suite}|{task}" if suite else task,
        model=json_text.text(general.get("model_name")) or path.parent.parent.name or UNKNOWN,
        samples=samples,
        metrics=_metrics(stated, samples[0].values),
        files=[path, *([results_path] if results_path else [])],
        split=_split(config),
        shots=shots,
        date=date,
        data={key: config[key] for key in ("hf_repo", "hf_subset", "hf_revision") if config.get(key) not in (None, "")},
        protocol={
            **{key: config[key] for key in ("prompt_function", "generation_size", "stop_sequence", "version")
               if config.get(key) not in (None, [], "")},
            **{f"generation.{key}": value for key, value in generation.items() if value is not None},
            **({"max_samples": general["max_samples"]} if general.get("max_samples") is not None else {}),
        },
    )  # fmt: skip


def _beside(path: Path, date: str) -> Path | None:
    """Find the results of details that lie in lighteval's own folders."""
    for parent in list(path.parents)[:6]:
        folder = parent / "results"
        if folder.is_dir():
            return next(iter(sorted(folder.rglob(f"results_{date}.json"))), None)
    return None


def _task(named: str) -> tuple[str, str, int | None]:
    """Divide the name of a task into suite, task and number of examples.

    Example:
        >>> _task("leaderboard|gsm8k|5|0"), _task("gsm8k|0"), _task("mmlu:anatomy")
        (('leaderboard', 'gsm8k', 5), ('', 'gsm8k', 0), ('', 'mmlu:anatomy', None))
    """
    parts = named.split("|")
    numbers = [part for part in parts if part.isdigit()]
    names = [part for part in parts if not part.isdigit()]
    suite, task = ("", names[0]) if len(names) == 1 else ("|".join(names[:-1]), names[-1])
    return suite, task, int(numbers[0]) if numbers else None


def _split(config: Mapping[str, Json]) -> str | None:
    splits = config.get("evaluation_splits")
    return str(splits[0]) if isinstance(splits, list) and len(splits) == 1 else None


def _metrics(stated: Mapping[str, Json], values: Mapping[str, float]) -> dict[str, ReportedMetric]:
    metrics = {
        name: ReportedMetric(value, stderr=json_text.number(stated.get(f"{name}_stderr")))
        for name, entry in stated.items()
        if not name.endswith("_stderr") and (value := json_text.number(entry)) is not None
    }
    first = [name for name in values if name in metrics]
    return {name: metrics[name] for name in dict.fromkeys([*first, *metrics])}


def _samples(path: Path) -> list[HarnessSample]:
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    try:
        rows = parquet.read_table(path).to_pylist()
    except (OSError, ValueError, arrow.ArrowException) as error:
        raise InputError(f"{path} cannot be read: {one_line(error)}") from error
    make = _structured if rows and rows[0].keys() >= _STRUCTURES else _flat
    return [make(path, place, row) for place, row in enumerate(rows)]


def _structured(path: Path, place: int, row: Mapping[str, Any]) -> HarnessSample:
    doc, response = json_text.mapping(row["doc"]), json_text.mapping(row["model_response"])
    choices = tuple(str(choice) for choice in doc.get("choices") or ())
    thoughts = [thought for thought in response.get("reasonings") or () if isinstance(thought, str)]
    read = response.get("input")
    return _sample(
        path, place,
        texts=response.get("text"), scores=response.get("logprobs"), choices=choices, gold=doc.get("gold_index"),
        prompt=read if isinstance(read, str) else str(doc.get("query") or ""),
        question=str(doc.get("original_query") or doc.get("query") or ""),
        metric=row["metric"],
        row=doc.get("specific"),
        id=str(doc.get("id") or place),
        thought=thoughts[0] if len(thoughts) == 1 else None,
    )  # fmt: skip


def _flat(path: Path, place: int, row: Mapping[str, Any]) -> HarnessSample:
    """Make a sample of a version before 0.10, whose columns are texts of Python values."""
    columns = {name: _value(entry) for name, entry in row.items()}
    gold = columns.get("gold_index", columns.get("gold"))
    choices = tuple(str(choice) for choice in _listed(columns.get("choices")))
    return _sample(
        path, place,
        texts=columns.get("predictions"), scores=columns.get("pred_logits"), choices=choices, gold=gold,
        prompt=str(row.get("full_prompt") or ""), question=str(row.get("example") or ""),
        metric=columns.get("metrics"), row=columns.get("specifics"),
    )  # fmt: skip


def _sample(
    path: Path,
    place: int,
    *,
    texts: Any,
    scores: Any,
    choices: tuple[str, ...],
    gold: Any,
    prompt: str,
    question: str,
    metric: Any,
    row: Any = None,
    thought: str | None = None,
    id: str = "",
) -> HarnessSample:
    values = {str(name): value for name, entry in json_text.mapping(metric).items()
              if (value := json_text.number(entry)) is not None}  # fmt: skip
    likelihoods = tuple(value for entry in _listed(scores) if (value := json_text.number(entry)) is not None)
    is_scored = len(choices) > 1 and len(likelihoods) == len(choices)
    outputs = () if is_scored else tuple(text for text in _listed(texts) if isinstance(text, str))
    if not values and not outputs and not is_scored:
        raise InputError(f"{path}, row {place}: it has neither outputs nor scores: {shorten(metric)}")
    return HarnessSample(
        id=id or str(place),
        position=place,
        outputs=outputs,
        question=question or prompt,
        prompt=prompt,
        target=_target(choices, gold, is_scored=is_scored),
        choices=choices if is_scored else (),
        log_likelihoods=likelihoods if is_scored else (),
        values=values,
        row=row if isinstance(row, dict) and row else None,
        thought=thought,
        failure=None if outputs or is_scored else "the log has no output",
    )


def _target(choices: Sequence[str], gold: Any, *, is_scored: bool) -> Json:
    """Return the right answer: the number of a continuation, or the text of the gold answer."""
    indices = [entry for entry in _listed(gold) if isinstance(entry, int) and not isinstance(entry, bool)]
    if is_scored:
        return indices[0] if len(indices) == 1 else list(indices)
    texts = [choices[index] for index in indices if 0 <= index < len(choices)] or list(_listed(gold))
    return texts[0] if len(texts) == 1 else texts


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else () if value is None else [value]


def _value(entry: Any) -> Any:
    """Read a Python value that was written as text; any other text stays one."""
    if not isinstance(entry, str) or entry[:1] not in "[{('\"":
        return entry
    try:
        return ast.literal_eval(entry)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return entry
