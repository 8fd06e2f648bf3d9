"""One process acts: a Lease, and the fence that every write passes.

The library's own election counts on the wall clock, tells nobody its deadline and never lets go of a Lease; this
one keeps the deadline on the monotonic clock, measured from before the request that won it, so that the process
stops writing before another may start (docs/decisions). Standbys keep watching. Used by `running`.

A process that was killed cannot let go of its Lease. The next one in the same place (the same container of the same
pod, which runs one process at a time) need not wait for its end: it waits only as long as a write of the dead one
may still be under way.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from trainyard.reconciling.cycle import Recorder
from trainyard.reconciling.plan import Record
from trainyard.systems.cluster.port import (
    LEASE,
    AlreadyExists,
    Cluster,
    ClusterError,
    Conflict,
    Fenced,
    Kind,
    NotFound,
    Obj,
    Ref,
)

log = logging.getLogger(__name__)

RENEWALS = 5  # renewals are tried every so many parts of the lease
MARGIN_PARTS = 3  # writes stop this part of the lease before its end: so long they have to arrive


class LeaseLost(Exception):
    """The Lease could not be renewed in time, or another holds it: this process must end."""


@dataclass
class _Sighting:
    """The Lease as last seen in another's hands, and since when (monotonic) it looks so."""

    spec: Mapping[str, Any]
    since: float


