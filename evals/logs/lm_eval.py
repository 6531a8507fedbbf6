"""Read the logs of lm-evaluation-harness and of lmms-eval, which writes the same with its own names of files.

    results_<date>.json                   one per command: metrics and settings of all its tasks
    <name>_<date>.json                    the same, where `--output_path` is the name of a file
    samples_<task>_<date>.jsonl           one per task, with `--log_samples`: one line per sample and filter
    <date>_results.json, <date>_samples_<task>.jsonl      the same of lmms-eval

A line of samples (lm_eval/loggers/evaluation_tracker.py, `save_results_samples`; the fields are made in
lm_eval/evaluator.py, `evaluate`; read at 0.4.13, older ones have no `filter` and `metrics`):

    {"doc_id": 0, "doc": {…the row…}, "target": "1", "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": …}, …},
     "resps": [[["-46.9", "False"]], …], "filtered_resps": […], "filter": "none", "metrics": ["acc"], "acc": 1.0}

`resps` has a list of repetitions for each request: texts, or pairs of log-likelihood and whether it is the greedy one.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evals.errors import InputError, shorten
from evals.logs import json_text, lm_eval_requests
from evals.logs.harness_run import UNKNOWN, HarnessRun, HarnessSample, ReportedMetric, lacking, unique
from evals.schema import Json

_DATE = r"\d{4}-?\d{2}-?\d{2}[T_]\d{2}-?\d{2}-?\d{2}(?:\.\d+)?"
_RESULTS = re.compile(rf"results(?:_(?P<date>{_DATE}))?\.json|(?P<other>{_DATE})_results\.json")
_RESULTS_OF_A_NAME = re.compile(rf".+_(?P<date>{_DATE})\.json")
"""`--output_path out/mine.json` writes `out/mine_<date>.json`."""
_SAMPLES = re.compile(
    rf"samples_(?P<task>.+?)(?:_(?P<date>{_DATE}))?\.jsonl|(?P<other>{_DATE})_samples_(?P<of>.+)\.jsonl"
)
_NOT_SCORES = frozenset(
    {"doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash", "prompt_hash",
     "target_hash", "input", "token_counts", "submission", "schema_id"}
)  # fmt: skip
_PROTOCOL = ("doc_to_text", "doc_to_target", "doc_to_choice", "description", "target_delimiter", "fewshot_delimiter",
             "generation_kwargs", "output_type", "repeats", "filter_list", "process_docs",
             "fewshot_config")  # fmt: skip
_PLACEHOLDER = "bypass"
"""The metric of `--predict_only`, whose value says nothing."""
_NO_VALUES = frozenset({_PLACEHOLDER, "perplexity"})
"""What is no score of a sample: of perplexity, a line has the log-likelihood, which is kept as such."""
_SETTINGS = ("gen_kwargs", "limit", "random_seed", "numpy_seed", "torch_seed", "fewshot_seed", "batch_size")
_CHAT = ("system_instruction", "chat_template_sha", "fewshot_as_multiturn")


@dataclass(frozen=True, slots=True)
class _Name:
    """What the name of a file says."""

    kind: str
    date: str
    task: str = ""


def _name(path: Path) -> _Name | None:
    """Read the name of a file; None if it is none of this harness."""
    if match := _RESULTS.fullmatch(path.name):
        return _Name("results", match["date"] or match["other"] or "")
    if match := _SAMPLES.fullmatch(path.name):
        return _Name("samples", match["date"] or match["other"] or "", match["task"] or match["of"])
    if match := _RESULTS_OF_A_NAME.fullmatch(path.name):
        return _Name("results", match["date"])
    return None


def is_log(path: Path) -> bool:
    """Return whether a file is one of these logs, by its name and its first object.

    Example:
        >>> is_log(Path("/nowhere/report.json"))
        False
    """
    name = _name(path)
    if name is None or not path.is_file():
        return False
    if name.kind == "results":
        content = json_text.read(path)
        return isinstance(content, dict) and isinstance(content.get("results"), dict) and "configs" in content
    first = next(json_text.lines(path), None)
    return first is not None and "doc_id" in first[1] and ("resps" in first[1] or "filtered_resps" in first[1])


def has_name(path: Path) -> bool:
    """Return whether a file has the name of one of these logs.

    Example:
        >>> has_name(Path("samples_rte_2026-11-28T09-33-37.7.jsonl")), has_name(Path("notes.json"))
        (True, False)
    """
    return _RESULTS.fullmatch(path.name) is not None or _SAMPLES.fullmatch(path.name) is not None


def pieces(paths: Sequence[Path]) -> list[list[Path]]:
    """Divide files into the samples of one task with the results of their folder and date.

    Results alone stand for the samples beside them. Results that name a task whose samples are missing are a piece too.
    """
    named = [(path, name) for path in paths if (name := _name(path)) is not None]
    results = {(path.parent, name.date): path for path, name in named if name.kind == "results"}
    samples = {path: name for path, name in named if name.kind == "samples"}
    alone = results.keys() - {(path.parent, name.date) for path, name in samples.items()}
    samples |= {path: name for place in sorted(alone) for path, name in _samples_beside(*place).items()}
    parts: list[list[Path]] = []
    for path, name in samples.items():
        beside = results.get((path.parent, name.date)) or _beside(path, name)
        parts.append([path, *([beside] if beside else [])])
    return parts + [[path] for (_, date), path in results.items() if _without_samples(path, date)]


def _samples_beside(folder: Path, date: str) -> dict[Path, _Name]:
    """Return the files of samples of one date in a folder."""
    named = {path: _name(path) for path in sorted(folder.iterdir())}
    return {path: name for path, name in named.items() if name and name.kind == "samples" and name.date == date}


def _without_samples(results_path: Path, date: str) -> list[str]:
    """Return the tasks of some results that have no file of samples; a group has none, as its tasks have them."""
    there = {name.task for name in _samples_beside(results_path.parent, date).values()}
    try:
        content = json_text.mapping(json_text.read(results_path))
    except InputError:
        return [] if there else ["any task"]  # what is wrong with it is said where it is read with its samples
    members = json_text.mapping(content.get("group_subtasks"))
    groups = {*json_text.mapping(content.get("groups")), *(name for name, tasks in members.items() if tasks)}
    tasks = {*json_text.mapping(content.get("results"))} - groups
    missing = sorted(tasks - there) if len(tasks) > len(there) else []  # a file may be named after its own task
    return missing or ([] if there else ["any task"])


def read(paths: Sequence[Path]) -> list[HarnessRun]:
    """Read the run of one piece: a file of samples, with the results of its folder and date where there are some.

    Raises:
        InputError: a file is malformed, or results name a task that has no samples.
    """
    samples, *results = paths
    name = _name(samples)
    assert name is not None
    if name.kind == "results":
        raise InputError(
            f"{samples} has no samples of {', '.join(_without_samples(samples, name.date))} beside it "
            f"(samples_<task>_{name.date}.jsonl): lm-eval writes them with --log_samples; without them there is "
            f"nothing to score or to compare"
        )
    return [_run(samples, name.task, results[0] if results else None)]


def _beside(path: Path, name: _Name) -> Path | None:
    """Find results of the same date beside a file of samples, which were not named."""
    date = f"_{name.date}" if name.date else ""
    named = [path.with_name(f"results{date}.json"), path.with_name(f"{name.date}_results.json")]
    named += sorted(path.parent.glob(f"*{glob.escape(date)}.json")) if date else []
    return next((candidate for candidate in named if candidate.is_file() and is_log(candidate)), None)


def _run(path: Path, task: str, results_path: Path | None) -> HarnessRun:
    results = {} if results_path is None else json_text.read_object(results_path)
    samples = unique(_samples(path), path)
    config = json_text.mapping(json_text.mapping(results.get("configs")).get(task))
    settings = json_text.mapping(results.get("config"))
    counts = json_text.mapping(json_text.mapping(results.get("n-samples")).get(task))
    is_lmms = "lmms_eval_version" in results or (results_path or path).name.endswith("_results.json")
    version = results.get("lmms_eval_version" if is_lmms else "lm_eval_version")
    whole, stated = counts.get("original"), counts.get("effective")
    return HarnessRun(
        harness="lmms-eval" if is_lmms else "lm-eval",
        version=json_text.text(version),
        task=task,
        model=_model(results, settings),
        samples=samples,
        metrics=_metrics(results, task, samples),
        files=[path, *([results_path] if results_path else [])],
        split=json_text.text(config.get("test_split")) or json_text.text(config.get("validation_split")),
        shots=_shots(results, config, task),
        date=_date(results, path),
        data={
            **{key: config[key] for key in ("dataset_path", "dataset_name") if config.get(key) is not None},
            **({"samples_in_split": whole} if isinstance(whole, int) else {}),
        },
        protocol={
            **{key: config[key] for key in _PROTOCOL if config.get(key) not in (None, "", [])},
            **{key: settings[key] for key in _SETTINGS if settings.get(key) not in (None, "", {}, [])},
            **{key: results[key] for key in _CHAT if results.get(key) is not None},
            **({"task_version": version} if (version := _version(results, task)) is not None else {}),
        },
        machine={"device": settings["device"]} if settings.get("device") else {},
        packages=_packages(results),
        lacks=lacking(len(samples), stated if isinstance(stated, int) else 0),
    )


def _model(results: Mapping[str, Json], settings: Mapping[str, Json]) -> str:
    arguments = settings.get("model_args")
    named = json_text.text(results.get("model_name"))
    if named:
        return named
    if isinstance(arguments, dict):
        named = json_text.text(arguments.get("pretrained")) or json_text.text(arguments.get("model"))
    elif isinstance(arguments, str) and (match := re.search(r"(?:^|,)(?:pretrained|model)=([^,]+)", arguments)):
        named = match[1]
    return named or json_text.text(settings.get("model")) or UNKNOWN


def _shots(results: Mapping[str, Json], config: Mapping[str, Json], task: str) -> int | None:
    stated = json_text.mapping(results.get("n-shot")).get(task, config.get("num_fewshot"))
    return stated if isinstance(stated, int) and not isinstance(stated, bool) else None


def _version(results: Mapping[str, Json], task: str) -> Json:
    return json_text.mapping(results.get("versions")).get(task)


def _date(results: Mapping[str, Json], path: Path) -> str | None:
    name = _name(path)
    stated = results.get("date")
    return (name.date if name and name.date else None) or (str(stated) if stated is not None else None)


def _packages(results: Mapping[str, Json]) -> dict[str, str]:
    """Return the versions of the libraries that the log names."""
    packages = {"transformers": results.get("transformers_version")}
    environment = json_text.text(results.get("pretty_env_info")) or ""
    if match := re.search(r"^PyTorch version: (\S+)", environment, re.MULTILINE):
        packages["torch"] = match[1]
    return {name: version for name, version in packages.items() if isinstance(version, str)}


def _metrics(results: Mapping[str, Json], task: str, samples: Sequence[HarnessSample]) -> dict[str, ReportedMetric]:
    """Read the metrics of a task, named `<metric>,<filter>`; those that samples have come first, in their order."""
    stated = json_text.mapping(json_text.mapping(results.get("results")).get(task))
    directions = json_text.mapping(json_text.mapping(results.get("higher_is_better")).get(task))
    metrics = {}
    for key, entry in stated.items():
        metric, comma, chosen = key.partition(",")
        value = json_text.number(entry)
        if value is None or not comma or metric == _PLACEHOLDER or metric.endswith("_stderr") or "_stderr_" in metric:
            continue
        direction = directions.get(metric)
        metrics[_named(metric, chosen)] = ReportedMetric(
            value,
            stderr=json_text.number(stated.get(f"{metric}_stderr,{chosen}")),
            higher_is_better=direction if isinstance(direction, bool) else None,
        )
    first = [name for name in samples[0].values if name in metrics]
    return {name: metrics[name] for name in dict.fromkeys([*first, *metrics])}


def _named(metric: str, chosen: Json) -> str:
    """Return a metric's name with its filter, as the results write it; `none` is no filter.

    Example:
        >>> _named("acc", "none"), _named("exact_match", "strict-match")
        ('acc', 'exact_match,strict-match')
    """
    return metric if chosen in (None, "none", "") else f"{metric},{chosen}"


def _samples(path: Path) -> Iterator[HarnessSample]:
    """Yield one sample for each `doc_id`; the lines of its filters are joined."""
    by_id: dict[str, HarnessSample] = {}
    filters: dict[str, set[str]] = {}
    for number, line in json_text.lines(path):
        where = f"{path}, line {number}"
        sample, chosen = _sample(line, where), str(line.get("filter", "none"))
        if sample.id not in by_id:
            by_id[sample.id], filters[sample.id] = sample, {chosen}
            continue
        before = by_id[sample.id]
        if chosen in filters[sample.id]:
            raise InputError(f"{where}: doc_id {sample.id} comes a second time with filter {chosen!r}")
        if sample.outputs != before.outputs or sample.log_likelihoods != before.log_likelihoods:
            raise InputError(f"{where}: doc_id {sample.id} has other outputs than its line of another filter")
        filters[sample.id].add(chosen)
        by_id[sample.id] = replace(
            before, values={**before.values, **sample.values}, answers={**before.answers, **sample.answers}
        )
    yield from by_id.values()


def _sample(line: Mapping[str, Json], where: str) -> HarnessSample:
    position = line.get("doc_id")
    if not isinstance(position, int) or isinstance(position, bool) or position < 0:
        raise InputError(f"{where}: doc_id is {shorten(position)}, expected a whole number")
    chosen = line.get("filter")
    names = line.get("metrics")
    listed = names if isinstance(names, list) else [name for name in line if name not in _NOT_SCORES]
    values = {
        _named(str(name), chosen): value
        for name in listed
        if name not in _NO_VALUES and (value := json_text.number(line.get(str(name)))) is not None
    }
    asked = lm_eval_requests.read(line, where, [str(name) for name in listed])
    return HarnessSample(
        id=str(position),
        position=position,
        outputs=asked.outputs,
        question=_question(line, asked.prompt),
        prompt=asked.prompt,
        target=line.get("target"),
        choices=asked.choices,
        log_likelihoods=asked.log_likelihoods,
        taken=asked.taken,
        values=values,
        answers={str(chosen or "none"): line.get("filtered_resps")} if asked.outputs else {},
        row=line["doc"] if isinstance(line.get("doc"), dict) else None,
        failure=None if asked.is_complete else "the log has no output, or a score that is no number",
        cost=_cost(line) if asked.further is not None or "token_counts" in line else {},
    )


def _question(line: Mapping[str, Json], prompt: str) -> str:
    """Return the question of a row under one of its usual names, else the prompt."""
    row = json_text.mapping(line.get("doc"))
    names = ("question", "problem", "query", "input", "prompt", "ctx", "goal", "text")
    return next((text for name in names if (text := json_text.text(row.get(name)))), prompt)


def _cost(line: Mapping[str, Json]) -> dict[str, float]:
    """Return the tokens that lmms-eval counts."""
    counts = line.get("token_counts")
    entries = counts if isinstance(counts, list) else [counts]
    written = [json_text.number(json_text.mapping(entry).get("output_tokens")) for entry in entries]
    known = [count for count in written if count is not None]
    return {"new_tokens": sum(known)} if known else {}
