"""The operator is killed at 20 random moments of a canary (issue 3, section 5): nothing that users see changes.

One process carries two Rollouts of the quickstart's kind: one canary is good and climbs, one fails and goes back.
"""

import asyncio
import copy
import random
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from examples.demo import manifests
from local import builds
from local.rig import ApiServerRig
from tests.golden.rollout.manifests import version
from tests.rig.kinds import CRDS
from tests.rig.watched import Mortal, World, do_nothing
from trainyard.systems.cluster.port import MODEL_VERSION, Ref
from trainyard.systems.cluster.transport import Transport

pytestmark = [pytest.mark.rig, pytest.mark.timeout(900)]

KILLS = 20
SEED = 3
LONGEST_LIFE_SECONDS = 3.6  # a pause ends about three seconds after a process has begun to lead
PATIENCE_SECONDS = 120.0
FAILURE_LIMIT = 5  # the failing canary outlives some kills before it is aborted
NAMESPACE = "killed"


@pytest.fixture(scope="module")
def rig() -> Iterator[ApiServerRig]:
    """An API server of its own: its cores are needed for nothing else."""
    with ApiServerRig() as started:
        gateway, _ = builds.manifests("gateway")
        call = [started.kubectl, "--kubeconfig", str(started.kubeconfig)]
        for folder in (CRDS, gateway):
            subprocess.run([*call, "apply", "--server-side", "-f", str(folder)], check=True, capture_output=True)
            wait = ["wait", "--for=condition=Established", "--timeout=60s", "-f", str(folder)]
            subprocess.run([*call, *wait], check=True, capture_output=True)
        subprocess.run([*call, "create", "namespace", NAMESPACE], check=True, capture_output=True)
        yield started


@pytest.fixture
async def world(rig: ApiServerRig) -> AsyncIterator[World]:
    configuration = Configuration(connection_pool_maxsize=0)
    await config.load_kube_config(str(rig.kubeconfig), client_configuration=configuration)  # type: ignore[no-untyped-call] # no types there
    transport = Transport(ApiClient(configuration))
    async with World(transport, NAMESPACE) as made:
        yield made
    await transport.close()


def rollout(name: str, failure_limit: int) -> dict[str, Any]:
    """The quickstart's Rollout with seconds for its twenties."""
    obj = copy.deepcopy(manifests.of_kind(manifests.load(), "Rollout"))
    spec = obj["spec"]
    obj["metadata"] |= {"name": name, "namespace": NAMESPACE}
    spec["model"] = name
    spec["target"]["kubernetes"]["traffic"]["hostnames"] = [f"{name}.example.com"]
    for step in spec["strategy"]["canary"]["steps"]:
        if "pause" in step:
            step["pause"] = {"durationSeconds": 2}
    spec["analysis"] |= {"intervalSeconds": 1, "windowSeconds": 4}
    spec["analysis"]["metrics"][0]["failureLimit"] = failure_limit
    return obj | {"spec": {**spec, "scaleDownDelaySeconds": 3600}}


async def publish(world: World, model: str, number: int) -> str:
    """Make a version that may serve."""
    obj = version(f"{model}-v{number}", number)
    meta = {**obj["metadata"], "namespace": NAMESPACE}
    await world.cluster.create({**obj, "metadata": meta, "spec": {**obj["spec"], "model": model}})
    ref = Ref(MODEL_VERSION, NAMESPACE, meta["name"])
    await world.cluster.patch(ref, {"status": obj["status"]}, status=True)
    return ref.name


