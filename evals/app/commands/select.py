"""The command `select`: read or make the runs, and choose.

With run folders, nothing is run. With the names of models, their runs on the tasks and their timings are made at mini
scale, or read where they are finished.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.app.commands.candidate_runs import HINT, SCALE, CandidateRuns, make
from evals.errors import InputError

if TYPE_CHECKING:
    from evals.records import Record
    from evals.reports.choices.guides import Guide
    from evals.reports.choices.report import SelectionReport
    from evals.reports.choices.requirements import Criteria

SUMMARY = "choose a model from measured runs: what keeps the requirements, what is best, what ties"


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of `select`."""
    add = command.add_argument
    add("runs", nargs="*", type=Path, metavar="RUN", help="folders of finished runs; nothing else is run")
    add("--model", metavar="A,B", help="instead of runs: models, whose missing runs are made at mini scale")
    add(
        "--fast",
        action="store_true",
        help="with --model: stop models early that are shown to be below a --min, or worse than another that costs no "
        "more; the choice is that of complete runs in at least 95 of 100 selections",
    )
    add("--task", metavar="T,U", help="the tasks whose headline metrics are the quality")
    add("--min", action="append", default=[], metavar="T=V", help="least value of a task's headline, in percent")
    add("--memory", metavar="4GB", help="most memory at the peak, as 4GB, 512MiB")
    add("--latency", metavar="100ms", help="longest median time of a whole answer, as 100ms, 1.5s")
    add("--price", metavar="1EUR/1000", help="highest price per number of answers; currencies are not converted")
    add("--hourly", metavar="2.5EUR", help="the price of the device for an hour, for models that are timed on it")
    add(
        "--guide",
        metavar="a|b|FILE.yaml",
        help="hold the advice of a document's selection guide against the runs; without --task only this",
    )
    add("--out", type=Path, metavar="DIR", help="write select.json, .md, .html and .svg to a folder")
    add(
        "--format", choices=("text", "md", "json", "html", "svg"), default="text", help="what is printed; default: text"
    )


def select(
    options: argparse.Namespace, *, progress: bool = False, complain: Callable[[str], object] = lambda text: None
) -> SelectionReport:
    """Choose a model, and hold the advice of guides against the runs.

    Args:
        options: those of the command.
        progress: show progress bars on standard error.
        complain: receives why a run folder is left out.

    Raises:
        InputError: an option cannot be read, or nothing that is asked for was measured.
    """
    from evals.app import several
    from evals.records import load_finished
    from evals.reports.choices import guides
    from evals.reports.choices.advice import check_hourly, hold, testable
    from evals.reports.choices.report import SelectionReport

    tasks = several.names(options.task) if options.task is not None else []
    guide = guides.load(options.guide) if options.guide is not None else None
    _check(options, tasks, guide)
    criteria = _criteria(options, tasks)
    runs = CandidateRuns({"progress": progress, "command": options.command})
    models: Sequence[str] = ()
    if options.runs:
        records, skipped = load_finished(options.runs)
        runs.records += records
    if guide is not None:
        check_hourly(guide, criteria.hourly, runs.records)
    if options.runs:
        for reason in skipped:
            complain(f"left out: {reason}")
    else:
        _check_minimums(criteria)
        models = make(runs, options.model, criteria, guide, progress=progress, fast=options.fast)
    if options.runs:
        _check_tasks(tasks, runs.records)
    chosen = runs.choose(criteria, models) if tasks else None
    shown = [guide] if guide is not None else list(map(guides.load, guides.bundled()))
    held = [
        row
        for entry in shown
        if guide is not None or testable(entry, runs.records)
        for row in hold(entry, runs.records, _unable(entry), criteria.hourly)
        if guide is not None or row.is_tested
    ]
    return SelectionReport(chosen, tuple(held), _of_guides(runs.records, shown), len(runs.records))


def written(report: SelectionReport, format: str, out: Path | None) -> str:
    """Return a report as it is printed, and write it to a folder if there is one.

    Raises:
        InputError: the folder cannot be written.
    """
    from evals.reports.choices import report as reports

    text = reports.render(report, format)
    if out is None:
        return text
    reports.write(report, out.expanduser())
    return f"{text}\n{out} holds select.html and the other formats\n" if format == "text" else text


