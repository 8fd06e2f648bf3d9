"""The benchmark's own hands and eyes in the API server: makes and edits objects, plays pods and gateways, and notes
the moment at which something became so. Used by `measuring`.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from bench.objects import NAMESPACE
from bench.tools import Edit, Made, Tool
from trainyard.systems.cluster.client import KubernetesCluster, plain
from trainyard.systems.cluster.port import LEASE, ClusterError, Kind, NotFound, Obj, Ref
from trainyard.systems.cluster.reflector import Mirror
from trainyard.systems.cluster.transport import Transport, path

PLAYERS = 8
HANDS = 32  # requests of a user at once

Holds = Callable[[], bool]


class World:
    """The namespace of the benchmark, seen through its own watches; see also `tools.View`."""

    def __init__(self, kubeconfig: Path, tool: Tool) -> None:
        self._kubeconfig = kubeconfig
        self._tool = tool
        self._waiting: dict[str, list[tuple[Holds, asyncio.Future[float]]]] = {}
        self._unanswered: asyncio.Queue[tuple[Ref, dict[str, Any]]] = asyncio.Queue()
        self._hands = asyncio.Semaphore(HANDS)

    async def __aenter__(self) -> Self:
        configuration = Configuration(connection_pool_maxsize=0)
        configuration.client_session_kwargs = {"trust_env": False}
        await config.load_kube_config(str(self._kubeconfig), client_configuration=configuration)  # type: ignore[no-untyped-call] # no types there
        self._transport = Transport(ApiClient(configuration))
        self._cluster = KubernetesCluster(self._transport)
        self._mirror = Mirror(self._transport, dict.fromkeys(self._tool.watched, ""), (NAMESPACE,), self._changed)
        self._tasks = [asyncio.create_task(self._mirror.run())]
        self._tasks += [asyncio.create_task(self._play()) for _ in range(PLAYERS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._transport.close()

    # ---- what a user does ----

    async def make(self, things: Iterable[Made]) -> None:
        """Create objects, some at once."""
        await asyncio.gather(*(self._make(*thing) for thing in things))

    async def edit(self, edits: Iterable[Edit]) -> None:
        """Patch objects, some at once."""
        await asyncio.gather(*(self._edit(edit) for edit in edits))

    async def _make(self, kind: Kind, obj: Obj) -> None:
        async with self._hands:
            await self._transport.request("POST", path(kind, NAMESPACE), body=plain(obj))

    async def _edit(self, edit: Edit) -> None:
        async with self._hands:
            await self._cluster.patch(edit.ref, edit.body, status=edit.status)

    # ---- what is there ----

    def get(self, kind: Kind, name: str) -> Obj:
        """See `tools.View`."""
        store = self._mirror.store(kind, NAMESPACE)
        return (store.get(NAMESPACE, name) if store else None) or {}

    def of(self, kind: Kind, rollout: str) -> list[Obj]:
        """See `tools.View`."""
        store = self._mirror.store(kind, NAMESPACE)
        return list(store.list(NAMESPACE, {self._tool.label: rollout})) if store else []

    def leader(self) -> str:
        """Return who holds the operator's Lease, "" for nobody."""
        return str((self.get(LEASE, self._tool.lease).get("spec") or {}).get("holderIdentity") or "")

    def when(self, about: str, holds: Holds) -> "asyncio.Future[float]":
        """Return a future of the moment (monotonic, seconds) at which a watch showed that something holds.

        `about` names the Rollout or Lease whose changes, or those of what is labelled with it, can make it so.
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
        model = (obj.get("spec") or {}).get("model")
        self._tell(labels.get(self._tool.label) or model or obj["metadata"]["name"], moment)
        if now is not None and kind in self._tool.played:
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
        wanted, told = self._tool.played[kind](obj), obj.get("status") or {}
        if {key: told.get(key) or 0 for key in wanted} != wanted:
            self._unanswered.put_nowait((Ref(kind, NAMESPACE, obj["metadata"]["name"]), wanted))

    async def _play(self) -> None:
        """Write the statuses that pods and gateways would have, one after the other."""
        while True:
            ref, status = await self._unanswered.get()
            try:
                await self._cluster.patch(ref, {"status": status}, status=True)
            except NotFound:
                continue  # it went meanwhile
            except ClusterError:
                self._unanswered.put_nowait((ref, status))
