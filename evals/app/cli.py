"""The command line: `main` parses the arguments, runs the command, prints its result and returns the exit code.

Exit codes: 0 done; 1 samples failed, or `--strict` found a contradiction or a change; 2 bad usage or bad input, with
one line on standard error; 130 interrupted, with the finished samples stored. Only this module and `console` print.
"""

from __future__ import annotations

import argparse
import errno
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from evals.app import console, parser
from evals.app.commands import ab, plan, push, quantise, readers, verify, view
from evals.app.console import BAD_INPUT, DONE, FAILED, INTERRUPTED
from evals.errors import EvalsError, InputError, counted, one_line
from evals.start_folder import shown, starting_here

_OF_COMMAND = frozenset({"command_name", "models_file", "prompts", "until_decided", "margin", "against", "strict"})
"""Options of `run` that are not options of a single run."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    from evals.execution import progress

    console.prepare()
    try:
        for argument in arguments:
            _check_home(argument)
        options = parser.build().parse_args(arguments)
        options.command = shlex.join(["python", "-m", "evals", *arguments])
        if getattr(options, "scale", None) == "mini" and not any("hf:" in argument for argument in arguments):
            os.environ["HF_HUB_OFFLINE"] = "1"  # bundled files only: make no attempt at a network
        with starting_here(), _messages(options), progress.counting(), console.lines_of("evals.data"):
            return COMMANDS[options.command_name](options)
    except InputError as error:
        console.complain(error)
        return BAD_INPUT
    except EvalsError as error:
        console.complain(error)
        return FAILED
    except OSError as error:  # of a path that was given: too long a name, no permission, a disk that is full
        console.complain(f"{error.strerror or one_line(error)}{f': {error.filename}' if error.filename else ''}")
        return FAILED if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO, None} else BAD_INPUT
    except KeyboardInterrupt as error:
        console.complain(str(error) or "interrupted; what was finished is kept, the same command continues")
        return INTERRUPTED


def _messages(options: argparse.Namespace) -> AbstractContextManager[None]:
    """Write messages in whole lines where a stream of events is among them."""
    if getattr(options, "progress", None) != "json":
        return nullcontext()
    from evals.hooks.printing import whole_lines

    return whole_lines()


def _check_home(argument: str) -> None:
    """Raise `InputError` for a path in the home folder of a user that does not exist."""
    if argument.startswith("~"):
        try:
            Path(argument).expanduser()
        except RuntimeError as error:
            raise InputError(f"{argument}: {one_line(error)}") from error


def _run(options: argparse.Namespace) -> int:
    from evals.execution import progress

    choices = {name: value for name, value in vars(options).items() if name not in _OF_COMMAND}
    choices["progress"] = _progress(options.progress)
    if choices["progress"] is True:
        models_named = options.model or f"the models of {options.models_file}"
        progress.announce(
            console.printable(f"evals: {models_named} on {options.task}: reading the data, loading the model")
        )
    from evals.app import api, several

    models = several.names(options.model) if options.model is not None else several.read_names(options.models_file)
    tasks, data = several.names(options.task), several.data_by_task(options.data or [])
    if options.prompts is not None:
        if options.until_decided or options.precision is not None:
            raise InputError("--prompts asks every sample with every prompt: leave out --precision and --until-decided")
        return _run_prompts(models, tasks, options.prompts, {**choices, "data": several.of_task(data, tasks)})
    refused: Mapping[tuple[str, str], str] = {}
    broken: Mapping[tuple[str, str], str] = {}
    if options.margin is not None and not options.until_decided:
        raise InputError("--margin is for --until-decided: give both, or neither")
    if options.against is not None or options.strict:
        return _against(models, tasks, data, choices, options)
    timed_in_turn = len(models) > 1 and len(tasks) == 1 and api.is_timed(tasks[0])
    if options.until_decided:
        records = _race(models, tasks, data, choices, options.margin)
    elif len(models) * len(tasks) > 1 and not timed_in_turn:
        more = {name: value for name, value in choices.items() if name not in {"model", "task", "data"}}
        outcome = several.run(models, tasks, data=data, **more)
        records, refused, broken = list(outcome.records), outcome.refused, outcome.broken
        console.write(several.table(outcome))
    else:
        choices |= {"task": tasks[0], "data": several.of_task(data, tasks)[tasks[0]]}
        records = _interleave(models, choices) if timed_in_turn else _run_one({**choices, "model": models[0]})
        readers.print_table(records)
    for (model, task), why in refused.items():
        console.complain(f"{model} was not run on {task}: {why}")
    for (model, task), why in broken.items():
        console.complain(f"{model} on {task} is not complete: {why}; the same command continues it")
    for record in records:
        if (batching := str(record.manifest.model.get("batching"))).startswith("row by row"):
            console.complain(f"{record.manifest.model['name']} reads its prompts {batching}")
    failed = [record for record in records if record.finished().failed]
    for record in failed:
        console.complain(
            f"{counted(record.finished().failed, 'sample')} failed; remove {shown(record.folder)} to try again"
        )
    return BAD_INPUT if refused else FAILED if failed or broken else DONE


def _run_prompts(models: Sequence[str], tasks: Sequence[str], prompts: str, choices: Mapping[str, Any]) -> int:
    """Run with several prompts, and print what they give."""
    from evals.app import prompting
    from evals.reports.runs.prompting import prompts as text

    options = {name: value for name, value in choices.items() if name not in {"model", "task", "data"}}
    prompted = prompting.run(models, tasks, prompts, data=choices["data"], options=options)
    for run in prompted:
        console.write(text.text(run.summary, shown(run.folder)))
    failed = sum(record.finished().failed for run in prompted for record in run.records)
    if failed:
        console.complain(f"{counted(failed, 'sample')} failed")
    return FAILED if failed else DONE


def _run_one(choices: Mapping[str, Any]) -> list[Any]:
    """Run one model on one task and, if images are forced on it, its blind control."""
    from evals.app import api

    records = [api.run(**choices)]
    if choices["force"] and not choices["blind"]:
        control = f"{Path(choices['out'])}-blind" if choices["out"] else None
        records.append(api.run(**{**choices, "blind": True, "out": control}))
    return records


def _race(
    models: Sequence[str],
    tasks: Sequence[str],
    data: Mapping[str, str] | str | None,
    choices: Mapping[str, Any],
    margin: float | None,
) -> list[Any]:
    """Run several models on each task until it is decided which is better."""
    from evals.app.commands import race
    from evals.reports.runs.early import race as outcome

    more = {name: value for name, value in choices.items() if name not in {"model", "task", "data"}}
    races = race.race(models, tasks, margin=margin, data=data, **more)
    console.write("\n".join(outcome.text(records) for records in races))
    return [record for records in races for record in records]


def _against(
    models: Sequence[str],
    tasks: Sequence[str],
    data: Mapping[str, str] | str | None,
    choices: Mapping[str, Any],
    options: argparse.Namespace,
) -> int:
    """Run each model on each task until it is decided whether it is worse than in an earlier run."""
    if options.against is None or not options.until_decided:
        lacking = "--strict is for --against RUN" if options.against is None else "--against is for --until-decided"
        raise InputError(f"{lacking}: give both, or neither")
    from evals.app.early.against import race_against
    from evals.reports.runs.early import against

    more = {name: value for name, value in choices.items() if name not in {"model", "task", "data"}}
    races = race_against(models, tasks, options.against, margin=options.margin, data=data, **more)
    console.write(against.text(races))
    failed = [record for record, _ in races if record.finished().failed]
    for record in failed:
        console.complain(f"{counted(record.finished().failed, 'sample')} failed; remove {record.folder} to try again")
    return FAILED if failed or (options.strict and against.worse(races)) else DONE


def _interleave(models: Sequence[str], choices: Mapping[str, Any]) -> list[Any]:
    """Time several models in turn. Raises `InputError` for an option that only a single run can have."""
    from evals.app import api

    supported = {"scale", "split", "out", "device", "dtype", "processes", "repetitions", "progress", "track", "command"}
    defaults = vars(parser.build().parse_args(["run", "--model", "M", "--task", "T"]))
    for name, value in choices.items():
        if name not in {*supported, "model", "task"} and value != defaults.get(name):
            flag = name.replace("_", "-")
            raise InputError(f"--{flag} cannot be given for several models that are timed in turn; leave it out")
    return api.interleave(models, choices["task"], **{name: choices[name] for name in supported})


def _progress(chosen: str) -> bool | str:
    """Return the value of --progress for the configuration of a run."""
    return {"auto": _shows_progress(), "bar": True, "none": False}.get(chosen, chosen)


def _shows_progress() -> bool:
    """Whether to show a progress bar: always at a terminal, and elsewhere unless it is a CI job."""
    return console.shows_progress()


def _list(options: argparse.Namespace) -> int:
    from evals.app import listing

    console.write(listing.text(options.what, options.scale))
    return DONE


def _show_model(options: argparse.Namespace) -> int:
    from evals import registry
    from evals.data.hub import local_copy
    from evals.models.backend import size
    from evals.reports.runs import systems

    os.environ["HF_HUB_OFFLINE"] = "1"  # local files are counted; nothing is downloaded for it
    counted = size.count_models(options.model, local_copy)
    rows = [systems.row(registry.VARIANTS.get(options.model))] if options.model in registry.VARIANTS else []
    console.write(
        systems.sheets(options.model, rows + [systems.size(model.source, model.as_dict()) for model in counted])
    )
    return DONE


def _attend(options: argparse.Namespace) -> int:
    from evals.app.commands import attend

    console.write(attend.run(options))
    return DONE


def _check(options: argparse.Namespace) -> int:
    from evals.execution import progress

    chosen = {"--explain": options.explain, "--summary": options.summary, "--format summary": options.format != "text"}
    if len(names := [name for name, is_chosen in chosen.items() if is_chosen]) > 1:
        raise InputError(f"{' and '.join(names)}: each says what is printed; give only one")
    if _shows_progress() and not options.paper:
        progress.announce("evals: reading the documents, loading the models that test them")
    from evals.app import check

    checked = check.check(
        options.files,
        paper=options.paper,
        scale=options.scale,
        systems=dict(options.system),
        data=options.data,
        fast=options.fast,
        out=options.out,
        recorded=options.recorded,
        evidence=options.evidence,
        progress=_shows_progress(),
        command=options.command,
    )
    if options.explain:
        from evals.reports.claims.output import explanation

        console.write("\n".join(explanation.explain(checked, id) for id in options.explain))
    elif options.format == "summary":
        from evals.reports.claims.output.summary import five_lines

        console.write(five_lines(checked))
    else:
        console.write(check.summarise_job(checked) if options.summary else check.summary(checked, options.out))
    return FAILED if options.strict and checked.convicted else DONE


def _draft(options: argparse.Namespace) -> int:
    from evals.app import draft

    for article, out in draft.outputs(options.articles, options.out):
        console.write(draft.write(article, out, llm=options.llm, ask=console.ask if options.review else None))
    return DONE


def _select(options: argparse.Namespace) -> int:
    from evals.app.commands import select

    report = select.select(options, progress=_shows_progress(), complain=console.complain)
    console.write(select.written(report, options.format, options.out))
    return FAILED if report.selection is not None and not report.selection.best else DONE


def _new_task(options: argparse.Namespace) -> int:
    from evals.tasks.files import start

    file, rows = start.write_start(options.name, Path())
    console.write(f"{file} and {rows} are written; run it:\npython -m evals run --model r1 --task ./{file}\n")
    return DONE


def _print(run: Callable[[argparse.Namespace], str], options: argparse.Namespace) -> int:
    console.write(run(options))
    return DONE


COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "ab": partial(_print, ab.run),
    "attend": _attend,
    "check": _check,
    "compare": readers.compare,
    "draft": _draft,
    "export": readers.export,
    "gap": readers.gap,
    "import": readers.import_,
    "list": _list,
    "new-task": _new_task,
    "plan": plan.run,
    "push": push.run,
    "quantise": partial(_print, quantise.run),
    "report": readers.report,
    "run": _run,
    "score": readers.score,
    "select": _select,
    "show": readers.show,
    "show-model": _show_model,
    "trends": readers.trends,
    "verify": verify.run,
    "view": view.run,
}
"""The function of each command."""
