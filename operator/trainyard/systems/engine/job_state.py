"""From the Jobs and pods of one attempt to the engine's state. Pure; used by `job`.

An attempt has two parts: the training Job (steps data, where there are datasets, and train) and, once that is done,
the publishing Job.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trainyard import naming
from trainyard.systems.cluster.port import Obj
from trainyard.systems.engine import job_pods
from trainyard.systems.engine.job_objects import FETCH, PUBLISH, TRAIN
from trainyard.systems.engine.port import EngineState, Phase, Step

STOPPING = "Stopping"
RETRYING = "Retrying"
DELETED = "The pod is gone before it ended; the Job says: "
QUEUED = "Queued"


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


def parts(jobs: Sequence[Obj], pods: Sequence[Obj]) -> tuple[Part, Part]:
    """Sort an attempt's Jobs and pods into training and publishing."""
    return _part(TRAIN, jobs, pods), _part(PUBLISH, jobs, pods)


def state(jobs: Sequence[Obj], pods: Sequence[Obj]) -> EngineState:
    """Return where an attempt is."""
    if not jobs and not pods:
        return EngineState(Phase.ABSENT)
    train, publish = parts(jobs, pods)
    if _is_there(publish):
        return _publishing(training_steps(train), publish)
    if _is_there(train):
        return _training(training_steps(train), train)
    return EngineState(Phase.RUNNING, STOPPING)


def training_steps(train: Part) -> tuple[Step, ...]:
    """Return the steps of the training Job: data (where it fetches any) and train."""
    steps = [_step(name, train) for name in _containers(train)]
    if len(steps) == 2 and steps[0].state is not Phase.SUCCEEDED:
        steps[1] = Step(TRAIN, Phase.PENDING)  # it tells nothing of its own before its data is there
    return tuple(steps)


def _training(steps: tuple[Step, ...], train: Part) -> EngineState:
    current = next((s for s in steps if s.state is not Phase.SUCCEEDED), None)
    if current is None:
        pending = (*steps, Step(PUBLISH, Phase.PENDING))
        return EngineState(Phase.RUNNING, steps=pending, due=True)
    if current.state is Phase.FAILED:
        return _failed(current, steps)
    phase = Phase.PENDING if steps[0].state is Phase.PENDING else Phase.RUNNING
    return _waiting(EngineState(phase, steps=steps), current, train)


def _publishing(before: tuple[Step, ...], publish: Part) -> EngineState:
    done = tuple(s if s.state is Phase.SUCCEEDED else replace(s, state=Phase.SUCCEEDED, reason="") for s in before)
    current = publish_step(publish)
    steps = (*done, current)
    if current.state is Phase.SUCCEEDED:
        return EngineState(Phase.SUCCEEDED, steps=steps)
    if current.state is Phase.FAILED:
        return EngineState(Phase.FAILED, "PublishFailed", current.message, steps)
    return _waiting(EngineState(Phase.RUNNING, steps=steps), current, publish)


def _failed(step: Step, steps: tuple[Step, ...]) -> EngineState:
    known = step.reason if step.reason in ("OutOfMemory", "Unschedulable", "ImagePullFailed") else "StepFailed"
    code = "" if step.exit_code is None or known != "StepFailed" else f" with exit code {step.exit_code}"
    why = "" if step.reason in (known, "") else f" ({step.reason})"
    return EngineState(Phase.FAILED, known, f"Step {step.name} failed{code}{why}: {step.message}", steps)


def _waiting(state: EngineState, step: Step, part: Part) -> EngineState:
    """Add why and since when the current step waits; nothing where it runs."""
    if step.state is not Phase.PENDING or part.job is None:
        return state
    if part.job.get("spec", {}).get("suspend"):
        return replace(state, reason=QUEUED, message="The Job is suspended until its queue admits it.")
    since = (part.newest or part.job)["metadata"].get("creationTimestamp")
    return replace(state, reason=step.reason, message=step.message, waiting_since=since)


def publish_step(part: Part) -> Step:
    """Return the publish step: a failed pod is tried again until the Job itself has failed."""
    verdict = _verdict(part.job)
    step = _step(PUBLISH, part)
    if verdict == "" and step.state is Phase.FAILED:
        return replace(step, state=Phase.RUNNING, reason=RETRYING, completion_time=None)
    if verdict == "Failed":
        return replace(step, state=Phase.FAILED, reason="PublishFailed")
    return step


def _step(name: str, part: Part) -> Step:
    """Return a step from its newest pod; from the Job's verdict where no pod can tell any more."""
    told = job_pods.step(name, part.newest) if part.newest else Step(name, Phase.PENDING)
    if told.state in (Phase.SUCCEEDED, Phase.FAILED):
        return told
    verdict = _verdict(part.job)
    if verdict == "Complete":
        return replace(told, state=Phase.SUCCEEDED, reason="", message="", completion_time=_ended_at(part.job))
    if verdict == "Failed":
        why = job_pods.shortened(DELETED + _why_failed(part.job))
        return replace(told, state=Phase.FAILED, reason="StepFailed", message=why, completion_time=_ended_at(part.job))
    return told


def _containers(train: Part) -> tuple[str, ...]:
    spec = (train.job or {}).get("spec", {}).get("template", {}).get("spec", {})
    return (FETCH, TRAIN) if spec.get("initContainers") else (TRAIN,)


def _is_there(part: Part) -> bool:
    """Whether a part's Job exists and is not being taken away."""
    return part.job is not None and "deletionTimestamp" not in part.job["metadata"]


def _part(role: str, jobs: Sequence[Obj], pods: Sequence[Obj]) -> Part:
    mine = sorted((p for p in pods if _has_role(p, role)), key=_age)
    return Part(role, next((j for j in jobs if _has_role(j, role)), None), tuple(mine))


def _has_role(obj: Obj, role: str) -> bool:
    return bool(obj["metadata"].get("labels", {}).get(naming.LABEL_ROLE) == role)


def _age(obj: Obj) -> tuple[str, str]:
    return str(obj["metadata"].get("creationTimestamp", "")), str(obj["metadata"]["name"])


def _verdict(job: Obj | None) -> str:
    """Return Complete or Failed once the Job controller has said so, "" before."""
    ended = (c["type"] for c in _conditions(job) if c["type"] in ("Complete", "Failed") and c["status"] == "True")
    return next(ended, "")


def _why_failed(job: Obj | None) -> str:
    told = next((c for c in _conditions(job) if c["type"] == "Failed"), {})
    return str(told.get("message", ""))


def _ended_at(job: Obj | None) -> str | None:
    status = (job or {}).get("status", {})
    ended = next((c for c in _conditions(job) if c["type"] in ("Complete", "Failed")), {})
    return status.get("completionTime") or ended.get("lastTransitionTime")


def _conditions(job: Obj | None) -> Sequence[Mapping[str, Any]]:
    return tuple((job or {}).get("status", {}).get("conditions") or ())
