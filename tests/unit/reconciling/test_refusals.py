"""What the API server refuses becomes a condition, is told once, and goes with the next visit that succeeds."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fakes.cluster import FakeCluster
from tests.unit.reconciling.tiny import KEY, Fail, ScriptedRoom, tiny
from trainyard.reconciling import refusals
from trainyard.reconciling.cycle import Cycle
from trainyard.reconciling.plan import Action, PatchMetadata, Plan, WriteStatus
from trainyard.rollout import state as rollout
from trainyard.systems.cluster.port import (
    MODEL_VERSION,
    SERVICE,
    Cluster,
    ClusterError,
    Conflict,
    Fenced,
    Forbidden,
    Invalid,
    Ref,
    Unavailable,
)
from trainyard.training_pipeline import state as training_pipeline
from trainyard.training_run import state as training_run

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MOVING = {"type": "Stalled", "status": "False", "reason": "Moving", "lastTransitionTime": "2026-03-01T11:00:00Z"}
READY = {"type": "Ready", "status": "True", "reason": "Ready"}


@dataclass(frozen=True)
class Refuse(Fail):
    """A write of another object."""

    @property
    def about(self) -> str:
        return "Service s"


@pytest.fixture
def cluster() -> FakeCluster:
    made = FakeCluster()
    made.seed(tiny(), status={"conditions": [MOVING, READY]})
    return made


async def visit(cluster: FakeCluster, *errors: Exception, intent: Any = None, minutes: int = 0) -> None:
    """Visit it, and let its writes be refused, after an intent if there is one."""
    first = (WriteStatus(intent),) if intent else ()
    plan = Plan((*first, *map(Refuse, errors)), status={"conditions": [MOVING, READY], **(intent or {})})
    await Cycle[Cluster](ScriptedRoom(plan), cluster, cluster).run(KEY, NOW + timedelta(minutes=minutes))


def conditions(cluster: FakeCluster) -> list[dict[str, Any]]:
    obj = cluster.look(KEY)
    assert obj
    return list(obj["status"]["conditions"])


@pytest.mark.parametrize("error", [Invalid("no such field (422)"), Forbidden("exceeded quota (403)")])
async def test_a_refusal_is_told_once_and_cleared_by_a_success(cluster: FakeCluster, error: ClusterError) -> None:
    for minutes in range(3):
        with pytest.raises(type(error)):
            await visit(cluster, error, minutes=minutes)
    stalled, ready = conditions(cluster)
    assert stalled == {
        "type": "Stalled",
        "status": "True",
        "reason": "WriteRefused",
        "message": f"the API server refuses to write Service s: {error}",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-03-01T12:00:00Z",
    }
    assert ready == READY
    assert len(cluster.writes) == 1
    await visit(cluster)
    assert conditions(cluster) == [MOVING, READY]


async def test_an_intent_before_it_does_not_make_it_flap(cluster: FakeCluster) -> None:
    intent = {"intent": 1, "conditions": [MOVING, READY]}
    for _ in range(3):
        with pytest.raises(Forbidden):
            await visit(cluster, Forbidden("no"), intent=intent)
    assert len(cluster.writes) == 2, "the intent, and what refused it"
    assert conditions(cluster)[0]["reason"] == "WriteRefused"
    cluster.edit(KEY, {"spec": {"model": "other"}})
    with pytest.raises(Forbidden):
        await visit(cluster, Forbidden("no"), intent=intent)
    assert conditions(cluster)[0]["observedGeneration"] == 2
    assert len(cluster.writes) == 3
    await visit(cluster, intent=intent)
    assert conditions(cluster) == [MOVING, READY]


async def test_numbers_in_the_sentence_are_no_news_and_another_sentence_is(cluster: FakeCluster) -> None:
    for used in (3, 4, 5):
        with pytest.raises(Forbidden):
            await visit(cluster, Forbidden(f"exceeded quota: used: pods={used}"))
    assert len(cluster.writes) == 1
    assert conditions(cluster)[0]["message"].endswith("pods=3")
    with pytest.raises(Forbidden):
        await visit(cluster, Forbidden("denied by policy"), minutes=5)
    assert conditions(cluster)[0]["message"].endswith("denied by policy")
    assert conditions(cluster)[0]["lastTransitionTime"] == "2026-03-01T12:00:00Z", "it stalled all along"


@pytest.mark.parametrize("error", [Conflict("x"), Fenced("x"), Unavailable("x")])
async def test_other_failures_are_no_refusals(cluster: FakeCluster, error: ClusterError) -> None:
    with pytest.raises(type(error)):
        await visit(cluster, error)
    assert cluster.writes == []


async def test_the_objects_own_metadata_and_a_first_condition() -> None:
    cluster = FakeCluster()
    cluster.seed(tiny())
    cluster.fail("patch", MODEL_VERSION, Forbidden("no finalizers here"))
    room = ScriptedRoom(Plan((PatchMetadata(finalizers=("x/y",)),)))
    with pytest.raises(Forbidden):
        await Cycle[Cluster](room, cluster, cluster).run(KEY, NOW)
    (stalled,) = conditions(cluster)
    assert stalled["message"] == "the API server refuses to write its metadata: no finalizers here"


async def test_a_refusal_that_cannot_be_told_is_still_the_failure(cluster: FakeCluster) -> None:
    cluster.fail("status", MODEL_VERSION, Unavailable("away"))
    with pytest.raises(Invalid):
        await visit(cluster, Invalid("no"))
    assert conditions(cluster) == [MOVING, READY]


async def test_a_refused_status_is_not_told_in_it(cluster: FakeCluster) -> None:
    cluster.fail("status", MODEL_VERSION, Invalid("status.x: unknown"))
    with pytest.raises(Invalid):
        await visit(cluster, intent={"x": 1})
    assert conditions(cluster) == [MOVING, READY]


THING = {"kind": "Thing", "metadata": {"name": "t", "namespace": "ns"}}
REF = Ref(SERVICE, "ns", "s")


@pytest.mark.parametrize(
    ("action", "about"),
    [
        (rollout.ApplyObject(THING), "Thing t"),
        (rollout.ShiftTraffic(THING, None), "Thing t"),
        (rollout.MarkRevision(REF, "Aborted"), "Service s"),
        (rollout.Remove(REF, "1"), "Service s"),
        (training_pipeline.CreateRevision(THING), "Thing t"),
        (training_pipeline.CreateRun(THING), "Thing t"),
        (training_pipeline.CancelRun("r"), "TrainingRun r"),
        (training_pipeline.DeleteRun("r", "1"), "TrainingRun r"),
        (training_run.CreateVersion(THING), "Thing t"),
    ],
)
def test_every_action_on_another_object_names_it(action: Action, about: str) -> None:
    assert action.about == about


def test_the_sentence_is_bounded() -> None:
    told = refusals.told({}, "Service s", "x" * 5000, 1, NOW)
    assert len(told["conditions"][0]["message"]) == refusals.MESSAGE_LIMIT


def test_it_is_told_where_others_left_no_room() -> None:
    """Somebody wrote as many conditions as an object may have; another one would be refused as well."""
    foreign = [{"type": f"Theirs{n}", "status": "True", "reason": "Is"} for n in range(32)]
    conditions = refusals.told({"conditions": foreign}, "Service it", "no", 1, NOW)["conditions"]
    assert len(conditions) == 32
    assert conditions[-1]["reason"] == "WriteRefused"
    assert conditions[:-1] == foreign[:-1]
