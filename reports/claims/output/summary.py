"""Sum up a check in five lines that an editor can paste: what was checked, and a line for each plain verdict."""

from __future__ import annotations

from collections.abc import Sequence

from evals.errors import counted
from evals.reports.claims.output import tables
from evals.reports.claims.output.reasons import reason
from evals.reports.claims.output.tables import in_words
from evals.reports.claims.verdicts import NOT_ENOUGH_EVIDENCE, PRECEDENCE, Assessment, CheckResult
from evals.reports.rendering.formatting import one_line

_MOST_REASONS = 3
"""Limit on the claims of a line that are quoted with their reason."""
_MOST_NAMES = 12
"""Limit on the claims of a line that are named."""
_LONGEST_QUOTE, _LONGEST_TITLE, _LONGEST_ABOUT = 80, 120, 600


def five_lines(checked: CheckResult) -> str:
    """Return five lines: the documents and what the verdicts rest on, then refuted, conflicting, supported, and open.

    Args:
        checked: the result of a check.

    Returns:
        Text with a line end after each line; equal results give equal text.
    """
    titles = "; ".join(one_line(document.document.title, _LONGEST_TITLE) for document in checked.documents)
    about = one_line(checked.about, _LONGEST_ABOUT)
    lines = [f"{titles}: {counted(len(checked.assessments), 'claim')} checked. {about}"]
    rows = {row.word: row.assessments for row in tables.verdict_rows(checked.assessments) if row.is_plain}
    for word in ("refuted", "conflicting"):
        lines.append(f"{_head(word, rows[word])}: {_reasons(rows[word])}")
    lines.append(f"{_head('supported', rows['supported'])}: {_names(rows['supported'])}")
    rest = rows[NOT_ENOUGH_EVIDENCE]
    counts = ", ".join(f"{count} {in_words(headline)}" for headline, count in tables.summary(rest))
    lines.append(f"{_head(NOT_ENOUGH_EVIDENCE, rest)}: {counts or 'none'}.")
    return "\n".join(lines) + "\n"


def _head(word: str, assessments: Sequence[Assessment]) -> str:
    return f"{in_words(word).capitalize()} ({len(assessments)})"


def _reasons(assessments: Sequence[Assessment]) -> str:
    """The first claims with their reasons, the gravest verdict first, and how many there are besides."""
    order = sorted(assessments, key=lambda assessment: PRECEDENCE.index(assessment.headline))
    shown = [f"{_quoted(assessment)}: {reason(assessment)}" for assessment in order[:_MOST_REASONS]]
    more = len(order) - _MOST_REASONS
    return " ".join([*shown, *([f"And {more} more."] if more > 0 else [])]) or "none."


def _quoted(assessment: Assessment) -> str:
    claim = assessment.claim
    return f"{claim.id} “{one_line(claim.quote or claim.says, _LONGEST_QUOTE)}”"


def _names(assessments: Sequence[Assessment]) -> str:
    names = ", ".join(assessment.claim.id for assessment in assessments[:_MOST_NAMES])
    more = len(assessments) - _MOST_NAMES
    return f"{names}{f' and {more} more' if more > 0 else ''}." if names else "none."
