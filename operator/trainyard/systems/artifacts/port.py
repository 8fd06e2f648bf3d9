"""The object store (any S3): what the operator and the courier read and write there.

URIs are `s3://<bucket>/<key>`; a malformed one raises ValueError. The client is on obstore; the fake is a dict.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

MANIFEST = "manifest.json"


class ArtifactError(Exception):
    """The store did not answer, or refused; nothing is known about the object."""


class ObjectMissing(ArtifactError):
    """The store answered: there is no such object. Raised by `stream` only; `read` returns None."""


class ObjectChanged(ArtifactError):
    """The object is not the one any more that was listed. Raised by `stream` only."""


class ObjectInfo(NamedTuple):
    """One stored object: its key relative to the listed prefix, its size in bytes, its ETag without quotes."""

    path: str
    size: int
    etag: str = ""


class ManifestFile(NamedTuple):
    """One file of an artifact: path relative to the manifest's folder, size in bytes, hex SHA-256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """`manifest.json`, written last: what an artifact consists of. Its digest is the artifact's identity."""

    format: str
    files: tuple[ManifestFile, ...]
    metrics: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """`sha256:` over the sorted (path, size, SHA-256) list (api.md, ModelVersion)."""
        return artifact_digest(self.files)

    @property
    def size_bytes(self) -> int:
        """The bytes of all files."""
        return sum(f.size for f in self.files)

    def to_json(self) -> str:
        """Return the text of `manifest.json`."""
        body = {
            "format": self.format,
            "digest": self.digest,
            "files": [f._asdict() for f in sorted(self.files)],
            "metrics": dict(self.metrics),
            "details": dict(self.details),
        }
        return json.dumps(body, indent=1, sort_keys=True)


def artifact_digest(files: Iterable[ManifestFile]) -> str:
    """Digest a list of files independent of its order."""
    rows = sorted([f.path, f.size, f.sha256] for f in files)
    return "sha256:" + hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()


def parse_manifest(text: bytes) -> Manifest:
    """Read `manifest.json`. Raises ValueError with a sentence where it is not one."""
    try:
        body = json.loads(text)
        files = tuple(ManifestFile(str(f["path"]), int(f["size"]), str(f["sha256"])) for f in body["files"])
        metrics = {str(k): str(v) for k, v in body.get("metrics", {}).items()}
        return Manifest(str(body["format"]), files, metrics, dict(body.get("details", {})))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"manifest.json is malformed: {error!r}") from error


class Artifacts(Protocol):
    """Six verbs. Reads return None where the object does not exist and raise ArtifactError where unknown."""

    async def read(self, uri: str, limit: int) -> bytes | None:
        """Return an object of at most `limit` bytes whole; ArtifactError where it is larger."""
        ...

    async def find(self, uri: str) -> ObjectInfo | None:
        """Return one object's last part, size and ETag, without its bytes."""
        ...

    def stream(self, uri: str, etag: str = "") -> AsyncIterator[bytes]:
        """Yield an object's bytes in chunks. Raises ObjectMissing, and ObjectChanged where the ETag is another."""
        ...

    async def list(self, prefix: str, limit: int | None = None) -> tuple[ObjectInfo, ...]:
        """Return the objects below a prefix URI (ends with a slash), sorted by path; at most `limit`."""
        ...

    async def put(self, uri: str, data: bytes, *, if_absent: bool = False) -> bool:
        """Write an object; with if_absent (`If-None-Match: *`) return False where one is there already."""
        ...

    async def upload(self, uri: str, path: str) -> None:
        """Write a local file as an object, in parts where it is large."""
        ...
