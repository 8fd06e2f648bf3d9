"""Read what a decision about a Rollout needs: its objects, the versions of its model, and Prometheus when it is due.

Nothing here raises for what somebody else wrote: what cannot be read is left out, or becomes a sentence.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from trainyard import naming
from trainyard.resources.base import first_wrong, status_of
from trainyard.resources.conditions import find
from trainyard.resources.model_version import ModelVersion
from trainyard.resources.rollout import Rollout, RolloutStatus
from trainyard.rollout import revisions
from trainyard.rollout.asking import Shared, measure
from trainyard.rollout.gateway import Gateways, Offer, needed
from trainyard.rollout.known import Known
from trainyard.rollout.situation import available
from trainyard.rollout.state import Candidate, Observed, Progress, Rival, Stored
from trainyard.systems.bundle import Systems
from trainyard.systems.cluster.port import (
    CONTROLLER_REVISION,
    DEPLOYMENT,
    GATEWAY,
    HTTP_ROUTE,
    MODEL_VERSION,
    POD,
    ROLLOUT,
    SERVICE,
    Kind,
    Obj,
    Ref,
)

HOSTNAMES = "spec.target.kubernetes.traffic.hostnames"


@dataclass(frozen=True)
class Neighbours:
    """What this process made of the other objects that every Rollout looks at, and the queries that they share."""

    rivals: Known[Rival | None] = field(default_factory=lambda: Known(_rival))
    versions: Known[Candidate | None] = field(default_factory=lambda: Known(_candidate))
    shared: Shared = field(default_factory=Shared)
    gateways: Gateways = field(default_factory=Gateways)


async def observe(
    obj: Obj, systems: Systems, before: Progress | None, monotonic: float, neighbours: Neighbours
) -> Observed:
    """Read the Rollout's world. `before` is what the process remembers, `monotonic` its clock in seconds."""
    rollout, problem = read_rollout(obj)
    if rollout is None:
        return Observed(obj, None, problem, systems.config, monotonic)
    reader = _Reader(rollout, systems, neighbours)
    # At the same time: when they are read live, each is a request that something waits for.
    own = asyncio.gather(
        reader.by_revision(DEPLOYMENT), reader.by_revision(SERVICE), reader.stored(), reader.route(), reader.versions()
    )
    deployments, services, stored, route, versions = await own
    return Observed(
        obj,
        rollout,
        "",
        systems.config,
        monotonic,
        versions=versions,
        route=route,
        deployments=deployments,
        services=services,
        stored=stored,
        pods=await reader.pods(deployments),
        rivals=await reader.rivals(),
        offers=await reader.offers(monotonic),
        progress=before,
        measurement=await measure(rollout, systems, route, before, monotonic, neighbours.shared),
    )


def read_rollout(obj: Obj) -> tuple[Rollout | None, str]:
    """Parse the object; a status that cannot be read counts as lost."""
    try:
        return Rollout.model_validate({**obj, "status": status_of(obj, RolloutStatus)}), ""
    except ValidationError as error:
        return None, first_wrong(error)[:500]


