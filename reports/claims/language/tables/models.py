"""The format of a table in a claims file, and of what a text says about it.

    ResultTable     caption, columns (benchmarks), rows (systems); each row has the printed cells
    TextComparison  what a claim of the text says about a column: a value, a difference, a ratio, a rank

`expansion` makes a claim of each cell.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from evals.reports.claims.language.statements import Digits, Line, StrictModel, Words

Direction = Literal["higher", "lower"]
Spread = Literal["sd", "se", "ci95"]
"""What ± gives: the standard deviation, the standard error, or half the width of a 95 % interval."""
ColumnRole = Literal["value", "average", "sum"]
RowRole = Literal["value", "average", "sum", "reference"]
TextRelation = Literal[
    "level", "difference", "relative-difference", "ratio", "error-reduction", "better", "worse", "place"
]
"""What the text says of a row r and another row o (higher is better): `level` r; `difference` r - o;
`relative-difference` (r - o) / o; `ratio` r / o; `error-reduction` (e_o - e_r) / e_o of the errors e = 100 % - score;
`better` and `worse` than the others; `place` in the order of the column. Where lower is better, differences count the
other way round, and a ratio may be r / o or o / r."""
ALL_COLUMNS = "all"
SourceSpan = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]
"""The first code point of a number in the source, and the one after its last."""


class TableColumn(StrictModel):
    """A column of a table: a benchmark, a cost, or a sum or average of other columns."""

    name: Line
    """The header as printed. An arrow in it (↑, ↓) says which direction is better."""
    unit: str | None = None
    """The unit of the column's numbers; default: that of the table."""
    times: float | None = Field(default=None, gt=0)
    """The factor that the column's numbers count (`1e9` for parameters in billions); default: 1."""
    quantity: str | None = None
    """The quantity; default: that of the vocabulary with the header's name (`MMLU`: `mmlu`), else the column itself."""
    better: Direction | None = None
    """Which direction is better; default: an arrow in the header, else what the unit or the header implies."""
    items: int | None = Field(default=None, ge=1)
    """Number of test items, on which percentages, deviations and intervals are checked."""
    graded: bool | None = None
    """Whether an item's score may lie between 0 and 1, as in F1 or VQA: percentages are then no whole number of items.
    Default: what the header implies."""
    runs: int | None = Field(default=None, ge=1)
    """Number of runs, seeds or repetitions that a value is the mean of; default: that of the table, else 1."""
    split: str | None = None
    """The split (`dev`, `test`); default: that of the table. Cells of different splits are not compared."""
    protocol: dict[str, str] = Field(default_factory=dict)
    """How the scores were obtained (`{shots: "5"}`)."""
    role: ColumnRole | None = None
    """`average` or `sum` of other columns; default: what the header implies (`Avg`, `Total`)."""
    mean_of: Words = ()
    """The columns whose plain mean the document says this is, or `all`. Without it, an average may be weighted or count
    columns that are not shown."""
    sum_of: Words = ()
    """The columns whose sum the document says this is, or `all`."""


class TableRow(StrictModel):
    """A row of a table: a system and its printed cells."""

    name: Line
    """The name as printed."""
    subject: str | None = None
    """The subject; default: the subject of that name, or a new one."""
    release: str | None = None
    """The release or variant of the subject (`V3-Base`)."""
    protocol: dict[str, str] = Field(default_factory=dict)
    """How the row's scores were obtained, if it differs between rows."""
    group: str | None = None
    """The group of the row, if bold marks the best of each group ("open models")."""
    role: RowRole | None = None
    """`average` or `sum`: the row averages or adds the rows above it (of its group). `reference`: a bound or baseline
    that takes no part in the competition; default for names such as `Human` and `Random`."""
    sum_of: Words = ()
    """The rows whose sum the document says this is, or `all` (above it, of its group). With `role: sum` alone, it may
    count rows that are not shown."""
    line: int | None = Field(default=None, ge=1)
    """The line in the document."""
    cells: tuple[str, ...] = Field(min_length=1)
    """The cells as printed, one for each column: `"92.0"`, `"**92.0**"` (bold), `"92.0 ± 0.3"`, `"92.0 [90.1, 93.7]"`,
    `"0.8 s"`, `"87/100"`, and `"-"` where there is none."""
    spans: tuple[SourceSpan | None, ...] = ()
    """For each cell the place of its number in the source; null where the cell has none."""


