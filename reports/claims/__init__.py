"""Documents and their claims: read, held against evidence, judged, shown.

A file of claims lies beside this module (`a.yaml`, `b.yaml`, …); `language/` reads it, `evidence/` gathers what speaks
for and against each claim, `verdicts` puts that into words, `output/` writes the tables and the page. Start with
`verdicts`.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
"""Where the bundled documents' claims lie."""
