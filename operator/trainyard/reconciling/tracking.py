"""What a visit wrote and read live, and whether it must read live: kept beside the visit, so that engines count too.

`TrackedCluster` is the one cluster that `wiring` hands to rooms and engines. It notes every write and every live read
in the visit that makes it, and turns reads into live ones where the visit asks for it. Called by `worker`.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from trainyard.systems.cluster.port import KINDS, Cluster, Kind, Obj, Ref, number

Verb = Literal["create", "apply", "patch", "status", "delete"]


class Written(NamedTuple):
    """One answered write: the store has seen it once it knows this resourceVersion ("": once it is deleted)."""

    verb: Verb
    ref: Ref
    resource_version: str


@dataclass
class Visit:
    """One visit: whether it reads live, all or these kinds, and what it wrote so far.

    by_name: a list of these kinds is what the store knows, each read live.
    read: the newest resourceVersion at which each object was read live, "" where it was not there: the next visit may
    not see an older world.
    """

    live: bool = False
    live_kinds: frozenset[Kind] = frozenset()
    by_name: bool = False
    writes: list[Written] = field(default_factory=list)
    read: dict[Ref, str] = field(default_factory=dict)


_current: ContextVar[Visit | None] = ContextVar("trainyard_visit", default=None)


@contextmanager
def visiting(visit: Visit) -> Iterator[Visit]:
    """Make this the visit that reads and writes belong to."""
    token = _current.set(visit)
    try:
        yield visit
    finally:
        _current.reset(token)


def relies_on_stores() -> bool:
    """Whether what this visit has read may be older than what is there."""
    visit = _current.get()
    return visit is not None and not visit.live and not visit.live_kinds


def read_live(kinds: frozenset[Kind] | None, *, by_name: bool = False) -> None:
    """Let the rest of the current visit read these kinds live; None for all. by_name: see `Visit`."""
    visit = _current.get()
    if visit is None:
        return
    if kinds is None:
        visit.live = True
    else:
        visit.live_kinds, visit.by_name = kinds, by_name


class TrackedCluster:
    """The `Cluster` port, noting writes in the current visit."""

    def __init__(self, inner: Cluster) -> None:
        self._inner = inner

    async def get(self, ref: Ref, *, live: bool = False) -> Obj | None:
        """See the port."""
        live = live or _reads_live(ref.kind)
        found = await self._inner.get(ref, live=live)
        if live:
            _add_read(ref, found)
        return found

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
        if not live and _reads_live(kind) and _lists_by_name():
            return await self._each(kind, await self._inner.list(kind, namespace, labels, fields))
        live = live or _reads_live(kind)
        found = await self._inner.list(kind, namespace, labels, fields, live=live)
        for obj in found if live else ():
            _add_read(_ref(kind, obj), obj)
        return found

    async def _each(self, kind: Kind, known: Sequence[Obj]) -> tuple[Obj, ...]:
        """Return these objects as they are now, those that are still there."""
        found = await asyncio.gather(*(self.get(_ref(kind, obj)) for obj in known))
        return tuple(obj for obj in found if obj is not None)

    async def create(self, obj: Obj) -> Obj:
        """See the port."""
        return _note("create", await self._inner.create(obj))

    async def apply(self, obj: Obj, manager: str, *, resource_version: str | None = None) -> Obj:
        """See the port."""
        return _note("apply", await self._inner.apply(obj, manager, resource_version=resource_version))

    async def patch(self, ref: Ref, body: Obj, *, status: bool = False, resource_version: str | None = None) -> Obj:
        """See the port."""
        result = await self._inner.patch(ref, body, status=status, resource_version=resource_version)
        return _note("status" if status else "patch", result)

    async def delete(
        self,
        ref: Ref,
        *,
        uid: str | None = None,
        propagation: Literal["Background", "Foreground"] = "Background",
    ) -> None:
        """See the port."""
        await self._inner.delete(ref, uid=uid, propagation=propagation)
        _add(Written("delete", ref, ""))


def _reads_live(kind: Kind) -> bool:
    visit = _current.get()
    return visit is not None and (visit.live or kind in visit.live_kinds)


def _lists_by_name() -> bool:
    visit = _current.get()
    return visit is not None and visit.by_name


def _ref(kind: Kind, obj: Obj) -> Ref:
    return Ref(kind, obj["metadata"]["namespace"], obj["metadata"]["name"])


def _note(verb: Verb, obj: Obj) -> Obj:
    kind = KINDS[(obj["apiVersion"], obj["kind"])]
    _add(Written(verb, _ref(kind, obj), obj["metadata"]["resourceVersion"]))
    return obj


def _add(written: Written) -> None:
    visit = _current.get()
    if visit is not None:
        visit.writes.append(written)


def _add_read(ref: Ref, found: Obj | None) -> None:
    visit = _current.get()
    if visit is None:
        return
    version, known = str(found["metadata"]["resourceVersion"]) if found else "", visit.read.get(ref, "")
    if number(version) >= number(known):  # not every server that is asked need be up to date
        visit.read[ref] = version
