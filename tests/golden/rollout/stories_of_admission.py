"""Stories of one Rollout whose objects the API server changes or refuses: webhooks, policies, quotas."""

from typing import Any

from tests.golden.rollout.stories import TIMED, v2_comes
from tests.golden.rollout.world import NAMESPACE, World
from trainyard.systems.cluster.port import DEPLOYMENT, HTTP_ROUTE, Kind, Ref


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
