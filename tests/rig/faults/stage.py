"""One namespace of a rig with a World in it, the real operator's process, and a proxy between it and the API server.

A stage is used for one story after the other; each has a Rollout of its own name.
"""

import asyncio
import copy
import itertools
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from local import builds
from local.rig import ApiServerRig
from tests.golden.rollout.manifests import PARENTS, version
from tests.rig.faults.proxy import ApiProxy, Seen
from tests.rig.kinds import CRDS
from tests.rig.watched import Mortal, World
from trainyard.systems.cluster.port import DEPLOYMENT, HTTP_ROUTE, MODEL_VERSION, ROLLOUT, Kind, Ref
from trainyard.systems.cluster.transport import Transport

# A watch that is always refused is begun anew, and its kind listed, every 30 s; a first weight needs three looks.
PATIENCE_SECONDS = 180.0
STEPS = [{"setWeight": 20}, {"pause": {}}, {"setWeight": 50}, {"pause": {"durationSeconds": 1}}]
ANALYSIS = {
    "intervalSeconds": 1,
    "windowSeconds": 4,
    "minRequests": 1,
    "metrics": [{"name": "errors", "builtin": "ErrorRate", "max": "0.05", "failureLimit": 0}],
}


def kubectl(rig: ApiServerRig, *arguments: str, stdin: str | None = None) -> str:
    """Run kubectl as the admin; the output."""
    command = [rig.kubectl, "--kubeconfig", str(rig.kubeconfig), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, input=stdin, timeout=150)
    assert done.returncode == 0, done.stderr
    return done.stdout


def furnish(rig: ApiServerRig) -> None:
    """Install our CRDs and those of the Gateway API."""
    gateway, _ = builds.manifests("gateway")
    for folder in (CRDS, gateway):
        kubectl(rig, "apply", "--server-side", "-f", str(folder))
        kubectl(rig, "wait", "--for=condition=Established", "--timeout=60s", "-f", str(folder))


def turn(clock: Path, seconds: float) -> None:
    """Set the operator's clock forward by so much; it reads the file at every look, and never half of it."""
    new = clock.with_suffix(".new")
    new.write_text(str(seconds))
    new.replace(clock)


async def connected(kubeconfig: Path) -> Transport:
    """Return a connection, to be closed."""
    configuration = Configuration(connection_pool_maxsize=0)
    await config.load_kube_config(str(kubeconfig), client_configuration=configuration)  # type: ignore[no-untyped-call] # no types there
    return Transport(ApiClient(configuration))


@dataclass
class Stage:
    """See the module. `revives`: whether an operator that ended is started again while something is waited for."""

    rig: ApiServerRig
    world: World
    proxy: ApiProxy
    operator: Mortal
    log: Path
    revives: bool = True
    lives: int = 0
    deaths: list[int] = field(default_factory=list)

    async def until(self, what: str, probe: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
        """Wait for something true, and return it. AssertionError with `what` and the log's end after a while."""
        deadline = time.monotonic() + seconds
        while not (found := probe()):
            assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}\n{self.told()}"
            if self.revives and (status := await self.operator.ended()) is not None:
                self.deaths.append(status)
                await self.start()
            await asyncio.sleep(0.03)
        return found

    async def start(self) -> None:
        """Start the operator."""
        await self.operator.start()
        self.lives += 1

    def told(self) -> str:
        """What one wants to know when something failed."""
        last = [f"{s.asked.method} {s.asked.path} {s.status}" for s in self.proxy.seen if s.asked.is_write][-12:]
        return "\n".join([str(self.world.routes), *last, self.operator.last_words()])

    # ---- users ----

    async def publish(self, model: str, number: int) -> str:
        """Make a version that may serve."""
        obj = version(f"{model}-v{number}", number)
        meta = {**obj["metadata"], "namespace": self.world.namespace}
        await self.world.cluster.create({**obj, "metadata": meta, "spec": {**obj["spec"], "model": model}})
        ref = Ref(MODEL_VERSION, self.world.namespace, meta["name"])
        await self.world.cluster.patch(ref, {"status": obj["status"]}, status=True)
        return ref.name

    async def create(self, name: str, **spec: Any) -> None:
        """Make a Rollout of the model of its name."""
        target = {
            "kubernetes": {
                "serving": {"replicas": 1},
                "traffic": {"parentRefs": PARENTS, "hostnames": [f"{name}.test"]},
            }
        }
        base: dict[str, Any] = {
            "model": name,
            "version": {"latest": {}},
            "target": target,
            "strategy": {"canary": {"steps": copy.deepcopy(STEPS)}},
            "scaleDownDelaySeconds": 1,
        }
        meta = {"name": name, "namespace": self.world.namespace}
        await self.world.cluster.create(
            {"apiVersion": ROLLOUT.api_version, "kind": "Rollout", "metadata": meta, "spec": base | spec}
        )

    async def edit(self, name: str, **spec: Any) -> None:
        """Merge-patch a Rollout's spec."""
        await self.world.cluster.patch(Ref(ROLLOUT, self.world.namespace, name), {"spec": spec})

    async def act(self, name: str, kind: str, id: str = "1") -> None:
        """Ask for something, as the command line does."""
        await self.edit(name, action={"kind": kind, "id": id, "by": "ada"})

    async def delete(self, name: str) -> None:
        """Delete a Rollout."""
        await self.world.cluster.delete(Ref(ROLLOUT, self.world.namespace, name))

    # ---- what became of it ----

    def shares(self, name: str) -> dict[str, int]:
        """Version -> weight in the route as last seen."""
        last = (self.world.routes.get(name) or [{}])[-1]
        return {self.world.serves.get(backend, backend): weight for backend, weight in last.items()}

    def path_of_weights(self, name: str) -> list[dict[str, int]]:
        """Every state of the route, version -> weight, without repetitions and without backends of weight 0."""
        path: list[dict[str, int]] = []
        for shares in self.world.routes.get(name, []):
            now = {self.world.serves[b]: w for b, w in sorted(shares.items()) if w}
            if path[-1:] != [now]:
                path.append(now)
        return path

    def deployments(self, name: str) -> list[str]:
        """The versions that have a Deployment."""
        mine = (d for d in self.world.all(DEPLOYMENT) if d["metadata"]["name"].startswith(f"{name}-"))
        return sorted(self.world.serves[d["metadata"]["name"]] for d in mine)

    def ended(self, name: str, version: str, outcome: str) -> bool:
        """Whether a version's canary ended so."""
        return any(e["outcome"] == outcome for e in self.world.endings(name, version))

    def is_there(self, name: str) -> bool:
        """Whether the Rollout is there."""
        return any(o["metadata"]["name"] == name for o in self.world.all(ROLLOUT))

    def is_quiet(self, name: str) -> bool:
        """Whether nothing is under way: status speaks of the last generation, and no canary is there."""
        obj = next((o for o in self.world.all(ROLLOUT) if o["metadata"]["name"] == name), None)
        told = (obj or {}).get("status") or {}
        return obj is None or (told.get("observedGeneration") == obj["metadata"]["generation"] and "canary" not in told)

    def outcome(self, name: str) -> Mapping[str, Any]:
        """The end of a story, without times and uids."""
        told = self.world.status(name) if self.is_there(name) else {}
        return {
            "stable": told.get("stable", {}).get("version"),
            "canary": told.get("canary", {}).get("version"),
            "history": [(e["version"], e["outcome"]) for e in told.get("history", ())],
            "conditions": [(c["type"], c["status"], c["reason"]) for c in told.get("conditions", ())],
            "weights": self.shares(name)
            if any(r["metadata"]["name"] == name for r in self.world.all(HTTP_ROUTE))
            else {},
            "deployments": self.deployments(name),
            "made": sorted(kind for kind, made in self.world.made if made.startswith(name)),
        }

    def writes_of(self, name: str) -> list[Seen]:
        """The operator's writes for a Rollout that the API server took, Events left out."""
        mine = (s for s in self.proxy.seen if s.asked.number and s.asked.name.startswith(name))
        return [s for s in mine if s.asked.kind != "events" and s.status is not None and s.status < 300]


