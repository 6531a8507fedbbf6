"""Read the logs of Inspect: `.eval` files, which are zip archives, and its JSON files.

    header.json                 task, model, data set, settings, and the results of each scorer
    samples/<id>_epoch_<n>.json one sample: input, target, messages, output, scores

(src/inspect_ai/log/_recorders/eval.py; the types are `EvalLog` and `EvalSample` of src/inspect_ai/log/_log.py; scores
become numbers as `value_to_float` of src/inspect_ai/scorer/_metric.py says.) A JSON file is the header with a list
`samples`. Long texts stand apart, in `attachments` of a sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from evals.errors import InputError, shorten
from evals.logs import inspect_ai_archive, json_text
from evals.logs.harness_run import UNKNOWN, HarnessRun, HarnessSample, ReportedMetric, lacking, unique
from evals.schema import Json

_GRADES = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
_WORDS = {"yes": 1.0, "true": 1.0, "correct": 1.0, "no": 0.0, "false": 0.0, "incorrect": 0.0}
_ATTACHMENT = "attachment://"
_SETTINGS = ("temperature", "top_p", "top_k", "max_tokens", "seed", "stop_seqs", "system_message", "num_choices")
_MEANS = frozenset({"accuracy", "mean"})


def is_log(path: Path) -> bool:
    """Return whether a file is one of these logs, by its name and, for JSON, its fields."""
    if path.suffix == ".eval":
        return path.is_file()
    if path.suffix != ".json" or not path.is_file():
        return False
    content = json_text.read(path)
    return isinstance(content, dict) and isinstance(content.get("eval"), dict) and "plan" in content


def read(paths: Sequence[Path]) -> list[HarnessRun]:
    """Read one run from each file. Raises `InputError` if one is malformed, or holds no samples."""
    return [_run(path) for path in paths]


def _run(path: Path) -> HarnessRun:
    if path.suffix == ".eval":
        header, samples = inspect_ai_archive.read(path)
    else:
        header = json_text.read_object(path)
        stated = header.get("samples")
        samples = [json_text.mapping(sample) for sample in stated] if isinstance(stated, list) else []
    spec = json_text.mapping(header.get("eval"))
    if not samples:
        raise InputError(f"{path} holds no samples: Inspect writes them unless --no-log-samples is given")
    data, config = json_text.mapping(spec.get("dataset")), json_text.mapping(spec.get("config"))
    generation = {
        **json_text.mapping(json_text.mapping(header.get("plan")).get("config")),
        **json_text.mapping(spec.get("model_generate_config")),
    }
    arguments = json_text.mapping(spec.get("task_args"))
    shots, status = arguments.get("fewshot"), header.get("status")
    lacks, whole = _lacking(header, len(samples)), data.get("samples")
    packages = {name: str(version) for name, version in json_text.mapping(spec.get("packages")).items()}
    return HarnessRun(
        harness="inspect_ai",
        version=packages.get("inspect_ai"),
        task=json_text.text(spec.get("task")) or "unknown",
        model=json_text.text(spec.get("model")) or UNKNOWN,
        samples=unique(_samples(path, samples), path),
        metrics=_metrics(header),
        files=[path],
        shots=shots if isinstance(shots, int) and not isinstance(shots, bool) else None,
        date=json_text.text(spec.get("created")),
        data={
            **{key: data[key] for key in ("name", "location", "shuffled") if data.get(key) is not None},
            **({"samples_in_split": whole} if isinstance(whole, int) else {}),
        },
        protocol={
            **{key: generation[key] for key in _SETTINGS if generation.get(key) is not None},
            **{key: config[key] for key in ("limit", "epochs", "epochs_reducer") if config.get(key) is not None},
            **({"task_args": dict(arguments)} if arguments else {}),
            **({"task_version": spec["task_version"]} if spec.get("task_version") is not None else {}),
            **({"solvers": solvers} if (solvers := _solvers(header)) else {}),
            **({"status": status} if status != "success" else {}),
        },
        packages={name: version for name, version in packages.items() if name != "inspect_ai"},
        lacks=lacks,
    )


def _lacking(header: Mapping[str, Json], held: int) -> str:
    """Say how many of its samples a log lacks: of all, or of those that its limit or its ids chose."""
    spec, results = json_text.mapping(header.get("eval")), json_text.mapping(header.get("results"))
    data, config = json_text.mapping(spec.get("dataset")), json_text.mapping(spec.get("config"))
    if results.get("early_stopping") is not None:
        return ""
    epochs = max(_count(config.get("epochs")), 1)
    # Inspect's `total_samples` counts each epoch
    stated = max(_chosen(data, config) * epochs, _count(results.get("total_samples")))
    return lacking(held, stated, ", each epoch counted" if epochs > 1 else "")


def _chosen(data: Mapping[str, Json], config: Mapping[str, Json]) -> int:
    """Return how many samples of the data were to be evaluated; 0 where ids may be patterns."""
    ids, limit = data.get("sample_ids"), config.get("limit")
    rows = len(set(map(repr, ids))) if isinstance(ids, list) else _count(data.get("samples"))
    if config.get("sample_id") is not None:
        return 0
    if isinstance(limit, list) and len(limit) == 2:
        return max(min(_count(limit[1]), rows) - _count(limit[0]), 0)
    return rows if limit is None else min(_count(limit), rows)


def _count(value: Json) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _solvers(header: Mapping[str, Json]) -> list[Json]:
    steps = json_text.mapping(header.get("plan")).get("steps")
    return [json_text.mapping(step).get("solver") for step in steps] if isinstance(steps, list) else []


def _metrics(header: Mapping[str, Json]) -> dict[str, ReportedMetric]:
    """Read the metrics of the scorers: the mean of a scorer has its name, the others follow a slash.

    A score of several values has one entry for each; of several reducers of epochs, all but the mean are named too.
    """
    scores = json_text.mapping(header.get("results")).get("scores")
    metrics: dict[str, ReportedMetric] = {}
    for entry in scores if isinstance(scores, list) else []:
        score = json_text.mapping(entry)
        stated = json_text.mapping(score.get("metrics"))
        numbers = {
            name: value
            for name, metric in stated.items()
            if (value := json_text.number(json_text.mapping(metric).get("value"))) is not None
        }
        name, origin, reducer = (str(score.get(key) or "") for key in ("name", "scorer", "reducer"))
        scorer = name if origin in ("", name) else f"{origin}/{name}"
        scorer += f"/{reducer}" if reducer not in ("", "mean") else ""
        mean = next((name for name in numbers if name in _MEANS), None)
        for name, value in sorted(numbers.items(), key=lambda item: item[0] != mean):
            if name == mean:
                metrics[scorer] = ReportedMetric(value, stderr=numbers.get("stderr"))
            elif name != "stderr" or mean is None:
                metrics[f"{scorer}/{name}"] = ReportedMetric(value)
    return metrics


def _samples(path: Path, entries: Sequence[Mapping[str, Json]]) -> Iterator[HarnessSample]:
    """Yield one sample for each id; its epochs are its outputs, and its values their means."""
    by_id: dict[tuple[str, bool], list[Mapping[str, Json]]] = {}
    for entry in entries:
        by_id.setdefault((str(entry.get("id")), isinstance(entry.get("id"), int)), []).append(entry)
    texts = {id for id, is_number in by_id if not is_number}
    for place, (key, epochs) in enumerate(sorted(by_id.items(), key=lambda item: _order(*item[0]))):
        if key[1] and key[0] in texts:
            raise InputError(f"{path} has samples with the id {key[0]} as a number and as a text")
        ordered = sorted(epochs, key=_epoch)
        if len(set(map(_epoch, epochs))) < len(epochs):
            raise InputError(
                f"{path}: sample {key[0]!r} comes twice in one epoch; each sample of an epoch has one entry"
            )
        yield _sample(path, key[0], place, ordered)


def _epoch(entry: Mapping[str, Json]) -> float:
    return json_text.number(entry.get("epoch")) or 0


def _order(id: str, is_number: bool) -> tuple[bool, int, str]:
    """Order samples by their ids: numbers by their size, before texts."""
    return not is_number, int(id) if is_number else 0, id


def _sample(path: Path, id: str, position: int, epochs: Sequence[Mapping[str, Json]]) -> HarnessSample:
    first = epochs[0]
    texts = [_completion(epoch) for epoch in epochs]
    stopped = next((_failure(epoch) for epoch in epochs if _is_stopped(epoch)), None)
    written = [text for text, _ in texts if text is not None] if stopped is None else []
    failures = [stopped, *map(_failure, epochs)]
    if written and len(written) < len(epochs):
        raise InputError(f"{path}, sample {id}: {len(epochs) - len(written)} of {len(epochs)} epochs have no output")
    values = [_values(epoch) for epoch in epochs]
    names = [name for name in values[0] if all(name in named for named in values)]
    metadata = json_text.mapping(first.get("metadata"))
    return HarnessSample(
        id=id,
        position=position,
        outputs=tuple(written),
        question=_question(first),
        prompt=_prompt(first),
        target=first.get("target"),
        values={name: sum(named[name] for named in values) / len(values) for name in names},
        answers={
            name: json_text.mapping(score).get("answer")
            for name, score in json_text.mapping(first.get("scores")).items()
        },
        row=metadata or None,
        thought=texts[0][1] if len(texts) == 1 else None,
        failure=None if written else next(filter(None, failures), "the log has no output"),
        truncated=any(_stop_reason(epoch) in {"max_tokens", "model_length"} for epoch in epochs),
        cost=_cost(epochs),
    )


def _values(epoch: Mapping[str, Json]) -> dict[str, float]:
    """Return the scores of one epoch as numbers; of a score with several values each is named after the scorer."""
    values: dict[str, float] = {}
    for scorer, score in json_text.mapping(epoch.get("scores")).items():
        value = json_text.mapping(score).get("value")
        entries = [(f"{scorer}/{key}", entry) for key, entry in value.items()] if isinstance(value, dict) else []
        for name, entry in entries or [(scorer, value)]:
            number = _as_number(entry)
            if number is not None:
                values[name] = number
    return values


def _as_number(value: Json) -> float | None:
    """Return a score as a number, as Inspect's `value_to_float` does; None for other texts.

    Example:
        >>> _as_number("C"), _as_number("P"), _as_number("No"), _as_number("0.25"), _as_number("unclear")
        (1.0, 0.5, 0.0, 0.25, None)
    """
    if isinstance(value, str):
        return _GRADES.get(value, _WORDS.get(value.lower(), json_text.number(value)))
    return json_text.number(value)


def _completion(epoch: Mapping[str, Json]) -> tuple[str | None, str | None]:
    """Return what the model wrote at the end, and what it thought before."""
    choices = json_text.mapping(epoch.get("output")).get("choices")
    if not isinstance(choices, list) or not choices:
        return None, None
    content = json_text.mapping(json_text.mapping(choices[0]).get("message")).get("content")
    thoughts = [
        _attached(part.get("reasoning"), epoch)
        for part in (content if isinstance(content, list) else [])
        if isinstance(part, dict) and part.get("type") == "reasoning"
    ]
    return _text(content, epoch), "\n".join(thoughts) or None


def _text(content: Json, epoch: Mapping[str, Json]) -> str:
    """Return the text of a message's content, which is a text or a list of parts."""
    if isinstance(content, str):
        return _attached(content, epoch)
    parts = content if isinstance(content, list) else []
    return "".join(
        _attached(part.get("text"), epoch) for part in parts if isinstance(part, dict) and part.get("type") == "text"
    )