class _Reader:
    """Reads of one visit, from the stores. What moves weight or deletes is decided again on live ones (`state`)."""

    def __init__(self, rollout: Rollout, systems: Systems, neighbours: Neighbours) -> None:
        self.rollout = rollout
        self.neighbours = neighbours
        self.cluster = systems.cluster
        self.namespace = rollout.metadata.namespace
        self.ending = rollout.metadata.deletion_timestamp is not None

    async def _mine(self, kind: Kind, more: Mapping[str, str] | None = None) -> tuple[Obj, ...]:
        labels = {**naming.MANAGED_BY, naming.LABEL_ROLLOUT: self.rollout.metadata.name, **(more or {})}
        return await self.cluster.list(kind, self.namespace, labels, live=self.ending)

    async def by_revision(self, kind: Kind) -> dict[str, Obj]:
        """Return our objects of a kind by their revision.

        A list may not know yet what stable and canary have: that is asked for by its name.
        """
        found = {revision: obj for obj in await self._mine(kind) if (revision := self._revision_of(obj))}
        roles = (self.rollout.status.stable, self.rollout.status.canary)
        missing = [role.revision for role in roles if role and role.revision not in found]
        names = [naming.revision_object(self.rollout.metadata.name, revision) for revision in missing]
        refs = [Ref(kind, self.namespace, name) for name in names]
        asked = await asyncio.gather(*(self.cluster.get(ref, live=self.ending) for ref in refs))
        return found | {revision: obj for obj in asked if obj and (revision := self._revision_of(obj))}

    def _revision_of(self, obj: Obj) -> str:
        """Return the revision of this Rollout that an object belongs to, "" for none."""
        labels = obj["metadata"].get("labels") or {}
        ours = {**naming.MANAGED_BY, naming.LABEL_ROLLOUT: self.rollout.metadata.name}
        return str(labels.get(naming.LABEL_REVISION, "")) if ours.items() <= labels.items() else ""

    async def stored(self) -> dict[str, Stored]:
        """Return the kept revisions."""
        parsed = (revisions.parse_stored(obj) for obj in await self._mine(CONTROLLER_REVISION))
        return {stored.revision: stored for stored in parsed if stored}

    async def route(self) -> Obj | None:
        """Return the route of our name, whoever owns it."""
        return await self.cluster.get(Ref(HTTP_ROUTE, self.namespace, self.rollout.metadata.name), live=self.ending)

    async def pods(self, deployments: Mapping[str, Obj]) -> dict[str, tuple[Obj, ...]]:
        """Return the pods of the revisions that lack some: they tell why."""
        short = [r for r, d in deployments.items() if available(d) < int(d.get("spec", {}).get("replicas", 1))]
        return {r: await self._mine(POD, {naming.LABEL_REVISION: r}) for r in sorted(short)}

    async def versions(self) -> tuple[Candidate, ...]:
        """Return the versions of the model; what cannot be read is left out.

        That the canary's is gone or no longer ready takes its traffic away, and a list may be behind: it is asked for.
        """
        mine = {"spec.model": self.rollout.spec.model}
        listed = await self.cluster.list(MODEL_VERSION, self.namespace, fields=mine)
        found = [one for one in self.neighbours.versions.of(listed).values() if one]
        canary = self.rollout.status.canary
        if canary is not None and not any(one.name == canary.version and one.ready for one in found):
            asked = await self.cluster.get(Ref(MODEL_VERSION, self.namespace, canary.version), live=True)
            now = _candidate(asked) if asked else None
            found = [one for one in found if one.name != canary.version] + ([now] if now else [])
        return tuple(found)

    async def offers(self, monotonic: float) -> tuple[Offer, ...]:
        """Return what the Rollout's Gateways offer, () where it needs nothing of them that not all have."""
        target = self.rollout.spec.target.kubernetes
        if target is None or not needed(self.rollout.spec):
            return ()
        parents = dict.fromkeys(Ref(GATEWAY, p.namespace or self.namespace, p.name) for p in target.traffic.parent_refs)
        return await self.neighbours.gateways.offers(self.cluster, parents, monotonic)

    async def rivals(self) -> tuple[Rival, ...]:
        """Return the other Rollouts of the namespace that ask for one of its hosts; no host is one of its own."""
        target = self.rollout.spec.target.kubernetes
        hosts = target.traffic.hostnames if target else ()
        found: dict[str, Rival | None] = {}
        for host in hosts or ("",):
            objects = await self.cluster.list(ROLLOUT, self.namespace, fields={HOSTNAMES: host})
            found |= self.neighbours.rivals.of(objects)
        return tuple(rival for uid, rival in found.items() if rival and uid != self.rollout.metadata.uid)


def _version(obj: Obj) -> ModelVersion | None:
    try:
        return ModelVersion.model_validate({**obj, "status": obj.get("status") or {}})
    except ValidationError:
        return None


def _candidate(obj: Obj) -> Candidate | None:
    """Return a version, None where it cannot be read."""
    version = _version(obj)
    if version is None:
        return None
    ready = find(version.status.conditions, "Ready")
    is_ready = ready is not None and ready.status == "True" and version.metadata.deletion_timestamp is None
    why = "it is being deleted" if version.metadata.deletion_timestamp else ready.reason if ready else "not judged yet"
    return Candidate(
        version.metadata.name,
        version.spec.artifact.uri,
        version.spec.artifact.digest,
        version.spec.source.run,
        version.spec.created_at,
        is_ready,
        "" if is_ready else why,
        frozenset(version.spec.aliases),
    )


def _rival(obj: Obj) -> Rival | None:
    rollout, _ = read_rollout(obj)
    target = rollout.spec.target.kubernetes if rollout else None
    if rollout is None or target is None:
        return None
    meta, traffic = rollout.metadata, target.traffic
    return Rival(
        meta.name,
        meta.creation_timestamp or "",
        rollout.status.stable is not None,
        traffic.hostnames,
        traffic.path,
        tuple((p.namespace or meta.namespace, p.name) for p in traffic.parent_refs),
        meta.deletion_timestamp is not None,
    )
