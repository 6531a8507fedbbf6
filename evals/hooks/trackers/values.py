"""What all trackers log of an event, as numbers by name."""

from __future__ import annotations

from evals.hooks.events import BatchDone, RunFinished, RunStarted

PROJECT = "evals"
"""The project, if neither `--track NAME:PROJECT` nor the package's environment variable names one."""


def title(event: RunStarted) -> str:
    """Return the name under which people see a run."""
    return f"{event.model} on {event.task}"


def of_batch(event: BatchDone) -> dict[str, float]:
    """Return the state of a run after a batch."""
    values: dict[str, float | None] = {
        f"{event.phase}/done": event.done,
        f"{event.phase}/failed": event.failed,
        f"{event.phase}/truncated": event.truncated,
        f"{event.phase}/samples_per_second": event.samples_per_second,
        f"{event.phase}/seconds": event.seconds,
        f"{event.phase}/prompt_tokens": event.prompt_tokens,
        f"{event.phase}/new_tokens": event.new_tokens,
        f"{event.phase}/mean_{event.headline}": event.mean,
    }
    return {name: value for name, value in values.items() if value is not None}


def of_result(event: RunFinished) -> dict[str, float]:
    """Return the metrics with the ends of their intervals, the counts and the costs of a finished run.

    Example:
        >>> from evals.hooks.events import MetricValue
        >>> accuracy = MetricValue(value=0.5, low=0.4, high=0.6, n=90, unit="fraction")
        >>> event = RunFinished(
        ...     time="", run="", model="vl", task="vqa", signature="", n=90, failed=1, unparsed=0, truncated=0,
        ...     headline="accuracy", metrics={"accuracy": accuracy}, efficiency={"seconds": 9.0, "cost_usd": None},
        ... )
        >>> of_result(event)["accuracy/low"], of_result(event)["result/failed"]
        (0.4, 1)
        >>> sorted(name for name in of_result(event) if name.startswith("efficiency"))
        ['efficiency/seconds']
    """
    values: dict[str, float | None] = {}
    for name, metric in event.metrics.items():
        values |= {name: metric.value, f"{name}/low": metric.low, f"{name}/high": metric.high, f"{name}/n": metric.n}
    counts = {"n": event.n, "failed": event.failed, "unparsed": event.unparsed, "truncated": event.truncated}
    values |= {f"result/{name}": count for name, count in counts.items()}
    values |= {f"efficiency/{name}": value for name, value in event.efficiency.items()}
    return {name: value for name, value in values.items() if value is not None}
