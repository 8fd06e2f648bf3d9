"""Steps are edited under `paused` or in a freeze window: nothing more of the canary by it, and less at any time."""

from typing import Any

import pytest

from tests.golden.rollout.manifests import TARGET
from tests.golden.rollout.stories import MEASURED, v2_comes
from tests.golden.rollout.stories_of_strategies import TESTERS, canary
from tests.golden.rollout.world import World

ALWAYS = {"name": "w", "cron": "* * * * *", "durationSeconds": 600}
HELD: list[dict[str, Any]] = [{"paused": True}, {"freeze": [ALWAYS]}]
FREE: dict[str, Any] = {"paused": False, "freeze": []}
ALL: dict[str, Any] = {"setHeaderRoute": {"name": "all", "match": [{"name": "User-Agent", "regex": ".*"}]}}
HALF_COPIED: dict[str, Any] = {"setMirrorRoute": {"percent": 50}}
ALL_COPIED: dict[str, Any] = {"setMirrorRoute": {"percent": 100}}
TEN = {"kubernetes": {**TARGET["kubernetes"], "serving": {"replicas": 10}}}


def headers(w: World) -> list[str]:
    """The headers that lead to the canary beside its weight."""
    rules = w.route()["spec"]["rules"][:-1]
    return [m["name"] for rule in rules for m in rule["matches"][0]["headers"]]


def copied(w: World) -> int:
    """Of how many of a hundred requests the canary gets a copy."""
    filters = w.route()["spec"]["rules"][-1].get("filters", [])
    return max((f["requestMirror"].get("percent", 100) for f in filters), default=0)


def pods(w: World) -> int:
    return w.available("v2")


async def held_at(w: World, held: dict[str, Any], *steps: dict[str, Any], **spec: Any) -> None:
    """A canary that waits at its first pause, and is held then."""
    w.offer("HTTPRouteRequestMirror", "HTTPRouteRequestPercentageMirror")
    await v2_comes(w, strategy=canary(*steps), target=TEN, **spec)
    w.edit(**held)
    await w.settle(1)


async def edited(w: World, *steps: dict[str, Any]) -> None:
    w.edit(strategy=canary(*steps))
    await w.settle(30)


@pytest.mark.parametrize("held", HELD, ids=str)
async def test_no_header_route_is_added_and_none_is_lost(held: dict[str, Any]) -> None:
    w = World()
    await held_at(w, held, TESTERS, {"pause": {}}, {"setWeight": 20})
    await edited(w, TESTERS, ALL, {"pause": {}}, {"setWeight": 20})
    assert headers(w) == ["X-Tester"]
    await edited(w, {"pause": {}}, TESTERS, {"pause": {}})
    assert headers(w) == ["X-Tester"], "it only stands elsewhere in the ladder"
    await edited(w, TESTERS, ALL, {"pause": {}}, {"setWeight": 20})
    w.edit(**FREE)
    await w.settle(10)
    assert headers(w) == ["X-Tester", "User-Agent"]
    assert w.condition("Paused")["reason"] == "WaitsForPromotion"


@pytest.mark.parametrize("held", HELD, ids=str)
async def test_what_is_taken_out_goes_at_once(held: dict[str, Any]) -> None:
    w = World()
    await held_at(w, held, TESTERS, ALL, HALF_COPIED, {"pause": {}})
    assert (headers(w), copied(w)) == (["X-Tester", "User-Agent"], 50)
    await edited(w, TESTERS, ALL_COPIED, {"pause": {}})
    assert (headers(w), copied(w)) == (["X-Tester"], 50)
    await edited(w, {"pause": {}})
    assert (headers(w), copied(w)) == ([], 0)


@pytest.mark.parametrize("held", HELD, ids=str)
@pytest.mark.parametrize("more", [(), ({"setWeight": 100}, {"pause": {}})], ids=str)
async def test_no_pod_is_added_and_no_weight(held: dict[str, Any], more: tuple[dict[str, Any], ...]) -> None:
    w = World()
    await held_at(w, held, {"setWeight": 20}, {"pause": {}}, {"setWeight": 50})
    await edited(w, *more)
    assert (w.shares(), pods(w), w.outcome()) == ({"v1": 80, "v2": 20}, 2, ["v1 Promoted"])
    w.act("Abort")
    await w.settle(40)
    assert w.outcome()[-1] == "v2 Aborted"


async def test_a_preview_of_full_size_is_no_canary_of_a_held_one() -> None:
    w = World()
    await held_at(w, {"paused": True}, {"setWeight": 20}, {"pause": {}})
    w.edit(strategy={"canary": None, "blueGreen": {}})
    await w.settle(30)
    assert (w.shares(), pods(w)) == ({"v1": 80, "v2": 20}, 2)
    w.edit(**FREE)
    await w.settle(30)
    assert (w.shares(), pods(w)) == ({"v1": 100, "v2": 0}, 10)


async def test_more_replicas_come_while_an_edit_waits() -> None:
    w = World()
    await held_at(w, {"paused": True}, {"setWeight": 20}, {"pause": {}})
    await edited(w, {"setWeight": 90}, {"pause": {}})
    w.edit(target={"kubernetes": {"serving": {"replicas": 20}}})
    await w.settle(10)
    assert (w.available("v1"), pods(w)) == (20, 4)


async def test_in_a_freeze_window_a_lower_weight_goes_through_and_the_rest_waits() -> None:
    w = World()
    await held_at(w, {"freeze": [ALWAYS]}, {"setWeight": 50}, {"pause": {"durationSeconds": 30}}, {"setWeight": 70})
    await edited(w, ALL, {"setWeight": 10}, {"pause": {}})
    assert (w.shares(), headers(w)) == ({"v1": 100, "v2": 0}, [])
    assert "restartedFrom" not in w.status()
    w.edit(**FREE)
    await w.settle(30)
    assert (w.shares(), headers(w), w.status()["restartedFrom"]) == ({"v1": 90, "v2": 10}, ["User-Agent"], 0)


async def test_a_lower_weight_stops_a_promotion_that_waits_in_the_window() -> None:
    w = World()
    await held_at(w, {}, {"setWeight": 50}, {"pause": {"durationSeconds": 30}})
    w.room["v2"] = 5
    await w.settle(40)
    assert (w.status()["ending"]["outcome"], w.shares()["v2"]) == ("Promoted", 50)
    w.edit(freeze=[ALWAYS])
    await w.settle(1)
    await edited(w, {"setWeight": 20}, {"pause": {}})
    assert (w.shares(), w.status().get("ending")) == ({"v1": 80, "v2": 20}, None)
    w.edit(**FREE)
    await w.settle(600)
    assert (w.shares(), w.outcome()) == ({"v1": 80, "v2": 20}, ["v1 Promoted"])


async def test_a_metric_that_fails_goes_back_while_an_edit_waits() -> None:
    w = World()
    w.measure(0.0)
    await held_at(w, {"freeze": [ALWAYS]}, {"setWeight": 20}, {"pause": {}}, analysis=MEASURED)
    await edited(w, {"setWeight": 90}, {"pause": {}})
    w.measure(1.0)
    await w.settle(60)
    assert w.outcome()[-1] == "v2 Aborted"
