"""Scenarios 54 and 55, and clocks that jump: what happened while the operator was down moves nothing by itself."""

import asyncio
import copy
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from local.rig import ApiServerRig
from tests.rig.faults.judging import assert_sound
from tests.rig.faults.stage import ANALYSIS, Stage, quiet, staged, turn
from tests.rig.faults.stories import at_first_step, first
from trainyard.systems.cluster.port import ROLLOUT, Ref

pytestmark = [pytest.mark.rig, pytest.mark.timeout(600)]

HOUR = 3600.0
TEN_MINUTES = 600.0
CLIMB = [
    {"setWeight": 50},
    {"pause": {"durationSeconds": 20}},
    {"setWeight": 70},
    {"pause": {"durationSeconds": 3600}},
]


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    """The file that says by how many seconds the operator's clock is ahead."""
    file = tmp_path / "ahead"
    file.write_text("0")
    return file


@pytest.fixture
async def stage(rig: ApiServerRig, clock: Path, tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(rig, tmp_path, MORTAL_CLOCK=str(clock)) as made:
        await made.start()
        yield made


def generation(stage: Stage, name: str) -> Any:
    return stage.world.status(name).get("observedGeneration")


async def at_half(stage: Stage, **spec: Any) -> None:
    """v2 has half of the traffic, in a pause of 20 s with an hour at 70 % behind it."""
    await first(stage, "it", strategy={"canary": {"steps": copy.deepcopy(CLIMB)}}, **spec)
    await stage.publish("it", 2)
    await stage.until("v2 at 50 %", lambda: stage.world.status("it").get("routedWeight") == 50)


async def test_ten_minutes_down_while_metrics_go_bad(stage: Stage, clock: Path) -> None:
    """54: it measures before it moves, and then it aborts; the pause that is long over promotes nothing."""
    await at_half(stage, analysis=copy.deepcopy(ANALYSIS))
    await stage.operator.kill()
    stage.world.failing.add("it-v2")
    turn(clock, TEN_MINUTES)
    await stage.start()
    await stage.until("v2 is rejected", lambda: stage.ended("it", "it-v2", "Aborted"))
    assert stage.path_of_weights("it") == [{"it-v1": 100}, {"it-v1": 50, "it-v2": 50}, {"it-v1": 100}]
    (ending,) = stage.world.endings("it", "it-v2")
    assert "failed 1 time" in ending["message"]
    assert_sound([stage])


async def test_ten_minutes_down_while_all_goes_well_skip_no_step(stage: Stage, clock: Path) -> None:
    await at_half(stage, analysis=copy.deepcopy(ANALYSIS))
    await stage.operator.kill()
    turn(clock, TEN_MINUTES)
    await stage.start()
    began = time.monotonic()
    await stage.until("v2 at 70 %", lambda: stage.world.status("it").get("routedWeight") == 70)
    assert time.monotonic() - began > 10, "the rest of the pause was waited for"
    assert stage.path_of_weights("it")[-2:] == [{"it-v1": 50, "it-v2": 50}, {"it-v1": 30, "it-v2": 70}]
    assert_sound([stage])


async def test_a_clock_that_jumps_an_hour_promotes_nothing(stage: Stage, clock: Path) -> None:
    """Forward, while it runs, with a pause that is counted by ready pods; and back again."""
    await at_half(stage)
    began = time.monotonic()
    turn(clock, HOUR)
    await stage.until("v2 at 70 %", lambda: stage.world.status("it").get("routedWeight") == 70)
    assert time.monotonic() - began > 10, "a pause is no matter of the clock"
    turn(clock, 0)
    await asyncio.sleep(3)
    turn(clock, 2 * HOUR)
    await asyncio.sleep(5)
    assert stage.shares("it") == {"it-v1": 30, "it-v2": 70}
    assert_sound([stage])


async def test_down_while_one_goes_away_and_comes_back(stage: Stage) -> None:
    """55: A→B→A is nothing."""
    await first(stage, "it", version={"name": "it-v1"})
    await stage.publish("it", 2)
    await quiet(stage, "it")
    await stage.operator.kill()
    before = len(stage.writes_of("it"))
    await stage.edit("it", version={"name": "it-v2"})
    await stage.edit("it", version={"name": "it-v1"})
    obj = await stage.world.cluster.get(Ref(ROLLOUT, stage.world.namespace, "it")) or {}
    await stage.start()
    await stage.until("it was looked at", lambda: generation(stage, "it") == obj["metadata"]["generation"])
    await quiet(stage, "it")
    assert [(s.asked.kind, s.asked.subresource) for s in stage.writes_of("it")[before:]] == [("rollouts", "status")]
    assert stage.deployments("it") == ["it-v1"]
    assert stage.path_of_weights("it") == [{"it-v1": 100}]
    assert_sound([stage])


async def test_down_while_two_newer_ones_come(stage: Stage) -> None:
    """55: A→B→C is only C."""
    await first(stage, "it")
    await quiet(stage, "it")
    await stage.operator.kill()
    await stage.publish("it", 2)
    await at_first_step_after(stage)
    assert stage.deployments("it") == ["it-v1", "it-v3"]
    assert stage.path_of_weights("it") == [{"it-v1": 100}, {"it-v1": 80, "it-v3": 20}]
    assert not stage.world.endings("it", "it-v2")
    assert_sound([stage])


async def at_first_step_after(stage: Stage) -> None:
    """The third one comes before the next operator does."""
    stage.revives = False
    waiting = asyncio.create_task(at_first_step(stage, "it", 3))
    await asyncio.sleep(0.5)
    await stage.start()
    await waiting
