"""Somebody else's hands on the route and on what is kept: put back, said, and never taken for the operator's own."""

from typing import Any

import pytest

from tests.golden.rollout.manifests import CANARY, NAMESPACE, rollout, version
from tests.golden.rollout.stories import v1_serves, v2_comes
from tests.golden.rollout.world import KEY, ROUTE, World
from tests.unit.rollout.making import events, told
from trainyard import naming
from trainyard.rollout import weights
from trainyard.systems.cluster.port import CONTROLLER_REVISION, DEPLOYMENT, ROLLOUT, Ref

CLIMB = [{"setWeight": 20}, {"pause": {}}, {"setWeight": 75}, {"pause": {}}]


def turn(w: World, metadata: dict[str, Any] | None = None) -> None:
    """Give the canary everything, as somebody who replaces the route does; `metadata` is merged."""
    (rule,) = w.route()["spec"]["rules"]
    backends = [{**b, "weight": weight} for b, weight in zip(rule["backendRefs"], (0, 100), strict=False)]
    body: dict[str, Any] = {"spec": {"rules": [{**rule, "backendRefs": backends}]}}
    w.cluster.edit(ROUTE, body | ({"metadata": metadata} if metadata else {}))


@pytest.mark.parametrize("lost", ["labels", "annotations"])
async def test_a_route_replaced_without_our_marks_is_put_back(lost: str) -> None:
    w = World()
    await v2_comes(w)
    turn(w, {lost: None})
    await w.settle(5)
    assert w.shares() == {"v1": 80, "v2": 20}
    assert "RouteDrift" in events(w)
    assert told(w, "Accepted") == ("True", "Accepted")


async def test_edits_without_our_annotations_every_second_become_a_condition() -> None:
    w = World()
    await v2_comes(w)
    for _ in range(30):
        turn(w, {"annotations": None})
        w.pass_time(1)
        await w.settle()
    assert told(w, "Stalled") == ("True", "RouteContested")
    assert events(w).count("RouteDrift") <= 12


@pytest.mark.parametrize("step", ["²", "1" * 5000, "-1", "x"])
async def test_whatever_stands_in_the_steps_annotation(step: str) -> None:
    w = World()
    await v2_comes(w)
    w.cluster.edit(ROUTE, {"metadata": {"annotations": {naming.ANNOTATION_STEP: step}}})
    assert weights.step_of(w.route()) is None
    await w.settle(5)
    w.act("Abort")
    await w.settle(5)
    assert w.outcome() == ["v1 Promoted", "v2 Aborted"]


async def test_a_foreign_weight_on_the_way_up_is_not_taken_for_ours() -> None:
    w = World()
    w.room["v2"] = 1
    await v2_comes(w, strategy={"canary": {"steps": CLIMB}})
    w.edit(target={"kubernetes": {"serving": {"replicas": 4}}})
    w.act("Promote")
    await w.settle()
    assert (w.status()["weight"], w.shares()) == (75, {"v1": 80, "v2": 20})
    turn(w)
    await w.settle(5)
    assert w.shares() == {"v1": 80, "v2": 20}
    del w.room["v2"]
    await w.settle(5)
    assert w.shares() == {"v1": 25, "v2": 75}


async def test_a_canary_that_dies_before_its_end_is_read_back_is_not_stable() -> None:
    w = World()
    await v2_comes(w)
    w.gateway = False
    w.act("PromoteFull")
    for _ in range(6):
        await w.visit()
        w._deployments()
    assert w.shares() == {"v1": 0, "v2": 100}
    w.broken.add("v2")
    w._deployments()
    w.gateway = True
    w._gateway()
    await w.settle(60)
    assert w.outcome() == ["v1 Promoted"]
    assert w.shares() == {"v1": 100, "v2": 0}


async def test_requests_that_somebody_sent_to_living_pods_wait_there_for_stable() -> None:
    w = World()
    await v2_comes(w, scaleDownDelaySeconds=300)
    w.act("Abort")
    await w.settle(20)
    w.broken.add("v1")
    w._deployments()
    turn(w)
    await w.settle(5)
    assert w.shares() == {"v1": 0, "v2": 100}
    assert told(w, "Available") == ("False", "StableUnavailable")
    w.broken.clear()
    await w.settle(5)
    assert w.shares()["v1"] == 100


async def test_a_first_version_takes_nothing_while_paused() -> None:
    w = World(broken={"v1"})
    w.add(version("v1", 1))
    w.add(rollout())
    await w.settle(5)
    w.edit(paused=True)
    await w.settle(5)
    w.broken.clear()
    await w.settle(5)
    assert w.shares() == {}
    w.edit(paused=False)
    await w.settle(5)
    assert w.shares() == {"v1": 100}


