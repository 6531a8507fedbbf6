"""Make the runs that the claims of documents need, each once; timed models take turns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from evals.errors import EvalsError, InputError

if TYPE_CHECKING:
    from evals.records.folder import Record
    from evals.reports.claims.archive import CheckArchive
    from evals.reports.claims.evidence.learning_curves import LearningCurve
    from evals.reports.claims.evidence.required_runs import RequiredRun, RunOutcome
    from evals.schema import RunConfig


def is_timed(run: RequiredRun) -> bool:
    """Return whether a run times its model beside others in turn; under a request rate a model is timed alone."""
    from evals import registry

    return run.rate is None and run.task in registry.TASKS and registry.TASKS.get(run.task).timed


def timings_of_rivals(runs: Iterable[RequiredRun]) -> list[RequiredRun]:
    """List timed runs of the models that share a task with a timed model, so that a report can compare their costs."""
    unique = list(dict.fromkeys(runs))
    timings = {run.model: run for run in unique if is_timed(run)}
    added = []
    for task in dict.fromkeys(run.task for run in unique if not is_timed(run)):
        models = dict.fromkeys(run.model for run in unique if run.task == task)
        template = next((timings[name] for name in models if name in timings), None)
        added += [replace(template, model=name) for name in models if template is not None and name not in timings]
    return added


def together(groups: Iterable[Sequence[RequiredRun]]) -> list[list[RequiredRun]]:
    """Merge groups that share a run, separately for each task and split.

    Two runs of one group, task and split are then in the same merged group, so they can be timed in turn.

    Example:
        >>> from evals.reports.claims.evidence.required_runs import RequiredRun
        >>> a, b, c, d = (RequiredRun(name, "efficiency") for name in "abcd")
        >>> [[run.model for run in runs] for runs in together([[a, b], [d], [c, b]])]
        [['d'], ['a', 'b', 'c']]
    """
    merged: list[list[RequiredRun]] = []
    for group in groups:
        for kind in dict.fromkeys((run.task, run.split) for run in group):
            same_kind = [run for run in group if (run.task, run.split) == kind]
            overlapping = [runs for runs in merged if {*runs} & {*same_kind}]
            union = dict.fromkeys(run for runs in [*overlapping, same_kind] for run in runs)
            merged = [runs for runs in merged if runs not in overlapping] + [list(union)]
    return merged


@dataclass(frozen=True)
class ClaimRuns:
    """Makes each run that the claims need once."""

    scale: str
    """`mini` or `full`."""
    data: Path | None
    """A folder with a benchmark's official files."""
    progress: bool
    """Whether progress bars are shown."""
    command: str
    """What the user typed."""

    def make(
        self, groups: Sequence[Sequence[RequiredRun]], settled: Mapping[RequiredRun, RunOutcome] | None = None
    ) -> CheckArchive:
        """Make or read every run, and read the learning curves; if a run cannot be made, its outcome gives the reason.

        Args:
            groups: the runs of each claim. Timed runs of one group are made in turn.
            settled: outcomes of `--fast`: those without a record are made here, and keep their note.
        """
        from evals.reports.claims.archive import CheckArchive

        timed = [[run for run in runs if is_timed(run)] for runs in groups]
        # Mini models are small enough to be timed all in turn, so any two can be compared.
        if self.scale == "mini":
            timed = [[run for runs in timed for run in runs]]
            timed[0] += timings_of_rivals(run for runs in groups for run in runs)
        required = list(dict.fromkeys(run for runs in (*groups, *timed) for run in runs))
        timings = {run: outcome for runs in together(timed) for run, outcome in self._in_turn(runs).items()}
        stopped = {run: outcome for run, outcome in (settled or {}).items() if outcome.record is not None}
        notes = {run: outcome.note for run, outcome in (settled or {}).items()}
        outcomes = {
            run: timings[run] if run in timings else self._outcome(run, notes.get(run, ""))
            for run in required
            if run not in stopped
        }
        outcomes |= {run: _read_again(outcome) for run, outcome in stopped.items()}
        outcomes = {run: outcomes[run] for run in required}
        return CheckArchive(outcomes, tuple(self._curves(required)))

    def _curves(self, runs: Sequence[RequiredRun]) -> Iterator[LearningCurve]:
        """Read the curves beside the bundled checkpoints; several checkpoints of one training share one curve."""
        from evals import registry
        from evals.execution.resolve import bundled
        from evals.reports.claims.evidence import learning_curves

        paths_read: set[Path] = set()
        for name in dict.fromkeys(run.model for run in runs if run.model in registry.VARIANTS):
            folder = bundled(registry.VARIANTS.get(name)) if self.scale == "mini" else None
            for path in (folder / learning_curves.FILE, folder.parent / learning_curves.FILE) if folder else ():
                if path.is_file() and path not in paths_read:
                    paths_read.add(path)
                    yield learning_curves.read(path, name.partition("@")[0])

    def _in_turn(self, runs: Sequence[RequiredRun]) -> dict[RequiredRun, RunOutcome]:
        """Time the models of several runs in turn; a model that cannot be timed gets an outcome with the reason."""
        from evals.app import api
        from evals.reports.claims.evidence.required_runs import RunOutcome

        outcomes = {run: RunOutcome(why=why) for run in runs if (why := self.not_there(run)) is not None}
        for run in runs:
            if run not in outcomes:
                try:
                    api.check_timed(run.model, run.task, scale=self.scale, split=run.split)
                except InputError as error:
                    outcomes[run] = RunOutcome(why=f"it cannot be timed: {error}")
        timed_runs = [run for run in runs if run not in outcomes]
        if not timed_runs:
            return outcomes
        names, first = [run.model for run in timed_runs], timed_runs[0]
        try:
            records = api.interleave(
                names, first.task, scale=self.scale, split=first.split, progress=self.progress, command=self.command
            )
        except EvalsError as error:
            return outcomes | {run: RunOutcome(why=f"the run failed: {error}", failed=True) for run in timed_runs}
        return outcomes | {
            run: RunOutcome(record, proxy=self._proxy(run)) for run, record in zip(timed_runs, records, strict=True)
        }

    def not_there(self, run: RequiredRun) -> str | None:
        """Return why a run cannot be made; None if it can be tried."""
        from evals import registry

        if run.task not in registry.TASKS:
            return f"no task {run.task!r} is registered, so it was not run"
        is_external = ":" in run.model or "/" in run.model
        if not is_external and run.model not in registry.VARIANTS:
            return f"no model {run.model!r} is registered, so it was not run; --system names another"
        if not is_external and registry.VARIANTS.get(run.model).checkpoints.get(self.scale) is None:
            return f"{run.model} has no checkpoint at {self.scale} scale, so it was not run"
        return None

    def _proxy(self, run: RequiredRun) -> str:
        """Return why a bundled model is not the public model of its name; empty if it is."""
        from evals import registry

        is_registered = run.model in registry.VARIANTS
        return str((registry.VARIANTS.get(run.model).details.get("proxy") if is_registered else None) or "")

    def _outcome(self, run: RequiredRun, note: str) -> RunOutcome:
        from evals.reports.claims.evidence.required_runs import RunOutcome

        if (why := self.not_there(run)) is not None:
            return RunOutcome(why=why)
        try:
            record = self._run(run, blind=False)
            shows = record.manifest.data.get("modalities") or []
            reads_images = "image" in shows or run.task == "vqa"
            blind = self._run(run, blind=True) if reads_images and not run.model.startswith("replay:") else None
        except EvalsError as error:
            return RunOutcome(why=f"the run failed: {error}", failed=True)
        return self.outcome_of(run, record, blind, note)

    def outcome_of(self, run: RequiredRun, record: Record, blind: Record | None, note: str) -> RunOutcome:
        """Return the outcome of a finished run: a failure if all of its samples failed."""
        from evals.reports.claims.evidence.required_runs import RunOutcome

        failed = record.finished().failed
        if failed and failed == record.finished().n:
            return RunOutcome(why=f"the run failed on all of its samples ({failed:,})", failed=True)
        return RunOutcome(record, blind, proxy=self._proxy(run), note=note)

    def config(self, run: RequiredRun, *, blind: bool) -> RunConfig:
        """Return the configuration of a run."""
        from evals.schema import RunConfig

        return RunConfig.of(
            run.model, run.task, scale=self.scale, data=self.data, split=run.split, shots=run.shots, rate=run.rate,
            blind=blind, progress=self.progress, command=self.command,
        )  # fmt: skip

    def _run(self, run: RequiredRun, *, blind: bool) -> Record:
        from evals.app import api

        return api.execute(self.config(run, blind=blind))


def _read_again(outcome: RunOutcome) -> RunOutcome:
    """Read the runs of an outcome again: another claim may have completed them, under another name of the split."""
    from evals.records import load

    record, blind = (run and load(run.folder) for run in (outcome.record, outcome.blind))
    return replace(outcome, record=record, blind=blind)