def _attached(text: Json, epoch: Mapping[str, Json]) -> str:
    """Return a text, or the attachment that it names."""
    if not isinstance(text, str):
        return ""
    if text.startswith(_ATTACHMENT):
        attached = json_text.mapping(epoch.get("attachments")).get(text.removeprefix(_ATTACHMENT))
        return attached if isinstance(attached, str) else text
    return text


def _question(epoch: Mapping[str, Json]) -> str:
    """Return the sample's input, or its last message of the user."""
    stated = epoch.get("input")
    if not isinstance(stated, list):
        return _text(stated, epoch)
    asked = [message for message in map(json_text.mapping, stated) if message.get("role") == "user"]
    return _text(asked[-1].get("content"), epoch) if asked else ""


def _prompt(epoch: Mapping[str, Json]) -> str:
    """Return the messages before the last answer, with their roles if there are several."""
    messages = epoch.get("messages")
    listed = [json_text.mapping(message) for message in messages] if isinstance(messages, list) else []
    while listed and listed[-1].get("role") == "assistant":
        listed.pop()
    texts = [(str(message.get("role")), _text(message.get("content"), epoch)) for message in listed]
    if len(texts) == 1:
        return texts[0][1]
    return "\n\n".join(f"{role}: {text}" for role, text in texts) or _question(epoch)


