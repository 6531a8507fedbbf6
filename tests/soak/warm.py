"""Import what the targets need, once, in the process from which all workers are made."""

from __future__ import annotations

import functools

import httpx2
import huggingface_hub.file_download
import numpy
import PIL.BmpImagePlugin
import PIL.GifImagePlugin
import PIL.JpegImagePlugin
import PIL.PngImagePlugin
import PIL.PpmImagePlugin
import pyarrow.compute
import pyarrow.parquet
import scipy.signal
import scipy.stats

from evals.app import api, check, cli, parser, several
from evals.metrics import retrieval
from evals.models.endpoint import client
from evals.records import signature
from evals.registry import FAMILIES, TASKS
from evals.reports.claims import assessment
from evals.reports.claims.drafting.readers import markdown
from evals.reports.claims.output import exports, page, tables
from evals.reports.exports import every_eval_ever, every_eval_ever_samples
from evals.reports.runs import page as run_page
from evals.reports.runs import tables as run_tables
from evals.reports.runs import terminal
from evals.reports.trends import page as trends_page
from evals.reports.trends import series

LOADED = (
    huggingface_hub, httpx2, numpy, PIL, pyarrow, scipy, retrieval, assessment, markdown, api, check, cli,
    client, several, exports, page, tables, every_eval_ever, every_eval_ever_samples, run_page, run_tables, terminal,
    trends_page, series, list(FAMILIES), list(TASKS),
)  # fmt: skip
"""The modules; the registries load those of the tasks and families."""


def remember_constants() -> None:
    """Compute once per process what every command would compute again and what no input changes.

    These are the parser, the versions of packages, the commit and the digest of the suite's own code. A process reads
    thousands of mutants, and these would be half of its work.
    """
    parser.build = functools.cache(parser.build)
    signature.package_versions = functools.cache(signature.package_versions)
    signature._commit = functools.cache(signature._commit)
    digests: dict[tuple[str, type], str] = {}
    compute = signature.code_digest

    def code_digest(task, model) -> str:
        key = task.name, type(model)
        if key not in digests:
            digests[key] = compute(task, model)
        return digests[key]

    signature.code_digest = code_digest
