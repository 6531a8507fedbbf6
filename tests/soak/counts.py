"""Counts that add up over soaks, in a JSON file, and their tables."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

INPUTS = ("mutants", "read", "refused", "traceback", "hang", "over 1 GiB")
KILLS = ("started", "killed", "lost", "doubled", "differing", "traceback")
DISTURBANCES = ("disturbed", "ended early")
SERVER_RUNS = (
    "runs", "requests", "faults", "stopped or killed", "asked twice", "key written", "lost", "differing", "traceback"
)  # fmt: skip
SECTIONS: Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "inputs": ("kind", INPUTS, INPUTS[3:]),
    "kills": ("command", KILLS, KILLS[2:]),
    "disturbances": ("disturbance", DISTURBANCES, ()),
    "server_runs": ("faulty server", SERVER_RUNS, SERVER_RUNS[4:]),
}
"""Each table: the heading of its rows, its columns, and those of them that count faults of the suite."""
_HEADINGS = {"traceback": "tracebacks", "hang": "hangs"}


class Counts:
    """The counts of all soaks that share a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        stored = json.loads(path.read_text()) if path.exists() else {}
        self.rows: dict[str, dict[str, dict[str, int]]] = {name: stored.get(name, {}) for name in SECTIONS}
        self._seeds: dict[str, int] = stored.get("seeds", {})
        """The next seed of each kind."""
        self._before = {kind: row.get("mutants", 0) for kind, row in self.rows["inputs"].items()}
        self._being_read: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, kinds: list[str], size: int, most: int | None = None) -> tuple[str, range]:
        """Take the seeds of the next mutants: of the kind that has fewest; no two soaks read one mutant.

        Args:
            kinds: the kinds to choose from.
            size: number of seeds.
            most: number of mutants after which a kind is left; the range is empty when all kinds have so many.
        """
        with self._lock:
            for kind in kinds:
                self._seeds.setdefault(kind, self._row("inputs", kind)["mutants"])
            kind = min(kinds, key=self._taken)
            if most is not None:
                size = max(0, min(size, most - self._taken(kind)))
            first = self._seeds[kind]
            self._seeds[kind] = first + size
            self._being_read[kind] += size
            return kind, range(first, first + size)

    def _taken(self, kind: str) -> int:
        """Number of mutants of a kind that were read before, or are taken by this soak."""
        return self._before.get(kind, 0) + self._being_read[kind]

    def _row(self, section: str, name: str) -> dict[str, int]:
        row = self.rows[section].setdefault(name, {})
        for column in SECTIONS[section][1]:
            row.setdefault(column, 0)
        return row

    def add(self, section: str, name: str, **outcomes: int) -> None:
        """Add to the columns of a row; their names have `_` in place of spaces."""
        with self._lock:
            row = self._row(section, name)
            for column, count in outcomes.items():
                row[column.replace("_", " ")] += count

    def add_mutant(self, kind: str, outcome: str) -> None:
        """Count a mutant."""
        self.add("inputs", kind, mutants=1, **{outcome: 1})

    def total(self, section: str, column: str) -> int:
        """Sum a column."""
        with self._lock:
            return sum(row.get(column, 0) for row in self.rows[section].values())

    def save(self) -> None:
        """Write the file; a kill of the soak leaves the earlier or the new one."""
        with self._lock:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
            temporary.write_text(json.dumps({**self.rows, "seeds": self._seeds}, indent=1) + "\n")
            temporary.replace(self.path)

    @property
    def faults(self) -> int:
        """How many inputs, kills and runs of faulty servers did not end as they should."""
        return sum(self.total(section, name) for section, (_, _, faults) in SECTIONS.items() for name in faults)

    def table(self) -> str:
        """Return all tables that have rows, in Markdown."""
        tables = [_table(heading, self.rows[name], columns) for name, (heading, columns, _) in SECTIONS.items()]
        return "\n\n".join("\n".join(table) for table in tables if len(table) > 3)


def _table(first: str, rows: Mapping[str, Mapping[str, int]], names: tuple[str, ...]) -> list[str]:
    cells = [[first, *(_HEADINGS.get(name, name) for name in names)]]
    cells += [[kind, *(f"{row.get(name, 0):,}" for name in names)] for kind, row in rows.items()]
    cells.append(["all", *(f"{sum(row.get(name, 0) for row in rows.values()):,}" for name in names)])
    widths = [max(len(row[n]) for row in cells) for n in range(len(names) + 1)]
    text = [
        "| "
        + " | ".join(c.ljust(w) if n == 0 else c.rjust(w) for n, (c, w) in enumerate(zip(row, widths, strict=True)))
        + " |"
        for row in cells
    ]
    return [
        text[0],
        "|" + "|".join("-" * (w + 2) if n == 0 else "-" * (w + 1) + ":" for n, w in enumerate(widths)) + "|",
        *text[1:],
    ]
