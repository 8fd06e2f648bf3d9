"""Scenario 57: an API server that is away, busy or forbids, and a token that is rotated."""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from local.rig import ApiServerRig
from tests.rig.faults.breaking import answer, everything, of_kind, writes
from tests.rig.faults.judging import assert_sound
from tests.rig.faults.stage import Stage, kubectl, quiet, staged
from tests.rig.faults.stories import at_first_step, first, waits_at_first_step

pytestmark = [pytest.mark.rig, pytest.mark.timeout(600)]

CLIMBED = [{"it-v1": 100}, {"it-v1": 80, "it-v2": 20}]


async def serving(stack: AsyncExitStack, rig: ApiServerRig, folder: Path, **more: str) -> Stage:
    """A stage on which v1 serves, and whose operator may not end."""
    stage = await stack.enter_async_context(staged(rig, folder, **({"MORTAL_LEASE_SECONDS": "15"} | more)))
    stage.revives = False
    await stage.start()
    await first(stage, "it")
    await quiet(stage, "it")
    return stage


async def ready(stage: Stage) -> tuple[int, str]:
    """What the readiness probe says."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{stage.operator.probes}/readyz") as told,
    ):
        return told.status, await told.text()


async def test_away_for_less_than_the_lease(stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path) -> None:
    """503 for six seconds: no restart."""
    stage = await serving(stack, rig, tmp_path)
    stage.proxy.on(everything, answer(503), times=None)
    await stage.publish("it", 2)
    await asyncio.sleep(6)
    assert stage.shares("it") == {"it-v1": 100}
    stage.proxy.heal()
    await waits_at_first_step(stage, "it", 2)
    assert await stage.operator.ended() is None
    assert stage.path_of_weights("it") == CLIMBED
    assert_sound([stage])


async def away(stack: AsyncExitStack, rig: ApiServerRig, folder: Path, lease: int, seconds: float) -> None:
    """503 for longer than the Lease: the process ends, as it must, and its next one goes on."""
    stage = await serving(stack, rig, folder, MORTAL_LEASE_SECONDS=str(lease))
    await at_first_step(stage, "it", 2)
    stage.proxy.on(everything, answer(503), times=None)
    await stage.act("it", "PromoteFull")
    stage.revives = True
    began = time.monotonic()
    await stage.until("the time is over", lambda: time.monotonic() - began > seconds, seconds + 10)
    stage.proxy.heal()
    await stage.until("v2 serves alone", lambda: stage.ended("it", "it-v2", "FastPromoted"))
    assert set(stage.deaths) <= {1}
    assert stage.lives > 1
    assert stage.path_of_weights("it") == [*CLIMBED, {"it-v2": 100}]
    assert_sound([stage])


async def test_away_for_longer_than_the_lease(stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path) -> None:
    await away(stack, rig, tmp_path, 3, 10.0)


@pytest.mark.soak
async def test_away_for_two_minutes(stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path) -> None:
    await away(stack, rig, tmp_path, 15, 120.0)


async def test_a_busy_server_is_left_in_peace(stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path) -> None:
    """429 with Retry-After: nothing more is written for this object before that."""
    stage = await serving(stack, rig, tmp_path)
    mine = writes("rollouts", "httproutes")
    before = len(stage.proxy.seen)
    stage.proxy.on(mine, answer(429, **{"Retry-After": "5"}))
    await at_first_step(stage, "it", 2)
    tried = [seen.at for seen in stage.proxy.seen[before:] if mine(seen.asked)]
    assert tried[1] - tried[0] >= 5.0
    assert await stage.operator.ended() is None
    assert_sound([stage])


async def test_a_kind_of_its_own_that_is_forbidden_stops_no_other(
    stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path
) -> None:
    """403 on TrainingRuns: Rollouts go on, readiness says so, and no restart is needed when it is granted."""
    stage = await serving(stack, rig, tmp_path)
    refused = stage.proxy.on(of_kind("trainingruns"), answer(403), times=None)
    await stage.operator.kill()
    await stage.start()
    await at_first_step(stage, "it", 2)
    assert refused.used > 2
    code, text = await ready(stage)
    assert code == 503
    assert text.startswith("trainingruns are not listed: broken on purpose: Forbidden"), text
    stage.proxy.heal()
    deadline = time.monotonic() + 60
    while (await ready(stage))[0] != 200:
        assert time.monotonic() < deadline, stage.told()
        await asyncio.sleep(0.3)
    assert await stage.operator.ended() is None
    assert_sound([stage])


async def test_routes_that_are_forbidden_hold_the_weight(
    stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path
) -> None:
    """403 on HTTPRoutes, reads and writes: nothing moves; granted again, it goes on."""
    stage = await serving(stack, rig, tmp_path)
    stage.proxy.on(of_kind("httproutes"), answer(403), times=None)
    await stage.publish("it", 2)
    await asyncio.sleep(6)
    assert stage.shares("it") == {"it-v1": 100}
    stage.proxy.heal()
    await stage.until("v2 at 20 %", lambda: stage.world.status("it").get("routedWeight") == 20)
    assert await stage.operator.ended() is None
    assert stage.path_of_weights("it") == CLIMBED
    assert_sound([stage])


def token(rig: ApiServerRig, namespace: str) -> str:
    """A fresh token of the operator's service account."""
    return kubectl(rig, "create", "token", "operator", "--namespace", namespace).strip()


async def test_a_rotated_token_counts_at_once(stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path) -> None:
    """As in a pod: the file has a new token, and the old one is refused with 401 from now on."""
    pod = tmp_path / "pod"
    pod.mkdir()
    stage = await stack.enter_async_context(staged(rig, tmp_path, MORTAL_LEASE_SECONDS="15", MORTAL_POD=str(pod)))
    namespace = stage.world.namespace
    kubectl(rig, "create", "serviceaccount", "operator", "--namespace", namespace)
    admin = ("--clusterrole=cluster-admin", f"--serviceaccount={namespace}:operator")
    kubectl(rig, "create", "clusterrolebinding", namespace, *admin)
    old = token(rig, namespace)
    (pod / "token").write_text(old)
    (pod / "ca.crt").write_bytes(rig.certificate_authority.read_bytes())
    stage.revives = False
    await stage.start()
    await first(stage, "it")

    await asyncio.sleep(1.1)  # tokens of one second are the same
    (pod / "token.new").write_text(token(rig, namespace))
    (pod / "token.new").replace(pod / "token")
    refused = stage.proxy.on(lambda asked: asked.token == old, answer(401), times=None)
    await at_first_step(stage, "it", 2)
    assert await stage.operator.ended() is None
    assert stage.path_of_weights("it") == CLIMBED
    assert refused.used < 20, json.dumps([s.asked.path for s in stage.proxy.seen[-20:]])
    assert_sound([stage])
