"""Everything that is checked before a model's weights are read, for the command `run` and for `list MODEL`.

`run` begins with `ready`, and `list MODEL` calls it for every task: so both agree on what a model can do, and what the
one refuses the other lists with the same reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from evals import registry
from evals.errors import InputError
from evals.execution import generation_options, selection, validation
from evals.execution.resolve import Resolved
from evals.execution.run import resolved, selected
from evals.execution.sequential.eligible import EarlyStop
from evals.records import load
from evals.schema import RunConfig, Samples, Task
from evals.schema.contracts import checked_samples
from evals.start_folder import absolute
from evals.timing import interleaving
from evals.timing.stopwatch import ModelSource


@dataclass(frozen=True)
class ReadyRun:
    """A run that can begin as far as is known before the weights are read."""

    task: Task
    source: Resolved
    """The model."""
    config: RunConfig
    """The configuration, with the variant's own settings and the method of querying the model."""
    split: Samples
    """All samples of the split."""
    samples: Samples
    """The samples of the run."""


def _with_absolute_data(config: RunConfig) -> RunConfig:
    """Return a configuration whose data are found wherever the working folder is later: they are read as needed."""
    data = config.options.data
    if data is None or not (place := absolute(data)).exists():
        return config
    return replace(config, options=replace(config.options, data=place))


def ready(config: RunConfig) -> ReadyRun:
    """Check a configuration of a task that is not timed.

    Raises:
        InputError: for anything that the user can correct.
    """
    validation.check_numbers(config)
    config = _with_absolute_data(config)
    task = registry.TASKS.get(config.task)
    source = resolved(config)
    if source.parts:  # which part answers, and so what it can, depends on the samples
        source = source.for_samples(checked_samples(task, task.samples(config.options)))
    config = generation_options.settled(config, source, task)
    validation.check_numbers(config)
    validation.check_supported(task, config.options)
    method = validation.method(task, source, config.options.method)
    config = replace(config, options=replace(config.options, method=method))
    generation_options.check_used(task, validation.ability(task, method), config.options)
    generation_options.check_heeded(source, config.options)
    split = checked_samples(task, task.samples(config.options))
    samples = selected(config, split)
    validation.check_distinct(task, samples.ids)
    validation.check_modalities(task, source, split, config.force)
    validation.check_long_prompts(config, source)
    validation.check_engine(config, source)
    validation.check_requests(source, config.placement, split)
    if config.placement.engine is not None:  # the user's sampling settings are in the run's own samples
        validation.check_requests(source, config.placement, samples)
    return ReadyRun(task, source, config, split, samples)


def early_stop(run: ReadyRun, flag: str) -> EarlyStop:
    """Find what a run needs to stop early. Raises `InputError` if its task cannot, before any model is loaded."""
    early = EarlyStop.of(run.task, run.samples, run.config.options.seed, flag)
    return early.predicted_by([load(folder) for folder in run.config.predictor], run.samples)


def timed_model(config: RunConfig) -> interleaving.TimedModel:
    """Check a configuration of a timed task; return the model, with the samples whose modalities it reads.

    Raises:
        InputError: for anything that the user can correct.
    """
    task = registry.TASKS.get(config.task)
    validation.check_numbers(config)
    source = resolved(config)
    validation.check_supported(task, config.options)
    validation.check_timed(task, config)
    validation.method(task, source, None)
    generation_options.check_used(task, task.needs, config.options)
    if source.family.name == "replay":
        raise InputError(
            f"model {config.model!r} only replays recorded outputs: it computes nothing that could be timed"
        )
    if config.options.batch is not None and source.family.prefix is not None:
        raise InputError(f"--batch {config.options.batch} is for local models: {config.model!r} batches by itself")
    if source.parts:
        raise InputError(f"model {config.model!r} is composed: time its parts, {', '.join(source.parts)}")
    samples = checked_samples(task, task.samples(config.options))
    readable = selection.readable(samples, source.modalities)
    if not len(readable):
        validation.check_modalities(task, source, samples, force=False)
    validation.check_requests(source, config.placement, readable)
    validation.check_engine(config, source)
    placement = replace(config.placement, engine="transformers") if source.family.engines else config.placement
    model_source = ModelSource(config.model, config.options.scale, config.checkpoint, placement)
    return interleaving.TimedModel(model_source, readable, source, config.options)


def refusal(config: RunConfig) -> str | None:
    """Return why a run would be refused before any weight is read, or None if it would begin.

    Raises:
        InputError: there is no such model, or no such task.
    """
    try:
        if registry.TASKS.get(config.task).timed:
            timed_model(config)
        else:
            ready(config)
    except InputError as error:
        return str(error)
    return None
