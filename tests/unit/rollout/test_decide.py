"""Rules one by one, through the real cycle over fakes: what is said, and what is left alone."""

from typing import Any

import pytest

from tests.golden.rollout.test_histories import ERRORS, MEASURED, TIMED, v1_serves, v2_comes
from tests.golden.rollout.world import CONFIG, KEY, NAMESPACE, ROUTE, TARGET, World, rollout, version
from tests.unit.rollout.making import serving
from trainyard import naming
from trainyard.reconciling.plan import Action
from trainyard.rollout.act import act
from trainyard.systems.cluster.port import (
    CONTROLLER_REVISION,
    DEPLOYMENT,
    MODEL_VERSION,
    SERVICE,
    Ref,
)
from trainyard.systems.prometheus.port import Answer


def told(w: World, kind: str) -> tuple[str, str]:
    found = w.condition(kind)
    return found["status"], found["reason"]


def events(w: World) -> list[str]:
    return [line.split("event     ")[1].split(":")[0] for line in w.lines if " event " in line]


# ---- what cannot be read, or is not acceptable ----


async def test_an_unreadable_object_is_told_and_left_alone() -> None:
    w = World()
    w.add(version("v1", 1))
    w.add(rollout(nonsense=True))
    await w.settle()
    assert told(w, "Accepted") == ("False", "Invalid")
    assert "nonsense" in w.condition("Accepted")["message"]
    written = w.own_writes
    await w.settle(600)
    assert w.own_writes == written
    w.cluster.edit(KEY, {"status": {"conditions": [{"type": 7}]}}, status=True)
    await w.settle()
    assert told(w, "Accepted") == ("False", "Invalid")


async def test_a_status_that_cannot_be_read_counts_as_lost() -> None:
    w = World()
    await v2_comes(w)
    w.cluster.edit(KEY, {"status": {"weight": "much"}}, status=True)
    await w.settle()
    assert (w.status()["weight"], w.shares()) == (20, {"v1": 80, "v2": 20})


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"target": {}}, "Unsupported"),
        ({"strategy": {}}, "Unsupported"),
        ({"analysis": {"metrics": [*ERRORS, *ERRORS]}}, "DuplicateMetric"),
        ({"analysis": {"metrics": [{"name": "m", "builtin": "ErrorRate"}]}}, "NoLimit"),
        ({"analysis": {"metrics": [{"name": "m", "query": "sum(", "max": "1"}]}}, "InvalidQuery"),
        ({"version": {"name": "v9"}}, "VersionNotFound"),
        ({"version": {"name": "raw"}}, "VersionNotReady"),
    ],
)
async def test_refused(spec: dict[str, Any], reason: str) -> None:
    w = World()
    w.add(version("v1", 1))
    w.add(version("raw", 2, ready=False))
    w.add(rollout(**spec))
    await w.settle(100)
    assert told(w, "Accepted") == ("False", reason)
    assert told(w, "Ready") == ("False", reason)
    assert not w.cluster.all(DEPLOYMENT)


async def test_fine_custom_queries_are_accepted_and_compared_with_stable() -> None:
    query = "sum(rate(clicks_total{revision=$(revision)}[$(window)]))"
    metrics = [{"name": "clicks", "query": query, "maxDecreasePercent": "50"}]
    w = World()
    w.measure(0.0)
    w.prometheus.on("clicks_total", 3.0)
    await v2_comes(w, strategy=TIMED, analysis=MEASURED | {"metrics": metrics})
    await w.settle(200)
    assert w.outcome() == ["v1 Promoted", "v2 Promoted"]
    asked = {q for q in w.prometheus.queries if "clicks_total" in q}
    assert len(asked) == 2  # the canary's and stable's
    assert all(f'namespace="{NAMESPACE}"' in q for q in asked)


