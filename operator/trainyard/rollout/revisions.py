"""Revisions: what one is, how it is read back, and which one is wanted. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from trainyard import naming
from trainyard.resources.rollout import RevisionStatus, Rollout, RolloutStatus, Serving
from trainyard.rollout.state import Candidate, Observed, Stored
from trainyard.systems.cluster.port import Obj

REJECTED = ("Aborted",)  # outcomes after which a revision is refused until a person retries it


@dataclass(frozen=True)
class Wanted:
    """The revision that the spec asks for, or why there is none; `refused`: it was rejected before."""

    revision: RevisionStatus | None = None
    candidate: Candidate | None = None
    reason: str = ""
    message: str = ""
    refused: RevisionStatus | None = None


def serving_identity(serving: Serving) -> dict[str, Any]:
    """Return what of `serving` makes a revision. Defaults are left out, so a new field changes no hash."""
    chosen = serving.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    chosen.pop("replicas", None)
    return chosen


def revision_of(candidate: Candidate, serving: Serving) -> RevisionStatus:
    """Return the revision that a version becomes with this serving."""
    name = naming.rollout_revision(candidate.name, candidate.digest, serving_identity(serving))
    return RevisionStatus(revision=name, version=candidate.name, digest=candidate.digest, run=candidate.run)


def parse_stored(obj: Obj) -> Stored | None:
    """Read a ControllerRevision of a Rollout; None where it is not one."""
    meta, data = obj.get("metadata", {}), obj.get("data")
    revision = (meta.get("labels") or {}).get(naming.LABEL_REVISION)
    if not isinstance(data, Mapping) or not revision or not {"version", "digest", "deployment", "service"} <= set(data):
        return None
    outcome = str((meta.get("annotations") or {}).get(naming.ANNOTATION_OUTCOME, ""))
    return Stored(
        revision,
        str(data["version"]),
        str(data["digest"]),
        str(data.get("run") or "") or None,
        str(data.get("createdAt", "")),
        data["deployment"],
        data["service"],
        outcome,
        obj,
    )


def status_of(stored: Stored) -> RevisionStatus:
    """Return a kept revision as status has it."""
    return RevisionStatus(revision=stored.revision, version=stored.version, digest=stored.digest, run=stored.run)


def rejected_versions(status: RolloutStatus, stored: Mapping[str, Stored]) -> frozenset[str]:
    """Return the versions of which a revision was rejected here."""
    kept = {s.version for s in stored.values() if s.revision in status.rejected}
    told = {entry.version for entry in status.history if entry.revision in status.rejected}
    return frozenset(kept | told)


def wanted(rollout: Rollout, status: RolloutStatus, serving: Serving, seen: Observed) -> Wanted:
    """Return what the spec asks for, given what serves and what was rejected."""
    if rollout.spec.version.name is not None:
        return _pinned(rollout.spec.version.name, status, serving, seen.versions)
    return _latest(rollout, status, serving, seen)


def _pinned(name: str, status: RolloutStatus, serving: Serving, versions: Iterable[Candidate]) -> Wanted:
    candidate = next((v for v in versions if v.name == name), None)
    if candidate is None:
        return Wanted(reason="VersionNotFound", message=f"no ModelVersion {name} of this model")
    revision = revision_of(candidate, serving)
    serves = status.stable is not None and status.stable.revision == revision.revision
    if not candidate.ready and not serves:
        return Wanted(reason="VersionNotReady", message=f"ModelVersion {name} is not ready: {candidate.why}")
    if revision.revision in status.rejected:
        return Wanted(status.stable, refused=revision)
    return Wanted(revision, candidate)


def _latest(rollout: Rollout, status: RolloutStatus, serving: Serving, seen: Observed) -> Wanted:
    following = _queued(rollout, status, seen.versions)
    if following is not None:
        return Wanted(revision_of(following, serving), following)
    ready = sorted((v for v in seen.versions if v.ready), key=lambda v: v.age_key)
    floor = _floor(status, seen)
    newer = [v for v in ready if floor is None or v.age_key >= floor]
    refused = rejected_versions(status, seen.stored)
    open_to = [v for v in newer if v.name not in refused or _is_stable(v, status)]
    newest = newer[-1] if newer else None
    blocked = (
        revision_of(newest, serving) if newest and newest.name in refused and not _is_stable(newest, status) else None
    )
    if open_to:
        return Wanted(revision_of(open_to[-1], serving), open_to[-1], refused=blocked)
    if status.stable is not None:
        return Wanted(status.stable, refused=blocked)
    return Wanted(reason="NoVersion", message="no ModelVersion of this model is ready", refused=blocked)


def _is_stable(candidate: Candidate, status: RolloutStatus) -> bool:
    return status.stable is not None and status.stable.version == candidate.name


def _queued(rollout: Rollout, status: RolloutStatus, versions: Iterable[Candidate]) -> Candidate | None:
    """Return the canary's version where newer ones have to wait for it."""
    latest = rollout.spec.version.latest
    if status.canary is None or latest is None or latest.while_progressing != "Queue":
        return None
    return next((v for v in versions if v.name == status.canary.version and v.ready), None)


def _floor(status: RolloutStatus, seen: Observed) -> tuple[str, str] | None:
    """Return the age of stable's version: nothing older is followed."""
    if status.stable is None:
        return None
    kept = seen.stored.get(status.stable.revision)
    living = next((v for v in seen.versions if v.name == status.stable.version), None)
    created = living.created_at if living else kept.created_at if kept else ""
    return (created, status.stable.version)
