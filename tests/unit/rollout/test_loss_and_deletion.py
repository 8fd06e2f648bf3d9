"""What is lost is taken up again, and what is deleted goes in order."""

from tests.golden.rollout.stories import v1_serves, v2_comes
from tests.golden.rollout.world import KEY, NAMESPACE, ROUTE, World, rollout
from tests.unit.rollout.making import events
from trainyard import naming
from trainyard.systems.cluster.port import CONTROLLER_REVISION, DEPLOYMENT, MODEL_VERSION, SERVICE, Ref

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
