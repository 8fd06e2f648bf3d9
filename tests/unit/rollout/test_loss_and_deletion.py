"""What is lost is taken up again, and what is deleted goes in order."""

import pytest

from tests.golden.rollout.manifests import NAMESPACE, rollout
from tests.golden.rollout.stories import v1_serves, v2_comes
from tests.golden.rollout.world import KEY, ROUTE, World
from tests.unit.rollout.making import events
from trainyard import naming
from trainyard.systems.cluster.port import (
    CONTROLLER_REVISION,
    DEPLOYMENT,
    HTTP_ROUTE,
    MODEL_VERSION,
    ROLLOUT,
    SERVICE,
    Forbidden,
    Ref,
)

# ---- after a loss ----


async def test_without_kept_revisions_the_versions_tell() -> None:
    w = World()
    await v1_serves(w)
    for stored in w.cluster.all(CONTROLLER_REVISION):
        w.cluster.remove(Ref(CONTROLLER_REVISION, NAMESPACE, stored["metadata"]["name"]))
    w.lose_status()
    await w.settle()
    assert (w.status()["stable"]["version"], w.shares()) == ("v1", {"v1": 100})
    assert len(w.cluster.all(CONTROLLER_REVISION)) == 1


async def test_without_revision_and_version_what_runs_is_left_alone() -> None:
    w = World()
    await v1_serves(w)
    w.cluster.remove(Ref(MODEL_VERSION, NAMESPACE, "v1"))
    w.cluster.remove(Ref(CONTROLLER_REVISION, NAMESPACE, w.cluster.all(CONTROLLER_REVISION)[0]["metadata"]["name"]))
    await w.settle(60)
    assert w.shares() == {"v1": 100}
    assert len(w.cluster.all(DEPLOYMENT)) == 1


def threads(w: World) -> dict[str, list[str]]:
    """Revision -> what its pods are given as THREADS."""
    pods = {
        w.version_of(o["metadata"]["labels"][naming.LABEL_REVISION]): o["spec"]["template"]["spec"]["containers"][0]
        for o in w.cluster.all(DEPLOYMENT)
    }
    return {name: [e["value"] for e in pod["env"] if e["name"] == "THREADS"] for name, pod in pods.items()}


async def test_a_revision_that_is_kept_nowhere_gets_no_other_serving() -> None:
    """It would serve all users with what is being tried on a few; the spec of before renders it again."""
    w = World()
    await v1_serves(w)
    w.edit(target={"kubernetes": {"serving": {"env": [{"name": "THREADS", "value": "64"}]}}})
    await w.settle()
    assert threads(w) == {"v1": [], "v1'": ["64"]}
    stable = w.status()["stable"]["revision"]
    w.cluster.remove(Ref(CONTROLLER_REVISION, NAMESPACE, f"churn-{stable}"))
    w.edit(target={"kubernetes": {"serving": {"replicas": 5}}})
    await w.settle(10)
    assert threads(w) == {"v1": [], "v1'": ["64"]}
    assert (w.available("v1"), w.shares()) == (2, {"v1": 80, "v1'": 20})
    assert (w.condition("Stalled")["reason"], w.condition("Available")["status"]) == ("RevisionUnknown", "True")
    w.edit(target={"kubernetes": {"serving": {"env": None}}})
    await w.settle(10)
    assert (w.available("v1"), w.condition("Stalled")["status"]) == (5, "False")


async def test_a_promotion_ends_that_a_revision_is_kept_nowhere() -> None:
    w = World()
    await v1_serves(w)
    w.edit(target={"kubernetes": {"serving": {"env": [{"name": "THREADS", "value": "64"}]}}})
    await w.settle()
    w.cluster.remove(Ref(CONTROLLER_REVISION, NAMESPACE, f"churn-{w.status()['stable']['revision']}"))
    w.act("PromoteFull")
    await w.settle(60)
    assert (w.shares(), threads(w)) == ({"v1'": 100}, {"v1'": ["64"]})
    assert w.condition("Stalled")["status"] == "False"


async def test_what_is_no_revision_of_ours_is_passed_over() -> None:
    w = World()
    labels = {**naming.MANAGED_BY, naming.LABEL_ROLLOUT: "churn"}
    meta = {"name": "churn-x", "namespace": NAMESPACE, "labels": labels}
    w.add({"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": meta, "revision": 1, "data": {}})
    await v1_serves(w)
    assert w.shares() == {"v1": 100}


# ---- deletion ----


async def test_deleted_without_our_finalizer_or_with_skip_cleanup() -> None:
    w = World()
    await v1_serves(w)
    w.cluster.edit(KEY, {"metadata": {"annotations": {naming.ANNOTATION_SKIP_CLEANUP: "true"}}})
    w.cluster.remove(KEY)
    await w.settle()
    assert w.cluster.look(KEY) is None
    assert w.shares() == {"v1": 100}
    other = World()
    other.add(rollout())
    other.cluster.edit(KEY, {"metadata": {"finalizers": ["somebody/else"]}})
    other.cluster.remove(KEY)
    await other.settle(60)
    assert other.own_writes == 0


