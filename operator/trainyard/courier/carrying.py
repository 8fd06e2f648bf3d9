"""Moves single objects between the store and files, patiently: a store that is away for a moment costs no retraining.

Called by the verbs. A failed file is tried again whole until the patience of the errand ends.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from trainyard.courier.folders import Found, appearing
from trainyard.courier.outcome import Changed, DigestMismatch, Errand, Missing
from trainyard.courier.progress import Progress
from trainyard.systems.artifacts.port import ArtifactError, Artifacts, ManifestFile, ObjectChanged, ObjectMissing

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 3  # files; each may hold a few parts of 8 MiB in memory
MOST_PAUSE_SECONDS = 8.0


@dataclass(frozen=True)
class Carrier:
    """The store, a progress line and the patience (seconds) with a store that does not answer."""

    artifacts: Artifacts
    progress: Progress
    patience: float
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Await the call, again after an ArtifactError until the patience is over. Raises Errand, Missing, Changed."""
        give_up, pause = time.monotonic() + self.patience, 0.5
        while True:
            try:
                return await call()
            except ObjectMissing as error:
                raise Missing(str(error)) from error
            except ObjectChanged as error:
                raise Changed(str(error)) from error
            except ArtifactError as error:
                if time.monotonic() + pause > give_up:
                    raise Errand(str(error)) from error
            await asyncio.sleep(pause)
            pause = min(2 * pause, MOST_PAUSE_SECONDS)

    async def each(self, items: Iterable[R], work: Callable[[R], Awaitable[T]]) -> list[T]:
        """Do the work for every item, a few at once; the first failure ends them all and is raised."""

        async def one(item: R) -> T:
            async with self.slots:
                return await work(item)

        tasks = [asyncio.ensure_future(one(item)) for item in items]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def download(self, uri: str, path: str, target: Path, etag: str = "") -> ManifestFile:
        """Fetch an object, of this ETag if one is given, into a file that appears whole; its size and SHA-256."""
        got = await self.patiently(lambda: self._download(uri, path, target, etag))
        self.progress.finished_file()
        return got

    async def _download(self, uri: str, path: str, target: Path, etag: str) -> ManifestFile:
        with appearing(target) as file:
            sha, size = hashlib.sha256(), 0
            async for chunk in self.artifacts.stream(uri, etag):
                await asyncio.to_thread(_take, chunk, sha.update, file.write)
                size += len(chunk)
                self.progress.moved(len(chunk))
        return ManifestFile(path, size, sha.hexdigest())

    async def stored(self, uri: str, path: str) -> ManifestFile:
        """Read an object through and return its size and SHA-256 as the store gives them back."""

        async def read_back() -> ManifestFile:
            sha, size = hashlib.sha256(), 0
            async for chunk in self.artifacts.stream(uri):
                await asyncio.to_thread(sha.update, chunk)
                size += len(chunk)
            return ManifestFile(path, size, sha.hexdigest())

        return await self.patiently(read_back)

    async def publish(self, file: Found, expected: ManifestFile, uri: str, *, there: bool) -> None:
        """Upload a file and read its digest back; one that a former try left whole (`there`) is only read."""
        if there and await self.stored(uri, file.path) == expected:
            self.progress.moved(expected.size)
            self.progress.finished_file()
            return
        await self.patiently(lambda: self.artifacts.upload(uri, str(file.source)))
        self.progress.moved(expected.size)
        if await self.stored(uri, file.path) != expected:
            raise DigestMismatch(f"{uri} reads back with another digest than the file {file.path} had")
        self.progress.finished_file()


def _take(chunk: bytes, *takers: Callable[[bytes], object]) -> None:
    for take in takers:
        take(chunk)
