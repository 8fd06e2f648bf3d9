"""The benchmark's own hands and eyes in the API server: makes and edits objects, plays the Deployment controller and
the Gateway, and notes the moment at which something became so. Used by `measuring`.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from bench import objects
from bench.objects import NAMESPACE
from bench.process import LEASE_NAME
from trainyard import naming
from trainyard.systems.cluster.client import KubernetesCluster
from trainyard.systems.cluster.port import (
    DEPLOYMENT,
    HTTP_ROUTE,
    LEASE,
    MODEL_VERSION,
    ROLLOUT,
    ClusterError,
    Kind,
    NotFound,
    Obj,
    Ref,
)
from trainyard.systems.cluster.reflector import Mirror
from trainyard.systems.cluster.transport import Transport

WATCHED = (ROLLOUT, MODEL_VERSION, HTTP_ROUTE, DEPLOYMENT, LEASE)
PLAYED: Mapping[Kind, Callable[[Obj], dict[str, Any]]] = {DEPLOYMENT: objects.ready, HTTP_ROUTE: objects.accepted}
PLAYERS = 8

Holds = Callable[[], bool]


class World:
    """The namespace of the benchmark, seen through its own watches."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        self._waiting: dict[str, list[tuple[Holds, asyncio.Future[float]]]] = {}
        self._unanswered: asyncio.Queue[tuple[Ref, dict[str, Any]]] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        configuration = Configuration(connection_pool_maxsize=0)
        await config.load_kube_config(str(self._kubeconfig), client_configuration=configuration)  # type: ignore[no-untyped-call] # no types there
        self._transport = Transport(ApiClient(configuration))
        self._cluster = KubernetesCluster(self._transport)
        self._mirror = Mirror(self._transport, dict.fromkeys(WATCHED, ""), (NAMESPACE,), self._changed)
        self._tasks = [asyncio.create_task(self._mirror.run())]
        self._tasks += [asyncio.create_task(self._play()) for _ in range(PLAYERS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._transport.close()

    # ---- what a user does ----

    async def make(self, obj: Obj) -> None:
        """Create an object."""
        await self._cluster.create(obj)

    async def pin(self, rollout: str, number: int) -> None:
        """Ask for a version by its number: the spec change that is measured."""
        name = objects.version_name(rollout, number)
        await self._edit(rollout, {"version": {"name": name}})

    async def promote(self, rollout: str, mark: str) -> None:
        """Send a canary on to its next step; `mark` makes it happen once."""
        await self._edit(rollout, {"action": {"kind": "Promote", "id": mark}})

    async def _edit(self, rollout: str, spec: Mapping[str, Any]) -> None:
        await self._cluster.patch(Ref(ROLLOUT, NAMESPACE, rollout), {"spec": spec})

    # ---- what is there ----

    def is_ready(self, version: str) -> bool:
        """Whether a ModelVersion may serve."""
        conditions = (self._get(MODEL_VERSION, version).get("status") or {}).get("conditions", ())
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def rests(self, rollout: str, number: int) -> bool:
        """Whether a version has all traffic, and nothing of another is left."""
        obj = self._get(ROLLOUT, rollout)
        status = obj.get("status") or {}
        serving = (status.get("stable") or {}).get("version")
        told = status.get("observedGeneration") == obj.get("metadata", {}).get("generation")
        alone = len(list(self._deployments(rollout))) == 1
        return told and alone and not status.get("canary") and serving == objects.version_name(rollout, number)

    def weighs(self, rollout: str, weight: int) -> bool:
        """Whether the route gives the canary this weight."""
        return self._canary_weight(rollout) == weight

    def is_settled(self, rollout: str, weight: int) -> bool:
        """Whether the operator has also read the weight back and said so."""
        status = self._get(ROLLOUT, rollout).get("status") or {}
        return self.weighs(rollout, weight) and status.get("weight") == status.get("routedWeight") == weight

    def leader(self) -> str:
        """Return who holds the operator's Lease, "" for nobody."""
        return str((self._get(LEASE, LEASE_NAME).get("spec") or {}).get("holderIdentity") or "")

    def share(self, rollout: str, revision: str) -> int:
        """Return the weight of a revision in the route, in percent."""
        route = self._get(HTTP_ROUTE, rollout)
        return objects.shares(route).get(naming.revision_object(rollout, revision), 0) if route else 0

    def _canary_weight(self, rollout: str) -> int:
        route = self._get(HTTP_ROUTE, rollout)
        return objects.canary_weight(route) if route else 0

    def _get(self, kind: Kind, name: str) -> Obj:
        store = self._mirror.store(kind, NAMESPACE)
        return (store.get(NAMESPACE, name) if store else None) or {}

    def _deployments(self, rollout: str) -> list[Obj]:
        store = self._mirror.store(DEPLOYMENT, NAMESPACE)
        return list(store.list(NAMESPACE, {naming.LABEL_ROLLOUT: rollout})) if store else []

    def when(self, about: str, holds: Holds) -> "asyncio.Future[float]":
        """Return a future of the moment (monotonic, seconds) at which a watch showed that something holds.

        `about` names the Rollout, ModelVersion or Lease whose changes can make it so.
        """
        future: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        if holds():
            future.set_result(time.monotonic())
        else:
            self._waiting.setdefault(about, []).append((holds, future))
        return future

    # ---- everybody else ----

    def _changed(self, kind: Kind, before: Obj | None, now: Obj | None) -> None:
        moment = time.monotonic()
        obj = now or before
        if obj is None:
            return
        labels: Mapping[str, str] = obj["metadata"].get("labels") or {}
        name = labels.get(naming.LABEL_ROLLOUT, obj["metadata"]["name"])
        self._tell(name, moment)
        if now is not None and kind in PLAYED:
            self._answer(kind, now)

    def _tell(self, about: str, moment: float) -> None:
        """Let go who waited for what is so now, with the moment of the change."""
        still = []
        for holds, future in self._waiting.pop(about, ()):
            if future.done():
                continue
            if holds():
                future.set_result(moment)
            else:
                still.append((holds, future))
        if still:
            self._waiting[about] = still

    def _answer(self, kind: Kind, obj: Obj) -> None:
        wanted, told = PLAYED[kind](obj), obj.get("status") or {}
        if {key: told.get(key) for key in wanted} != wanted:
            self._unanswered.put_nowait((Ref(kind, NAMESPACE, obj["metadata"]["name"]), wanted))

    async def _play(self) -> None:
        """Write the statuses that pods and Gateway would have, one after the other."""
        while True:
            ref, status = await self._unanswered.get()
            try:
                await self._cluster.patch(ref, {"status": status}, status=True)
            except NotFound:
                continue  # it went meanwhile
            except ClusterError:
                self._unanswered.put_nowait((ref, status))
