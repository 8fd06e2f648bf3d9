"""The object store through obstore: any S3 endpoint (AWS, MinIO, ...), path-style where an endpoint is named.

Made by `wiring` for the operator and by the courier and setup in pods. Errors carry a sentence of ours, never a body.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from trainyard.systems.artifacts.addresses import Address, address
from trainyard.systems.artifacts.port import ArtifactError, ObjectChanged, ObjectInfo, ObjectMissing

if TYPE_CHECKING:  # types only: obstore has no such names at run time
    from obstore import GetOptions, ObjectMeta

CALL_SECONDS = 20.0  # a whole read or put; streams and uploads are bounded by STALLED only
LIST_SECONDS = 60.0  # a whole listing: a hundred requests for 100,000 objects
PAGE = 1000  # objects; what S3 tells in one answer
STALLED = timedelta(seconds=60)  # no byte for so long
PART = 8 << 20
MOST_PARTS = 9_000  # S3 takes 10,000
PARALLEL_PARTS = 4
CHUNK = 4 << 20
_STATUS = re.compile(r"status code: (\d{3})")


class ObstoreArtifacts:
    """The six verbs of `Artifacts` on S3. Credentials stay inside; nothing of them is ever in an error."""

    def __init__(self, endpoint: str, region: str, access_key: str, secret_key: str) -> None:
        """Keep what it takes; connects on first use. endpoint: URL, "" for AWS' own."""
        self._endpoint = endpoint
        self._region = region
        self._access_key = access_key
        self._secret_key = secret_key
        self._stores: dict[str, S3Store] = {}

    async def read(self, uri: str, limit: int) -> bytes | None:
        """Return an object of at most `limit` bytes whole, None where it is absent."""
        place = address(uri)
        async with _bounded(uri):
            try:
                found = await obstore.get_async(self._store(place), place.key)
            except FileNotFoundError:
                return None
            if found.meta["size"] > limit:
                raise ArtifactError(f"{uri} has {found.meta['size']} bytes, more than {limit}")
            return bytes(await found.bytes_async())

    async def find(self, uri: str) -> ObjectInfo | None:
        """Ask for an object's head, None where it is absent."""
        place = address(uri)
        async with _bounded(uri):
            try:
                found = await obstore.head_async(self._store(place), place.key)
            except FileNotFoundError:
                return None
        return _info(place.key.rpartition("/")[2], found)

    async def stream(self, uri: str, etag: str = "") -> AsyncIterator[bytes]:
        """Yield an object in chunks of about 4 MiB."""
        place = address(uri)
        with _translated(uri):
            try:
                options: GetOptions = {"if_match": f'"{etag}"'} if etag else {}
                found = await obstore.get_async(self._store(place), place.key, options=options)
            except FileNotFoundError as error:
                raise ObjectMissing(f"{uri} does not exist") from error
            except PreconditionError as error:
                raise ObjectChanged(f"{uri} is not the object that was listed") from error
            async for chunk in found.stream(min_chunk_size=CHUNK):
                yield bytes(chunk)

    async def list(self, prefix: str, limit: int | None = None) -> tuple[ObjectInfo, ...]:
        """Return the objects below a prefix, sorted by path; S3 lists in this order."""
        place = address(prefix)
        if not prefix.endswith("/"):
            raise ValueError(f"prefix {prefix!r} does not end with a slash")
        below: list[ObjectInfo] = []
        async with _bounded(prefix, LIST_SECONDS):
            async for rows in obstore.list(self._store(place), place.key or None, chunk_size=PAGE):
                # A folder's own empty mark comes back without its slash, so above the prefix.
                mine = (row for row in rows if row["path"].startswith(place.key))
                below += [_info(row["path"].removeprefix(place.key), row) for row in mine]
                if limit is not None and len(below) >= limit:
                    break
        return tuple(sorted(below)[:limit])

    async def put(self, uri: str, data: bytes, *, if_absent: bool = False) -> bool:
        """Write an object in one request; False where if_absent met one."""
        place = address(uri)
        async with _bounded(uri):
            try:
                mode: Literal["create", "overwrite"] = "create" if if_absent else "overwrite"
                await obstore.put_async(self._store(place), place.key, data, mode=mode, use_multipart=False)
            except AlreadyExistsError:
                return False
        return True

    async def upload(self, uri: str, path: str) -> None:
        """Write a file as an object; in parts, and so in bounded memory, where it is larger than one part."""
        place = address(uri)
        file = Path(path)
        size = (await asyncio.to_thread(file.stat)).st_size
        part = max(PART, -(-size // MOST_PARTS))
        with _translated(uri):
            await obstore.put_async(
                self._store(place), place.key, file, chunk_size=part, max_concurrency=PARALLEL_PARTS
            )

    def _store(self, place: Address) -> S3Store:
        if place.bucket not in self._stores:
            self._stores[place.bucket] = S3Store(
                place.bucket,
                endpoint=self._endpoint or None,
                region=self._region,
                access_key_id=self._access_key,
                secret_access_key=self._secret_key,
                client_options={
                    "allow_http": self._endpoint.startswith("http://"),
                    "connect_timeout": timedelta(seconds=3),
                    "read_timeout": STALLED,
                    "timeout": timedelta(days=1),  # of one request's body: a large object streams for long
                },
                retry_config={
                    "max_retries": 4,
                    "retry_timeout": timedelta(seconds=15),
                    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2)},
                },
            )
        return self._stores[place.bucket]


def _info(path: str, found: "ObjectMeta") -> ObjectInfo:
    return ObjectInfo(path, found["size"], (found["e_tag"] or "").strip('"'))


@asynccontextmanager
async def _bounded(uri: str, seconds: float | None = None) -> AsyncIterator[None]:
    """Bound a call, by CALL_SECONDS where nothing else is said, and turn every failure into an ArtifactError."""
    seconds = CALL_SECONDS if seconds is None else seconds
    try:
        async with asyncio.timeout(seconds):
            with _translated(uri):
                yield
    except TimeoutError as error:
        raise ArtifactError(f"the store took more than {seconds:.0f} s over {uri}") from error


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        raise ArtifactError(f"{_why(error)} ({uri})") from error


def _why(error: Exception) -> str:
    """Say what happened in our words: obstore's own text quotes the store's answer and its debug form."""
    found = _STATUS.search(str(error).partition("\n")[0])
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or (found and found[1] in {"401", "403"}):
        return "the store refuses these credentials"
    if isinstance(error, FileNotFoundError) or (found and found[1] == "404"):
        return "the store has no such bucket"
    return f"the store answered {found[1]}" if found else "the store does not answer"
