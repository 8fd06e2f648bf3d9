"""One namespace of the rig in which Rollouts live: everybody but the operator is played, and every change is kept.

The Deployment controller and the Gateway answer through the API server, Prometheus over HTTP on loopback. What the
watches tell is kept version by version, so no weight that ever stood in a route is missed.
"""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from local.free_ports import free_port
from local.rig import ApiServerRig
from tests.rig.tiny_processes import ROOT, metric
from trainyard import naming
from trainyard.systems.cluster.client import KubernetesCluster
from trainyard.systems.cluster.port import (
    CONTROLLER_REVISION,
    DEPLOYMENT,
    HTTP_ROUTE,
    LEASE,
    ROLLOUT,
    SERVICE,
    ClusterError,
    Kind,
    Obj,
    Ref,
)
from trainyard.systems.cluster.reflector import Mirror
from trainyard.systems.cluster.transport import Transport

WATCHED = (ROLLOUT, HTTP_ROUTE, DEPLOYMENT, SERVICE, CONTROLLER_REVISION, LEASE)
MADE_ONCE = (HTTP_ROUTE, DEPLOYMENT, SERVICE, CONTROLLER_REVISION)
REVISIONS = re.compile(r'rollout=~"([^"]+)",revision=~"([^"]+)"')
LEASE_NAME = "trainyard-operator"


