"""From the Jobs and pods of one attempt to the engine's state. Pure; used by `job`.

An attempt has two parts: the training Job (steps data, where there are datasets, and train, or train-0, train-1 …
where several workers train together) and, once that is done, the publishing Job.
"""

from collections.abc import Sequence
from dataclasses import replace

from trainyard import naming
from trainyard.systems.cluster.port import Obj
from trainyard.systems.engine.job_objects import FETCH, PUBLISH, QUEUE_LABEL, TRAIN
from trainyard.systems.engine.job_parts import Part, Worker, is_suspended, is_there, step, verdict, workers
from trainyard.systems.engine.port import EngineState, Phase, Step

STOPPING = "Stopping"
RETRYING = "Retrying"
QUEUED = "Queued"
PEER_FAILED = "PeerFailed"
# What a failed step's reason is on the run too; any other one is StepFailed there.
RUN_REASONS = frozenset({"OutOfMemory", "Unschedulable", "ImagePullFailed", "Evicted", "NodeLost"})
WORDS = {"OutOfMemory": "ran out of memory", "Evicted": "was evicted", "NodeLost": "lost its node"}


def parts(jobs: Sequence[Obj], pods: Sequence[Obj]) -> tuple[Part, Part]:
    """Sort an attempt's Jobs and pods into training and publishing."""
    return _part(TRAIN, jobs, pods), _part(PUBLISH, jobs, pods)


def state(jobs: Sequence[Obj], pods: Sequence[Obj]) -> EngineState:
    """Return where an attempt is."""
    if not jobs and not pods:
        return EngineState(Phase.ABSENT)
    train, publish = parts(jobs, pods)
    if is_there(publish):
        return _publishing(_steps(_judged(workers(train))), publish)
    if is_there(train):
        return _training(train)
    return EngineState(Phase.RUNNING, STOPPING)


def publish_step(part: Part) -> Step:
    """Return the publish step: a failed pod is tried again until the Job itself has failed."""
    told = step(PUBLISH, part.job, part.newest)
    if verdict(part.job) == "" and told.state is Phase.FAILED:
        return replace(told, state=Phase.RUNNING, reason=RETRYING, completion_time=None)
    if verdict(part.job) == "Failed":
        return replace(told, state=Phase.FAILED, reason="PublishFailed")
    return told


# ---- training ----


def _training(train: Part) -> EngineState:
    members = workers(train)
    if is_suspended(train.job):
        steps = _steps([w.reset() for w in members])
        return EngineState(Phase.PENDING, QUEUED, "The Job is suspended until its queue admits it.", steps)
    members = _judged(members)
    cause = _cause(members)
    if cause is not None:
        return _failed(cause, _steps(members))
    if all(w.current.state is Phase.SUCCEEDED for w in members):
        steps = (*_steps(members), Step(PUBLISH, Phase.PENDING))
        return EngineState(Phase.RUNNING, steps=steps, due=True)
    begun = any(w.first.state is not Phase.PENDING for w in members)
    return _waiting(EngineState(Phase.RUNNING if begun else Phase.PENDING, steps=_steps(members)), train, members)


def _steps(members: Sequence[Worker]) -> tuple[Step, ...]:
    """Return the steps of the training Job: the first worker's data unless another's failed, then each worker's own."""
    fetching = [w.data for w in members if w.data is not None]
    failed = (d for d in fetching if d.state is Phase.FAILED and d.reason != PEER_FAILED)
    data = next(failed, fetching[0] if fetching else None)
    told = tuple(w.shown for w in members)
    return told if data is None else (replace(data, name=FETCH), *told)


def _cause(members: Sequence[Worker]) -> Step | None:
    """Return the step that failed first of its own accord: the others fail for it."""
    failed = [w for w in members if w.current.state is Phase.FAILED]
    return min(failed, key=lambda w: w.blame).current if failed else None


def _judged(members: Sequence[Worker]) -> list[Worker]:
    """Tell workers that are stopped from the one that they are stopped for."""
    failed = [w for w in members if w.current.state is Phase.FAILED]
    first = min(failed, key=lambda w: w.blame, default=None)
    if first is None:
        return list(members)
    return [w if w is first or w.ended_itself else w.stopped(PEER_FAILED) for w in members]


def _failed(cause: Step, steps: tuple[Step, ...]) -> EngineState:
    known = cause.reason if cause.reason in RUN_REASONS else "StepFailed"
    code = "" if cause.exit_code is None else f" with exit code {cause.exit_code}"
    how = WORDS.get(known, f"failed{code}")
    return EngineState(Phase.FAILED, known, f"Step {cause.name} {how}: {cause.message}", steps)


def _waiting(state: EngineState, train: Part, members: Sequence[Worker]) -> EngineState:
    """Add why and since when a worker waits; nothing where all of them run."""
    waiting = [w for w in members if w.current.state is Phase.PENDING]
    if not waiting:
        return state
    worker = next((w for w in waiting if w.current.reason), waiting[0])
    return _waits(state, worker.current, train, worker.pod)


# ---- publishing ----


def _publishing(before: tuple[Step, ...], publish: Part) -> EngineState:
    done = tuple(s if s.state is Phase.SUCCEEDED else replace(s, state=Phase.SUCCEEDED, reason="") for s in before)
    current = publish_step(publish)
    steps = (*done, current)
    if current.state is Phase.SUCCEEDED:
        return EngineState(Phase.SUCCEEDED, steps=steps)
    if current.state is Phase.FAILED:
        return EngineState(Phase.FAILED, "PublishFailed", current.message, steps)
    told = EngineState(Phase.RUNNING, steps=steps)
    return _waits(told, current, publish, publish.newest) if current.state is Phase.PENDING else told


# ---- what both are made of ----


def _waits(state: EngineState, waiting: Step, part: Part, pod: Obj | None) -> EngineState:
    """Add the reason, and the time from which on it waits: a Job that came out of a queue tells that as its start."""
    meta = (part.job or {}).get("metadata", {})
    made = None if QUEUE_LABEL in meta.get("labels", {}) else meta.get("creationTimestamp")
    began = (part.job or {}).get("status", {}).get("startTime") or made
    since = began if pod is None else pod["metadata"].get("creationTimestamp")
    return replace(state, reason=waiting.reason, message=waiting.message, waiting_since=since)


def _part(role: str, jobs: Sequence[Obj], pods: Sequence[Obj]) -> Part:
    mine = sorted((p for p in pods if _has_role(p, role)), key=_age)
    return Part(role, next((j for j in jobs if _has_role(j, role)), None), tuple(mine))


def _has_role(obj: Obj, role: str) -> bool:
    return bool(obj["metadata"].get("labels", {}).get(naming.LABEL_ROLE) == role)


def _age(obj: Obj) -> tuple[str, str]:
    return str(obj["metadata"].get("creationTimestamp", "")), str(obj["metadata"]["name"])
