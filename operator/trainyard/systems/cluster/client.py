"""The `Cluster` port on kubernetes.aio: reads from the mirror where it can, writes to the API server.

Retries nothing: a cycle that failed is run again by the queue.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from trainyard.systems.cluster.port import KINDS, SCALARS, SECRET_METADATA, Conflict, Kind, NotFound, Obj, Ref
from trainyard.systems.cluster.reflector import Mirror
from trainyard.systems.cluster.store import says
from trainyard.systems.cluster.transport import APPLY, JSON, MERGE, METADATA, Transport, path, trimmed

MANAGER = ("fieldManager", "trainyard")  # of creates and patches; applies name their own


class KubernetesCluster:
    """See the port. Without a mirror every read is live."""

    def __init__(self, transport: Transport, mirror: Mirror | None = None) -> None:
        self._transport = transport
        self._mirror = mirror

    async def get(self, ref: Ref, *, live: bool = False) -> Obj | None:
        """See the port."""
        store = None if live or not self._mirror else self._mirror.store(ref.kind, ref.namespace)
        if store is not None:
            return store.get(ref.namespace, ref.name)
        try:
            accept = METADATA if ref.kind == SECRET_METADATA else JSON
            return trimmed(ref.kind, await self._transport.request("GET", path(*ref), accept=accept))
        except NotFound:
            return None

    async def list(
        self,
        kind: Kind,
        namespace: str,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        *,
        live: bool = False,
    ) -> tuple[Obj, ...]:
        """See the port; a kind that the API server does not know has no objects."""
        store = None if live or not self._mirror else self._mirror.store(kind, namespace)
        if store is not None:
            return tuple(store.list(namespace, labels or {}, fields))
        selector = ",".join(f"{key}={value}" for key, value in (labels or {}).items())
        found: list[Obj] = []
        try:
            async for page in self._transport.pages(kind, namespace, selector):
                found += [trimmed(kind, item) for item in page.get("items") or ()]
        except NotFound:
            return ()
        meant = (obj for obj in found if says(obj, {}, fields or {}))
        return tuple(sorted(meant, key=lambda o: (o["metadata"]["namespace"], o["metadata"]["name"])))

    async def create(self, obj: Obj) -> Obj:
        """See the port."""
        kind, namespace, _ = _ref(obj)
        answer = await self._transport.request("POST", path(kind, namespace), query=[MANAGER], body=plain(obj))
        return trimmed(kind, answer)

    async def apply(self, obj: Obj, manager: str, *, resource_version: str | None = None) -> Obj:
        """See the port."""
        ref = _ref(obj)
        query = [("fieldManager", manager), ("force", "true")]
        body = _at_version(plain(obj), resource_version)
        if resource_version is not None:
            body["metadata"]["uid"] = await self._uid(ref, resource_version)
        answer = await self._transport.request("PATCH", path(*ref), query=query, body=body, content_type=APPLY)
        return trimmed(ref.kind, answer)

    async def _uid(self, ref: Ref, version: str) -> str:
        """Return an object's uid: an apply at a version would create anew what is gone, one at a uid not."""
        store = self._mirror.store(ref.kind, ref.namespace) if self._mirror else None
        kept = store.get(ref.namespace, ref.name) if store else None
        if kept is not None and kept["metadata"]["resourceVersion"] == version:
            return str(kept["metadata"]["uid"])
        live = await self.get(ref, live=True)
        if live is None:
            raise Conflict(f"{ref.kind.plural} {ref.name!r} is gone")
        return str(live["metadata"]["uid"])

    async def patch(self, ref: Ref, body: Obj, *, status: bool = False, resource_version: str | None = None) -> Obj:
        """See the port."""
        url = path(*ref, "status" if status else "")
        sent = _at_version(plain(body), resource_version)
        answer = await self._transport.request("PATCH", url, query=[MANAGER], body=sent, content_type=MERGE)
        return trimmed(ref.kind, answer)

    async def delete(
        self,
        ref: Ref,
        *,
        uid: str | None = None,
        propagation: Literal["Background", "Foreground"] = "Background",
    ) -> None:
        """See the port."""
        options: dict[str, Any] = {"propagationPolicy": propagation}
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            await self._transport.request("DELETE", path(*ref), body=options)
        except NotFound:
            return


def _ref(obj: Obj) -> Ref:
    """Return an object's address. Raises KeyError for a kind that the port does not list."""
    return Ref(KINDS[(obj["apiVersion"], obj["kind"])], obj["metadata"]["namespace"], obj["metadata"]["name"])


def _at_version(body: dict[str, Any], resource_version: str | None) -> dict[str, Any]:
    if resource_version is None:
        return body
    return {**body, "metadata": {**body.get("metadata", {}), "resourceVersion": resource_version}}


def plain(value: Any) -> Any:
    """Return a value as JSON knows it: dicts and lists for any mapping and sequence."""
    if type(value) in SCALARS:
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    return value
