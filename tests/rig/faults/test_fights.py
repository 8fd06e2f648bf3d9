"""26: somebody else writes what the operator writes: put back and said, and a condition instead of a war.

The other one is a real writer of another user and field manager. Its weights are such as the operator never sets, so
every state of the route that the watch tells is known to be its or ours.
"""

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from local.rig import ApiServerRig
from tests.rig.faults.breaking import of_kind
from tests.rig.faults.judging import assert_sound
from tests.rig.faults.stage import Stage, connected, quiet, staged
from tests.rig.faults.stories import at_first_step, first
from trainyard.rollout import progress
from trainyard.systems.cluster.client import KubernetesCluster
from trainyard.systems.cluster.port import DEPLOYMENT, HTTP_ROUTE, SERVICE, ClusterError, Obj, Ref

pytestmark = [pytest.mark.rig, pytest.mark.timeout(600)]

MANAGER = "eve"
THEIRS = (37, 38)  # the canary's weight as the other one wants it, in turns: the same again would be no write at all
MEMORY_SECONDS = 12.0  # how long a put-back edit counts here; 60 s in earnest
Edit = Callable[["Eve", str], Awaitable[None]]


class Eve:
    """Another writer of a namespace: a user of her own, with her own connection and field manager."""

    def __init__(self, cluster: KubernetesCluster, stage: Stage) -> None:
        self.cluster, self.stage, self.edits = cluster, stage, 0

    async def weights(self, name: str) -> None:
        """Send this share of the requests to the canary, as `kubectl edit` does."""
        live = await self._live(name)
        await self.cluster.patch(self._route(name), {"spec": {"rules": self._rules(live)}})
        self.edits += 1

    async def apply_weights(self, name: str) -> None:
        """The same by a forced apply, as a tool that keeps a copy in git does."""
        live = await self._live(name)
        meta = {"name": name, "namespace": self.stage.world.namespace}
        spec = {**live["spec"], "rules": self._rules(live)}
        body = {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": meta, "spec": spec}
        await self.cluster.apply(body, MANAGER)
        self.edits += 1

    def _rules(self, route: Obj) -> Any:
        """The rules of a route of two backends, with her weights."""
        rules, theirs = copy.deepcopy(route["spec"]["rules"]), THEIRS[self.edits % 2]
        for backend, weight in zip(rules[-1]["backendRefs"], (100 - theirs, theirs), strict=False):
            backend["weight"] = weight
        return rules

    async def _live(self, name: str) -> Obj:
        found = await self.cluster.get(self._route(name))
        assert found is not None
        return found

    def _route(self, name: str) -> Ref:
        return Ref(HTTP_ROUTE, self.stage.world.namespace, name)

    async def deployment(self, name: str, spec: Mapping[str, Any]) -> None:
        """Merge-patch a Deployment's spec."""
        await self.cluster.patch(Ref(DEPLOYMENT, self.stage.world.namespace, name), {"spec": spec})
        self.edits += 1

    @asynccontextmanager
    async def fighting(self, edit: Callable[[], Awaitable[None]], every: float) -> AsyncIterator[None]:
        """Edit so all the time."""

        async def fight() -> None:
            while True:
                with suppress(ClusterError):  # the object changed meanwhile
                    await edit()
                await asyncio.sleep(every)

        task = asyncio.create_task(fight())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def met(stack: AsyncExitStack, rig: ApiServerRig, folder: Path, **more: str) -> tuple[Stage, Eve]:
    """A stage where v2 waits at 20 % beside v1, and Eve."""
    stage = await stack.enter_async_context(staged(rig, folder, MORTAL_LEASE_SECONDS="15", **more))
    transport = await connected(rig.kubeconfig_for(MANAGER, ("system:masters",)))
    stack.push_async_callback(transport.close)
    stage.revives = False
    await stage.start()
    await first(stage, "it")
    await at_first_step(stage, "it", 2)
    return stage, Eve(KubernetesCluster(transport), stage)


def moments(stage: Stage) -> list[int]:
    """The canary's weight in every state of the route, from its beginning, without repetitions."""
    path: list[int] = []
    for shares in stage.world.routes["it"]:
        weight = next((w for b, w in shares.items() if stage.world.serves.get(b) == "it-v2"), 0)
        path += [weight] if path[-1:] != [weight] else []
    return path


def is_told(stage: Stage, kind: str, reason: str, status: str = "True") -> bool:
    """Whether a condition stands so."""
    told = stage.world.status("it").get("conditions", ())
    return any((c["type"], c["status"], c["reason"]) == (kind, status, reason) for c in told)


def stalls(stage: Stage) -> list[str]:
    """What Stalled said, one after the other."""
    told = [c["reason"] for s in stage.world.statuses["it"] for c in s.get("conditions", ()) if c["type"] == "Stalled"]
    return [reason for reason, _ in groupby(told)]


def written_weights(stage: Stage, since: int) -> list[int]:
    """The canary's weight in each of our own writes of the route that the API server took."""
    writes = (s for s in stage.proxy.seen[since:] if s.asked.kind == "httproutes" and s.asked.number)
    bodies = [s.asked.json() for s in writes if s.status is not None and s.status < 300]
    backends = [body["spec"]["rules"][-1]["backendRefs"] for body in bodies]
    return [next((b["weight"] for b in many if stage.world.serves[b["name"]] == "it-v2"), 0) for many in backends]


def writes_since(stage: Stage, since: int) -> int:
    """How many writes of ours the API server took, Leases left out."""
    return sum(1 for s in stage.proxy.seen[since:] if s.asked.number and s.status is not None and s.status < 300)


def events(stage: Stage, reason: str) -> int:
    """How many Events say this."""
    found = of_kind("events")
    bodies = [s.asked.json() for s in stage.proxy.seen if found(s.asked) and s.asked.number]
    return sum(1 for body in bodies if body.get("reason") == reason)


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(Eve.weights, id="patch"),
        pytest.param(Eve.apply_weights, id="forced apply", marks=pytest.mark.soak),
    ],
)
async def test_an_edited_weight_is_put_back_and_said(
    stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path, edit: Edit
) -> None:
    stage, eve = await met(stack, rig, tmp_path)
    before = len(stage.proxy.seen)
    await edit(eve, "it")
    await stage.until("the edit is seen", lambda: THEIRS[0] in moments(stage))
    await stage.until("it is put back", lambda: moments(stage)[-1] == 20)
    assert moments(stage) == [0, 20, THEIRS[0], 20]
    assert written_weights(stage, before) == [20]
    await stage.act("it", "Abort")
    await stage.until("v2 is back at 0", lambda: stage.ended("it", "it-v2", "Aborted"))
    assert events(stage, "RouteDrift") == 1
    assert moments(stage) == [0, 20, THEIRS[0], 20, 0]
    assert not is_told(stage, "Stalled", "RouteContested")
    assert_sound([stage])


