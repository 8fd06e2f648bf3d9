"""`trainyard`, `kubectl trainyard` and `python -m trainyard.cli`: run a command, end with its exit status."""

import errno
import io
import os
import sys
from typing import TextIO

from trainyard.cli.app import app
from trainyard.cli.problem import FAILED, INTERRUPTED, Problem

_CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


def main() -> None:
    """Run the command line. Exit status: see `problem`."""
    _prepare_streams()
    try:
        app()
    except Problem as problem:
        _end(str(problem), problem.status)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:
            raise
        _not_written(error)
    finally:
        _flush()


def _prepare_streams() -> None:
    """Let a closed stream lead nowhere, and a `?` stand for what a terminal has no character for."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _flush() -> None:
    """Write what is left; where nobody reads any more (`trainyard runs | head -1`), it goes nowhere."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _forget(sys.stdout)
    except OSError as error:
        _not_written(error)


def _not_written(error: OSError) -> None:
    _forget(sys.stdout)
    _end(f"The answer could not be written: {error.strerror}.", FAILED)


def _forget(stream: TextIO) -> None:
    """Let what is left of a stream lead nowhere: Python writes it once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _end(sentence: str, status: int) -> None:
    try:
        print(sentence, file=sys.stderr, flush=True)
    except OSError:  # the exit status tells it too
        _forget(sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
