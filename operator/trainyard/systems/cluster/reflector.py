"""Copies of what the cluster holds, kept up to date by list and watch.

One `Reflector` per kind and namespace: paged lists, a server-side label selector, bookmarks, deletions found by
comparing on a relist. Each backs off alone. `Mirror` is all of them: the store that `client` reads from, the
changes that `running` turns into wake-ups, and the age of each watch's last sign of life for the probes.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any

from trainyard.systems.cluster.port import ClusterError, Kind, NotFound, Obj, Ref, Unavailable
from trainyard.systems.cluster.reading import read
from trainyard.systems.cluster.store import Store
from trainyard.systems.cluster.transport import Expired, Silent, Transport, path, trimmed

log = logging.getLogger(__name__)

LONGEST_BACKOFF_SECONDS = 30.0
RESUMES = 2  # times that a dropped watch is taken up again before a list
LIVED_SECONDS = 2.0  # a watch that stood for so long was no failure
STALE_SECONDS = 120.0  # a store that heard nothing for so long is not read from; bookmarks come every minute
WATCH_SECONDS = (240, 300)  # the server ends a watch after this; spread, so that they do not all end together

# Told of each change: what was there before, and what is there now (None: it is gone).
OnChange = Callable[[Kind, Obj | None, Obj | None], None]


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
        self.store = Store(kind)
        self.listed = asyncio.Event()
        self.failure = ""
        self._transport = transport
        self._selector = selector
        self._on_change = on_change
        self._sleep = sleep
        self._version = ""  # where the watch goes on from; "" to list anew
        self._opened: float | None = None
        self._sign = self._heard = time.monotonic()
        self._failures = 0

    @property
    def synced(self) -> bool:
        """Whether the store can be read from: listed, and not cut off from what happens since."""
        return self.listed.is_set() and time.monotonic() - self._heard < STALE_SECONDS

    def forget(self) -> None:
        """Trust nothing of the store until it was listed anew."""
        self._version = ""
        self.listed.clear()

    def age(self) -> float:
        """Return the seconds since the last sign of life: an answer of any status, an event or a bookmark."""
        return time.monotonic() - self._sign

    async def run(self) -> None:
        """List and watch for ever."""
        while True:
            try:
                if not self._version:
                    with _told("a list"):
                        await self._list()
                await self._watch()
            except ClusterError as error:
                self._note(error)
                if not isinstance(error, Expired) or self._failures > 1:  # the first is no fault of anybody's
                    await self._sleep(self._backoff(error))

    def _note(self, error: ClusterError) -> None:
        """Note a failure. A dropped connection can be taken up again; anything else starts from a list."""
        self._failures += 1
        if str(error) != self.failure:
            usual = isinstance(error, Expired | Silent)  # a kind of which nothing ever changed has no bookmarks
            log.log(logging.DEBUG if usual else logging.WARNING, "%s: %s", self.kind.plural, error)
        self.failure = str(error)
        if not isinstance(error, Unavailable) or error.answered:
            # Refused or broken, but answered: a new process would hear the same. Readiness tells, by `_heard`.
            self._sign = time.monotonic()
        if isinstance(error, Expired | Silent) or not isinstance(error, Unavailable) or self._failures > RESUMES:
            self._version = ""
        if isinstance(error, NotFound):
            self._replace({}, "")  # the kind itself is not there, and so none of its objects is

    def _backoff(self, error: ClusterError) -> float:
        spread = random.uniform(0.8, 1.2)  # noqa: S311 - spreads load
        asked = error.retry_after if isinstance(error, Unavailable) else 0.0
        doubled = 0.25 * 2.0 ** min(self._failures, 10) * spread
        return float(min(LONGEST_BACKOFF_SECONDS, max(asked, doubled)))

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
        self._alive()
        self.listed.set()

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
        self._opened, before = None, self._version
        try:
            async for line in self._transport.lines(path(self.kind, self.namespace), query, opened=self._open):
                with _told("an event"):
                    self._take(read(line))
        finally:
            lived = self._opened is not None and time.monotonic() - self._opened > LIVED_SECONDS
            self._failures = 0 if lived else self._failures
        if not lived and self._version == before:
            raise Unavailable("the watch ended as soon as it began")
        self._alive()

    def _open(self) -> None:
        self._opened = time.monotonic()
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
        self._failures = 0

    def _alive(self) -> None:
        self._sign = self._heard = time.monotonic()
        self.failure = ""

    def _tell(self, before: Obj | None, now: Obj | None) -> None:
        try:
            self._on_change(self.kind, before, now)
        except Exception:
            # One strange object must not stop the stream of all the others.
            log.exception("%s: a change could not be passed on", self.kind.plural)


class BrokenWatch(ClusterError):
    """The list or the watch told an error other than 410, or nonsense: list anew, after a pause."""


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn what reading nonsense raises into BrokenWatch: nothing that is told may end the process."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BrokenWatch(f"{what} cannot be read: {error!r}") from error


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
        self._tasks: dict[Reflector, asyncio.Task[None]] = {}

    def store(self, kind: Kind, namespace: str) -> Store | None:
        """Return the store to read from, or None where this kind or namespace must be read live, also for a while."""
        reflector = self.reflectors.get((kind, namespace if self._spaces.get(kind) else ""))
        return reflector.store if reflector and reflector.synced else None

    def known(self, kind: Kind, namespace: str, fields: Mapping[str, str]) -> Iterable[Obj]:
        """Return what is known of a kind, however old that is: to wake by, not to decide by."""
        for (one, _), reflector in self.reflectors.items():
            if one == kind:
                yield from reflector.store.list(namespace, {}, fields)

    async def run(self) -> None:
        """Keep all of them up to date until cancelled."""
        async with asyncio.TaskGroup() as self._group:
            for reflector in self.reflectors.values():
                self._begin(reflector)

    async def list_anew(self, seconds: float) -> None:
        """Trust no store that was not listed after this call; return once all were, or after so many seconds."""
        for reflector in self.reflectors.values():
            self._tasks.pop(reflector).cancel()
            reflector.forget()
            self._begin(reflector)
        listed = [asyncio.create_task(reflector.listed.wait()) for reflector in self.reflectors.values()]
        _, late = await asyncio.wait(listed, timeout=seconds)
        for task in late:
            task.cancel()

    def _begin(self, reflector: Reflector) -> None:
        work = reflector.run()
        self._tasks[reflector] = self._group.create_task(work, name=f"reflector {reflector.kind.plural}")

    async def seen(self, known: Iterable[tuple[Ref, str]], seconds: float) -> bool:
        """Whether the stores know these objects at these versions (`Store.has_seen`) within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                for ref, version in known:
                    store = self.store(ref.kind, ref.namespace)
                    if store is not None:
                        await store.until(_sees(store, ref, version))
        except TimeoutError:
            return False
        return True


def _sees(store: Store, ref: Ref, version: str) -> Callable[[], bool]:
    return lambda: store.has_seen(ref, version)
