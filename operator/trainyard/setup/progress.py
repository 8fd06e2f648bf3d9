"""Lines for `kubectl logs` of the setup Job, and its failure as a sentence."""

import sys


class SetupFailed(Exception):
    """The step cannot be done; `str()` says why. The Job tries again."""


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"setup: {text}\n")
    sys.stdout.flush()