@dataclass
class Fate:
    """Kills the operator at random moments, and starts it again at once."""

    world: World
    operator: Mortal
    draws: random.Random
    kills: int = 0

    async def until(self, what: str, probe: Callable[[], Any]) -> None:
        """Wait for something of the world. AssertionError with `what` after a while."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not probe():
            assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS:.0f} s: {what}\n{self._told()}"
            await self.operator.revive()
            await asyncio.sleep(0.05)

    async def strike(self) -> None:
        """Let the process lead for a while, kill it, and start the next one; return once that one leads."""
        await self._moment()
        before = self.world.leader()
        if await self.operator.kill() == -9:
            self.kills += 1
        await self.operator.start()
        await self.until("the next process leads", lambda: self.world.leader() not in ("", before))

    async def _moment(self) -> None:
        """A random time after it began to lead, and at half of its writes at once, before it can do another."""
        struck = asyncio.Event()

        def strike() -> None:
            if not struck.is_set() and self.draws.random() < 1 / 2:
                self.operator.strike()
                struck.set()

        self.world.on_write = strike
        with suppress(TimeoutError):
            async with asyncio.timeout(self.draws.uniform(0, LONGEST_LIFE_SECONDS)):
                await struck.wait()
        self.world.on_write = do_nothing

    def _told(self) -> str:
        return f"{self.world.routes}\n{self.operator.last_words()}"


@pytest.fixture
async def fate(rig: ApiServerRig, world: World, tmp_path: Path) -> AsyncIterator[Fate]:
    async with Mortal(rig, NAMESPACE, world.prometheus_url, tmp_path / "operator.log") as operator:
        await operator.start()
        yield Fate(world, operator, random.Random(SEED))


async def serve_first(fate: Fate, model: str, failure_limit: int) -> None:
    await publish(fate.world, model, 1)
    await fate.world.cluster.create(rollout(model, failure_limit))
    await fate.until(f"{model}-v1 serves", lambda: fate.world.endings(model, f"{model}-v1"))


async def test_twenty_kills_change_neither_weights_nor_outcome(world: World, fate: Fate) -> None:
    await serve_first(fate, "good", 0)
    await serve_first(fate, "bad", FAILURE_LIMIT)
    world.failing.add(await publish(world, "bad", 2))
    climbed, survived = list[str](), 0
    while fate.kills < KILLS:
        climbed.append(await publish(world, "good", len(climbed) + 2))
        await fate.until("a canary begins", lambda: world.status("good").get("canary"))
        while fate.kills < KILLS and not world.endings("good", climbed[-1]):
            await fate.strike()
            survived += not world.endings("bad", "bad-v2")
        await fate.until(f"{climbed[-1]} ended", lambda: world.endings("good", climbed[-1]))
    await fate.until("bad-v2 ended", lambda: world.endings("bad", "bad-v2"))

    for name in climbed:
        then = [] if name == climbed[-1] else [90, 50, 0]  # as the stable one of the next canary
        assert world.weights("good", name) == [0, 10, 50, 100, *then], name
        assert world.intents("good", name) == [10, 50, 100], name
        assert [e["outcome"] for e in world.endings("good", name)] == ["Promoted"]
    assert survived >= 2, "the failing canary was killed at as well"
    assert world.weights("bad", "bad-v2") == [0, 10, 0]
    assert world.intents("bad", "bad-v2") == [10, 0]
    (ending,) = world.endings("bad", "bad-v2")
    assert ending["outcome"] == "Aborted"
    assert f"failed {FAILURE_LIMIT + 1} times, failureLimit {FAILURE_LIMIT}" in ending["message"]
    assert_nothing_twice(world, {"good": len(climbed) + 1, "bad": 2})


def assert_nothing_twice(world: World, versions: dict[str, int]) -> None:
    """Whatever the watches told: shares are whole, and each version has one of everything."""
    moments = [shares for routes in world.routes.values() for shares in routes]
    assert [m for m in moments if sum(m.values()) != 100] == []
    assert len(world.made) == len(set(world.made)), world.made
    for model, count in versions.items():
        for kind in ("Deployment", "Service", "ControllerRevision"):
            assert len([n for k, n in world.made if k == kind and n.startswith(f"{model}-")]) == count, world.made
    assert [n for k, n in world.made if k == "HTTPRoute"] == list(versions)
    for told in (status.get("history", ()) for statuses in world.statuses.values() for status in statuses):
        names = [entry["version"] for entry in told]
        assert len(names) == len(set(names)), names
