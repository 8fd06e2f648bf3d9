"""`python -m tests.rig.timed_operator SECONDS [die]`: the real process for TrainingPipelines, its clock so far ahead.

With `die` it is killed, by SIGKILL, right after the API server took a TrainingRun from it.
"""

import os
import signal
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

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


def set_clock(ahead: float) -> None:
    def now() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=ahead)  # noqa: TID251 - plays the clock

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
    set_clock(float(sys.argv[1]))
    if sys.argv[2:] == ["die"]:
        die_of_a_run()
    registry = kopf.OperatorRegistry()
    handlers.register(registry, lambda: (TrainingPipelineRoom(),), settings)
    sys.exit(main(registry))
