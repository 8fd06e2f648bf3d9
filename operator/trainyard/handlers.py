"""The only file that knows kopf: what it watches, and which key each event queues.

kopf's low-level half only (`on.event`): no finalizer, annotation or patch of kopf's own, no peering, no events.
`python -m trainyard` and `kopf run -m trainyard.handlers --standalone` both start here.
"""

import itertools
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import kopf

from trainyard.reconciling.room import Room
from trainyard.running import Operator
from trainyard.settings import ReadSettings, read_settings
from trainyard.systems.bundle import Systems
from trainyard.systems.cluster.port import MODEL_VERSION, ROLLOUT, TRAINING_PIPELINE, TRAINING_RUN, Kind, Ref

# A worker of kopf keeps its place until its object has been quiet for so long: with few places and its usual 5 s it
# works through the echoes of a thousand changes for many minutes. What it does in them is next to nothing.
NOTICING = 200
IDLE_SECONDS = 0.1

Rooms = Sequence[Room[Any, Systems]]

START_AGAIN_SECONDS = 5.0  # after a start that failed: a port was taken
RECONNECT_SECONDS = 2.0  # kopf's watches are the second pair of ears: no hurry, and no storm on a sick server

# kopf reads JSON with Python's own reader, which ends at the limit of recursion, and kopf's watch with it: one object
# of a tenant would end the process. The API server keeps 10,000 levels; that many take 1.3 of the 8 MB of the C stack.
JSON_LEVELS = 12_000

KINDS = (TRAINING_PIPELINE, TRAINING_RUN, MODEL_VERSION, ROLLOUT)


def all_rooms() -> Rooms:
    """Return the rooms of every kind."""
    from trainyard.model_version.room import ModelVersionRoom
    from trainyard.rollout.room import RolloutRoom
    from trainyard.training_pipeline.room import TrainingPipelineRoom
    from trainyard.training_run.room import TrainingRunRoom

    return (TrainingPipelineRoom(), TrainingRunRoom(), ModelVersionRoom(), RolloutRoom())


def now() -> datetime:
    """Return the time that decisions are made by."""
    return datetime.now(UTC)  # noqa: TID251 - the clock enters here


def register(registry: kopf.OperatorRegistry, rooms: Callable[[], Rooms], read: ReadSettings) -> None:
    """Hang the operator into a kopf registry. Settings are read and rooms made when it starts."""
    running: list[Operator] = []

    @kopf.on.startup(registry=registry, backoff=START_AGAIN_SECONDS)
    async def start(settings: kopf.OperatorSettings, **_: Any) -> None:
        configured = read()
        _configure(settings)
        operator = Operator(configured, rooms(), now)
        await operator.start()
        running.append(operator)

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        while running:
            await running.pop().stop()

    @kopf.on.login(registry=registry)
    async def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    for kind in KINDS:
        _watch(registry, kind, running)


def _watch(registry: kopf.OperatorRegistry, kind: Kind, running: Sequence[Operator]) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, id=kind.plural, registry=registry)
    async def noticed(meta: kopf.Meta, **_: Any) -> None:
        for operator in running:
            operator.notice(Ref(kind, meta["namespace"], meta["name"]), str(meta.get("resourceVersion", "")))


class NoDifferences(kopf.DiffBaseStorage):
    """Spares kopf the copy of every object that it would compare with the next: nothing here asks what differs."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Return what there is to compare: nothing."""
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        """Return what was there before: nothing."""
        return None

    def store(self, **_: Any) -> None:
        """Keep nothing."""


class Backoffs:
    """Seconds between kopf's tries of a request, without an end: after its own it ends the process.

    One kind that is refused must not stop the others. What must end the process, the probes see on our own watches.
    """

    def __iter__(self) -> Iterator[float]:
        """Yield them."""
        yield from (1.0, 2.0, 4.0, 8.0, 16.0)
        yield from itertools.repeat(30.0)


def _configure(settings: kopf.OperatorSettings) -> None:
    sys.setrecursionlimit(max(sys.getrecursionlimit(), JSON_LEVELS))
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True  # our kinds are known; no watch on CRDs or namespaces
    settings.networking.error_backoffs = Backoffs()
    settings.watching.reconnect_backoff = RECONNECT_SECONDS
    settings.queueing.worker_limit = NOTICING
    settings.queueing.idle_timeout = IDLE_SECONDS
    settings.persistence.diffbase_storage = NoDifferences()
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # a line per event otherwise


register(kopf.get_default_registry(), all_rooms, read_settings)
