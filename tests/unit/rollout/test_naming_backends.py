"""A canary is a backend of weight 0 that the Gateway took, before anything leads to it."""

from datetime import datetime
from typing import Any

import pytest

from tests.golden.rollout.manifests import version
from tests.golden.rollout.stories import v1_serves, v2_comes
from tests.golden.rollout.stories_of_strategies import BESIDE, canary, on_gpus
from tests.golden.rollout.world import ROUTE, World
from trainyard.reconciling.plan import Plan
from trainyard.rollout.decide import decide
from trainyard.rollout.room import RolloutRoom
from trainyard.rollout.state import Observed, ShiftTraffic
from trainyard.systems.cluster.port import CONTROLLER_REVISION, DEPLOYMENT, Unavailable


@pytest.mark.parametrize("steps", [({"setWeight": 20}, {"pause": {}}), BESIDE], ids=["weight", "header and mirror"])
async def test_nothing_leads_to_a_backend_that_the_gateway_does_not_know(steps: tuple[dict[str, Any], ...]) -> None:
    """Its proxy may hear of routes before it hears of backends, and would answer 503 meanwhile."""
    w = World()
    await v1_serves(w, strategy=canary(*steps))
    w.gateway = False
    w.add(version("v2", 2))
    await w.settle(30)
    assert w.available("v2") == 1
    assert w.shares() == {"v1": 100, "v2": 0}
    assert len(w.route()["spec"]["rules"]) == 1
    w.gateway = True
    await w.settle(1)
    assert w.shares()["v2"] == 20 or len(w.route()["spec"]["rules"]) == 2


async def test_a_canary_is_named_once_a_pod_of_it_is_ready_and_nobody_holds_it() -> None:
    """Some gateways refuse a route to a Service without endpoints."""
    w = World(room={"v2": 0})
    await v2_comes(w, target=on_gpus(3), strategy=canary({"setWeight": 60}, {"pause": {}}))
    assert w.shares() == {"v1": 100}
    w.edit(paused=True)
    w.room["v2"] = 1
    await w.settle(60)
    assert w.shares() == {"v1": 100}
    w.edit(paused=False)
    await w.settle(1)
    assert w.shares() == {"v1": 100, "v2": 0}
    del w.room["v2"]
    await w.settle(1)
    assert w.shares() == {"v1": 40, "v2": 60}


async def test_a_canary_that_finds_no_route_is_named_first_too() -> None:
    w = World()
    await v1_serves(w)
    w.add(version("v2", 2))
    await w.visit()
    w.cluster.remove(ROUTE)
    w.gateway = False
    await w.settle(1)
    assert w.shares() == {"v1": 100}, "what no Gateway heard of can be taken down while they are away"
    w.gateway = True
    await w.settle(1)
    assert w.weights[-2:] == [{"v1": 100, "v2": 0}, {"v1": 80, "v2": 20}]
    w.cluster.remove(ROUTE)
    w.gateway = False
    await w.settle(1)
    assert w.shares() == {"v1": 80, "v2": 20}, "it comes back whole"


async def test_a_canary_is_kept_before_it_is_named() -> None:
    """Its objects are written at the same time; the process may have died before the one that says what it serves."""
    w = World()
    await v1_serves(w)
    w.add(version("v2", 2))
    w.cluster.fail("apply", CONTROLLER_REVISION, Unavailable("cut off"))
    with pytest.raises(Unavailable):
        await w.visit()
    assert len(w.cluster.all(DEPLOYMENT)) == 2
    assert w.kept() == {"v1"}
    await w.settle(1)
    assert w.kept() == {"v1", "v2"}
    assert w.shares() == {"v1": 80, "v2": 20}


async def test_a_deleted_route_comes_back_with_its_header_route() -> None:
    w = World()
    await v2_comes(w, strategy=canary(*BESIDE))
    before = w.route()["spec"]
    assert len(before["rules"]) == 2
    w.cluster.remove(ROUTE)
    w.gateway = False
    await w.settle(1)
    assert w.route()["spec"] == before


async def test_a_name_in_the_route_is_no_reason_to_read_everything_live(monkeypatch: pytest.MonkeyPatch) -> None:
    """No request goes elsewhere by it. Weights are decided again, live."""
    shifts: list[tuple[list[int], bool]] = []

    def noted(_: RolloutRoom, observed: Observed, now: datetime) -> Plan:
        found = decide(observed, now)
        for action in found.actions:
            if isinstance(action, ShiftTraffic):
                backends = action.manifest["spec"]["rules"][-1]["backendRefs"]
                shifts.append(([b["weight"] for b in backends], action.irrevocable))
        return found

    monkeypatch.setattr(RolloutRoom, "decide", noted)
    w = World()
    await v2_comes(w)
    assert shifts == [*2 * [([100], True)], ([100, 0], False), *2 * [([80, 20], True)]]
