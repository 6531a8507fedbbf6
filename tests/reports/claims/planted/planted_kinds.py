"""The kinds of errors that are planted: for each a function that makes an honest document and its twin with an error.

Each function draws from its own random generator, so a kind and a seed give the same two documents everywhere. The
twin differs from the honest document in one place. No document has a formula (`derive`, `checks`).
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import planted_tables as tables

Document = dict[str, Any]
Pair = tuple[Document, Document]
"""An honest document, and the same with an error."""
KINDS: dict[str, Callable[[random.Random], Pair]] = {}
"""Each kind by its name in the table of the documentation."""


def kind(name: str) -> Callable[[Callable[[random.Random], Pair]], Callable[[random.Random], Pair]]:
    """Register a kind under its name."""

    def register(function: Callable[[random.Random], Pair]) -> Callable[[random.Random], Pair]:
        KINDS[name] = function
        return function

    return register


def pair(name: str, seed: int) -> Pair:
    """The honest document and its twin of one kind and seed."""
    return KINDS[name](random.Random(f"{name} {seed}"))


def _rounded(value: Decimal, places: int = 1) -> str:
    return str(value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN))


def _other(value: str, rng: random.Random) -> str:
    """The number with another digit before or after the point: off by at least 20 units of the last place."""
    number, place = Decimal(value), Decimal(1).scaleb(Decimal(value).as_tuple().exponent)
    return str(abs(number + rng.choice([-1, 1]) * rng.randrange(20, 60) * place))


def _transposed(value: str) -> str | None:
    """The number with two neighbouring digits exchanged; None if that changes little."""
    for n in range(len(value) - 1):
        a, b = value[n], value[n + 1]
        if a.isdigit() and b.isdigit() and abs(int(a) - int(b)) > 1:
            return value[:n] + b + a + value[n + 2 :]
    return None


def _text_pair(table: tables.Table, right: Document, wrong: Document) -> Pair:
    return tables.document(table, text=[right]), tables.document(table, text=[wrong])


def _digits_pair(
    rng: random.Random, statement: Callable[[Decimal, Decimal], Decimal], places: int, **claim: Any
) -> Pair:
    """A statement that compares two rows of a real table, and the same with other digits."""
    table, column, first, second = tables.two_rows(rng)
    values = tables.numbers(table, column)
    right = _rounded(statement(values[first], values[second]), places)
    digits = [right, _other(right, rng)]
    return _text_pair(table, *(tables.sentence(table, column, first, second, printed=d, **claim) for d in digits))


@kind("sum that the document calls that of its rows")
def _sum(rng: random.Random) -> Pair:
    table = tables.costs(rng)
    hours = [int(row["cells"][2]) for row in table["rows"]]
    pairs = []
    for total in (sum(hours), sum(hours) + rng.choice([-1, 1]) * rng.randrange(30, 99)):
        twin = copy.deepcopy(table)
        twin["rows"].append({"name": "Total", "sum_of": "all", "cells": ["-", "-", str(total)]})
        pairs.append(tables.document(twin))
    return pairs[0], pairs[1]


def _average(rng: random.Random, *, declared: bool) -> Pair:
    table = tables.a_table(rng)
    table["columns"].append({"name": "Avg.", "unit": "percent", **({"mean_of": "all"} if declared else {})})
    for row in table["rows"]:
        cells = [Decimal(cell) for cell in row["cells"]]
        row["cells"].append(_rounded(sum(cells, Decimal(0)) / len(cells)))
    twin = copy.deepcopy(table)
    cells = rng.choice(twin["rows"])["cells"]
    cells[-1] = _other(cells[-1], rng)
    return tables.document(table), tables.document(twin)


@kind("average that the document calls the mean of its columns")
def _declared_average(rng: random.Random) -> Pair:
    return _average(rng, declared=True)


@kind("average without a word on its weights")
def _plain_average(rng: random.Random) -> Pair:
    return _average(rng, declared=False)


@kind("bold that is not the best")
def _bold(rng: random.Random) -> Pair:
    table, wrong, _, second = tables.two_rows(rng, "0.5")
    twin = copy.deepcopy(table)
    for column in range(len(table["columns"])):
        values = tables.numbers(table, column)
        best = [row for row, value in values.items() if value == max(values.values())]
        for row in best:
            table["rows"][row]["cells"][column] = f"**{table['rows'][row]['cells'][column]}**"
        for row in [second] if column == wrong else best:
            twin["rows"][row]["cells"][column] = f"**{twin['rows'][row]['cells'][column]}**"
    return tables.document(table), tables.document(twin)


@kind("place in the order")
def _place(rng: random.Random) -> Pair:
    table, column, first, second = tables.two_rows(rng)
    values = tables.numbers(table, column)
    place = 1 + sum(value > values[first] for value in values.values())
    wrong = 1 + sum(value > values[second] for value in values.values())
    claims = [tables.sentence(table, column, first, compares={"place": number}) for number in (place, wrong)]
    return _text_pair(table, *claims)


@kind("better than all others")
def _best(rng: random.Random) -> Pair:
    table, column, _, second = tables.two_rows(rng)
    values = tables.numbers(table, column)
    best = max(values, key=lambda row: values[row])
    others = [row["name"] for row in table["rows"] if row["cells"][column] != table["rows"][best]["cells"][column]]
    claims = [
        tables.sentence(table, column, row, compares={"relation": "better", "than": [n for n in others if n != name]})
        for row in (best, second)
        if (name := table["rows"][row]["name"])
    ]
    claims[1]["compares"]["than"] = [table["rows"][best]["name"], *claims[1]["compares"]["than"]]
    return _text_pair(table, *claims)


@kind("difference in points")
def _difference(rng: random.Random) -> Pair:
    return _digits_pair(rng, lambda first, second: first - second, 1, unit="points")


@kind("points called percent")
def _percent_for_points(rng: random.Random) -> Pair:
    table, column, first, second = tables.two_rows(rng, "4")
    values = tables.numbers(table, column)
    points = values[first] - values[second]
    honest = tables.sentence(
        table, column, first, second, printed=_rounded(points / values[second] * 100), unit="percent"
    )
    return _text_pair(table, honest, {**honest, "printed": _rounded(points)})


@kind("relative difference")
def _relative(rng: random.Random) -> Pair:
    return _digits_pair(rng, lambda first, second: (first - second) / second * 100, 1, unit="percent")


@kind("share of fewer errors")
def _errors(rng: random.Random) -> Pair:
    relation = {"relation": "error-reduction"}
    return _digits_pair(
        rng, lambda first, second: (first - second) / (100 - second) * 100, 1, unit="percent", compares=relation
    )


@kind("speed-up against latencies")
def _speed_up(rng: random.Random) -> Pair:
    table = tables.costs(rng)
    latencies = {n: int(row["cells"][0]) for n, row in enumerate(table["rows"])}
    fast, slow = min(latencies, key=lambda n: latencies[n]), max(latencies, key=lambda n: latencies[n])
    right = _rounded(Decimal(latencies[slow]) / latencies[fast])
    wrong = _rounded(Decimal(right) * Decimal(rng.choice(["0.6", "1.5", "1.8"])))
    claims = [tables.sentence(table, 0, fast, slow, printed=digits, unit="times") for digits in (right, wrong)]
    return _text_pair(table, *claims)


@kind("digits exchanged in the text")
def _exchanged(rng: random.Random) -> Pair:
    while True:
        table, column, first, _ = tables.two_rows(rng)
        right = table["rows"][first]["cells"][column]
        if (wrong := _transposed(right)) and Decimal(wrong) <= 100:
            break
    claims = [tables.sentence(table, column, first, printed=digits, unit="percent") for digits in (right, wrong)]
    return _text_pair(table, *claims)


@kind("digits exchanged in a second table")
def _second_table(rng: random.Random) -> Pair:
    while True:
        table, column, first, _ = tables.two_rows(rng)
        if (wrong := _transposed(table["rows"][first]["cells"][column])) and Decimal(wrong) <= 100:
            break
    names = [table["columns"][column]]
    again = {"columns": names, "rows": [{"name": r["name"], "cells": [r["cells"][column]]} for r in table["rows"]]}
    twin = copy.deepcopy(again)
    twin["rows"][first]["cells"] = [wrong]
    table.pop("caption", None)
    return tables.document(table, again), tables.document(table, twin)


@kind("unit in the text: s for ms, MB for GB")
def _unit(rng: random.Random) -> Pair:
    table = tables.costs(rng)
    column, right, wrong = rng.choice([(0, "milliseconds", "seconds"), (1, "gigabytes", "megabytes")])
    row = rng.randrange(4)
    digits = table["rows"][row]["cells"][column]
    return _text_pair(
        table, *(tables.sentence(table, column, row, printed=digits, unit=unit) for unit in (right, wrong))
    )


@kind("share that no number of test items gives, in one run")
def _items(rng: random.Random) -> Pair:
    items = rng.randrange(60, 320)
    attainable = {_rounded(Decimal(100 * right) / items) for right in range(items + 1)}
    rows = [{"name": f"Model {n}", "cells": [rng.choice(sorted(attainable))]} for n in "ABCD"]
    table = {"runs": 1, "columns": [{"name": "Accuracy", "unit": "percent", "items": items}], "rows": rows}
    twin = copy.deepcopy(table)
    between = [number for n in range(400, 999) if (number := f"{n / 10:.1f}") not in attainable]
    twin["rows"][rng.randrange(4)]["cells"] = [rng.choice(between)]
    return tables.document(table), tables.document(twin)


@kind("standard deviation that no sample has")
def _deviation(rng: random.Random) -> Pair:
    rows = []
    for name in "ABCD":
        rows.append(
            {"name": f"Model {name}", "cells": [f"{rng.randrange(900, 985) / 10:.1f} ± {rng.randrange(2, 12) / 10}"]}
        )
    table = {"spread": "sd", "runs": 5, "columns": [{"name": "Accuracy", "unit": "percent"}], "rows": rows}
    twin = copy.deepcopy(table)
    cells = rng.choice(twin["rows"])["cells"]
    cells[0] = f"{cells[0].split()[0]} ± {rng.randrange(400, 600) / 10:.1f}"
    return tables.document(table), tables.document(twin)


@kind("interval without its value")
def _interval(rng: random.Random) -> Pair:
    rows = []
    for name in "ABCD":
        value = rng.randrange(400, 950) / 10
        rows.append({"name": f"Model {name}", "cells": [f"{value:.1f} [{value - 1.4:.1f}, {value + 1.3:.1f}]"]})
    table = {"columns": [{"name": "Accuracy", "unit": "percent"}], "rows": rows}
    twin = copy.deepcopy(table)
    cells = rng.choice(twin["rows"])["cells"]
    value = Decimal(cells[0].split()[0])
    cells[0] = f"{value} [{value + Decimal('0.8')}, {value + Decimal('3.5')}]"
    return tables.document(table), tables.document(twin)


@kind("share above 100 %")
def _range(rng: random.Random) -> Pair:
    table = tables.a_table(rng)
    twin = copy.deepcopy(table)
    cells = rng.choice(twin["rows"])["cells"]
    cells[rng.randrange(len(cells))] = f"{rng.randrange(1005, 1300) / 10:.1f}"
    return tables.document(table), tables.document(twin)


_PUBLIC = (
    {"subject": "v3", "quantity": "parameters", "printed": "671", "times": 1e9, "unit": "parameters"},
    {"subject": "v3", "quantity": "layers", "printed": "61", "exact": True, "unit": "layers"},
    {"subject": "r1", "quantity": "training-tokens", "printed": "14.8", "times": 1e12, "unit": "tokens"},
    {"subject": "gsm8k", "quantity": "items", "conditions": {"split": "test"}, "printed": "1319", "unit": "items"},
    {"subject": "v2", "release": "V2", "quantity": "experts", "printed": "160", "exact": True, "unit": "experts"},
    {"subject": "v3", "release": "V3", "quantity": "aime-2024", "printed": "39.2", "unit": "percent",
     "protocol": {"metric": "Pass@1"}},
)  # fmt: skip
"""Statements that the public record has."""


@kind("value that the public record contradicts")
def _record(rng: random.Random) -> Pair:
    right = dict(rng.choice(_PUBLIC))
    digits = right["printed"]
    wrong = _transposed(digits) or _other(digits, rng)
    honest = {"kind": "size", **right}
    return tables.document(text=[honest]), tables.document(text=[{**honest, "printed": wrong}])


@kind("memory below that of the weights")
def _memory(rng: random.Random) -> Pair:
    parameters = rng.choice([7, 13, 34, 70])
    size = {
        "subject": "otter",
        "quantity": "parameters",
        "printed": str(parameters),
        "times": 1e9,
        "unit": "parameters",
    }
    bits = {"subject": "otter", "quantity": "precision", "printed": "16", "exact": True, "unit": "bits"}
    documents = []
    for share in (2.4, 1.1):
        memory = {"subject": "otter", "quantity": "gpu-memory", "printed": str(round(parameters * share)), "unit": "GB"}
        found = tables.document(text=[size, bits, memory])
        found["document"]["subjects"] = {"otter": {"name": "Otter"}}
        documents.append(found)
    return documents[0], documents[1]


@kind("tokens per second against tokens and seconds")
def _throughput(rng: random.Random) -> Pair:
    rate, seconds = rng.randrange(20, 90), rng.randrange(5, 30)
    documents = []
    for tokens in (rate * seconds, round(rate * seconds * rng.choice([0.4, 2.2]))):
        text = [
            {"subject": "otter", "quantity": "rate", "printed": str(rate), "unit": "tokens-per-second"},
            {"subject": "otter", "quantity": "latency", "printed": str(seconds), "unit": "seconds"},
            {"subject": "otter", "quantity": "length", "printed": str(tokens), "unit": "tokens"},
        ]
        found = tables.document(text=text)
        found["document"] |= {
            "subjects": {"otter": {"name": "Otter"}},
            "quantities": {
                "rate": {"says": "tokens of an answer per second", "unit": "tokens-per-second"},
                "length": {"says": "tokens of an answer", "unit": "tokens"},
            },
        }
        documents.append(found)
    return documents[0], documents[1]
