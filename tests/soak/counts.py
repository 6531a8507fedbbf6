"""Counts that add up over soaks, in a JSON file, and their table."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

OUTCOMES = ("mutants", "read", "refused", "traceback", "hang", "over 1 GiB")
KILL_COUNTS = ("started", "killed", "lost", "doubled", "differing", "traceback")
_HEADINGS = {"traceback": "tracebacks", "hang": "hangs"}


class Counts:
    """The counts of all soaks that share a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        stored = json.loads(path.read_text()) if path.exists() else {}
        self.inputs: dict[str, dict[str, int]] = stored.get("inputs", {})
        self.kills: dict[str, dict[str, int]] = stored.get("kills", {})
        self._next: dict[str, int] = {}
        self._lock = threading.Lock()

    def take(self, kinds: list[str], size: int) -> tuple[str, range]:
        """Take the seeds of the next mutants: of the kind that has fewest; no two soaks read one mutant."""
        with self._lock:
            taken = {kind: max(self._next.get(kind, 0), self._of(kind)["mutants"]) for kind in kinds}
            kind = min(kinds, key=taken.__getitem__)
            self._next[kind] = taken[kind] + size
            return kind, range(taken[kind], taken[kind] + size)

    def _of(self, kind: str) -> dict[str, int]:
        return self.inputs.setdefault(kind, dict.fromkeys(OUTCOMES, 0))

    def add(self, kind: str, outcome: str) -> None:
        """Count a mutant."""
        with self._lock:
            self._of(kind)["mutants"] += 1
            self._of(kind)[outcome] += 1

    def add_kill(self, command: str, **outcomes: int) -> None:
        """Count a command that was killed and continued."""
        with self._lock:
            row = self.kills.setdefault(command, dict.fromkeys(KILL_COUNTS, 0))
            for name, count in outcomes.items():
                row[name] += count

    def save(self) -> None:
        """Write the file; a kill of the soak leaves the earlier or the new one."""
        with self._lock:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
            temporary.write_text(json.dumps({"inputs": self.inputs, "kills": self.kills}, indent=1) + "\n")
            temporary.replace(self.path)

    @property
    def faults(self) -> int:
        """How many inputs and kills did not end as they should."""
        inputs = sum(row[name] for row in self.inputs.values() for name in OUTCOMES[3:])
        return inputs + sum(row[name] for row in self.kills.values() for name in KILL_COUNTS[2:])

    def table(self) -> str:
        """Return both tables, in Markdown."""
        return "\n".join([*_table("kind", self.inputs, OUTCOMES), "", *_table("command", self.kills, KILL_COUNTS)])


def _table(first: str, rows: dict[str, dict[str, int]], names: tuple[str, ...]) -> list[str]:
    cells = [[first, *(_HEADINGS.get(name, name) for name in names)]]
    cells += [[kind, *(f"{row[name]:,}" for name in names)] for kind, row in rows.items()]
    cells.append(["all", *(f"{sum(row[name] for row in rows.values()):,}" for name in names)])
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
