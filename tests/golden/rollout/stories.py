"""Stories of one Rollout: what users do, and what the measurements say."""

from datetime import datetime
from typing import Any

from tests.golden.rollout.manifests import rollout, version
from tests.golden.rollout.world import World
from trainyard.systems.prometheus.port import Answer

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
    return w.series(at, lambda name, weight: 10000 * (share if name == "v2" else 1 - share))
