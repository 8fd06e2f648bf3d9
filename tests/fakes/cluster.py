"""An in-memory Kubernetes API: the `Cluster` port with the real server's answers, and levers for tests.

It passes the contract suite of the real client (`tests/contracts/test_cluster.py`). The verbs of the port are
the operator's side: each effective or idle write is noted in `writes` and shown to the `on_write` hooks; they
may raise to play a crash right after it. `seed`, `edit`, `remove` and `collect_garbage` are everybody else's
side (users, controllers, kubelets): no hook, no fault.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from tests.fakes import merging
from tests.fakes.merging import copied
from trainyard.systems.cluster import port
from trainyard.systems.cluster.port import (
    AlreadyExists,
    Conflict,
    Invalid,
    Kind,
    NotFound,
    Obj,
    Ref,
    Unavailable,
)
from trainyard.systems.cluster.store import says

Verb = Literal["get", "list", "create", "apply", "patch", "status", "delete"]
Stored = dict[str, Any]

WITHOUT_STATUS = {port.CONTROLLER_REVISION, port.SECRET, port.EVENT, port.LEASE}
# Kinds whose other fields have no generation on the real server.
WITHOUT_GENERATION = {*WITHOUT_STATUS, port.SERVICE, port.VOLUME_CLAIM}
IMMUTABLE: Mapping[Kind, tuple[merging.Path, ...]] = {
    port.CONTROLLER_REVISION: (("data",),),
    port.DEPLOYMENT: (("spec", "selector"),),
    port.JOB: (("spec", "template"), ("spec", "selector"), ("spec", "completionMode")),
}
SERVER_METADATA = (
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "managedFields",
)
CLUSTER_WIDE = {port.GATEWAY_CLASS}
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
FOREGROUND = "foregroundDeletion"


@dataclass(frozen=True)
class Write:
    """One write that reached the API server. `changed` is False where it left everything as it was."""

    verb: Verb
    ref: Ref
    body: Obj
    changed: bool


@dataclass
class Fault:
    """The answer that the next matching requests get; with `done` the server acts and the answer is lost."""

    verb: Verb
    kind: Kind
    error: Exception
    times: int
    done: bool


@dataclass
class FakeCluster:
    """The port's six verbs over a dict. `now` stamps creation and deletion."""

    now: Callable[[], datetime] = lambda: EPOCH
    writes: list[Write] = field(default_factory=list)
    reads: int = 0
    _objects: dict[Ref, Stored] = field(default_factory=dict)
    _owned: dict[Ref, dict[str, frozenset[merging.Path]]] = field(default_factory=dict)
    _version: int = 0
    _born: int = 0
    _hooks: list[Callable[[Write], None]] = field(default_factory=list)
    _faults: list[Fault] = field(default_factory=list)
    _webhooks: list[tuple[Kind, Callable[[Stored], None]]] = field(default_factory=list)

    # ---- the port ----

    async def get(self, ref: Ref, *, live: bool = False) -> Obj | None:
        """See the port; every read is live here."""
        whole = ref._replace(kind=port.SECRET) if ref.kind == port.SECRET_METADATA else ref
        with self._faulty("get", whole.kind):
            self.reads += 1
            found = self.look(whole)
            if found is None or whole == ref:
                return found
            return {"apiVersion": ref.kind.api_version, "kind": ref.kind.kind, "metadata": found["metadata"]}

    async def list(
        self,
        kind: Kind,
        namespace: str,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        *,
        live: bool = False,
    ) -> tuple[Obj, ...]:
        """See the port; namespace "" lists all."""
        with self._faulty("list", kind):
            self.reads += 1
            return tuple(obj for obj in self.all(kind, namespace, labels) if says(obj, {}, fields or {}))

    async def create(self, obj: Obj) -> Obj:
        """See the port."""
        return self._write("create", ref_of(obj), obj, lambda: self._create(obj))

    async def apply(self, obj: Obj, manager: str, *, resource_version: str | None = None) -> Obj:
        """See the port."""
        return self._write("apply", ref_of(obj), obj, lambda: self._apply(obj, manager, resource_version))

    async def patch(self, ref: Ref, body: Obj, *, status: bool = False, resource_version: str | None = None) -> Obj:
        """See the port."""
        verb: Verb = "status" if status else "patch"
        return self._write(verb, ref, body, lambda: self._patch(ref, body, status, resource_version))

    async def delete(
        self,
        ref: Ref,
        *,
        uid: str | None = None,
        propagation: Literal["Background", "Foreground"] = "Background",
    ) -> None:
        """See the port; dependents go with `collect_garbage`."""
        self._write("delete", ref, {}, lambda: self._delete(ref, uid, propagation))

    # ---- levers ----

    def on_write(self, callback: Callable[[Write], None]) -> None:
        """Call back after every write of the port; what the callback raises, the writer gets."""
        self._hooks.append(callback)

    def fail(self, verb: Verb, kind: Kind, error: Exception, *, times: int = 1, done: bool = False) -> None:
        """Answer the next `times` requests of this verb and kind with an error (done: after acting on it)."""
        self._faults.append(Fault(verb, kind, error, times, done))

    def relent(self) -> None:
        """Let nothing fail any more."""
        self._faults.clear()

    def mutate_applies(self, kind: Kind, change: Callable[[Stored], None]) -> None:
        """Let a mutating webhook change what is applied of this kind before it is stored."""
        self._webhooks.append((kind, change))

    def seed(self, obj: Obj, *, status: Obj | None = None) -> Obj:
        """Create an object as somebody else, with a status if given."""
        created = self._create(obj)
        return self.edit(ref_of(obj), {"status": status}, status=True) if status is not None else created

    def edit(self, ref: Ref, body: Obj, *, status: bool = False) -> Obj:
        """Merge-patch an object, or its status, as somebody else."""
        return copied(self._patch(ref, body, status, None))

    def remove(self, ref: Ref) -> None:
        """Delete an object as somebody else (finalizers hold it, as ever)."""
        self._delete(ref, None, "Background")

    def look(self, ref: Ref) -> Obj | None:
        """Return an object without it counting as a read."""
        return copied(self._objects.get(ref))

    def all(self, kind: Kind, namespace: str = "", labels: Mapping[str, str] | None = None) -> tuple[Obj, ...]:
        """Return the objects of a kind, sorted by name, without it counting as a read."""
        wanted = (labels or {}).items()
        found = [
            obj
            for ref, obj in self._objects.items()
            if ref.kind == kind
            and namespace in ("", ref.namespace)
            and wanted <= obj["metadata"].get("labels", {}).items()
        ]
        return tuple(copied(obj) for obj in sorted(found, key=_name_of))

    def collect_garbage(self) -> None:
        """Do what the garbage collector does in time: delete what has owners and none that exists."""
        while any(self._collect(ref) for ref in list(self._objects)):
            continue

    # ---- the server ----

    def _write(self, verb: Verb, ref: Ref, body: Obj, act: Callable[[], Stored | None]) -> Obj:
        before = self._version
        with self._faulty(verb, ref.kind):
            result = copied(act() or {})
            self._note(Write(verb, ref, copied(body), self._version != before))
        return result

    def _note(self, write: Write) -> None:
        self.writes.append(write)
        for hook in self._hooks:
            hook(write)

    @contextmanager
    def _faulty(self, verb: Verb, kind: Kind) -> Iterator[None]:
        fault = next((f for f in self._faults if (f.verb, f.kind) == (verb, kind)), None)
        if fault is None:
            yield
            return
        fault.times -= 1
        if fault.times <= 0:
            self._faults.remove(fault)
        if fault.done:
            yield
        raise fault.error

    def _create(self, obj: Obj) -> Stored:
        ref = ref_of(obj)
        if ref in self._objects:
            raise AlreadyExists(f"{ref.kind.plural} {ref.name!r} already exists")
        if obj["metadata"].get("resourceVersion"):
            raise Unavailable("resourceVersion should not be set on objects to be created")  # a 500, really
        return self._store_new(ref, obj)

    def _store_new(self, ref: Ref, obj: Obj) -> Stored:
        new = copied(dict(obj))
        if ref.kind not in WITHOUT_STATUS:
            new.pop("status", None)
        meta = {k: v for k, v in new["metadata"].items() if k not in SERVER_METADATA and v not in ({}, [])}
        self._born += 1
        meta |= {"uid": str(uuid.UUID(int=self._born)), "creationTimestamp": _stamp(self.now())}
        if ref.kind not in WITHOUT_GENERATION:
            meta["generation"] = 1
        return self._save(ref, {**new, "metadata": meta})

    def _apply(self, obj: Obj, manager: str, resource_version: str | None) -> Stored:
        ref = ref_of(obj)
        if obj["metadata"].get("managedFields"):
            raise Invalid("metadata.managedFields must be nil")
        body = _appliable(ref, obj)
        live = self._objects.get(ref)
        if live is None:
            if resource_version:
                raise Conflict(f"{ref.kind.plural} {ref.name!r} is not there at {resource_version}")
            result = self._store_new(ref, self._admitted(ref, body))
        else:
            _check_identity(live, obj["metadata"].get("uid"), resource_version)
            owned = self._owned.get(ref, {})
            others = {path for who, paths in owned.items() if who != manager for path in paths}
            given_up = owned.get(manager, frozenset()) - merging.leaves(body) - others
            result = self._update(ref, self._admitted(ref, merging.applied(live, body, sorted(given_up))))
        if ref in self._objects:
            self._owned.setdefault(ref, {})[manager] = merging.leaves(body)
        return result

    def _admitted(self, ref: Ref, obj: Stored) -> Stored:
        """Return the object as the webhooks want it."""
        admitted = copied(obj)
        for kind, change in self._webhooks:
            if kind == ref.kind:
                change(admitted)
        return admitted

    def _patch(self, ref: Ref, body: Obj, status: bool, resource_version: str | None) -> Stored:
        live = self._objects.get(ref)
        if live is None:
            raise NotFound(f"{ref.kind.plural} {ref.name!r} not found")
        sent = body.get("metadata") or {}
        _check_identity(live, sent.get("uid"), resource_version or sent.get("resourceVersion"))
        merged = merging.merge_patch(live, body)
        if status:
            return self._update(ref, _with_status(live, merged.get("status")))
        if ref.kind not in WITHOUT_STATUS:
            merged = _with_status(merged, live.get("status"))
        return self._update(ref, merged)

    def _update(self, ref: Ref, new: Stored) -> Stored:
        """Store a changed object; the server's own metadata stays the server's."""
        live = self._objects[ref]
        kept = {k: live["metadata"][k] for k in SERVER_METADATA if k in live["metadata"]}
        mine = {k: v for k, v in new["metadata"].items() if k not in SERVER_METADATA and v not in ({}, [])}
        new = {**new, "metadata": {**mine, **kept, "name": ref.name, "namespace": ref.namespace}}
        if new == live:
            return live
        _check_update(ref, live, new)
        if _content(new) != _content(live) and "generation" in live["metadata"]:
            new["metadata"]["generation"] += 1
        return self._save(ref, new)

    def _delete(self, ref: Ref, uid: str | None, propagation: str) -> None:
        live = self._objects.get(ref)
        if live is None:
            return
        _check_identity(live, uid, None)
        new = copied(live)
        meta = new["metadata"]
        if propagation == "Foreground" and FOREGROUND not in meta.get("finalizers", ()):
            meta["finalizers"] = [*meta.get("finalizers", ()), FOREGROUND]
        if "deletionTimestamp" not in meta:
            meta["deletionTimestamp"] = _stamp(self.now())
            meta["deletionGracePeriodSeconds"] = 0
            if "generation" in meta:
                meta["generation"] += 1
        if new != live:
            self._save(ref, new)

    def _save(self, ref: Ref, new: Stored) -> Stored:
        """Store under a new resourceVersion; what is being deleted goes with its last finalizer."""
        self._version += 1
        new["metadata"]["resourceVersion"] = str(self._version)
        if "deletionTimestamp" in new["metadata"] and not new["metadata"].get("finalizers"):
            self._objects.pop(ref, None)
            self._owned.pop(ref, None)
        else:
            self._objects[ref] = new
        return new

    def _collect(self, ref: Ref) -> bool:
        """Collect one object; True if that changed anything."""
        before = self._version
        obj = self._objects.get(ref)
        if obj is None:
            return False
        alive = {o["metadata"]["uid"] for r, o in self._objects.items() if r.namespace == ref.namespace}
        owners = {o["uid"] for o in obj["metadata"].get("ownerReferences", ())}
        in_foreground = FOREGROUND in obj["metadata"].get("finalizers", ())
        if (owners and not owners & alive) or owners & self._deleting_in_foreground():
            self._delete(ref, None, "Background")
        elif in_foreground and not self._dependents(obj["metadata"]["uid"]):
            left = [f for f in obj["metadata"]["finalizers"] if f != FOREGROUND]
            self.edit(ref, {"metadata": {"finalizers": left}})
        return self._version != before

    def _deleting_in_foreground(self) -> set[str]:
        return {
            o["metadata"]["uid"] for o in self._objects.values() if FOREGROUND in o["metadata"].get("finalizers", ())
        }

    def _dependents(self, uid: str) -> tuple[Stored, ...]:
        """The objects that hold up a foreground deletion."""
        return tuple(
            obj
            for obj in self._objects.values()
            for owner in obj["metadata"].get("ownerReferences", ())
            if owner["uid"] == uid and owner.get("blockOwnerDeletion")
        )


