"""The running operator, apart from kopf: watches, queue, Lease, probes, and how they start and stop.

Made by `handlers`. A standby watches and fills its queue like the leader; only the leader visits.
"""

import asyncio
import logging
import os
import random
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from prometheus_client.registry import Collector

from trainyard import probes, telemetry
from trainyard.reconciling.cycle import Cycle
from trainyard.reconciling.leadership import LeaseLost
from trainyard.reconciling.queue import Queue
from trainyard.reconciling.room import Remembers, Room
from trainyard.reconciling.worker import Report, Worker
from trainyard.settings import Settings
from trainyard.systems.bundle import Systems
from trainyard.systems.cluster.port import ROLLOUT, Kind, Obj, Ref
from trainyard.systems.cluster.reflector import Reflector
from trainyard.telemetry_rollouts import Rollouts
from trainyard.waking import after, woken_by
from trainyard.wiring import Wired, wire

log = logging.getLogger(__name__)

DRAIN_SECONDS = 20.0  # less than the pod's grace period

Wall = Callable[[], datetime]


class Operator:
    """One process of the operator. `wall` is the clock that decisions are made by."""

    def __init__(self, settings: Settings, rooms: Sequence[Room[Any, Systems]], wall: Wall) -> None:
        self._settings = settings
        self._rooms = rooms
        self._kinds = {room.kind for room in rooms}
        self._wall = wall
        self._tasks: list[asyncio.Task[None]] = []
        self._waiting: dict[Ref, int] = {}

    async def start(self) -> None:
        """Wire the clients, listen for probes, start to watch, and run for the Lease.

        What a start that fails has opened is closed again: kopf starts another operator later. Raises OSError where a
        port is taken.
        """
        self._wired = await wire(self._settings, self._changed, self._wall)
        self._worker = _worker(self._settings, self._rooms, self._wired, self._wall, self._report)
        self._queue: Queue[Ref] = Queue(self._worker.visit, self._settings.workers)
        self._servers = self._make_servers()
        try:
            for server in self._servers:
                await server.start()
        except OSError:
            await self._close()
            raise
        self._collectors = self._measure()
        self._tasks = [self._spawn("watching", self._wired.mirror.run()), self._spawn("leading", self._lead())]

    async def stop(self) -> None:
        """Finish the running visits, let go of the Lease, and close everything."""
        log.info("stopping: finishing the running visits")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if not await self._queue.drain(DRAIN_SECONDS):
            log.warning("some visits did not end in %.0f s and were cut off", DRAIN_SECONDS)
        await self._wired.leadership.release()
        for collector in self._collectors:
            telemetry.REGISTRY.unregister(collector)
        await self._close()

    async def _close(self) -> None:
        for server in self._servers:
            await server.stop()
        await self._wired.close()

    def notice(self, key: Ref, version: str) -> None:
        """Take kopf's word for a change, unless the mirror has passed it on already."""
        store = self._wired.mirror.store(key.kind, key.namespace)
        if key.kind not in self._kinds:
            return
        if store is None or not store.has_seen(key, version):
            self._queue.wake(key)

    def _changed(self, kind: Kind, before: Obj | None, now: Obj | None) -> None:
        telemetry.EVENTS.labels(kind.kind).inc()
        for key in woken_by(kind, before, now, self._stored):
            if key.kind in self._kinds:
                self._queue.wake(key, after(kind, key))

    def _stored(self, kind: Kind, namespace: str, fields: Mapping[str, str]) -> Iterable[Obj]:
        return self._wired.mirror.known(kind, namespace, fields)

    async def _lead(self) -> None:
        """Wait for the Lease, then visit for as long as it is kept."""
        leadership = self._wired.leadership
        another_wrote = await leadership.acquire()
        async with asyncio.TaskGroup() as group:
            group.create_task(leadership.keep(), name="lease")
            if another_wrote:  # a watch may be behind, or cut off without knowing it yet
                await self._wired.mirror.list_anew(leadership.pause_seconds)
            group.create_task(self._queue.run(), name="queue")

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(_end_process_on_failure)
        return task

    def _report(self, report: Report) -> None:
        telemetry.count(report)
        if report.outcome.waiting:
            self._waiting[report.key] = report.outcome.waiting
        elif not report.failure:
            self._waiting.pop(report.key, None)

    def _watches(self) -> Iterable[Reflector]:
        return self._wired.mirror.reflectors.values()

    def _make_servers(self) -> tuple[probes.Server, probes.Server]:
        pages = {
            "/healthz": lambda: probes.liveness(self._watches()).response(),
            "/readyz": lambda: probes.readiness(self._watches()).response(),
        }
        return (
            probes.Server(self._settings.probe_port, pages),
            probes.Server(self._settings.metrics_port, {"/metrics": probes.metrics}),
        )

    def _measure(self) -> tuple[Collector, ...]:
        telemetry.LEADING.set_function(self._wired.leadership.holds)
        telemetry.DEPTH.set_function(self._queue.depth)
        telemetry.KEYS.set_function(lambda: len(self._queue.schedule))
        collectors = (
            telemetry.WatchAges(lambda: ((w.kind.kind, w.namespace, w.age(), w.synced) for w in self._watches())),
            telemetry.WaitingRows(lambda: sum(self._waiting.values())),
            Rollouts(self._rollouts, self._wired.leadership.holds, self._wall),
        )
        for collector in collectors:
            telemetry.REGISTRY.register(collector)
        return collectors

    def _rollouts(self) -> Iterable[Obj]:
        """Return the Rollouts with what their room remembers of them."""
        found = self._wired.mirror.known(ROLLOUT, "", {})
        room = next((r for r in self._rooms if r.kind == ROLLOUT and isinstance(r, Remembers)), None)
        return map(room.newest, found) if room else found


def _worker(
    settings: Settings,
    rooms: Sequence[Room[Any, Systems]],
    wired: Wired,
    wall: Wall,
    report: Callable[[Report], None],
) -> Worker:
    systems = wired.systems
    return Worker(
        cycles={room.kind: Cycle(room, systems, systems.cluster, wired.record) for room in rooms},
        now=wall,
        seen=wired.mirror.seen,
        visit_seconds=float(settings.visit_seconds),
        jitter=lambda: random.uniform(0.8, 1.2),  # noqa: S311 - spreads load
        report=report,
        posted=telemetry.count_writes,
    )


def _end_process_on_failure(task: asyncio.Task[None]) -> None:
    """End the process at once when it cannot watch or may not write any more; Kubernetes starts a fresh one."""
    error = None if task.cancelled() else task.exception()
    if error is None:
        return
    lost = isinstance(error, ExceptionGroup) and error.subgroup(LeaseLost)
    log.critical("%s ended: %r", task.get_name(), error, exc_info=None if lost else error)
    logging.shutdown()
    os._exit(1)
