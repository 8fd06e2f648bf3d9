"""Stories of one Rollout by strategy: headers, mirror, cookies, blue-green, short accelerators, scaling."""

import math
from datetime import datetime
from typing import Any

from tests.golden.rollout.manifests import TARGET, rollout, version
from tests.golden.rollout.stories import ERRORS, MEASURED, v2_comes
from tests.golden.rollout.world import KEY, START, World
from trainyard.systems.cluster.port import DEPLOYMENT, HTTP_ROUTE, ROLLOUT, SERVICE
from trainyard.systems.prometheus.port import Answer

TESTERS: dict[str, Any] = {"setHeaderRoute": {"name": "testers", "match": [{"name": "X-Tester", "exact": "1"}]}}
BESIDE: list[dict[str, Any]] = [
    TESTERS,
    {"pause": {}},
    {"setMirrorRoute": {"percent": 100}},
    {"pause": {}},
    {"setMirrorRoute": {"percent": 0}},
    {"setWeight": 20},
    {"pause": {}},
]
BLUE_GREEN: dict[str, Any] = {
    "preview": {"header": {"name": "X-Preview", "value": "1"}},
    "beforeSwitch": {"count": 2, "metrics": ["errors"]},
    "autoPromotionSeconds": 30,
    "afterSwitchSeconds": 60,
}
ON_REQUEST: dict[str, Any] = MEASURED | {"metrics": [ERRORS[0] | {"background": False}]}


def canary(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"canary": {"steps": [*steps], **more}}


def previewed(w: World, errors: float = 0.0) -> None:
    """Requests reach the canary by header or mirror, whatever its weight."""
    w.measure(errors)
    w.prometheus.on("increase(", lambda expression, at: _as_many(w, at))


def _as_many(w: World, at: datetime) -> Answer:
    return w.series(at, lambda name, weight: 500.0)


async def headers_and_mirror(w: World) -> None:
    await v2_comes(w, strategy=canary(*BESIDE))
    for number in range(3):
        w.say("promote")
        w.act("Promote", str(number))
        await w.settle(40)


async def beside_aborted(w: World) -> None:
    await v2_comes(w, strategy=canary(*BESIDE))
    w.act("Promote")
    await w.settle()
    w.say("abort")
    w.act("Abort", "2")
    await w.settle(40)


async def beside_superseded(w: World) -> None:
    await v2_comes(w, strategy=canary(*BESIDE), version={"latest": {"whileProgressing": "Supersede"}})
    w.say("v3")
    w.add(version("v3", 3))
    await w.settle(40)


async def beside_deleted(w: World) -> None:
    await v2_comes(w, strategy=canary(*BESIDE))
    w.say("deleted")
    w.cluster.remove(KEY)
    await w.settle(10)
    w.cluster.collect_garbage()
    for kind in (DEPLOYMENT, SERVICE, HTTP_ROUTE, ROLLOUT):
        assert not w.cluster.all(kind)


async def beside_left(w: World) -> None:
    await v2_comes(w, strategy=canary(*BESIDE), deletionPolicy="Orphan")
    w.say("deleted")
    w.cluster.remove(KEY)
    await w.settle(10)


async def beside_and_the_pods_die(w: World) -> None:
    await v2_comes(w, strategy=canary(*BESIDE))
    w.say("v2's pods die")
    w.broken.add("v2")
    await w.settle(30)
    assert w.condition("Stalled")["status"] == "False"
    w.say("and come back")
    w.broken.discard("v2")
    await w.settle(30)


async def beside_edited(w: World) -> None:
    """Somebody takes the header rule out of the route: it is put back, as a weight would be."""
    await v2_comes(w, strategy=canary(*BESIDE))
    w.say("somebody removes the rule")
    spec = w.route()["spec"]
    w.cluster.edit(w.route_ref, {"spec": {"rules": spec["rules"][-1:]}})
    await w.settle(10)


async def beside_and_status_lost(w: World) -> None:
    await v2_comes(w, strategy=canary(*BESIDE))
    w.act("Promote")
    await w.settle()
    w.say("status is lost")
    w.lose_status()
    await w.settle(10)


async def users_stay_where_they_were(w: World) -> None:
    steps: list[dict[str, Any]] = [{"setWeight": 10}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}]
    await v2_comes(w, strategy=canary(*steps, sessionAffinity={"cookie": {"name": "rev", "maxAgeSeconds": 600}}))
    w.say("promote")
    w.act("Promote")
    await w.settle(40)
    w.say("promote")
    w.act("Promote", "2")
    await w.settle(40)


