"""An object store in a dict: the `Artifacts` port for tests, with the store's outage as a lever.

It passes the contract suite of the real client (`tests/contracts/test_artifacts.py`).
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from trainyard.systems.artifacts.addresses import SCHEME, address
from trainyard.systems.artifacts.port import MANIFEST, ArtifactError, Manifest, ObjectChanged, ObjectInfo, ObjectMissing

CHUNK = 1 << 20


def etag(data: bytes) -> str:
    """Return what S3 says of an object that was put in one request."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@dataclass
class FakeArtifacts:
    """The six verbs over `objects` (URI to bytes). `away`: every verb raises ArtifactError, nothing is stored."""

    objects: dict[str, bytes] = field(default_factory=dict)
    away: bool = False
    reads: int = 0
    writes: list[str] = field(default_factory=list)
    looked_at: set[str] = field(default_factory=set)

    # ---- levers ----

    def publish(self, uri: str, manifest: Manifest) -> None:
        """Store a manifest and, for each of its files, an object of the manifest's size, as a publisher would."""
        for file in manifest.files:
            self.objects[uri + file.path] = b"\0" * file.size
        self.objects[uri + MANIFEST] = manifest.to_json().encode()

    # ---- the port ----

    async def read(self, uri: str, limit: int) -> bytes | None:
        """Return an object whole, None where it is absent."""
        self._reach(uri)
        self.reads += 1
        data = self.objects.get(uri)
        if data is not None and len(data) > limit:
            raise ArtifactError(f"{uri} is larger than {limit} bytes")
        return data

    async def find(self, uri: str) -> ObjectInfo | None:
        """Return an object's last part, size and ETag, None where it is absent."""
        self._reach(uri)
        self.reads += 1
        return self._info(uri, uri.rpartition("/")[0] + "/") if uri in self.objects else None

    async def stream(self, uri: str, etag: str = "") -> AsyncIterator[bytes]:
        """Yield an object in chunks of 1 MiB."""
        self._reach(uri)
        self.reads += 1
        if uri not in self.objects:
            raise ObjectMissing(f"{uri} does not exist")
        if etag and etag != self._info(uri, "").etag:
            raise ObjectChanged(f"{uri} is not the object that was listed")
        data = self.objects[uri]
        for start in range(0, len(data), CHUNK):
            yield data[start : start + CHUNK]

    async def list(self, prefix: str, limit: int | None = None) -> tuple[ObjectInfo, ...]:
        """Return the objects below a prefix, sorted by path."""
        self._reach(prefix)
        if not prefix.endswith("/"):
            raise ValueError(f"prefix {prefix!r} does not end with a slash")
        self.reads += 1
        below = (uri for uri in self.objects if uri.startswith(prefix))
        return tuple(sorted(self._info(uri, prefix) for uri in below)[:limit])

    async def put(self, uri: str, data: bytes, *, if_absent: bool = False) -> bool:
        """Write an object; False where if_absent met one."""
        self._reach(uri)
        if if_absent and uri in self.objects:
            return False
        self.objects[uri] = bytes(data)
        self.writes.append(uri)
        return True

    async def upload(self, uri: str, path: str) -> None:
        """Write a file as an object."""
        self._reach(uri)
        self.objects[uri] = await asyncio.to_thread(Path(path).read_bytes)
        self.writes.append(uri)

    def _info(self, uri: str, prefix: str) -> ObjectInfo:
        data = self.objects[uri]
        return ObjectInfo(uri.removeprefix(prefix), len(data), etag(data))

    def _reach(self, uri: str) -> None:
        address(uri)
        self.looked_at.add(uri)
        if self.away:
            raise ArtifactError(f"{SCHEME}{address(uri).bucket} does not answer")
