"""Run both engines with models that are loaded once, and compare their records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evals.app import api
from evals.records import Record
from evals.schema import RunConfig


class LoadedModels:
    """Models that stay loaded, at most one vLLM among them: this process can hold only one."""

    def __init__(self) -> None:
        self._models: dict[tuple[str, str], Any] = {}

    def run(self, model: Path | str, task: str, engine: str, out: Path, **options: Any) -> Record:
        """Run a task with an engine; the model is loaded at its first run."""
        config = RunConfig.of(str(model), task, engine=engine, out=out, device="cpu", **options)
        return api.execute(config, load_model=lambda source, placement: self._loaded(source, placement, engine))

    def _loaded(self, source, placement, engine):
        key = (source.name, engine)
        if key not in self._models:
            if engine == "vllm":
                self._models = {other: loaded for other, loaded in self._models.items() if other[1] != "vllm"}
            self._models[key] = source.load(placement)
        return self._models[key]


def rows(record: Record) -> dict[str, Any]:
    """The samples of a run by their id."""
    return {row.id: row for row in record.samples()}


def differing(a: Record, b: Record, tolerance: float) -> list[str]:
    """Ids of samples whose texts differ, or whose log-likelihoods differ by more than a tolerance."""
    others = rows(b)
    assert others.keys() == rows(a).keys()
    return [
        id
        for id, row in rows(a).items()
        if row.output != others[id].output
        or row.thought != others[id].thought
        or row.failed != others[id].failed
        or not _close(row.scores, others[id].scores, tolerance)
    ]


def _close(a: Sequence[Sequence[float]], b: Sequence[Sequence[float]], tolerance: float) -> bool:
    assert [len(scores) for scores in a] == [len(scores) for scores in b]
    return all(
        abs(x - y) <= tolerance for of_a, of_b in zip(a, b, strict=True) for x, y in zip(of_a, of_b, strict=True)
    )
