"""Whole rollouts over fakes, told as text and compared with the files beside this one.

A reviewer reads behaviour in the diff. `TRAINYARD_GOLDEN=write pytest tests/golden` writes the files anew. Each
story also runs in seeded-random orders of operator, Deployment controller and Gateway: the weights must take the
same way, and the end must be the same.
"""

import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.golden.rollout.world import KEY, NAMESPACE, ROUTE, TARGET, World, rollout, version
from trainyard.systems.cluster.port import DEPLOYMENT, HTTP_ROUTE, ROLLOUT, SERVICE, Ref
from trainyard.systems.prometheus.port import Answer

FOLDER = Path(__file__).parent
ERRORS = [{"name": "errors", "builtin": "ErrorRate", "max": "0.01", "failureLimit": 2}]
MEASURED = {"intervalSeconds": 10, "minRequests": 100, "metrics": ERRORS}
TIMED = {"canary": {"steps": [{"setWeight": 20}, {"pause": {"durationSeconds": 60}}, {"setWeight": 60}]}}


async def v1_serves(w: World, **spec: Any) -> None:
    w.say("v1 and a Rollout")
    w.add(version("v1", 1))
    w.add(rollout(**spec))
    await w.settle(40)


async def v2_comes(w: World, **spec: Any) -> None:
    await v1_serves(w, **spec)
    w.say("v2")
    w.add(version("v2", 2))
    await w.settle()


# ---- life ----


async def first_version(w: World) -> None:
    await v1_serves(w)


async def ladder_with_a_person(w: World) -> None:
    await v2_comes(w)
    assert w.condition("Paused")["reason"] == "WaitsForPromotion"
    assert w.status()["waitingFor"] == "a person: trainyard promote churn"
    await w.settle(600)
    w.say("promote")
    w.act("Promote")
    await w.settle(100)


async def promoted_at_once(w: World) -> None:
    await v2_comes(w)
    w.say("promote --full")
    w.act("PromoteFull")
    await w.settle(40)


async def aborted_and_retried(w: World) -> None:
    await v2_comes(w)
    w.say("abort")
    w.act("Abort")
    await w.settle(40)
    w.say("nothing happens by itself")
    await w.settle(600)
    w.say("retry")
    w.act("Retry", "2")
    await w.settle(40)


async def aborted_then_a_third(w: World) -> None:
    await v2_comes(w)
    w.say("abort")
    w.act("Abort")
    await w.settle(40)
    w.say("v3")
    w.add(version("v3", 3))
    await w.settle()


async def superseded(w: World) -> None:
    await v2_comes(w, version={"latest": {"whileProgressing": "Supersede"}})
    w.say("v3")
    w.add(version("v3", 3))
    await w.settle(40)


async def queued(w: World) -> None:
    await v2_comes(w, strategy=TIMED)
    w.say("v3, v4, and late an approval of one older than stable")
    w.add(version("v3", 3))
    w.add(version("v4", 4))
    w.add(version("v0", 0))
    await w.settle(200)


async def rolled_back_by_name(w: World) -> None:
    await v1_serves(w, version={"name": "v1"})
    w.add(version("v2", 2))
    w.say("version v2 by name")
    w.edit(version={"name": "v2"})
    await w.settle()
    w.say("v1 again")
    w.edit(version={"name": "v1"})
    await w.settle(40)


async def rejected_by_name(w: World) -> None:
    await v1_serves(w, version={"name": "v1"})
    w.add(version("v2", 2))
    w.edit(version={"name": "v2"})
    await w.settle()
    w.say("abort")
    w.act("Abort")
    await w.settle(40)
    assert (w.condition("Ready")["status"], w.condition("Degraded")["reason"]) == ("True", "RevisionRejected")
    w.say("the same version with more memory climbs")
    w.edit(target={"kubernetes": {"serving": {"resources": {"limits": {"memory": "2Gi"}}}}})
    await w.settle()


async def only_replicas(w: World) -> None:
    await v1_serves(w)
    w.say("replicas 4")
    w.edit(target={"kubernetes": {"serving": {"replicas": 4}}})
    await w.settle(40)


async def only_the_image(w: World) -> None:
    await v1_serves(w)
    w.say("another server image")
    w.edit(target={"kubernetes": {"serving": {"image": "mine/server:2"}}})
    await w.settle()


async def paused_by_a_person(w: World) -> None:
    await v2_comes(w, strategy=TIMED)
    w.say("paused")
    w.edit(paused=True)
    await w.settle()
    writes = w.own_writes
    await w.settle(3600)
    assert w.own_writes == writes
    w.say("on")
    w.edit(paused=False)
    await w.settle(200)


async def steps_edited(w: World) -> None:
    await v2_comes(w)
    w.act("Promote")
    await w.settle()
    w.say("the first weight becomes 10")
    steps = [{"setWeight": 10}, {"pause": {}}, {"setWeight": 50}]
    w.edit(strategy={"canary": {"steps": steps}})
    await w.settle()
    assert "restarted from step 0" in w.condition("Reconciling")["message"]
    w.say("a later step changes")
    w.edit(strategy={"canary": {"steps": [*steps, {"pause": {}}]}})
    await w.settle()


