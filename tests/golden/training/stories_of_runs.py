"""How runs end, well or badly, each with its own reason; and what they wait for before they start.

Told and compared by `test_histories`; some are lived through with a kill after each write by `test_kills`.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from tests.fakes import kubelet
from tests.fakes.engine import FakeEngine
from tests.golden.training.world import BY_HAND, NAMESPACE, SPEC, World
from trainyard import naming
from trainyard.systems.artifacts.port import Manifest
from trainyard.systems.cluster.port import (
    JOB,
    SECRET,
    TRAINING_PIPELINE,
    Forbidden,
    Ref,
)

Story = Callable[[World], Awaitable[None]]
PIPELINE = Ref(TRAINING_PIPELINE, NAMESPACE, "churn")


async def succeeded(w: World) -> None:
    w.say("a pipeline with onChange")
    w.pipeline()
    await w.settle()


async def out_of_memory(w: World) -> None:
    w.kubelet.scripts["train"] = [kubelet.running(), kubelet.exited(137, "Killed", "OOMKilled")]
    await w.one_off()


async def exit_3(w: World) -> None:
    w.kubelet.scripts["train"] = [kubelet.running(), kubelet.exited(3, "ValueError: no column named target")]
    await w.one_off()


async def unschedulable(w: World) -> None:
    said = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    w.kubelet.scripts["train"] = [
        kubelet.unschedulable(said),
        kubelet.unschedulable(said + " preemption: 0/1 nodes are available."),
    ]
    await w.one_off()
    w.say("half an hour later: pendingTimeoutSeconds")
    await w.visit(w.only_run(), 1800)
    await w.settle()


async def unschedulable_then_a_node_comes(w: World) -> None:
    w.kubelet.scripts["train"] = [kubelet.unschedulable("0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")]
    await w.one_off()
    w.say("twenty minutes later a node comes")
    w.kubelet.scripts["train"] += [kubelet.running(), kubelet.exited(0)]
    await w.visit(w.only_run(), 1200)
    await w.settle()


async def image_pull_failed(w: World) -> None:
    w.kubelet.scripts["train"] = [
        kubelet.waiting("ErrImagePull", 'failed to pull "nowhere/x": not found'),
        kubelet.waiting("ImagePullBackOff", 'Back-off pulling image "nowhere/x"'),
    ]
    await w.one_off()
    w.say("half an hour later: pendingTimeoutSeconds")
    await w.visit(w.only_run(), 1800)
    await w.settle()


async def cannot_begin(w: World) -> None:
    w.kubelet.scripts["train"] = [kubelet.waiting("CreateContainerConfigError", 'secret "key" not found')]
    await w.one_off()
    w.say("half an hour later: pendingTimeoutSeconds")
    await w.visit(w.only_run(), 1800)
    await w.settle()


async def evicted(w: World) -> None:
    w.kubelet.scripts["train"] = [kubelet.running(), kubelet.evicted("The node was low on resource: memory.")]
    await w.one_off()


async def node_lost(w: World) -> None:
    w.kubelet.scripts["train"] = [kubelet.running(), kubelet.lost()]
    await w.one_off()


async def timed_out(w: World) -> None:
    w.kubelet.scripts["train"] = [kubelet.running()]
    await w.one_off(timeoutSeconds=600)
    w.say("ten minutes later: timeoutSeconds")
    await w.visit(w.only_run(), 600)
    await w.settle()


async def cancelled(w: World) -> None:
    w.kubelet.scripts["train"] = [kubelet.running()]
    await w.one_off()
    w.say("a person cancels; the pod takes its time to stop")
    w.kubelet.stops = False
    w.cluster.edit(w.only_run(), {"spec": {"cancel": True, "cancelledBy": "ada"}})
    await w.settle_until_waiting()
    w.say("the pod is gone")
    w.kubelet.stops = True
    w.kubelet.tick()
    await w.settle()


async def cancelled_before_it_starts(w: World) -> None:
    w.say("a run of a pipeline that does not exist")
    run = w.run("once")
    await w.settle()
    w.say("a person cancels it")
    w.cluster.edit(run, {"spec": {"cancel": True}})
    await w.settle()


async def publish_is_tried_again(w: World) -> None:
    w.say("the store is away for the publisher's first pod, and back for the second")
    w.kubelet.scripts["publish-0"] = [kubelet.exited(1, "the store does not answer", container="publish")]
    w.pipeline()
    await w.settle()


async def nothing_to_publish(w: World) -> None:
    w.kubelet.scripts["publish"] = [kubelet.exited(3, "there is no model", container="publish")]
    await w.one_off()


async def no_manifest(w: World) -> None:
    w.kubelet.manifest = None
    await w.one_off()


async def unknown_format(w: World) -> None:
    w.kubelet.manifest = Manifest("Marble", kubelet.FILES)
    await w.one_off()


# ---- before anything is started ----


async def invalid_parameters(w: World) -> None:
    await w.one_off(parameters={"epochs": 1.5, "rate": 1})


async def pipeline_comes_later(w: World) -> None:
    w.say("a run of a pipeline that does not exist yet")
    w.run("once")
    await w.settle()
    w.say("the pipeline comes, with a default of the wrong type")
    w.pipeline(**BY_HAND, parameters=[{"name": "epochs", "type": "Integer", "default": "3"}])
    await w.settle()
    w.say("that is mended")
    w.cluster.edit(PIPELINE, {"spec": {"parameters": SPEC["parameters"]}})
    await w.settle()


async def secret_not_usable(w: World) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key", "namespace": NAMESPACE}}
    env = [{"name": "KEY", "secretKeyRef": {"name": "key", "key": "token"}}]
    w.say("the training names a Secret that nobody opened to pods")
    w.cluster.seed(secret)
    w.pipeline(**BY_HAND, engine={"job": {"template": {"image": "x", "env": env}}})
    w.run("once")
    await w.settle()
    w.say("its owner labels it")
    label = {"metadata": {"labels": {"trainyard.dev/usable-by-pods": "true"}}}
    w.cluster.edit(Ref(SECRET, NAMESPACE, "key"), label)
    await w.settle()


async def quota_refuses_the_job(w: World) -> None:
    w.say("a quota refuses the Job twice")
    w.cluster.fail("create", JOB, Forbidden("exceeded quota: gpus"), times=2)
    await w.one_off()


# ---- deletion ----


async def deleted_while_running(w: World) -> None:
    w.kubelet.scripts["train"] = [kubelet.running()]
    await w.one_off()
    w.say("a person deletes the run")
    w.cluster.remove(w.only_run())
    await w.settle()


async def deleted_with_the_engine_away(w: World) -> None:
    engine = FakeEngine()
    w.use_engine(engine)
    await w.one_off()
    w.say("the engine is gone for good, and a person deletes the run")
    engine.away = True
    run = w.only_run()
    w.cluster.remove(run)
    await w.settle()
    w.say("ten minutes of trying later: the cleanup deadline")
    await w.visit(run, 300)
    await w.visit(run, 300)
    await w.settle()


async def deleted_while_the_operator_was_away(w: World) -> None:
    w.kubelet.scripts["train"] = [kubelet.running()]
    await w.one_off()
    w.say("the operator is away; a person deletes the run")
    w.cluster.remove(w.only_run())
    w.now += timedelta(minutes=20)
    w.say("it is back")
    w.start()
    await w.settle()


async def deleted_and_the_clock_set_forward(w: World) -> None:
    engine = FakeEngine()
    w.use_engine(engine)
    await w.one_off()
    w.say("a person deletes the run while its engine is away for a moment")
    engine.away = True
    run = w.only_run()
    w.cluster.remove(run)
    await w.visit(run)
    w.say("the clock is set an hour forward")
    w.set_clock(3600.0)
    await w.visit(run)
    w.say("the engine is back")
    engine.away = False
    await w.settle_until_waiting()


async def deleted_skipping_the_cleanup(w: World) -> None:
    engine = FakeEngine()
    w.use_engine(engine)
    await w.one_off()
    w.say("the engine is away, and a person asks to skip the cleanup")
    engine.away = True
    run = w.only_run()
    w.cluster.edit(run, {"metadata": {"annotations": {naming.ANNOTATION_SKIP_CLEANUP: "true"}}})
    w.cluster.remove(run)
    await w.visit(run)
    await w.settle()


async def deleted_while_the_database_is_away(w: World) -> None:
    w.metadata.away = True
    await w.one_off()
    w.say("the run is deleted, its rows wait")
    w.cluster.remove(w.only_run())
    await w.settle()
    w.say("the database is back")
    w.metadata.away = False
    await w.settle()


STORIES: tuple[Story, ...] = (
    succeeded,
    out_of_memory,
    exit_3,
    unschedulable,
    unschedulable_then_a_node_comes,
    image_pull_failed,
    cannot_begin,
    evicted,
    node_lost,
    timed_out,
    cancelled,
    cancelled_before_it_starts,
    publish_is_tried_again,
    nothing_to_publish,
    no_manifest,
    unknown_format,
    invalid_parameters,
    pipeline_comes_later,
    secret_not_usable,
    quota_refuses_the_job,
    deleted_while_running,
    deleted_with_the_engine_away,
    deleted_while_the_operator_was_away,
    deleted_and_the_clock_set_forward,
    deleted_skipping_the_cleanup,
    deleted_while_the_database_is_away,
)
