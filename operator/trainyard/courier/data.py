"""The verb `data`: fetch every dataset onto the run's volume, and say which bytes they were.

The digest of a dataset is over its listing with content: the same function as an artifact's. Workers that train
together share the volume: the first one fetches, the others wait for its mark.
"""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from trainyard.courier.carrying import Carrier
from trainyard.courier.folders import appearing, emptied
from trainyard.courier.outcome import Missing, Unusable
from trainyard.systems.artifacts.addresses import address, check_key
from trainyard.systems.artifacts.port import ManifestFile, ObjectInfo, artifact_digest

LOOK_SECONDS = 1.0
NAME = re.compile(r"[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?")


@dataclass(frozen=True)
class Source:
    """Where a dataset's objects are: a base URI, and each object's path below it."""

    base: str
    objects: tuple[ObjectInfo, ...]


def datasets(text: str) -> dict[str, str]:
    """Read `TRAINYARD_DATASETS`: dataset name to URI. Raises Unusable."""
    try:
        body = json.loads(text)
    except ValueError as error:
        raise Unusable(f"TRAINYARD_DATASETS is no JSON: {error}") from error
    if not isinstance(body, Mapping) or not all(isinstance(uri, str) for uri in body.values()):
        raise Unusable("TRAINYARD_DATASETS is not an object of names and URIs")
    for name, uri in body.items():
        if len(name) > 63 or not NAME.fullmatch(name):
            raise Unusable(f"{name[:80]!r} is no name of a dataset")
        try:
            address(uri)
        except ValueError as error:
            raise Unusable(f"dataset {name}: {error}") from error
    return dict(body)


def wait_for_data(done: Path) -> str:
    """Wait until another worker has left its mark; that it may never do so is the run's timeouts' business."""
    while not done.exists():
        time.sleep(LOOK_SECONDS)
    return "the first worker fetched the data"


async def fetch_data(carrier: Carrier, wanted: Mapping[str, str], folder: Path, *, keep: bool = False) -> str:
    """Fetch each dataset to `folder/<name>/` and write `folder/<name>.json`; the sentence that tells it.

    keep: a dataset that is there whole stays, though its URI may hold other bytes by now: a run has one state of data.
    """
    missing = {n: uri for n, uri in sorted(wanted.items()) if not (keep and _is_whole(folder / f"{n}.json", uri))}
    sources = {name: await _source(carrier, name, uri) for name, uri in missing.items()}
    rows = [row for source in sources.values() for row in source.objects]
    carrier.progress.expect(len(rows), sum(row.size for row in rows))
    for name, source in sources.items():
        await _fetch_one(carrier, name, wanted[name], source, folder)
    kept = f", kept {len(wanted) - len(missing)}" if keep else ""
    return f"fetched {len(sources)} datasets, {len(rows)} files{kept}"


def _is_whole(note: Path, uri: str) -> bool:
    """Whether the note, which is written last, tells of a dataset of this URI."""
    try:
        told = json.loads(note.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(told, dict) and told.get("uri") == uri


async def _source(carrier: Carrier, name: str, uri: str) -> Source:
    """Find what a URI means: a folder, or, where nothing lies below it, a single object."""
    base = uri if uri.endswith("/") else uri + "/"
    found = await carrier.patiently(lambda: carrier.artifacts.list(base))
    if found:
        return Source(base, _files(name, found))
    if uri.endswith("/") or not address(uri).key:
        raise Missing(f"dataset {name}: there is nothing at {uri}")
    parent, _, last = uri.rpartition("/")
    return Source(f"{parent}/", (ObjectInfo(last, 0),))


def _files(name: str, found: tuple[ObjectInfo, ...]) -> tuple[ObjectInfo, ...]:
    """Drop the empty objects by which some tools mark a folder. Raises Unusable where paths make no folder."""
    folders = {parent.as_posix() for row in found for parent in PurePosixPath(row.path).parents}
    for row in found:
        try:
            check_key(row.path)
        except ValueError as error:
            raise Unusable(f"dataset {name}: {error}") from error
        if row.path in folders and row.size:
            raise Unusable(f"dataset {name}: {row.path} is a file and a folder at once")
    return tuple(row for row in found if row.path not in folders)


async def _fetch_one(carrier: Carrier, name: str, uri: str, source: Source, folder: Path) -> None:
    """Fetch into a folder emptied before; the note `<name>.json` is gone meanwhile and written last."""
    note, target = folder / f"{name}.json", folder / name
    note.unlink(missing_ok=True)
    emptied(target)

    async def one(row: ObjectInfo) -> ManifestFile | None:
        try:
            return await carrier.download(source.base + row.path, row.path, target / row.path)
        except Missing:
            if row.size or source.base + row.path == uri:
                raise
            return None  # an empty object listed with a slash at its end marks a folder

    files = [file for file in await carrier.each(source.objects, one) if file]
    with appearing(note) as out:
        out.write(json.dumps({"name": name, "uri": uri, "digest": artifact_digest(files)}).encode())
