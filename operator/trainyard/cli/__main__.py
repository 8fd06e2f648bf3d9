"""`trainyard`, `kubectl trainyard` and `python -m trainyard.cli`: run a command, end with its exit status."""

import sys

from trainyard.cli.app import app
from trainyard.cli.problem import INTERRUPTED, Problem


def main() -> None:
    """Run the command line. Exit status: 0 done, 1 it did not come about, 2 wrong usage, 130 Ctrl-C."""
    try:
        app()
    except Problem as problem:
        print(problem, file=sys.stderr)
        sys.exit(problem.status)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
