"""The verb `fetch`: bring an artifact into a pod's folder, and let nothing serve whose digest differs."""

from pathlib import Path

from trainyard.courier.carrying import Carrier
from trainyard.courier.folders import emptied
from trainyard.courier.outcome import DigestMismatch, Missing
from trainyard.courier.publish import MANIFEST_LIMIT
from trainyard.systems.artifacts.addresses import check_key
from trainyard.systems.artifacts.port import MANIFEST, Manifest, ManifestFile, parse_manifest


async def fetch(carrier: Carrier, uri: str, digest: str, folder: Path) -> str:
    """Download the files of the artifact whose digest is given; the sentence that tells it."""
    manifest = await _manifest(carrier, uri, digest)
    emptied(folder)
    carrier.progress.expect(len(manifest.files), manifest.size_bytes)

    async def one(expected: ManifestFile) -> None:
        got = await carrier.download(uri + expected.path, expected.path, folder / expected.path)
        if got != expected:
            (folder / expected.path).unlink()
            raise DigestMismatch(f"{uri}{expected.path} is not the file that the manifest lists")

    await carrier.each(manifest.files, one)
    return f"fetched {uri}, {digest}"


async def _manifest(carrier: Carrier, uri: str, digest: str) -> Manifest:
    text = await carrier.patiently(lambda: carrier.artifacts.read(uri + MANIFEST, MANIFEST_LIMIT))
    if text is None:
        raise Missing(f"{uri}{MANIFEST} does not exist")
    try:
        manifest = parse_manifest(text)
        for file in manifest.files:
            check_key(file.path)
    except ValueError as error:
        raise DigestMismatch(f"{uri}{MANIFEST} is not the artifact's: {error}") from error
    if manifest.digest != digest:
        raise DigestMismatch(f"{uri} holds {manifest.digest}, wanted is {digest}")
    return manifest
