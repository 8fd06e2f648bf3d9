"""What the process remembers of a Rollout, for its metrics."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

from tests.fakes.cluster import FakeCluster
from tests.golden.rollout.stories import v2_comes
from tests.golden.rollout.world import World
from trainyard.resources.rollout import MetricStatus
from trainyard.rollout.room import RolloutRoom
from trainyard.rollout.state import ApplyObject, Progress, Remember
from trainyard.systems.cluster import port

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
STARTED = "2026-11-24T06:00:00Z"
OBJ: dict[str, Any] = {
    "metadata": {"uid": "1", "name": "churn", "namespace": "shop"},
    "status": {"canary": {"revision": "bbbbbbbbbb"}, "step": 1, "stepStartedTime": STARTED, "weight": 20},
}


async def test_metrics_see_what_is_not_written_yet() -> None:
    room = RolloutRoom()
    assert room.newest(OBJ) is OBJ
    measured = (MetricStatus(name="p99", verdict="Pass", value="0.2"),)
    progress = Progress(f"bbbbbbbbbb/1/{STARTED}", NOW, 0.0, 0.0, metrics=measured, share="19.8", held_since=STARTED)
    await room.act(Remember(progress), OBJ, systems=None)  # type: ignore[arg-type] # remembering asks nobody
    told = room.newest(OBJ)["status"]
    assert told["metrics"][0] | {"name": "p99", "verdict": "Pass", "value": "0.2"} == told["metrics"][0]
    assert (told["observedShare"], told["heldSince"], told["weight"]) == ("19.8", STARTED, 20)


async def test_what_was_remembered_of_another_step_is_not_told() -> None:
    room = RolloutRoom()
    await room.act(Remember(Progress("bbbbbbbbbb/0/x", NOW, 0.0, 0.0)), OBJ, systems=None)  # type: ignore[arg-type] # as above
    assert room.newest(OBJ) is OBJ


def _deployment() -> dict[str, Any]:
    meta = {"name": "churn-b", "namespace": "shop", "labels": {}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {"replicas": 2, "selector": {}}}


def _one_more(deployment: dict[str, Any]) -> None:
    deployment["spec"]["replicas"] += 1


async def test_an_answer_is_remembered_only_where_it_is_not_what_was_applied() -> None:
    cluster, room = FakeCluster(), RolloutRoom()
    systems = replace(World().systems, cluster=cluster)
    await room.act(ApplyObject(_deployment()), OBJ, systems)
    assert room._answers == {}
    cluster.mutate_applies(port.DEPLOYMENT, _one_more)
    await room.act(ApplyObject(_deployment()), OBJ, systems)
    assert list(room._answers["1"]) == [("Deployment", "churn-b")]
    await room.act(Remember(None), OBJ, systems)
    assert room._answers == {}, "with the Rollout"


async def test_an_answer_is_forgotten_with_its_object() -> None:
    w = World()
    w.cluster.mutate_applies(port.DEPLOYMENT, _one_more)
    await v2_comes(w)
    room = cast("RolloutRoom", w.cycle.room)
    assert len(next(iter(room._answers.values()))) == 2
    w.act("Abort")
    await w.settle(100)
    await w.visit()
    names = {obj["metadata"]["name"] for obj in w.cluster.all(port.DEPLOYMENT)}
    assert {name for _, name in next(iter(room._answers.values()))} == names
    assert len(names) == 1
