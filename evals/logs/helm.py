"""Read a run folder of HELM: `benchmark_output/runs/<suite>/<name of the run>/`.

    run_spec.json             name, scenario, adapter (model, examples, generation settings)
    scenario_state.json       a list `request_states`: instance, request with its prompt, completions
    per_instance_stats.json   the scores of each instance
    stats.json                the metrics of the run

(helm/benchmark/runner.py, 0.5.16; the types are `RequestState`, `PerInstanceStats` and `Stat`.) Perturbed instances and
further draws of examples are other questions: only the first trial of the unperturbed instances is read.

With the methods `multiple_choice_separate_*` each choice is a request of its own, which the server echoes with the
log-probability of each token. Those of the choice are the last ones. `original` takes the choice with the highest
log-probability per token, `calibrated` the one that gains most over a second request, `Answer:` with the choice
(helm/benchmark/metrics/basic_metrics.py, `BasicReferenceMetric`); the statistic `predicted_index` says which it was.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals.errors import InputError
from evals.logs import json_text
from evals.logs.harness_run import UNKNOWN, HarnessRun, HarnessSample, ReportedMetric, lacking, unique
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
_CALIBRATED = "multiple_choice_separate_calibrated"
_PREDICTED = "predicted_index"
_UNTOLD = "(the log does not say which choice was taken)"
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
    method = str(adapter.get("method"))
    samples = _of_split(unique(_samples(folder, state, _values(folder), method), folder / "scenario_state.json"))
    shots = adapter.get("max_train_instances")
    return HarnessRun(
        harness="HELM",
        version=None,
        task=(json_text.text(spec.get("name")) or folder.name).partition(":")[0],
        model=json_text.text(adapter.get("model")) or UNKNOWN,
        samples=samples,
        metrics=_metrics(folder, samples),
        lacks=lacking(len(samples), _stated(folder, samples[0].labels.get("split"))),
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
    folder: Path, state: Mapping[str, Json], values: Mapping[str, dict[str, float]], method: str
) -> Iterator[HarnessSample]:
    requests: dict[str, list[Mapping[str, Json]]] = {}
    states = state.get("request_states")
    for entry in map(json_text.mapping, states if isinstance(states, list) else []):
        instance = json_text.mapping(entry.get("instance"))
        if instance.get("perturbation") is None and entry.get("train_trial_index", 0) == 0:
            requests.setdefault(str(instance.get("id")), []).append(entry)
    for place, (id, entries) in enumerate(requests.items()):
        yield _sample(folder, place, id, entries, values.get(id, {}), method)


def _sample(
    folder: Path, place: int, id: str, entries: Sequence[Mapping[str, Json]], values: Mapping[str, float], method: str
) -> HarnessSample:
    first = next((entry for entry in entries if entry.get("request_mode") != "calibration"), entries[0])
    instance = json_text.mapping(first.get("instance"))
    stated = instance.get("references")
    references = [json_text.mapping(reference) for reference in (stated if isinstance(stated, list) else [])]
    texts = [str(json_text.mapping(reference.get("output")).get("text", "")) for reference in references]
    right = [number for number, reference in enumerate(references) if "correct" in (reference.get("tags") or [])]
    is_scored = first.get("reference_index") is not None
    scored = _scored(folder, id, entries, texts, values, method) if is_scored else _Scored()
    is_untold = is_scored and scored.taken is None
    completions = json_text.mapping(first.get("result")).get("completions")
    written = completions if isinstance(completions, list) and not is_scored else []
    split = instance.get("split")
    return HarnessSample(
        id=id,
        position=place,
        outputs=(_UNTOLD,) if is_untold else tuple(str(json_text.mapping(entry).get("text", "")) for entry in written),
        question=str(json_text.mapping(instance.get("input")).get("text", "")),
        prompt=str(json_text.mapping(first.get("request")).get("prompt", "")),
        target=right[0] if is_scored and len(right) == 1 else [texts[number] for number in right],
        choices=tuple(texts) if is_scored and not is_untold else (),
        log_likelihoods=() if is_untold else scored.log_likelihoods,
        taken=scored.taken,
        values={name: value for name, value in values.items() if name not in _COSTS and not _is_count(name)},
        labels={"split": split} if isinstance(split, str) else {},
        failure=None if written or is_scored else "the log has no output",
        truncated=values.get("finish_reason_length", 0.0) == 1.0,
        cost={ours: values[theirs] for theirs, ours in _COSTS.items() if theirs in values},
    )


@dataclass(frozen=True, slots=True)
class _Scored:
    """The choices of an instance as they were scored."""

    log_likelihoods: tuple[float, ...] = ()
    """Empty where the log does not have the log-probabilities of the choices' tokens."""
    taken: int | None = None
    """The choice that HELM took."""