_numbers = itertools.count(1)


@asynccontextmanager
async def staged(rig: ApiServerRig, folder: Path, **more: str) -> AsyncIterator[Stage]:
    """Set up a stage in a namespace of its own; the operator is not started yet.

    more: see `Mortal`. With MORTAL_POD it is the operator's own token that counts at the API server.
    """
    namespace = f"stage{next(_numbers)}"
    kubectl(rig, "create", "namespace", namespace)
    async with AsyncExitStack() as stack:
        transport = await connected(rig.kubeconfig)
        stack.push_async_callback(transport.close)
        world = await stack.enter_async_context(World(transport, namespace))
        proxy = ApiProxy(rig, f"operator-{namespace}", hand_on="MORTAL_POD" in more)
        await stack.enter_async_context(proxy)
        log = folder / f"{namespace}.log"
        settings = {
            "TRAINYARD_POD_UID": str(uuid.uuid4()),
            "MORTAL_LEASE_SECONDS": "3",
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(proxy.port),
        }
        mortal = Mortal(rig, namespace, world.prometheus_url, log, proxy.kubeconfig(folder), **(settings | more))
        operator = await stack.enter_async_context(mortal)
        yield Stage(rig, world, proxy, operator, log)


Story = Callable[[Stage, str], Awaitable[None]]


async def quiet(stage: Stage, name: str, seconds: float = 0.6) -> None:
    """Wait until the Rollout is at rest and its operator has written nothing for a while."""
    since, before = time.monotonic(), stage.proxy.writes

    def rested() -> bool:
        nonlocal since, before
        if stage.proxy.writes != before or not stage.is_quiet(name):
            since, before = time.monotonic(), stage.proxy.writes
        return time.monotonic() - since > seconds

    await stage.until(f"{name} at rest", rested)


async def quiet_for(stage: Stage, seconds: float) -> None:
    """Return once nothing was written for so long, but what is refused: what is told once is not told again."""
    taken, before = 0, -1
    while taken != before:
        await asyncio.sleep(seconds)
        before, taken = taken, sum(s.asked.number > 0 and s.status == 200 for s in stage.proxy.seen)


async def make(stage: Stage, kind: Kind, name: str, body: Mapping[str, Any]) -> None:
    """Create an object with its status, whatever is in it."""
    meta = {**body.get("metadata", {}), "name": name, "namespace": stage.world.namespace}
    obj = {**body, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta}
    await stage.world.cluster.create({k: v for k, v in obj.items() if k != "status"})
    if "status" in body:
        ref = Ref(kind, stage.world.namespace, name)
        await stage.world.cluster.patch(ref, {"status": body["status"]}, status=True)
