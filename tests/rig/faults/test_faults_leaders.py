"""Scenario 59: two operators with a Lease between them, one of which dies, stops, or is told to go."""

import asyncio
import signal
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.rig import ApiServerRig
from tests.rig.faults.breaking import go_silent, held, number, then, watches, writes
from tests.rig.faults.judging import assert_sound
from tests.rig.faults.proxy import ApiProxy
from tests.rig.faults.stage import Stage, staged
from tests.rig.faults.stories import at_first_step, first
from tests.rig.tiny_processes import audited
from tests.rig.watched import Mortal

pytestmark = [pytest.mark.rig, pytest.mark.timeout(600)]

LEASE_SECONDS = 15  # the default
SHORT_SECONDS = 4


@dataclass
class Pair:
    """A stage whose operator leads, and a standby with an identity and a proxy of its own."""

    stage: Stage
    standby: Mortal
    proxy: ApiProxy

    @property
    def leader(self) -> str:
        return self.stage.world.leader().partition("_")[0]

    async def takes_over(self) -> float:
        """Return the seconds until the standby leads."""
        began = time.monotonic()
        await self.stage.until("the standby leads", lambda: self.leader == "standby")
        return time.monotonic() - began


async def pair(stack: AsyncExitStack, rig: ApiServerRig, folder: Path, lease_seconds: int) -> Pair:
    """A leader with v1 in service, and a standby that watches."""
    stage = await stack.enter_async_context(staged(rig, folder, MORTAL_LEASE_SECONDS=str(lease_seconds)))
    stage.revives = False
    await stage.start()
    await first(stage, "it")
    proxy = await stack.enter_async_context(ApiProxy(rig, f"standby-{stage.world.namespace}"))
    more = {"MORTAL_LEASE_SECONDS": str(lease_seconds), "TRAINYARD_POD_NAME": "standby", "TRAINYARD_POD_UID": "2"}
    log = folder / "standby.log"
    mortal = Mortal(rig, stage.world.namespace, stage.world.prometheus_url, log, proxy.kubeconfig(folder), **more)
    standby = await stack.enter_async_context(mortal)
    await standby.start()
    made = Pair(stage, standby, proxy)
    await stage.until("the standby knocks", lambda: any(s.asked.kind == "leases" for s in proxy.seen))
    return made


async def test_the_leader_is_killed(stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path) -> None:
    two = await pair(stack, rig, tmp_path, LEASE_SECONDS)
    await at_first_step(two.stage, "it", 2)
    await two.stage.operator.kill()
    await two.stage.act("it", "PromoteFull")
    assert await two.takes_over() < 20
    await two.stage.until("v2 serves alone", lambda: two.stage.ended("it", "it-v2", "FastPromoted"))
    assert two.stage.path_of_weights("it") == [{"it-v1": 100}, {"it-v1": 80, "it-v2": 20}, {"it-v2": 100}]
    assert_sound([two.stage])


async def test_a_killed_process_is_followed_by_the_next_of_its_pod_before_its_lease_ends(
    stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path
) -> None:
    """The container is started anew; only writes under way are waited for. A Lease of half a minute shows it."""
    stage = await stack.enter_async_context(staged(rig, tmp_path, MORTAL_LEASE_SECONDS="30"))
    await stage.start()
    await first(stage, "it")
    before = stage.world.leader()
    await stage.operator.kill()
    began = time.monotonic()
    await stage.start()
    await stage.until("the next one leads", lambda: stage.world.leader() not in ("", before))
    assert 10 <= time.monotonic() - began < 25, "a third of the Lease"


async def test_the_leader_is_told_to_go(stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path) -> None:
    """It lets go of its Lease of half a minute: the standby leads within a fifth of it."""
    two = await pair(stack, rig, tmp_path, 30)
    two.stage.operator.strike(signal.SIGTERM)
    assert await two.takes_over() < 20
    assert await two.stage.operator.ended() == 0


