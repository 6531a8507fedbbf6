"""What is published of a run in its model's repository on the hub: a result of the card, and a leaderboard's entry.

Only complete runs of public models on whole public benchmarks are published. An entry says which suite made it, so that
a later run of the same protocol replaces it, and entries of others are never touched. It claims no verification.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

from evals.errors import InputError, counted
from evals.records.folder import Record
from evals.reports.exports import hub
from evals.reports.exports.hub import LIBRARY
from evals.reports.runs.naming import blind
from evals.schema import Json

_KEY = ("task", "dataset")
_PROTOCOL = "protocol"
"""Argument of our metrics that tells apart results of one benchmark: two with the same replace each other."""


@dataclass(frozen=True)
class Leaderboard:
    """A benchmark of the hub to which an entry of `.eval_results/` belongs."""

    dataset: str
    """The data set."""
    task_id: str
    """The task's id in the `eval.yaml` of the data set."""
    unit: str = "fraction"
    """`fraction` or `percent`: the unit in which a fraction is written."""


def check_publishable(run: Record, repository: str, *, same_model: bool) -> None:
    """Raise `InputError` if a run says nothing about the model of a repository on a whole public benchmark.

    Args:
        run: the run.
        repository: ORG/NAME.
        same_model: whether the user states that the run's model is the repository's, although its name is another.
    """
    result, manifest = run.finished(), run.manifest
    _, items = _benchmark(run)
    reasons = {
        "its model is a bundled replica and not the public model": manifest.replica,
        "its data are bundled or your own and no public benchmark": not hub.public(run),
        "it is a blind control": blind(run),
        "its values are timings of one machine": manifest.timed,
        f"it was imported from a log of {_harness(run)}: push the results of that harness": _harness(run) is not None,
        f"it stopped early, after {counted(result.n, 'sample')}": result.stopped is not None,
        f"it has a part of the split, {counted(result.n, 'sample')}": manifest.subset is not None
        or (items is not None and result.n != items),
        f"no data set of the hub is known for {manifest.task.name}": hub.public(run) and _dataset(run) is None,
        f"all of its {counted(result.n, 'sample')} failed": result.failed == result.n,
    }
    if refused := [reason for reason, holds in reasons.items() if holds]:
        raise InputError(f"{run.folder} is not pushed: {refused[0]}")
    if repository not in {hub.model_id(run), _cached_repository(run)} and not same_model:
        raise InputError(
            f"{run.folder} is a run of {manifest.model_name}, not of {repository}: if they are the same model, say so "
            f"with --same-model"
        )


def card_result(run: Record) -> dict[str, Json]:
    """Return the item of the card's `model-index` for a run."""
    item = hub.card(run)
    marks = {"evaluated_with": LIBRARY, "signature": run.manifest.signature, _PROTOCOL: protocol(run)}
    dataset = {**item["dataset"], "type": _dataset(run)}
    if revision := _data_revision(run):
        dataset["revision"] = revision
    metrics = [{**metric, "args": {**metric["args"], **marks}} for metric in item["metrics"]]
    return {**item, "dataset": dataset, "metrics": metrics}


def replaces_result(new: Json, present: Json) -> bool:
    """Whether a result of ours takes the place of one on the card: ours, of the same benchmark and protocol."""
    if not isinstance(present, Mapping) or any(_named(present.get(key)) != _named(new[key]) for key in _KEY):
        return False
    metrics = present.get("metrics")
    marks = (
        [metric.get("args") for metric in metrics if isinstance(metric, Mapping)] if isinstance(metrics, list) else []
    )
    wanted = new["metrics"][0]["args"][_PROTOCOL]
    return bool(marks) and all(
        isinstance(args, Mapping) and args.get("evaluated_with") == LIBRARY and args.get(_PROTOCOL) == wanted
        for args in marks
    )


def leaderboard_unit(values: Sequence[float]) -> str | None:
    """Return in which unit most values of a leaderboard are: `percent` or `fraction`; None if that is not known.

    The hub states no unit: its guide shows 20.90 and 0.412 side by side. A value above 1 is no fraction.

    Example:
        >>> leaderboard_unit([88.0, 74.2, 0.41]), leaderboard_unit([0.27, 0.89]), leaderboard_unit([])
        ('percent', 'fraction', None)
    """
    percents, fractions = sum(value > 1 for value in values), sum(0 < value <= 1 for value in values)
    if percents == fractions:
        return None
    return "percent" if percents > fractions else "fraction"


def board_entry(run: Record, board: Leaderboard) -> dict[str, Json]:
    """Return the item of a file of `.eval_results/` for the headline of a run."""
    result = run.finished()
    value = result.metrics[result.headline].value
    in_percent = board.unit == "percent" and is_fraction(run)
    dataset = {"id": board.dataset, "task_id": board.task_id}
    if revision := _data_revision(run):
        dataset["revision"] = revision
    return {
        "dataset": dataset,
        "value": float(f"{100 * value:.12g}") if in_percent else value,
        "date": hub.finished(run).date().isoformat(),
        "notes": f"{_notes(run)}, signature {run.manifest.signature}{', in percent' if in_percent else ''}",
    }


def is_fraction(run: Record) -> bool:
    """Return whether the headline of a run is a fraction, which a leaderboard may hold in percent."""
    result = run.finished()
    return result.metrics[result.headline].unit == "fraction"


def replaces_entry(new: Json, present: Json) -> bool:
    """Whether an entry of ours takes the place of one in a file: ours, of the same benchmark and protocol."""
    if not isinstance(present, Mapping) or not isinstance(dataset := present.get("dataset"), Mapping):
        return False
    same = all(dataset.get(key) == new["dataset"][key] for key in ("id", "task_id"))
    notes = [str(entry.get("notes")).rpartition(", signature ")[0] for entry in (new, present)]
    return same and notes[0] == notes[1]