async def test_a_custom_query_without_comparison_asks_once() -> None:
    metrics = [{"name": "clicks", "query": "sum(clicks{revision=$(revision)})", "min": "1"}]
    w = World()
    w.measure(0.0)
    w.prometheus.on("clicks", 0.5)
    await v2_comes(w, strategy=TIMED, analysis=MEASURED | {"metrics": metrics})
    await w.settle(30)
    assert len({q for q in w.prometheus.queries if "clicks" in q}) == 1
    assert w.outcome() == ["v1 Promoted", "v2 Aborted"]


async def test_no_version_yet_then_one() -> None:
    w = World()
    w.add(rollout())
    await w.settle(60)
    assert told(w, "Accepted") == ("False", "NoVersion")
    w.add(version("v1", 1))
    await w.settle()
    assert w.shares() == {"v1": 100}


async def test_versions_of_other_models_and_broken_ones_are_passed_over() -> None:
    w = World()
    other = version("v7", 7)
    w.add({**other, "spec": {**other["spec"], "model": "fraud"}})
    w.add({**version("v8", 8), "spec": {"model": "churn"}})
    w.add(rollout("neighbour", target={}, model=7))
    await v1_serves(w)
    assert w.shares() == {"v1": 100}


async def test_deleting_the_version_that_serves_moves_nothing() -> None:
    w = World()
    await v1_serves(w)
    w.cluster.remove(Ref(MODEL_VERSION, NAMESPACE, "v1"))
    await w.settle(60)
    assert (w.shares(), told(w, "Ready")) == ({"v1": 100}, ("True", "Promoted"))


async def test_pinned_to_something_that_is_not_there_holds_the_canary() -> None:
    w = World()
    await v2_comes(w, strategy=TIMED)
    w.edit(version={"name": "v9", "latest": None})
    await w.settle(300)
    assert w.shares() == {"v1": 80, "v2": 20}
    assert told(w, "Accepted") == ("False", "VersionNotFound")
    assert w.due is None or w.due >= 1, "what is held is not looked at in a hurry"


async def test_the_canarys_version_is_deleted() -> None:
    w = World()
    await v2_comes(w)
    w.cluster.remove(Ref(MODEL_VERSION, NAMESPACE, "v2"))
    await w.settle()
    assert w.outcome() == ["v1 Promoted", "v2 Aborted"]


# ---- pods ----

FETCH_FAILED = {"initContainerStatuses": [{"name": "fetch", "state": {"terminated": {"exitCode": 4}}}]}
NO_NODE = {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}


async def test_a_wrong_digest_is_told_and_stable_serves() -> None:
    w = World(broken={"v2"})
    await v2_comes(w)
    w.set_pod("v2", FETCH_FAILED)
    await w.settle()
    assert told(w, "Available") == ("False", "DigestMismatch")
    assert "stable serves untouched" in w.condition("Available")["message"]
    await w.settle(700)
    assert w.weights == [{"v1": 100}]
    assert "DigestMismatch" in w.condition("Degraded")["message"]
    assert told(w, "Ready") == ("True", "RevisionRejected")


async def test_a_first_version_that_cannot_start_waits_and_says_why() -> None:
    w = World(broken={"v1"})
    await v1_serves(w)
    w.set_pod("v1", FETCH_FAILED)
    await w.settle(700)
    assert told(w, "Available") == told(w, "Ready") == ("False", "DigestMismatch")
    assert told(w, "Stalled") == ("True", "ProgressDeadlineExceeded")
    w.say("another version takes its place")
    w.add(version("v2", 2))
    w.set_ready("v1", False)
    await w.settle()
    assert w.shares() == {"v2": 100}


async def test_no_free_node_holds_beyond_the_deadline() -> None:
    w = World(broken={"v2"})
    await v2_comes(w)
    w.set_pod("v2", NO_NODE)
    await w.settle(2000)
    assert told(w, "Stalled") == ("True", "InsufficientCapacity")
    assert w.outcome() == ["v1 Promoted"]
    w.broken.clear()
    await w.settle()
    assert w.shares() == {"v1": 80, "v2": 20}


