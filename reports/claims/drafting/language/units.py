"""The words of units, in English and Chinese, with the names that the vocabulary gives them."""

from __future__ import annotations

import re
from decimal import Decimal

from evals.reports.claims.drafting.language.words import entries, joined

UNITS: tuple[tuple[re.Pattern[str], str, Decimal], ...] = tuple(
    (re.compile(joined(row["any"]), re.ASCII), str(row["unit"]), Decimal(row.get("factor", "1")))
    for row in entries("units")
)
"""For each unit the words that follow the digits, its name in the vocabulary, and the factor of the words."""
