"""Data: files with rows, images, audio, and checkpoints from the hub; only this room opens files of a benchmark.

It may import the errors, the schema, the statistics and `evals.records`. Start with `files`, which reads rows of a
declared type; `tables` reads columns of any size in pieces, `row_tables` rows of any table that a stranger gives. The
functions of `files` are exported here, so that an adapter writes `from evals import data` and `data.read_json(...)`.
"""

from __future__ import annotations

from evals.data.files import (
    class_names,
    digest,
    find,
    inside,
    listing_digest,
    parquet_columns,
    read_parquet,
    read_tsv,
    unique,
)
from evals.data.json_files import read_json, read_jsonl, read_jsonl_lines

__all__ = [
    "class_names",
    "digest",
    "find",
    "inside",
    "listing_digest",
    "parquet_columns",
    "read_json",
    "read_jsonl",
    "read_jsonl_lines",
    "read_parquet",
    "read_tsv",
    "unique",
]
