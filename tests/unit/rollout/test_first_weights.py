"""A first weight that is reached in part, or not taken yet, has users: its limits hold, and nothing passes by it."""

from typing import Any

import pytest

from tests.golden.rollout.manifests import version
from tests.golden.rollout.stories import ERRORS, MEASURED, v1_serves, v2_comes
from tests.golden.rollout.stories_of_strategies import canary, on_gpus
from tests.golden.rollout.world import World
from tests.unit.rollout.making import revision, rollout
from tests.unit.rollout.test_pods import NO_NODE
from trainyard import naming
from trainyard.resources.rollout import RolloutStatus
from trainyard.rollout import progress

ALWAYS = {"name": "w", "cron": "* * * * *", "durationSeconds": 600}
HALF = canary({"setWeight": 50}, {"analysis": {"count": 2}}, {"pause": {}}, maxExtraAccelerators=2)


async def a_quarter(w: World, errors: float, **spec: Any) -> None:
    """Two pods of v2 carry 50 %, and one finds a place."""
    w.room["v2"] = 1
    w.measure(errors)
    await v2_comes(w, **{"strategy": HALF, "target": on_gpus(4), "analysis": MEASURED} | spec)
    assert w.shares() == {"v1": 75, "v2": 25}
    assert w.status()["routedWeight"] == 0


async def test_a_part_of_the_first_weight_that_fails_goes_back() -> None:
    w = World()
    await a_quarter(w, 1.0)
    w.set_pod("v2", NO_NODE)
    await w.settle(5)
    assert w.condition("Available")["message"].endswith("; stable serves the rest of the traffic")
    await w.settle(60)
    assert w.outcome() == ["v1 Promoted", "v2 Aborted"]
    assert w.shares()["v1"] == 100


async def test_also_in_a_freeze_window_and_not_while_a_person_holds_it() -> None:
    frozen, paused = World(), World()
    for w in (frozen, paused):
        await a_quarter(w, 0.0)
        w.edit(freeze=[ALWAYS] if w is frozen else [], paused=w is paused)
        await w.settle(1)
        w.measure(1.0)
        await w.settle(60)
    assert frozen.outcome() == ["v1 Promoted", "v2 Aborted"]
    assert paused.outcome() == ["v1 Promoted"]
    assert paused.shares() == {"v1": 75, "v2": 25}


async def test_a_part_of_the_first_weight_passes_nothing() -> None:
    w = World()
    await a_quarter(w, 0.0)
    w.set_pod("v2", NO_NODE)
    await w.settle(3600)
    status = w.status()
    assert (status["step"], status.get("passed", 0), status["routedWeight"]) == (0, 0, 0)
    assert status["metrics"][0]["verdict"] == "Pass"
    del w.room["v2"]
    await w.settle(5)
    assert (w.shares()["v2"], w.status()["step"], w.status().get("passed", 0)) == (50, 1, 0)
    await w.settle(40)
    assert w.status()["waitingFor"] == "a person: trainyard promote churn"


async def test_a_first_weight_that_the_gateway_does_not_take_is_looked_at_too() -> None:
    w = World()
    w.measure(1.0)
    await v1_serves(w, analysis=MEASURED)
    w.add(version("v2", 2))
    while "v2" not in w.shares():
        await w.round()
    w.gateway = False
    await w.settle(1)
    assert (w.shares()["v2"], w.status()["routedWeight"]) == (20, 0)
    await w.settle(100)
    assert w.outcome() == ["v1 Promoted", "v2 Aborted"]


async def test_what_was_stable_lately_is_not_measured_on_its_way() -> None:
    w = World()
    w.measure(0.0)
    strategy = canary(maxExtraAccelerators=2)
    spec: dict[str, Any] = {"strategy": strategy, "target": on_gpus(4), "rollbackWindow": 1, "version": {"name": "v1"}}
    await v2_comes(w, analysis=MEASURED, **spec)
    w.edit(version={"name": "v2"})
    await w.settle(100)
    assert w.outcome() == ["v1 Promoted", "v2 Promoted"]
    w.room["v1"] = 1
    w.measure(1.0)
    w.edit(version={"name": "v1"})
    await w.settle(300)
    assert 0 < w.shares()["v1"] < 100
    del w.room["v1"]
    await w.settle(100)
    assert w.outcome()[-1] == "v1 Promoted"


@pytest.mark.parametrize(
    ("weight", "routed_weight", "live", "due"),
    [
        (100, 0, 0, []),
        (100, 0, 30, ["errors", "more"]),
        (100, 0, 100, ["errors"]),
        (100, 30, 0, ["errors", "more"]),
        (60, 30, 60, ["errors", "more"]),
    ],
)
def test_which_limits_hold_on_the_way(weight: int, routed_weight: int, live: int, due: list[str]) -> None:
    more = {"name": "more", "builtin": "ErrorRate", "maxIncrease": "0.01"}
    blocks = {"name": "blocks", "builtin": "ErrorRate", "margin": "0.01", "sequential": {"alpha": "0.05"}}
    made = rollout(analysis=MEASURED | {"metrics": [*ERRORS, more, blocks]})
    ours, theirs = revision("v2"), revision("v1")
    status = RolloutStatus(canary=ours, stable=theirs, weight=weight, routed_weight=routed_weight, step=0)
    backends = [
        {"name": naming.revision_object("churn", one.revision), "weight": share}
        for one, share in ((theirs, 100 - live), (ours, live))
    ]
    route = {"spec": {"rules": [{"backendRefs": backends}]}}
    assert progress.is_watched(made, status, route) == bool(due)
    if due:
        assert [metric.name for metric in progress.analysis_now(made, status, route).metrics] == due