async def stopped(two: Pair, seconds: float) -> None:
    """The leader stops in the middle of a rollout, at one of its writes, and goes on when another leads."""
    stage = two.stage
    stage.proxy.writes = 0
    rule = stage.proxy.on(number(4), then(lambda: stage.operator.strike(signal.SIGSTOP)))
    await stage.publish("it", 2)
    await stage.until("the leader stops", lambda: rule.used)
    began = time.monotonic()
    await two.takes_over()
    await stage.until("v2 at 20 %", lambda: stage.world.status("it").get("routedWeight") == 20)
    before = len(audited(stage.rig, stage.proxy.user))
    await asyncio.sleep(max(0.0, seconds - (time.monotonic() - began)))
    stage.operator.strike(signal.SIGCONT)
    await asyncio.sleep(2)
    await stage.act("it", "Promote")
    await stage.until("v2 serves alone", lambda: stage.ended("it", "it-v2", "Promoted"))
    accepted = [w for w in audited(stage.rig, stage.proxy.user)[before:] if w["responseStatus"]["code"] < 300]
    assert accepted == [], "a write of a leader that had lost its Lease was taken"
    assert await stage.operator.ended() == 1
    assert len(audited(stage.rig, two.proxy.user)) > 5
    assert_sound([stage])


async def test_the_leader_is_stopped_and_goes_on(stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path) -> None:
    await stopped(await pair(stack, rig, tmp_path, SHORT_SECONDS), 8.0)


@pytest.mark.parametrize("kind", ["rollouts", "httproutes"])
async def test_a_write_that_was_under_way_comes_after_the_takeover(
    stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path, kind: str
) -> None:
    """No fence of the leader's own can stop it any more: it is the version it was decided on that is refused."""
    two = await pair(stack, rig, tmp_path, SHORT_SECONDS)
    stage, late = two.stage, asyncio.Event()
    await at_first_step(stage, "it", 2)
    rule = stage.proxy.on(writes(kind), held(lambda: stage.operator.strike(signal.SIGSTOP), late))
    await stage.act("it", "Promote")
    await stage.until("a write under way", lambda: rule.used)
    await two.takes_over()
    await stage.until("v2 serves alone", lambda: stage.ended("it", "it-v2", "Promoted"))
    before = len(stage.proxy.seen)
    late.set()
    await stage.until("it came", lambda: len(stage.proxy.seen) > before)
    came = stage.proxy.seen[before]
    assert (came.asked.kind, came.status) == (kind, 409)
    stage.operator.strike(signal.SIGCONT)
    await at_first_step(stage, "it", 3)
    assert await stage.operator.ended() == 1
    path = [{"it-v1": 50, "it-v2": 50}, {"it-v2": 100}, {"it-v2": 80, "it-v3": 20}]
    assert stage.path_of_weights("it")[-3:] == path
    assert_sound([stage])


@pytest.mark.soak
async def test_the_leader_is_stopped_for_30_seconds(stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path) -> None:
    await stopped(await pair(stack, rig, tmp_path, LEASE_SECONDS), 30.0)


async def test_a_standby_that_was_deaf_lists_anew_before_it_acts(
    stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path
) -> None:
    """Its watches went silent while the leader aborted and retried: what it remembers is not what it acts on."""
    two = await pair(stack, rig, tmp_path, SHORT_SECONDS)
    stage = two.stage
    await two.standby.kill()
    two.proxy.on(watches(), go_silent(), times=None)
    await two.standby.start()
    await stage.until("a deaf standby", lambda: two.proxy.rules[0].used >= 11)
    await at_first_step(stage, "it", 2)
    await stage.operator.kill()
    await stage.act("it", "Promote")
    await two.takes_over()
    await stage.until("v2 serves alone", lambda: stage.ended("it", "it-v2", "Promoted"))
    path = [{"it-v1": 100}, {"it-v1": 80, "it-v2": 20}, {"it-v1": 50, "it-v2": 50}, {"it-v2": 100}]
    assert stage.path_of_weights("it") == path
    refused = [w for w in audited(stage.rig, two.proxy.user) if w["responseStatus"]["code"] == 409]
    assert refused == [], "it acted on what it remembered"
