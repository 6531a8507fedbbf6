"""Logs of other harnesses: readers that turn their files into runs with samples, outputs and scores.

    read(paths) -> [HarnessRun]     find the logs among files and folders, and read them

One module reads the files of one harness; each says which files are its own, and cites where the format is defined.
What a log does not say is None or empty, never guessed. `evals.app.imports` makes run folders of what is read.

`matching` finds the samples that runs of two harnesses share. It may import the errors, the schema, the records and the
readers of plain files.
"""

from __future__ import annotations

from evals.logs.detection import read
from evals.logs.harness_run import HarnessRun, HarnessSample, ReportedMetric

__all__ = ["HarnessRun", "HarnessSample", "ReportedMetric", "read"]
