"""Lives of runs that are tried again, that wait in a queue or in line, and that several workers train together.

Told and compared by `test_histories`; some are lived through with a kill after each write by `test_kills`.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.fakes import kubelet
from tests.golden.training.world import NAMESPACE, SPEC, World
from trainyard.systems.cluster.port import JOB, TRAINING_PIPELINE, Ref

PIPELINE = Ref(TRAINING_PIPELINE, NAMESPACE, "churn")
RETRY = {"limit": 1, "backoffSeconds": 60}
BY_HAND: dict[str, Any] = {"triggers": {"onChange": False}, "data": {"datasets": []}}


async def retried_from_the_checkpoint(w: World) -> None:
    w.kubelet.scripts["train@1"] = [kubelet.running(), kubelet.exited(1, "ConnectionResetError")]
    await _once(w, retry={"limit": 2, "backoffSeconds": 60})
    w.say("a minute later: the second attempt, which fails too")
    w.kubelet.scripts["train@2"] = [kubelet.running(), kubelet.exited(137, "Killed", "OOMKilled")]
    await _wait(w, 60)
    w.say("a minute later nothing yet: the wait has doubled")
    await _wait(w, 60)
    w.say("another minute later: the third")
    await _wait(w, 60)


async def retries_run_out(w: World) -> None:
    w.kubelet.scripts["train@1"] = [kubelet.running(), kubelet.evicted("The node was low on resource: memory.")]
    w.kubelet.scripts["train@2"] = [kubelet.running(), kubelet.exited(3, "ValueError: no column named target")]
    await _once(w, retry=RETRY)
    w.say("a minute later: the last attempt")
    await _wait(w, 60)


async def a_worker_fails(w: World) -> None:
    w.kubelet.scripts["train-1@1"] = [kubelet.running(), kubelet.exited(1, "connection reset by peer")]
    w.kubelet.scripts["train-0@1"] = [kubelet.running()]
    await _once(w, retry=RETRY, engine=_job(workers=2, framework="TensorFlow"))
    w.say("a minute later: both workers again")
    await _wait(w, 60)


async def cancelled_between_attempts(w: World) -> None:
    w.kubelet.scripts["train"] = [kubelet.running(), kubelet.lost()]
    await _once(w, retry=RETRY)
    w.say("a person cancels before the second attempt")
    w.cluster.edit(w.only_run(), {"spec": {"cancel": True}})
    await w.settle()


async def what_never_began_is_not_retried(w: World) -> None:
    w.kubelet.scripts["train"] = [kubelet.unschedulable("0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")]
    await _once(w, retry=RETRY, pendingTimeoutSeconds=60)
    w.say("a minute later: pendingTimeoutSeconds")
    await _wait(w, 60)


async def attempts_share_one_timeout(w: World) -> None:
    w.kubelet.scripts["train@1"] = [kubelet.running(), kubelet.exited(1, "lost a peer")]
    w.kubelet.scripts["train@2"] = [kubelet.running()]
    w.say("ten minutes are allowed; the first attempt takes eight of them")
    w.pipeline(**{**BY_HAND, "retry": RETRY, "timeoutSeconds": 600})
    run = w.run("once")
    await w.visit(PIPELINE)
    await w.visit(run)
    w.kubelet.tick()
    await w.visit(run, 480)
    w.kubelet.tick()
    await w.settle()
    w.say("a minute later: the second attempt, and two minutes for it")
    await _wait(w, 60)
    await _wait(w, 120)


async def waits_in_a_queue(w: World) -> None:
    w.say("the pipeline names a Kueue LocalQueue; no node and no queue counts against pendingTimeoutSeconds")
    await _once(w, engine=_job(workers=2), compute={"queue": "gpus"}, pendingTimeoutSeconds=60)
    await _wait(w, 3600)
    w.say("an hour later Kueue admits it")
    w.kubelet.scripts["train"] = [kubelet.running()]
    (job,) = w.cluster.all(JOB)
    where = Ref(JOB, job["metadata"]["namespace"], job["metadata"]["name"])
    w.cluster.edit(where, {"spec": {"suspend": False}})
    await w.settle()
    w.say("Kueue takes it back for somebody more important")
    w.cluster.edit(where, {"spec": {"suspend": True}})
    w.kubelet.tick()
    await w.settle()
    w.say("and admits it again")
    w.kubelet.scripts["train"] = [kubelet.running(), kubelet.exited(0)]
    w.cluster.edit(where, {"spec": {"suspend": False}})
    await w.settle()


async def events_get_in_line(w: World) -> None:
    w.say("two events under Forbid: the receiver has made a run for each")
    w.kubelet.scripts["train"] = [kubelet.running()]
    w.pipeline(**BY_HAND)
    for number in (1, 2):
        trigger = {"type": "Event", "name": "new-data", "eventSource": "//bucket", "eventId": str(number)}
        w.run(f"event-{number}", trigger=trigger)
    await w.settle()
    w.say("the first one ends")
    w.kubelet.scripts["train"] = [kubelet.running(), kubelet.exited(0)]
    w.kubelet.tick()
    await w.settle()


async def status_lost_between_attempts(w: World) -> None:
    w.kubelet.scripts["train@1"] = [kubelet.running(), kubelet.exited(1, "ConnectionResetError")]
    await _once(w, retry=RETRY)
    w.say("the status is lost while the second attempt runs")
    w.kubelet.scripts["train@2"] = [kubelet.running()]
    await _wait(w, 60)
    w.cluster.edit(w.only_run(), {"status": None}, status=True)
    await w.settle()
    w.say("it ends")
    w.kubelet.scripts["train@2"].append(kubelet.exited(0))
    w.kubelet.tick()
    await w.settle()


def _job(**changes: Any) -> dict[str, Any]:
    return {"job": {**SPEC["engine"]["job"], **changes}}


async def _once(w: World, **changes: Any) -> None:
    w.say("a run by hand")
    w.pipeline(**{**BY_HAND, **changes})
    w.run("once")
    await w.settle()


async def _wait(w: World, seconds: int) -> None:
    await w.visit(w.only_run(), seconds)
    await w.settle()


STORIES: tuple[Callable[[World], Awaitable[None]], ...] = (
    retried_from_the_checkpoint,
    retries_run_out,
    a_worker_fails,
    cancelled_between_attempts,
    what_never_began_is_not_retried,
    attempts_share_one_timeout,
    waits_in_a_queue,
    events_get_in_line,
    status_lost_between_attempts,
)
