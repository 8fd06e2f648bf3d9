"""The verb `publish`: a training's output becomes an artifact; `manifest.json`, written last, makes it one.

A publisher that is started again repeats everything: it reads back what is there already and uploads the rest.
Objects that no manifest lists mean nothing, so a half upload is never taken for a model.
"""

import asyncio
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainyard.courier.carrying import Carrier
from trainyard.courier.folders import Found, digest_of, regular_files
from trainyard.courier.metrics import metrics
from trainyard.courier.outcome import DigestMismatch, Unusable
from trainyard.systems.artifacts.port import MANIFEST, Manifest, ManifestFile, parse_manifest

MODEL = "model"
FORMAT = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,62}")
DEFAULT_FORMAT = "SavedModel"
NOTE_LIMIT = 1 << 20  # bytes of metrics.json, and of one dataset's note
MANIFEST_LIMIT = 8 << 20  # bytes; what the operator reads at most


@dataclass(frozen=True)
class Parcel:
    """What is to be published: the manifest and the files it lists, in its order."""

    manifest: Manifest
    files: tuple[Found, ...]


async def publish(carrier: Carrier, output: Path, data: Path | None, uri: str) -> str:
    """Publish `output` under `uri`; the sentence that tells it. Raises Errand and its kinds."""
    parcel = await asyncio.to_thread(pack, output, data)
    text = parcel.manifest.to_json().encode()
    if len(text) > MANIFEST_LIMIT:
        raise Unusable(f"{len(parcel.files)} files make a manifest of more than {MANIFEST_LIMIT >> 20} MiB")
    carrier.progress.expect(len(parcel.files), parcel.manifest.size_bytes)
    if await _published(carrier, uri, parcel.manifest):
        return f"{uri} was published before, {parcel.manifest.digest}"
    await _upload(carrier, uri, parcel)
    await _seal(carrier, uri, parcel.manifest, text)
    return f"published {uri}, {parcel.manifest.digest}"


def pack(output: Path, data: Path | None) -> Parcel:
    """Digest the output and make its manifest. Raises Unusable with a sentence."""
    files = tuple(regular_files(output, MODEL))
    measured = _note(output / "metrics.json")
    manifest = Manifest(
        format=_format(output / "format"),
        files=tuple(digest_of(file) for file in files),
        metrics={} if measured is None else metrics(measured),
        details={"datasets": _datasets(data) if data else []},
    )
    return Parcel(manifest, files)


def _note(file: Path) -> bytes | None:
    """Read a small regular file beside the model; None where it is absent."""
    if file.is_symlink() or (file.exists() and not file.is_file()):
        raise Unusable(f"{file.name} is no regular file")
    if not file.exists():
        return None
    with file.open("rb") as source:
        text = source.read(NOTE_LIMIT + 1)
    if len(text) > NOTE_LIMIT:
        raise Unusable(f"{file.name} is larger than {NOTE_LIMIT >> 20} MiB")
    return text


def _format(file: Path) -> str:
    text = (_note(file) or DEFAULT_FORMAT.encode()).decode(errors="replace").strip()
    if not FORMAT.fullmatch(text):
        raise Unusable(f"format is {text[:40]!r}; it must be one word, for example {DEFAULT_FORMAT}")
    return text


def _datasets(data: Path) -> list[dict[str, Any]]:
    """Read the notes that the verb `data` left: which bytes the training was given."""
    notes = []
    for file in sorted(data.glob("*.json")):
        try:
            note = json.loads(_note(file) or b"")
            notes.append({key: str(note[key]) for key in ("name", "uri", "digest")})
        except (ValueError, KeyError, TypeError) as error:
            raise Unusable(f"{file.name} in the data folder is not what was written there") from error
    return notes


async def _published(carrier: Carrier, uri: str, manifest: Manifest) -> bool:
    """Tell whether this very artifact is there. Raises DigestMismatch where another one is."""
    text = await carrier.patiently(lambda: carrier.artifacts.read(uri + MANIFEST, MANIFEST_LIMIT))
    if text is None:
        return False
    try:
        there = parse_manifest(text).digest
    except ValueError as error:
        raise DigestMismatch(f"there is another manifest.json at {uri}: {error}") from error
    if there != manifest.digest:
        raise DigestMismatch(f"{uri} holds {there} already, this output is {manifest.digest}")
    return True


async def _upload(carrier: Carrier, uri: str, parcel: Parcel) -> None:
    """Upload every file and read its digest back; what a former try left is not uploaded again."""
    there = {row.path: row.size for row in await carrier.patiently(lambda: carrier.artifacts.list(uri))}

    async def one(pair: tuple[Found, ManifestFile]) -> None:
        file, expected = pair
        await carrier.publish(file, expected, uri + file.path, there=there.get(file.path) == expected.size)

    await carrier.each(zip(parcel.files, parcel.manifest.files, strict=True), one)


async def _seal(carrier: Carrier, uri: str, manifest: Manifest, text: bytes) -> None:
    """Write the manifest if none is there. One there by now must be of this artifact (a publisher before us)."""
    written = await carrier.patiently(lambda: carrier.artifacts.put(uri + MANIFEST, text, if_absent=True))
    if not written and not await _published(carrier, uri, manifest):
        raise DigestMismatch(f"the store refused and then did not show {uri}{MANIFEST}")
