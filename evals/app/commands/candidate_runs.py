"""The runs of a selection: which models on which tasks, by which method, and what stops early."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evals.errors import EvalsError, InputError

if TYPE_CHECKING:
    from evals.records import Record
    from evals.reports.choices.early.pruning import StoppedCandidates
    from evals.reports.choices.guides import Guide
    from evals.reports.choices.requirements import Criteria
    from evals.reports.choices.selection import Selection

SCALE = "mini"
_TIMING = "efficiency"
_NOT_NEEDED = "not run to the end: another task excludes the model"
HINT = " (--force"
"""Beginning of advice about an option of `run`, which is left out of a reason."""


@dataclass
class CandidateRuns:
    """Makes the runs that a selection needs, each once."""

    options: Mapping[str, Any]
    """Of `evals.run`."""
    records: list[Record] = field(default_factory=list)
    absent: dict[tuple[str, str], str] = field(default_factory=dict)
    """By model and task, why there is no run."""

    fast: StoppedCandidates | None = None
    """With `--fast`: what was stopped early."""
    stopped: list[Record] = field(default_factory=list)
    """The runs that stopped early."""

    def make(self, models: Sequence[str], tasks: Sequence[str], among: Sequence[str] = ()) -> None:
        """Run models on tasks; what cannot be run is noted with the reason.

        Args:
            models: their names.
            tasks: the tasks.
            among: the candidates that are queried by a common method; by default these models.
        """
        from evals.app import several

        for task in tasks if models else []:
            try:
                outcome = several.run(models, [task], **self.options_of(among or models, task))
            except EvalsError as error:
                self.absent |= {(model, task): _reason(model, task, models, error) for model in models}
                continue
            self.records += outcome.records
            reasons = {**outcome.refused, **outcome.broken}
            self.absent |= {pair: why.partition(HINT)[0] for pair, why in reasons.items()}

    def options_of(self, models: Sequence[str], task: str) -> dict[str, Any]:
        """Return the options with which some candidates are run on a task."""
        method = {"method": chosen} if (chosen := common_method(models, task)) else {}
        return {"scale": SCALE, **method, **self.options}

    def make_fast(self, models: Sequence[str], criteria: Criteria) -> None:
        """Time models, then run them on the tasks and stop those that are shown to be excluded."""
        from evals.app import several
        from evals.app.early import pruning as early
        from evals.reports.choices import comparable, measurements
        from evals.reports.choices.early import pruning
        from evals.reports.choices.requirements import requirements

        self.make(models, [_TIMING])
        pairs = {task: several.pairs(models, [task], None, self.options_of(models, task)) for task in criteria.tasks}
        refused = early.refusals(pairs)
        self.make(models, list(refused))
        kind = "caption" if any(comparable.names_images(task) for task in criteria.tasks) else "short"
        candidates = measurements.timed_only(models, self.records, list(refused), kind, criteria.hourly)
        limits, raced = requirements(criteria, {}), {task: of for task, of in pairs.items() if task not in refused}
        minimums = {task: least / 100 for task, least in criteria.minimums.items()}
        pruned = early.prune_tasks(raced, minimums, pruning.rivals(candidates, limits, list(refused)))
        self.stopped = [record for (model, _), record in pruned.records.items() if model in pruned.excluded]
        self.fast = pruning.StoppedCandidates(frozenset(pruned.excluded), {**refused, **pruned.whole}, asked=True)
        for model in pruned.below:
            others = {(model, task): _NOT_NEEDED for task in raced if (model, task) not in pruned.records}
            self.absent |= others
        self.make([model for model in models if model not in pruned.excluded], list(raced), among=models)

    def choose(self, criteria: Criteria, models: Sequence[str]) -> Selection:
        """Choose, and run in full what stopped early because of a model that, in the end, does not exclude it."""
        from evals.reports.choices import selection
        from evals.reports.choices.early import pruning

        while True:
            fast = self.fast or pruning.StoppedCandidates()
            chosen = selection.select([*self.records, *self.stopped], criteria, self.absent, fast)
            if not (again := pruning.unjustified(chosen)):
                return chosen
            raced = [task for task in criteria.tasks if task not in fast.whole]
            self.stopped = [record for record in self.stopped if record.manifest.model_name not in again]
            self.fast = pruning.StoppedCandidates(fast.stopped.difference(again), fast.whole, fast.asked)
            self.make(again, raced, among=models)


def make(
    runs: CandidateRuns, model: str | None, criteria: Criteria, guide: Guide | None, *, progress: bool, fast: bool
) -> Sequence[str]:
    """Make the runs of a selection, and those that the rows of a guide need; time all models in turn; return these."""
    from evals.app import several
    from evals.execution import progress as bars
    from evals.execution.run import resolved
    from evals.schema import RunConfig

    models = several.names(model) if model is not None else guide.models if guide is not None else []
    for name in models:
        if models.count(name) > 1:
            raise InputError(f"model {name!r} is named twice")
        resolved(RunConfig.of(name, _TIMING, scale=SCALE))  # an unknown name is an error before anything is run
    timed = list(models)
    if progress:
        bars.announce(f"evals: measuring {', '.join(models)} at mini scale; finished runs are read")
    if fast:
        runs.make_fast(models, criteria)
        return models
    if criteria.tasks:
        runs.make(models, criteria.tasks)
    for names, task in _of_guide(guide):
        runs.make([name for name in names if not (name in models and task in criteria.tasks)], [task])
        timed += [name for name in names if name not in timed]
    runs.make(timed, [_TIMING])
    return timed


def _of_guide(guide: Guide | None) -> Iterator[tuple[list[str], str]]:
    """Yield the models that the rows of a guide need, by task."""
    if guide is None:
        return
    for task in guide.tasks:
        rows = [row for row in guide.advice if task in row.tasks]
        yield list(dict.fromkeys(m for row in rows for m in (guide.model(row.choose), *guide.alternatives(row)))), task


def common_method(models: Iterable[str], task: str) -> str | None:
    """Return the first method by which all models can be queried, if their own defaults differ."""
    from evals import registry
    from evals.execution import validation
    from evals.execution.run import resolved
    from evals.schema import RunConfig

    adapter = registry.TASKS.get(task)
    if not adapter.methods:
        return None
    sources = [resolved(RunConfig.of(model, task, scale=SCALE)) for model in models]

    def able(source: Any, method: str | None) -> str | None:
        try:
            return validation.method(adapter, source, method)
        except InputError:
            return None

    defaults = {able(source, None) for source in sources} - {None}
    if len(defaults) < 2:
        return None
    capable = [source for source in sources if able(source, None)]
    return next((name for name in adapter.methods if all(able(source, name) for source in capable)), None)


def _reason(model: str, task: str, models: Sequence[str], error: EvalsError) -> str:
    """Return why a model was not run on a task, of an error that gives the reasons of several models."""
    text, start = str(error), f"{model} on {task}: "
    if start not in text:
        return text
    reason = text.partition(start)[2]
    for other in models:
        reason = reason.partition(f"; {other} on {task}: ")[0]
    return reason.partition(HINT)[0]
