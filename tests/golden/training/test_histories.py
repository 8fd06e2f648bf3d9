"""Whole lives of pipelines and runs against fakes, told as text and compared with the files beside this one.

A reviewer reads behaviour in the diff. `TRAINYARD_GOLDEN=write pytest tests/golden` writes the files anew.
"""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import kubelet
from tests.fakes.engine import FakeEngine
from tests.golden.training import stories_of_attempts
from tests.golden.training.world import NAMESPACE, SPEC, World
from trainyard import naming
from trainyard.systems.artifacts.port import Manifest
from trainyard.systems.cluster.port import (
    JOB,
    MODEL_VERSION,
    POD,
    SECRET,
    TRAINING_PIPELINE,
    TRAINING_RUN,
    Forbidden,
    Ref,
)
from trainyard.systems.engine.port import Phase

FOLDER = Path(__file__).parent
PIPELINE = Ref(TRAINING_PIPELINE, NAMESPACE, "churn")
BY_HAND: dict[str, Any] = {"triggers": {"onChange": False}}
HOUR = 3600


# ---- runs that end well, or badly, each with its own reason ----


async def succeeded(w: World) -> None:
    w.say("a pipeline with onChange")
    w.pipeline()
    await w.settle()


async def out_of_memory(w: World) -> None:
    w.kubelet.scripts["train"] = [kubelet.running(), kubelet.exited(137, "Killed", "OOMKilled")]
    await _one_off(w)


async def exit_3(w: World) -> None:
    w.kubelet.scripts["train"] = [kubelet.running(), kubelet.exited(3, "ValueError: no column named target")]
    await _one_off(w)


async def unschedulable(w: World) -> None:
    said = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    w.kubelet.scripts["train"] = [
        kubelet.unschedulable(said),
        kubelet.unschedulable(said + " preemption: 0/1 nodes are available."),
    ]
    await _one_off(w)
    w.say("half an hour later: pendingTimeoutSeconds")
    await w.visit(w.only_run(), 1800)
    await w.settle()


async def unschedulable_then_a_node_comes(w: World) -> None:
    w.kubelet.scripts["train"] = [kubelet.unschedulable("0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")]
    await _one_off(w)
    w.say("twenty minutes later a node comes")
    w.kubelet.scripts["train"] += [kubelet.running(), kubelet.exited(0)]
    await w.visit(w.only_run(), 1200)
    await w.settle()


async def image_pull_failed(w: World) -> None:
    w.kubelet.scripts["train"] = [
        kubelet.waiting("ErrImagePull", 'failed to pull "nowhere/x": not found'),
        kubelet.waiting("ImagePullBackOff", 'Back-off pulling image "nowhere/x"'),
    ]
    await _one_off(w)
    w.say("half an hour later: pendingTimeoutSeconds")
    await w.visit(w.only_run(), 1800)
    await w.settle()


async def cannot_begin(w: World) -> None:
    w.kubelet.scripts["train"] = [kubelet.waiting("CreateContainerConfigError", 'secret "key" not found')]
    await _one_off(w)
    w.say("half an hour later: pendingTimeoutSeconds")
    await w.visit(w.only_run(), 1800)
    await w.settle()


async def evicted(w: World) -> None:
    w.kubelet.scripts["train"] = [kubelet.running(), kubelet.evicted("The node was low on resource: memory.")]
    await _one_off(w)


async def node_lost(w: World) -> None:
    w.kubelet.scripts["train"] = [kubelet.running(), kubelet.lost()]
    await _one_off(w)


async def timed_out(w: World) -> None:
    w.kubelet.scripts["train"] = [kubelet.running()]
    await _one_off(w, timeoutSeconds=600)
    w.say("ten minutes later: timeoutSeconds")
    await w.visit(w.only_run(), 600)
    await w.settle()


async def cancelled(w: World) -> None:
    w.kubelet.scripts["train"] = [kubelet.running()]
    await _one_off(w)
    w.say("a person cancels; the pod takes its time to stop")
    w.kubelet.stops = False
    w.cluster.edit(w.only_run(), {"spec": {"cancel": True}})
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
    await _one_off(w)


async def no_manifest(w: World) -> None:
    w.kubelet.manifest = None
    await _one_off(w)


