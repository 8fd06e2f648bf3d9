"""`trainyard`, `kubectl trainyard` and `python -m trainyard.cli`: run a command, end with its exit status."""

import os
import sys

from trainyard.cli.app import app
from trainyard.cli.problem import INTERRUPTED, Problem


def main() -> None:
    """Run the command line. Exit status: see `problem`."""
    try:
        app()
    except Problem as problem:
        print(problem, file=sys.stderr)
        sys.exit(problem.status)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        _flush()


def _flush() -> None:
    """Write what is left; where nobody reads any more (`trainyard runs | head -1`), it goes nowhere."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
