"""Copies of what the cluster holds, kept up to date by list and watch.

One `Reflector` per kind and namespace: paged lists, a server-side label selector, bookmarks, deletions found by
comparing on a relist. Each backs off alone. `Mirror` is all of them: the store that `client` reads from, the
changes that `running` turns into wake-ups, and the age of each watch's last sign of life for the probes.
"""

import asyncio
import json
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from trainyard.systems.cluster.port import ClusterError, Kind, NotFound, Obj, Ref, Unavailable
from trainyard.systems.cluster.transport import Expired, Transport, path, trimmed

log = logging.getLogger(__name__)

LONGEST_BACKOFF_SECONDS = 30.0
RESUMES = 2  # times that a dropped watch is taken up again before a list
WATCH_SECONDS = (240, 300)  # the server ends a watch after this; spread, so that they do not all end together

# Told of each change: what was there before, and what is there now (None: it is gone).
OnChange = Callable[[Kind, Obj | None, Obj | None], None]


class Store:
    """The objects of one kind by namespace and name, and the newest resourceVersion known."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[str, Obj]] = {}
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self.version = 0

    def get(self, namespace: str, name: str) -> Obj | None:
        """Return an object."""
        return self._objects.get(namespace, {}).get(name)

    def list(self, namespace: str, labels: Mapping[str, str]) -> Iterable[Obj]:
        """Return the objects with all these labels, sorted by name; namespace "" means all."""
        spaces = [namespace] if namespace else sorted(self._objects)
        for space in spaces:
            for _, obj in sorted(self._objects.get(space, {}).items()):
                if labels.items() <= (obj["metadata"].get("labels") or {}).items():
                    yield obj

    def names(self) -> set[tuple[str, str]]:
        """Return the namespace and name of every object."""
        return {(space, name) for space, objects in self._objects.items() for name in objects}

    def put(self, obj: Obj) -> Obj | None:
        """Keep an object; return what it replaced."""
        meta = obj["metadata"]
        space = self._objects.setdefault(meta["namespace"], {})
        before = space.get(meta["name"])
        space[meta["name"]] = obj
        return before

    def remove(self, namespace: str, name: str) -> Obj | None:
        """Forget an object; return it."""
        space = self._objects.get(namespace, {})
        before = space.pop(name, None)
        if not space:
            self._objects.pop(namespace, None)
        return before

    def reached(self, version: str) -> None:
        """Note the newest resourceVersion, and let go who waited for what is there now."""
        self.version = max(self.version, _number(version))
        for wanted, future in list(self._waiting):
            if wanted() and not future.done():
                future.set_result(None)

    def has_seen(self, ref: Ref, version: str) -> bool:
        """Whether a write is in the store: this resourceVersion, or the deletion where it is ""."""
        obj = self.get(ref.namespace, ref.name)
        if not version:
            return obj is None or "deletionTimestamp" in obj["metadata"]
        mine = obj["metadata"].get("resourceVersion", "") if obj else ""
        return mine == version or max(self.version, _number(mine)) >= _number(version) > 0

    async def until(self, wanted: Callable[[], bool]) -> None:
        """Return once something holds of the store."""
        if wanted():
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (wanted, future)
        self._waiting.append(entry)
        try:
            await future
        finally:
            self._waiting.remove(entry)


class Reflector:
    """Keeps a store up to date for one kind in one namespace ("" for all)."""

    def __init__(
        self,
        transport: Transport,
        kind: Kind,
        namespace: str,
        selector: str,
        on_change: OnChange,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.kind = kind
        self.namespace = namespace
        self.store = Store()
        self.synced = False
        self.failure = ""
        self._transport = transport
        self._selector = selector
        self._on_change = on_change
        self._sleep = sleep
        self._version = ""  # where the watch goes on from; "" to list anew
        self._sign = time.monotonic()
        self._failures = 0

    def age(self) -> float:
        """Return the seconds since the last sign of life: an answer, an event or a bookmark."""
        return time.monotonic() - self._sign

    async def run(self) -> None:
        """List and watch for ever."""
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._watch()
            except Expired:
                log.debug("%s: the watch is too old, listing anew", self.kind.plural)
                self._version = ""
            except ClusterError as error:
                self._note(error)
                await self._sleep(self._backoff())

    def _note(self, error: ClusterError) -> None:
        """Note a failure. A dropped connection can be taken up again; anything else starts from a list."""
        self._failures += 1
        if str(error) != self.failure:
            log.warning("%s: %s", self.kind.plural, error)
        self.failure = str(error)
        if not isinstance(error, Unavailable):
            self._sign = time.monotonic()  # refused, but answered
        if not isinstance(error, Unavailable) or self._failures > RESUMES:
            self._version = ""
        if isinstance(error, NotFound):
            self._replace({}, "")  # the kind itself is not there, and so none of its objects is

    def _backoff(self) -> float:
        spread = random.uniform(0.8, 1.2)  # noqa: S311 - spreads load
        return float(min(LONGEST_BACKOFF_SECONDS, 0.25 * 2.0 ** min(self._failures, 10))) * spread

    async def _list(self) -> None:
        """Fetch all, and compare: what is missing was deleted."""
        found: dict[tuple[str, str], Obj] = {}
        version = ""
        async for page in self._transport.pages(self.kind, self.namespace, self._selector):
            version = page["metadata"]["resourceVersion"]
            for item in page.get("items") or ():
                obj = trimmed(self.kind, item)
                found[(obj["metadata"]["namespace"], obj["metadata"]["name"])] = obj
        self._replace(found, version)
        self._version = version
        self.synced = True
        self._alive()

    def _replace(self, found: Mapping[tuple[str, str], Obj], version: str) -> None:
        for namespace, name in sorted(self.store.names() - found.keys()):
            self._tell(self.store.remove(namespace, name), None)
        for obj in found.values():
            before = self.store.put(obj)
            if before is None or before["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]:
                self._tell(before, obj)
        self.store.reached(version)

    async def _watch(self) -> None:
        """Follow the changes until the server ends the stream."""
        seconds = random.randint(*WATCH_SECONDS)  # noqa: S311 - spreads load
        query = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", self._version),
            ("timeoutSeconds", str(seconds)),
        ]
        query += [("labelSelector", self._selector)] if self._selector else []
        async for line in self._transport.lines(path(self.kind, self.namespace), query):
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise BrokenWatch(f"an event cannot be read: {error!r}") from error
        self._alive()

    def _take(self, event: Mapping[str, Any]) -> None:
        """Take one event of the watch."""
        obj = event["object"]
        if event["type"] == "ERROR":
            code, message = obj.get("code"), obj.get("message")
            raise (Expired if code == 410 else BrokenWatch)(f"{message} ({code})")
        version = str(obj["metadata"]["resourceVersion"])
        if event["type"] == "DELETED":
            before = self.store.remove(obj["metadata"]["namespace"], obj["metadata"]["name"])
            self._tell(before or trimmed(self.kind, obj), None)
        elif event["type"] != "BOOKMARK":
            new = trimmed(self.kind, obj)
            self._tell(self.store.put(new), new)
        self._version = version
        self.store.reached(version)
        self._alive()

    def _alive(self) -> None:
        self._sign = time.monotonic()
        self.failure, self._failures = "", 0

    def _tell(self, before: Obj | None, now: Obj | None) -> None:
        try:
            self._on_change(self.kind, before, now)
        except Exception:
            # One strange object must not stop the stream of all the others.
            log.exception("%s: a change could not be passed on", self.kind.plural)


class BrokenWatch(ClusterError):
    """The watch told an error other than 410, or nonsense: list anew, after a pause."""


class Mirror:
    """A reflector for every kind and namespace. `namespaces` is empty for the whole cluster."""

    def __init__(
        self,
        transport: Transport,
        kinds: Mapping[Kind, str],
        namespaces: Iterable[str],
        on_change: OnChange,
        places: Mapping[Kind, tuple[str, ...]] | None = None,
    ) -> None:
        """`kinds` maps each kind to the label selector of the objects to keep ("" for all).

        places: the namespaces of a kind that lives elsewhere than the others.
        """
        self._spaces = {kind: (places or {}).get(kind, tuple(namespaces)) for kind in kinds}
        self.reflectors = {
            (kind, space): Reflector(transport, kind, space, selector, on_change)
            for kind, selector in kinds.items()
            for space in self._spaces[kind] or ("",)
        }

    def store(self, kind: Kind, namespace: str) -> Store | None:
        """Return the store to read from, or None where this kind or namespace must be read live."""
        reflector = self.reflectors.get((kind, namespace if self._spaces.get(kind) else ""))
        return reflector.store if reflector and reflector.synced else None

    def stores(self, kind: Kind) -> tuple[Store, ...]:
        """Return the stores of a kind in all namespaces, as far as they are filled."""
        return tuple(r.store for (one, _), r in self.reflectors.items() if one == kind and r.synced)

    async def run(self) -> None:
        """Keep all of them up to date until cancelled."""
        async with asyncio.TaskGroup() as group:
            for reflector in self.reflectors.values():
                group.create_task(reflector.run(), name=f"reflector {reflector.kind.plural}")

    async def seen(self, writes: Iterable[tuple[Ref, str]], seconds: float) -> bool:
        """Whether the stores have these writes (`Store.has_seen`) within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                for ref, version in writes:
                    store = self.store(ref.kind, ref.namespace)
                    if store is not None:
                        await store.until(_sees(store, ref, version))
        except TimeoutError:
            return False
        return True


def _sees(store: Store, ref: Ref, version: str) -> Callable[[], bool]:
    return lambda: store.has_seen(ref, version)


def _number(version: str) -> int:
    """Return a resourceVersion as the number it is on every real API server, 0 where it is none."""
    return int(version) if version.isdigit() else 0
