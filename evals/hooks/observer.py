"""Make the events of a run, and deliver them to its hooks.

    with observed(run_folder, hooks, report) as observer:      # run_started
        observer.begin("samples", total)
        observer.samples_done(rows, headline)                  # batch_done
        observer.finish(result)                                # run_finished; run_stopped if the block raises

The driver alone has an observer; it costs nothing where there is no hook.
"""

from __future__ import annotations

import copy
import datetime
import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

from evals.errors import EvalsError, one_line
from evals.hooks.delivery import Delivery, HookSource
from evals.hooks.events import BatchDone, MetricValue, RunFinished, RunStarted, RunStopped, Setting
from evals.hooks.printing import whole_lines
from evals.records.folder import RunFolder
from evals.records.imported import TrackingEntry
from evals.records.types import Manifest, Result, SampleRecord
from evals.schema import Json

PATIENCE = 60.0
"""Seconds that all hooks together have at the end of a finished run, to send what they hold."""
PATIENCE_IF_STOPPED = 5.0
"""Seconds that they have after a run that was interrupted or failed."""
_LONGEST_SETTING = 250
"""Characters of a setting; the text of a task file is longer."""
_SIGNED = ("task", "data", "model", "plan", "code", "packages")


@contextmanager
def observed(
    run_folder: RunFolder, hooks: Sequence[HookSource], report: Callable[[str], object]
) -> Iterator[RunObserver]:
    """Observe a run whose folder is open; errors of hooks are counted in its manifest.

    Args:
        run_folder: the folder of the run.
        hooks: the hooks to call.
        report: writes one line for the user.
    """
    observer = RunObserver(run_folder, hooks, report)
    with whole_lines(wanted=any(source.is_stream for source in hooks)):
        try:
            observer.start()
            yield observer
        except BaseException as error:
            observer.stop("interrupted" if isinstance(error, KeyboardInterrupt) else one_line(error))
            raise
        observer.close(PATIENCE)


