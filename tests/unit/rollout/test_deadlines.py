"""The progress deadline: it ends what does not become ready, and nothing that was."""

from typing import Any

import pytest

from tests.golden.rollout.stories import MEASURED, v2_comes
from tests.golden.rollout.stories_of_strategies import canary, on_gpus
from tests.golden.rollout.world import World
from tests.unit.rollout.making import serving
from trainyard.systems.cluster.port import DEPLOYMENT, Forbidden, Obj

HALF: dict[str, Any] = canary({"setWeight": 50}, {"pause": {}})
HOUR: dict[str, Any] = canary({"setWeight": 50}, {"pause": {"durationSeconds": 3600}})
ENDLESS: list[dict[str, Any]] = [HALF, {"blueGreen": {}}]


class Conditions(World):
    """A Deployment controller that says since when a Deployment has all its pods, as the real one does."""

    def _deployment_status(self, obj: Obj) -> dict[str, Any]:
        status = super()._deployment_status(obj)
        is_available = "True" if status.get("availableReplicas", 0) >= obj["spec"]["replicas"] else "False"
        before: dict[str, Any] = next(iter(obj.get("status", {}).get("conditions", ())), {})
        stood = before.get("lastTransitionTime") if before.get("status") == is_available else None
        since = stood or self.now.strftime("%Y-%m-%dT%H:%M:%SZ")
        return status | {"conditions": [{"type": "Available", "status": is_available, "lastTransitionTime": since}]}


async def blip(w: World, seconds: float = 2.0) -> None:
    """One of the canary's pods fails its readiness probe for a moment."""
    w.room["v2"] = w.available("v2") - 1
    w._deployments()
    await w.settle(seconds)
    w.room.clear()
    await w.settle(1)


async def scale(w: World, replicas: int, startup: float) -> None:
    """Let an autoscaler ask for more, whose pods are ready after their start-up."""
    w.room["v2"] = w.available("v2")
    w.edit(target={"kubernetes": {"serving": {"replicas": replicas}}})
    await w.settle(startup)
    w.room.clear()
    await w.settle()


@pytest.mark.parametrize("strategy", ENDLESS, ids=["canary", "blueGreen"])
@pytest.mark.parametrize("loading", [0, 60])
@pytest.mark.parametrize("serves", [70, 130, 590])
async def test_a_pod_that_fails_once_ends_no_canary_that_was_ready_in_time(
    strategy: dict[str, Any], loading: int, serves: int
) -> None:
    """Nobody visits it at a pause that waits for a person: what began to run at its start must be over by then."""
    w = Conditions(broken={"v2"} if loading else set())
    await v2_comes(w, strategy=strategy, target=serving(replicas=4, progressDeadlineSeconds=120))
    await w.settle(loading)
    w.broken.clear()
    await w.settle()
    w.pass_time(serves)
    await blip(w)
    assert (w.outcome(), w.status().get("ending")) == (["v1 Promoted"], None)


async def test_a_pod_that_fails_a_second_time_long_after_ends_nothing() -> None:
    """Between both it was ready for longer than the deadline: somebody has to come and say so."""
    w = Conditions()
    await v2_comes(w, strategy=HALF, target=serving(replicas=4, progressDeadlineSeconds=120))
    await w.settle(50)
    await blip(w)
    assert w.status()["unavailableSince"]
    assert w.due is not None
    w.pass_time(w.due)
    await w.visit()
    assert "unavailableSince" not in w.status()
    writes = w.own_writes
    await w.settle(300)
    assert w.own_writes == writes
    await blip(w)
    assert w.outcome() == ["v1 Promoted"]


@pytest.mark.parametrize("strategy", [HALF, HOUR], ids=["for a person", "timed"])
@pytest.mark.parametrize("measured", [False, True])
async def test_an_autoscaler_that_asks_for_more_all_the_time_ends_no_healthy_canary(
    strategy: dict[str, Any], measured: bool
) -> None:
    w = Conditions()
    w.measure(0.0)
    analysis = {"analysis": MEASURED} if measured else {}
    await v2_comes(w, strategy=strategy, target=serving(replicas=4, progressDeadlineSeconds=120), **analysis)
    for number in range(8):
        await w.settle(50)
        await scale(w, 6 + 2 * number, startup=20)
    assert (w.outcome(), w.shares()) == (["v1 Promoted"], {"v1": 50, "v2": 50})
    await scale(w, 30, startup=130)
    assert w.outcome() == ["v1 Promoted", "v2 Aborted"], "those pods never came"


async def test_a_quota_that_refuses_an_autoscaler_its_pods_ends_no_healthy_canary() -> None:
    w = Conditions()
    await v2_comes(w, strategy=HALF, target=serving(replicas=4, progressDeadlineSeconds=120))
    await w.settle(50)
    await blip(w)
    await w.settle(100)
    w.cluster.fail("apply", DEPLOYMENT, Forbidden("exceeded quota"), times=10**6)
    w.edit(target={"kubernetes": {"serving": {"replicas": 6}}})
    await w.settle(400)
    assert (w.outcome(), w.condition("Stalled")["reason"]) == (["v1 Promoted"], "WriteRefused")


async def test_a_step_whose_pods_are_refused_ends_at_its_deadline() -> None:
    w = Conditions()
    steps: list[dict[str, Any]] = [{"setWeight": 25}, {"pause": {"durationSeconds": 10}}, {"setWeight": 50}]
    await v2_comes(w, strategy=canary(*steps), target=serving(replicas=4, progressDeadlineSeconds=120))
    w.cluster.fail("apply", DEPLOYMENT, Forbidden("exceeded quota"), times=10**6)
    await w.settle(100)
    assert w.outcome() == ["v1 Promoted"]
    await w.settle(60)
    assert w.outcome() == ["v1 Promoted", "v2 Aborted"]


async def test_each_part_of_a_canary_that_grows_as_stable_gives_way_has_its_own_time() -> None:
    """Four pods, one at a time, each of which loads for 50 s: the deadline of 120 s is that of a pod."""
    w = Conditions(room={"v2": 0})
    kubernetes = on_gpus(4, count=1)["kubernetes"]
    target = {"kubernetes": {**kubernetes, "serving": {**kubernetes["serving"], "progressDeadlineSeconds": 120}}}
    await v2_comes(w, strategy=canary({"setWeight": 75}, {"pause": {}}, maxExtraAccelerators=1), target=target)
    for ready in range(1, 4):
        await w.settle(50)
        w.room["v2"] = ready
        await w.settle()
    assert (w.outcome(), w.shares()) == (["v1 Promoted"], {"v1": 25, "v2": 75})


async def test_what_refuses_the_spec_is_not_written_about_at_every_visit() -> None:
    """The edit that is refused asks for more pods as well, and measurements bring a visit every ten seconds."""
    w = Conditions()
    w.measure(0.0)
    await v2_comes(w, strategy=HALF, analysis=MEASURED, target=serving(replicas=4, progressDeadlineSeconds=1200))
    await w.settle(50)
    await blip(w)
    freeze = [{"name": "odd", "cron": "never", "durationSeconds": 60}]
    w.edit(target={"kubernetes": {"serving": {"replicas": 8}}}, freeze=freeze)
    await w.settle(70)
    assert w.condition("Accepted")["reason"] == "InvalidFreeze"
    written = sum(write.verb == "status" for write in w.cluster.writes)
    await w.settle(240)
    assert sum(write.verb == "status" for write in w.cluster.writes) <= written + 5