async def measured_before_it_goes_on(w: World) -> None:
    steps: list[dict[str, Any]] = [
        {"setWeight": 20},
        {"analysis": {"count": 3, "metrics": ["errors"]}},
        {"setWeight": 60},
        {"pause": {}},
    ]
    w.measure(0.0)
    await v2_comes(w, strategy=canary(*steps), analysis=ON_REQUEST)
    assert w.status()["waitingFor"] == "3 passing measurements"
    await w.settle(100)


async def measured_and_failed(w: World) -> None:
    steps: list[dict[str, Any]] = [{"setWeight": 20}, {"analysis": {"count": 3, "metrics": ["errors"]}}]
    w.measure(0.05)
    await v2_comes(w, strategy=canary(*steps), analysis=ON_REQUEST)
    await w.settle(100)


async def blue_green(w: World) -> None:
    previewed(w)
    await v2_comes(w, strategy={"blueGreen": BLUE_GREEN}, analysis=ON_REQUEST)
    await w.settle(300)


async def blue_green_by_a_person(w: World) -> None:
    await v2_comes(w, strategy={"blueGreen": {}})
    await w.settle(600)
    assert w.shares() == {"v1": 100, "v2": 0}
    w.say("promote")
    w.act("Promote")
    await w.settle(40)


async def blue_green_fails_before_the_switch(w: World) -> None:
    previewed(w, 0.05)
    await v2_comes(w, strategy={"blueGreen": BLUE_GREEN}, analysis=ON_REQUEST)
    await w.settle(100)


async def blue_green_fails_after_the_switch(w: World) -> None:
    previewed(w)
    w.prometheus.on("code=~", lambda expression, at: _worse_with_all_traffic(w, at))
    await v2_comes(w, strategy={"blueGreen": BLUE_GREEN}, analysis=MEASURED)
    await w.settle(200)


def _worse_with_all_traffic(w: World, at: datetime) -> Answer:
    return w.series(at, lambda name, weight: 0.05 if name == "v2" and weight == 100 else 0.0)


async def a_strategy_changed_in_flight(w: World) -> None:
    await v2_comes(w)
    w.say("blue-green instead")
    w.edit(strategy={"canary": None, "blueGreen": {"autoPromotionSeconds": 30}})
    await w.settle(100)


def on_gpus(replicas: int, count: int = 2) -> dict[str, Any]:
    serving = {"replicas": replicas, "compute": {"accelerator": {"resource": "nvidia.com/gpu", "count": count}}}
    return {"kubernetes": {**TARGET["kubernetes"], "serving": serving}}


async def stable_gives_way_for_accelerators(w: World) -> None:
    steps: list[dict[str, Any]] = [{"setWeight": 50}, {"pause": {}}]
    await v2_comes(w, strategy=canary(*steps, maxExtraAccelerators=2), target=on_gpus(4))
    w.say("promote")
    w.act("Promote")
    await w.settle(40)


async def stable_grows_again_at_abort(w: World) -> None:
    await v2_comes(w, strategy=canary({"setWeight": 50}, {"pause": {}}, maxExtraAccelerators=2), target=on_gpus(4))
    w.say("abort")
    w.act("Abort")
    await w.settle(40)


async def no_accelerator_to_spare(w: World) -> None:
    await v2_comes(w, strategy=canary({"setWeight": 50}, {"pause": {}}, maxExtraAccelerators=1), target=on_gpus(4))
    await w.settle(1200)
    assert w.condition("Available")["reason"] == "InsufficientCapacity"
    w.say("two may be taken")
    w.edit(strategy={"canary": {"maxExtraAccelerators": 2}})
    await w.settle(10)


async def scaled_in_flight(w: World) -> None:
    """What an autoscaler does: `replicas` through the scale subresource, in the middle of a canary."""
    await v2_comes(w, strategy=canary({"setWeight": 50}, {"pause": {}}))
    assert (w.status()["replicas"], w.status()["selector"].count("churn")) == (3, 1)
    w.say("replicas 6")
    w.edit(target={"kubernetes": {"serving": {"replicas": 6}}})
    await w.settle(10)
    assert w.status()["replicas"] == 9
    w.say("replicas 2")
    w.edit(target={"kubernetes": {"serving": {"replicas": 2}}})
    await w.settle(10)


async def scaled_and_short_of_pods(w: World) -> None:
    """A canary pod that does not come holds the next step, and nothing else: it is measured all the while."""
    w.measure(lambda name, at: 0.05 if (at - START).total_seconds() > 100 else 0.0)
    await v2_comes(w, strategy=canary({"setWeight": 50}, {"pause": {"durationSeconds": 30}}), analysis=MEASURED)
    w.room["v2"] = 1
    w.say("replicas 4, and only one of v2's pods finds a place")
    w.edit(target={"kubernetes": {"serving": {"replicas": 4}}})
    await w.settle(50)
    assert w.shares() == {"v1": 50, "v2": 50}
    w.say("errors")
    await w.settle(60)


