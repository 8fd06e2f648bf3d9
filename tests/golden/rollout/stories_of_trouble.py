"""Stories of one Rollout whose pods, route, status or life are taken away, or stand in somebody's way."""

from tests.golden.rollout.manifests import NAMESPACE, TARGET, rollout
from tests.golden.rollout.stories import MEASURED, v1_serves, v2_comes
from tests.golden.rollout.stories_of_strategies import canary, on_gpus
from tests.golden.rollout.world import KEY, ROUTE, World
from trainyard.systems.cluster.port import DEPLOYMENT, HTTP_ROUTE, ROLLOUT, SERVICE, Ref

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


async def part_of_a_first_weight_fails(w: World) -> None:
    """One of v2's two pods finds no accelerator, and the other one answers with errors: they have users."""
    w.measure(1.0)
    w.room["v2"] = 1
    steps = ({"setWeight": 50}, {"pause": {"durationSeconds": 60}})
    await v2_comes(w, strategy=canary(*steps, maxExtraAccelerators=2), target=on_gpus(4), analysis=MEASURED)
    w.set_pod("v2", {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]})
    await w.settle(100)


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


async def version_no_longer_ready_on_the_last_rise(w: World) -> None:
    """A person promoted it, and then somebody took its approval away: that counts for more."""
    w.room["v2"] = 1
    await v2_comes(w)
    w.say("promote --full, and only one of v2's pods finds a place")
    w.act("PromoteFull")
    await w.settle(20)
    assert w.shares() == {"v1": 80, "v2": 20}
    w.say("v2 is not ready any more; then there is room")
    w.set_ready("v2", False)
    await w.settle(10)
    w.room.clear()
    await w.settle(40)
    assert w.shares() == {"v1": 100}


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


async def status_lost_on_the_way_back(w: World) -> None:
    """A seed of the model: v1 is not ready for the traffic that an abort wants to give it, and status goes."""
    await v2_comes(w, strategy={"canary": {"steps": [{"setWeight": 100}, {"pause": {}}]}})
    w.say("v1's pods die, and v2 is aborted")
    w.broken.add("v1")
    await w.settle(5)
    w.act("Abort")
    await w.settle(20)
    w.say("status is lost")
    w.lose_status()
    await w.settle(20)
    assert w.shares()["v2"] == 100
    w.say("v1 is ready again")
    w.broken.discard("v1")
    await w.settle(60)


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
