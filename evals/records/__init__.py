"""The run folder: its files and their types, the manifest with its signature, and the result.

It may import the schema, the errors and `evals.paths`. Start with `folder`, which lists the files of a run folder.
"""

from __future__ import annotations

from evals.records.digests import differences
from evals.records.folder import (
    MANIFEST,
    RESULT,
    SAMPLES,
    SUBMISSION,
    WORST,
    Record,
    RunFolder,
    dumps,
    image_name,
    load,
    load_finished,
    rewrite,
)
from evals.records.places import check_output, check_place, check_run_folder, check_two_folders
from evals.temporaries import write_atomically

__all__ = [
    "MANIFEST",
    "RESULT",
    "SAMPLES",
    "SUBMISSION",
    "WORST",
    "Record",
    "RunFolder",
    "check_output",
    "check_place",
    "check_run_folder",
    "check_two_folders",
    "differences",
    "dumps",
    "image_name",
    "load",
    "load_finished",
    "rewrite",
    "write_atomically",
]