async def scaled_at_rest(w: World) -> None:
    w.add(rollout())
    await w.settle()
    assert w.status()["replicas"] == 0
    w.say("v1")
    w.add(version("v1", 1))
    await w.settle(40)
    assert w.status()["replicas"] == 2
    w.edit(target={"kubernetes": {"serving": {"replicas": 5}}})
    await w.settle(10)
    assert w.status()["replicas"] == 5


async def a_crash_loop_that_wobbles(w: World) -> None:
    """Ready now and then is not ready: the deadline runs on."""
    serving = {"replicas": 2, "progressDeadlineSeconds": 120}
    await v2_comes(w, target={"kubernetes": {**TARGET["kubernetes"], "serving": serving}})
    for _ in range(8):
        w.broken.add("v2")
        await w.settle(20)
        w.broken.discard("v2")
        await w.settle(5)


async def a_deadline_does_not_run_while_paused(w: World) -> None:
    serving = {"replicas": 2, "progressDeadlineSeconds": 120}
    w.broken.add("v2")
    await v2_comes(w, target={"kubernetes": {**TARGET["kubernetes"], "serving": serving}})
    w.say("paused for an hour")
    w.edit(paused=True)
    await w.settle(3600)
    w.say("on")
    w.edit(paused=False)
    await w.settle(200)


async def gateway_lacks_the_mirror(w: World) -> None:
    w.offer("HTTPRouteRequestTimeout")
    await v2_comes(w)
    w.say("a step that mirrors")
    w.edit(strategy={"canary": {"steps": [{"setMirrorRoute": {"percent": 100}}, {"pause": {}}]}})
    await w.settle(10)
    assert w.condition("Accepted")["reason"] == "GatewayLacksFeature"
    w.say("the class lists it now")
    w.offer("HTTPRouteRequestMirror")
    await w.settle(600)


# ---- experiments ----

SHARED: list[dict[str, Any]] = [
    {
        "name": "slow",
        "builtin": "SlowShare",
        "slowerThanSeconds": "1",
        "margin": "0.05",
        "sequential": {"alpha": "0.05"},
    },
    ERRORS[0],
]
A_B: dict[str, Any] = {
    "share": 20,
    "assignment": {"cookie": {"name": "arm"}},
    "durationSeconds": 3600,
    "minPerArm": 500,
    "decideOn": "slow",
}


def arms(w: World, canary: float, stable: float, rate: float = 50.0) -> None:
    """Let these shares of each arm's answers be slow, by counters of one process each that grow all the time."""
    w.measure(0.0)

    def answer(expression: str, at: datetime) -> Answer:
        seconds, is_slow = (at - START).total_seconds() + 10, " - " in expression
        shares = {"v1": stable, "v2": canary}

        def count(name: str, weight: int) -> float:
            total = round(seconds * rate * (0.2 if name == "v2" else 0.8))
            return round(total * shares[name] + 2 * math.sin(1.7 * seconds)) if is_slow else total

        return w.series(at, count, instance="10.0.0.1")

    w.prometheus.on("instance", answer)


async def ab(w: World, **more: Any) -> None:
    await v2_comes(w, strategy={"experiment": A_B | more}, analysis=MEASURED | {"metrics": SHARED})


async def experiment_shown(w: World) -> None:
    arms(w, canary=0.05, stable=0.2)
    await ab(w)
    await w.settle(300)


async def experiment_harmful(w: World) -> None:
    arms(w, canary=0.3, stable=0.1)
    await ab(w)
    await w.settle(300)


async def experiment_of_equals(w: World) -> None:
    arms(w, canary=0.1, stable=0.1)
    await ab(w, durationSeconds=300)
    await w.settle(400)


async def experiment_assigned_by_the_callers(w: World) -> None:
    """Their header decides who gets v2: no weight, and once shown it waits for a person."""
    arms(w, canary=0.05, stable=0.2)
    w.prometheus.on("increase(", lambda expression, at: _as_many(w, at))
    await ab(w, assignment={"header": {"name": "X-Arm", "value": "b"}}, then="Hold")
    await w.settle(240)
    assert w.shares() == {"v1": 100, "v2": 0}
    w.say("promote")
    w.act("Promote")
    await w.settle(40)


async def experiment_aborted(w: World) -> None:
    arms(w, canary=0.1, stable=0.1)
    await ab(w)
    await w.settle(60)
    w.say("abort")
    w.act("Abort")
    await w.settle(40)