async def stale_actions(w: World) -> None:
    await v2_comes(w)
    w.say("promote of another revision, then of another step")
    w.act("Promote", "1", revision="0123456789")
    await w.settle()
    w.act("Promote", "2", step=3)
    await w.settle()
    w.say("the right one, twice")
    w.act("Promote", "3", step=1)
    await w.settle()
    w.act("Promote", "3", step=1)
    await w.settle()


# ---- analysis ----


async def measured_and_promoted(w: World) -> None:
    w.measure(0.001)
    await v2_comes(w, strategy=TIMED, analysis=MEASURED)
    await w.settle(200)


async def failed_and_aborted(w: World) -> None:
    w.measure(lambda name, at: 0.05)
    await v2_comes(w, strategy=TIMED, analysis=MEASURED)
    await w.settle(100)


async def good_bad_good_bad(w: World) -> None:
    def errors(name: str, at: datetime) -> float:
        return 0.05 if at.second // 10 % 2 else 0.0

    w.measure(errors)
    await v2_comes(w, strategy=TIMED, analysis=MEASURED)
    await w.settle(120)


async def prometheus_away(w: World) -> None:
    w.measure(0.0)
    await v2_comes(w, strategy=TIMED, analysis=MEASURED)
    await w.settle(30)
    w.say("Prometheus is away")
    rules = list(w.prometheus.rules)
    w.prometheus.on("", Answer(failure="connection refused"))
    await w.settle(600)
    assert w.condition("Stalled")["status"] == "False"
    w.say("and back")
    w.prometheus.rules[:] = rules
    await w.settle(120)


async def no_data_for_too_long(w: World) -> None:
    await v2_comes(w, strategy=TIMED, analysis=MEASURED | {"maxHoldSeconds": 120})
    w.prometheus.on("", Answer(failure="connection refused"))
    await w.settle(300)
    assert w.condition("Stalled")["reason"] == "AnalysisHeld"


async def no_data_aborts(w: World) -> None:
    spec = MEASURED | {"maxHoldSeconds": 120, "onNoData": "Abort"}
    await v2_comes(w, strategy=TIMED, analysis=spec)
    await w.settle(300)


async def traffic_does_not_follow(w: World) -> None:
    w.measure(0.0)
    w.prometheus.on("increase(", lambda expression, at: _shares(w, at, 0.003))
    await v2_comes(w, strategy=TIMED, analysis=MEASURED | {"minRequests": 0})
    await w.settle(100)
    assert w.status()["waitingFor"] == "traffic to follow the weight: weight says 20 %, seen 0.3 %"


def _shares(w: World, at: datetime, share: float) -> Answer:
    return w._series(at, lambda name, weight: 10000 * (share if name == "v2" else 1 - share))


# ---- pods and traffic ----


async def canary_never_ready(w: World) -> None:
    w.broken.add("v2")
    await v2_comes(
        w, target=TARGET | {"kubernetes": TARGET["kubernetes"] | {"serving": {"progressDeadlineSeconds": 120}}}
    )
    await w.settle(200)


async def canary_dies(w: World) -> None:
    await v2_comes(w)
    w.say("v2's pods die")
    w.broken.add("v2")
    await w.settle(30)
    w.say("and come back")
    w.broken.discard("v2")
    await w.settle(30)


async def stable_away_at_abort(w: World) -> None:
    await v2_comes(w)
    w.say("v1's pods die; a person aborts")
    w.broken.add("v1")
    await w.settle()
    w.act("Abort")
    await w.settle(60)
    assert w.condition("Stalled")["reason"] == "StableUnavailable"
    w.say("v1 is back")
    w.broken.discard("v1")
    await w.settle(40)


async def version_no_longer_ready(w: World) -> None:
    await v2_comes(w)
    w.say("v2 is not ready any more")
    w.set_ready("v2", False)
    await w.settle(40)


async def route_edited(w: World) -> None:
    await v2_comes(w)
    w.say("somebody sets the weights to 0 and 100")
    spec = (w.cluster.look(ROUTE) or {})["spec"]
    backends = spec["rules"][0]["backendRefs"]
    edited = [{**b, "weight": weight} for b, weight in zip(backends, (0, 100), strict=True)]
    w.cluster.edit(ROUTE, {"spec": {"rules": [{**spec["rules"][0], "backendRefs": edited}]}})
    await w.settle(10)
    assert w.shares() == {"v1": 80, "v2": 20}


async def route_contested(w: World) -> None:
    await v2_comes(w)
    w.say("somebody sets the weights to 0 and 100, every second")
    for _ in range(20):
        spec = (w.cluster.look(ROUTE) or {})["spec"]
        edited = [{**b, "weight": weight} for b, weight in zip(spec["rules"][0]["backendRefs"], (0, 100), strict=True)]
        w.cluster.edit(ROUTE, {"spec": {"rules": [{**spec["rules"][0], "backendRefs": edited}]}})
        w.pass_time(1)
        await w.settle()
    assert w.condition("Stalled")["reason"] == "RouteContested"
    w.say("and leaves it")
    await w.settle(120)
    assert w.condition("Stalled")["status"] == "False"


