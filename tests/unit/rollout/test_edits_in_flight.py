"""The analysis is edited while a canary runs, and numbers that are old: nothing but a fresh Pass ever promotes."""

from typing import Any

import pytest

from tests.golden.rollout.stories import MEASURED, v2_comes
from tests.golden.rollout.world import World
from trainyard.systems.cluster.port import DEPLOYMENT, Forbidden
from trainyard.systems.prometheus.port import Answer

LONG = {"canary": {"steps": [{"setWeight": 20}, {"pause": {"durationSeconds": 1800}}]}}
EDITS: list[dict[str, Any]] = [{"intervalSeconds": 300}, {"warmUpSeconds": 7200}, {"windowSeconds": 7200}]


async def halfway(w: World) -> list[bool]:
    """A canary that has passed for ten minutes of thirty; append to what is returned, and it fails."""
    bad: list[bool] = []
    w.measure(lambda name, at: 0.5 if bad else 0.0)
    await v2_comes(w, strategy=LONG, analysis=MEASURED)
    await w.settle(600)
    return bad


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: next(iter(edit)))
async def test_what_is_not_measured_any_more_is_not_promoted(edit: dict[str, Any]) -> None:
    w = World()
    bad = await halfway(w)
    w.edit(analysis=MEASURED | edit)
    bad.append(True)
    for _ in range(200):
        w.pass_time(15)
        await w.settle()
    assert "v2 Promoted" not in w.outcome()
    assert w.shares().get("v2", 0) in (0, 20)


@pytest.mark.parametrize("seconds", [60, 300])
async def test_a_longer_interval_is_measured_in_its_own_rhythm(seconds: int) -> None:
    w = World()
    bad = await halfway(w)
    w.edit(analysis=MEASURED | {"intervalSeconds": seconds})
    bad.append(True)
    await w.settle(4 * seconds)
    assert w.outcome()[-1] == "v2 Aborted"


async def test_a_shorter_interval_counts_from_the_next_one_on() -> None:
    w = World()
    bad: list[bool] = []
    w.measure(lambda name, at: 0.5 if bad else 0.0)
    await v2_comes(w, strategy=LONG, analysis=MEASURED | {"intervalSeconds": 300})
    await w.settle(900)
    w.edit(analysis=MEASURED)
    bad.append(True)
    await w.settle(40)
    assert w.outcome()[-1] == "v2 Aborted"


async def test_time_under_pause_counts_for_no_step() -> None:
    w = World()
    await v2_comes(w, strategy={"canary": {"steps": [{"setWeight": 20}, {"pause": {"durationSeconds": 60}}]}})
    w.edit(paused=True)
    await w.settle()
    w.pass_time(300)
    w.edit(paused=False)
    await w.settle(50)
    assert w.outcome() == ["v1 Promoted"]
    await w.settle(15)
    assert w.outcome() == ["v1 Promoted", "v2 Promoted"]


async def test_time_under_pause_is_no_time_without_data() -> None:
    w = World()
    w.measure(0.0)
    held = MEASURED | {"maxHoldSeconds": 600, "onNoData": "Abort"}
    await v2_comes(w, strategy=LONG, analysis=held)
    await w.settle(60)
    w.prometheus.on("", Answer(failure="connection refused"))
    await w.settle(60)
    w.edit(paused=True)
    await w.settle(3600)
    w.start()
    w.edit(paused=False)
    await w.settle(400)
    assert w.outcome() == ["v1 Promoted"]
    await w.settle(400)
    assert w.outcome() == ["v1 Promoted", "v2 Aborted"]


async def test_limits_hold_while_more_weight_waits_for_its_pods() -> None:
    w = World()
    bad = [False]
    w.measure(lambda name, at: 0.5 if bad[0] else 0.0)
    w.room["v2"] = 1
    steps = [{"setWeight": 20}, {"pause": {"durationSeconds": 20}}, {"setWeight": 50}, {"pause": {}}]
    target = {"kubernetes": {"serving": {"replicas": 4}}}
    await v2_comes(w, strategy={"canary": {"steps": steps}}, analysis=MEASURED)
    w.edit(target=target)
    await w.settle(120)
    assert w.status()["weight"] == 50
    assert w.shares() == {"v1": 80, "v2": 20}
    bad[0] = True
    await w.settle(60)
    assert w.outcome() == ["v1 Promoted", "v2 Aborted"]
    assert w.shares()["v1"] == 100


async def test_what_a_person_promotes_is_not_judged_on_its_way() -> None:
    w = World()
    w.measure(0.0)
    await v2_comes(w, strategy=LONG, analysis=MEASURED)
    await w.settle(30)
    w.room["v2"] = 1
    w.measure(0.5)
    w.act("PromoteFull")
    await w.settle(60)
    assert w.outcome() == ["v1 Promoted"]
    del w.room["v2"]
    await w.settle(20)
    assert w.outcome() == ["v1 Promoted", "v2 FastPromoted"]


async def test_drift_from_stable_is_not_measured_once_stable_has_nothing() -> None:
    w = World()
    drift = {"name": "drift", "builtin": "PredictionDrift", "max": "0.2"}
    w.prometheus.on("", Answer(samples=()))
    switch = {"blueGreen": {"afterSwitchSeconds": 60}}
    await v2_comes(w, strategy=switch, analysis=MEASURED | {"metrics": [drift]})
    w.act("Promote")
    await w.settle(400)
    assert w.outcome() == ["v1 Promoted", "v2 Promoted"]


async def test_limits_hold_while_a_write_is_refused() -> None:
    w = World()
    bad = await halfway(w)
    w.cluster.fail("apply", DEPLOYMENT, Forbidden("exceeded quota"), times=10**6)
    w.edit(target={"kubernetes": {"serving": {"replicas": 5}}})
    await w.settle(30)
    assert w.condition("Stalled")["reason"] == "WriteRefused"
    bad.append(True)
    await w.settle(120)
    assert w.outcome() == ["v1 Promoted", "v2 Aborted"]
    assert w.shares()["v1"] == 100