async def test_edits_again_and_again_become_a_condition_and_no_war(
    stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path
) -> None:
    """Six edits a second for two spans of memory: ten are put back in each, the rest is borne; then it heals."""
    stage, eve = await met(stack, rig, tmp_path, MORTAL_CONTESTED_SECONDS=str(MEMORY_SECONDS))
    before = len(stage.proxy.seen)
    async with eve.fighting(lambda: eve.weights("it"), 0.15):
        await stage.until("it is said", lambda: is_told(stage, "Stalled", "RouteContested"))
        await asyncio.sleep(1.5 * MEMORY_SECONDS)  # the fight goes on: how often is it put back
        assert is_told(stage, "Paused", "WaitsForPromotion")
        fought, writes = written_weights(stage, before), writes_since(stage, before)
    assert eve.edits > 4 * len(fought)
    assert set(fought) == {20}
    assert progress.CONTESTED_TIMES <= len(fought) <= 3 * progress.CONTESTED_TIMES
    assert writes <= 2 * len(fought) + 3  # each with its Event, and the condition
    await stage.until("it is put back", lambda: moments(stage)[-1] == 20)
    await stage.until("it is well", lambda: is_told(stage, "Stalled", "Moving", "False"))
    assert stalls(stage) == ["Moving", "RouteContested", "Moving"]
    assert set(moments(stage)) == {0, 20, *THEIRS}
    await stage.act("it", "Promote")
    await stage.until("v2 serves alone", lambda: stage.ended("it", "it-v2", "Promoted"))
    await quiet(stage, "it")
    assert_sound([stage])


