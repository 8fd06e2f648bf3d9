"""What a run reads, where reads are refused; and what becomes of an action that meets a refusal."""

from dataclasses import replace
from typing import Any

import pytest

from tests.fakes.engine import FakeEngine
from tests.golden.training.world import NAMESPACE, World
from tests.unit.training_run.making import obj, started
from trainyard import naming
from trainyard.reconciling.plan import Action
from trainyard.resources.training_run import TrainingRunStatus
from trainyard.systems.cluster.port import (
    CONTROLLER_REVISION,
    MODEL_VERSION,
    SECRET,
    Conflict,
    Forbidden,
    Ref,
    Unavailable,
)
from trainyard.systems.engine.port import Announce, EngineError, unannounced
from trainyard.training_run import reasons
from trainyard.training_run.act import act
from trainyard.training_run.observe import observe, read
from trainyard.training_run.state import CreateVersion, StartEngine, StopEngine


async def test_a_run_that_has_ended_costs_no_read() -> None:
    world = World()
    ended = {"conditions": [{"type": "Succeeded", "status": "False", "reason": "StepFailed"}]}
    await observe(obj(status=ended), world.systems)
    assert world.cluster.reads == 0


async def test_a_status_that_cannot_be_read_counts_as_lost() -> None:
    assert read(obj(status={"attempt": "many"})).before == TrainingRunStatus()


async def test_a_secret_that_may_not_be_read_is_not_usable() -> None:
    world = World()
    env = [{"name": "KEY", "secretKeyRef": {"name": "key", "key": "token"}}]
    world.pipeline(engine={"job": {"template": {"image": "x", "env": env}}}, triggers={})
    run = world.run("once")
    world.cluster.fail("get", SECRET, Forbidden("no"), times=100)
    await world.settle()
    assert [c["reason"] for c in world.look(run)["status"]["conditions"] if c["type"] == "Accepted"] == [
        "SecretNotUsable"
    ]


async def test_without_its_revision_a_run_is_still_found_and_cancelled() -> None:
    world = World()
    engine = FakeEngine()
    world.use_engine(engine)
    world.pipeline(triggers={})
    run = world.run("once")
    await world.settle()
    for revision in world.cluster.all(CONTROLLER_REVISION):
        world.cluster.remove(Ref(CONTROLLER_REVISION, NAMESPACE, revision["metadata"]["name"]))
    world.cluster.edit(run, {"spec": {"cancel": True}})
    await world.visit(run)
    await world.visit(run)
    assert engine.states == {}
    seen = await observe(world.look(run), world.systems)
    assert [c.reason for c in seen.before.conditions if c.type == "Succeeded"] == ["Cancelled"]


async def test_an_engine_that_the_operator_lost_is_not_asked() -> None:
    world = World()
    world.systems = replace(world.systems, engines={})
    body = obj(annotations={naming.ANNOTATION_ENGINE_ID: "x"})
    seen = await observe(body, world.systems)
    assert (seen.engine, seen.available) == (None, False)


class Refusing(FakeEngine):
    """An engine that starts and stops nothing."""

    async def start(self, request: Any, announce: Announce = unannounced) -> None:
        raise EngineError("quota")

    async def cancel(self, request: Any) -> bool:
        raise EngineError("no")


async def test_a_refusal_is_told_once() -> None:
    world = World()
    world.use_engine(Refusing())
    ref = world.run("once")
    told = [{"type": "Succeeded", "status": "Unknown", "reason": "Starting", "message": ""}]
    world.cluster.edit(ref, {"status": {"conditions": told}}, status=True)
    whole = started(None).request
    assert whole is not None
    for _ in range(2):
        with pytest.raises(Unavailable, match="quota"):
            await act(StartEngine("job", whole), world.look(ref), world.systems)
    assert len(world.cluster.writes) == 1
    assert world.look(ref)["status"]["conditions"][0]["reason"] == reasons.ENGINE_UNREACHABLE
    bare = {"metadata": world.look(ref)["metadata"]}
    with pytest.raises(Unavailable):
        await act(StartEngine("job", whole), bare, world.systems)
    assert len(world.cluster.writes) == 1, "there is no condition to say it in"
    with pytest.raises(Unavailable):
        await act(StopEngine("job", whole), world.look(ref), world.systems)


async def test_a_version_that_appeared_meanwhile() -> None:
    world = World()
    artifact = {"uri": "s3://models/team/churn/once/1/", "digest": "sha256:" + "0" * 64}
    mine = {
        "apiVersion": naming.API_VERSION,
        "kind": "ModelVersion",
        "metadata": {"name": "once", "namespace": NAMESPACE},
        "spec": {"artifact": artifact, "source": {"run": "once"}},
    }
    body = obj()
    for _ in range(2):
        assert await act(CreateVersion(mine), body, world.systems) == body
    world.cluster.edit(Ref(MODEL_VERSION, NAMESPACE, "once"), {"spec": {"source": {"run": "other"}}})
    with pytest.raises(Conflict):
        await act(CreateVersion(mine), body, world.systems)


async def test_an_action_of_another_kind_is_a_bug() -> None:
    with pytest.raises(TypeError):
        await act(Action(), obj(), World().systems)
