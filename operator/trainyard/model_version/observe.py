"""Read what a decision about a ModelVersion needs: the object, the store, the namespace's Rollouts. Reads only."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from trainyard.model_version.claims import claims_beside
from trainyard.model_version.location import misplaced
from trainyard.model_version.serving import serving_of
from trainyard.model_version.state import Evidence, Observed
from trainyard.resources.base import ObjectMeta, first_wrong, status_of
from trainyard.resources.conditions import is_true
from trainyard.resources.model_version import ModelVersionSpec, ModelVersionStatus
from trainyard.systems.artifacts.addresses import check_key
from trainyard.systems.artifacts.port import MANIFEST, ArtifactError, Artifacts, Manifest, parse_manifest
from trainyard.systems.bundle import Systems
from trainyard.systems.cluster.port import MODEL_VERSION, ROLLOUT, Cluster, Obj

log = logging.getLogger(__name__)

# Where a Rollout's status names a version.
ROLES = ("status.stable.version", "status.canary.version", "status.history.version")
MANIFEST_LIMIT = 8 * 2**20  # bytes, as the engine's; some 60,000 files


async def observe(obj: Mapping[str, Any], systems: Systems) -> Observed:
    """Read everything about one object. The store is asked only for an artifact that lies where it may."""
    meta = ObjectMeta.model_validate(obj["metadata"])
    spec, problem = _spec(obj)
    status = status_of(obj, ModelVersionStatus)
    serving = serving_of(meta.name, await _speaking_of(meta, systems.cluster))
    if spec is None:
        return Observed(meta, None, status, problem=problem, serving=serving)
    wrong = misplaced(spec.artifact.uri, systems.config.bucket, meta.namespace)
    if wrong or meta.deletion_timestamp:
        return Observed(meta, spec, status, misplaced=wrong, serving=serving)
    settled = status.decision is not None and is_true(status.conditions, "Verified")
    evidence = await _evidence(spec.artifact.uri, systems.artifacts, listed=not settled)
    claims = claims_beside(meta.name, spec, await _siblings(spec, meta.namespace, systems.cluster))
    return Observed(meta, spec, status, serving=serving, evidence=evidence, claims=claims)


async def _speaking_of(version: ObjectMeta, cluster: Cluster) -> Iterable[Obj]:
    """Return the Rollouts whose status names the version, each once, by name."""
    found: dict[str, Obj] = {}
    for field in ROLES:
        rollouts = await cluster.list(ROLLOUT, version.namespace, fields={field: version.name})
        found |= {str(rollout["metadata"]["name"]): rollout for rollout in rollouts}
    return [found[name] for name in sorted(found)]


async def _siblings(spec: ModelVersionSpec, namespace: str, cluster: Cluster) -> Iterable[Obj]:
    """Return the versions of the model, () where no alias has to be told apart."""
    return await cluster.list(MODEL_VERSION, namespace, fields={"spec.model": spec.model}) if spec.aliases else ()


async def _evidence(uri: str, artifacts: Artifacts, *, listed: bool) -> Evidence:
    try:
        text = await artifacts.read(uri + MANIFEST, MANIFEST_LIMIT)
        objects = await artifacts.list(uri) if listed and text is not None else None
    except ArtifactError as error:
        log.warning("the object store does not show %s: %s", uri, error)
        return Evidence(away=True)
    if text is None:
        return Evidence()
    try:
        manifest = _manifest(text)
    except ValueError as error:
        return Evidence(malformed=str(error)[:512])
    return Evidence(manifest=manifest, sizes=None if objects is None else {o.path: o.size for o in objects})


def _manifest(text: bytes) -> Manifest:
    """Read a manifest whose paths stay in its own folder and whose list is a model. Raises ValueError."""
    manifest = parse_manifest(text)
    paths = [f.path for f in manifest.files]
    for path in paths:
        check_key(path)
    if not paths or len(paths) != len(set(paths)):
        raise ValueError("manifest.json lists no file, or one twice")
    return manifest


def _spec(obj: Mapping[str, Any]) -> tuple[ModelVersionSpec | None, str]:
    try:
        return ModelVersionSpec.model_validate(obj.get("spec") or {}), ""
    except ValidationError as error:
        return None, f"spec.{first_wrong(error)}"
