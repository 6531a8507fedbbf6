"""What happens in a run, for whoever wants to know: hooks of plug-ins, trackers, and a stream of JSON lines.

A hook is an object with any of the methods `run_started`, `batch_done`, `run_finished` and `run_stopped`; each takes
one event of `evals.hooks.events`. A package offers one under the entry-point group `evals.hooks`: a function without
arguments, called once per run, that returns the hook, or None if it is not interested. `--track NAME` adds a shipped
tracker, and `--progress json` the stream.

Hooks are called in the driver's process only, each in a thread of its own. One that raises, hangs or prints changes
nothing in the run: its errors are reported once, and counted in the manifest. May import `schema` and `records`; heavy
packages are imported inside functions. Start reading with `observer.py`.
"""

from __future__ import annotations

from evals.hooks.events import BatchDone, MetricValue, RunEvent, RunFinished, RunStarted, RunStopped

__all__ = ["BatchDone", "MetricValue", "RunEvent", "RunFinished", "RunStarted", "RunStopped"]
