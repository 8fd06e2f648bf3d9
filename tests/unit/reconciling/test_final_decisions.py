"""What no later visit can put back is decided on live reads in every room: stores here are older than what is there."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.fakes import kubelet
from tests.fakes.cluster import FakeCluster
from tests.golden.rollout.stories import v2_comes
from tests.golden.rollout.world import KEY
from tests.golden.rollout.world import World as Rollouts
from tests.golden.training.world import NAMESPACE, World
from trainyard import naming
from trainyard.model_version.room import ModelVersionRoom
from trainyard.reconciling import tracking
from trainyard.reconciling.cycle import Cycle
from trainyard.reconciling.plan import Release
from trainyard.reconciling.room import Room
from trainyard.rollout.room import RolloutRoom
from trainyard.systems.cluster.port import DEPLOYMENT, JOB, MODEL_VERSION, POD, ROLLOUT, TRAINING_RUN, Kind, Obj, Ref
from trainyard.systems.engine.job import JobEngine
from trainyard.training_pipeline.room import TrainingPipelineRoom
from trainyard.training_pipeline.state import CancelRun, DeleteRun
from trainyard.training_run.room import TrainingRunRoom
from trainyard.training_run.state import StopEngine

STABLE = {"version": "v1", "revision": "0123456789", "digest": f"sha256:{'0' * 64}"}


class Behind:
    """A cluster whose stores of some kinds still show what they showed when it was made."""

    def __init__(self, inner: FakeCluster, *kinds: Kind) -> None:
        self._inner = inner
        self._old: dict[Kind, Sequence[Obj]] = {kind: inner.all(kind) for kind in kinds}

    def show(self, kind: Kind, objects: Sequence[Obj]) -> None:
        """Show these of a kind."""
        self._old[kind] = objects

    async def list(
        self, kind: Kind, namespace: str, labels: Any = None, fields: Any = None, *, live: bool = False
    ) -> tuple[Obj, ...]:
        if live or kind not in self._old:
            return await self._inner.list(kind, namespace, labels, fields, live=live)
        wanted = (labels or {}).items()
        return tuple(o for o in self._old[kind] if wanted <= (o["metadata"].get("labels") or {}).items())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


async def visit(world: World, room: Room[Any, Any], key: Ref, behind: Behind) -> None:
    """One visit that reads from such stores."""
    cluster: Any = tracking.TrackedCluster(behind)
    engines = {"job": JobEngine(cluster, world.artifacts, world.systems.config)}
    systems = replace(world.systems, cluster=cluster, engines=engines)
    with tracking.visiting(tracking.Visit()):
        await Cycle(room, systems, cluster).run(key, world.now)


async def test_a_version_that_serves_by_now_is_not_released() -> None:
    world = World()
    meta = {"name": "v1", "namespace": NAMESPACE, "finalizers": [naming.FINALIZER]}
    world.cluster.seed(_object("ModelVersion", meta, {"model": "churn"}))
    key = Ref(MODEL_VERSION, NAMESPACE, "v1")
    behind = Behind(world.cluster, ROLLOUT)
    rollout = _object("Rollout", {"name": "churn", "namespace": NAMESPACE}, {"model": "churn"})
    world.cluster.seed(rollout, status={"stable": STABLE})
    await world.cluster.delete(key)
    await visit(world, ModelVersionRoom(), key, behind)
    assert world.look(key)["metadata"]["finalizers"] == [naming.FINALIZER]


async def test_a_run_that_a_version_came_from_by_now_is_not_pruned() -> None:
    world = World()
    pipeline = world.pipeline(triggers={}, history={"succeeded": 1})
    world.run("once")
    await world.settle()
    world.now += timedelta(seconds=60)
    world.run("newer")
    await world.settle()
    run = Ref(TRAINING_RUN, NAMESPACE, "once")
    for version in world.cluster.all(MODEL_VERSION):
        world.cluster.remove(Ref(MODEL_VERSION, NAMESPACE, version["metadata"]["name"]))
    behind = Behind(world.cluster, MODEL_VERSION)
    source = {"model": "churn", "source": {"run": "once"}}
    world.cluster.seed(_object("ModelVersion", {"name": "once", "namespace": NAMESPACE}, source))
    await visit(world, TrainingPipelineRoom(), pipeline, behind)
    assert "deletionTimestamp" not in world.look(run)["metadata"]
    await visit(world, TrainingPipelineRoom(), pipeline, Behind(world.cluster))
    assert "deletionTimestamp" not in world.look(run)["metadata"]
    world.cluster.remove(Ref(MODEL_VERSION, NAMESPACE, "once"))
    await visit(world, TrainingPipelineRoom(), pipeline, Behind(world.cluster))
    assert "deletionTimestamp" in world.look(run)["metadata"], "it is pruned where nothing needs it"


async def test_a_training_that_runs_by_now_is_not_given_up_as_waiting() -> None:
    world = World()
    pipeline = world.pipeline(triggers={}, pendingTimeoutSeconds=20, data={})
    run = world.run("once")
    await visit(world, TrainingPipelineRoom(), pipeline, Behind(world.cluster))
    for _ in range(20):
        await visit(world, TrainingRunRoom(), run, Behind(world.cluster))
        if world.cluster.all(JOB):
            break
    pod = _pod(world)
    world.cluster.seed(pod, status={"phase": "Pending", "conditions": [_unscheduled(world)]})
    behind = Behind(world.cluster, POD)
    running = kubelet.running()(_stamp(world))
    world.cluster.edit(Ref(POD, NAMESPACE, "once-0"), {"status": {**running, "conditions": []}}, status=True)
    world.now += timedelta(seconds=60)
    await visit(world, TrainingRunRoom(), run, behind)
    assert len(world.cluster.all(JOB)) == 1
    assert naming.ANNOTATION_OUTCOME not in world.look(run)["metadata"]["annotations"]


async def test_a_canary_whose_pods_a_store_does_not_know_yet_keeps_its_traffic() -> None:
    """Its Deployment would be applied before the route is touched: the status alone would have led it to 0."""
    world = Rollouts()
    await v2_comes(world)
    assert world.shares() == {"v1": 80, "v2": 20}
    behind = Behind(world.cluster)
    behind.show(DEPLOYMENT, world.cluster.all(DEPLOYMENT)[:1])
    cluster: Any = tracking.TrackedCluster(behind)
    cycle = Cycle(RolloutRoom(lambda: world.monotonic), replace(world.systems, cluster=cluster), cluster)
    with tracking.visiting(tracking.Visit()):
        await cycle.run(KEY, world.now)
    assert world.status()["weight"] == 20
    assert world.shares() == {"v1": 80, "v2": 20}


def test_what_hangs_on_what() -> None:
    assert all(action.irrevocable for action in (Release, StopEngine, CancelRun, DeleteRun))
    assert Release.hangs_on is None


def _object(kind: str, meta: Mapping[str, Any], spec: Mapping[str, Any]) -> Obj:
    return {"apiVersion": naming.API_VERSION, "kind": kind, "metadata": dict(meta), "spec": dict(spec)}


def _pod(world: World) -> Obj:
    (job,) = world.cluster.all(JOB)
    labels = job["spec"]["template"]["metadata"]["labels"]
    meta = {"name": "once-0", "namespace": NAMESPACE, "labels": labels, "creationTimestamp": _stamp(world)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": job["spec"]["template"]["spec"]}


def _unscheduled(world: World) -> dict[str, str]:
    told = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    return {**told, "lastTransitionTime": _stamp(world)}


def _stamp(world: World) -> str:
    return world.now.strftime("%Y-%m-%dT%H:%M:%SZ")
