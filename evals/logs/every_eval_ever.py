"""Read the logs of Every Eval Ever, schema 0.3: `<id>.json`, and the samples in a JSON Lines file beside.

    <id>.json            model_info, and evaluation_results: one entry per metric
    <id>_samples.jsonl   one line per sample and metric: input, output, evaluation, linked by `evaluation_id`

(https://github.com/evaleval/every_eval_ever, `eval.schema.json` and `instance_level_eval.schema.json`.) A log without
samples makes a run with its metrics alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from evals.errors import InputError
from evals.logs import json_text
from evals.logs.harness_run import UNKNOWN, HarnessRun, HarnessSample, ReportedMetric, unique
from evals.schema import Json


def is_log(path: Path) -> bool:
    """Return whether a file is one of these logs, by its fields."""
    if not path.is_file() or path.suffix not in {".json", ".jsonl"}:
        return False
    if path.suffix == ".json":
        content = json_text.read(path)
        return isinstance(content, dict) and {"schema_version", "model_info", "evaluation_results"} <= content.keys()
    first = next(json_text.lines(path), None)
    return first is not None and {"schema_version", "sample_id", "evaluation"} <= first[1].keys()


def pieces(paths: Sequence[Path]) -> list[list[Path]]:
    """Leave the files together: samples name their log by its id, not by its file."""
    return [list(paths)] if paths else []


def read(paths: Sequence[Path]) -> list[HarnessRun]:
    """Read one run for each evaluation of each log.

    Raises:
        InputError: a file is malformed, or samples belong to no log that was given.
    """
    lines: dict[str, list[tuple[Path, int, Mapping[str, Json]]]] = {}
    for path in (path for path in paths if path.suffix == ".jsonl"):
        for number, line in json_text.lines(path):
            lines.setdefault(str(line.get("evaluation_id")), []).append((path, number, line))
    runs, known = [], set()
    for path in (path for path in paths if path.suffix == ".json"):
        content = json_text.read_object(path)
        id = str(content.get("evaluation_id"))
        known.add(id)
        runs += _runs(path, content, lines.get(id, []))
    for id, entries in lines.items():
        if id not in known:
            raise InputError(f"{entries[0][0]} has samples of the evaluation {id!r}: its log (.json) is needed too")
    return runs


def _runs(
    path: Path, content: Mapping[str, Json], lines: Sequence[tuple[Path, int, Mapping[str, Json]]]
) -> list[HarnessRun]:
    model, library = json_text.mapping(content.get("model_info")), json_text.mapping(content.get("eval_library"))
    stated = content.get("evaluation_results")
    by_name: dict[str, list[Mapping[str, Json]]] = {}
    for result in map(json_text.mapping, stated if isinstance(stated, list) else []):
        by_name.setdefault(str(result.get("evaluation_name")), []).append(result)
    runs = []
    for name, results in by_name.items():
        lines_of_run = [line for line in lines if len(by_name) == 1 or line[2].get("evaluation_name") == name]
        metrics = {_metric_name(result): _metric(path, result) for result in results}
        samples = unique(_samples(lines_of_run, results), lines_of_run[0][0]) if lines_of_run else []
        data = json_text.mapping(results[0].get("source_data"))
        generation = json_text.mapping(results[0].get("generation_config"))
        more = json_text.mapping(generation.get("additional_details"))
        shots = json_text.number(more.get("shots", more.get("num_fewshot")))
        origin = json_text.text(library.get("name"))
        runs.append(
            HarnessRun(
                harness="Every Eval Ever",
                version=json_text.text(content.get("schema_version")),
                task=name,
                model=json_text.text(model.get("id")) or json_text.text(model.get("name")) or UNKNOWN,
                samples=samples,
                metrics=_first(metrics, samples),
                files=[path, *dict.fromkeys(line[0] for line in lines_of_run)],
                split=json_text.text(data.get("hf_split"))
                or json_text.text(json_text.mapping(data.get("additional_details")).get("split")),
                shots=None if shots is None else int(shots),
                date=str(content["evaluation_timestamp"]) if content.get("evaluation_timestamp") else None,
                data={
                    **{key: data[key] for key in ("dataset_name", "hf_repo", "url") if data.get(key)},
                    **({"selected_by": "the log, of a larger split"} if _is_part(more) else {}),
                },
                protocol={
                    **({"eval_library": f"{origin} {library.get('version', '')}".strip()} if origin else {}),
                    **dict(json_text.mapping(generation.get("generation_args"))),
                    **{key: value for key, value in more.items() if value is not None},
                },
            )
        )
    if not runs:
        raise InputError(f"{path} has no evaluation_results")
    return runs


def _is_part(more: Mapping[str, Json]) -> bool:
    """Return whether the settings say that only some samples were evaluated."""
    return any(more.get(key) not in (None, "", "null", "None") for key in ("limit", "first"))


def _metric_name(result: Mapping[str, Json]) -> str:
    config = json_text.mapping(result.get("metric_config"))
    named = next((config[key] for key in ("metric_name", "metric_id", "metric_kind") if config.get(key)), None)
    return str(named or "score")


def _metric(path: Path, result: Mapping[str, Json]) -> ReportedMetric:
    details = json_text.mapping(result.get("score_details"))
    value = json_text.number(details.get("score"))
    if value is None:
        raise InputError(f"{path}: {_metric_name(result)} of {result.get('evaluation_name')} has no score")
    uncertainty = json_text.mapping(details.get("uncertainty"))
    count, config = uncertainty.get("num_samples"), json_text.mapping(result.get("metric_config"))
    lower_is_better = config.get("lower_is_better")
    return ReportedMetric(
        value,
        stderr=json_text.number(json_text.mapping(uncertainty.get("standard_error")).get("value")),
        higher_is_better=not lower_is_better if isinstance(lower_is_better, bool) else None,
        n=count if isinstance(count, int) and not isinstance(count, bool) else None,
    )


def _first(metrics: Mapping[str, ReportedMetric], samples: Sequence[HarnessSample]) -> Mapping[str, ReportedMetric]:
    """Put the metrics first that samples have."""
    named = [name for sample in samples[:1] for name in sample.values if name in metrics]
    return {name: metrics[name] for name in dict.fromkeys([*named, *metrics])}


def _samples(
    lines: Sequence[tuple[Path, int, Mapping[str, Json]]], results: Sequence[Mapping[str, Json]]
) -> list[HarnessSample]:
    """Return one sample for each id; its lines under several metrics are joined."""
    names = {str(result.get("evaluation_result_id")): _metric_name(result) for result in results}
    by_id: dict[str, HarnessSample] = {}
    for path, number, line in lines:
        id = str(line.get("sample_id"))
        metric = names.get(str(line.get("evaluation_result_id")), next(iter(names.values())))
        value = json_text.number(json_text.mapping(line.get("evaluation")).get("score"))
        if value is None:
            raise InputError(f"{path}, line {number}: sample {id} has no evaluation.score")
        if id not in by_id:
            by_id[id] = _sample(id, len(by_id), line)
        if metric in by_id[id].values:
            raise InputError(f"{path}, line {number}: sample {id} comes a second time under {metric}")
        by_id[id].values = {**by_id[id].values, metric: value}
    return list(by_id.values())


def _sample(id: str, place: int, line: Mapping[str, Json]) -> HarnessSample:
    asked, output = json_text.mapping(line.get("input")), json_text.mapping(line.get("output"))
    written = _texts(output.get("raw"))
    thoughts = _texts(output.get("reasoning_trace"))
    usage = json_text.mapping(line.get("token_usage"))
    counts = {"prompt_tokens": usage.get("input_tokens"), "new_tokens": usage.get("output_tokens")}
    target = _texts(asked.get("reference"))
    error = line.get("error")
    return HarnessSample(
        id=id,
        position=place,
        outputs=written,
        question=str(asked.get("raw") or ""),
        prompt=str(asked.get("formatted") or asked.get("raw") or ""),
        target=target[0] if len(target) == 1 else list(target),
        answers={
            str(entry.get("extraction_method")): entry.get("extracted_value")
            for entry in map(json_text.mapping, line.get("answer_attribution") or [])
        },
        thought=thoughts[0] if len(thoughts) == 1 else None,
        failure=str(error) if error else None if written else "the log has no output",
        cost={name: value for name, count in counts.items() if (value := json_text.number(count)) is not None},
    )


def _texts(value: Json) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(str(entry) for entry in value) if isinstance(value, list) else ()
