"""What a dataset's URI means, and the version of what lies there: one definition for the operator and the courier.

The version is the digest of the listing (api.md): path, size and ETag of every object. The same objects give the same
version whoever looks, and no byte of them is read.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import PurePosixPath

from trainyard.systems.artifacts.addresses import address, check_key
from trainyard.systems.artifacts.port import Artifacts, ObjectInfo


class NoFolder(ValueError):
    """The objects cannot lie in one folder; `str()` is the sentence."""


class TooMany(ValueError):
    """There are more objects than may be listed."""


@dataclass(frozen=True)
class Listing:
    """Where a dataset's objects are: a base URI, and each object below it."""

    base: str
    objects: tuple[ObjectInfo, ...]

    @property
    def digest(self) -> str:
        """`sha256:` over the sorted (path, size, ETag) list."""
        rows = sorted([row.path, row.size, row.etag] for row in self.objects)
        return "sha256:" + hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()


async def listing(artifacts: Artifacts, uri: str, limit: int | None = None) -> Listing | None:
    """Find what a URI means: a folder, or, where nothing lies below it, a single object; None where nothing is.

    Raises ArtifactError, ValueError for a malformed URI, NoFolder, and TooMany above `limit` objects.
    """
    base = uri if uri.endswith("/") else uri + "/"
    found = await artifacts.list(base, None if limit is None else limit + 1)
    if limit is not None and len(found) > limit:
        raise TooMany(f"there are more than {limit:,} objects below {uri}")
    if found:
        return Listing(base, _files(found))
    if uri.endswith("/") or not address(uri).key:
        return None
    one = await artifacts.find(uri)
    return None if one is None else Listing(uri.removesuffix(one.path), (one,))


def _files(found: tuple[ObjectInfo, ...]) -> tuple[ObjectInfo, ...]:
    """Drop the empty objects by which some tools mark a folder."""
    folders = {parent.as_posix() for row in found for parent in PurePosixPath(row.path).parents}
    for row in found:
        try:
            check_key(row.path)
        except ValueError as error:
            raise NoFolder(str(error)) from error
        if row.path in folders and row.size:
            raise NoFolder(f"{row.path} is a file and a folder at once")
    return tuple(row for row in found if row.path not in folders)