class ResultTable(StrictModel):
    """A table of results: rows are systems, columns are benchmarks."""

    caption: str | None = None
    """The caption as printed."""
    unit: str | None = None
    """The unit of the columns that give none."""
    split: str | None = None
    """The split of the columns that give none."""
    bold: Literal["best", "none"] = "best"
    """What bold marks: the best value of a column (of a group, if the rows have groups), or something else. A row that
    is bold throughout is an emphasised row."""
    same_level: Digits | None = None
    """The gap up to which the document calls two values equal ("gaps below 0.3 are at the same level")."""
    spread: Spread | None = None
    """What ± gives, if the document says so."""
    runs: int | None = Field(default=None, ge=1)
    """Number of runs, seeds or repetitions that a value is the mean of."""
    columns: tuple[TableColumn, ...] = Field(min_length=1)
    """The columns, without that of the names."""
    rows: tuple[TableRow, ...] = Field(min_length=1)
    """The rows in the order of the document."""

    @model_validator(mode="after")
    def _rectangular(self) -> ResultTable:
        names = [column.name for column in self.columns]
        for row in self.rows:
            if len(row.cells) != len(names):
                raise ValueError(f"row {row.name!r} has {len(row.cells)} cells; there are {len(names)} columns")
            if row.spans and len(row.spans) != len(names):
                raise ValueError(f"row {row.name!r} has {len(row.spans)} 'spans'; there are {len(names)} columns")
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two columns are named {twice!r}; give one of them a longer name")
        keys = [(row.name, row.release, row.group, *sorted(row.protocol.items())) for row in self.rows]
        if same := next((key for key in keys if keys.count(key) > 1), None):
            raise ValueError(f"two rows are named {same[0]!r}; give one of them a longer name, or each its 'release'")
        for row in self.rows:
            for name in row.sum_of:
                if name not in {ALL_COLUMNS, *(other.name for other in self.rows)} or name == row.name:
                    raise ValueError(
                        f"row {row.name!r}: {name!r} is no other row; there are {', '.join(r.name for r in self.rows)}"
                    )
            if row.sum_of and row.role not in {None, "sum"}:
                raise ValueError(f"row {row.name!r} has 'sum_of', and role {row.role!r}")
        for column in self.columns:
            if column.mean_of and column.sum_of:
                raise ValueError(f"column {column.name!r} has both 'mean_of' and 'sum_of'")
            for name in (*column.mean_of, *column.sum_of):
                if name not in {*names, ALL_COLUMNS} or name == column.name:
                    raise ValueError(
                        f"column {column.name!r}: {name!r} is no other column; there are {', '.join(names)}"
                    )
        return self


class TextComparison(StrictModel):
    """What a claim of the text says about a column of a table; the table's cells check it without a formula."""

    table: Line
    """The ID of the claim that holds the table."""
    column: Words = ()
    """The columns; default: every column of values ("on all benchmarks")."""
    row: str | None = None
    """The row that the claim is about; default: that of the claim's subject."""
    than: Words = ()
    """The rows compared with; default: that of the claim's `baseline`, else all other rows."""
    relation: TextRelation | None = None
    """What the text says; default: `place` with a `place`; without digits `better`; with digits and others
    a `difference` (points, or the column's unit), a `relative-difference` (percent) or a `ratio` (times); else
    `level`."""
    place: int | None = Field(default=None, ge=1)
    """The place in the order of the column: 1 for best, 2 for second best."""

    @model_validator(mode="after")
    def _place_has_its_number(self) -> TextComparison:
        if (self.relation == "place" and self.place is None) or (self.place and self.relation not in {None, "place"}):
            raise ValueError("relation 'place' needs a 'place', and a 'place' no other relation")
        return self
