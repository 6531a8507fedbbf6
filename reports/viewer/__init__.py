"""The page to look into runs: `view`, served on this machine or written as one file.

    RunIndex(records)          finds and sorts the samples of some runs without holding them in memory
    serve(index, port)         serves the page and its data on 127.0.0.1
    write_file(index, path)    writes the page with its data as one file

The page (`view.html`, `view.css`, `view.js`) runs only its own script, under a content security policy, and shows every
text as text.
"""

from __future__ import annotations

from evals.reports.viewer.index import RunIndex
from evals.reports.viewer.page import write_file
from evals.reports.viewer.server import PageServer

__all__ = ["PageServer", "RunIndex", "write_file"]
