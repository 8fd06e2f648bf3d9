"""One Job with its pods, and the workers of a training Job: what each of them tells. Pure; used by `job_state`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trainyard.systems.cluster.port import Obj
from trainyard.systems.engine import job_pods
from trainyard.systems.engine.job_objects import FETCH, TRAIN
from trainyard.systems.engine.job_workers import ANNOTATION_INDEX
from trainyard.systems.engine.port import Phase, Step

DELETED = "The pod is gone before it ended; the Job says: "
FAILED_CONDITIONS = ("Failed", "FailureTarget")  # the second comes while other pods are still being stopped
_NAMED_POD = re.compile(r"\bpod \S+/(\S+)", re.IGNORECASE)


@dataclass(frozen=True)
class Part:
    """One Job and its pods, oldest first. `job` is None where it does not exist."""

    role: str
    job: Obj | None
    pods: tuple[Obj, ...]

    @property
    def newest(self) -> Obj | None:
        """The pod that tells how things are."""
        return self.pods[-1] if self.pods else None


@dataclass(frozen=True)
class Worker:
    """One member of the training: its newest pod, the fetching of its data (None where there is none), its training.

    named: the Job says that it failed for this one.
    """

    index: int
    pod: Obj | None
    data: Step | None
    train: Step
    named: bool = False

    @property
    def first(self) -> Step:
        """What begins first."""
        return self.data or self.train

    @property
    def current(self) -> Step:
        """What it is at, or what it ended with."""
        return self.data if self.data is not None and self.data.state is not Phase.SUCCEEDED else self.train

    @property
    def shown(self) -> Step:
        """Its own step: before its data is there it tells nothing of its own, but for why its pod does not begin."""
        if self.current is self.train:
            return self.train
        waits = self.index > 0 and self.current.state is Phase.PENDING
        told = (self.current.reason, self.current.message) if waits else ("", "")
        return Step(self.train.name, Phase.PENDING, *told)

    @property
    def ended_itself(self) -> bool:
        """Whether its container ended, and not because somebody took the pod away to end it."""
        return self.current.exit_code is not None and self.pod is not None and not is_deleting(self.pod)

    @property
    def blame(self) -> tuple[int, str, int]:
        """What the workers of a failed training are ordered by: the one that they fail for comes first."""
        rank = 0 if self.named else 1 if self.ended_itself else 2 if self.pod is None else 3
        return rank, self.current.completion_time or "", self.index

    def stopped(self, reason: str) -> "Worker":
        """Return it as one that was stopped because another one failed."""
        words = "It was stopped, for another worker failed."
        why = replace(self.current, state=Phase.FAILED, reason=reason, message=words)
        return replace(self, train=why) if self.current is self.train else replace(self, data=why)

    def reset(self) -> "Worker":
        """Return it as one that has not begun."""
        data = None if self.data is None else Step(self.data.name, Phase.PENDING)
        return replace(self, data=data, train=Step(self.train.name, Phase.PENDING))


def workers(train: Part) -> list[Worker]:
    """Return the members of the training by index; an empty list is never returned."""
    spec = (train.job or {}).get("spec", {})
    count = int(spec.get("completions") or 1)
    fetches = bool(spec.get("template", {}).get("spec", {}).get("initContainers"))
    return [_worker(train, index, count, fetches=fetches) for index in range(count)]


def step(name: str, job: Obj | None, pod: Obj | None, *, shown: str = "", named: bool = True) -> Step:
    """Return a container's step from its pod; from the Job's verdict where no pod can tell any more.

    named: what the Job says is about this pod.
    """
    told = job_pods.step(name, pod) if pod else Step(name, Phase.PENDING)
    told = replace(told, name=shown or name)
    if told.state in (Phase.SUCCEEDED, Phase.FAILED):
        return told
    if verdict(job) == "Complete":
        return replace(told, state=Phase.SUCCEEDED, reason="", message="", completion_time=_ended_at(job))
    return _vanished(told, job, named=named) if verdict(job) == "Failed" else told


def is_there(part: Part) -> bool:
    """Whether a part's Job exists and is not being taken away."""
    return part.job is not None and not is_deleting(part.job)


def is_deleting(obj: Obj | None) -> bool:
    """Whether an object is being deleted."""
    return obj is not None and "deletionTimestamp" in obj["metadata"]


def is_suspended(job: Obj | None) -> bool:
    """Whether a Job waits in a queue, for the first time or again, and has not ended."""
    return bool((job or {}).get("spec", {}).get("suspend")) and verdict(job) == ""


def verdict(job: Obj | None) -> str:
    """Return Complete or Failed once the Job controller has said so, "" before."""
    told = {c["type"] for c in _conditions(job) if c["status"] == "True"}
    return "Complete" if "Complete" in told else "Failed" if told.intersection(FAILED_CONDITIONS) else ""


def _worker(train: Part, index: int, count: int, *, fetches: bool) -> Worker:
    pod = next((p for p in reversed(train.pods) if count == 1 or _index(p) == index), None)
    shown = TRAIN if count == 1 else f"{TRAIN}-{index}"
    named = count == 1 or pod_named(train.job).startswith(f"{_name(train.job)}-{index}-")
    fetch = f"{FETCH}-{index}" if count > 1 else FETCH
    data = _member_step(FETCH, train.job, pod, shown=fetch, named=named) if fetches else None
    return Worker(index, pod, data, _member_step(TRAIN, train.job, pod, shown=shown, named=named), named)


def _member_step(name: str, job: Obj | None, pod: Obj | None, *, shown: str, named: bool) -> Step:
    """Return a training pod's step. One that is being deleted has failed once the Job says so, not before.

    A queue that takes its admission back deletes pods, and that is no failure.
    """
    told = step(name, job, pod, shown=shown, named=named)
    if told.state is Phase.FAILED and is_deleting(pod) and job is not None and verdict(job) == "":
        return Step(shown, Phase.RUNNING, start_time=told.start_time)
    return told


def pod_named(job: Obj | None) -> str:
    """Return the name of the pod that the Job says it failed for, "" where it names none."""
    found = _NAMED_POD.search(_why_failed(job))
    return found[1] if found else ""


def _vanished(told: Step, job: Obj | None, *, named: bool) -> Step:
    """Return a step whose pod cannot tell any more: the Job kept whether it was taken away."""
    why = _why_failed(job)
    return replace(
        told,
        state=Phase.FAILED,
        reason="Evicted" if named and "DisruptionTarget" in why else "StepFailed",
        message=job_pods.shortened(DELETED + why),
        completion_time=_ended_at(job),
    )


def _index(pod: Obj) -> int:
    text = (pod["metadata"].get("annotations") or {}).get(ANNOTATION_INDEX, "")
    return int(text) if text.isdecimal() else 0


def _name(job: Obj | None) -> str:
    return str((job or {}).get("metadata", {}).get("name", ""))


def _why_failed(job: Obj | None) -> str:
    told = [c for kind in FAILED_CONDITIONS for c in _conditions(job) if c["type"] == kind]
    return str(told[0].get("message", "")) if told else ""


def _ended_at(job: Obj | None) -> str | None:
    status = (job or {}).get("status", {})
    ended = next((c for c in _conditions(job) if c["type"] in ("Complete", *FAILED_CONDITIONS)), {})
    return status.get("completionTime") or ended.get("lastTransitionTime")


def _conditions(job: Obj | None) -> Sequence[Mapping[str, Any]]:
    return tuple((job or {}).get("status", {}).get("conditions") or ())
