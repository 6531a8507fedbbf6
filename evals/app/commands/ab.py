"""The command `ab`: compare deployed variants by the outcomes in a log."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from evals.errors import InputError
from evals.plain_numbers import real


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of `ab`."""
    add = command.add_argument
    add("log", type=Path, metavar="LOG", help="a table with one row per answer: .csv, .tsv, .jsonl or .parquet")
    add("--variant", required=True, metavar="COL", help="the column that says which variant was used")
    add(
        "--success",
        required=True,
        metavar="COL",
        help="the column of the outcome: 0 or 1, true or false, yes or no, or a number (a rating, a revenue)",
    )
    add("--baseline", metavar="NAME", help="the variant that the others are compared with; default: control, or A")
    add("--unit", metavar="COL", help="the column of what was assigned (a user): its rows vary together")
    add("--segment", metavar="COL", help="also compare within each value of this column")
    add("--time", metavar="COL", help="the column of the time: an ISO date, or seconds since 1970")
    add(
        "--planned",
        metavar="50:50",
        help="the planned shares, the baseline's first and the others in the order of their names, or A=90,B=10; "
        "default: equal shares",
    )
    add("--growing", action="store_true", help="the log still grows: decide by intervals that hold at every look")
    add("--lower-is-better", action="store_true", help="the outcome is an error, a delay or a cost")
    add("--decimal", choices=("point", "comma"), help="which sign begins decimals, if numbers have commas")
    add("--out", type=Path, metavar="DIR", help="write ab.json, ab.md and ab.html into this folder")


def run(options: argparse.Namespace) -> str:
    """Read the log and analyse it; return the report for the terminal.

    Raises:
        InputError: the log cannot be read, or an option does not fit it.
    """
    from evals.data.outcome_log import OutcomeColumns, read_outcomes
    from evals.records import check_place
    from evals.reports.experiments import output
    from evals.reports.experiments.contents import ExperimentReport
    from evals.statistics.experiments.analysis import analyse

    check_place(options.out)
    columns = {"variant": options.variant, "outcome": options.success, "unit": options.unit}
    columns |= {"segment": options.segment, "time": options.time}
    named = {what: name for what, name in columns.items() if name is not None}
    _check_distinct(named)
    log = read_outcomes(
        options.log.expanduser(),
        OutcomeColumns(options.variant, options.success, options.unit, options.segment, options.time),
        baseline=options.baseline,
        decimal=options.decimal,
        over_time=options.out is not None,
    )
    planned = planned_shares(options.planned, log.cells.variants)
    report = ExperimentReport(
        log=options.log.name,
        columns=named,
        rows=log.rows,
        left_out={"variant": log.without_variant, "outcome": log.without_outcome, "unit": log.without_unit},
        analysis=analyse(
            log.cells,
            planned,
            growing=options.growing,
            timed=options.time is not None,
            looks=options.out is not None,
        ),
        lower_is_better=options.lower_is_better,
        times=log.times,
    )
    if options.out is not None:
        output.write(report, options.out.expanduser())
    return output.text(report)


def _check_distinct(columns: dict[str, str]) -> None:
    names = list(columns.values())
    for name in names:
        if names.count(name) > 1:
            uses = " and ".join(what for what, column in columns.items() if column == name)
            raise InputError(f"column {name!r} is given as {uses}; each needs a column of its own")


def planned_shares(text: str | None, variants: Sequence[str]) -> list[float]:
    """Read `--planned`.

    Args:
        text: shares in the order of the variants, `90:10`, or by their names, `B=10,A=90`; None is equal shares.
        variants: the variants, the baseline first.

    Raises:
        InputError: there is not one positive share for each variant.

    Example:
        >>> planned_shares("90:10", ["A", "B"]), planned_shares("B=1,A=3", ["A", "B"]), planned_shares(None, ["A", "B"])
        ([90.0, 10.0], [3.0, 1.0], [1.0, 1.0])
    """
    if text is None:
        return [1.0] * len(variants)
    if "=" in text:
        pairs = [part.rpartition("=") for part in text.split(",")]
        by_name = {name.strip(): share for name, _, share in pairs}
        parts = [by_name[name] for name in variants if name in by_name]
        is_whole = len(by_name) == len(pairs) == len(variants) == len(parts)
    else:
        parts = text.split(":")
        is_whole = len(parts) == len(variants)
    try:
        shares = [real(part) for part in parts]
    except ValueError:
        shares = []
    if not is_whole or not shares or min(shares) <= 0 or not math.isfinite(sum(shares)):
        names = ", ".join(variants)
        raise InputError(f"--planned {text}: give a positive share for each of {names}: 50:50, or A=90,B=10 by name")
    return shares
