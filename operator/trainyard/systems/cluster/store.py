"""What a reflector keeps of one kind: objects by name, found by label or by field without looking at all of them.

They are kept as compressed JSON: as Python's maps they take a hundred times the memory, and few are looked at. Objects
of a kind are much alike, so what they are compressed against is the first of them. A visit asks for a few of
thousands, so every label is indexed, and the fields of `FIELDS`. Used by `reflector` (fills it), `client` (reads
it) and `running` (waits for writes to arrive).
"""

import asyncio
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from trainyard.systems.cluster.port import FIELDS, Kind, Obj, Ref, number

Pair = tuple[str, str, str]  # "label" or "field", its name, its value


class Kept(NamedTuple):
    """An object as it is kept, with what is asked for most."""

    version: str
    is_deleting: bool
    packed: bytes


class Store:
    """The objects of one kind by namespace and name, and the newest resourceVersion known."""

    def __init__(self, kind: Kind) -> None:
        self._fields = FIELDS.get(kind, ())
        self._objects: dict[str, dict[str, Kept]] = {}
        self._index: dict[tuple[str, Pair], set[str]] = {}
        self._pattern = b""  # the first object, as long as this lives
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self.version = 0

    def get(self, namespace: str, name: str) -> Obj | None:
        """Return an object."""
        kept = self._objects.get(namespace, {}).get(name)
        return self._read(kept) if kept else None

    def list(self, namespace: str, labels: Mapping[str, str], fields: Mapping[str, str] | None = None) -> Iterable[Obj]:
        """Return the objects that say all this (see the port), sorted by name; namespace "" means all."""
        for space in [namespace] if namespace else sorted(self._objects):
            objects = self._objects.get(space, {})
            for name in sorted(self._candidates(space, objects, labels, fields or {})):
                obj = self._read(objects[name])
                if says(obj, labels, fields or {}):
                    yield obj

    def names(self) -> set[tuple[str, str]]:
        """Return the namespace and name of every object."""
        return {(space, name) for space, objects in self._objects.items() for name in objects}

    def put(self, obj: Obj) -> Obj | None:
        """Keep an object; return what it replaced."""
        meta = obj["metadata"]
        before = self.remove(meta["namespace"], meta["name"])
        kept = Kept(str(meta.get("resourceVersion", "")), "deletionTimestamp" in meta, self._pack(obj))
        self._objects.setdefault(meta["namespace"], {})[meta["name"]] = kept
        for pair in self._pairs(obj):
            self._index.setdefault((meta["namespace"], pair), set()).add(meta["name"])
        return before

    def remove(self, namespace: str, name: str) -> Obj | None:
        """Forget an object; return it."""
        space = self._objects.get(namespace, {})
        kept = space.pop(name, None)
        if kept is None:
            return None
        before = self._read(kept)
        for pair in self._pairs(before):
            names = self._index[namespace, pair]
            names.discard(name)
            if not names:
                del self._index[namespace, pair]
        if not space:
            del self._objects[namespace]
        return before

    def reached(self, version: str) -> None:
        """Note the newest resourceVersion, and let go who waited for what is there now."""
        self.version = max(self.version, number(version))
        for wanted, future in list(self._waiting):
            if wanted() and not future.done():
                future.set_result(None)

    def has_seen(self, ref: Ref, version: str) -> bool:
        """Whether the store knows an object at this resourceVersion or a later one; "": that it is gone, or going."""
        kept = self._objects.get(ref.namespace, {}).get(ref.name)
        if not version:
            return kept is None or kept.is_deleting
        mine = kept.version if kept else ""
        return mine == version or max(self.version, number(mine)) >= number(version) > 0

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

    def _pack(self, obj: Obj) -> bytes:
        text = orjson.dumps(obj)
        self._pattern = self._pattern or text
        packer = zlib.compressobj(level=1, zdict=self._pattern)
        return packer.compress(text) + packer.flush()

    def _read(self, kept: Kept) -> Obj:
        """Return an object, a copy."""
        obj: Obj = orjson.loads(zlib.decompressobj(zdict=self._pattern).decompress(kept.packed))
        return obj

    def _candidates(
        self, space: str, objects: Mapping[str, Kept], labels: Mapping[str, str], fields: Mapping[str, str]
    ) -> Iterable[str]:
        """Return the names that the narrowest index has: all, where nothing indexed is asked for."""
        asked = [("label", *pair) for pair in labels.items()]
        asked += [("field", *pair) for pair in fields.items() if pair[0] in self._fields]
        found: list[Collection[str]] = [self._index.get((space, pair), ()) for pair in asked]
        return min(found, key=len, default=objects)

    def _pairs(self, obj: Obj) -> Iterator[Pair]:
        """Yield what an object is found by."""
        for label, value in (obj["metadata"].get("labels") or {}).items():
            yield ("label", label, value)
        for field in self._fields:
            for value in values(obj, field):
                yield ("field", field, value)


def says(obj: Obj, labels: Mapping[str, str], fields: Mapping[str, str]) -> bool:
    """Whether an object carries all these labels and says all this in its fields."""
    if not labels.items() <= (obj["metadata"].get("labels") or {}).items():
        return False
    return all(value in values(obj, field) for field, value in fields.items())


def values(obj: Any, field: str) -> set[str]:
    """Return the texts at a dotted path, of every item where a list is on the way; {""} where there is none."""
    found: list[Any] = [obj]
    for part in field.split("."):
        found = [inner for one in found for inner in _items(one.get(part) if isinstance(one, Mapping) else None)]
    return {one for one in found if isinstance(one, str)} or {""}


def _items(value: Any) -> Sequence[Any]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return value
    return [] if value is None else [value]
