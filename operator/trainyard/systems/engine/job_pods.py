"""What one pod's container tells about a step: waiting and why, running, ended and how. Pure.

Read from container states and pod conditions, never from the pod's phase, which says Pending, Running or Failed and
no reason (training.md). Used by `job_state`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from trainyard.systems.cluster.port import Obj
from trainyard.systems.engine.port import Phase, Step

IMAGE_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
)
# Waiting states that pass: the volume is mounted, the container made.
QUIET_REASONS = frozenset({"ContainerCreating", "PodInitializing"})
LOST_REASONS = frozenset({"NodeLost", "DeletionByTaintManager", "DeletionByPodGC"})
MESSAGE_LIMIT = 1000


def step(name: str, pod: Obj) -> Step:
    """Return the step that this container of the pod is."""
    status = _container_status(pod, name)
    state = status.get("state", {})
    if state.get("terminated"):
        return _disrupted(_ended(name, state["terminated"]), pod)
    if _disruption(pod) and pod.get("status", {}).get("phase") == "Failed":
        return _disrupted(Step(name, Phase.FAILED), pod)
    if state.get("running"):
        return Step(name, Phase.RUNNING, start_time=state["running"].get("startedAt"))
    reason, message = _waiting(state.get("waiting") or {}, pod)
    return Step(name, Phase.PENDING, reason, shortened(message))


def image_digest(pod: Obj, name: str) -> str:
    """Return the digest of the image that a container ran, the whole image ID where it has none, "" if unknown."""
    image_id = str(_container_status(pod, name).get("imageID", ""))
    return image_id.rpartition("@")[2]


def shortened(message: str) -> str:
    """Return the end of a long message: the last lines of a log say what went wrong."""
    text = message.strip()
    return text if len(text) <= MESSAGE_LIMIT else "…" + text[-(MESSAGE_LIMIT - 1) :]


def _container_status(pod: Obj, name: str) -> Mapping[str, Any]:
    status = pod.get("status", {})
    told = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    nothing: Mapping[str, Any] = {}
    return next((c for c in told if c.get("name") == name), nothing)


def _ended(name: str, terminated: Mapping[str, Any]) -> Step:
    code = terminated.get("exitCode")
    out_of_memory = terminated.get("reason") == "OOMKilled"
    fine = code == 0 and not out_of_memory
    reason = "" if fine else "OutOfMemory" if out_of_memory else "StepFailed"
    return Step(
        name,
        Phase.SUCCEEDED if fine else Phase.FAILED,
        reason,
        "" if fine else shortened(terminated.get("message") or _without_words(out_of_memory, code)),
        code,
        terminated.get("startedAt"),
        terminated.get("finishedAt"),
    )


def _without_words(out_of_memory: bool, code: Any) -> str:
    if out_of_memory:
        return "The container used more memory than its limit."
    return f"The container ended with exit code {code} and wrote no log."


def _disruption(pod: Obj) -> tuple[str, str] | None:
    """Return (Evicted or NodeLost, what was said) where the pod was taken away, None where it was not."""
    status = pod.get("status", {})
    target = _condition(pod, "DisruptionTarget")
    if status.get("reason") not in ("Evicted", "NodeLost") and target.get("status") != "True":
        return None
    why = target.get("reason") or status.get("reason")
    word = "NodeLost" if why in LOST_REASONS else "Evicted"
    return word, str(status.get("message") or target.get("message") or "The pod was taken off its node.")


def _disrupted(ended: Step, pod: Obj) -> Step:
    taken = _disruption(pod)
    if taken is None or ended.state is not Phase.FAILED or ended.reason == "OutOfMemory":
        return ended
    return replace(ended, reason=taken[0], message=shortened(taken[1]))


def _waiting(waiting: Mapping[str, Any], pod: Obj) -> tuple[str, str]:
    """Return why a container does not run yet: (reason, message), ("", "") where it is only a matter of time."""
    reason, message = str(waiting.get("reason", "")), str(waiting.get("message", ""))
    if reason in IMAGE_REASONS:
        return "ImagePullFailed", message or f"The image cannot be pulled ({reason})."
    if reason and reason not in QUIET_REASONS:
        return reason, message
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return "Unschedulable", str(scheduled.get("message") or "No node takes the pod.")
    return "", ""


def _condition(pod: Obj, kind: str) -> Mapping[str, Any]:
    nothing: Mapping[str, Any] = {}
    conditions = pod.get("status", {}).get("conditions") or ()
    return next((c for c in conditions if c.get("type") == kind), nothing)
