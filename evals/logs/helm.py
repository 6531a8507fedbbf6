"""Read a run folder of HELM: `benchmark_output/runs/<suite>/<name of the run>/`.

    run_spec.json             name, scenario, adapter (model, examples, generation settings)
    scenario_state.json       a list `request_states`: instance, request with its prompt, completions
    per_instance_stats.json   the scores of each instance
    stats.json                the metrics of the run

(helm/benchmark/runner.py, 0.5.16; the types are `RequestState`, `PerInstanceStats` and `Stat`.) Perturbed instances and
further draws of examples are other questions: only the first trial of the unperturbed instances is read. With the
method `multiple_choice_separate_*` each choice is a request of its own, whose log-probability is its score.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from evals.errors import InputError
from evals.logs import json_text
from evals.logs.harness_run import HarnessRun, HarnessSample, ReportedMetric, unique
from evals.schema import Json

_FILES = ("run_spec.json", "scenario_state.json", "per_instance_stats.json", "stats.json")
_HEADLINES = (
    "exact_match", "quasi_exact_match", "prefix_exact_match", "quasi_prefix_exact_match", "final_number_exact_match",
    "math_equiv_chain_of_thought", "math_equiv", "chain_of_thought_correctness", "ifeval_strict_accuracy", "f1_score",
    "rouge_2", "bleu_4", "pass", "test_avg",
)  # fmt: skip
"""Names of HELM's main metrics (`main_name` in helm/benchmark/static/schema_*.yaml), the preferred ones first."""
_ADAPTER = ("method", "instructions", "input_prefix", "output_prefix", "temperature", "max_tokens", "stop_sequences",
            "num_outputs", "max_eval_instances", "chain_of_thought_prefix")  # fmt: skip
_COSTS = {"num_prompt_tokens": "prompt_tokens", "num_output_tokens": "new_tokens"}


def is_log(path: Path) -> bool:
    """Return whether a file is one of a run folder of HELM."""
    return path.name in _FILES and path.with_name("run_spec.json").is_file() and _spec(path) is not None


def _spec(path: Path) -> dict[str, Json] | None:
    content = json_text.read(path.with_name("run_spec.json"))
    return content if isinstance(content, dict) and "adapter_spec" in content and "scenario_spec" in content else None


def pieces(paths: Sequence[Path]) -> list[list[Path]]:
    """Divide files by their folders, each of which is a run."""
    folders = dict.fromkeys(path.parent for path in paths)
    return [[path for path in paths if path.parent == folder] for folder in folders]


def read(paths: Sequence[Path]) -> list[HarnessRun]:
    """Read one run from each folder. Raises `InputError` if a file is missing or malformed."""
    return [_run(folder) for folder in dict.fromkeys(path.parent for path in paths)]


def _run(folder: Path) -> HarnessRun:
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise InputError(f"{folder} lacks {', '.join(missing)}, which HELM writes beside run_spec.json")
    spec = json_text.read_object(folder / "run_spec.json")
    adapter, scenario = json_text.mapping(spec.get("adapter_spec")), json_text.mapping(spec.get("scenario_spec"))
    state = json_text.read_object(folder / "scenario_state.json")
    samples = _of_split(unique(_samples(folder, state, _values(folder)), folder / "scenario_state.json"))
    shots = adapter.get("max_train_instances")
    return HarnessRun(
        harness="HELM",
        version=None,
        task=(json_text.text(spec.get("name")) or folder.name).partition(":")[0],
        model=json_text.text(adapter.get("model")) or "unknown",
        samples=samples,
        metrics=_metrics(folder, samples),
        files=[folder / name for name in _FILES],
        split=samples[0].labels.get("split"),
        shots=shots if isinstance(shots, int) else None,
        data={"scenario": scenario.get("class_name"), "args": dict(json_text.mapping(scenario.get("args")))},
        protocol={
            "name": spec.get("name"),
            **{key: adapter[key] for key in _ADAPTER if adapter.get(key) not in (None, "", [])},
        },
    )


def _of_split(samples: list[HarnessSample]) -> list[HarnessSample]:
    """Return the samples of one split: the test split, or the first of several, since each has its own metrics."""
    splits = list(dict.fromkeys(sample.labels.get("split", "") for sample in samples))
    chosen = "test" if "test" in splits else splits[0]
    return [sample for sample in samples if sample.labels.get("split", "") == chosen]


def _objects(folder: Path, name: str) -> list[Mapping[str, Json]]:
    content = json_text.read(folder / name)
    if not isinstance(content, list):
        raise InputError(f"{folder / name} holds a {type(content).__name__}, expected a list")
    return [json_text.mapping(entry) for entry in content]