def board_file(run: Record) -> str:
    """Return the file of `.eval_results/` for a run; results of one benchmark by other protocols are in other files.

    The hub's guide wants one file for each variant of a benchmark's score.
    """
    words = [run.manifest.task.name, *protocol(run).split(", ")]
    name = "-".join(word.replace(" ", "-").replace("/", "-").replace("=", "-") for word in words if word)
    return f".eval_results/{LIBRARY}-{name}.yaml"


def task_id(run: Record, eval_yaml: str) -> str | None:
    """Return the id under which a data set's `eval.yaml` lists the benchmark of a run, or None if it does not.

    Example of such a file: `tasks: [{id: gsm8k, config: main, split: test}]`.
    """
    try:
        described = yaml.safe_load(eval_yaml)
    except yaml.YAMLError:
        return None
    tasks = described.get("tasks") if isinstance(described, dict) else None
    part, split = hub.benchmark(run).part, run.manifest.task.split
    for entry in tasks if isinstance(tasks, list) else ():
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
            continue
        if str(entry.get("config") or "default") == part and str(entry.get("split") or split) == split:
            return str(entry["id"])
    return None


def dataset(run: Record) -> str | None:
    """Return the hub's data set of a run's whole benchmark, or None if it is not known."""
    named, items = _benchmark(run)
    return named if items is not None else None


def protocol(run: Record) -> str:
    """Describe how a benchmark was asked, as far as one model can have several results.

    Example: `5 shots, choose, float32`.
    """
    task, facts = run.manifest.task.to_dict(), run.manifest.model
    words = [f"{task['shots']} shots" if task.get("shots") else "", str(task.get("method") or "")]
    words += [f"{task['samples']} samples"] if (task.get("samples") or 1) > 1 else []
    words += [f"temperature={task['temperature']}"] if task.get("temperature") else []
    generation = task.get("generation") or {}
    words += [f"thinking={generation['thinking']}"] if generation.get("thinking") else []
    return ", ".join([*filter(None, words), *filter(None, [str(facts.get("dtype") or "")])])


def evaluated_revision(run: Record) -> str | None:
    """Return the commit of the model that was evaluated, if it was loaded from the hub."""
    name = run.manifest.model_name
    revision = name.partition("@")[2] if name.startswith("hf:") else ""
    _, inside, snapshot = str(run.manifest.model.get("checkpoint") or "").rpartition("/snapshots/")
    return revision or (snapshot.partition("/")[0] if inside else "") or None


def model_names(run: Record, repository: str) -> list[str]:
    """Return the names that a card may have for the model of a run, the likeliest first.

    Args:
        run: the run.
        repository: ORG/NAME, whose model it is.
    """
    plain = run.manifest.model_name.partition("@")[0].removeprefix("hf:")
    names = [hub.model_id(run), plain, plain.rstrip("/").rpartition("/")[2], repository, repository.partition("/")[2]]
    return list(dict.fromkeys(name for name in names if name))


def _cached_repository(run: Record) -> str | None:
    """Return the repository from whose copy in the hub's cache the model was loaded (`models--ORG--NAME/snapshots`)."""
    folder, inside, _ = str(run.manifest.model.get("checkpoint") or "").rpartition("/snapshots/")
    name = folder.rpartition("/")[2]
    return name.removeprefix("models--").replace("--", "/", 1) if inside and name.startswith("models--") else None


def _notes(run: Record) -> str:
    result = run.finished()
    words = [f"{LIBRARY} {result.headline} on {run.manifest.task.split}", protocol(run)]
    words += [f"{result.failed:,} of {result.n:,} failed"] if result.failed else []
    if revision := evaluated_revision(run):
        words.append(f"model revision {revision}")
    return ", ".join(filter(None, words))


def _benchmark(run: Record) -> tuple[str | None, int | None]:
    """Return the hub's data set of a run's benchmark, and the number of items of the whole split."""
    benchmark = hub.benchmark(run)
    return benchmark.dataset, benchmark.items.get(run.manifest.task.split)


def _dataset(run: Record) -> str | None:
    """Return the hub's data set of a run: that of the benchmark, or the one that the data were read from."""
    data = run.manifest.data
    repository = data.get("repository") if data.get("source") == "hub" else None
    return hub.benchmark(run).dataset or (repository if isinstance(repository, str) else None)


def _data_revision(run: Record) -> str | None:
    """Return the revision of the data, if they are those of the hub's data set that is named."""
    data = run.manifest.data
    revision = data.get("revision")
    return revision if isinstance(revision, str) and data.get("repository") == _dataset(run) else None


def _harness(run: Record) -> str | None:
    imported = run.manifest.to_dict().get("imported")
    return str(imported.get("harness", "another harness")) if isinstance(imported, Mapping) else None


def _named(fields: Json) -> Json:
    """Return what names a task or data set, without its title and revision."""
    return {key: fields.get(key) for key in ("type", "config", "split")} if isinstance(fields, Mapping) else fields


def results(runs: Sequence[Record]) -> list[dict[str, Json]]:
    """Return the items of several runs; two of one benchmark and protocol are an error."""
    items = [card_result(run) for run in runs]
    for index, item in enumerate(items):
        for run, earlier in zip(runs, items[:index], strict=False):
            if replaces_result(item, earlier):
                raise InputError(f"{run.folder} and {runs[index].folder} are runs of one benchmark by one protocol")
    return items
