"""The verb `data`: fetch every dataset onto the run's volume, and say which bytes they were.

The digest of a dataset is that of its listing, the same one that the operator takes before a run starts. Workers that
train together share the volume: the first one fetches, the others wait for its mark.
"""

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path

from trainyard.courier.carrying import Carrier
from trainyard.courier.folders import appearing, emptied
from trainyard.courier.outcome import Changed, Missing, Unusable
from trainyard.systems.artifacts.addresses import address
from trainyard.systems.artifacts.datasets import Listing, NoFolder, listing
from trainyard.systems.artifacts.port import ObjectInfo

LOOK_SECONDS = 1.0
LOOKS = 3  # at a dataset whose objects are replaced while they are fetched
NAME = re.compile(r"[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?")


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
    sources = {name: await _listing(carrier, name, uri) for name, uri in missing.items()}
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


async def _listing(carrier: Carrier, name: str, uri: str) -> Listing:
    """Find what a URI means. Raises Missing where there is nothing, Unusable where paths make no folder."""
    try:
        found = await carrier.patiently(lambda: listing(carrier.artifacts, uri))
    except NoFolder as error:
        raise Unusable(f"dataset {name}: {error}") from error
    if found is None:
        raise Missing(f"dataset {name}: there is nothing at {uri}")
    return found


async def _fetch_one(carrier: Carrier, name: str, uri: str, source: Listing, folder: Path) -> None:
    """Fetch into a folder emptied before; the note `<name>.json` is gone meanwhile and written last.

    What is replaced while it is fetched is listed and fetched again, so that the digest is of the bytes on the volume.
    """
    note, target = folder / f"{name}.json", folder / name
    note.unlink(missing_ok=True)
    for left in reversed(range(LOOKS)):
        try:
            await _fetch_all(carrier, uri, source, target)
            break
        except Changed:
            if not left:
                raise
        source = await _listing(carrier, name, uri)
    with appearing(note) as out:
        out.write(json.dumps({"name": name, "uri": uri, "digest": source.digest}).encode())


async def _fetch_all(carrier: Carrier, uri: str, source: Listing, target: Path) -> None:
    emptied(target)

    async def one(row: ObjectInfo) -> None:
        try:
            await carrier.download(source.base + row.path, row.path, target / row.path, row.etag)
        except Missing:
            if row.size or source.base + row.path == uri:
                raise
            # an empty object listed with a slash at its end marks a folder

    await carrier.each(source.objects, one)
