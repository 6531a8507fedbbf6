"""Write the run folders of a selection: scored runs with chosen right samples, and timings of alternating sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from run_folders import make, manifest

from evals.records.folder import Record
from evals.statistics.intervals import mean_intervals

KINDS = {"short": {"words": 16, "new_tokens": 16}, "caption": {"words": 0, "new_tokens": 16}}
MACHINE = {"python": "3.11", "system": "Linux-test", "cores": 2}


def scored(
    folder: Path,
    model: str,
    right: Sequence[float],
    *,
    task: str = "glue/rte",
    failed: int = 0,
    cost: Sequence[float] | None = None,
    currency: str = "eur",
    facts: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    started: str = "",
    **options: Any,
) -> Record:
    """Write a run whose samples have these values; the first `failed` have no output."""
    rows = [
        {
            "id": str(k), "index": k, "prompt": "?", "output": None if k < failed else "x",
            "answer": None if k < failed else "x", "target": "y", "values": {"accuracy": float(value)},
            "failed": k < failed, "failure": "it broke" if k < failed else None, "truncated": False, "scores": [],
            "cluster": "", "labels": {}, "cost": {} if cost is None else {f"cost_{currency}": cost[k]},
        }
        for k, value in enumerate(right)
    ]  # fmt: skip
    low, high = mean_intervals([np.array(right, float)], [str(k) for k in range(len(right))])[0] or (None, None)
    mean = sum(right) / len(right)
    entry = {"value": mean, "low": low, "high": high, "n": len(right), "unit": "fraction", "statistic": "mean"}
    signed = manifest(name=task, needs="choose", **options)
    signed["model"] |= {"name": model, "digest": f"weights of {model}", "device": "cpu", "dtype": "float32"}
    signed["model"] |= dict(facts or {})
    signed["data"] = {"source": "bundled", "files": {"v": "1"}} | dict(data or {})
    signed |= {"machine": MACHINE, "started": started}
    costs = {} if cost is None else {f"cost_{currency}": sum(cost)}
    return make(folder, rows, {"accuracy": entry}, signed, efficiency={"seconds": 1.0, **costs})


def timed(
    folder: Path,
    model: str,
    sessions: Mapping[str, Sequence[float]],
    *,
    memory: float = 4e8,
    machine: Mapping[str, Any] = MACHINE,
    device: str = "cpu",
    scale: str = "mini",
    kinds: Mapping[str, Any] = KINDS,
    prefix: str = "",
    family: str = "causal",
) -> Record:
    """Write a timing with the seconds of each repetition, by session; models of one session alternated."""
    pairs = [(name, n, seconds) for name, values in sessions.items() for n, seconds in enumerate(values)]
    rows = [
        {
            "id": f"short/{list(sessions).index(name)}/{n}", "index": k, "prompt": "?", "output": {}, "answer": {},
            "target": None,
            "values": {f"{prefix}latency": seconds, f"{prefix}throughput": 16 / seconds},
            "failed": False, "failure": None, "truncated": False, "scores": [], "cluster": name, "labels": {},
            "cost": {},
        }
        for k, (name, n, seconds) in enumerate(pairs)
    ]  # fmt: skip
    times = sorted(seconds for *_, seconds in pairs)
    median, mean = times[len(times) // 2], sum(times) / len(times)
    spread = (min(times), max(times)) if len(sessions) > 1 else (None, None)
    rates = tuple(None if end is None else 16 / end for end in reversed(spread))

    def entry(value: float, unit: str, statistic: str, ends: tuple[float | None, float | None] = (None, None)) -> dict:
        return {"value": value, "low": ends[0], "high": ends[1], "n": len(rows), "unit": unit, "statistic": statistic,
                "higher_is_better": statistic == "harmonic-mean"}  # fmt: skip

    metrics = {
        f"{prefix}latency": entry(median, "seconds", "median", spread),
        f"{prefix}throughput": entry(16 / mean, "tokens/s", "harmonic-mean", rates),
        f"{prefix}new-tokens": entry(16, "count", "median"),
        "peak-memory": entry(memory, "bytes", "maximum"),
        "peak-memory/weights": entry(memory / 10, "bytes", "maximum"),
    }
    signed = manifest(name="efficiency", split="all", scale=scale)
    signed["model"] |= {"name": model, "digest": f"weights of {model}", "device": device, "dtype": "float32"}
    signed["model"] |= {"family": family}
    signed["data"] = {"source": "bundled", "kinds": dict(kinds)}
    signed["plan"] = {**signed["plan"], "interleaved": ["of the session"]}
    signed["machine"] = dict(machine)
    return make(folder, rows, metrics, signed, headline=f"{prefix}latency")


def share(right: int, n: int) -> list[float]:
    """The values of n samples of which the first are right."""
    return [1.0] * right + [0.0] * (n - right)