async def test_who_aborts_in_the_middle_of_a_fight_is_heard(
    stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path
) -> None:
    """What the operator has to change itself is not given up with what it bears."""
    stage, eve = await met(stack, rig, tmp_path, MORTAL_CONTESTED_SECONDS=str(MEMORY_SECONDS))
    async with eve.fighting(lambda: eve.weights("it"), 0.2):
        await stage.until("it is said", lambda: is_told(stage, "Stalled", "RouteContested"))
        await stage.act("it", "Abort")
        await stage.until("v2 is at its end", lambda: stage.ended("it", "it-v2", "Aborted"))
    await stage.until("v1 serves alone", lambda: stage.shares("it") == {"it-v1": 100})
    await stage.until("v2's pods gone", lambda: stage.deployments("it") == ["it-v1"])
    await quiet(stage, "it")
    assert_sound([stage])


@pytest.mark.soak
async def test_a_fight_over_a_weight_that_the_gateway_has_not_taken_is_none_either(
    stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path
) -> None:
    """The gateway is silent: the next weight is written once, and again when the gateway has spoken."""
    stage, eve = await met(stack, rig, tmp_path, MORTAL_CONTESTED_SECONDS="600")
    stage.world.let_gateway_answer(False)
    before = len(stage.proxy.seen)
    await stage.act("it", "Promote")
    await stage.until("50 % is written", lambda: moments(stage)[-1] == 50)
    async with eve.fighting(lambda: eve.weights("it"), 0.1):
        await stage.until("she wrote often", lambda: eve.edits > 5 * progress.CONTESTED_TIMES)
    assert written_weights(stage, before) == [50]
    stage.world.let_gateway_answer(True)
    await stage.until("50 % at last", lambda: moments(stage)[-1] == 50)
    await stage.until("v2 serves alone", lambda: stage.ended("it", "it-v2", "Promoted"))
    assert_sound([stage])


@pytest.mark.parametrize("replicas", [pytest.param(0, marks=pytest.mark.soak), 5])
async def test_another_number_of_pods_or_another_image_is_put_back(
    stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path, replicas: int
) -> None:
    """A Deployment is the operator's: one write of ours answers one of hers, and no weight changes for it."""
    stage, eve = await met(stack, rig, tmp_path)
    name = next(d for d, version in stage.world.serves.items() if version == "it-v1")
    before = copy.deepcopy(deployed(stage, name)["spec"])
    seen = len(stage.proxy.seen)
    container = before["template"]["spec"]["containers"][0]["name"]
    other = {"template": {"spec": {"containers": [{"name": container, "image": "localhost/eve:1"}]}}}
    await eve.deployment(name, {"replicas": replicas, **(other if replicas else {})})
    await stage.until("she wrote", lambda: deployed(stage, name)["metadata"]["generation"] > 1)
    await stage.until("it is as it was", lambda: deployed(stage, name)["spec"] == before)
    await quiet_at_pause(stage)
    written = [s for s in stage.proxy.seen[seen:] if s.asked.kind == "deployments" and s.asked.number]
    assert len(written) == 1
    assert moments(stage) == [0, 20]
    assert_sound([stage])


async def test_a_service_that_somebody_narrowed_leads_to_its_pods_again(
    stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path
) -> None:
    """A key more in its selector leaves it no pod, and its users no answer."""
    stage, eve = await met(stack, rig, tmp_path)
    name = next(d for d, version in stage.world.serves.items() if version == "it-v1")
    ref = Ref(SERVICE, stage.world.namespace, name)
    before = served(stage, name)["spec"]["selector"]
    seen = len(stage.proxy.seen)
    await eve.cluster.patch(ref, {"spec": {"selector": {"example.com/mine": "yes"}}})
    await stage.until("it was put back", lambda: any(s.asked.kind == "services" for s in stage.proxy.seen[seen:]))
    await stage.until("it is as it was", lambda: served(stage, name)["spec"]["selector"] == before)
    await quiet_at_pause(stage)
    written = [s for s in stage.proxy.seen[seen:] if s.asked.kind == "services" and s.asked.number]
    assert len(written) == 1
    assert_sound([stage])


def served(stage: Stage, name: str) -> Obj:
    """The Service as last seen."""
    return next(s for s in stage.world.all(SERVICE) if s["metadata"]["name"] == name)


def deployed(stage: Stage, name: str) -> Obj:
    """The Deployment as last seen."""
    return next(d for d in stage.world.all(DEPLOYMENT) if d["metadata"]["name"] == name)


async def quiet_at_pause(stage: Stage, seconds: float = 1.0) -> None:
    """Wait until the operator has written nothing for a while."""
    written = -1
    while written != stage.proxy.writes:
        written = stage.proxy.writes
        await asyncio.sleep(seconds)
