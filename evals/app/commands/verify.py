"""The command `verify`: execute randomly chosen samples of a finished run again."""

from __future__ import annotations

import argparse
from pathlib import Path

from evals.app import console
from evals.app.console import DONE, FAILED
from evals.app.run_options import integer, real
from evals.schema.config import ENGINES

SUMMARY = "execute randomly chosen samples of a run again, and bound how many of all would differ"


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of `verify`."""
    add = command.add_argument
    add("run", type=Path, metavar="RUN", help="the folder of a finished run, also an imported one")
    add("--sample", type=integer, default=30, metavar="N", help="how many samples are executed again; default 30")
    add(
        "--seed",
        metavar="TEXT",
        help="the seed of an earlier verification, to repeat its choice; default: a fresh random one, unknown to "
        "who made the run",
    )
    add(
        "--tolerance",
        type=real,
        metavar="NATS",
        help="up to which difference log-likelihoods count as equal; default 0.01 where run and verification compute "
        "in float32, else 0.25",
    )
    add("--model", metavar="M", help="where the model is here, as in run; default: as the run names it")
    add("--checkpoint", metavar="C", help="as in run")
    add("--task", metavar="FILE.yaml", help="the task's file, for a task that is none of the suite")
    add("--data", metavar="DIR", help="where the data of the run are here, as in run")
    add("--engine", choices=ENGINES, help="what computes the model; default: as in the run")
    add("--dtype", metavar="T", help="float32, bfloat16, float16; default: as in the run")
    add("--device", metavar="D", help="cpu, cuda, cuda:1; default: as in run")
    add(
        "--max-new-tokens",
        type=integer,
        metavar="N",
        help="for an imported run: the limit of its outputs, where its log does not state it",
    )
    add("--other-code", action="store_true", help="verify also with another version of the suite; it is recorded")
    add("--strict", action="store_true", help="exit with 1 if a sample differs")


def run(options: argparse.Namespace) -> int:
    """Verify a run, write its reports again, and print what was found."""
    from evals.app import verification
    from evals.app.verification.protocol import settings_of
    from evals.records import load
    from evals.reports import write
    from evals.reports.runs.verifying import verification as text

    options.progress = console.shows_progress()
    record, entry = verification.verify(options.run, settings_of(options))
    write(load(record.folder))
    console.write(text.report(record, entry))
    return FAILED if entry.failed.here or (options.strict and entry.differing["any"].differ) else DONE
