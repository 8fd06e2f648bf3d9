"""The surroundings of a replayed Rollout: pods are ready and the Gateway agrees at once, for only analysis is replayed.

What the rollout's own `decide` plans is carried out here, in memory.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trainyard import naming
from trainyard.reconciling.plan import Action, Plan, WriteStatus
from trainyard.resources.rollout import Rollout
from trainyard.rollout import revisions
from trainyard.rollout.state import ApplyObject, Observed, Progress, Remember, ShiftTraffic, Stored
from trainyard.systems.bundle import Config
from trainyard.systems.cluster.port import DEPLOYMENT, SERVICE, Obj


@dataclass
class World:
    """Everything that one Rollout sees, and the operator's memory of it. `clock`: its monotonic clock in seconds."""

    obj: dict[str, Any]
    config: Config
    versions: tuple[Any, ...] = ()
    clock: float = 0.0
    progress: Progress | None = None
    route: Obj | None = None
    deployments: dict[str, Obj] = field(default_factory=dict)
    services: dict[str, Obj] = field(default_factory=dict)
    stored: dict[str, Stored] = field(default_factory=dict)
    _made: int = 0

    def edit(self, **spec: Any) -> None:
        """Change the spec, as a person does."""
        meta = self.obj["metadata"]
        self.obj = {
            **self.obj,
            "metadata": {**meta, "generation": meta["generation"] + 1},
            "spec": {**self.obj["spec"], **spec},
        }

    @property
    def status(self) -> Mapping[str, Any]:
        """The Rollout's status."""
        return self.obj.get("status") or {}

    def observed(self, rollout: Rollout, **more: Any) -> Observed:
        """Return what the operator would see."""
        return Observed(
            self.obj,
            rollout,
            "",
            self.config,
            self.clock,
            versions=self.versions,
            route=self.route,
            deployments=dict(self.deployments),
            services=dict(self.services),
            stored=dict(self.stored),
            progress=self.progress,
            **more,
        )

    def carry_out(self, plan: Plan) -> bool:
        """Do what was planned; whether anything changed."""
        before = (self._made, self.obj.get("status"))
        for action in plan.actions:
            self._do(action)
        if plan.status is not None:
            self.obj = {**self.obj, "status": plan.status}
        return before != (self._made, self.obj.get("status"))

    def _do(self, action: Action) -> None:
        """Carry out one intention; marks and removals come once the canary has ended, when nobody looks any more."""
        match action:
            case Remember(progress):
                self.progress = progress
            case WriteStatus(status):
                self.obj = {**self.obj, "status": status}
            case ApplyObject(manifest):
                self._apply(manifest)
            case ShiftTraffic(manifest, _):
                self.route = self._accepted(manifest)

    def _living(self, manifest: Obj) -> dict[str, Any]:
        """Return an object as the API server keeps it."""
        self._made += 1
        meta = {**manifest["metadata"], "uid": manifest["metadata"]["name"], "generation": self._made}
        return {**manifest, "metadata": {**meta, "resourceVersion": str(self._made)}}

    def _apply(self, manifest: Obj) -> None:
        revision = manifest["metadata"]["labels"][naming.LABEL_REVISION]
        living = self._living(manifest)
        if manifest["kind"] == DEPLOYMENT.kind:
            self.deployments[revision] = {**living, "status": _ready(living)}
        elif manifest["kind"] == SERVICE.kind:
            self.services[revision] = living
        else:
            kept = {**self.stored[revision].obj, **living} if revision in self.stored else living
            found = revisions.parse_stored(kept)
            if found:
                self.stored[revision] = found

    def _accepted(self, manifest: Obj) -> Obj:
        """Return a route that every Gateway has taken."""
        living = self._living(manifest)
        generation = living["metadata"]["generation"]
        conditions = [
            {"type": kind, "status": "True", "observedGeneration": generation} for kind in ("Accepted", "ResolvedRefs")
        ]
        parents = [{"parentRef": ref, "conditions": conditions} for ref in manifest["spec"].get("parentRefs", ())]
        return {**living, "status": {"parents": parents}}


def _ready(deployment: Obj) -> dict[str, Any]:
    replicas = deployment["spec"].get("replicas", 1)
    told = {"observedGeneration": deployment["metadata"]["generation"], "replicas": replicas}
    return {**told, "updatedReplicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas}
