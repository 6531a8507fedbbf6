"""Checks of tables: honest tables give no alarm, and one planted error is found."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from random_tables import PERCENT, SECONDS, honest_table, rounded

from evals.reports.claims.evidence.tables import text
from evals.reports.claims.evidence.tables.checks import CHECKS
from evals.reports.claims.evidence.tables.grid import Grid, GridColumn, GridRow, GridValue
from evals.reports.claims.evidence.tables.order import check_bold
from evals.reports.claims.evidence.tables.possible import check_items, check_ranges, check_spreads, check_units
from evals.reports.claims.evidence.tables.totals import check_totals
from evals.reports.claims.language.units import PLAIN, ExactInterval

ALARMS = {"nominally_inconsistent", "internally_inconsistent"}


def alarms(grid: Grid) -> list[str]:
    return [
        f"{name} {finding.place}: {finding.line}"
        for name, check in CHECKS.items()
        for finding in check(grid)
        if finding.verdict in ALARMS
    ]


@pytest.mark.parametrize(
    ("columns", "sure", "verdict"), [(3, False, "consistent"), (2, False, "open"), (3, True, None)]
)
def test_bold_values_that_are_all_the_lowest_say_that_lower_is_better(columns, sure, verdict):
    """The table of perplexities whose columns are named by what the text is about."""
    values = {
        (row, column): GridValue(f"T1r{row + 1}-{column + 1}", Fraction(value + column), bold=value == 10)
        for row, value in enumerate((20, 10, 12))
        for column in range(columns)
    } | {(3, column): GridValue(f"T1r4-{column + 1}", Fraction(30)) for column in range(columns)}
    values[1, 0] = replace(values[1, 0], value=Fraction(13), bold=False)  # the best of a column is another row's
    values[2, 0] = replace(values[2, 0], bold=True)
    heads = tuple(GridColumn(f"c{n}", direction="higher", is_direction_sure=sure) for n in range(columns))
    grid = Grid(heads, tuple(GridRow(name) for name in "wxyz"), values)
    expected = verdict or "internally_inconsistent"
    assert {finding.verdict for finding in check_bold(grid)} == {expected}


@pytest.mark.slow
@pytest.mark.draws(1_000, 10_000)
def test_honest_tables_give_no_alarm(draws):
    generator = np.random.default_rng(14)
    wrong = [lines for _ in range(draws) if (lines := alarms(honest_table(generator).grid))]
    assert wrong == []


def test_a_few_honest_tables_give_no_alarm():
    generator = np.random.default_rng(15)
    assert [alarms(honest_table(generator).grid) for _ in range(100)] == [[]] * 100


def stated(value: float, places: int, unit: str) -> text.TextValue:
    """A number of the text: the true value, rounded."""
    factor = Fraction(1) if unit in {"times", "s"} else Fraction(1, 100)
    middle, half = rounded(value, places), Fraction(1, 2 * 10**places)
    ends = ExactInterval((middle - half) * factor, (middle + half) * factor)
    return text.TextValue(ends, f"{float(middle)} {unit}", unit, is_negative=middle < 0)


def text_findings(table, generator):
    """True sentences about a table: a value, a difference, a relative difference, a ratio, the order."""
    grid, true = table.grid, table.true
    first, second = generator.choice(len(grid.rows), 2, replace=False)
    index = int(generator.integers(0, len(grid.columns)))
    column = grid.columns[index]
    cell, other = grid.values[first, index], grid.values[second, index]
    a, b = true[first, index], true[second, index]
    sign = -1 if column.direction == "lower" else 1
    is_percent, places = column.is_percent, int(generator.integers(0, 3))
    yield text.compare_value(stated(a, places, "percent" if is_percent else "s"), cell, column)
    yield text.compare_pair(stated(sign * (a - b), places, "points" if is_percent else "s"), None, cell, other, column)
    yield text.compare_pair(stated(sign * (a - b) / b * 100, places, "percent"), None, cell, other, column)
    ratio = b / a if column.direction == "lower" else a / b
    if cell.ends[0] > 0 and other.ends[0] > 0:
        yield text.compare_pair(stated(ratio, places, "times"), None, cell, other, column)
    if is_percent and other.ends[1] < 100:
        saving = stated((1 - (100 - a) / (100 - b)) * 100, places, "percent")
        yield text.compare_pair(saving, "error-reduction", cell, other, column)
    ranking = sorted(range(len(grid.rows)), key=lambda row: -sign * true[row, index])
    others = [grid.values[row, index] for row in range(len(grid.rows)) if row != first]
    yield text.check_rank(cell, others, column, place=ranking.index(first) + 1)
    if sign * (a - b) > 0:
        yield from text.check_better(cell, [other], column)


@pytest.mark.slow
@pytest.mark.draws(1_000, 10_000)
def test_true_sentences_about_tables_give_no_alarm(draws):
    generator = np.random.default_rng(16)
    wrong = [
        finding
        for _ in range(draws)
        for finding in text_findings(honest_table(generator), generator)
        if finding.verdict in ALARMS
    ]
    assert wrong == []


def test_a_few_true_sentences_give_no_alarm():
    generator = np.random.default_rng(17)
    findings = [finding for _ in range(100) for finding in text_findings(honest_table(generator), generator)]
    assert [finding for finding in findings if finding.verdict in ALARMS] == []
    assert sum(finding.verdict == "consistent" for finding in findings) > 400


# Planted errors


def with_value(grid: Grid, place, **changes) -> Grid:
    return replace(grid, values={**grid.values, place: replace(grid.values[place], **changes)})


def table_with(generator, accept):
    """The first random table that a test can use."""
    return next(table for table in (honest_table(generator) for _ in range(1000)) if accept(table.grid))


def has_average(grid: Grid) -> bool:
    return grid.columns[-1].declared


def found(check, grid: Grid, place) -> bool:
    return any(finding.place == place and finding.verdict in ALARMS for finding in check(grid))


@pytest.mark.parametrize("seed", range(30))
def test_an_average_that_no_rounding_explains_is_found(seed):
    grid = table_with(np.random.default_rng(seed), has_average).grid
    place = 0, len(grid.columns) - 1
    value, parts = grid.values[place], [grid.values[0, part] for part in grid.columns[-1].parts]
    mean = sum(part.value for part in parts) / len(parts)
    tolerance = sum(part.half for part in parts) / len(parts) + value.half
    assert not found(check_totals, with_value(grid, place, value=mean + tolerance), place)
    assert found(check_totals, with_value(grid, place, value=mean + tolerance + Fraction(1, 1000)), place)


def test_an_average_of_unknown_weights_is_inconsistent_only_beside_plain_means():
    columns = (GridColumn("A", PERCENT), GridColumn("B", PERCENT), GridColumn("Avg", PERCENT, "average", parts=(0, 1)))

    def grid(averages):
        values = {}
        for row, average in enumerate(averages):
            for column, value in enumerate((70 + row, 80, average)):
                values[row, column] = GridValue(f"T1r{row}-{column}", Fraction(str(value)), Fraction(1, 20))
        return Grid(columns, tuple(GridRow(f"x{n}") for n in range(len(averages))), values)

    def verdicts(averages):
        return [finding.verdict for finding in check_totals(grid(averages))]

    assert verdicts([75, 75.5, 76, 76.5]) == ["consistent"] * 4
    assert verdicts([75, 75.5, 76, 79]) == [*["consistent"] * 3, "nominally_inconsistent"]
    assert verdicts([75, 75.5, 79]) == ["na"]  # too few rows to know how the average is computed
    assert verdicts([73, 73.7, 74.4, 75.1]) == ["na"] * 4  # weighted: a note
    assert verdicts([75, 73.7, 74.4, 75.1]) == ["na"] * 3
    [*_, last] = check_totals(grid([75, 75.5, 76, 79]))
    assert "(73 + 80) / 2 = 76.5 %, and 79 % is printed: a gap of 2.5 pp" in last.line


def test_a_sum_in_a_last_row_is_compared_with_the_rows_above():
    def verdicts(total, parts=()):
        values = {(n, 0): GridValue(f"T1r{n}-1", Fraction(v)) for n, v in enumerate((3, 4, total))}
        rows = (GridRow("a"), GridRow("b"), GridRow("Total", role="sum", parts=parts))
        return [f.verdict for f in check_totals(Grid((GridColumn("n"),), rows, values))]

    assert verdicts(7) == verdicts(7, ("all",)) == ["consistent"]
    assert verdicts(6) == verdicts(8, ("all",)) == verdicts(8, ("a", "b")) == ["internally_inconsistent"]
    assert verdicts(8) == ["open"]  # it may count rows that are not shown


def test_a_total_that_is_the_sum_of_one_column_is_that_of_the_others():
    cells = {(0, 0): 3, (1, 0): 4, (2, 0): 7, (0, 1): 30, (1, 1): 40, (2, 1): 90}
    values = {place: GridValue(f"T1r{place[0] + 1}-{place[1] + 1}", Fraction(v)) for place, v in cells.items()}
    rows = (GridRow("a"), GridRow("b"), GridRow("Total", role="sum"))
    grid = Grid((GridColumn("n"), GridColumn("m")), rows, values)
    assert [f.verdict for f in check_totals(grid)] == ["consistent", "internally_inconsistent"]


def test_bold_that_marks_the_best_of_each_row_is_no_error_of_a_column():
    cells = {(0, 0): (86, True), (0, 1): (70, False), (1, 0): (81, False), (1, 1): (88, True), (2, 1): (95, False)}
    values = {
        (row, column): GridValue(f"T1r{row + 1}-{column + 1}", Fraction(value), bold=bold)
        for (row, column), (value, bold) in cells.items()
    }
    columns = (GridColumn("GPT-4", direction="higher"), GridColumn("SOTA", direction="higher"))
    grid = Grid(columns, tuple(GridRow(name) for name in ("MMLU", "DROP", "ARC")), values)
    assert {f.place: f.verdict for f in check_bold(grid)} == {(0, 0): "consistent", (1, 1): "open"}


@pytest.mark.parametrize("seed", range(30))
def test_a_bold_value_that_is_not_the_best_is_found(seed):
    def accept(grid):
        return len({value.value for _, value in grid.column(0)}) > 1 and grid.spread is None

    grid = table_with(np.random.default_rng(seed), accept).grid
    worst = min((value.value, row) for row, value in grid.column(0))[1]
    both = with_value(grid, (worst, 0), bold=True)
    planted = both
    for place, value in grid.values.items():  # the worst alone, as an emphasised row may be bold throughout
        planted = with_value(planted, place, bold=place == (worst, 0)) if value.bold or place[1] else planted
    assert found(check_bold, planted, (worst, 0))
    assert not found(check_bold, both, (worst, 0))  # beside a bold best it may mark something else
    assert not found(check_bold, replace(planted, bold_is_best=False), (worst, 0))
    assert not found(check_bold, replace(planted, same_level=Fraction(100)), (worst, 0))


def test_bold_is_compared_within_groups_and_in_the_better_direction():
    column = GridColumn("latency", SECONDS, direction="lower")
    values = {
        (n, 0): GridValue(f"T1r{n}-1", Fraction(v), bold=bold)
        for n, (v, bold) in enumerate(((2, False), (1, True), (3, True)))
    }
    rows = (GridRow("a", "open"), GridRow("b", "open"), GridRow("c", "closed"))
    assert not any(f.verdict in ALARMS for f in check_bold(Grid((column,), rows, values)))
    flat = tuple(GridRow(row.name) for row in rows)
    one_bold = [{**values, (n, 0): replace(values[n, 0], bold=False)} for n in (1, 2)]
    assert found(check_bold, Grid((column,), flat, one_bold[0]), (2, 0))
    assert found(check_bold, Grid((replace(column, direction="higher"),), flat, one_bold[1]), (1, 0))


def one_cell(value: str, **options) -> Grid:
    cell = {key: options.pop(key) for key in ("deviation", "low", "high", "total") if key in options}
    spread = options.pop("spread", None)
    places = len(value.partition(".")[2])
    column = GridColumn(**{"name": "SST-2", "unit": PERCENT, "direction": "higher", **options})
    entry = GridValue("T1r1-1", Fraction(value), Fraction(1, 2 * 10**places), **cell)
    return Grid((column,), (GridRow("x"),), {(0, 0): entry}, spread=spread)


@pytest.mark.parametrize(
    ("value", "options", "verdict"),
    [
        ("91.5", {"items": 872}, "consistent"),
        ("91.5", {"items": 277, "runs": 1}, "internally_inconsistent"),
        ("91.5", {"items": 277}, "open"),  # of several runs?
        ("71.4", {"items": 7}, "consistent"),
        ("71.5", {"items": 7}, "open"),
        ("66.6", {"items": 3, "runs": 1}, "nominally_inconsistent"),  # 66.67, cut
        ("71.5", {"items": 7, "graded": True}, None),
        ("71.5", {}, None),
        ("72.2", {"items": 6, "runs": 3}, "consistent"),  # 13 of 18
        ("72.2", {"items": 6, "runs": 1}, "internally_inconsistent"),
    ],
)
def test_percentages_are_whole_numbers_of_items(value, options, verdict):
    assert [finding.verdict for finding in check_items(one_cell(value, **options))] == ([verdict] if verdict else [])


@pytest.mark.parametrize("seed", range(20))
def test_every_unattainable_percentage_is_found(seed):
    """Compared with the enumeration of all counts."""
    generator = np.random.default_rng(seed)
    items, tenths = int(generator.integers(2, 400)), int(generator.integers(0, 1001))
    low, high = Fraction(2 * tenths - 1, 2000), Fraction(2 * tenths + 1, 2000)
    is_attainable = any(low <= Fraction(count, items) <= high for count in range(items + 1))
    [finding] = check_items(one_cell(f"{tenths / 10:.1f}", items=items))
    assert (finding.verdict == "consistent") == is_attainable


@pytest.mark.parametrize(
    ("value", "options", "is_wrong"),
    [
        ("80.0", {"spread": "sd", "deviation": Fraction("0.4"), "runs": 5}, False),
        ("80.0", {"spread": "sd", "deviation": Fraction(44), "runs": 5}, False),
        ("80.0", {"spread": "sd", "deviation": Fraction(45), "runs": 5}, True),  # at most 44.7
        ("99.0", {"spread": "sd", "deviation": Fraction(12), "runs": 5}, True),
        ("80.0", {"spread": "se", "deviation": Fraction(2), "items": 400}, False),
        ("80.0", {"spread": "se", "deviation": Fraction(3), "items": 400}, True),
        ("80.0", {"spread": "ci95", "deviation": Fraction(4), "items": 400}, False),
        ("80.0", {"spread": "ci95", "deviation": Fraction(1), "items": 400}, True),
        ("80.0", {"spread": "ci95", "deviation": Fraction(1), "items": 400, "runs": 5}, False),
        ("80.0", {"spread": "ci95", "deviation": Fraction(20), "items": 400}, True),
        ("80.0", {"deviation": Fraction(20), "items": 400}, False),  # nothing says what ± is
        ("80.0", {"low": Fraction(76), "high": Fraction(84), "items": 400}, False),
        ("80.0", {"low": Fraction(81), "high": Fraction(84)}, True),
        ("80.0", {"low": Fraction(84), "high": Fraction(76)}, True),
        ("80.0", {"low": Fraction("79.9"), "high": Fraction("80.1"), "items": 400}, True),
    ],
)
def test_deviations_and_intervals_are_possible(value, options, is_wrong):
    verdicts = [finding.verdict for finding in check_spreads(one_cell(value, **options))]
    assert any(verdict in ALARMS for verdict in verdicts) == is_wrong


@pytest.mark.parametrize("seed", range(10))
def test_no_sample_has_a_larger_deviation_than_the_bound(seed):
    generator = np.random.default_rng(seed)
    values = generator.beta(0.1, 0.1, int(generator.integers(2, 12)))
    mean, deviation = 100 * values.mean(), 100 * values.std(ddof=1)
    grid = one_cell(f"{mean:.1f}", spread="sd", deviation=rounded(deviation, 1), runs=len(values))
    assert [finding.verdict for finding in check_spreads(grid)] == ["consistent"]


@pytest.mark.parametrize(
    ("value", "options", "is_wrong"),
    [
        ("101.5", {}, True),
        ("100.0", {}, False),
        ("-3.0", {}, True),
        ("-3.0", {"name": "Δ to baseline"}, False),
        ("120.0", {"name": "WER", "direction": "lower"}, False),
        ("-0.5", {"unit": SECONDS, "direction": "lower"}, True),
        ("120", {"total": 100}, True),
        ("100", {"total": 100}, False),
        ("-4", {"unit": PLAIN}, False),
    ],
)
def test_values_are_in_their_range(value, options, is_wrong):
    assert bool(list(check_ranges(one_cell(value, **options)))) == is_wrong


def column_of(values, column, **cell) -> Grid:
    cells = {
        (row, 0): GridValue(f"T1r{row}-1", Fraction(value), Fraction(1, 2 * 10 ** len(value.partition(".")[2])), **cell)
        for row, value in enumerate(values)
    }
    return Grid((column,), tuple(GridRow(f"x{row}") for row in range(len(values))), cells)


def test_a_cell_in_another_unit_than_its_column_is_found():
    percent, seconds = GridColumn("SST-2", PERCENT, direction="higher"), GridColumn("time", SECONDS)
    assert found(check_units, column_of(["91.2", "0.905", "88.0"], percent), (1, 0))
    assert not found(check_units, column_of(["1.2", "0.905", "0.5"], percent), (1, 0))
    assert found(check_units, column_of(["0.85", "850", "0.90"], seconds), (1, 0))
    assert not found(check_units, column_of(["0.85", "85", "0.90"], seconds), (1, 0))
    assert found(check_units, column_of(["0.85", "0.9"], seconds, fits=False), (0, 0))


# The text


def cell(value: str, id: str = "a") -> GridValue:
    return GridValue(id, Fraction(value), Fraction(1, 2 * 10 ** len(value.partition(".")[2])))


ACCURACY = GridColumn("MMLU", PERCENT, direction="higher")
LATENCY = GridColumn("latency", SECONDS, direction="lower")


@pytest.mark.parametrize(
    ("value", "unit", "relation", "cells", "column", "verdict"),
    [
        (10.3, "points", None, ("88.5", "78.2"), ACCURACY, "consistent"),
        (10.3, "percent", None, ("88.5", "78.2"), ACCURACY, "nominally_inconsistent"),
        (13.2, "percent", None, ("88.5", "78.2"), ACCURACY, "consistent"),
        (13.2, "points", None, ("88.5", "78.2"), ACCURACY, "internally_inconsistent"),
        (4.3, "points", None, ("88.5", "78.2"), ACCURACY, "internally_inconsistent"),
        (10.3, "points", None, ("78.2", "88.5"), ACCURACY, "internally_inconsistent"),  # it is worse
        (-10.3, "points", None, ("78.2", "88.5"), ACCURACY, "consistent"),
        (10.3, "points", "worse", ("78.2", "88.5"), ACCURACY, "consistent"),
        (-10.3, "points", None, ("88.5", "78.2"), ACCURACY, "internally_inconsistent"),
        (47.2, "percent", "error-reduction", ("88.5", "78.2"), ACCURACY, "consistent"),
        (40.2, "percent", "error-reduction", ("88.5", "78.2"), ACCURACY, "internally_inconsistent"),
        (2.0, "times", None, ("0.50", "1.00"), LATENCY, "consistent"),
        (0.5, "times", None, ("0.50", "1.00"), LATENCY, "consistent"),
        (3.0, "times", None, ("0.50", "1.00"), LATENCY, "internally_inconsistent"),
        (50.0, "percent", None, ("0.50", "1.00"), LATENCY, "consistent"),  # less time
        (100.0, "percent", None, ("0.50", "1.00"), LATENCY, "consistent"),  # faster
        (0.5, "s", None, ("0.50", "1.00"), LATENCY, "consistent"),
        (-0.5, "s", None, ("0.50", "1.00"), LATENCY, "consistent"),
        (0.7, "s", None, ("0.50", "1.00"), LATENCY, "internally_inconsistent"),
    ],
)
def test_differences_and_ratios_of_the_text(value, unit, relation, cells, column, verdict):
    finding = text.compare_pair(stated(value, 1, unit), relation, cell(cells[0]), cell(cells[1], "b"), column)
    assert finding.verdict == verdict, finding.line


def test_the_words_of_the_text_say_that_errors_are_meant():
    number = replace(stated(47.2, 1, "percent"), says="It reduces the error by 47.2 %.")
    finding = text.compare_pair(number, None, cell("88.5"), cell("78.2", "b"), ACCURACY)
    assert finding.verdict == "consistent"
    assert "1 - (100 - a) / (100 - b) = 46.9 to 47.6 %" in finding.line


def test_ranks_and_orders_of_the_text():
    values = [cell("90.0", "a"), cell("92.0", "b"), cell("92.0", "c"), cell("97.0", "d")]

    def place_of(index, place, column=ACCURACY):
        return text.check_rank(values[index], values[:index] + values[index + 1 :], column, place=place).verdict

    wrong = "internally_inconsistent"
    assert [place_of(1, place) for place in (1, 2, 3, 4)] == [wrong, "consistent", "consistent", wrong]
    assert place_of(0, 1, LATENCY) == "consistent"
    assert place_of(0, 1, replace(ACCURACY, direction=None)) == "na"
    assert [f.verdict for f in text.check_better(values[1], [values[0], values[2], values[3]], ACCURACY)] == [
        "consistent", "consistent", "internally_inconsistent"
    ]  # fmt: skip
    assert [f.verdict for f in text.check_better(values[0], values[1:2], ACCURACY, worse=True)] == ["consistent"]


def shares(cells, *, columns=("MMLU", "GSM8K"), rows=None, sure=True, caption=""):
    """A table of percentages, each row a system."""
    values = {(r, c): GridValue(f"T1r{r + 1}-{c + 1}", Fraction(text), Fraction(1, 20))
              for r, row in enumerate(cells) for c, text in enumerate(row)}  # fmt: skip
    heads = tuple(GridColumn(name, PERCENT, direction="higher", is_direction_sure=sure) for name in columns)
    names = rows or [f"x{number}" for number in range(len(cells))]
    return Grid(heads, tuple(GridRow(name) for name in names), values, caption=caption)


@pytest.mark.parametrize(
    ("grid", "verdicts"),
    [
        (shares([("71", "102.2"), ("80", "60")]), ["internally_inconsistent"]),
        (shares([("101.3", "104.9"), ("84.1", "71.2")]), ["open", "open"]),  # a slip seldom happens twice
        (shares([("71", "102.2"), ("80", "60")], sure=False), ["open"]),
        (shares([("97.5",), ("101.2",), ("100",)], columns=("MMLU",)), ["open"]),
        (shares([("102.2", "101.3"), ("100", "100"), ("87.2", "93.3")]), []),  # they are relative to the second row
        (shares([("71", "102.2")], columns=("MMLU", "MMLU relative to the teacher")), []),
        (shares([("71", "102.2")], rows=["Small (of the baseline)"]), []),
        (shares([("71", "1327")], caption="Human = 100 %"), []),
        (shares([("71", "102.5")], columns=("MMLU", "Scaling efficiency")), []),
        (shares([("71", "101.2")], columns=("MMLU", "相对效果")), []),
        (shares([("71", "-3")]), ["internally_inconsistent"]),
    ],
)  # fmt: skip
def test_a_share_above_a_whole_is_wrong_only_where_it_can_be_relative_to_nothing(grid, verdicts):
    assert [finding.verdict for finding in check_ranges(grid)] == verdicts