async def test_who_serves_keeps_its_host_from_one_made_in_the_same_second() -> None:
    w = World()
    w.add(version("v1", 1))
    w.add(rollout())
    await w.settle(0)
    w.add(rollout("alpha"))
    made = {obj["metadata"]["creationTimestamp"] for obj in w.cluster.all(ROLLOUT)}
    await w.settle(10)
    assert len(made) == 1
    assert told(w, "Accepted") == ("True", "Accepted")
    await w.cycle.run(Ref(ROLLOUT, NAMESPACE, "alpha"), w.now)
    await w.cycle.run(Ref(ROLLOUT, NAMESPACE, "alpha"), w.now)
    alpha = w.cluster.look(Ref(ROLLOUT, NAMESPACE, "alpha")) or {}
    accepted = next(c for c in alpha["status"]["conditions"] if c["type"] == "Accepted")
    assert accepted["reason"] == "HostPathConflict"


# ---- status and route lost ----


def lose_all(w: World) -> None:
    w.lose_status()
    w.cluster.remove(ROUTE)


async def test_without_status_and_route_what_has_pods_serves_and_the_rejected_stays_so() -> None:
    w = World()
    await v2_comes(w)
    w.act("Abort")
    await w.settle(60)
    lose_all(w)
    w.cluster.edit(KEY, {"spec": {"action": None}})
    await w.settle(60)
    assert w.shares() == {"v1": 100}
    assert told(w, "Ready") == ("True", "RevisionRejected")


async def test_without_status_and_route_nothing_is_routed_to_pods_that_are_not_ready() -> None:
    w = World()
    await v2_comes(w)
    w.broken |= {"v1", "v2"}
    w._deployments()
    lose_all(w)
    await w.settle(30)
    assert w.shares() == {}
    w.broken.clear()
    await w.settle(30)
    assert w.shares() == {"v1": 80, "v2": 20}


async def test_without_status_and_route_a_canary_made_before_by_the_clock_is_the_younger_one_all_the_same() -> None:
    """A shard of the model: the clock is set back before the canary begins, and all pods are as ready."""
    w = World()
    await v1_serves(w, strategy={"canary": {"steps": CANARY, "replicas": {"percent": 100}}})
    w.pass_time(0.5, clock=-3600.0)
    w.add(version("v2", 2))
    await w.settle(5)
    lose_all(w)
    await w.settle(10)
    assert (w.status()["stable"]["version"], w.shares()) == ("v1", {"v1": 80, "v2": 20})


async def test_without_status_and_route_a_canary_begins_anew() -> None:
    w = World()
    await v2_comes(w)
    lose_all(w)
    await w.settle(60)
    assert w.shares() == {"v1": 80, "v2": 20}
    assert told(w, "Paused") == ("True", "WaitsForPromotion")


async def test_a_rejection_that_status_has_forgotten_stands_on_its_revision() -> None:
    w = World()
    await v2_comes(w)
    w.act("Abort")
    await w.settle(60)
    w.cluster.edit(KEY, {"status": {"rejected": None}}, status=True)
    await w.settle(60)
    assert w.shares() == {"v1": 100}
    w.act("Retry", "2")
    await w.settle(5)
    assert w.shares() == {"v1": 80, "v2": 20}


async def test_status_and_everything_but_the_mark_of_a_rejection_lost() -> None:
    w = World()
    await v2_comes(w)
    w.act("Abort")
    await w.settle(60)
    lose_all(w)
    w.cluster.edit(KEY, {"spec": {"action": None}})
    for obj in w.cluster.all(DEPLOYMENT):
        w.cluster.remove(Ref(DEPLOYMENT, NAMESPACE, obj["metadata"]["name"]))
    await w.settle(60)
    assert w.shares() == {"v1": 100}
    assert len(w.cluster.all(CONTROLLER_REVISION)) == 2


async def test_what_is_rejected_and_wanted_ends_a_canary_with_the_true_sentence() -> None:
    w = World()
    await v1_serves(w, version={"name": "v1"})
    for number, name in enumerate(("v2", "v3"), start=2):
        w.add(version(name, number))
    w.edit(version={"name": "v3"})
    await w.settle()
    w.act("Abort")
    await w.settle(60)
    w.edit(version={"name": "v2"})
    await w.settle(5)
    w.edit(version={"name": "v3"})
    await w.settle(60)
    newest = w.status()["history"][0]
    assert (newest["version"], newest["message"]) == (
        "v2",
        "version v3 is wanted, which was rejected; version v1 serves",
    )


async def test_a_deleted_route_is_a_condition_until_it_is_back() -> None:
    w = World()
    await v2_comes(w)
    w.cluster.remove(ROUTE)
    await w.visit()
    assert told(w, "Available") == ("False", "RouteMissing")
    await w.settle()
    assert told(w, "Available") == ("True", "Serving")
    assert w.shares() == {"v1": 80, "v2": 20}
