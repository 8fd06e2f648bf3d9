"""Which changes of a pipeline start runs, beside which others, and what is kept of them.

Told and compared by `test_histories`; some are lived through with a kill after each write by `test_kills`.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.fakes import kubelet
from tests.golden.training.world import NAMESPACE, SPEC, World
from trainyard.systems.cluster.port import (
    MODEL_VERSION,
    TRAINING_PIPELINE,
    TRAINING_RUN,
    Ref,
)

Story = Callable[[World], Awaitable[None]]
PIPELINE = Ref(TRAINING_PIPELINE, NAMESPACE, "churn")


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


STORIES: tuple[Story, ...] = (
    only_inputs_start_runs,
    forbid_waits,
    allow_starts_both,
    replace_cancels_first,
    parameter_without_value,
    name_is_taken,
    history_is_pruned,
    status_of_a_pipeline_is_lost,
    unreadable_objects,
)
