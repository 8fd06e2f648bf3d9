"""Is the artifact in the store what the spec says? Pure. Called by `decide`.

Sizes come from a listing. The bytes' own digests are checked where the bytes pass by: by the publisher, which
reads back what it wrote, and by each fetch of a serving pod.
"""

from collections.abc import Mapping

from trainyard.model_version import reasons
from trainyard.model_version.state import Evidence, Finding
from trainyard.resources.model_version import ModelVersionSpec
from trainyard.systems.artifacts.port import MANIFEST, Manifest

NAMED = 3  # paths that a message spells out
_AWAY = "The object store does not answer, or refuses; nothing is decided until it does."


def verify(spec: ModelVersionSpec, evidence: Evidence, *, verified_before: bool) -> Finding:
    """Compare the spec with what the store shows.

    A store that is away takes nothing from a version that was verified: an outage must not end a canary.
    """
    if evidence.away:
        if verified_before:
            return Finding(True, reasons.VERIFIED)
        return Finding(None, reasons.STORE_UNAVAILABLE, _AWAY)
    if evidence.malformed:
        return Finding(False, reasons.MANIFEST_MALFORMED, evidence.malformed)
    if evidence.manifest is None:
        return Finding(False, reasons.MANIFEST_MISSING, f"{spec.artifact.uri}{MANIFEST} does not exist")
    return _compare(spec, evidence.manifest, evidence.sizes)


def _compare(spec: ModelVersionSpec, manifest: Manifest, sizes: Mapping[str, int] | None) -> Finding:
    if manifest.digest != spec.artifact.digest:
        return Finding(
            False,
            reasons.DIGEST_MISMATCH,
            f"the manifest's digest is {manifest.digest}, the spec says {spec.artifact.digest}",
        )
    if sizes is None:
        return Finding(True, reasons.VERIFIED)
    return _compare_sizes(manifest, sizes)


def _compare_sizes(manifest: Manifest, sizes: Mapping[str, int]) -> Finding:
    files = sorted(manifest.files)
    missing = [f.path for f in files if f.path not in sizes]
    if missing:
        return Finding(False, reasons.OBJECT_MISSING, _named("the store lacks", missing))
    wrong = [f"{f.path} ({sizes[f.path]} bytes, not {f.size})" for f in files if sizes[f.path] != f.size]
    if wrong:
        return Finding(False, reasons.SIZE_MISMATCH, _named("other sizes than in the manifest:", wrong))
    return Finding(True, reasons.VERIFIED)


def _named(what: str, paths: list[str]) -> str:
    more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
    return f"{what} {', '.join(p if len(p) <= 512 else p[:512] + '…' for p in paths[:NAMED])}{more}"
