"""The command `view`: a page to look into runs, served on this machine or written as one file."""

from __future__ import annotations

import argparse
from pathlib import Path

from evals.app import console
from evals.app.console import DONE
from evals.app.run_options import integer
from evals.errors import InputError, counted

_PORT = 7575
SUMMARY = "look into runs on a page: metrics, samples, prompts, two runs side by side"


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of `view`."""
    add = command.add_argument
    add("runs", nargs="*", type=Path, metavar="RUN", help="folders of finished runs; default: those in runs/")
    add("--port", type=integer, default=_PORT, metavar="N", help=f"port of 127.0.0.1; default {_PORT}, 0: any free one")
    add("--out", type=Path, metavar="FILE", help="write the page with its data to a file instead, and serve nothing")
    add(
        "--samples",
        type=integer,
        metavar="N",
        help="with --out: most samples of each run in the file, the first ones; default 5,000",
    )


def run(options: argparse.Namespace) -> int:
    """Serve the page until it is interrupted, or write it."""
    from evals import records
    from evals.execution import progress
    from evals.reports import viewer
    from evals.reports.viewer.index import default_records

    if options.samples is not None and options.out is None:
        raise InputError("--samples says how many samples a file holds: give --out FILE too")
    if not 0 <= options.port < 1 << 16:
        raise InputError(f"--port {options.port}: expected 0 to 65535")
    records.check_output(options.out)
    folders = options.runs or default_records(Path("runs"))
    runs, skipped = ([records.load(folders[0])], []) if len(folders) == 1 else records.load_finished(folders)
    for reason in skipped:
        console.complain(f"left out: {reason}")
    if console.shows_progress():
        progress.announce(f"evals: reading the samples of {counted(len(runs), 'run')}")
    if options.out is not None and options.out.is_file() and not _is_page(options.out):
        raise InputError(f"--out {options.out} is a file that is no page: name another one, or remove it")
    index = viewer.RunIndex(runs)
    try:
        if options.out is not None:
            more = {} if options.samples is None else {"samples": options.samples}
            count = viewer.write_file(index, options.out, **more)
            console.write(f"{counted(len(runs), 'run')} with {counted(count, 'sample')} in {options.out}\n")
            return DONE
        server = viewer.PageServer(index, options.port)
        console.write(f"{server.address} shows {counted(len(runs), 'run')}; Ctrl-C ends it\n")
        try:
            server.serve()
        except KeyboardInterrupt:
            console.write("\n")
        return DONE
    finally:
        index.close()


def _is_page(path: Path) -> bool:
    with path.open("rb") as file:
        beginning = file.read(200).lstrip().lower()
    return not beginning or beginning.startswith((b"<!doctype html", b"<html"))
