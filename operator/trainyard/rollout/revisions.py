"""Revisions: what one is, how it is read back, and which one is wanted. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from trainyard import naming
from trainyard.resources.aliases import age_key
from trainyard.resources.rollout import RevisionStatus, Rollout, RolloutStatus, Serving
from trainyard.rollout.state import Candidate, Observed, Stored
from trainyard.systems.cluster.port import Obj

REJECTED = ("Aborted",)  # outcomes after which a revision is refused until a person retries it
SERVED = ("Promoted", "FastPromoted")  # outcomes after which a revision is stable


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


def number(stored: Stored) -> int:
    """Return a kept revision's place in the order in which they were made, whatever the clock said meanwhile."""
    return int(stored.obj.get("revision") or 0)


def status_of(stored: Stored) -> RevisionStatus:
    """Return a kept revision as status has it."""
    return RevisionStatus(revision=stored.revision, version=stored.version, digest=stored.digest, run=stored.run)


def stable_lately(status: RolloutStatus, window: int) -> tuple[str, ...]:
    """Return the revisions that were stable last before the present one, at most `window`, newest first."""
    served = (entry.revision for entry in status.history if entry.outcome in SERVED)
    present = status.stable.revision if status.stable else ""
    return tuple(dict.fromkeys(revision for revision in served if revision != present))[:window]


def rejected(status: RolloutStatus, stored: Mapping[str, Stored]) -> frozenset[str]:
    """Return the revisions that were rejected here: status tells the last ones, the marks on their objects all."""
    serves = {status.stable.revision} if status.stable else set()
    marked = {revision for revision, kept in stored.items() if kept.outcome in REJECTED}
    return frozenset((marked | set(status.rejected)) - serves)


def rejected_versions(status: RolloutStatus, stored: Mapping[str, Stored]) -> frozenset[str]:
    """Return the versions of which a revision was rejected here."""
    refused = rejected(status, stored)
    kept = {s.version for s in stored.values() if s.revision in refused}
    told = {entry.version for entry in status.history if entry.revision in refused}
    return frozenset(kept | told)


def wanted(rollout: Rollout, status: RolloutStatus, serving: Serving, seen: Observed) -> Wanted:
    """Return what the spec asks for, given what serves and what was rejected."""
    asked = rollout.spec.version
    if asked.name is not None:
        return _pinned(asked.name, status, serving, seen)
    following = _Following(rollout, status, serving, seen)
    return following.alias(asked.alias) if asked.alias is not None else following.latest()


def _pinned(name: str, status: RolloutStatus, serving: Serving, seen: Observed) -> Wanted:
    candidate = next((v for v in seen.versions if v.name == name), None)
    if candidate is None:
        return Wanted(reason="VersionNotFound", message=f"no ModelVersion {name} of this model")
    revision = revision_of(candidate, serving)
    serves = status.stable is not None and status.stable.revision == revision.revision
    if not candidate.ready and not serves:
        return Wanted(reason="VersionNotReady", message=f"ModelVersion {name} is not ready: {candidate.why}")
    if revision.revision in rejected(status, seen.stored):
        return Wanted(status.stable, refused=revision)
    return Wanted(revision, candidate)


@dataclass(frozen=True)
class _Following:
    """What an alias or `latest` leads to. Neither follows to what was rejected, nor by itself to what is older."""

    rollout: Rollout
    status: RolloutStatus
    serving: Serving
    seen: Observed

    def latest(self) -> Wanted:
        """Return the newest Ready version, or the canary's where newer ones have to wait for it."""
        queued = self._queued()
        if queued is not None:
            return Wanted(revision_of(queued, self.serving), queued)
        return self._newest(self._not_older(v for v in self.seen.versions if v.ready))

    def alias(self, alias: str) -> Wanted:
        """Return the alias's holder. An older one than stable is followed only where stable lost the alias by a hand.

        A stable version that lists it and is not ready any more, or is gone, has lost it by an accident.
        """
        listing = [v for v in self.seen.versions if v.ready and alias in v.aliases]
        stable, held = self._living_stable(), max(listing, key=lambda v: v.age_key, default=None)
        is_older = held is not None and not self._not_older([held])
        if stable is not None and alias in stable.aliases and (held is None or is_older):
            return _pinned(stable.name, self.status, self.serving, self.seen)
        if held is None:
            return Wanted(reason="AliasUnheld", message=f"no ready ModelVersion of this model lists alias {alias}")
        if is_older and stable is None:
            message = f"ModelVersion {held.name} holds alias {alias}; it is older than what serves, which is gone"
            return Wanted(reason="AliasBehind", message=message)
        return self._newest([held] if is_older else self._not_older(listing))

    def _newest(self, open_to: list[Candidate]) -> Wanted:
        """Return the newest of these that was not rejected here, else what serves."""
        ordered = sorted(open_to, key=lambda v: v.age_key)
        refused = rejected_versions(self.status, self.seen.stored)
        free = [v for v in ordered if v.name not in refused or self._is_stable(v)]
        blocked = revision_of(ordered[-1], self.serving) if ordered and ordered[-1] not in free else None
        chosen = revision_of(free[-1], self.serving) if free else None
        if chosen is not None and chosen.revision not in rejected(self.status, self.seen.stored):
            return Wanted(chosen, free[-1], refused=blocked)
        if self.status.stable is not None:
            return Wanted(self.status.stable, refused=blocked or chosen)
        return Wanted(reason="NoVersion", message="no ModelVersion of this model is ready", refused=blocked)

    def _is_stable(self, candidate: Candidate) -> bool:
        return self.status.stable is not None and self.status.stable.version == candidate.name

    def _queued(self) -> Candidate | None:
        latest, canary = self.rollout.spec.version.latest, self.status.canary
        if canary is None or latest is None or latest.while_progressing != "Queue":
            return None
        return next((v for v in self.seen.versions if v.name == canary.version and v.ready), None)

    def _living_stable(self) -> Candidate | None:
        return next((v for v in self.seen.versions if self._is_stable(v)), None)

    def _not_older(self, versions: Iterable[Candidate]) -> list[Candidate]:
        """Return those that are not older than what serves."""
        if self.status.stable is None:
            return list(versions)
        kept, living = self.seen.stored.get(self.status.stable.revision), self._living_stable()
        created = living.created_at if living else kept.created_at if kept else ""
        floor = age_key(created, self.status.stable.version)
        return [v for v in versions if v.age_key >= floor]
