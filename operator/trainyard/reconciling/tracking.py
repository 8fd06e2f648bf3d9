"""What a visit wrote, and whether it must read live: kept beside the visit, so that engines count too.

`TrackedCluster` is the one cluster that `wiring` hands to rooms and engines. It notes every write in the visit
that makes it, and turns reads into live ones where the visit asks for it. Called by `worker`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from trainyard.systems.cluster.port import KINDS, Cluster, Kind, Obj, Ref

Verb = Literal["create", "apply", "patch", "status", "delete"]


class Written(NamedTuple):
    """One answered write: the store has seen it once it knows this resourceVersion ("": once it is deleted)."""

    verb: Verb
    ref: Ref
    resource_version: str


@dataclass
class Visit:
    """One visit: whether it reads live, and what it wrote so far."""

    live: bool = False
    writes: list[Written] = field(default_factory=list)


_current: ContextVar[Visit | None] = ContextVar("trainyard_visit", default=None)


@contextmanager
def visiting(visit: Visit) -> Iterator[Visit]:
    """Make this the visit that reads and writes belong to."""
    token = _current.set(visit)
    try:
        yield visit
    finally:
        _current.reset(token)


class TrackedCluster:
    """The `Cluster` port, noting writes in the current visit."""

    def __init__(self, inner: Cluster) -> None:
        self._inner = inner

    async def get(self, ref: Ref, *, live: bool = False) -> Obj | None:
        """See the port."""
        return await self._inner.get(ref, live=live or _reads_live())

    async def list(
        self, kind: Kind, namespace: str, labels: Mapping[str, str] | None = None, *, live: bool = False
    ) -> tuple[Obj, ...]:
        """See the port."""
        return await self._inner.list(kind, namespace, labels, live=live or _reads_live())

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


def _reads_live() -> bool:
    visit = _current.get()
    return visit is not None and visit.live


def _note(verb: Verb, obj: Obj) -> Obj:
    meta = obj["metadata"]
    kind = KINDS[(obj["apiVersion"], obj["kind"])]
    _add(Written(verb, Ref(kind, meta["namespace"], meta["name"]), meta["resourceVersion"]))
    return obj


def _add(written: Written) -> None:
    visit = _current.get()
    if visit is not None:
        visit.writes.append(written)
