"""The command `run --until-decided --against RUN`: has a model become worse than in an earlier run?

One side of each race is the earlier run, of which only the records are read. So only the model as it is now is
executed, and only on as many samples as the decision needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from evals.app import completion
from evals.app.commands.race import prepared_runs
from evals.app.early.open_runs import loaded_once, open_runs
from evals.app.readiness import ReadyRun
from evals.comparison import check_protocol
from evals.errors import InputError
from evals.execution import progress
from evals.execution.resolve import Resolved
from evals.execution.sequential.eligible import EarlyStop
from evals.execution.sequential.race import RaceProgress, run_race
from evals.execution.sequential.recorded import RecordedRun
from evals.records import MANIFEST, Record, load
from evals.records.digests import digest_of_ids
from evals.schema import Model, Placement

FLAG = "--against"


@dataclass(frozen=True)
class _Earlier:
    """The runs of `--against`."""

    path: Path
    runs: Sequence[Record]
    is_run: bool
    """Whether the path is a single run folder: then its model may have another name."""

    @classmethod
    def read(cls, path: Path) -> _Earlier:
        """Read a run folder, a folder of run folders, or the `--out` folder of a check."""
        from evals.reports.claims import archive

        path = path.expanduser()
        if (path / MANIFEST).exists():
            return cls(path, [load(path)], is_run=True)
        return cls(path, archive.runs(path)[0], is_run=False)

    def of(self, run: ReadyRun) -> Record:
        """Return the complete run of the same model and samples. Raises `InputError` if there is none, or several."""
        model, task = run.source.name, run.task.name
        of_model = [
            record
            for record in self.runs
            if record.manifest.task.name == task
            and bool(record.manifest.task.blind) == run.config.options.blind
            and (self.is_run or record.manifest.model_name == model)
        ]
        if not of_model:
            held = ", ".join(f"{record.manifest.model_name} on {record.manifest.task.name}" for record in self.runs[:8])
            raise InputError(f"{FLAG} {self.path} has no run of {model} on {task}; it has {held or 'no finished run'}")
        ids = digest_of_ids(run.samples.ids)
        same = [record for record in of_model if record.manifest.data["ids"] == ids]
        if not same:
            raise InputError(f"{FLAG} {of_model[0].folder}: it is a run of other samples than {model} on {task}")
        if len(same) > 1:
            folders = " and ".join(str(record.folder) for record in same[:2])
            raise InputError(f"{FLAG} {self.path} has several runs of {model} on {task}: give one of {folders}")
        if same[0].finished().stopped is not None:
            raise InputError(
                f"{FLAG} {same[0].folder} stopped early, and the race may need its other samples: complete it "
                f"first, by its command without --until-decided or --precision"
            )
        return same[0]


def race_against(
    models: Sequence[str],
    tasks: Sequence[str],
    against: Path,
    *,
    margin: float | None = None,
    data: Mapping[str, str] | str | None = None,
    **options: Any,
) -> list[tuple[Record, Record]]:
    """Run each model on each task until it is decided whether it is better or worse than in an earlier run.

    The 5 % are shared among all pairs of model and task, so that all that is decided holds together.

    Args:
        models: names, each in a form that `evals.run` accepts; no name twice.
        tasks: registered names; no name twice.
        against: the folder of a finished run, or a folder that holds one of each model and task.
        margin: differences up to this number of percentage points count as none.
        data: the data of all tasks, or of each task by its name.
        options: as in `evals.run`; `out` is the run folder of one model on one task, else the folder of the run
            folders.

    Returns:
        Each run with the earlier one, model by model.

    Raises:
        InputError: an option does not fit, a task cannot stop early, or there is no such run; no model was loaded.
        InputError: the protocols differ.
    """
    earlier = _Earlier.read(against)
    prepared = prepared_runs(models, tasks, data, margin, options)
    races, out = [], options.get("out")
    if len(prepared) == 1 and out is not None:  # as in any command with one model and one task, this is its run folder
        run, early = prepared[0]
        prepared = [(replace(run, config=replace(run.config, out=Path(out))), early)]
    for run, early in prepared:
        record = earlier.of(run)
        races.append((run, early, record, RecordedRun(record, run.samples, early)))
    finished, load_model, last = [], loaded_once(), models[0]
    for run, early, record, recorded in races:
        if run.config.model != last:  # the models are not needed again
            load_model, last = loaded_once(), run.config.model
        finished.append((_Race(run, early, record, recorded, margin, len(races)).run(load_model), record))
    return finished


@dataclass(frozen=True)
class _Race:
    """One model on one task, against its earlier run."""

    ready: ReadyRun
    early: EarlyStop
    earlier: Record
    recorded: RecordedRun
    margin: float | None
    """Percentage points."""
    races: int
    """Number of races that share the 5 %."""

    def run(self, load_model: Callable[[Resolved, Placement], Model]) -> Record:
        """Compute the model until the race is decided, or to the end."""
        config = self.ready.config
        state = RaceProgress(progress.note if config.shows_bar else lambda text: None)
        name, other = config.model, f"recorded {self.earlier.manifest.model_name}"
        with ExitStack() as stack:
            runs = {name: (self.ready, self.early)}
            opened = open_runs(stack, runs, status=lambda: state.text, load_model=load_model)[name]
            self._check(Record(opened.folder.folder, opened.folder.manifest, None))
            completion.reopen(opened.folder.folder)
            outcome = run_race(
                {name: opened.prefix, other: self.recorded},
                margin=None if self.margin is None else self.margin / 100, progress=state, races=self.races,
            )  # fmt: skip
            entry = outcome.entry(name, opened.prefix)
            return opened.finish(msgspec.structs.replace(entry, against=self.earlier.manifest.signature))

    def _check(self, record: Record) -> None:
        """Raise `InputError` if the run is the earlier one itself, or cannot be compared with it."""
        if record.folder.resolve() == self.earlier.folder.resolve():
            raise InputError(
                f"{FLAG} {self.earlier.folder} is the folder of this run itself, with the same model, code and "
                f"settings: nothing has changed; to compute it once more, name another folder with --out"
            )
        check_protocol(record, self.earlier)
