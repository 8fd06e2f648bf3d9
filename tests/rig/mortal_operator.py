"""`python -m tests.rig.mortal_operator`: the real process for Rollouts, that can be killed and started in milliseconds.

Everything is imported once, and each life is a fork of that. A life differs from `python -m trainyard` in its Lease,
which is shorter than the settings allow, and in its rooms: no store is there to judge ModelVersions by.
Lines on stdin ask, lines on stdout answer: `start` (its process id); `kill` (its exit status, -9 by the signal);
`ended` (its exit status, or `running`). The end of stdin ends the last life.
"""

import os
import signal
import sys
from dataclasses import replace

import kopf

from trainyard.__main__ import main
from trainyard.handlers import register
from trainyard.rollout.room import RolloutRoom
from trainyard.settings import Settings, read_settings

LEASE_SECONDS = 2


def settings() -> Settings:
    return replace(read_settings(), lease_seconds=LEASE_SECONDS)


def live() -> None:
    """Be the operator; never returns. What it prints goes to its log."""
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    registry = kopf.OperatorRegistry()
    register(registry, lambda: (RolloutRoom(),), settings)
    os._exit(main(registry))


class Lives:
    """The one life at a time."""

    def __init__(self) -> None:
        self._process = 0
        self._status: int | None = None

    def start(self) -> str:
        self._process, self._status = os.fork(), None
        if not self._process:
            live()
        return str(self._process)

    def kill(self) -> str:
        if self.ended() == "running":
            os.kill(self._process, signal.SIGKILL)
            self._status = os.waitstatus_to_exitcode(os.waitpid(self._process, 0)[1])
        return str(self._status)

    def ended(self) -> str:
        if self._status is None:
            found, status = os.waitpid(self._process, os.WNOHANG)
            self._status = os.waitstatus_to_exitcode(status) if found else None
        return "running" if self._status is None else str(self._status)


def serve() -> None:
    """Answer until stdin ends."""
    lives = Lives()
    verbs = {"start": lives.start, "kill": lives.kill, "ended": lives.ended}
    for line in sys.stdin:
        print(verbs[line.strip()](), flush=True)
    lives.kill()


if __name__ == "__main__":
    serve()
