"""`python -m tests.rig.timed_operator AHEAD [die]`: the real process for TrainingPipelines, its clock set forward.

AHEAD: seconds, or a file that holds them, read at every look at the clock, so that a test turns it (`timed.Clock`).
With `die` it is killed, by SIGKILL, right after the API server took a TrainingRun from it.
"""

import os
import signal
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import kopf

from trainyard import handlers
from trainyard.__main__ import main
from trainyard.settings import Settings, read_settings
from trainyard.systems.cluster.client import KubernetesCluster
from trainyard.systems.cluster.port import Obj
from trainyard.training_pipeline.room import TrainingPipelineRoom

LEASE_SECONDS = 2


def settings() -> Settings:
    return replace(read_settings(), lease_seconds=LEASE_SECONDS)


def set_clock(ahead: str) -> None:
    file = Path(ahead)
    turned = file.is_file()

    def now() -> datetime:
        seconds = float(file.read_text() if turned else ahead)
        return datetime.now(UTC) + timedelta(seconds=seconds)  # noqa: TID251 - plays the clock

    handlers.now = now


def die_of_a_run() -> None:
    create = KubernetesCluster.create

    async def last(self: KubernetesCluster, obj: Obj) -> Obj:
        made = await create(self, obj)
        if obj["kind"] == "TrainingRun":
            os.kill(os.getpid(), signal.SIGKILL)
        return made

    KubernetesCluster.create = last  # type: ignore[method-assign] # it plays a crash between two writes


if __name__ == "__main__":
    set_clock(sys.argv[1])
    if sys.argv[2:] == ["die"]:
        die_of_a_run()
    registry = kopf.OperatorRegistry()
    handlers.register(registry, lambda: (TrainingPipelineRoom(),), settings)
    sys.exit(main(registry))