async def unknown_format(w: World) -> None:
    w.kubelet.manifest = Manifest("Marble", kubelet.FILES)
    await _one_off(w)


# ---- before anything is started ----


async def invalid_parameters(w: World) -> None:
    await _one_off(w, parameters={"epochs": 1.5, "rate": 1})


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
    await _one_off(w)


# ---- deletion ----


async def deleted_while_running(w: World) -> None:
    w.kubelet.scripts["train"] = [kubelet.running()]
    await _one_off(w)
    w.say("a person deletes the run")
    w.cluster.remove(w.only_run())
    await w.settle()


async def deleted_with_the_engine_away(w: World) -> None:
    engine = FakeEngine()
    w.use_engine(engine)
    await _one_off(w)
    w.say("the engine is gone for good, and a person deletes the run")
    engine.away = True
    run = w.only_run()
    w.cluster.remove(run)
    await w.settle()
    w.say("ten minutes later: the cleanup deadline")
    await w.visit(run, 600)
    await w.settle()


async def deleted_skipping_the_cleanup(w: World) -> None:
    engine = FakeEngine()
    w.use_engine(engine)
    await _one_off(w)
    w.say("the engine is away, and a person asks to skip the cleanup")
    engine.away = True
    run = w.only_run()
    w.cluster.edit(run, {"metadata": {"annotations": {naming.ANNOTATION_SKIP_CLEANUP: "true"}}})
    w.cluster.remove(run)
    await w.visit(run)
    await w.settle()


async def deleted_while_the_database_is_away(w: World) -> None:
    w.metadata.away = True
    await _one_off(w)
    w.say("the run is deleted, its rows wait")
    w.cluster.remove(w.only_run())
    await w.settle()
    w.say("the database is back")
    w.metadata.away = False
    await w.settle()


# ---- what others do to it ----


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
    await _one_off(w)
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
    await _one_off(w)
    w.say("somebody deletes the Job")
    (job,) = w.cluster.all(JOB)
    w.cluster.remove(Ref(JOB, NAMESPACE, job["metadata"]["name"]))
    w.kubelet.tick()
    await w.settle()


async def pods_left_by_somebody(w: World) -> None:
    w.kubelet.scripts["train"] = [kubelet.running()]
    await _one_off(w)
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
    await _one_off(w)
    w.say("the namespace is restored from a backup: new uids, no status, no Jobs")
    w.restore(TRAINING_PIPELINE, TRAINING_RUN)
    await w.settle()


async def version_of_that_name_exists(w: World) -> None:
    w.say("a person has imported a model under the run's name")
    artifact = {"uri": "s3://models/team/churn/once/", "digest": "sha256:" + "0" * 64}
    spec = {"model": "churn", "artifact": artifact, "createdAt": "2026-01-01T00:00:00Z"}
    meta = {"name": "once", "namespace": NAMESPACE}
    w.cluster.seed({"apiVersion": naming.API_VERSION, "kind": "ModelVersion", "metadata": meta, "spec": spec})
    await _one_off(w)


# ---- pipelines ----


async def only_inputs_start_runs(w: World) -> None:
    w.say("a pipeline with onChange")
    w.pipeline()
    await w.settle()
    w.say("the same again; suspend, history, gate and node pool change: no run")
    changes: dict[str, Any] = {
        "history": {"succeeded": 3},
        "suspend": True,
        "evaluation": {"metrics": [{"name": "auc", "min": "0.90"}]},
        "compute": {"nodeSelector": {"pool": "gpu"}},
    }
    for key, value in changes.items():
        w.cluster.edit(PIPELINE, {"spec": {key: value}})
        await w.settle()
    w.say("new data while suspended: none yet")
    w.cluster.edit(PIPELINE, {"spec": {"data": {"datasets": [{"name": "train", "uri": "s3://data/churn2/"}]}}})
    await w.settle()
    w.say("no longer suspended: one")
    w.cluster.edit(PIPELINE, {"spec": {"suspend": False}})
    await w.settle()
    w.say("the first data again: its run exists, none")
    w.cluster.edit(PIPELINE, {"spec": {"data": SPEC["data"]}})
    await w.settle()


async def forbid_waits(w: World) -> None:
    await _second_while_first_runs(w, "Forbid")


async def allow_starts_both(w: World) -> None:
    await _second_while_first_runs(w, "Allow")