def _values(folder: Path) -> dict[str, dict[str, float]]:
    """Return the scores of each instance, by its id."""
    values: dict[str, dict[str, float]] = {}
    for entry in _objects(folder, "per_instance_stats.json"):
        if entry.get("perturbation") is not None or entry.get("train_trial_index", 0) != 0:
            continue
        named = values.setdefault(str(entry.get("instance_id")), {})
        stats = entry.get("stats")
        for stat in map(json_text.mapping, stats if isinstance(stats, list) else []):
            name = json_text.mapping(stat.get("name")).get("name")
            value = json_text.number(stat.get("mean", stat.get("sum")))
            if isinstance(name, str) and value is not None:
                named[name] = value
    return values


def _samples(
    folder: Path, state: Mapping[str, Json], values: Mapping[str, dict[str, float]]
) -> Iterator[HarnessSample]:
    requests: dict[str, list[Mapping[str, Json]]] = {}
    states = state.get("request_states")
    for entry in map(json_text.mapping, states if isinstance(states, list) else []):
        instance = json_text.mapping(entry.get("instance"))
        is_other = instance.get("perturbation") is not None or entry.get("train_trial_index", 0) != 0
        if not is_other and entry.get("request_mode") != "calibration":
            requests.setdefault(str(instance.get("id")), []).append(entry)
    for place, (id, entries) in enumerate(requests.items()):
        yield _sample(folder, place, id, entries, values.get(id, {}))


def _sample(
    folder: Path, place: int, id: str, entries: Sequence[Mapping[str, Json]], values: Mapping[str, float]
) -> HarnessSample:
    entries = sorted(entries, key=lambda entry: entry.get("reference_index") or 0)
    first = entries[0]
    instance = json_text.mapping(first.get("instance"))
    stated = instance.get("references")
    references = [json_text.mapping(reference) for reference in (stated if isinstance(stated, list) else [])]
    texts = [str(json_text.mapping(reference.get("output")).get("text", "")) for reference in references]
    right = [number for number, reference in enumerate(references) if "correct" in (reference.get("tags") or [])]
    is_scored = first.get("reference_index") is not None
    completions = [_completion(entry) for entry in entries]
    several = json_text.mapping(first.get("result")).get("completions")
    listed = several if isinstance(several, list) and not is_scored else []
    if is_scored and (len(entries) != len(references) or any(completion is None for completion in completions)):
        raise InputError(f"{folder}: instance {id} has {len(entries)} requests for {len(references)} references")
    written = [str(completion.get("text", "")) for completion in completions if completion is not None]
    scores = [json_text.number(completion.get("logprob")) for completion in completions if completion is not None]
    split = instance.get("split")
    request = json_text.mapping(first.get("request"))
    return HarnessSample(
        id=id,
        position=place,
        outputs=() if is_scored else tuple(str(json_text.mapping(entry).get("text", "")) for entry in listed),
        question=str(json_text.mapping(instance.get("input")).get("text", "")),
        prompt=str(request.get("prompt", "")),
        target=right[0] if is_scored and len(right) == 1 else [texts[number] for number in right],
        choices=tuple(texts) if is_scored else (),
        log_likelihoods=tuple(score for score in scores if score is not None) if is_scored else (),
        values={name: value for name, value in values.items() if name not in _COSTS and not _is_count(name)},
        labels={"split": split} if isinstance(split, str) else {},
        failure=None if written or is_scored else "the log has no output",
        truncated=values.get("finish_reason_length", 0.0) == 1.0,
        cost={ours: values[theirs] for theirs, ours in _COSTS.items() if theirs in values},
    )


def _completion(entry: Mapping[str, Json]) -> Mapping[str, Json] | None:
    completions = json_text.mapping(entry.get("result")).get("completions")
    return json_text.mapping(completions[0]) if isinstance(completions, list) and completions else None


def _is_count(name: str) -> bool:
    """Return whether a statistic describes the request, not the answer.

    Example:
        >>> _is_count("num_references"), _is_count("finish_reason_stop"), _is_count("exact_match")
        (True, True, False)
    """
    return name.startswith(("num_", "finish_reason_", "max_prob", "training_", "inference_", "batch_", "prompt_trunc"))


def _metrics(folder: Path, samples: Sequence[HarnessSample]) -> dict[str, ReportedMetric]:
    """Read the metrics of the split that was evaluated, without perturbations; the main one first."""
    split = samples[0].labels.get("split")
    metrics: dict[str, ReportedMetric] = {}
    for stat in _objects(folder, "stats.json"):
        named = json_text.mapping(stat.get("name"))
        name, value = named.get("name"), json_text.number(stat.get("mean"))
        is_whole = named.get("perturbation") is None and named.get("sub_split") is None
        if isinstance(name, str) and value is not None and is_whole and named.get("split") in (None, split):
            count = stat.get("count")
            if name in samples[0].values:
                metrics[name] = ReportedMetric(value, n=len(samples) if isinstance(count, int) else None)
    order = {name: place for place, name in enumerate(_HEADLINES)}
    return dict(sorted(metrics.items(), key=lambda item: order.get(item[0], len(order))))
