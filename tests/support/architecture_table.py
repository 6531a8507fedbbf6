"""The table of architectures as a file, and as the page of the documents."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
from commands import ROOT

from evals.models.decoding.batching.batch_rules import TABLE, ArchitectureRow, ArchitectureTable, read_table

PAGE = ROOT / "docs" / "architectures.md"
HEADER = """\
# Which architectures run in batches, which are read row by row, and which are refused.
# Made by tests/benchmarks/architectures.py --write; not edited by hand. docs/architectures.md shows it.
"""
INTRODUCTION = """\
# Architectures

Rows of a batch must not change each other's results. This table says which text architectures run in batches, which
are read one row at a time, and which are refused. It was made with transformers {version} on {date}: small random
checkpoints of every decoder and encoder-decoder of the library chose and generated, each row alone and in batches
with rows of other lengths, with and without shared prefixes. Where the table says "in batches", no log-likelihood
differed by more than 1e-4 nats, and all greedy texts were equal. Each row alone gave the log-likelihoods of plain
forward passes. The checks ran on a CPU in float32. An architecture of which no small checkpoint could be compared is
read row by row.

The suite reads the same table (`models/architectures.yaml`). The entry `batching` of a run's manifest has the choice
and its reason. An architecture that is not in the table is read row by row, and the run says so in one line.
Vision-language models follow the row of their language model, and [their own
table](models.md#vision-language-architectures). Classifiers and text encoders are read row by row where padding on
the right or the scaling of rotary embeddings changes a row (XLNet, FNet, ConvBERT, CANINE, …), and where no batch was
compared.

Make the table again for another version of the library (an hour on two cores; a command that was stopped goes on):

```bash
python tests/benchmarks/architectures.py --results checked.jsonl --write
```
"""
TITLES = {
    "decoders": "Decoders",
    "encoder_decoders": "Encoder-decoders",
    "ropes": "Scalings of rotary embeddings (`rope_type`), in any architecture",
}


def write_table(rows: Mapping[tuple[str, str], ArchitectureRow], version: str, date: str) -> None:
    """Write the rows as YAML, one line each."""
    lines = [f"transformers: {version}", f"date: '{date}'"]
    for section in TITLES:
        lines.append(f"{section}:")
        for (of, name), row in rows.items():
            if of == section:
                lines.append(f"  {name}: {msgspec.json.encode(row).decode()}")
    TABLE.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    read_table.cache_clear()


def page(table: ArchitectureTable) -> str:
    """Return the page of the documents."""
    parts = [INTRODUCTION.format(version=table.transformers, date=table.date)]
    for section, title in TITLES.items():
        rows = getattr(table, section)
        lines = [f"## {title}", "", "| `model_type` | runs | why |", "|---|---|---|"]
        for name, row in rows.items():
            lines.append(f"| {name} | {row.runs} | {reason(row)} |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def reason(row: ArchitectureRow) -> str:
    """Say why an architecture is read as it is; empty for a plain one."""
    requires = f"with `{row.requires}`; refused without it, because its attention reads later tokens then"
    return "; ".join(filter(None, (row.reason, requires if row.requires else "")))


def described(row: ArchitectureRow) -> str:
    """Describe a row on one line."""
    return ": ".join(filter(None, (row.runs, reason(row))))


def write_page(path: Path = PAGE) -> None:
    """Write the page from the table."""
    path.write_text(page(read_table()), encoding="utf-8")
