"""Import what the targets need, once, in the process from which all workers are made."""

from __future__ import annotations

import numpy
import PIL.JpegImagePlugin
import PIL.PngImagePlugin
import pyarrow.parquet
import scipy.signal
import scipy.stats

from evals.app import api, check, cli, several
from evals.registry import FAMILIES, TASKS
from evals.reports.claims.output import exports, page, tables
from evals.reports.exports import every_eval_ever, every_eval_ever_samples
from evals.reports.runs import page as run_page
from evals.reports.runs import tables as run_tables
from evals.reports.runs import terminal
from evals.reports.trends import page as trends_page
from evals.reports.trends import series

LOADED = (
    numpy, PIL, pyarrow, scipy, api, check, cli, several, exports, page, tables, every_eval_ever,
    every_eval_ever_samples, run_page, run_tables, terminal, trends_page, series, list(FAMILIES), list(TASKS),
)  # fmt: skip
"""The modules; the registries load those of the tasks and families."""
