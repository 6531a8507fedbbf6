"""`python -m evals`, and the command `evals`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run one command and return its exit code; an interrupt during the imports ends as one during the command does."""
    try:
        from evals.app import cli
    except KeyboardInterrupt:
        sys.stderr.write("evals: interrupted before the command began\n")
        return 130
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
