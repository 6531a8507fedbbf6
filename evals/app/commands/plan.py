"""The command `plan`: what a comparison of two models needs before it is run, and what a set of samples can show."""

from __future__ import annotations

import argparse
from pathlib import Path

from evals.app import console
from evals.app.console import DONE
from evals.app.run_options import integer, real
from evals.errors import InputError

SUMMARY = "plan a comparison before it is run: samples, minutes, tokens and money, and what a set can show"


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of `plan`."""
    add = command.add_argument
    add("runs", nargs="*", type=Path, metavar="RUN", help="finished runs that serve as the pilot, one or two per task")
    add("--task", required=True, metavar="T,U", help="as in run")
    add("--detect", required=True, type=real, metavar="D", help="the difference that is to be shown, in points")
    add("--model", metavar="A[,B]", help="instead of runs: models, of which a pilot is run on a few samples")
    add("--pilot", type=integer, default=50, metavar="N", help="samples of a pilot, for each subset; default 50")
    add("--scale", default="mini", metavar="S", help="as in run")
    add("--split", metavar="S", help="as in run")
    add("--data", action="append", metavar="[TASK=]DIR", help="as in run")
    add("--hourly", metavar="2.5EUR", help="the price of the device for an hour; servers charge by their own prices")
    add("--format", choices=("text", "json"), default="text", help="what is printed; default: text")


def run(options: argparse.Namespace) -> int:
    """Plan, and print the plan."""
    from evals.app import several
    from evals.app.planning import PlanSettings, plan
    from evals.reports.choices import amounts
    from evals.reports.plans import text

    tasks = several.names(options.task)
    try:
        hourly = None if options.hourly is None else amounts.money(options.hourly)
    except InputError as error:
        raise InputError(f"--hourly {error}") from None
    settings = PlanSettings(
        tasks=tasks,
        detect=options.detect / 100,
        runs=options.runs,
        models=several.names(options.model) if options.model is not None else (),
        pilot=options.pilot,
        scale=options.scale,
        split=options.split,
        data=several.of_task(several.data_by_task(options.data or []), tasks),
        hourly=hourly,
        progress=console.shows_progress(),
        command=options.command,
    )
    console.write(text.render(plan(settings, console.complain), options.format))
    return DONE
