"""The run folder: its files and their types, the manifest with its signature, and the result.

May import the schema and the errors. Start with `folder`, which says what lies in a run folder.
"""

from __future__ import annotations

from evals.records.folder import (
    MANIFEST,
    RESULT,
    SAMPLES,
    WORST,
    Record,
    RunFolder,
    differences,
    dumps,
    image_name,
    load,
    rewrite,
    write_atomically,
)

__all__ = [
    "MANIFEST",
    "RESULT",
    "SAMPLES",
    "WORST",
    "Record",
    "RunFolder",
    "differences",
    "dumps",
    "image_name",
    "load",
    "rewrite",
    "write_atomically",
]
