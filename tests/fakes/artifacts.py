"""An object store in a dict: the `Artifacts` port for tests, with the store's outage as a lever.

It passes the contract suite of the real client (`tests/contracts/test_artifacts.py`).
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from trainyard.systems.artifacts.addresses import SCHEME, address
from trainyard.systems.artifacts.port import MANIFEST, ArtifactError, Manifest, ObjectInfo, ObjectMissing

CHUNK = 1 << 20


@dataclass
class FakeArtifacts:
    """The five verbs over `objects` (URI to bytes). `away`: every verb raises ArtifactError, nothing is stored."""

    objects: dict[str, bytes] = field(default_factory=dict)
    away: bool = False
    reads: int = 0
    writes: list[str] = field(default_factory=list)

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

    async def stream(self, uri: str) -> AsyncIterator[bytes]:
        """Yield an object in chunks of 1 MiB."""
        self._reach(uri)
        self.reads += 1
        if uri not in self.objects:
            raise ObjectMissing(f"{uri} does not exist")
        data = self.objects[uri]
        for start in range(0, len(data), CHUNK):
            yield data[start : start + CHUNK]

    async def list(self, prefix: str) -> tuple[ObjectInfo, ...]:
        """Return the objects below a prefix, sorted by path."""
        self._reach(prefix)
        if not prefix.endswith("/"):
            raise ValueError(f"prefix {prefix!r} does not end with a slash")
        self.reads += 1
        below = (uri for uri in self.objects if uri.startswith(prefix))
        return tuple(sorted(ObjectInfo(uri.removeprefix(prefix), len(self.objects[uri])) for uri in below))

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

    def _reach(self, uri: str) -> None:
        address(uri)
        if self.away:
            raise ArtifactError(f"{SCHEME}{address(uri).bucket} does not answer")
