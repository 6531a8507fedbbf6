"""The mini benchmarks: seeded generators, and the splits that they made, in the official formats.

`pictures/` draws scenes and asks about them, `language/` writes sentences; a module here makes one benchmark of them.
Start with `generate`, which writes `splits/`.
"""

from __future__ import annotations

from pathlib import Path

BUNDLED = Path(__file__).parent / "splits"
"""A folder a benchmark, with a parquet file a split."""
