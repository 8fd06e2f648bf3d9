import base64
import gzip
import json
from typing import Any

import pytest

from tests.fakes.kubeflow import nodes
from trainyard.systems.engine import kubeflow_state
from trainyard.systems.engine.port import Phase

TASKS = (("make",), ("shout",))
AT = "2026-11-24T06:00:00Z"


def workflow(phase: str = "Running", pod: str = "Running", message: str = "", **more: Any) -> dict[str, Any]:
    status = {"phase": phase, "nodes": nodes("w", pod, message, AT)} | more.pop("status", {})
    return {"metadata": {"creationTimestamp": AT}, "spec": more, "status": status}


def told(state: Any, name: str = "shout") -> tuple[str, str, int | None]:
    step = next(s for s in state.steps if s.name == name)
    return step.state.value, step.reason, step.exit_code


@pytest.mark.parametrize(
    ("row", "phase"),
    [
        ("SUCCEEDED", Phase.SUCCEEDED), ("SKIPPED", Phase.SUCCEEDED), ("FAILED", Phase.FAILED),
        ("CANCELED", Phase.FAILED), ("RUNNING", Phase.RUNNING), ("PENDING", Phase.PENDING),
        ("RUNTIME_STATE_UNSPECIFIED", Phase.PENDING),
    ],
)  # fmt: skip
def test_a_row_alone(row: str, phase: Phase) -> None:
    state = kubeflow_state.run_state(TASKS, {"state": row}, None)
    assert (state.phase is phase) or (phase is Phase.RUNNING and state.phase is Phase.PENDING)
    assert [s.name for s in state.steps] == ["make", "shout"]


def test_a_row_that_is_being_stopped() -> None:
    assert kubeflow_state.run_state(TASKS, {"state": "CANCELING"}, None).reason == "Stopping"
    assert kubeflow_state.run_state(TASKS, None, workflow(activeDeadlineSeconds=0)).reason == "Stopping"
    assert kubeflow_state.run_state(TASKS, None, workflow(shutdown="Terminate")).reason == "Stopping"


def test_a_workflow_that_argo_has_not_seen() -> None:
    state = kubeflow_state.run_state(TASKS, None, {"metadata": {"creationTimestamp": AT}, "spec": {}})
    assert (state.phase, state.waiting_since) == (Phase.PENDING, AT)


def test_under_way() -> None:
    state = kubeflow_state.run_state(TASKS, {"state": "RUNNING"}, workflow())
    assert (state.phase, state.waiting_since) == (Phase.RUNNING, None)
    assert [told(state, "make"), told(state)] == [("Succeeded", "", None), ("Running", "", None)]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("Unschedulable: 0/1 nodes are available", "Unschedulable"),
        ("ErrImagePull: no such host", "ImagePullFailed"),
        ("CreateContainerConfigError: secret not found", "Pending"),
    ],
)
def test_a_pod_that_waits(message: str, reason: str) -> None:
    state = kubeflow_state.run_state(TASKS, None, workflow(pod="Pending", message=message))
    assert (state.reason, state.message, state.waiting_since) == (reason, message, AT)
    assert told(state)[:2] == ("Pending", reason)


def test_a_pod_that_only_takes_its_time() -> None:
    state = kubeflow_state.run_state(TASKS, None, workflow(pod="Pending", message="PodInitializing"))
    assert (state.phase, state.reason, state.waiting_since) == (Phase.RUNNING, "", None)


@pytest.mark.parametrize(
    ("message", "run", "step", "code"),
    [
        ("main: Error (exit code 3)", "StepFailed", "StepFailed", 3),
        ("OOMKilled (exit code 137)", "OutOfMemory", "OutOfMemory", 137),
        ("The node was low on resource: memory. Evicted", "StepFailed", "Evicted", None),
        ("pod deleted", "StepFailed", "NodeLost", None),
        ("ErrImagePull", "ImagePullFailed", "ImagePullFailed", None),
    ],
)
def test_a_step_that_failed(message: str, run: str, step: str, code: int | None) -> None:
    state = kubeflow_state.run_state(TASKS, None, workflow("Failed", "Failed", message))
    assert (state.phase, state.reason) == (Phase.FAILED, run)
    assert told(state) == ("Failed", step, code)
    assert "Step shout failed" in state.message
    assert "(exit" in message or f"({step})" in state.message or step == run