def _scored(
    folder: Path,
    id: str,
    entries: Sequence[Mapping[str, Json]],
    texts: Sequence[str],
    values: Mapping[str, float],
    method: str,
) -> _Scored:
    """Read the scores of an instance's choices, and which one HELM took."""
    by_mode: dict[str, dict[int, tuple[float, int] | None]] = {}
    for entry in entries:
        index, completion = entry.get("reference_index"), _completion(entry)
        if not isinstance(index, int) or not 0 <= index < len(texts) or completion is None:
            raise InputError(f"{folder}: instance {id} has a request without an answer, or for no reference")
        by_mode.setdefault(str(entry.get("request_mode") or "original"), {})[index] = _of_choice(
            completion, texts[index]
        )
    original = [by_mode.get("original", {}).get(index) for index in range(len(texts))]
    if set(by_mode.get("original", {})) != set(range(len(texts))):
        raise InputError(f"{folder}: instance {id} has {len(entries)} requests for {len(texts)} references")
    known = [entry for entry in original if entry is not None]
    if len(known) < len(texts):
        known = []
    stated = values.get(_PREDICTED)
    if stated is not None and stated in range(len(texts)):
        return _Scored(tuple(score for score, _ in known), int(stated))
    without = [by_mode.get("calibration", {}).get(index) for index in range(len(texts))]
    return _Scored(tuple(score for score, _ in known), _taken(known, without, method))


def _taken(known: Sequence[tuple[float, int]], without: Sequence[tuple[float, int] | None], method: str) -> int | None:
    """Return the choice that HELM's method takes; None if the log does not have what it needs."""
    if method == _CALIBRATED:
        gains = [score - alone[0] for (score, _), alone in zip(known, without, strict=False) if alone is not None]
    else:
        gains = [score / count for score, count in known]
    return max(range(len(gains)), key=gains.__getitem__) if gains and len(gains) == len(without) else None


def _of_choice(completion: Mapping[str, Json], text: str) -> tuple[float, int] | None:
    """Return the log-probability of a choice, and its number of tokens: the last ones, which spell it.

    Example:
        >>> tokens = [("Q:", -9.0), (" Os", -1.0), ("lo", -0.5)]
        >>> _of_choice({"tokens": [{"text": text, "logprob": score} for text, score in tokens]}, "Oslo")
        (-1.5, 2)
    """
    tokens = completion.get("tokens")
    spelt = ""
    scores: list[float] = []
    for token in map(json_text.mapping, reversed(tokens if isinstance(tokens, list) else [])):
        score = json_text.number(token.get("logprob"))
        if score is None:
            return None
        spelt = f"{token.get('text', '')}{spelt}"
        scores.append(score)
        if spelt.strip() == text.strip():
            return math.fsum(scores), len(scores)
        if not text.strip().endswith(spelt.strip()):
            return None
    return None


def _completion(entry: Mapping[str, Json]) -> Mapping[str, Json] | None:
    completions = json_text.mapping(entry.get("result")).get("completions")
    return json_text.mapping(completions[0]) if isinstance(completions, list) and completions else None


def _is_count(name: str) -> bool:
    """Return whether a statistic describes the request, not the answer.

    Example:
        >>> _is_count("num_references"), _is_count("finish_reason_stop"), _is_count("exact_match")
        (True, True, False)
    """
    return name.startswith(
        ("num_", "finish_reason_", "max_prob", "predicted_index", "training_", "inference_", "batch_", "prompt_trunc")
    )


def _stated(folder: Path, split: str | None) -> int:
    """Return the number of instances of the split that were evaluated; 0 where the statistics do not say it."""
    for stat in _objects(folder, "stats.json"):
        named, count = json_text.mapping(stat.get("name")), json_text.number(stat.get("mean"))
        is_whole = named.get("perturbation") is None and named.get("split") in (None, split)
        if named.get("name") == "num_instances" and is_whole and count is not None:
            return round(count)
    return 0


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
            if any(name in sample.values for sample in samples):
                metrics[name] = ReportedMetric(value, n=len(samples) if isinstance(count, int) else None)
    order = {name: place for place, name in enumerate(_HEADLINES)}
    return dict(sorted(metrics.items(), key=lambda item: order.get(item[0], len(order))))