async def test_the_deadline_does_not_tick_while_paused() -> None:
    w = World(broken={"v2"})
    await v2_comes(w)
    await w.settle(500)
    w.edit(paused=True)
    await w.settle(3600)
    w.edit(paused=False)
    await w.settle(500)
    assert w.outcome() == ["v1 Promoted"]
    await w.settle(200)
    assert w.outcome() == ["v1 Promoted", "v2 Aborted"]


async def test_a_wobbling_canary_does_not_evade_the_deadline() -> None:
    w = World(broken={"v2"})
    await v2_comes(w)
    for _ in range(8):
        w.broken.clear()
        await w.settle(5)
        w.broken.add("v2")
        await w.settle(95)
    assert w.outcome() == ["v1 Promoted", "v2 Aborted"]


async def test_long_readiness_clears_earlier_trouble() -> None:
    w = World()
    await v2_comes(w, analysis=MEASURED)
    name = f"churn-{w.status()['canary']['revision']}"
    ready = {"type": "Available", "status": "True", "lastTransitionTime": "2026-11-24T06:00:40Z"}
    w.measure(0.0)
    for _ in range(60):
        live = w.cluster.look(Ref(DEPLOYMENT, NAMESPACE, name))
        assert live
        w.pass_time(15)
        w.cluster.edit(
            Ref(DEPLOYMENT, NAMESPACE, name), {"status": live["status"] | {"conditions": [ready]}}, status=True
        )
        await w.visit()
    assert "unavailableSince" not in w.status()


async def test_stable_without_pods_is_told() -> None:
    w = World()
    await v1_serves(w)
    w.broken.add("v1")
    await w.settle()
    assert told(w, "Available") == told(w, "Ready") == ("False", "StableUnavailable")


async def test_ready_when_accepted() -> None:
    w = World()
    await v2_comes(w, readyWhen="Accepted")
    assert told(w, "Ready") == ("True", "WaitsForPromotion")


async def test_a_gateway_that_refuses_is_told() -> None:
    w = World(answer="False")
    await v1_serves(w)
    assert told(w, "Ready") == ("False", "RouteNotAccepted")
    w.answer = "True"
    await w.settle()
    w.answer = "False"
    w.cluster.edit(ROUTE, {"spec": {"hostnames": ["other.test"]}})
    await w.settle()
    assert told(w, "Available") == ("False", "RouteNotAccepted")
    assert w.shares() == {"v1": 100}


# ---- actions ----


async def test_actions_that_do_not_fit_are_said_once() -> None:
    w = World()
    await v1_serves(w)
    for number, kind in enumerate(("Abort", "Promote", "PromoteFull", "Retry")):
        w.act(kind, str(number))
        await w.settle(60)
    assert events(w).count("ActionStale") == 4
    assert w.shares() == {"v1": 100}


async def test_promote_while_the_weight_is_on_its_way_is_stale() -> None:
    w = World(broken={"v2"})
    await v2_comes(w)
    w.act("Promote")
    await w.settle()
    assert events(w)[-1] == "ActionStale"


async def test_promote_waits_for_paused_and_abort_does_not() -> None:
    w = World()
    await v2_comes(w)
    w.edit(paused=True)
    w.act("Promote")
    await w.settle(60)
    assert w.shares() == {"v1": 80, "v2": 20}
    w.act("Abort", "2")
    await w.settle()
    assert w.shares() == {"v1": 100, "v2": 0}


async def test_abort_after_promote_full_is_still_possible() -> None:
    w = World()
    await v2_comes(w)
    w.broken.add("v1")  # nothing of v1 is needed to go on, all of it to go back
    w.act("PromoteFull")
    await w.cycle.run(KEY, w.now)
    w.act("PromoteFull", "2")
    await w.settle()
    assert w.outcome()[-1] == "v2 FastPromoted"