def test_a_run_that_failed_without_a_step() -> None:
    state = kubeflow_state.run_state(TASKS, None, workflow("Error", status={"message": "invalid spec", "nodes": {}}))
    assert (state.reason, state.message) == ("StepFailed", "invalid spec")
    assert kubeflow_state.run_state((), {"state": "FAILED", "error": {"message": "odd"}}, None).message == "odd"
    assert "no reason" in kubeflow_state.run_state((), {"state": "FAILED"}, None).message


def test_a_step_that_was_stopped_has_not_failed() -> None:
    stopped = workflow("Failed", "Failed", "workflow shutdown with strategy: Terminate", shutdown="Terminate")
    state = kubeflow_state.run_state(TASKS, None, stopped)
    assert (state.message, told(state)) == ("The run was terminated on Kubeflow.", ("Pending", "", None))


def test_a_step_from_the_cache() -> None:
    done = workflow("Succeeded", "Succeeded")
    del done["status"]["nodes"]["w-shout-e"]
    assert told(kubeflow_state.run_state(TASKS, None, done)) == ("Succeeded", "Cached", None)


def test_a_step_that_its_condition_left_out() -> None:
    done = workflow("Succeeded", "Succeeded")
    for key in ("w-shout-e", "w-shout", "w-shout-d"):
        del done["status"]["nodes"][key]
    assert told(kubeflow_state.run_state(TASKS, None, done)) == ("Succeeded", "Skipped", None)


def test_a_driver_tells_for_its_task() -> None:
    found = workflow()
    del found["status"]["nodes"]["w-shout-e"]
    driver = found["status"]["nodes"]["w-shout-d"]
    driver |= {"phase": "Pending", "message": "Unschedulable: no"}
    assert told(kubeflow_state.run_state(TASKS, None, found)) == ("Pending", "Unschedulable", None)
    driver |= {"phase": "Failed", "message": "main: Error (exit code 1)"}
    found["status"]["phase"] = "Failed"
    assert told(kubeflow_state.run_state(TASKS, None, found)) == ("Failed", "StepFailed", 1)


def test_the_last_try_of_a_pod_counts() -> None:
    found = workflow()
    tries = found["status"]["nodes"]
    tries["w-shout-e"] |= {"type": "Retry", "children": ["one", "two"]}
    pod = {"type": "Pod", "boundaryID": "w-shout", "startedAt": AT}
    tries["one"] = pod | {"displayName": "executor(0)", "phase": "Failed", "message": "main: Error (exit code 9)"}
    tries["two"] = pod | {"displayName": "executor(1)", "phase": "Running"}
    assert told(kubeflow_state.run_state(TASKS, None, found)) == ("Running", "", None)


def test_packed_nodes() -> None:
    packed = base64.b64encode(gzip.compress(json.dumps(nodes("w", "Running", "", AT)).encode())).decode()
    state = kubeflow_state.run_state(TASKS, None, workflow(status={"nodes": None, "compressedNodes": packed}))
    assert told(state) == ("Running", "", None)
    assert kubeflow_state.nodes(workflow(status={"compressedNodes": "nonsense"})) == {}


def test_without_the_package_the_workflow_names_the_steps() -> None:
    assert [s.name for s in kubeflow_state.run_state((), None, workflow()).steps] == ["make", "shout"]


def test_a_status_takes_so_many_steps() -> None:
    tasks = tuple((f"t{i}",) for i in range(300))
    steps = kubeflow_state.run_state((*tasks, ("shout",)), None, workflow("Failed", "Failed", "x")).steps
    assert len(steps) == kubeflow_state.STEPS_LIMIT
    assert steps[-1].name == "shout"


def test_has_ended() -> None:
    assert [kubeflow_state.has_ended(row) for row in (None, {"state": "RUNNING"}, {"state": "FAILED"})] == [
        False,
        False,
        True,
    ]
