"""`python -m evals`."""

from __future__ import annotations

import sys

from evals.app.cli import main

if __name__ == "__main__":
    sys.exit(main())