class Leadership:
    """Holds, renews and releases one Lease. `wall` is the clock for the times written into it.

    identity: this process's own. place: what the identities of all processes begin with of which one can only start
    when the one before is dead, "" for none. age_seconds: how long this process has been running.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        namespace: str,
        name: str,
        identity: str,
        lease_seconds: int,
        wall: Callable[[], datetime],
        place: str = "",
        age_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._cluster = cluster
        self._ref = Ref(LEASE, namespace, name)
        self._identity = identity
        self._seconds = lease_seconds
        self._wall = wall
        self._clock = clock
        self._sleep = sleep
        self._place = place
        self._began = clock() - age_seconds
        self._deadline = float("-inf")
        self._seen: _Sighting | None = None
        self._kept: Obj | None = None  # the Lease as this process wrote it last; None where it may be another by now
        self._free_in = float("inf")
        self._stood_by = False

    @property
    def pause_seconds(self) -> float:
        """Return the time between two tries."""
        return self._seconds / RENEWALS

    def holds(self) -> bool:
        """Whether this process may write now: well before the end of what it holds."""
        return self._clock() < self._deadline - self._seconds / MARGIN_PARTS

    async def acquire(self) -> bool:
        """Return once the Lease is held: True where another process was seen to hold it, and may have written."""
        while not await self._try():
            await self._sleep(min(self.pause_seconds, self._free_in))
        log.info("holding the lease %s as %s", self._ref.name, self._identity)
        return self._stood_by

    async def keep(self) -> None:
        """Renew for ever. Raises LeaseLost once the deadline has passed or another holds the Lease."""
        while True:
            await self._sleep(self.pause_seconds)
            if not await self._try() and self._clock() >= self._deadline:
                raise LeaseLost(f"the lease {self._ref.name} was not renewed in {self._seconds} s")

    async def release(self) -> None:
        """Let go of the Lease, so that a standby need not wait for its end."""
        if self._clock() >= self._deadline:
            return
        self._deadline = float("-inf")
        try:
            async with asyncio.timeout(self.pause_seconds):
                live = await self._cluster.get(self._ref, live=True)
                if live and live["spec"].get("holderIdentity") == self._identity:
                    await self._write(live, {"holderIdentity": ""})
        except (ClusterError, TimeoutError) as error:
            log.warning("the lease was not released: %s", error)

    async def _try(self) -> bool:
        """Take or renew the Lease if it is free or ours; False where that failed this time."""
        started = self._clock()
        self._free_in = float("inf")
        try:
            async with asyncio.timeout(self.pause_seconds):
                taken = await self._look_and_take()
        except (AlreadyExists, Conflict, NotFound):
            return False  # another was faster; look again
        except (ClusterError, TimeoutError) as error:
            log.warning("lease %s: %s", self._ref.name, str(error) or type(error).__name__)
            return False
        if taken:
            self._deadline = started + self._seconds
        return taken

    async def _look_and_take(self) -> bool:
        """Renew the Lease as it was written last; where it is another by now, look at it first."""
        kept, self._kept = self._kept, None
        if kept is not None:
            try:
                return await self._take(kept)
            except (Conflict, NotFound):
                log.debug("the lease %s is not as it was written last", self._ref.name)
        return await self._take(await self._cluster.get(self._ref, live=True))

    async def _take(self, live: Obj | None) -> bool:
        if live is None:
            self._kept = await self._cluster.create(self._new())
            return True
        spec = live.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if holder == self._identity:
            await self._write(live, {"renewTime": self._stamp()})
            return True
        if self._deadline > float("-inf"):
            raise LeaseLost(f"the lease {self._ref.name} is held by {holder or 'nobody'}")
        if holder and not self._is_over(spec, holder):
            return False
        await self._write(live, self._taking(int(spec.get("leaseTransitions") or 0) + 1))
        return True

    def _is_over(self, spec: Mapping[str, Any], holder: str) -> bool:
        """Whether another's Lease looked the same for long enough, by our own clock: its whole duration.

        For one that died before this process began, a margin since then. Should it live all the same, it renews more
        often than that.
        """
        now, died = self._clock(), bool(self._place) and holder.startswith(self._place)
        if self._seen is None or self._seen.spec != spec:
            self._seen = _Sighting(spec, self._began if died and self._seen is None else now)
        self._stood_by = self._stood_by or not died
        duration = self._seconds / MARGIN_PARTS if died else float(spec.get("leaseDurationSeconds") or self._seconds)
        self._free_in = max(0.0, self._seen.since + duration - now)
        return self._free_in == 0.0

    async def _write(self, live: Obj, spec: Mapping[str, Any]) -> None:
        version = str(live["metadata"]["resourceVersion"])
        self._kept = await self._cluster.patch(self._ref, {"spec": spec}, resource_version=version)

    def _new(self) -> dict[str, Any]:
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"name": self._ref.name, "namespace": self._ref.namespace},
            "spec": self._taking(0),
        }

    def _taking(self, transitions: int) -> dict[str, Any]:
        now = self._stamp()
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": self._seconds,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": transitions,
        }

    def _stamp(self) -> str:
        return self._wall().strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class FencedCluster:
    """The `Cluster` port whose writes raise Fenced unless `holds()`."""

    def __init__(self, inner: Cluster, holds: Callable[[], bool]) -> None:
        self._inner = inner
        self._holds = holds

    async def get(self, ref: Ref, *, live: bool = False) -> Obj | None:
        """See the port."""
        return await self._inner.get(ref, live=live)

    async def list(
        self,
        kind: Kind,
        namespace: str,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        *,
        live: bool = False,
    ) -> tuple[Obj, ...]:
        """See the port."""
        return await self._inner.list(kind, namespace, labels, fields, live=live)

    async def create(self, obj: Obj) -> Obj:
        """See the port."""
        self._check()
        return await self._inner.create(obj)

    async def apply(self, obj: Obj, manager: str, *, resource_version: str | None = None) -> Obj:
        """See the port."""
        self._check()
        return await self._inner.apply(obj, manager, resource_version=resource_version)

    async def patch(self, ref: Ref, body: Obj, *, status: bool = False, resource_version: str | None = None) -> Obj:
        """See the port."""
        self._check()
        return await self._inner.patch(ref, body, status=status, resource_version=resource_version)

    async def delete(
        self,
        ref: Ref,
        *,
        uid: str | None = None,
        propagation: Literal["Background", "Foreground"] = "Background",
    ) -> None:
        """See the port."""
        self._check()
        await self._inner.delete(ref, uid=uid, propagation=propagation)

    def _check(self) -> None:
        _check(self._holds)


def fenced(record: Recorder, holds: Callable[[], bool]) -> Recorder:
    """Return a recorder that raises Fenced unless `holds()`: another's decision may stand under the same number."""

    async def checked(rows: Sequence[Record]) -> bool:
        _check(holds)
        return await record(rows)

    return checked


def _check(holds: Callable[[], bool]) -> None:
    """Raise Fenced where this process may not write."""
    if not holds():
        raise Fenced("this process does not hold the lease")
