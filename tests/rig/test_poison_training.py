"""Objects of the training kinds that nobody can understand: each is told so, disturbs no other, and can be deleted.

An older schema, or an administrator who lifted it, let them in; some are readable but for the status that somebody
wrote. Pipelines, runs and versions look at each other, so each of them is in the others' way.
"""

import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from local.rig import ApiServerRig
from tests.rig.faults.judging import assert_sound
from tests.rig.faults.stage import Stage, furnish, make, quiet_for, staged
from tests.rig.training_stage import look, loosen, told, until
from trainyard import naming
from trainyard.systems.cluster.port import JOB, MODEL_VERSION, TRAINING_PIPELINE, TRAINING_RUN, Kind, Ref

pytestmark = [pytest.mark.rig, pytest.mark.timeout(600)]

HEALTHY: dict[str, Any] = {
    "model": "churn",
    "engine": {"job": {"template": {"image": "localhost/trainer:1"}}},
    "triggers": {"onChange": True},
}
BY_HAND = {**HEALTHY, "triggers": {}}
NONSENSE: dict[str, Any] = {
    "conditions": "Ready",
    "observedGeneration": "many",
    "unrecorded": "rows",
    "steps": {"a": "b"},
    "attempts": 7,
    "schedules": "never",
    "events": 1,
    "holds": 5,
}
DEEP = json.loads('{"a":' * 300 + "1" + "}" * 300)
PIPELINES: dict[str, Any] = {
    "no-spec": {},
    "text": {"spec": "text"},
    "numbers": {"spec": {"model": 7, "engine": [], "triggers": "all", "parameters": 1e300}},
    "deep": {"spec": DEEP},
    "big": {"spec": {"model": "churn", "freight": "x" * 1_000_000}},
    "future": {"spec": {**BY_HAND, "engine": {"quantum": {"qubits": 3}}}},
}
RUNS: dict[str, Any] = {
    "r-no-spec": {},
    "r-text": {"spec": "text"},
    "r-deep": {"spec": {"pipeline": "it", "parameters": {"shape": DEEP}}},
    "r-list": {"spec": ["churn"]},
    "r-numbers": {"spec": {"pipeline": 7, "parameters": "all", "cancel": "perhaps"}},
    "r-mine": {"spec": {"pipeline": "it", "trigger": "Event", "priority": 5}},
    "r-label": {"metadata": {"labels": {naming.LABEL_PIPELINE: "it", naming.LABEL_RUN: "it"}}, "spec": {"a": 1}},
}
VERSIONS: dict[str, Any] = {
    "v-no-spec": {},
    "v-text": {"spec": "text"},
    "v-source": {"spec": {"model": "churn", "source": "by hand", "aliases": "live", "createdAt": {"a": 1}}},
    "v-numbers": {"spec": {"model": 7, "artifact": "s3://x", "aliases": 5}},
}
# Whole, but for the status that somebody wrote.
WITH_NONSENSE: dict[Kind, tuple[str, Any]] = {
    TRAINING_PIPELINE: ("status", {"spec": BY_HAND, "status": NONSENSE}),
    TRAINING_RUN: ("r-status", {"spec": {"pipeline": "it", "cancel": True}, "status": NONSENSE}),
    MODEL_VERSION: ("v-status", {"spec": {"model": "churn", "source": {"run": "r"}}, "status": NONSENSE}),
}
POISON: dict[Kind, dict[str, Any]] = {TRAINING_PIPELINE: PIPELINES, TRAINING_RUN: RUNS, MODEL_VERSION: VERSIONS}


@pytest.fixture(scope="module")
def rig() -> Iterator[ApiServerRig]:
    """An API server that takes anything as an object of these kinds, with the controllers that take Jobs down."""
    with ApiServerRig(kube_controllers=True) as started:
        furnish(started)
        for kind in POISON:
            loosen(started, kind)
        yield started


async def test_objects_that_cannot_be_read_disturb_no_other(
    stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path
) -> None:
    stage = await stack.enter_async_context(
        staged(rig, tmp_path, MORTAL_ROOMS="training", MORTAL_LEASE_SECONDS="15", TRAINYARD_WORKERS="1")
    )
    stage.revives = False
    for kind, objects in POISON.items():
        for name, body in objects.items():
            await make(stage, kind, name, body)
    for kind, (name, body) in WITH_NONSENSE.items():
        await make(stage, kind, name, body)
    await stage.start()
    await make(stage, TRAINING_PIPELINE, "it", {"spec": HEALTHY})
    await until(stage, "a run of it", lambda: _started(stage))
    for kind, objects in POISON.items():
        for name in objects:
            await until(stage, f"{kind.kind} {name} is told", lambda k=kind, n=name: _refused(stage, k, n))  # type: ignore[misc] # bound at once
    await until(stage, "a status is made anew", lambda: _is_told_anew(stage))
    assert await stage.operator.ended() is None
    await quiet_for(stage, 2)
    for kind, objects in POISON.items():
        for name in (*objects, WITH_NONSENSE[kind][0]):
            await stage.world.cluster.delete(Ref(kind, stage.world.namespace, name))
            await until(stage, f"{name} is gone", lambda k=kind, n=name: _is_gone(stage, k, n))  # type: ignore[misc] # bound at once
    assert await stage.operator.ended() is None
    assert_sound([stage])


async def _started(stage: Stage) -> bool:
    """Whether the healthy pipeline's run has a Job."""
    jobs = await stage.world.cluster.list(JOB, stage.world.namespace)
    return bool(jobs)


async def _refused(stage: Stage, kind: Kind, name: str) -> bool:
    """Whether its conditions say that it is not accepted, or the log says that no status can be written to it."""
    obj = await look(stage, kind, name)
    return (
        told(obj, "Accepted")[0] == "False" or f"{kind.kind} {stage.world.namespace}/{name}: " in stage.log.read_text()
    )


async def _is_told_anew(stage: Stage) -> bool:
    """Whether nonsense in a status gave way to conditions."""
    found = [await look(stage, kind, name) for kind, (name, _) in WITH_NONSENSE.items()]
    return all(told(obj, "Accepted")[0] for obj in found)


async def _is_gone(stage: Stage, kind: Kind, name: str) -> bool:
    return not await look(stage, kind, name)


async def test_a_run_that_nobody_can_read_any_more_can_be_deleted(
    stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path
) -> None:
    """It was started, and holds an accelerator; then its spec became nonsense: deleted, its Job goes first."""
    stage = await stack.enter_async_context(staged(rig, tmp_path, MORTAL_ROOMS="training", MORTAL_LEASE_SECONDS="15"))
    stage.revives = False
    await stage.start()
    await make(stage, TRAINING_PIPELINE, "it", {"spec": BY_HAND})
    await make(stage, TRAINING_RUN, "once", {"spec": {"pipeline": "it"}})
    await until(stage, "a Job", lambda: _started(stage))
    ref = Ref(TRAINING_RUN, stage.world.namespace, "once")
    await stage.world.cluster.patch(ref, {"spec": {"pipeline": 7, "parameters": "none"}, "status": NONSENSE})
    await until(stage, "it is told", lambda: _refused(stage, TRAINING_RUN, "once"))
    assert await _started(stage), "what runs goes on"
    await stage.world.cluster.delete(ref)
    await until(stage, "it is gone", lambda: _is_gone(stage, TRAINING_RUN, "once"))
    assert not await _started(stage)
    assert await stage.operator.ended() is None
    assert_sound([stage])
