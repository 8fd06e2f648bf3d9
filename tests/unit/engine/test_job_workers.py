"""Several workers: what each is told of the others, and what they tell together."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.contracts.test_engine import CONFIG, REQUEST
from tests.fakes import kubelet
from tests.unit.engine.test_job_state import AT, job, pod
from trainyard.systems.engine import job_objects, job_state, job_workers
from trainyard.systems.engine.port import Phase, RunRequest

LATER = "2026-11-24T06:00:09Z"


def request(framework: str, workers: int = 2, **changes: Any) -> RunRequest:
    return replace(REQUEST, spec={**REQUEST.spec, "workers": workers, "framework": framework}, **changes)


def expanded(wanted: RunRequest, index: int) -> dict[str, str]:
    """Return the variables of a worker as Kubernetes expands them: `$(NAME)` of what stands before."""
    (container,) = job_objects.train_job(wanted, CONFIG)["spec"]["template"]["spec"]["containers"]
    known: dict[str, str] = {}
    for entry in container["env"]:
        value = entry.get("value", str(index))
        for name, told in known.items():
            value = value.replace(f"$({name})", told)
        known[entry["name"]] = value
    return known


def member(moment: kubelet.Moment, index: int, at: str = AT, *, deleting: bool = False) -> Any:
    made = pod(moment, at=at)
    made["metadata"]["annotations"] = {job_workers.ANNOTATION_INDEX: str(index)}
    made["metadata"] |= {"deletionTimestamp": at} if deleting else {}
    return made


def together(**changes: Any) -> Any:
    return job(completions=2, **changes)


# ---- what they are told ----


def test_tensorflow_finds_its_peers() -> None:
    wanted = request("TensorFlow")
    told = [json.loads(expanded(wanted, index)["TF_CONFIG"]) for index in (0, 1)]
    peers = ["once-1-0.once-1.team.svc:2222", "once-1-1.once-1.team.svc:2222"]
    assert [t["cluster"] for t in told] == [{"worker": peers}] * 2
    assert [t["task"] for t in told] == [{"type": "worker", "index": 0}, {"type": "worker", "index": 1}]


def test_torchrun_finds_its_first_worker() -> None:
    wanted = request("PyTorch", 3, compute={"accelerator": {"resource": "nvidia.com/gpu", "count": 4}})
    told = expanded(wanted, 2)
    first = "once-1-0.once-1.team.svc"
    assert (told["MASTER_ADDR"], told["MASTER_PORT"], told["WORLD_SIZE"], told["RANK"]) == (first, "29500", "3", "2")
    torchrun = {k.removeprefix("PET_"): v for k, v in told.items() if k.startswith("PET_")}
    assert torchrun == {
        "MASTER_ADDR": first,
        "MASTER_PORT": "29500",
        "NNODES": "3",
        "NODE_RANK": "2",
        "NPROC_PER_NODE": "4",
        "RDZV_BACKEND": "static",
        "RDZV_ENDPOINT": f"{first}:29500",
        "RDZV_ID": "once-1",
    }


def test_without_a_framework_they_know_their_number_and_their_hosts() -> None:
    told = expanded(request("None"), 1)
    assert (told["TRAINYARD_WORKER"], told["TRAINYARD_WORKERS"]) == ("1", "2")
    assert told["TRAINYARD_WORKER_HOSTS"] == "once-1-0.once-1.team.svc,once-1-1.once-1.team.svc"
    assert not {"TF_CONFIG", "MASTER_ADDR"} & told.keys()


def test_a_user_may_say_how_many_processes_a_node_has() -> None:
    template = {**REQUEST.spec["template"], "env": [{"name": "PET_NPROC_PER_NODE", "value": "2"}]}
    wanted = request("PyTorch")
    wanted = replace(wanted, spec={**wanted.spec, "template": template})
    assert expanded(wanted, 0)["PET_NPROC_PER_NODE"] == "2"


def test_the_job_has_a_pod_for_each_and_ends_with_the_first_that_fails() -> None:
    spec = job_objects.train_job(request("TensorFlow", 5), CONFIG)["spec"]
    assert (spec["completions"], spec["parallelism"], spec["completionMode"], spec["backoffLimit"]) == (
        5,
        5,
        "Indexed",
        0,
    )
    assert {rule["action"] for rule in spec["podFailurePolicy"]["rules"]} == {"FailJob"}


# ---- what they tell ----


def told(state: Any) -> list[tuple[str, str, str]]:
    return [(s.name, s.state, s.reason) for s in state.steps]


def test_each_worker_is_a_step() -> None:
    state = job_state.state([together()], [member(kubelet.running(), 0), member(kubelet.exited(0), 1)])
    assert told(state) == [("train-0", Phase.RUNNING, ""), ("train-1", Phase.SUCCEEDED, "")]
    assert (state.phase, state.due, state.waiting_since) == (Phase.RUNNING, False, None)


def test_all_must_end_well() -> None:
    state = job_state.state([together()], [member(kubelet.exited(0), i) for i in (1, 0)])
    assert state.due


def test_a_worker_that_waits_while_another_runs_is_told() -> None:
    waits = member(kubelet.unschedulable("0/1 nodes"), 1, LATER)
    state = job_state.state([together()], [member(kubelet.running(), 0), waits])
    assert (state.phase, state.reason, state.waiting_since) == (Phase.RUNNING, "Unschedulable", LATER)


def test_the_first_failure_is_the_cause_and_the_stopped_are_told_apart() -> None:
    pods = [
        member(kubelet.exited(143), 0, LATER, deleting=True),
        member(kubelet.exited(137, "", "OOMKilled"), 1),
    ]
    state = job_state.state([together(ended="FailureTarget")], pods)
    assert (state.reason, told(state)) == (
        "OutOfMemory",
        [("train-0", Phase.FAILED, "PeerFailed"), ("train-1", Phase.FAILED, "OutOfMemory")],
    )
    assert state.message.startswith("Step train-1 ran out of memory")


def test_a_peer_that_breaks_later_keeps_its_own_words() -> None:
    pods = [member(kubelet.exited(1, "lost peer 1"), 0, LATER), member(kubelet.exited(3, "bad row"), 1)]
    state = job_state.state([together()], pods)
    assert state.message == "Step train-1 failed with exit code 3: bad row"
    assert [s.message for s in state.steps] == ["lost peer 1", "bad row"]


def test_a_worker_that_goes_on_while_another_failed_is_being_stopped() -> None:
    state = job_state.state([together()], [member(kubelet.running(), 0), member(kubelet.exited(1, "boom"), 1)])
    assert told(state)[0] == ("train-0", Phase.FAILED, "PeerFailed")


@pytest.mark.parametrize(
    ("message", "reason", "steps"),
    [
        ("Pod team/once-1-train-1-x7x7x has condition DisruptionTarget", "Evicted", ["PeerFailed", "Evicted"]),
        ("Job has reached the specified backoff limit", "StepFailed", ["StepFailed", "PeerFailed"]),
    ],
)
def test_the_job_remembers_what_it_can_though_all_pods_are_gone(message: str, reason: str, steps: list[str]) -> None:
    state = job_state.state([together(ended="Failed", message=message)], [])
    assert (state.reason, [s.reason for s in state.steps]) == (reason, steps)
    assert message in state.message


def test_a_pod_that_somebody_deletes_has_not_failed_before_the_job_says_so() -> None:
    taken = [member(kubelet.exited(143), 0, deleting=True), member(kubelet.running(), 1)]
    assert job_state.state([together()], taken).phase is Phase.RUNNING
    state = job_state.state([together(ended="FailureTarget", message="Job has reached the backoff limit")], taken)
    assert (state.phase, state.steps[0].exit_code, state.steps[1].reason) == (Phase.FAILED, 143, "PeerFailed")


def test_back_in_the_queue_nothing_has_failed() -> None:
    pods = [member(kubelet.exited(143), i, deleting=True) for i in (0, 1)]
    state = job_state.state([together(suspend=True)], pods)
    assert (state.phase, state.reason, state.waiting_since) == (Phase.PENDING, "Queued", None)
    assert {s.state for s in state.steps} == {Phase.PENDING}


def test_out_of_the_queue_the_wait_begins_with_its_admission() -> None:
    admitted = together()
    admitted["metadata"]["labels"][job_objects.QUEUE_LABEL] = "gpus"
    assert job_state.state([admitted], []).waiting_since is None, "the Job controller has not seen it yet"
    admitted["status"]["startTime"] = LATER
    assert job_state.state([admitted], []).waiting_since == LATER


# ---- their data ----


def fetching() -> Any:
    return together(template={"spec": {"initContainers": [{"name": "data"}]}})


def test_data_is_one_step_and_the_others_wait_behind_it() -> None:
    pods = [member(kubelet.running("data"), 0), member(kubelet.unschedulable("0/1 nodes"), 1)]
    state = job_state.state([fetching()], pods)
    assert told(state) == [
        ("data", Phase.RUNNING, ""),
        ("train-0", Phase.PENDING, ""),
        ("train-1", Phase.PENDING, "Unschedulable"),
    ]


def test_data_that_fails_for_any_worker_fails_the_step() -> None:
    pods = [member(kubelet.running("data"), 0), member(kubelet.exited(1, "no space", container="data"), 1)]
    state = job_state.state([fetching()], pods)
    assert (state.phase, told(state)[0]) == (Phase.FAILED, ("data", Phase.FAILED, "StepFailed"))
    assert state.message == "Step data-1 failed with exit code 1: no space"
