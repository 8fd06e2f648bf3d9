"""How a canary may end: only by a decision, and only as a version that is still ready."""

from typing import Any

import pytest

from tests.golden.rollout.manifests import version
from tests.golden.rollout.stories import ERRORS, MEASURED, v1_serves, v2_comes
from tests.golden.rollout.world import World


@pytest.mark.parametrize("window", [0, 1])
async def test_a_version_that_is_no_longer_ready_is_not_promoted_on_its_last_rise(window: int) -> None:
    """The steps are over, or it was stable lately and needs none: all traffic is on its way, and it may not have it."""
    w = World()
    steps: list[dict[str, Any]] = [] if window else [{"setWeight": 20}, {"pause": {"durationSeconds": 10}}]
    await v1_serves(w, version={"name": "v1"}, strategy={"canary": {"steps": steps}}, rollbackWindow=window)
    w.add(version("v2", 2))
    if window:
        w.edit(version={"name": "v2"})
        await w.settle(40)
        assert w.shares() == {"v2": 100}
    name = "v1" if window else "v2"
    w.room[name] = 1
    w.edit(version={"name": name})
    await w.settle(30)
    assert w.status()["ending"]["outcome"] == "Promoted"
    w.set_ready(name, False)
    await w.settle(10)
    w.room.clear()
    await w.settle(60)
    assert w.outcome()[-1] == f"{name} Aborted"
    assert w.shares() == {"v2" if window else "v1": 100}


SWITCHED: list[dict[str, Any]] = [
    {"setWeight": 20},
    {"pause": {"durationSeconds": 20}},
    {"setWeight": 100},
    {"pause": {"durationSeconds": 600}},
]


async def with_all_traffic_and_failing(w: World, allowed: int) -> None:
    """A canary with all traffic, watched for ten minutes; from now on it answers with errors."""
    bad: list[bool] = []
    w.measure(lambda name, at: 0.5 if bad and name == "v2" else 0.0)
    metrics = [ERRORS[0] | {"failureLimit": allowed}]
    await v2_comes(w, strategy={"canary": {"steps": SWITCHED}}, analysis=MEASURED | {"metrics": metrics})
    await w.settle(120)
    assert (w.status()["step"], w.shares()) == (3, {"v1": 0, "v2": 100})
    bad.append(True)


@pytest.mark.parametrize("left", [0, 2, 3])
async def test_steps_taken_away_at_all_traffic_do_not_promote_what_fails(left: int) -> None:
    w = World()
    await with_all_traffic_and_failing(w, allowed=30)
    await w.settle(15)
    w.edit(strategy={"canary": {"steps": SWITCHED[:left]}})
    await w.settle(100)
    assert w.outcome() == ["v1 Promoted"]
    await w.settle(400)
    assert w.outcome() == ["v1 Promoted", "v2 Aborted"]


async def test_steps_taken_away_at_all_traffic_while_paused_promote_nothing() -> None:
    w = World()
    await with_all_traffic_and_failing(w, allowed=2)
    w.edit(paused=True)
    await w.settle(1)
    w.edit(strategy={"canary": {"steps": SWITCHED[:3]}})
    await w.settle(100)
    assert (w.outcome(), w.shares()) == (["v1 Promoted"], {"v1": 0, "v2": 100})
    w.edit(paused=False)
    await w.settle(100)
    assert w.outcome() == ["v1 Promoted", "v2 Aborted"]


@pytest.mark.parametrize("left", [0, 3])
async def test_steps_taken_away_at_all_traffic_promote_what_passes(left: int) -> None:
    w = World()
    w.measure(0.0)
    await v2_comes(w, strategy={"canary": {"steps": SWITCHED}}, analysis=MEASURED)
    await w.settle(120)
    w.edit(strategy={"canary": {"steps": SWITCHED[:left]}})
    await w.settle(60)
    assert w.outcome() == ["v1 Promoted", "v2 Promoted"]


async def test_a_switch_that_is_watched_no_longer_ends_by_a_pass_alone() -> None:
    """Blue-green, and `afterSwitchSeconds` becomes 0 while the new revision fails."""
    w = World()
    bad: list[bool] = []
    w.measure(lambda name, at: 0.5 if bad and name == "v2" else 0.0)
    metrics = [ERRORS[0] | {"failureLimit": 50}]
    switch = {"autoPromotionSeconds": 10, "afterSwitchSeconds": 600}
    await v2_comes(w, strategy={"blueGreen": switch}, analysis=MEASURED | {"metrics": metrics})
    await w.settle(60)
    bad.append(True)
    await w.settle(30)
    w.edit(strategy={"blueGreen": {"afterSwitchSeconds": 0}})
    await w.settle(40)
    assert (w.outcome(), w.shares()) == (["v1 Promoted"], {"v1": 0, "v2": 100})
    bad.clear()
    await w.settle(40)
    assert w.outcome() == ["v1 Promoted", "v2 Promoted"]
