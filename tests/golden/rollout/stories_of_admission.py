"""Stories of one Rollout whose objects the API server changes or refuses: webhooks, policies, quotas."""

from typing import Any

from tests.golden.rollout.manifests import NAMESPACE, TARGET, version
from tests.golden.rollout.stories import TIMED, v1_serves, v2_comes
from tests.golden.rollout.world import World
from trainyard.systems.cluster.port import DEPLOYMENT, HTTP_ROUTE, Forbidden, Invalid, Kind, Ref


def _from_the_mirror(deployment: dict[str, Any]) -> None:
    """Rewrite images, as Kyverno does."""
    pod = deployment["spec"]["template"]["spec"]
    for container in (*pod["initContainers"], *pod["containers"]):
        if not container["image"].startswith("mirror.example/"):
            container["image"] = f"mirror.example/{container['image']}"


def _bounded(route: dict[str, Any]) -> None:
    """Give every rule a time-out, and the route a label."""
    for rule in route["spec"]["rules"]:
        rule["timeouts"] = {"request": "30s"}
    route["spec"]["hostnames"] = ["churn.example"]


def _applied(w: World, kind: Kind) -> int:
    return sum(write.ref.kind == kind and write.verb == "apply" for write in w.cluster.writes)


async def images_are_rewritten(w: World) -> None:
    """What the API server makes of an apply is how it wants it: the canary goes on, and nothing is written again."""
    w.cluster.mutate_applies(DEPLOYMENT, _from_the_mirror)
    await v2_comes(w, strategy=TIMED)
    applied = _applied(w, DEPLOYMENT)
    await w.settle(200)
    assert w.shares() == {"v2": 100}
    assert _applied(w, DEPLOYMENT) <= applied + 3  # its new size; a killed process learns anew of both
    w.say("somebody scales v2 to 7 and gives its pods another image")
    ref = Ref(DEPLOYMENT, NAMESPACE, f"churn-{w.status()['stable']['revision']}")
    container = (w.cluster.look(ref) or {})["spec"]["template"]["spec"]["containers"][0]
    pod = {"containers": [{**container, "image": "elsewhere.example/server:1"}]}
    w.cluster.edit(ref, {"spec": {"replicas": 7, "template": {"spec": pod}}})
    await w.settle(10)
    spec = (w.cluster.look(ref) or {})["spec"]
    told = (spec["replicas"], spec["template"]["spec"]["containers"][0]["image"])
    assert told == (2, "mirror.example/trainyard/server:1")
    w.say("another process of the operator")
    w.start()
    applied = _applied(w, DEPLOYMENT)
    await w.settle(100)
    assert _applied(w, DEPLOYMENT) == applied + 1


async def the_route_is_rewritten(w: World) -> None:
    """A field added and one changed; what somebody else edits is put back as ever."""
    w.cluster.mutate_applies(HTTP_ROUTE, _bounded)
    await v2_comes(w)
    assert w.condition("Paused")["reason"] == "WaitsForPromotion"
    applied = _applied(w, HTTP_ROUTE)
    await w.settle(100)
    assert _applied(w, HTTP_ROUTE) <= applied + 1
    for words, added in (
        ("sets another time-out", {"timeouts": {"request": "1ms"}}),
        ("sets the weights to 0 and 100", {"backendRefs": _turned(w)}),
    ):
        w.say(f"somebody {words}")
        standing = w.route()["spec"]
        w.cluster.edit(w.route_ref, {"spec": {"rules": [{**standing["rules"][0], **added}]}})
        await w.settle(10)
        assert w.route()["spec"] == standing
    w.say("promote")
    w.act("Promote")
    await w.settle(100)
    assert w.shares() == {"v2": 100}


def _turned(w: World) -> list[dict[str, Any]]:
    backends = w.route()["spec"]["rules"][0]["backendRefs"]
    return [{**b, "weight": weight} for b, weight in zip(backends, (0, 100), strict=True)]


# ---- refused ----

QUOTA = Forbidden("deployments.apps is forbidden: exceeded quota: team, limited: count/deployments.apps=1 (403)")
POLICY = Invalid("HTTPRoute churn is invalid: spec.hostnames: not of this team (422)")
NEVER = 10**6


def _said(w: World) -> int:
    return sum(write.verb == "status" for write in w.cluster.writes)


async def _refused(w: World, about: str, said: Exception) -> None:
    """It is told, once: a try writes nothing."""
    stalled = w.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "WriteRefused")
    assert w.plain(stalled["message"]) == f"the API server refuses to write {about}: {said}"
    before = _said(w)
    await w.settle(60)
    assert _said(w) == before
    assert w.condition("Stalled") == stalled


async def pods_beyond_the_quota(w: World) -> None:
    await v1_serves(w)
    w.say("v2, and no room for a Deployment in the quota")
    w.cluster.fail("apply", DEPLOYMENT, QUOTA, times=NEVER)
    w.add(version("v2", 2))
    await w.settle(30)
    await _refused(w, "Deployment churn-v2", QUOTA)
    assert w.shares() == {"v1": 100}
    w.say("there is room")
    w.cluster.relent()
    await w.settle(10)
    assert w.condition("Stalled")["status"] == "False"
    assert w.shares() == {"v1": 80, "v2": 20}


async def pods_beyond_the_quota_for_too_long(w: World) -> None:
    """It goes back, and says why."""
    await v1_serves(
        w, target=TARGET | {"kubernetes": TARGET["kubernetes"] | {"serving": {"progressDeadlineSeconds": 120}}}
    )
    w.say("v2, and no room for a Deployment in the quota")
    w.cluster.fail("apply", DEPLOYMENT, QUOTA, times=NEVER)
    w.add(version("v2", 2))
    await w.settle(200)
    assert w.outcome() == ["v1 Promoted", "v2 Aborted"]
    assert str(QUOTA) in w.status()["history"][0]["message"]
    assert w.condition("Stalled")["status"] == "False"


async def pods_die_while_a_deployment_is_refused(w: World) -> None:
    """What cannot be put back keeps no weight on pods that are not there."""
    await v2_comes(w)
    w.say("somebody scales v2 to 3, and to put that back is refused")
    w.cluster.fail("apply", DEPLOYMENT, QUOTA, times=NEVER)
    w.cluster.edit(Ref(DEPLOYMENT, NAMESPACE, f"churn-{w.status()['canary']['revision']}"), {"spec": {"replicas": 3}})
    await w.settle(20)
    w.say("v2's pods die")
    w.broken.add("v2")
    await w.settle(20)
    assert w.shares() == {"v1": 100, "v2": 0}


async def a_route_against_the_policy(w: World) -> None:
    await v2_comes(w)
    w.say("promote, and a policy refuses the route")
    w.cluster.fail("apply", HTTP_ROUTE, POLICY, times=NEVER)
    w.act("Promote")
    await w.settle(30)
    await _refused(w, "HTTPRoute churn", POLICY)
    assert w.shares() == {"v1": 80, "v2": 20}
    w.say("abort: the way back is refused as well")
    w.act("Abort", "2")
    await w.settle(30)
    await _refused(w, "HTTPRoute churn", POLICY)
    w.say("the policy is mended")
    w.cluster.relent()
    await w.settle(60)
    assert w.condition("Stalled")["status"] == "False"
    assert w.shares() == {"v1": 100}
