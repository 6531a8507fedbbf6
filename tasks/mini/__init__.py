"""The mini benchmarks: seeded generators, and the splits that they generated, in the official formats.

It may import the standard library, numpy, Pillow and pyarrow only. Start with `generate`, which writes `splits/`: a
module here generates one benchmark, from the scenes of `images/` or the sentences of `language/`.
"""

from __future__ import annotations

from pathlib import Path

BUNDLED = Path(__file__).parent / "splits"
"""A folder for each benchmark, with a parquet file for each split."""
