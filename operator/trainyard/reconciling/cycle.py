"""One visit to one object: observe, decide, carry out, in the write order that the architecture fixes.

Actions first, in order and one write each; then the rows for the database; then the resulting status, only if it
differs; then the events, which nothing but the object's next cycle waits for. Rows go before an intent that moves no
traffic. Every write to the object itself carries the newest resourceVersion that this cycle knows. The first write that
fails ends the cycle by its exception (`errors` says what follows); the next cycle starts from what is there. Where the
API server refused it, a condition says so first (`refusals`). Called by `worker`, and by the golden histories.
"""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from trainyard import naming
from trainyard.reconciling import refusals, tracking
from trainyard.reconciling import status as statuses
from trainyard.reconciling.plan import Action, Note, PatchMetadata, Plan, Record, WriteStatus
from trainyard.reconciling.room import Room
from trainyard.resources.foreign import part
from trainyard.systems.cluster.port import (
    AlreadyExists,
    Cluster,
    ClusterError,
    Fenced,
    Forbidden,
    Invalid,
    Kind,
    Obj,
    Ref,
)

log = logging.getLogger(__name__)

Systems = TypeVar("Systems")
# Takes rows for the database; False where it does not have them. Raises Fenced, and nothing else.
Recorder = Callable[[Sequence[Record]], Awaitable[bool]]

RECORD_AGAIN_SECONDS = 60.0  # rows that wait are tried again after this


@dataclass(frozen=True)
class Outcome:
    """How a cycle ended.

    gone: the object does not exist (any more). revisit_after: seconds until the next visit, None for the regular
    one. waiting: rows kept in its status. dropped: rows that are lost. tell: posts the events, if there are any, before
    the next cycle of the object; raises Fenced.
    """

    gone: bool = False
    revisit_after: float | None = None
    waiting: int = 0
    dropped: int = 0
    tell: Callable[[], Awaitable[None]] | None = field(default=None, compare=False)


