"""Why a revision's pods do not serve: one reason a person can act on, from container states. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from trainyard.systems.cluster.port import Obj

# The courier's exit codes (docs/contracts.md).
FETCH_REASONS = {4: "DigestMismatch", 5: "ArtifactMissing"}
IMAGE_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
)
NO_CAPACITY = "InsufficientCapacity"
NO_NODE_YET = frozenset({"Unschedulable", "SchedulingGated"})  # a gate: Kueue and the like wait for quota
MESSAGE_LIMIT = 300
_SENTENCES = {
    "DigestMismatch": "the model's bytes are not those of its digest",
    "ArtifactMissing": "the model is not in the store",
    "FetchFailed": "the model could not be fetched",
    "ImagePullFailed": "an image cannot be pulled",
    "CrashLoop": "the model server ends again and again",
    "ConfigError": "a container cannot be configured (is the Secret there?)",
    NO_CAPACITY: "no node takes the pod",
}


def trouble(pods: Iterable[Obj]) -> tuple[str, str]:
    """Return (reason, sentence) of the first pod that tells one; ("", "") where it is only a matter of time.

    What a container does counts before a pod that finds no node: more room would not mend it.
    """
    ordered = sorted(pods, key=lambda p: str(p["metadata"].get("name")))
    for why in (_container_trouble, _unscheduled):
        reason = next((reason for pod in ordered if (reason := why(pod))), "")
        if reason:
            return reason, _SENTENCES[reason]
    return "", ""


def _container_trouble(pod: Obj) -> str:
    status = pod.get("status", {})
    for container in status.get("initContainerStatuses") or ():
        reason = _waiting(container) or _fetch(container)
        if reason:
            return reason
    found = (_waiting(c) for c in status.get("containerStatuses") or ())
    return next((reason for reason in found if reason), "")


def _fetch(container: Mapping[str, Any]) -> str:
    """Return why the fetch failed, also while it waits to try again."""
    for state in (container.get("state", {}), container.get("lastState", {})):
        code = (state.get("terminated") or {}).get("exitCode", 0)
        if code:
            return FETCH_REASONS.get(code, "FetchFailed")
    return ""


def _waiting(container: Mapping[str, Any]) -> str:
    reason = (container.get("state", {}).get("waiting") or {}).get("reason", "")
    if reason in IMAGE_REASONS:
        return "ImagePullFailed"
    if reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
        return "ConfigError"
    if reason == "CrashLoopBackOff":
        return _fetch(container) if container.get("name") == "fetch" else "CrashLoop"
    return ""


def _unscheduled(pod: Obj) -> str:
    conditions = pod.get("status", {}).get("conditions") or ()
    scheduled: Mapping[str, Any] = next((c for c in conditions if c.get("type") == "PodScheduled"), {})
    waits = scheduled.get("status") == "False" and scheduled.get("reason") in NO_NODE_YET
    return NO_CAPACITY if waits else ""
