"""The command `push`: put the results of runs into a model repository of the hub."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evals.app import console
from evals.app.console import BAD_INPUT, DONE
from evals.errors import InputError, counted

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")
SUMMARY = "put the results of runs into a model repository of the hub, after showing the changes"


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add = command.add_argument
    add("runs", type=Path, nargs="+", metavar="RUN", help="the folder of a finished run on a whole public benchmark")
    add("repository", metavar="hf:ORG/NAME", help="the model repository")
    add("--dry-run", action="store_true", help="show the changes and send nothing")
    add("--yes", action="store_true", help="send without asking")
    add("--pull-request", action="store_true", help="open a pull request, which everybody may, instead of committing")
    add("--revision", default="main", metavar="BRANCH", help="the branch; default: main")
    add("--entry", metavar="NAME", help="the model's name in a card whose model-index has several models")
    add(
        "--unit",
        choices=("percent", "fraction"),
        help="the unit of the entry for the leaderboard; default: that of the values which the leaderboard has",
    )
    add(
        "--same-model",
        action="store_true",
        help="state that the model of the runs, which has another name, is the one of the repository",
    )


def run(options: argparse.Namespace) -> int:
    """Show what would change, and send it if that is wanted."""
    from evals import records
    from evals.data import hub_repository
    from evals.reports.exports import publishing

    if options.dry_run and options.yes:
        raise InputError("--dry-run and --yes: one sends nothing, the other sends; give only one")
    prefix, _, name = options.repository.partition(":")
    if prefix != "hf" or name.count("/") != 1 or "@" in name:
        raise InputError(f"{options.repository} is no model repository; expected hf:ORG/NAME (a branch: --revision)")
    runs = [records.load(folder) for folder in options.runs]
    for record in runs:
        publishing.check_publishable(record, name, same_model=options.same_model)
    results = publishing.results(runs)
    if not options.revision.strip():
        raise InputError("--revision '' names no branch")
    state = hub_repository.read_repository(name, options.revision)
    files, notes = _changed(runs, results, state, entry=options.entry, unit=options.unit)
    changed = {path: text for path, text in files.items() if text != state.files.get(path, "")}
    console.write(_shown(state, changed, notes))
    if not changed or options.dry_run:
        return DONE
    if not options.yes:
        try:
            answer = console.ask("send it? [y/N] ")
        except InputError:
            console.complain("nothing is sent: --yes sends it, --dry-run only shows it")
            return BAD_INPUT
        if answer.strip().lower() not in {"y", "yes"}:
            console.write("nothing is sent\n")
            return DONE
    where = hub_repository.commit_files(state, changed, message=_message(runs), pull_request=options.pull_request)
    console.write(f"sent: {where}\n")
    return DONE


def _changed(
    runs: list[Any], results: list[dict[str, Any]], state: Any, *, entry: str | None, unit: str | None
) -> tuple[dict[str, str], list[str]]:
    """Return the files with the results of the runs, by path, and notes for the reader.

    Args:
        runs: the runs.
        results: their results for the card.
        state: the repository.
        entry: the name of the model in the card, if the user chose one.
        unit: the unit of entries for leaderboards, if the user chose one.
    """
    from evals.data import hub_repository
    from evals.reports.exports import model_card, publishing

    card = state.files.get(hub_repository.CARD, "")
    for record, result in zip(runs, results, strict=True):
        names = publishing.model_names(record, state.name)
        card = model_card.merge_card(card, [result], names, publishing.replaces_result, entry)
    files = {hub_repository.CARD: card}
    notes = []
    for record in runs:
        evaluated = publishing.evaluated_revision(record)
        if evaluated not in {None, state.commit}:
            notes.append(f"{record.folder} evaluated commit {evaluated}; the repository is at {state.commit}")
        dataset = publishing.dataset(record)
        described = hub_repository.read_benchmark(dataset) if dataset is not None else None
        task_id = publishing.task_id(record, described) if described is not None else None
        if dataset is None or task_id is None:
            notes.append(
                f"{record.manifest.task.name} is no registered benchmark of the hub (no task of {dataset} in its "
                f"eval.yaml): its result is in the card only"
            )
            continue
        path = publishing.board_file(record)
        board = publishing.Leaderboard(dataset, task_id)
        if publishing.is_fraction(record):
            written, why = _unit(dataset, unit)
            board = publishing.Leaderboard(dataset, task_id, written)
            how = "in percent" if written == "percent" else "as a fraction"
            notes.append(f"the leaderboard of {dataset} gets the value {how}: {why}")
        score = publishing.board_entry(record, board)
        before = files.get(path, state.files.get(path, ""))
        files[path] = model_card.merge_list(before, [score], publishing.replaces_entry)
    return files, notes


def _unit(dataset: str, chosen: str | None) -> tuple[str, str]:
    """Return the unit of an entry for a leaderboard, and why."""
    from evals.data import hub_repository
    from evals.reports.exports import publishing

    if chosen is not None:
        return chosen, "--unit says so"
    values = hub_repository.read_leaderboard(dataset)
    if (unit := publishing.leaderboard_unit(values)) is not None:
        return unit, f"most of its {counted(len(values), 'value')} are"
    return "fraction", "its values show no unit; --unit percent writes percent"


def _shown(state: Any, changed: Mapping[str, str], notes: list[str]) -> str:
    """Write the changes as a unified diff, without anything that would move a terminal's cursor."""
    lines = [
        f"{state.name} at {state.commit} ({state.revision}): {counted(len(changed), 'file')} to change",
        *notes,
        "",
    ]
    for path, text in changed.items():
        before = state.files.get(path)
        source = f"a/{path}" if before is not None else "/dev/null"
        lines += _diff(before or "", text, source, f"b/{path}")
    return "".join(f"{console.printable(line)}\n" for line in lines)


def _diff(before: str, after: str, source: str, target: str) -> Iterator[str]:
    """Return the lines of a unified diff; line ends count, and are not shown."""
    old, new = _LINE.findall(before), _LINE.findall(after)
    for number, line in enumerate(difflib.unified_diff(old, new, source, target, lineterm="")):
        yield line.rstrip("\r\n")
        if number > 1 and line[0] in " +-" and line[-1] not in "\r\n":
            yield "\\ No newline at end of file"


def _message(runs: list[Any]) -> str:
    tasks = ", ".join(dict.fromkeys(record.manifest.task.name for record in runs))
    return f"Add evaluation results: {tasks}"
