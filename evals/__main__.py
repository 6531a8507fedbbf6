"""`python -m evals`, and the command `evals`."""

from __future__ import annotations

import signal
import sys

_INTERRUPTED = 130


def main() -> int:
    """Run one command and return its exit code; an interrupt during the imports ends as one during the command does."""
    try:
        from evals.app import cli
    except KeyboardInterrupt:
        sys.stderr.write("evals: interrupted before the command began\n")
        return _INTERRUPTED
    code = cli.main()
    if code == _INTERRUPTED:  # a second interrupt, while libraries clean up, ends the process at once
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return code


if __name__ == "__main__":
    sys.exit(main())
