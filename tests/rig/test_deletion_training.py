"""61: an engine that is gone for good holds no deletion beyond its deadline, and what is left is said.

The real process, its clock set forward by a file instead of waiting for ten minutes.
"""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from local.free_ports import free_port
from local.rig import ApiServerRig
from tests.rig.faults.breaking import of_kind
from tests.rig.faults.judging import assert_sound
from tests.rig.faults.stage import PATIENCE_SECONDS, Stage, furnish, kubectl, make, staged, turn
from tests.rig.tiny_processes import ROOT
from tests.rig.training_stage import look, until
from trainyard import naming
from trainyard.systems.cluster.port import JOB, TRAINING_PIPELINE, TRAINING_RUN, Ref
from trainyard.training_run.decide import CLEANUP_SECONDS

pytestmark = [pytest.mark.rig, pytest.mark.timeout(600)]

JOBS: dict[str, Any] = {"job": {"template": {"image": "localhost/trainer:1"}}}


@pytest.fixture(scope="module")
def rig() -> Iterator[ApiServerRig]:
    """An API server with our kinds and the controllers that take Jobs, their claims and namespaces down."""
    claims = "persistentvolumeclaim-protection-controller"
    controllers = f"job-controller,garbage-collector-controller,namespace-controller,{claims}"
    with ApiServerRig(kube_controllers=controllers) as started:
        furnish(started)
        yield started


async def met(stack: AsyncExitStack, rig: ApiServerRig, folder: Path, **more: str) -> tuple[Stage, Path]:
    """A stage with the rooms of training, and the file that its clock is ahead by."""
    clock = folder / "clock"
    turn(clock, 0)
    given = {"MORTAL_ROOMS": "training", "MORTAL_LEASE_SECONDS": "15", "MORTAL_CLOCK": str(clock)}
    kubeflow = {
        "TRAINYARD_KUBEFLOW_URL": f"http://127.0.0.1:{free_port()}",  # nobody listens: it is gone
        "TRAINYARD_KUBEFLOW_MULTI_USER": "true",
        "TRAINYARD_KUBEFLOW_WORKFLOWS": "false",
        "TRAINYARD_VISIT_SECONDS": "5",
    }
    stage = await stack.enter_async_context(staged(rig, folder, **given, **kubeflow, **more))
    stage.revives = False
    await stage.start()
    return stage, clock


async def started(stage: Stage, engine: dict[str, Any]) -> Ref:
    """A run that was, or may have been, started: it carries its identity and our finalizer."""
    await make(stage, TRAINING_PIPELINE, "it", {"spec": {"model": "churn", "engine": engine, "triggers": {}}})
    await make(stage, TRAINING_RUN, "once", {"spec": {"pipeline": "it"}})

    async def identified() -> bool:
        meta = (await look(stage, TRAINING_RUN, "once")).get("metadata", {})
        held = naming.FINALIZER in meta.get("finalizers", ())
        return held and naming.ANNOTATION_ENGINE_ID in meta.get("annotations", {})

    await until(stage, "it has an identity", identified)
    return Ref(TRAINING_RUN, stage.world.namespace, "once")


def kubeflow() -> dict[str, Any]:
    package = (ROOT / "examples/kubeflow/two-steps.yaml").read_text()
    return {"kubeflow": {"package": {"inline": package}}}


def abandoned(stage: Stage) -> list[str]:
    """What Events said about what was left."""
    events = of_kind("events")
    bodies = [s.asked.json() for s in stage.proxy.seen if s.asked.number and events(s.asked)]
    return [body["message"] for body in bodies if body.get("reason") == "CleanupAbandoned"]


async def is_being_deleted(stage: Stage) -> bool:
    return "deletionTimestamp" in (await look(stage, TRAINING_RUN, "once"))["metadata"]


async def looked_at(stage: Stage) -> None:
    """Wait until a look at the run began after now, and ended: the first of two may be under way."""
    before = await stage.operator.visits(TRAINING_RUN)

    async def twice() -> bool:
        return await stage.operator.visits(TRAINING_RUN) >= before + 2

    await until(stage, "it was looked at", twice)


async def leaves_at_its_deadline(stage: Stage, clock: Path, run: Ref) -> None:
    """Deleted, it is held while there is hope, and gone when its deadline has passed."""

    await stage.world.cluster.delete(run)
    await looked_at(stage)  # from then on its deadline counts
    turn(clock, CLEANUP_SECONDS / 2)
    await looked_at(stage)
    assert await look(stage, TRAINING_RUN, run.name), "half the time is left"
    turn(clock, CLEANUP_SECONDS + 60)

    async def is_gone() -> bool:
        return not await look(stage, TRAINING_RUN, run.name)

    await until(stage, "it is gone", is_gone)
    await until(stage, "it says what it left", lambda: said(stage))


async def said(stage: Stage) -> bool:
    return bool(abandoned(stage))


async def test_kubeflow_is_gone_for_good(stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path) -> None:
    stage, clock = await met(stack, rig, tmp_path)
    run = await started(stage, kubeflow())
    identity = (await look(stage, TRAINING_RUN, "once"))["metadata"]["annotations"][naming.ANNOTATION_ENGINE_ID]
    await leaves_at_its_deadline(stage, clock, run)
    assert abandoned(stage) == [f"Not cleaned up: kubeflow run {identity}."]
    assert_sound([stage])


async def test_jobs_that_nobody_lets_go(stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path) -> None:
    """Somebody's finalizer stands on the Job, and they are gone."""
    stage, clock = await met(stack, rig, tmp_path)
    run = await started(stage, JOBS)

    async def job() -> Any:
        found = await stage.world.cluster.list(JOB, stage.world.namespace)
        return found[0] if found else None

    made = await until(stage, "a Job", job)
    ref = Ref(JOB, stage.world.namespace, made["metadata"]["name"])
    held = [*made["metadata"].get("finalizers", ()), "example.com/gone"]
    await stage.world.cluster.patch(ref, {"metadata": {"finalizers": held}})
    await leaves_at_its_deadline(stage, clock, run)
    assert [message.split(" run ")[0] for message in abandoned(stage)] == ["Not cleaned up: job"]
    assert_sound([stage])


@pytest.mark.parametrize("engine", [JOBS, kubeflow()], ids=["jobs", "kubeflow"])
async def test_a_namespace_deleted_in_the_middle_is_not_stuck(
    stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path, engine: dict[str, Any]
) -> None:
    """Nothing new may be made in it, no Event either. The operator lives elsewhere."""
    elsewhere = {"TRAINYARD_POD_NAMESPACE": "default", "TRAINYARD_LEASE_NAME": tmp_path.name[-40:].replace("_", "-")}
    stage, clock = await met(stack, rig, tmp_path, **elsewhere)
    await started(stage, engine)
    namespace = stage.world.namespace
    kubectl(rig, "delete", "namespace", namespace, "--wait=false")
    if "kubeflow" in engine:
        await until(stage, "it is being deleted", lambda: is_being_deleted(stage))
        await looked_at(stage)
        turn(clock, CLEANUP_SECONDS + 60)

    async def is_gone() -> bool:
        return not kubectl(rig, "get", "namespace", namespace, "--ignore-not-found")

    await until(stage, "the namespace is gone", is_gone, 2 * PATIENCE_SECONDS)
    assert await stage.operator.ended() is None
    assert_sound([stage])