async def replace_cancels_first(w: World) -> None:
    await _second_while_first_runs(w, "Replace")


async def parameter_without_value(w: World) -> None:
    w.say("onChange, and a parameter that nobody gives")
    w.pipeline(parameters=[{"name": "epochs", "type": "Integer"}])
    await w.settle()
    w.say("a default is given")
    w.cluster.edit(PIPELINE, {"spec": {"parameters": SPEC["parameters"]}})
    await w.settle()


async def name_is_taken(w: World) -> None:
    w.say("the name of the run by change is held by a one-off run")
    w.pipeline()
    name = w.name_of_due_run()
    w.run(name)
    await w.settle()
    w.say("that one is deleted")
    w.cluster.remove(Ref(TRAINING_RUN, NAMESPACE, name))
    await w.settle()


async def history_is_pruned(w: World) -> None:
    w.say("limits 1 and 1; one run by change, then failed runs by hand")
    w.pipeline(history={"succeeded": 1, "failed": 1})
    await w.settle()
    w.kubelet.scripts["train"] = [kubelet.exited(1, "bad")]
    for name in ("bad-1", "bad-2"):
        w.run(name)
        await w.settle()
    w.say("two more that succeed: their ModelVersions keep them")
    w.kubelet.scripts["train"] = [kubelet.exited(0)]
    for name in ("good-1", "good-2"):
        w.run(name)
        await w.settle()
    w.say("the ModelVersions are deleted: the oldest by hand may go, the one by change keeps the watermark")
    for version in w.cluster.all(MODEL_VERSION):
        w.cluster.remove(Ref(MODEL_VERSION, NAMESPACE, version["metadata"]["name"]))
    await w.settle()


async def status_of_a_pipeline_is_lost(w: World) -> None:
    w.pipeline()
    await w.settle()
    w.say("the status of the pipeline is lost")
    w.cluster.edit(PIPELINE, {"status": None}, status=True)
    await w.settle()


async def unreadable_objects(w: World) -> None:
    w.say("objects of another schema")
    w.pipeline("odd", engine={"airflow": {}})
    run = w.run("odd-run", parameters=["no", "map"])
    await w.settle()
    w.say("the run is deleted")
    w.cluster.remove(run)
    await w.settle()


# ---- the pieces ----


async def _one_off(w: World, parameters: dict[str, Any] | None = None, **changes: Any) -> None:
    w.say("a run by hand")
    w.pipeline(**{**BY_HAND, **changes})
    w.run("once", parameters=parameters or {})
    await w.settle()


async def _second_while_first_runs(w: World, concurrency: str) -> None:
    w.say(f"concurrency {concurrency}; the first run is running")
    w.kubelet.scripts["train"] = [kubelet.running()]
    w.pipeline(concurrency=concurrency)
    await w.settle()
    w.say("the inputs change")
    w.cluster.edit(PIPELINE, {"spec": {"parameters": [{"name": "epochs", "type": "Integer", "default": 4}]}})
    await w.settle()
    w.say("the containers end")
    w.kubelet.scripts["train"].append(kubelet.exited(0))
    w.kubelet.tick()
    await w.settle()


HISTORIES: tuple[Callable[[World], Awaitable[None]], ...] = (
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
    deleted_skipping_the_cleanup,
    deleted_while_the_database_is_away,
    store_away_at_the_end,
    engine_away_for_an_hour,
    job_deleted_by_somebody,
    pods_left_by_somebody,
    finished_run_restored,
    running_run_restored,
    version_of_that_name_exists,
    only_inputs_start_runs,
    forbid_waits,
    allow_starts_both,
    replace_cancels_first,
    parameter_without_value,
    name_is_taken,
    history_is_pruned,
    status_of_a_pipeline_is_lost,
    unreadable_objects,
    *stories_of_attempts.STORIES,
)


@pytest.mark.parametrize("history", HISTORIES, ids=lambda h: str(h.__name__))
async def test_history(history: Callable[[World], Awaitable[None]]) -> None:
    world = World()
    await history(world)
    await world.stays_quiet()
    file = FOLDER / f"{history.__name__}.txt"
    if os.environ.get("TRAINYARD_GOLDEN") == "write":
        file.write_text(world.text())
    assert world.text() == file.read_text()