def _criteria(options: argparse.Namespace, tasks: Sequence[str]) -> Criteria:
    """Read the limits."""
    from evals.reports.choices import amounts
    from evals.reports.choices.requirements import Criteria

    minimums: dict[str, float] = {}
    for text in options.min:
        task, equals, value = text.rpartition("=")
        if not (equals and task) or task in minimums:
            problem = "is given twice" if task in minimums else "is not TASK=PERCENT, as glue=80"
            raise InputError(f"--min {text} {problem}")
        minimums[task] = amounts.percentage(value)

    def read(name: str, parse: Callable[[str], Any]) -> Any:
        text = getattr(options, name)
        try:
            return None if text is None else parse(text)
        except InputError as error:
            raise InputError(f"--{name} {error}") from None

    return Criteria(
        tuple(tasks), minimums, memory=read("memory", amounts.size), latency=read("latency", amounts.duration),
        price=read("price", amounts.price), hourly=read("hourly", amounts.money),
    )  # fmt: skip


def _check(options: argparse.Namespace, tasks: Sequence[str], guide: Guide | None) -> None:
    """Refuse options that contradict each other, and tasks that are none or are timed."""
    from evals import registry

    if not tasks and guide is None:
        raise InputError("--task is missing: name the tasks that a model is chosen for, as --task vqa,glue")
    limits = [name for name in ("min", "memory", "latency", "price") if getattr(options, name)]
    if not tasks and limits:
        raise InputError(f"--{limits[0]} limits a selection: name its tasks with --task")
    if options.runs and options.model:
        raise InputError("--model and RUN: give only one, models to be run or the folders of finished runs")
    if options.fast and (options.runs or guide is not None or not options.model):
        raise InputError(
            "--fast stops models that this command runs: give --model A,B, without run folders and --guide"
        )
    if not options.runs and not options.model and guide is None:
        raise InputError("no candidates: give run folders, or --model A,B")
    for task in tasks:
        if tasks.count(task) > 1:
            raise InputError(f"task {task!r} is named twice")
        if (not options.runs or task in registry.TASKS) and registry.TASKS.get(task).timed:
            raise InputError(f"task {task!r} is measured for every candidate: name only tasks with a score")


def _check_minimums(criteria: Criteria) -> None:
    """Refuse minimums that no run can have before it is made; of a headline whose unit is not known, none."""
    from evals import registry
    from evals.metrics.classification import STATISTICS
    from evals.reports.choices.requirements import check_minimum

    units = {"average": "fraction", **{name: statistic.unit for name, statistic in STATISTICS.items()}}
    for task, limit in criteria.minimums.items():
        headline = registry.TASKS.get(task).headline
        unit = "fraction" if "recall@" in headline else units.get(headline.partition("/")[0])
        if unit is not None:
            check_minimum(task, limit, headline, unit)


def _check_tasks(tasks: Sequence[str], records: Sequence[Record]) -> None:
    """Refuse a task that no run is of; an unknown name gets the near ones."""
    from evals import registry

    names = sorted({record.manifest.task.name for record in records if not record.timed})
    for task in tasks:
        if task not in names:
            registry.TASKS.get(task)
            raise InputError(
                f"no run is of task {task!r}: the runs are of {', '.join(names) or 'no task with a score'}"
            )


def _of_guides(records: Sequence[Record], shown: Sequence[Guide]) -> tuple[Record, ...]:
    """Return the runs that the advice of guides can be about, in an order of their own."""
    from evals.reports.choices.comparable import ordered

    models = {model for guide in shown for model in guide.models}
    tasks = {task for guide in shown for task in guide.tasks}
    return tuple(
        record
        for record in ordered(records)
        if record.manifest.model_name in models and (record.timed or record.manifest.task.name in tasks)
    )


def _unable(guide: Guide) -> dict[tuple[str, str], str]:
    """Return the tasks that registered models of a guide cannot do, with the reason; no weight is read."""
    from evals import registry
    from evals.app.readiness import refusal
    from evals.schema import RunConfig

    reasons = {}
    for name in guide.models:
        has_checkpoint = name in registry.VARIANTS and registry.VARIANTS.get(name).checkpoints.get(SCALE)
        for task in guide.tasks if has_checkpoint else []:
            why = refusal(RunConfig.of(name, task, scale=SCALE)) if task in registry.TASKS else None
            if why is not None:
                reasons[name, task] = why.partition(HINT)[0]
    return reasons