def ref_of(obj: Obj) -> Ref:
    """Return an object's address; Invalid where its kind is unknown or it has no name."""
    meta = obj.get("metadata", {})
    kind = port.KINDS.get((obj.get("apiVersion", ""), obj.get("kind", "")))
    if kind is None or not meta.get("name") or not (meta.get("namespace") or kind in CLUSTER_WIDE):
        raise Invalid(f"no kind, name or namespace: {obj.get('apiVersion')} {obj.get('kind')} {meta}")
    return Ref(kind, meta["namespace"], meta["name"])


def _name_of(obj: Obj) -> tuple[str, str]:
    return str(obj["metadata"]["name"]), str(obj["metadata"]["namespace"])


def _appliable(ref: Ref, obj: Obj) -> Stored:
    """What server-side apply takes from a body: no status on the main resource, no server metadata."""
    dropped = () if ref.kind in WITHOUT_STATUS else ("status",)
    body = {k: v for k, v in obj.items() if k not in dropped}
    return {**body, "metadata": {k: v for k, v in obj["metadata"].items() if k not in SERVER_METADATA}}


def _with_status(obj: Stored, status: Any) -> Stored:
    rest = {k: v for k, v in obj.items() if k != "status"}
    return rest if status is None else {**rest, "status": status}


def _content(obj: Stored) -> Stored:
    return {k: v for k, v in obj.items() if k not in ("metadata", "status")}


def _check_identity(live: Stored, uid: str | None, resource_version: str | None) -> None:
    meta = live["metadata"]
    if uid and uid != meta["uid"]:
        raise Conflict(f"{meta['name']}: uid is {meta['uid']}, not {uid}")
    if resource_version and resource_version != meta["resourceVersion"]:
        raise Conflict(f"{meta['name']}: the object has been modified since {resource_version}")


def _check_update(ref: Ref, live: Stored, new: Stored) -> None:
    for path in IMMUTABLE.get(ref.kind, ()):
        if _at(live, path) != _at(new, path):
            raise Invalid(f"{'.'.join(path)}: field is immutable")
    added = set(new["metadata"].get("finalizers", ())) - set(live["metadata"].get("finalizers", ()))
    if "deletionTimestamp" in live["metadata"] and added:
        raise Invalid("metadata.finalizers: no new finalizers can be added if the object is being deleted")


def _at(obj: Any, path: merging.Path) -> Any:
    for key in path:
        obj = obj.get(key) if isinstance(obj, Mapping) else None
    return obj


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