async def test_no_begin_while_paused() -> None:
    w = World()
    await v1_serves(w, paused=True)
    assert not w.cluster.all(DEPLOYMENT)


async def test_steps_edited_to_none_end_in_promotion_by_the_next_visit() -> None:
    w = World()
    await v2_comes(w)
    w.edit(strategy={"canary": {"steps": []}})
    await w.settle()
    assert told(w, "Paused") == ("False", "NotPaused")
    assert w.outcome() == ["v1 Promoted", "v2 Promoted"]


async def test_no_steps_at_all_go_straight() -> None:
    w = World()
    await v2_comes(w, strategy={"canary": {"steps": []}})
    assert w.weights == [{"v1": 100}, {"v1": 0, "v2": 100}]


async def test_weight_zero_first_and_a_jumping_clock() -> None:
    steps = [{"pause": {"durationSeconds": 60}}, {"setWeight": 0}, {"pause": {}}]
    w = World()
    await v2_comes(w, strategy={"canary": {"steps": steps}})
    w.pass_time(1, clock=3600)
    await w.settle()
    assert w.status()["step"] == 0
    await w.settle(120)
    assert (w.status()["step"], w.shares()["v2"]) == (2, 0)


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


# ---- the rest ----


async def test_section_names_and_timeouts_reach_the_route() -> None:
    parents = [{"name": "gateway", "namespace": "infra", "sectionName": "http"}, {"name": "near"}]
    traffic = {"parentRefs": parents, "timeouts": {"requestSeconds": 7}}
    w = World()
    await v1_serves(w, target={"kubernetes": {**TARGET["kubernetes"], "traffic": traffic}})
    spec = (w.cluster.look(ROUTE) or {})["spec"]
    assert [p.get("sectionName") for p in spec["parentRefs"]] == ["http", None]
    assert spec["rules"][0]["timeouts"] == {"request": "7s"}
    assert w.status()["waitingFor"].startswith("pods to be ready and the route")


async def test_no_server_image_is_refused() -> None:
    w = World()
    object.__setattr__(CONFIG, "server_images", {})
    try:
        await v1_serves(w)
        assert told(w, "Accepted") == ("False", "NoServerImage")
        w.edit(target=serving(image="mine:1"))
        await w.settle()
        assert w.shares() == {"v1": 100}
    finally:
        object.__setattr__(CONFIG, "server_images", {"TensorFlow": "trainyard/server:1"})


async def test_custom_queries_are_off_by_default() -> None:
    w = World()
    object.__setattr__(CONFIG, "custom_queries", False)
    try:
        await v1_serves(w, analysis={"metrics": [{"name": "m", "query": "x", "max": "1"}]})
        assert told(w, "Accepted") == ("False", "CustomQueriesDisabled")
    finally:
        object.__setattr__(CONFIG, "custom_queries", True)


async def test_one_count_an_interval_also_after_restarts() -> None:
    w = World()
    w.measure(0.05)
    await v2_comes(w, strategy=TIMED, analysis=MEASURED | {"metrics": [{**ERRORS[0], "failureLimit": 9}]})
    for _ in range(50):
        w.start()
        await w.visit()
        w.pass_time(0.5)
        await w.visit()
        w.pass_time(0.5)
    assert w.status()["metrics"][0]["failures"] == 5 - 1  # the first interval is the window's


async def test_no_metric_answer_ever_raises() -> None:
    w = World()
    w.prometheus.on("", Answer(unusable="a range matrix"))
    await v2_comes(w, strategy=TIMED, analysis=MEASURED)
    await w.settle(90)
    assert w.status()["metrics"][0]["verdict"] in ("NoData", "Inconclusive")
    assert w.shares() == {"v1": 80, "v2": 20}


async def test_a_strangers_intention_is_an_error() -> None:
    with pytest.raises(TypeError, match="no intention Action"):
        await act(Action(), World().cluster)
