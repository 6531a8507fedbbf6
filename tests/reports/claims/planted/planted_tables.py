"""Tables and sentences into which errors are planted: real ones, of the honest documents, and made ones of costs.

A document is a dictionary in the format of a claims file; a table in it is that of `claims[0]`.
"""

from __future__ import annotations

import copy
import random
import re
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import yaml

HONEST = Path(__file__).parents[1] / "honest"
Table = dict[str, Any]
_NUMBER = re.compile(r"\*\*|[^0-9.\-]")


@cache
def real_tables() -> tuple[Table, ...]:
    """The tables of the honest documents that have at least three rows and three columns of percentages."""
    documents = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(HONEST.glob("*.yaml"))]
    tables = [claim["table"] for document in documents for claim in document["claims"] if "table" in claim]
    return tuple(table for table in tables if len(table["rows"]) >= 3 and len(scores(table)) >= 3)


def scores(table: Table) -> list[int]:
    """The columns of scores in percent, in which a higher value is better."""
    return [
        n for n, column in enumerate(table["columns"]) if column.get("unit") == "percent" and "mean_of" not in column
    ]


def numbers(table: Table, column: int) -> dict[int, Decimal]:
    """The plain numbers of a column, by row."""
    cells = {n: row["cells"][column].replace("*", "") for n, row in enumerate(table["rows"])}
    return {n: Decimal(text) for n, text in cells.items() if re.fullmatch(r"[0-9]+\.[0-9]+", text)}


def a_table(rng: random.Random) -> Table:
    """A copy of a real table without bold, with the columns of scores and the rows that have all of them."""
    table = copy.deepcopy(rng.choice(real_tables()))
    columns = rng.sample(scores(table), min(5, len(scores(table))))
    table["columns"] = [{"name": table["columns"][n]["name"], "unit": "percent"} for n in columns]
    for row in table["rows"]:
        row["cells"] = [row["cells"][n].replace("*", "") for n in columns]
    full = [row for row in table["rows"] if all(re.fullmatch(r"[0-9]+\.[0-9]+", cell) for cell in row["cells"])]
    table["rows"] = full[:8]
    return table if len(full) >= 3 and len(columns) >= 3 else a_table(rng)


def two_rows(rng: random.Random, least: str = "1.5") -> tuple[Table, int, int, int]:
    """A table, a column and two rows of it, the better one first, whose values differ by at least `least`."""
    while True:
        table = a_table(rng)
        column = rng.randrange(len(table["columns"]))
        values = numbers(table, column)
        first, second = rng.sample(sorted(values), 2)
        if values[first] - values[second] >= Decimal(least) and values[second] > 5:
            return table, column, first, second


def costs(rng: random.Random) -> Table:
    """A made table of latency, memory and hours, as reports print them."""
    rows = []
    for name in rng.sample(["Otter", "Heron", "Lynx", "Badger", "Marten", "Wren"], 4):
        latency, memory, hours = rng.randrange(40, 900), rng.randrange(110, 790) / 10, rng.randrange(100, 4000)
        rows.append({"name": name, "cells": [str(latency), f"{memory:.1f}", str(hours)]})
    columns = [
        {"name": "Latency", "unit": "milliseconds"},
        {"name": "GPU memory", "unit": "gigabytes"},
        {"name": "GPU hours", "unit": "hours"},
    ]
    return {"caption": "Costs", "columns": columns, "rows": rows}


def document(*tables: Table, text: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """A claims file with tables T-1, T-2, … and claims of the text C-1, C-2, …"""
    claims = [{"id": f"T-{n}", "says": "Results.", "table": table} for n, table in enumerate(tables, 1)]
    claims += [{"id": f"C-{n}", "says": "The text says so.", **claim} for n, claim in enumerate(text or [], 1)]
    return {"document": {"id": "report", "title": "A report"}, "claims": claims}


def sentence(table: Table, column: int, first: int, second: int | None = None, **claim: Any) -> dict[str, Any]:
    """A claim of the text about one or two rows of the first table."""
    names = [row["name"] for row in table["rows"]]
    compares = {"table": "T-1", "column": table["columns"][column]["name"], "row": names[first]}
    compares |= {} if second is None else {"than": names[second]}
    compares |= claim.pop("compares", {})
    return {**claim, "compares": compares}
