"""What others do to a run: stores and engines away, objects taken, restored, made by hand.

Told and compared by `test_histories`.
"""

from collections.abc import Awaitable, Callable

from tests.fakes import kubelet
from tests.fakes.engine import FakeEngine
from tests.golden.training.world import NAMESPACE, World
from trainyard import naming
from trainyard.systems.cluster.port import (
    JOB,
    MODEL_VERSION,
    POD,
    TRAINING_PIPELINE,
    TRAINING_RUN,
    Ref,
)
from trainyard.systems.engine.port import Phase

Story = Callable[[World], Awaitable[None]]
HOUR = 3600


async def store_away_at_the_end(w: World) -> None:
    w.say("the store is away when the outputs are read")
    w.pipeline()
    w.kubelet.scripts["publish"] = [kubelet.running("publish")]
    await w.settle()
    w.artifacts.away = True
    w.kubelet.scripts["publish"].append(kubelet.exited(0, container="publish"))
    w.kubelet.tick()
    await w.settle()
    w.say("the store is back")
    w.artifacts.away = False
    await w.settle()


async def engine_away_for_an_hour(w: World) -> None:
    engine = FakeEngine()
    w.use_engine(engine)
    await w.one_off()
    w.say("the engine is away for an hour")
    engine.away = True
    for _ in range(4):
        await w.visit(w.only_run(), HOUR // 4)
    w.say("it is back, and the run has gone on meanwhile")
    engine.away = False
    engine.become(engine.starts[0], Phase.RUNNING)
    await w.settle()


async def job_deleted_by_somebody(w: World) -> None:
    w.kubelet.scripts["train"] = [kubelet.running()]
    await w.one_off()
    w.say("somebody deletes the Job")
    (job,) = w.cluster.all(JOB)
    w.cluster.remove(Ref(JOB, NAMESPACE, job["metadata"]["name"]))
    w.kubelet.tick()
    await w.settle()


async def pods_left_by_somebody(w: World) -> None:
    w.kubelet.scripts["train"] = [kubelet.running()]
    await w.one_off()
    w.say("somebody deletes the Job and orphans its pod")
    for pod in w.cluster.all(POD):
        w.cluster.edit(Ref(POD, NAMESPACE, pod["metadata"]["name"]), {"metadata": {"ownerReferences": None}})
    (job,) = w.cluster.all(JOB)
    w.cluster.remove(Ref(JOB, NAMESPACE, job["metadata"]["name"]))
    await w.settle()


async def finished_run_restored(w: World) -> None:
    w.pipeline()
    await w.settle()
    w.say("the namespace is restored from a backup: new uids, no status, no Jobs")
    w.restore(TRAINING_PIPELINE, TRAINING_RUN, MODEL_VERSION)
    await w.settle()


async def running_run_restored(w: World) -> None:
    w.kubelet.scripts["train"] = [kubelet.running()]
    await w.one_off()
    w.say("the namespace is restored from a backup: new uids, no status, no Jobs")
    w.restore(TRAINING_PIPELINE, TRAINING_RUN)
    await w.settle()


async def version_of_that_name_exists(w: World) -> None:
    w.say("a person has imported a model under the run's name")
    artifact = {"uri": "s3://models/team/churn/once/", "digest": "sha256:" + "0" * 64}
    spec = {"model": "churn", "artifact": artifact, "createdAt": "2026-01-01T00:00:00Z"}
    meta = {"name": "once", "namespace": NAMESPACE}
    w.cluster.seed({"apiVersion": naming.API_VERSION, "kind": "ModelVersion", "metadata": meta, "spec": spec})
    await w.one_off()


STORIES: tuple[Story, ...] = (
    store_away_at_the_end,
    engine_away_for_an_hour,
    job_deleted_by_somebody,
    pods_left_by_somebody,
    finished_run_restored,
    running_run_restored,
    version_of_that_name_exists,
)
