"""Single samples of a run: which ones a reader wants to see, and how the terminal shows them.

choose(record, where, sort, count)     filter and sort the samples of a finished run
text(record, chosen)                   write them for the terminal: `show RUN --where … --sort …`
"""

from __future__ import annotations

from evals.reports.samples.choosing import ChosenSamples, choose
from evals.reports.samples.listing import text

__all__ = ["ChosenSamples", "choose", "text"]
