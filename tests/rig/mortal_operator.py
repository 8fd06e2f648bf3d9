"""`python -m tests.rig.mortal_operator`: the real process for Rollouts, that can be killed and started in milliseconds.

Everything is imported once, and each life is a fork of that. A life differs from `python -m trainyard` in its Lease,
which is shorter than the settings allow, and in its rooms: no store is there to judge ModelVersions by.
Lines on stdin ask, lines on stdout answer: `start` (its process id); `kill` (its exit status, -9 by the signal);
`ended` (its exit status, or `running`). The end of stdin ends the last life.

MORTAL_LEASE_SECONDS: another length of the Lease. MORTAL_CLOCK: a file with the seconds by which its clock is ahead.
MORTAL_SILENCE_SECONDS: after these a silent watch counts as dead. MORTAL_POD: a folder with a service account's
`token` and `ca.crt`, which it then logs in with. MORTAL_CONTESTED_SECONDS: how long an edit of a route that was put
back counts. MORTAL_ROOMS: `training` for TrainingPipelines, TrainingRuns and ModelVersions instead.
"""

import os
import signal
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import kopf
from kubernetes.aio.config import incluster_config

from trainyard import handlers
from trainyard.__main__ import main
from trainyard.model_version.room import ModelVersionRoom
from trainyard.reconciling import trying
from trainyard.rollout import moves, progress
from trainyard.rollout.room import RolloutRoom
from trainyard.settings import Settings, read_settings
from trainyard.systems.cluster import transport
from trainyard.training_pipeline.room import TrainingPipelineRoom
from trainyard.training_run.room import TrainingRunRoom

LEASE_SECONDS = 2


def settings() -> Settings:
    return replace(read_settings(), lease_seconds=int(os.environ.get("MORTAL_LEASE_SECONDS", LEASE_SECONDS)))


def set_clock(file: Path) -> None:
    def now() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float(file.read_text()))  # noqa: TID251 - plays the clock

    handlers.now = now
    trying.LONGEST_PAUSE_SECONDS = float("inf")  # time that is turned on in one go was spent trying


def live_in_pod(folder: Path) -> None:
    """Log in as a pod does, by files that may change."""
    token, authority = str(folder / "token"), str(folder / "ca.crt")
    incluster_config.SERVICE_TOKEN_FILENAME, incluster_config.SERVICE_CERT_FILENAME = token, authority
    server = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"

    def login(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(server=server, ca_path=authority, token=Path(token).read_text())

    kopf.login_with_service_account = login


def prepare(environment: dict[str, str]) -> None:
    """Play what the environment asks for."""
    if clock := environment.get("MORTAL_CLOCK"):
        set_clock(Path(clock))
    if silence := environment.get("MORTAL_SILENCE_SECONDS"):
        transport.SILENCE_SECONDS = float(silence)
    if contested := environment.get("MORTAL_CONTESTED_SECONDS"):
        progress.CONTESTED_SECONDS = moves.CONTESTED_AGAIN_SECONDS = float(contested)
    if pod := environment.get("MORTAL_POD"):
        live_in_pod(Path(pod))


def monotonic() -> float:
    """Return the monotonic clock, turned as the other one is."""
    clock = os.environ.get("MORTAL_CLOCK")
    return time.monotonic() + (float(Path(clock).read_text()) if clock else 0.0)


def rooms() -> handlers.Rooms:
    """Return the rooms of this life."""
    if os.environ.get("MORTAL_ROOMS") == "training":
        return (TrainingPipelineRoom(), TrainingRunRoom(monotonic), ModelVersionRoom())
    return (RolloutRoom(),)


def live() -> None:
    """Be the operator; never returns. What it prints goes to its log."""
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    registry = kopf.OperatorRegistry()
    handlers.register(registry, rooms, settings)
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
    prepare(dict(os.environ))
    lives = Lives()
    verbs = {"start": lives.start, "kill": lives.kill, "ended": lives.ended}
    for line in sys.stdin:
        print(verbs[line.strip()](), flush=True)
    lives.kill()


if __name__ == "__main__":
    serve()