async def test_skip_cleanup_means_true_and_nothing_else() -> None:
    w = World()
    await v1_serves(w)
    w.cluster.edit(KEY, {"metadata": {"annotations": {naming.ANNOTATION_SKIP_CLEANUP: "false"}}})
    w.cluster.remove(KEY)
    await w.settle(60)
    assert w.cluster.look(w.route_ref) is None, "it was taken down before it went"


async def test_orphan_waits_for_a_ready_stable_until_the_deadline() -> None:
    w = World()
    await v2_comes(w, deletionPolicy="Orphan")
    w.broken.add("v1")
    await w.settle()
    w.cluster.remove(KEY)
    await w.settle(590)
    assert w.shares() == {"v1": 80, "v2": 20}
    await w.settle(20)
    assert w.cluster.look(KEY) is None
    assert events(w)[-1] == "CleanupTimedOut"


@pytest.mark.parametrize("policy", ["Orphan", "Delete"])
@pytest.mark.parametrize("how", ["deleted while the operator is away", "the operator goes away then", "a clock is set"])
async def test_nothing_is_let_go_before_an_honest_try(policy: str, how: str) -> None:
    """The operator is away for twenty minutes, or its clock is set by them: the deadline counts neither."""
    w = World()
    await v2_comes(w, deletionPolicy=policy)
    w.cluster.remove(KEY)
    if how != "deleted while the operator is away":
        await w.visit()
    w.pass_time(0.5 if how == "a clock is set" else 1200.0, clock=1200.0)
    if how != "a clock is set":
        w.start()
    await w.settle(10)
    assert w.cluster.look(KEY) is None
    assert "CleanupTimedOut" not in events(w)
    assert [d["metadata"]["labels"][naming.LABEL_VERSION] for d in w.cluster.all(DEPLOYMENT)] == (
        ["v1"] if policy == "Orphan" else []
    )
    assert w.shares() == ({"v1": 100} if policy == "Orphan" else {})


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
async def test_ten_minutes_of_trying_are_ten_minutes_whatever_the_clock_says(jump: float) -> None:
    w = World()
    await v2_comes(w, deletionPolicy="Orphan")
    w.broken.add("v1")
    await w.settle()
    w.cluster.remove(KEY)
    await w.settle(300)
    w.pass_time(1.0, clock=jump)
    await w.settle(290)
    assert w.cluster.look(KEY), "stable may still come back"
    await w.settle(20)
    assert w.cluster.look(KEY) is None
    assert events(w)[-1] == "CleanupTimedOut"


async def test_a_deletion_that_the_api_server_refuses_ends_at_its_deadline_too() -> None:
    w = World()
    await v2_comes(w)
    w.cluster.remove(KEY)
    for kind in (ROLLOUT, HTTP_ROUTE):
        w.cluster.fail("status" if kind == ROLLOUT else "apply", kind, Forbidden("no"), times=100)
    for _ in range(2):
        await w.visit()
        assert w.cluster.look(KEY) is not None
        w.pass_time(360.0)  # the longest backoff
    await w.visit()
    assert w.cluster.look(KEY) is None
    assert events(w)[-1] == "CleanupTimedOut"


async def test_delete_does_not_wait_for_stable() -> None:
    w = World()
    await v2_comes(w)
    w.broken.add("v1")
    await w.settle()
    w.cluster.remove(KEY)
    await w.settle()
    assert w.cluster.look(KEY) is None
    assert not w.cluster.all(DEPLOYMENT)


async def test_orphan_before_anything_serves_removes_all() -> None:
    w = World(broken={"v1"})
    await v1_serves(w, deletionPolicy="Orphan")
    w.cluster.remove(KEY)
    await w.settle()
    assert not w.cluster.all(DEPLOYMENT)
    assert not w.cluster.all(SERVICE)


async def test_to_orphan_drops_owners_at_once() -> None:
    w = World()
    await v1_serves(w)
    w.edit(deletionPolicy="Orphan")
    await w.settle()
    for kind in (DEPLOYMENT, SERVICE, CONTROLLER_REVISION):
        assert all("ownerReferences" not in o["metadata"] for o in w.cluster.all(kind))


async def test_somebodys_route_of_that_name_outlives_the_rollout() -> None:
    w = World()
    theirs = {"rules": [{"backendRefs": [{"name": "x", "weight": 1}]}]}
    meta = {"name": "churn", "namespace": NAMESPACE}
    w.add({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": meta, "spec": theirs})
    w.add(rollout())
    await w.settle()
    w.cluster.remove(KEY)
    await w.settle()
    assert w.cluster.look(KEY) is None
    assert (w.cluster.look(ROUTE) or {})["spec"] == theirs


async def test_deleted_while_nobody_can_read_it() -> None:
    """Its children have it as their owner, and go with it; held for ever it would keep its namespace."""
    w = World()
    await v1_serves(w)
    w.cluster.edit(KEY, {"spec": {"model": 7}, "status": None})
    w.cluster.remove(KEY)
    await w.settle()
    assert w.cluster.look(KEY) is None