def _is_stopped(epoch: Mapping[str, Json]) -> bool:
    """Return whether an error ended an epoch before it was scored: what the model wrote until then is no answer."""
    return epoch.get("error") is not None and not json_text.mapping(epoch.get("scores"))


def _failure(epoch: Mapping[str, Json]) -> str | None:
    """Return the message of the error that ended an epoch; None if there was none."""
    error = epoch.get("error")
    if error is None:
        return None
    message = error if isinstance(error, str) else json_text.mapping(error).get("message")
    return (
        shorten(message) if isinstance(message, str) and message.strip() else "the log has an error without a message"
    )


def _stop_reason(epoch: Mapping[str, Json]) -> Json:
    choices = json_text.mapping(epoch.get("output")).get("choices")
    return json_text.mapping(choices[0]).get("stop_reason") if isinstance(choices, list) and choices else None


def _cost(epochs: Sequence[Mapping[str, Json]]) -> dict[str, float]:
    """Return the tokens that the model read and wrote."""
    cost: dict[str, float] = {}
    for epoch in epochs:
        for usage in map(json_text.mapping, json_text.mapping(epoch.get("model_usage")).values()):
            for name, key in (("prompt_tokens", "input_tokens"), ("new_tokens", "output_tokens")):
                count = json_text.number(usage.get(key))
                if count is not None:
                    cost[name] = cost.get(name, 0) + count
    return cost
