"""Scenario 56: watches that are cut, too old, broken or silent. Never alive and deaf."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from local.rig import ApiServerRig
from tests.rig.faults.breaking import cut_after, cut_before, go_silent, swallow, tell_error, watches
from tests.rig.faults.judging import assert_sound, play
from tests.rig.faults.proxy import Fault
from tests.rig.faults.stage import Stage, staged
from tests.rig.faults.stories import at_first_step, first, promoted

pytestmark = [pytest.mark.rig, pytest.mark.timeout(900)]

BROKEN: dict[str, Fault] = {
    "cut every 3 s": cut_after(3.0),
    "too old after 1 s": tell_error(410, 1.0),
    "always too old": tell_error(410),
    "refused": cut_before,
}
OURS = ("rollouts", "trainingruns", "trainingpipelines", "modelversions")
CHILDREN = ("deployments", "services", "jobs", "pods", "httproutes", "controllerrevisions", "persistentvolumeclaims")
DEAF_SECONDS = 90.0


async def set_up(stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path, **more: str) -> Stage:
    """A stage whose operator may not end."""
    stage = await stack.enter_async_context(staged(rig, tmp_path, MORTAL_LEASE_SECONDS="15", **more))
    stage.revives = False
    await stage.start()
    return stage


async def test_a_rollout_goes_its_way_whatever_becomes_of_the_watches(
    rig: ApiServerRig, stack: AsyncExitStack, tmp_path: Path
) -> None:
    stages = {what: await set_up(stack, rig, tmp_path) for what in BROKEN}
    whole = await play(next(iter(stages.values())), promoted, "whole")
    for what, stage in stages.items():
        stage.proxy.on(watches(), BROKEN[what], times=None)
        await stage.operator.kill()  # the next life has no watch that was not broken
        await stage.start()
    async with asyncio.TaskGroup() as group:
        told = {what: group.create_task(play(stage, promoted, "it")) for what, stage in stages.items()}
    for what, stage in stages.items():
        assert (told[what].result().path, told[what].result().outcome) == (whole.path, whole.outcome), what
        assert stage.proxy.rules[0].used > 8, what
        assert await stage.operator.ended() is None, what
    assert_sound(list(stages.values()))


async def test_an_error_in_a_watch_of_children_needs_no_restart(
    rig: ApiServerRig, stack: AsyncExitStack, tmp_path: Path
) -> None:
    stage = await set_up(stack, rig, tmp_path)
    rule = stage.proxy.on(watches(*CHILDREN), tell_error(500, 1.0), times=None)
    await stage.operator.kill()
    await stage.start()
    await promoted(stage, "it")
    assert rule.used > len(CHILDREN)
    assert await stage.operator.ended() is None
    assert_sound([stage])


async def test_an_error_in_a_watch_of_our_kinds_ends_the_process_or_nothing(
    rig: ApiServerRig, stack: AsyncExitStack, tmp_path: Path
) -> None:
    """kopf, which watches them too, ends the process then; Kubernetes starts the next one."""
    stage = await set_up(stack, rig, tmp_path)
    await first(stage, "it")
    stage.proxy.on(watches(*OURS), tell_error(500, 2.0), times=8)
    await stage.operator.kill()
    await stage.start()
    stage.revives = True
    await at_first_step(stage, "it", 2)
    assert stage.path_of_weights("it") == [{"it-v1": 100}, {"it-v1": 80, "it-v2": 20}]


async def test_a_server_that_breaks_every_watch_is_not_stormed(
    rig: ApiServerRig, stack: AsyncExitStack, tmp_path: Path
) -> None:
    """Ten seconds of a server that answers each watch with an error at once."""
    stage = await set_up(stack, rig, tmp_path)
    rule = stage.proxy.on(watches(*CHILDREN), tell_error(410), times=None)
    both = stage.proxy.on(watches(*OURS), tell_error(410), times=None)
    await stage.operator.kill()
    await stage.start()
    await stage.until("the watches to begin", lambda: rule.used)
    await asyncio.sleep(10)
    # Each of our watches backs off: 0, 1, 2, 4, 8 s; kopf's come every two seconds beside those of our kinds.
    assert rule.used <= len(CHILDREN) * 5
    assert both.used <= len(OURS) * (5 + 8)


async def test_silent_watches_are_noticed_in_time(rig: ApiServerRig, stack: AsyncExitStack, tmp_path: Path) -> None:
    """The connection stays open and tells nothing: here with seconds for the 85 of a process."""
    stage = await set_up(stack, rig, tmp_path, MORTAL_SILENCE_SECONDS="3")
    await first(stage, "it")
    stage.proxy.on(watches(), go_silent(), times=None)
    await stage.operator.kill()
    await stage.start()
    began = time.monotonic()
    await at_first_step(stage, "it", 2)
    assert time.monotonic() - began < 60
    assert await stage.operator.ended() is None
    assert_sound([stage])


@pytest.mark.soak
async def test_half_open_connections_are_noticed_within_90_seconds(
    rig: ApiServerRig, stack: AsyncExitStack, tmp_path: Path
) -> None:
    """Nothing comes back any more on any stream; what is asked anew is answered."""
    stage = await set_up(stack, rig, tmp_path)
    await first(stage, "it")
    streams = stage.proxy.on(watches(), go_silent(), times=None)
    await stage.operator.kill()
    await stage.start()
    await stage.until("silent streams", lambda: streams.used >= 11)
    await asyncio.sleep(5)
    await stage.publish("it", 2)
    began = time.monotonic()
    await stage.until("the change is handled", lambda: stage.world.status("it").get("canary"), DEAF_SECONDS)
    assert time.monotonic() - began > 10, "the watch was deaf"
    assert_sound([stage])


async def test_requests_that_are_never_answered_end_by_themselves(
    rig: ApiServerRig, stack: AsyncExitStack, tmp_path: Path
) -> None:
    """A half-open connection under a write: after ten seconds it is tried again on another."""
    stage = await set_up(stack, rig, tmp_path)
    await first(stage, "it")
    swallowed = stage.proxy.on(lambda asked: asked.kind == "httproutes" and asked.is_write, swallow)
    await at_first_step(stage, "it", 2)
    assert swallowed.used == 1
    assert await stage.operator.ended() is None
    assert stage.path_of_weights("it") == [{"it-v1": 100}, {"it-v1": 80, "it-v2": 20}]
    assert_sound([stage])
