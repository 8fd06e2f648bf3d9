"""Pods that do not come, die or wobble: what is said, and for how long it is borne."""

from tests.golden.rollout.manifests import NAMESPACE, version
from tests.golden.rollout.stories import MEASURED, v1_serves, v2_comes
from tests.golden.rollout.world import ROUTE, World
from tests.unit.rollout.making import told
from trainyard.rollout.pods import trouble
from trainyard.systems.cluster.port import DEPLOYMENT, Ref

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
    assert not any(shares.get("v2") for shares in w.weights)
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
    await w.settle(90)
    assert w.outcome() == ["v1 Promoted"]
    await w.settle(20)
    assert w.outcome() == ["v1 Promoted", "v2 Aborted"]


async def test_pausing_again_and_again_does_not_evade_the_deadline() -> None:
    w = World(broken={"v2"})
    await v2_comes(w)
    for _ in range(8):
        await w.settle(100)
        w.edit(paused=True)
        await w.settle(1)
        w.edit(paused=False)
        await w.settle(1)
    assert w.outcome() == ["v1 Promoted", "v2 Aborted"]


def test_a_crash_counts_before_a_pod_without_a_node() -> None:
    crash = {"containerStatuses": [{"name": "server", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}
    pods = [{"metadata": {"name": "a"}, "status": NO_NODE}, {"metadata": {"name": "b"}, "status": crash}]
    assert trouble(pods)[0] == "CrashLoop"
    assert trouble(pods[:1])[0] == "InsufficientCapacity"


async def test_a_pod_that_a_gate_holds_waits_for_room_beyond_the_deadline() -> None:
    w = World(broken={"v2"})
    await v2_comes(w)
    gated = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}
    w.set_pod("v2", {"conditions": [gated]})
    await w.settle(2000)
    assert told(w, "Stalled") == ("True", "InsufficientCapacity")
    assert w.outcome() == ["v1 Promoted"]


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
