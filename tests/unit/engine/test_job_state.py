"""From Jobs and pods to a state: each reason from the place where Kubernetes tells it."""

from typing import Any

import pytest

from tests.fakes import kubelet
from trainyard import naming
from trainyard.systems.engine import job_pods, job_state
from trainyard.systems.engine.port import Phase

AT = "2026-11-24T06:00:00Z"


def job(role: str = "train", *, ended: str = "", message: str = "", deleting: bool = False, **spec: Any) -> Any:
    meta = {"name": f"once-1-{role}", "labels": {naming.LABEL_ROLE: role}, "creationTimestamp": AT}
    meta |= {"deletionTimestamp": AT} if deleting else {}
    told = [{"type": "Suspended", "status": "False"}]
    told += [{"type": ended, "status": "True", "message": message, "lastTransitionTime": AT}] if ended else []
    return {"metadata": meta, "spec": spec, "status": {"conditions": told}}


def pod(moment: kubelet.Moment, role: str = "train", at: str = AT) -> Any:
    meta = {"name": f"once-1-{role}-{at}", "labels": {naming.LABEL_ROLE: role}, "creationTimestamp": at}
    return {"metadata": meta, "status": moment(at)}


def with_data() -> Any:
    return job(template={"spec": {"initContainers": [{"name": "data"}]}})


def states(jobs: Any, pods: Any) -> list[tuple[str, str]]:
    return [(s.name, s.state) for s in job_state.state(jobs, pods).steps]


DONE = pod(kubelet.exited(0))


def test_nothing_is_absent() -> None:
    assert job_state.state([], []).phase is Phase.ABSENT


def test_a_job_without_pods_waits_since_it_was_made() -> None:
    state = job_state.state([job()], [])
    assert (state.phase, state.waiting_since, state.reason) == (Phase.PENDING, AT, "")


def test_a_suspended_job_waits_in_a_queue_and_no_clock_ticks() -> None:
    state = job_state.state([job(suspend=True)], [])
    assert (state.phase, state.reason, state.waiting_since) == (Phase.PENDING, "Queued", None)


@pytest.mark.parametrize(
    ("moment", "reason", "words"),
    [
        (kubelet.unschedulable("0/1 nodes: 1 Insufficient gpu"), "Unschedulable", "Insufficient gpu"),
        (kubelet.unschedulable(""), "Unschedulable", "No node takes the pod."),
        (kubelet.waiting("ErrImagePull", "not found"), "ImagePullFailed", "not found"),
        (kubelet.waiting("ImagePullBackOff"), "ImagePullFailed", "ImagePullBackOff"),
        (kubelet.waiting("InvalidImageName", "bad"), "ImagePullFailed", "bad"),
        (kubelet.waiting("CreateContainerConfigError", "no key"), "CreateContainerConfigError", "no key"),
        (kubelet.waiting("ContainerCreating"), "", ""),
    ],
)
def test_waiting(moment: kubelet.Moment, reason: str, words: str) -> None:
    state = job_state.state([job()], [pod(moment)])
    assert (state.phase, state.reason, state.waiting_since) == (Phase.PENDING, reason, AT)
    assert words in state.message


@pytest.mark.parametrize(
    ("moment", "reason", "step", "words"),
    [
        (kubelet.exited(3, "boom"), "StepFailed", "StepFailed", "exit code 3: boom"),
        (kubelet.exited(3), "StepFailed", "StepFailed", "wrote no log"),
        (kubelet.exited(137, "", "OOMKilled"), "OutOfMemory", "OutOfMemory", "more memory than its limit"),
        (kubelet.exited(137, "x"), "StepFailed", "StepFailed", "exit code 137"),
        (kubelet.evicted("low on memory"), "Evicted", "Evicted", "was evicted: low on memory"),
        (kubelet.lost(), "NodeLost", "NodeLost", "lost its node: Taint manager"),
    ],
)
def test_failing(moment: kubelet.Moment, reason: str, step: str, words: str) -> None:
    state = job_state.state([job()], [pod(moment)])
    assert (state.phase, state.reason, state.steps[0].reason) == (Phase.FAILED, reason, step)
    assert words in state.message


