"""Why two runs of one benchmark disagree: the command `gap`.

    attribute(a, b) -> Gap      divide the difference into parts that add up to it
    text(gap)                   write it for the terminal

Parts that can be computed from the records (other samples, other readings of the answers, outputs that were cut or have
no answer) are given in points; what is left is named by the fields in which the runs differ, the likeliest first.
"""

from __future__ import annotations

from evals.reports.gaps.attribution import Gap, attribute
from evals.reports.gaps.text import text

__all__ = ["Gap", "attribute", "text"]
