"""Check the claims of documents against evidence and give each a verdict.

The claims are in the folder of this package (`a.yaml`, `b.yaml`, …); `language` reads them, `evidence` compares them
with arithmetic, other documents, public facts and runs, and `output` writes tables and a page. It may import the
schema, the records, the statistics, the comparison and the other rooms of `reports` except choices, exports and trends.
Start with `assessment`, which lists the steps of a claim's life.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
"""The folder of the bundled claims files."""
