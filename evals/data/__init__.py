"""Data files: rows, images, recordings, and what the hub holds; the only code that opens a benchmark's files.

May import the schema and the errors. Start with `files`, which reads rows of a declared type.
"""

from __future__ import annotations

from evals.data.files import (
    digest,
    find,
    inside,
    listing_digest,
    read_json,
    read_jsonl,
    read_jsonl_lines,
    read_parquet,
    read_tsv,
    unique,
)

__all__ = [
    "digest",
    "find",
    "inside",
    "listing_digest",
    "read_json",
    "read_jsonl",
    "read_jsonl_lines",
    "read_parquet",
    "read_tsv",
    "unique",
]