def test_killed_by_an_eviction_is_an_eviction() -> None:
    taken = pod(kubelet.exited(143))
    taken["status"]["conditions"] = [{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]
    state = job_state.state([job()], [taken])
    assert (state.reason, state.steps[0].reason, state.steps[0].exit_code) == ("Evicted", "Evicted", 143)
    assert "taken off its node" in state.message


def test_out_of_memory_stays_so_though_the_pod_is_evicted() -> None:
    taken = pod(kubelet.exited(137, "", "OOMKilled"))
    taken["status"]["reason"] = "Evicted"
    assert job_state.state([job()], [taken]).reason == "OutOfMemory"


def test_a_pod_that_vanished_leaves_the_jobs_word() -> None:
    state = job_state.state([job(ended="Failed", message="backoff limit")], [])
    assert (state.phase, state.reason) == (Phase.FAILED, "StepFailed")
    assert "gone before it ended; the Job says: backoff limit" in state.message
    assert state.steps[0].completion_time == AT


def test_a_job_that_is_complete_needs_no_pod() -> None:
    assert job_state.state([job(ended="Complete")], []).due


def test_data_comes_first() -> None:
    fetching = pod(kubelet.running("data"))
    assert states([with_data()], [fetching]) == [("data", Phase.RUNNING), ("train", Phase.PENDING)]
    assert job_state.state([with_data()], [fetching]).phase is Phase.RUNNING
    missing = job_state.state([with_data()], [pod(kubelet.exited(5, "no such object", container="data"))])
    assert (missing.phase, missing.reason) == (Phase.FAILED, "StepFailed")
    assert missing.message == "Step data failed with exit code 5: no such object"


def test_after_training_the_publisher_is_due() -> None:
    state = job_state.state([job()], [DONE])
    assert (state.phase, state.due) == (Phase.RUNNING, True)
    assert states([job()], [DONE]) == [("train", Phase.SUCCEEDED), ("publish", Phase.PENDING)]


def test_a_publisher_that_waits_tells_why() -> None:
    state = job_state.state([job(), job("publish")], [DONE, pod(kubelet.unschedulable("full"), "publish")])
    assert (state.phase, state.reason, state.due) == (Phase.RUNNING, "Unschedulable", False)


def test_a_publisher_that_failed_once_is_retried() -> None:
    broken = pod(kubelet.exited(1, "away", container="publish"), "publish")
    state = job_state.state([job(), job("publish")], [DONE, broken])
    assert (state.phase, state.steps[-1].state, state.steps[-1].reason) == (Phase.RUNNING, Phase.RUNNING, "Retrying")


def test_the_newest_pod_tells() -> None:
    broken = pod(kubelet.exited(1, "away", container="publish"), "publish")
    again = pod(kubelet.exited(0, container="publish"), "publish", "2026-11-24T06:01:00Z")
    for pods in ([DONE, broken, again], [again, broken, DONE]):
        assert job_state.state([job(), job("publish")], pods).phase is Phase.SUCCEEDED


def test_a_publisher_that_gave_up() -> None:
    broken = pod(kubelet.exited(3, "there is no model", container="publish"), "publish")
    state = job_state.state([job(), job("publish", ended="Failed")], [DONE, broken])
    assert (state.phase, state.reason, state.message) == (Phase.FAILED, "PublishFailed", "there is no model")
    assert state.steps[-1].reason == "PublishFailed"


def test_a_published_run_has_trained_whatever_became_of_that_pod() -> None:
    done = pod(kubelet.exited(0, container="publish"), "publish")
    assert states([job(), job("publish")], [done]) == [("train", Phase.SUCCEEDED), ("publish", Phase.SUCCEEDED)]
    assert job_state.state([job("publish")], [done]).phase is Phase.SUCCEEDED


def test_what_is_being_deleted_is_stopping() -> None:
    for jobs, pods in (
        ([job(deleting=True)], []),
        ([], [DONE]),
        ([job(deleting=True), job("publish", deleting=True)], []),
    ):
        state = job_state.state(jobs, pods)
        assert (state.phase, state.reason) == (Phase.RUNNING, "Stopping")


def test_a_publisher_being_deleted_is_due_again() -> None:
    assert job_state.state([job(), job("publish", deleting=True)], [DONE]).due


def test_image_digests() -> None:
    assert job_pods.image_digest(DONE, "train") == kubelet.IMAGE
    assert job_pods.image_digest(DONE, "other") == ""
    bare = {"status": {"containerStatuses": [{"name": "train", "imageID": "sha256:1"}]}}
    assert job_pods.image_digest(bare, "train") == "sha256:1"


def test_of_a_long_message_the_end_is_kept() -> None:
    told = job_pods.shortened("a" * 5000 + " the error")
    assert len(told) == 1000
    assert told.endswith("the error")