class RunObserver:
    """Makes the events of one run from what the driver says, and counts for them."""

    def __init__(
        self, run_folder: RunFolder, hooks: Sequence[HookSource] = (), report: Callable[[str], object] = str
    ) -> None:
        """Observe a run, as `observed` describes it; no hook is called before `start`."""
        self._folder = run_folder
        self._hooks = hooks
        self._report = _never_raising(report)
        self._deliveries: list[Delivery] = []
        self._run_id: str | None = None
        self.begin("samples", 0)

    def start(self) -> None:
        """Say that the run has started."""
        if not self._hooks:
            return
        manifest = self._folder.manifest
        if any(source.is_counted for source in self._hooks):
            tracking = manifest.tracking
            # The same for a run that goes on, also where no hook has noted it.
            place = f"{manifest.started}\0{self._folder.folder.resolve()}"
            new = f"{manifest.signature}-{hashlib.sha256(place.encode(errors='surrogatepass')).hexdigest()[:8]}"
            self._run_id = new if tracking is msgspec.UNSET else tracking.run_id
        self._deliveries = [Delivery(source, self._report) for source in self._hooks]
        self._put(
            RunStarted(
                **self._run(),
                signature=manifest.signature,
                run_id=self._run_id,
                total=manifest.sample_count,
                done=len(self._folder.finished_ids),
                settings=settings(manifest),
            )
        )

    def begin(self, phase: Literal["training", "samples"], total: int) -> None:
        """Begin to compute samples of the run, or those that a probe is fitted on.

        Args:
            phase: which.
            total: their number.
        """
        self._phase, self._total, self._begun = phase, total, time.perf_counter()
        self._done = self._failed = self._truncated = self._valued = 0
        self._value_sum = self._prompt_tokens = self._new_tokens = 0.0

    def training_done(self, count: float) -> None:
        """Say that some more samples of the phase are answered, which are not recorded."""
        if self._deliveries:
            self._done += int(count)
            self._put(self._batch(self._done, None))

    def samples_done(self, rows: Sequence[SampleRecord], headline: str) -> None:
        """Say that some more samples are on disk.

        Args:
            rows: the samples.
            headline: the name of the task's headline metric.
        """
        if not self._deliveries:
            return
        values = [row.values[headline] for row in rows if headline in row.values]
        self._done += len(rows)
        self._failed += sum(row.failed for row in rows)
        self._truncated += sum(row.truncated for row in rows)
        self._prompt_tokens += sum(row.cost.get("prompt_tokens", 0) for row in rows)
        self._new_tokens += sum(row.cost.get("new_tokens", 0) for row in rows)
        self._value_sum += sum(values)
        self._valued += len(values)
        self._put(self._batch(len(self._folder.finished_ids), headline))

    def finish(self, result: Result) -> None:
        """Say that the result and its reports are written."""
        if not self._deliveries:
            return
        self._put(
            RunFinished(
                **self._run(),
                signature=result.signature,
                n=result.n,
                failed=result.failed,
                unparsed=result.unparsed,
                truncated=result.truncated,
                headline=result.headline,
                metrics={
                    name: MetricValue(value=entry.value, low=entry.low, high=entry.high, n=entry.n, unit=entry.unit)
                    for name, entry in result.metrics.items()
                },
                efficiency=dict(result.efficiency),
            )
        )

    def stop(self, reason: str) -> None:
        """Say that the run ended early, and close the hooks."""
        if not self._deliveries:
            return
        done, total = len(self._folder.finished_ids), self._folder.manifest.sample_count
        self._put(RunStopped(**self._run(), reason=reason, done=done, total=total))
        self.close(PATIENCE_IF_STOPPED)

    def close(self, patience: float) -> None:
        """Wait for the hooks, all together at most `patience` seconds, and count their errors in the manifest."""
        deadline = time.monotonic() + patience
        for delivery in self._deliveries:
            delivery.close()
        for delivery in self._deliveries:
            delivery.wait(deadline - time.monotonic())
        self._note_hooks()
        tracking = self._folder.manifest.tracking
        if tracking is msgspec.UNSET:
            return
        errors = Counter(tracking.errors)
        errors.update({delivery.source.name: delivery.errors for delivery in self._used})
        counts = {name: count for name, count in sorted(errors.items()) if count}
        self._note(msgspec.structs.replace(tracking, errors=counts))

    @property
    def _used(self) -> list[Delivery]:
        """The hooks that the manifest names."""
        return [delivery for delivery in self._deliveries if delivery.source.is_counted and delivery.is_used]

    def _put(self, event: RunStarted | BatchDone | RunFinished | RunStopped) -> None:
        self._note_hooks()
        for delivery in self._deliveries:
            delivery.put(copy.deepcopy(event))  # a hook may change the mappings of its event

    def _run(self) -> dict[str, Any]:
        """Return what every event says of the run."""
        manifest = self._folder.manifest
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        return {
            "time": now, "run": str(self._folder.named), "model": manifest.model_name, "task": manifest.task.name,
        }  # fmt: skip

    def _batch(self, done: int, headline: str | None) -> BatchDone:
        seconds = time.perf_counter() - self._begun
        rate = self._done / seconds if self._done and seconds > 0 else None
        return BatchDone(
            **self._run(),
            phase=self._phase,
            done=done,
            total=self._total,
            failed=self._failed,
            truncated=self._truncated,
            prompt_tokens=int(self._prompt_tokens),
            new_tokens=int(self._new_tokens),
            headline=headline if self._valued else None,
            mean=self._value_sum / self._valued if self._valued else None,
            seconds=round(seconds, 3),
            samples_per_second=rate and round(rate, 3),
            eta_seconds=rate and round((self._total - done) / rate, 1),
        )

    def _note_hooks(self) -> None:
        """Note the hooks and the id under which they know the run; a package's hook may want to have none of it."""
        names = {delivery.source.name for delivery in self._used}
        if not names or self._run_id is None:
            return
        tracking = self._folder.manifest.tracking
        noted = TrackingEntry(run_id=self._run_id) if tracking is msgspec.UNSET else tracking
        self._note(msgspec.structs.replace(noted, hooks=sorted({*noted.hooks, *names})))

    def _note(self, tracking: TrackingEntry) -> None:
        if tracking == self._folder.manifest.tracking:
            return
        try:
            self._folder.note_tracking(tracking)
        except (OSError, EvalsError) as error:  # the disk is full: the run says so itself, or is complete
            self._report(f"the hooks are not noted in {self._folder.folder}: {one_line(error)}")


def settings(manifest: Manifest) -> dict[str, Setting]:
    """Return the signed fields of a manifest by dotted names; home folders become `~`, and long texts are cut."""
    fields = manifest.to_dict()
    return dict(_flat({name: fields[name] for name in _SIGNED if name in fields}, ""))


def _flat(fields: Mapping[str, Json], prefix: str) -> Iterator[tuple[str, Setting]]:
    home = str(Path.home()).rstrip("/")
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is None or isinstance(value, bool | int | float):
            yield prefix + name, value
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            text = text.replace(home, "~") if home else text
            yield prefix + name, text if len(text) <= _LONGEST_SETTING else f"{text[: _LONGEST_SETTING - 1]}…"


def _never_raising(report: Callable[[str], object]) -> Callable[[str], None]:
    """Return a report that is dropped where standard error is closed or full."""

    def write(text: str) -> None:
        try:
            report(text)
        except OSError:
            return

    return write