async def route_deleted(w: World) -> None:
    await v2_comes(w)
    w.say("the route is deleted")
    w.cluster.remove(ROUTE)
    await w.settle(10)


async def objects_edited(w: World) -> None:
    await v2_comes(w)
    w.say("somebody scales v1 to 7 and changes the Service's port")
    stable = w.status()["stable"]["revision"]
    w.cluster.edit(Ref(DEPLOYMENT, NAMESPACE, f"churn-{stable}"), {"spec": {"replicas": 7}})
    w.cluster.edit(Ref(SERVICE, NAMESPACE, f"churn-{stable}"), {"spec": {"ports": [{"name": "http", "port": 9}]}})
    await w.settle(10)


async def route_conflict(w: World) -> None:
    w.say("somebody else's route of that name")
    w.add(
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "churn", "namespace": NAMESPACE},
            "spec": {"rules": [{"backendRefs": [{"name": "x", "weight": 1}]}]},
        }
    )
    await v1_serves(w)


async def second_on_one_host(w: World) -> None:
    w.say("another Rollout was first on this host and path")
    w.add(rollout("first"))
    w.pass_time(5)
    await v1_serves(w)


async def gateway_refuses(w: World) -> None:
    w.gateway = False
    await v2_comes(w)
    w.say("the Gateway works again")
    w.gateway = True
    await w.settle(10)


# ---- lost status, deletion ----


async def status_lost(w: World) -> None:
    await v2_comes(w)
    w.say("status is lost")
    w.lose_status()
    await w.settle(10)
    w.say("promote still works")
    w.act("Promote", "2")
    await w.settle(100)


async def status_lost_after_an_abort(w: World) -> None:
    await v2_comes(w)
    w.act("Abort")
    await w.settle(40)
    w.say("status is lost: v2 stays rejected")
    w.lose_status()
    await w.settle(40)


async def deleted_in_flight(w: World) -> None:
    await v2_comes(w)
    w.say("deleted")
    w.cluster.remove(KEY)
    await w.settle(10)
    w.cluster.collect_garbage()
    for kind in (DEPLOYMENT, SERVICE, HTTP_ROUTE, ROLLOUT):
        assert not w.cluster.all(kind)


async def orphaned_and_adopted(w: World) -> None:
    await v2_comes(w, deletionPolicy="Orphan")
    w.say("deleted")
    w.cluster.remove(KEY)
    await w.settle(10)
    w.cluster.collect_garbage()
    assert w.shares() == {"v1": 100}
    w.say("a Rollout of that name")
    w.add(rollout(version={"name": "v1"}))
    await w.settle(10)
    for kind in (DEPLOYMENT, SERVICE, HTTP_ROUTE):
        owners = [o["metadata"]["ownerReferences"][0]["uid"] for o in w.cluster.all(kind)]
        assert owners == [(w.cluster.look(KEY) or {})["metadata"]["uid"]]


STORIES: tuple[Callable[[World], Awaitable[None]], ...] = (
    first_version,
    ladder_with_a_person,
    promoted_at_once,
    aborted_and_retried,
    aborted_then_a_third,
    superseded,
    queued,
    rolled_back_by_name,
    rejected_by_name,
    only_replicas,
    only_the_image,
    paused_by_a_person,
    steps_edited,
    stale_actions,
    measured_and_promoted,
    failed_and_aborted,
    good_bad_good_bad,
    prometheus_away,
    no_data_for_too_long,
    no_data_aborts,
    traffic_does_not_follow,
    canary_never_ready,
    canary_dies,
    stable_away_at_abort,
    version_no_longer_ready,
    route_edited,
    route_contested,
    route_deleted,
    objects_edited,
    route_conflict,
    second_on_one_host,
    gateway_refuses,
    status_lost,
    status_lost_after_an_abort,
    deleted_in_flight,
    orphaned_and_adopted,
)


def text_of(w: World) -> str:
    return w.plain("\n".join([*w.lines, "", w.finale()])) + "\n"


@pytest.mark.parametrize("story", STORIES, ids=lambda s: s.__name__)
async def test_history(story: Callable[[World], Awaitable[None]]) -> None:
    w = World()
    await story(w)
    file = FOLDER / f"{story.__name__}.txt"
    if os.environ.get("TRAINYARD_GOLDEN") == "write":
        file.write_text(text_of(w))
    assert text_of(w) == file.read_text()


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 10))])
@pytest.mark.parametrize("story", STORIES, ids=lambda s: s.__name__)
async def test_any_order_takes_the_same_way(story: Callable[[World], Awaitable[None]], seed: int) -> None:
    fixed, shuffled = World(), World(seed=seed)
    await story(fixed)
    await story(shuffled)
    assert shuffled.weights == fixed.weights
    assert shuffled.outcome() == fixed.outcome()
    assert shuffled.finale() == fixed.finale()


def test_every_file_has_its_story() -> None:
    assert {f.stem for f in FOLDER.glob("*.txt")} == {story.__name__ for story in STORIES}
