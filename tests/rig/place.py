"""One namespace of the rig with a Rollout in it, the operator's room over it, and the hands of everybody else.

No kubelet and no Gateway run on the rig: the statuses of Deployments and of the route are written here.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from local.rig import ApiServerRig
from tests.fakes.artifacts import FakeArtifacts
from tests.fakes.metadata import FakeMetadata
from tests.fakes.prometheus import ScriptedPrometheus, by_revision
from tests.golden.rollout.manifests import CONFIG, PARENTS, TARGET
from tests.rig.tiny_processes import audited
from trainyard import naming
from trainyard.reconciling.cycle import Cycle
from trainyard.rollout.room import RolloutRoom
from trainyard.systems.bundle import Systems
from trainyard.systems.cluster.client import KubernetesCluster
from trainyard.systems.cluster.port import (
    CONTROLLER_REVISION,
    DEPLOYMENT,
    HTTP_ROUTE,
    MODEL_VERSION,
    ROLLOUT,
    SERVICE,
    Conflict,
    Kind,
    Obj,
    Ref,
)
from trainyard.systems.cluster.transport import Transport
from trainyard.systems.prometheus.port import Answer

OPERATOR = "operator-rollout"
STEPS = [{"setWeight": 20}, {"pause": {}}, {"setWeight": 40}, {"pause": {"durationSeconds": 60}}]


async def connect(kubeconfig: Path) -> tuple[KubernetesCluster, Transport]:
    """Return a client and what it must be closed by."""
    configuration = Configuration()
    await config.load_kube_config(str(kubeconfig), client_configuration=configuration)  # type: ignore[no-untyped-call] # no types there
    transport = Transport(ApiClient(configuration))
    return KubernetesCluster(transport), transport


class Place:
    """One namespace, the operator's room over it, and the hands of everybody else."""

    def __init__(self, rig: ApiServerRig, theirs: KubernetesCluster, ours: KubernetesCluster, namespace: str) -> None:
        self.rig, self.cluster, self.namespace = rig, theirs, namespace
        self.now = datetime.now(UTC)  # noqa: TID251 - the API server stamps deletions with the real time
        self.monotonic = 0.0
        self.due: float | None = None
        self.key = Ref(ROLLOUT, namespace, "churn")
        self.broken: set[str] = set()
        self.routed: dict[str, int] = {}  # revision -> weight, as the Gateway last saw it
        self.serves: dict[str, str] = {}  # revision -> version
        self.database = FakeMetadata()
        self.prometheus = ScriptedPrometheus(now=lambda: self.now)
        systems = Systems(ours, {}, FakeArtifacts(), self.prometheus, self.database, CONFIG)
        self.cycle = Cycle(RolloutRoom(lambda: self.monotonic), systems, ours, self._record)

    async def _record(self, rows: Any) -> bool:
        await self.database.record(rows)
        return True

    async def add(self, obj: Mapping[str, Any]) -> None:
        """Create an object in this namespace, with its status."""
        meta = {**obj["metadata"], "namespace": self.namespace}
        made = await self.cluster.create({**obj, "metadata": meta})
        if obj.get("status"):
            kind = MODEL_VERSION if obj["kind"] == "ModelVersion" else HTTP_ROUTE
            await self.cluster.patch(self._ref(kind, made), {"status": obj["status"]}, status=True)

    async def rollout(self, name: str = "churn", **spec: Any) -> None:
        """Create a Rollout as a user."""
        base = {
            "model": "churn",
            "version": {"latest": {}},
            "target": TARGET,
            "strategy": {"canary": {"steps": STEPS}},
            "scaleDownDelaySeconds": 30,
        }
        meta = {"name": name, "namespace": self.namespace}
        await self.cluster.create(
            {"apiVersion": naming.API_VERSION, "kind": "Rollout", "metadata": meta, "spec": base | spec}
        )

    async def edit(self, **spec: Any) -> None:
        """Merge-patch the Rollout's spec."""
        await self.cluster.patch(self.key, {"spec": spec})

    async def settle(self, seconds: float = 0.0) -> None:
        """Let everybody act until nobody writes any more, then let time pass in the operator's own rhythm."""
        end = self.monotonic + seconds
        await self._quiet()
        while self.monotonic < end:
            step = min(self.due or 600.0, end - self.monotonic)
            self.monotonic += step
            self.now += timedelta(seconds=step)
            await self._quiet()

    async def gone(self, seconds: float = 120.0) -> None:
        """Settle until the deleted Rollout is away: the garbage collector has its own rhythm, 30 s for new kinds."""
        async with asyncio.timeout(seconds):
            await self.settle()
            while await self.object() is not None:
                await asyncio.sleep(0.2)
                await self.settle()

    async def _quiet(self) -> None:
        for _ in range(60):
            before = await self._versions()
            try:
                outcome = await self.cycle.run(self.key, self.now)
                self.due = outcome.revisit_after
            except Conflict:
                continue
            await self._deployments()
            await self._gateway()
            if before == await self._versions() and not (self.due is not None and self.due < 0.01):
                return
        raise AssertionError("it never goes quiet")

    async def _versions(self) -> list[str]:
        kinds = (ROLLOUT, DEPLOYMENT, SERVICE, HTTP_ROUTE, CONTROLLER_REVISION)
        objects = [obj for kind in kinds for obj in await self.cluster.list(kind, self.namespace)]
        return [obj["metadata"]["resourceVersion"] for obj in objects]

    async def _deployments(self) -> None:
        for obj in await self.cluster.list(DEPLOYMENT, self.namespace):
            replicas = obj["spec"]["replicas"]
            name = obj["metadata"]["labels"][naming.LABEL_VERSION]
            self.serves[obj["metadata"]["labels"][naming.LABEL_REVISION]] = name
            ready = 0 if name in self.broken else replicas
            status = {
                "observedGeneration": obj["metadata"]["generation"],
                "replicas": replicas,
                "updatedReplicas": replicas,
                "readyReplicas": ready,
                "availableReplicas": ready,
            }
            if {k: v for k, v in status.items() if v} != {k: v for k, v in obj["status"].items() if v}:
                await self.cluster.patch(self._ref(DEPLOYMENT, obj), {"status": status}, status=True)

    async def _gateway(self) -> None:
        for obj in await self.cluster.list(HTTP_ROUTE, self.namespace):
            generation = obj["metadata"]["generation"]
            backends = obj["spec"]["rules"][-1]["backendRefs"]
            self.routed = {b["name"].rpartition("-")[2]: b["weight"] for b in backends}
            told = obj.get("status", {}).get("parents") or [{"conditions": [{"observedGeneration": 0}]}]
            if told[0]["conditions"][0]["observedGeneration"] != generation:
                await self.cluster.patch(self._ref(HTTP_ROUTE, obj), {"status": _accepted(generation)}, status=True)

    def _ref(self, kind: Kind, obj: Obj) -> Ref:
        return Ref(kind, self.namespace, obj["metadata"]["name"])

    async def object(self) -> Any:
        """The Rollout as it stands."""
        return await self.cluster.get(self.key)

    # ---- Prometheus ----

    def measure(self, errors: Callable[[str, datetime], float], requests: float = 1000.0) -> None:
        """Let versions answer with these shares of errors, and traffic, so many requests in all, follow the weights."""
        self.prometheus.on("code=~", lambda _, at: self.series(at, lambda name, _: errors(name, at)))
        self.prometheus.on("increase(", lambda _, at: self.series(at, lambda _, weight: requests * weight / 100))

    def series(self, at: datetime, value: Callable[[str, int], float]) -> Answer:
        """One series per version that the route names, its value from its name and its weight."""
        values = {revision: value(self.serves[revision], weight) for revision, weight in self.routed.items()}
        return by_revision(at, self.namespace, "churn", values)

    # ---- what is there ----

    async def status(self) -> Any:
        """The Rollout's status."""
        return (await self.object())["status"]

    async def endings(self) -> list[str]:
        """How canaries ended, the last first: `v2 Aborted: why`."""
        return [f"{e['version']} {e['outcome']}: {e['message']}" for e in (await self.status()).get("history", ())]

    async def condition(self, kind: str) -> tuple[str, str]:
        """(status, reason) of a condition."""
        conditions = (await self.object())["status"]["conditions"]
        return next((c["status"], c["reason"]) for c in conditions if c["type"] == kind)

    async def route(self) -> Any:
        """The route of the Rollout, None where there is none."""
        return await self.cluster.get(Ref(HTTP_ROUTE, self.namespace, "churn"))

    async def shares(self) -> dict[str, int]:
        """Version -> weight in the route."""
        stored = await self.cluster.list(CONTROLLER_REVISION, self.namespace)
        names = {s["metadata"]["name"]: s["data"]["version"] for s in stored}
        backends = (await self.route())["spec"]["rules"][-1]["backendRefs"]
        return {names[b["name"]]: b["weight"] for b in backends}

    def writes(self) -> list[str]:
        """What the operator wrote in this namespace so far, from the audit log: events are left to `events`."""
        return [w for w in self._all_writes() if not w.endswith("events")]

    def events(self) -> int:
        """How many events the operator posted here."""
        return len([w for w in self._all_writes() if w.endswith("events")])

    def _all_writes(self) -> list[str]:
        entries = [e["objectRef"] | {"verb": e["verb"]} for e in audited(self.rig, OPERATOR)]
        mine = [e for e in entries if e.get("namespace") == self.namespace]
        return [f"{e['verb']} {e['resource']}{'/status' if e.get('subresource') else ''}" for e in mine]


def _accepted(generation: int) -> dict[str, Any]:
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": kind,
            "message": "",
            "observedGeneration": generation,
            "lastTransitionTime": "2026-11-24T06:00:00Z",
        }
        for kind in ("Accepted", "ResolvedRefs")
    ]
    return {"parents": [{"parentRef": PARENTS[0], "controllerName": "test.example/gateway", "conditions": conditions}]}