@dataclass
class Cycle(Generic[Systems]):
    """The cycle of one kind. `record` is None where no database is configured: then rows are not kept."""

    room: Room[Any, Systems]
    systems: Systems
    cluster: Cluster
    record: Recorder | None = None

    async def run(self, key: Ref, now: datetime) -> Outcome:
        """Visit the object once, events and all. Raises ClusterError, and whatever the room raises."""
        outcome = await self.carry_out(key, now)
        if outcome.tell:
            await outcome.tell()
        return outcome

    async def carry_out(self, key: Ref, now: datetime) -> Outcome:
        """Visit the object once, and leave its events to be told. Raises as `run` does."""
        obj = await self.cluster.get(key)
        if obj is None:
            return Outcome(gone=True)
        plan = self.room.decide(await self.room.observe(obj, self.systems), now)
        final = [action for action in plan.actions if action.irrevocable]
        if final and tracking.relies_on_stores():
            tracking.read_live(_hangs_on(final), by_name=all(action.by_name for action in final))
            return await self._carry_out_live(key, obj, now)
        return await _Execution(self, key, plan, now, obj).run()

    async def _carry_out_live(self, key: Ref, before: Obj, now: datetime) -> Outcome:
        """Decide anew on what is read live. Its world is asked for beside the object, and again if that has changed."""
        obj, observed = await asyncio.gather(self.cluster.get(key, live=True), self.room.observe(before, self.systems))
        if obj is None:
            return Outcome(gone=True)
        if obj["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]:
            observed = await self.room.observe(obj, self.systems)
        return await _Execution(self, key, self.room.decide(observed, now), now, obj).run()


def _hangs_on(actions: Sequence[Action]) -> frozenset[Kind] | None:
    """Return all kinds that one of these hangs on, None for every kind."""
    named = [action.hangs_on for action in actions if action.hangs_on is not None]
    return frozenset().union(*named) if len(named) == len(actions) else None


@dataclass
class _Execution(Generic[Systems]):
    """One plan being carried out; `obj` is the newest known state of the object."""

    cycle: Cycle[Systems]
    key: Ref
    plan: Plan
    now: datetime
    obj: Obj
    rows: list[dict[str, Any]] = field(default_factory=list)
    tried: bool = False
    dropped: int = 0
    refused: list[tuple[Action, ClusterError]] = field(default_factory=list)

    async def run(self) -> Outcome:
        try:
            return await self._run()
        except (Invalid, Forbidden) as error:
            await self._tell_refusal(error)
            for action in self.plan.actions:
                if action.inward:  # what was measured counts: an abort must not wait for an object that is refused
                    await self._carry_out(action)
            raise

    async def _run(self) -> Outcome:
        uid = str(self.obj["metadata"]["uid"])
        involved = self.obj
        for at_once, actions in itertools.groupby(self.plan.actions, lambda action: action.at_once):
            if at_once:
                await self._act_all(tuple(actions))
                continue
            for action in actions:
                await self._act(action)
        await self._try_rows()
        gone = _is_gone(self.obj)
        if not gone:
            await self._write_last_status()
        return Outcome(
            gone=gone,
            revisit_after=self._revisit_after(),
            waiting=0 if gone else len(self.rows),
            dropped=self.dropped + (len(self.rows) if gone else 0),
            tell=(lambda: self._tell(involved, uid)) if self.plan.notes else None,
        )

    async def _act_all(self, actions: Sequence[Action]) -> None:
        """Carry out actions at the same time; all of them have ended when the first failure is raised."""
        for ended in await asyncio.gather(*map(self._act, actions), return_exceptions=True):
            if ended is not None:
                raise ended

    async def _act(self, action: Action) -> None:
        try:
            await self._carry_out(action)
        except (Invalid, Forbidden) as error:
            self.refused.append((action, error))
            raise

    async def _tell_refusal(self, error: ClusterError) -> None:
        """Say in a condition which write was refused, once for the same refusal. The next try is `worker`'s matter."""
        action = next((action for action, why in self.refused if why is error), None)
        if action is None or isinstance(action, WriteStatus):
            return  # where it is the status that is refused, nothing can be said there
        generation = int(self.obj["metadata"].get("generation", 0))
        try:
            await self._write_status(refusals.told(self._status(), action.about, str(error), generation, self.now))
        except ClusterError as trouble:  # told by the next try
            log.debug("that a write of %s was refused was not told: %s", self.key.name, trouble)

    async def _carry_out(self, action: Action) -> None:
        match action:
            case WriteStatus():
                if self.plan.records and not action.irrevocable:
                    await self._try_rows()  # once the intent stands nobody makes them again; traffic does not wait
                await self._write_status(self._intended(action.status))
            case PatchMetadata():
                if _releases(action, self.obj):
                    await self._try_rows()  # there is no status left to keep them in afterwards
                await self._patch_metadata(action)
            case _:
                self.obj = await self.cycle.room.act(action, self.obj, self.cycle.systems)

    async def _try_rows(self) -> None:
        """Offer the rows to the database, once a cycle; what it does not take waits, newest first to stay."""
        if self.tried or self.cycle.record is None:
            return
        self.tried = True
        rows = statuses.merged_rows(statuses.waiting_rows(self._status()), self.plan.records)
        if rows and not await self.cycle.record([statuses.as_record(row) for row in rows]):
            self.rows = rows[-statuses.UNRECORDED_LIMIT :]
            self.dropped = len(rows) - len(self.rows)

    def _intended(self, status: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return an intent's status with the rows that wait and the refusal that stands.

        This plan's rows are among them if they were offered.
        """
        generation = int(self.obj["metadata"].get("generation", 0))
        status = refusals.keeping(status, self._status(), generation)
        if self.tried:
            return statuses.with_rows(status, self._status(), self.rows, generation, self.now)
        return statuses.keeping_rows(status, self._status(), generation)

    async def _write_last_status(self) -> None:
        live = self._status()
        status = live if self.plan.status is None else self.plan.status
        if self.cycle.record is None:
            wanted: Mapping[str, Any] = status
        elif self.rows or self.plan.records or statuses.tells_of_rows(live):
            generation = int(self.obj["metadata"].get("generation", 0))
            wanted = statuses.with_rows(status, live, self.rows, generation, self.now)
        else:
            wanted = status
        await self._write_status(wanted)

    async def _write_status(self, wanted: Mapping[str, Any]) -> None:
        patch = statuses.difference(self._status(), wanted)
        if patch:
            self.obj = await self.cycle.cluster.patch(
                self.key, {"status": patch}, status=True, resource_version=self._version()
            )

    async def _patch_metadata(self, action: PatchMetadata) -> None:
        meta = self.obj["metadata"]
        body: dict[str, Any] = {}
        if action.finalizers is not None and list(action.finalizers) != list(meta.get("finalizers") or ()):
            body["finalizers"] = list(action.finalizers)
        annotations = {k: v for k, v in action.annotations.items() if (meta.get("annotations") or {}).get(k) != v}
        if annotations:
            body["annotations"] = annotations
        if body:
            self.obj = await self.cycle.cluster.patch(self.key, {"metadata": body}, resource_version=self._version())

    async def _tell(self, involved: Obj, uid: str) -> None:
        for note in self.plan.notes:
            await self._post(note, involved, uid)

    async def _post(self, note: Note, involved: Obj, uid: str) -> None:
        """Post an Event once; that it could not be posted is no reason to come again."""
        try:
            await self.cycle.cluster.create(event(note, self.key, involved, uid, self.now))
        except AlreadyExists:
            return
        except Fenced:
            raise
        except ClusterError as error:
            log.warning("event %s of %s was not posted: %s", note.reason, self.key.name, error)

    def _status(self) -> Mapping[str, Any]:
        return part(self.obj, "status")

    def _version(self) -> str:
        return str(self.obj["metadata"]["resourceVersion"])

    def _revisit_after(self) -> float | None:
        wanted = [RECORD_AGAIN_SECONDS] if self.rows else []
        if self.plan.revisit_after is not None:
            wanted.append(self.plan.revisit_after)
        return min(wanted, default=None)


def event(note: Note, key: Ref, obj: Obj, uid: str, now: datetime) -> dict[str, Any]:
    """Render a note as a Kubernetes Event about the object, named by what it says."""
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": naming.event_name(uid, note.reason, note.message, note.transition),
            "namespace": key.namespace,
            "labels": dict(naming.MANAGED_BY),
        },
        "involvedObject": {
            "apiVersion": key.kind.api_version,
            "kind": key.kind.kind,
            "namespace": key.namespace,
            "name": key.name,
            "uid": uid,
            "resourceVersion": str(obj["metadata"]["resourceVersion"]),
        },
        "type": note.type,
        "reason": note.reason,
        "message": note.message[:1024],  # the API server's limit
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
        "source": {"component": "trainyard"},
        "reportingComponent": naming.GROUP,
        "reportingInstance": "",
    }


def _releases(action: PatchMetadata, obj: Obj) -> bool:
    """Whether a metadata patch lets a deleted object go."""
    return action.finalizers == () and "deletionTimestamp" in obj["metadata"]


def _is_gone(obj: Obj) -> bool:
    meta = obj["metadata"]
    return "deletionTimestamp" in meta and not meta.get("finalizers")
