"""The commands that read runs: show, compare, gap, export, import, score, report, trends.

Each takes the parsed options, prints its result and returns the exit code. It may import every other package.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evals.app import console
from evals.app.console import BAD_INPUT, DONE, FAILED
from evals.app.parser import EXPORTS
from evals.errors import InputError, counted


def show(options: argparse.Namespace) -> int:
    """Show one run, or chosen samples of it."""
    from evals import records
    from evals.reports.runs import prompts, terminal

    chosen = options.where or options.sort or options.samples is not None
    if options.predictor and (chosen or options.prompt is not None):
        raise InputError(
            "--predictor estimates a split, and --prompt, --where, --sort and --samples show samples: give "
            "one or the other"
        )
    if options.prompt is not None:
        console.write(prompts.show(records.load(options.run), options.prompt))
        return DONE
    if chosen:
        from evals.reports import samples

        record = records.load(options.run)
        console.write(
            samples.text(
                record,
                samples.choose(record, options.where, options.sort, 12 if options.samples is None else options.samples),
            )
        )
        return DONE
    if options.predictor:
        from evals.reports import predictions

        record, predictors = records.load(options.run), [records.load(folder) for folder in options.predictor]
        if record.finished().stopped is None:
            console.write(predictions.text(predictions.estimate(record, predictors)))
        else:
            console.write(predictions.text_of_stopped(predictions.estimate_stopped(record, predictors)))
        return DONE
    console.write(terminal.show(records.load(options.run)))
    return DONE


def compare(options: argparse.Namespace) -> int:
    """Compare two runs."""
    from evals.app import check
    from evals.reports.runs import comparison

    if len(options.runs) != 2:
        count = counted(len(options.runs), "folder")
        raise InputError(f"compare takes the folders of two runs, {count} came; report puts any number into one table")
    console.write(comparison.text(check.compare(*options.runs)))
    return DONE


def gap(options: argparse.Namespace) -> int:
    """Say why two runs disagree."""
    from evals import records
    from evals.reports import gaps

    records.check_two_folders(*options.runs)
    console.write(gaps.text(gaps.attribute(*(records.load(folder) for folder in options.runs))))
    return DONE


def export(options: argparse.Namespace) -> int:
    """Write the samples of a run as a table."""
    from evals import records
    from evals.reports.exports import samples

    path = options.out or options.run / f"export.{options.format}"
    records.check_output(path)
    count = samples.export(records.load(options.run), options.format, path)
    console.write(f"{counted(count, 'sample')} in {path}\n")
    return DONE


def import_(options: argparse.Namespace) -> int:
    """Make run folders of the logs of other harnesses."""
    from evals.app import imports

    outcome = imports.import_logs(options.logs, options.out)
    console.write(imports.summary(outcome.records))
    for reason in outcome.refused:
        console.complain(f"not imported: {reason}")
    return BAD_INPUT if outcome.refused else DONE


def score(options: argparse.Namespace) -> int:
    """Score a run again."""
    from evals.app import api

    print_table([api.score(options.run)])
    return DONE


def _finished_runs(folders: Sequence[Path]) -> list[Any]:
    """Read the runs to report; of several, those that are unfinished or are no runs are left out and named."""
    from evals import records

    if len(folders) == 1:
        return [records.load(folders[0])]
    runs, skipped = records.load_finished(folders)
    for reason in skipped:
        console.complain(f"left out: {reason}")
    return runs


def report(options: argparse.Namespace) -> int:
    """Print a report or an export of runs."""
    from evals import records
    from evals.reports.runs import page, tables

    records.check_output(options.out)
    runs = _finished_runs(options.runs)
    if options.format == "png":
        console.write_bytes(tables.forest_png(runs), options.out)
        return DONE
    if options.format in EXPORTS:
        from evals.reports.exports import every_eval_ever

        text = every_eval_ever.render(runs, options.format)
    else:
        text = page.render(runs) if options.format == "html" else tables.render(runs, options.format)
    if options.out is None:
        console.write(text)
    else:
        console.write_bytes(text.encode(), options.out)
    return DONE


def trends(options: argparse.Namespace) -> int:
    """Print the values of several days."""
    from evals.reports.trends import page, series

    days = [series.read(folder) for folder in options.days]
    for reason in (reason for day in days for reason in day.skipped):
        console.complain(f"left out: {reason}")
    console.write(page.render(days, options.format))
    changes = series.changes(days) if options.strict else []
    for change in changes:
        console.complain(change)
    return FAILED if changes else DONE


def print_table(records: Sequence[Any]) -> None:
    """Print the metrics of runs."""
    from evals.reports.runs import tables

    console.write(tables.render(records, "text"))