class Mortal:
    """The operator's process, to be killed and started; see `mortal_operator`."""

    def __init__(
        self,
        rig: ApiServerRig,
        namespace: str,
        prometheus_url: str,
        log: Path,
        kubeconfig: Path | None = None,
        **more: str,
    ) -> None:
        """`more`: settings, and what `mortal_operator` reads besides."""
        self._log = log
        self._environment = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig or rig.kubeconfig_for("operator-mortal", ("system:masters",))),
            "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}",
            "TRAINYARD_NAMESPACES": namespace,
            "TRAINYARD_POD_NAMESPACE": namespace,
            "TRAINYARD_POD_NAME": "mortal",
            "TRAINYARD_LEASE_NAME": LEASE_NAME,
            "TRAINYARD_PROBE_PORT": str(free_port()),
            "TRAINYARD_METRICS_PORT": str(free_port()),
            "TRAINYARD_COURIER_IMAGE": "none",
            "TRAINYARD_SERVER_IMAGE_TENSORFLOW": "none",
            "TRAINYARD_STORE_BUCKET": "none",
            "TRAINYARD_PROMETHEUS_URL": prometheus_url,
            "TRAINYARD_SCRAPE_INTERVAL_SECONDS": "1",
            **more,
        }
        self.probes = int(self._environment["TRAINYARD_PROBE_PORT"])
        self._metrics = int(self._environment["TRAINYARD_METRICS_PORT"])

    async def __aenter__(self) -> Self:
        command = (sys.executable, "-m", "tests.rig.mortal_operator")
        with self._log.open("ab") as log:
            pipe = asyncio.subprocess.PIPE
            self._process = await asyncio.create_subprocess_exec(
                *command, cwd=ROOT, env=self._environment, stdin=pipe, stdout=pipe, stderr=log
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        await self._process.wait()

    async def start(self) -> None:
        answer = await self._ask("start")
        assert answer.isdigit(), self.last_words()
        self._life = int(answer)

    def strike(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Kill it without waiting for its end: `kill` does. Harmless where it has ended. Or send it another signal."""
        with suppress(ProcessLookupError):
            os.kill(self._life, number)

    async def kill(self) -> int:
        """The exit status: -9, or its own where it had ended by itself."""
        return int(await self._ask("kill"))

    async def ended(self) -> int | None:
        """The exit status, None while it runs."""
        told = await self._ask("ended")
        return None if told == "running" else int(told)

    async def revive(self) -> None:
        """Start it again if it ended by itself: on a busy machine it may lose so short a Lease."""
        if await self.ended() is not None:
            await self.start()

    async def visits(self, kind: Kind) -> float:
        """How many visits to objects of a kind this life has ended, well or not."""
        return await asyncio.to_thread(metric, self._metrics, f'trainyard_operator_cycles_total{{kind="{kind.kind}"')

    def last_words(self) -> str:
        return "\n".join(self._log.read_text().splitlines()[-40:])

    async def _ask(self, verb: str) -> str:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{verb}\n".encode())
        return (await self._process.stdout.readline()).decode().strip()


def do_nothing() -> None:
    """What a write leads to while nobody listens."""


class World:
    """The namespace. `failing` names versions half of whose answers are errors."""

    def __init__(self, transport: Transport, namespace: str) -> None:
        self.cluster, self.namespace = KubernetesCluster(transport), namespace
        self.failing: set[str] = set()
        self.routes: dict[str, list[dict[str, int]]] = {}
        self.statuses: dict[str, list[Obj]] = {}
        self.made: list[tuple[str, str]] = []
        self.serves: dict[str, str] = {}  # Deployment -> version
        self._gateway_answers = True
        self.on_write: Callable[[], None] = do_nothing  # called with each write of the operator
        self._stirred = asyncio.Event()
        self._mirror = Mirror(transport, dict.fromkeys(WATCHED, ""), (namespace,), self._changed)

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._mirror.run()), asyncio.create_task(self._play())]
        app = web.Application()
        app.router.add_post("/api/v1/query", self._measure)
        self._server = web.AppRunner(app, access_log=None)
        await self._server.setup()
        site = web.TCPSite(self._server, "127.0.0.1", port := free_port())
        await site.start()
        self.prometheus_url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.cleanup()

    # ---- what is there ----

    def status(self, rollout: str) -> Obj:
        """The status as last seen, {} before there is one."""
        return (self.statuses.get(rollout) or [{}])[-1]

    def endings(self, rollout: str, version: str) -> list[Any]:
        """How a version's canaries ended, as the history has it."""
        return [e for e in self.status(rollout).get("history", ()) if e["version"] == version]

    def leader(self) -> str:
        """Who holds the operator's Lease; "" for nobody."""
        store = self._mirror.store(LEASE, self.namespace)
        lease = store.get(self.namespace, LEASE_NAME) if store else None
        return str((lease or {}).get("spec", {}).get("holderIdentity", ""))

    # ---- what was there ----

    def weights(self, rollout: str, version: str) -> list[int]:
        """The weights that a version had in the route, in order, from its first to its last."""
        (backend,) = [d for d, v in self.serves.items() if v == version and d.startswith(f"{rollout}-")]
        told = [shares[backend] for shares in self.routes.get(rollout, ()) if backend in shares]
        return [weight for weight, _ in groupby(told)]

    def intents(self, rollout: str, version: str) -> list[int]:
        """The weights that status meant a version to have, while it was the canary."""
        told = [s for s in self.statuses.get(rollout, ()) if s.get("canary", {}).get("version") == version]
        return [weight for weight, _ in groupby(int(s.get("weight", 0)) for s in told)]

    # ---- everybody else ----

    def let_gateway_answer(self, answers: bool) -> None:
        """Whether the Gateway tells what it takes."""
        self._gateway_answers = answers
        self._stirred.set()

    def _changed(self, kind: Kind, before: Obj | None, now: Obj | None) -> None:
        if now is None or kind == LEASE:
            return
        name = str(now["metadata"]["name"])
        if before is None and kind in MADE_ONCE:
            self.made.append((kind.kind, name))
        if kind == DEPLOYMENT:
            self.serves[name] = str(_labels(now).get(naming.LABEL_VERSION))
        if kind == ROLLOUT:
            self.statuses.setdefault(name, []).append(now.get("status") or {})
        if kind == HTTP_ROUTE:
            self.routes.setdefault(name, []).append(_shares(now))
        if kind == ROLLOUT or before is None or _generation(before) != _generation(now):
            self.on_write()
        self._stirred.set()

    async def _play(self) -> None:
        """Tell of pods and of the Gateway what became of the last change."""
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            kinds = (DEPLOYMENT, HTTP_ROUTE) if self._gateway_answers else (DEPLOYMENT,)
            statuses = [(ref, s) for kind in kinds for ref, s in self._answers(kind)]
            for ref, status in statuses:
                with suppress(ClusterError):  # it changed or went meanwhile, which stirs again
                    await self.cluster.patch(ref, {"status": status}, status=True)

    def _answers(self, kind: Kind) -> Iterator[tuple[Ref, dict[str, Any]]]:
        for obj in self.all(kind):
            status = _deployed(obj) if kind == DEPLOYMENT else _taken(obj)
            told = obj.get("status") or {}
            if {k: told.get(k) for k in status} != status:
                yield Ref(kind, self.namespace, str(obj["metadata"]["name"])), status

    def all(self, kind: Kind) -> list[Obj]:
        """The objects of a watched kind as they are."""
        store = self._mirror.store(kind, self.namespace)
        return list(store.list(self.namespace, {})) if store else []

    async def _measure(self, request: web.Request) -> web.Response:
        """Answer one query for the revisions that it names: requests as the route says, errors as scripted."""
        form = await request.post()
        expression, at = str(form["query"]), float(str(form["time"]))
        found = REVISIONS.search(expression)
        assert found, expression
        asked = [(rollout, revision) for rollout in found[1].split("|") for revision in found[2].split("|")]
        named = [(naming.revision_object(*pair), *pair) for pair in asked]
        result = [
            {
                "metric": {"namespace": self.namespace, "rollout": rollout, "revision": revision},
                "value": [at, str(self._value(expression, rollout, name))],
            }
            for name, rollout, revision in named
            if name in self.serves
        ]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})

    def _value(self, expression: str, rollout: str, name: str) -> float:
        if expression.startswith("histogram_quantile"):
            return 0.05
        if "increase(" in expression:
            return 10.0 * (self.routes.get(rollout) or [{}])[-1].get(name, 0)
        return 0.5 if self.serves.get(name) in self.failing else 0.0


def _labels(obj: Obj) -> Mapping[str, str]:
    return obj["metadata"].get("labels") or {}


def _generation(obj: Obj) -> Any:
    return obj["metadata"].get("generation")


def _shares(route: Obj) -> dict[str, int]:
    return {b["name"]: int(b.get("weight", 1)) for rule in route["spec"]["rules"] for b in rule.get("backendRefs", ())}


def _deployed(deployment: Obj) -> dict[str, Any]:
    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    return {"observedGeneration": _generation(deployment), **dict.fromkeys(counts, deployment["spec"]["replicas"])}


def _taken(route: Obj) -> dict[str, Any]:
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": kind,
            "message": "",
            "observedGeneration": _generation(route),
            "lastTransitionTime": "2026-11-24T06:00:00Z",
        }
        for kind in ("Accepted", "ResolvedRefs")
    ]
    parents = [
        {"parentRef": ref, "controllerName": "test.example/gateway", "conditions": conditions}
        for ref in route["spec"]["parentRefs"]
    ]
    return {"parents": parents}
