"""A run and its blind control: whether anything shows that the model looked at the pictures.

A server may take a picture and never look at it; so may a model that has learnt what is usually answered. Only the
control tells: the same run with every picture replaced by a flat one. Where its scores do not drop, the modality is not
demonstrated, whatever the score.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from evals.errors import InputError
from evals.records.folder import MANIFEST, RESULT, Record, load
from evals.schema import Json


def demonstrated(records: Sequence[Record]) -> list[str]:
    """Say of each run that has its blind control what the control shows.

    Args:
        records: of one run the control, or of a control the run, is looked for in the folders beside it; of several
            only they count.

    Returns:
        A sentence a pair of finished runs whose headline is scored sample by sample; several name their models.
    """
    pairs = [pair for pair in _pairs(records) if _comparable(*pair)]
    sentences = [_sentence(*map(_stamp, pair)) for pair in pairs]
    if len(pairs) < 2:
        return sentences
    return [f"{run.manifest['model']['name']}: {said}" for (run, _), said in zip(pairs, sentences, strict=True)]


def _pairs(records: Sequence[Record]) -> Iterator[tuple[Record, Record]]:
    """Yield (run, control)."""
    if len(records) == 1:
        others = list(_beside(records[0]))
        pairs = [(records[0], other) for other in others] + [(other, records[0]) for other in others]
    else:
        pairs = [(run, control) for run in records for control in records]
    seen: set[str] = set()
    for run, control in pairs:
        name = run.manifest["signature"]
        if _blind(control) and not _blind(run) and name not in seen and _made(run) == _made(control):
            seen.add(name)
            yield run, control


def _beside(record: Record) -> Iterator[Record]:
    """The finished runs in the folders beside a run's, in the order of their names."""
    for manifest in sorted(record.folder.resolve().parent.glob(f"*/{MANIFEST}")):
        folder = manifest.parent
        if folder != record.folder.resolve() and (folder / RESULT).exists():
            try:
                yield load(folder)
            except InputError:
                continue  # a stranger's damaged folder is no reason to withhold this report


def _blind(record: Record) -> bool:
    return bool(record.manifest["task"].get("blind"))


def _made(record: Record) -> Mapping[str, Json]:
    """What a run and its control have in common."""
    task = {name: value for name, value in record.manifest["task"].items() if name != "blind"}
    data = record.manifest["data"]
    return {"task": task, "ids": data.get("ids"), "samples": data.get("samples"), "model": record.manifest["model"]}


def _comparable(run: Record, control: Record) -> bool:
    """Whether both are finished, and their headline is the mean of figures of the samples."""
    if run.result is None or control.result is None or run.result["headline"] != control.result["headline"]:
        return False
    first = next(run.samples(), None)
    return first is not None and run.result["headline"] in first["values"]


def _stamp(record: Record) -> tuple[Path, int]:
    """Which state of a run is meant, so that a pair is read once for all the places that tell of it."""
    folder = record.folder.resolve()
    return folder, (folder / RESULT).stat().st_mtime_ns


@lru_cache(maxsize=64)
def _sentence(run_stamp: tuple[Path, int], control_stamp: tuple[Path, int]) -> str:
    import numpy as np

    from evals.statistics.bootstrap import cluster_bootstrap

    run, control = load(run_stamp[0]), load(control_stamp[0])
    assert run.result is not None
    name = run.result["headline"]
    blind = {row["id"]: row["values"].get(name, 0.0) for row in control.samples()}
    rows = [row for row in run.samples() if row["id"] in blind]
    seen = np.array([row["values"].get(name, 0.0) for row in rows])
    unseen = np.array([blind[row["id"]] for row in rows])
    (interval,) = cluster_bootstrap([seen - unseen], [row["cluster"] or row["id"] for row in rows])
    drop = 100 * float((seen - unseen).mean())
    told = f"{name} {100 * seen.mean():.2f} % with pictures and {100 * unseen.mean():.2f} % blind"
    told += f" on the same {len(rows):,}"
    if interval is None:
        spread, shown = "no interval can be given", False
    else:
        spread = f"95 % interval {100 * interval[0]:.1f} to {100 * interval[1]:.1f}"
        shown = interval[0] > 0
    if shown:
        return f"The model looks: {told}; without pictures it loses {drop:.1f} points ({spread})."
    return f"Modality not demonstrated: {told}, a drop of {drop:.1f} points ({spread}); nothing shows that it looked."
