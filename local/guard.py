"""Runs one program for as long as its owner lives: `python guard.py program argument…`.

The owner holds the other end of standard input. When that closes, because the owner is done or was killed,
the program is ended too, so a killed test leaves no server behind. Stands alone: it is run as a file.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys

GRACE_SECONDS = 5
PR_SET_PDEATHSIG = 1


def _die_with_guard() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main(command: list[str]) -> int:
    """Run the command until it ends or standard input closes; return its exit status."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_die_with_guard) as child:  # noqa: PLW1509 - one thread only
        ended = os.pidfd_open(child.pid)
        select.select([sys.stdin.fileno(), ended], [], [])
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
        return child.wait()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(main(sys.argv[1:]))
