"""From a run's row and its Workflow to the engine's state, with steps as the package names them. Pure.

The row tells only how a run ended; why stands in the Workflow's nodes (training.md). A task has a driver pod, which
decides, and an executor pod, which works; a task from the cache has no executor.
"""

import base64
import gzip
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainyard.systems.engine.port import EngineState, Phase, Step

Obj = Mapping[str, Any]

SUBMITTED = "Submitted"
CACHED = "Cached"
SKIPPED = "Skipped"
STOPPING = "Stopping"
MESSAGE_LIMIT = 1000
NAME_LIMIT = 63
STEPS_LIMIT = 99  # the publisher's step comes after them
DRIVER = "-driver"
SENT = "Kubeflow was asked to start the run and has not shown it yet."
# Kubeflow itself deletes a Workflow that its agent reports before CreateRun has written the row (on a busy machine).
DELETED = "Its Workflow was deleted by somebody else, or by Kubeflow before it knew the run; create another run."
TERMINATED = "The run was terminated on Kubeflow."
ROW_PHASES: Mapping[str, Phase] = {
    "SUCCEEDED": Phase.SUCCEEDED,
    "SKIPPED": Phase.SUCCEEDED,
    "FAILED": Phase.FAILED,
    "CANCELED": Phase.FAILED,
    "RUNNING": Phase.RUNNING,
    "CANCELING": Phase.RUNNING,
}
NODE_PHASES: Mapping[str, Phase] = {
    "Succeeded": Phase.SUCCEEDED,
    "Skipped": Phase.SUCCEEDED,
    "Omitted": Phase.PENDING,  # what it depends on has failed
    "Failed": Phase.FAILED,
    "Error": Phase.FAILED,
    "Running": Phase.RUNNING,
}
# Of several pods of one task (a loop) the worst tells.
WORST = (Phase.FAILED, Phase.RUNNING, Phase.PENDING, Phase.SUCCEEDED)
_IMAGE = re.compile("ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull|RegistryUnavailable")
_MEMORY = re.compile("OOMKilled")
_EVICTED = re.compile("[Ee]vict|low on resource")
_LOST = re.compile("[Nn]ode (is )?(lost|not ready|shutdown)|pod deleted")
_STOPPED = re.compile("with strategy|deadline|[Mm]ax duration")
_EXIT = re.compile(r"exit code (\d+)")


@dataclass(frozen=True)
class Node:
    """A pod of a Workflow: which task it works for, and what is told of it."""

    path: tuple[str, ...]
    driver: bool
    phase: Phase
    reason: str
    message: str
    exit_code: int | None
    started: str | None
    finished: str | None


def run_state(tasks: Sequence[tuple[str, ...]], row: Obj | None, workflow: Obj | None) -> EngineState:
    """Return where a run is that Kubeflow knows. tasks: the package's, in order; () where it is not at hand."""
    phase = _phase(row, workflow)
    steps = _limited(_steps(tasks, workflow, phase is Phase.SUCCEEDED))
    if phase is Phase.FAILED:
        return _failed(steps, row, workflow)
    if phase is Phase.SUCCEEDED:
        return EngineState(phase, steps=steps)
    if str((row or {}).get("state")) == "CANCELING" or _is_shutting_down(workflow):
        return EngineState(Phase.RUNNING, STOPPING, steps=steps)
    return _under_way(steps, row, workflow)


def nodes(workflow: Obj | None) -> Mapping[str, Obj]:
    """Return a Workflow's nodes, unpacked where Argo packed them for their size."""
    status = _map(_map(workflow).get("status"))
    packed = status.get("compressedNodes")
    if not packed:
        return {key: _map(node) for key, node in _map(status.get("nodes")).items()}
    try:
        found = json.loads(gzip.decompress(base64.b64decode(packed)))
    except (ValueError, OSError, EOFError):
        return {}
    return {key: _map(node) for key, node in _map(found).items()}


def is_never_seen(row: Obj | None, workflow: Obj | None) -> bool:
    """Whether a row is being terminated of which no Workflow was ever reported."""
    return workflow is None and str((row or {}).get("state")) == "CANCELING"


def has_ended(row: Obj | None) -> bool:
    """Whether a row tells the end."""
    return ROW_PHASES.get(str((row or {}).get("state")), Phase.RUNNING) in (Phase.SUCCEEDED, Phase.FAILED)


# ---- the run ----


def _phase(row: Obj | None, workflow: Obj | None) -> Phase:
    """The Workflow is fresher than the row, which an agent reports."""
    if workflow is not None:
        return NODE_PHASES.get(str(_map(workflow.get("status")).get("phase")), Phase.PENDING)
    return ROW_PHASES.get(str((row or {}).get("state")), Phase.PENDING)


def _is_shutting_down(workflow: Obj | None) -> bool:
    spec = _map(_map(workflow).get("spec"))
    return bool(spec.get("shutdown")) or spec.get("activeDeadlineSeconds") == 0


def _failed(steps: tuple[Step, ...], row: Obj | None, workflow: Obj | None) -> EngineState:
    failed = next((s for s in steps if s.state is Phase.FAILED), None)
    if failed is None:
        told = _map(_map(workflow).get("status")).get("message") or _map(_map(row).get("error")).get("message")
        why = TERMINATED if _is_shutting_down(workflow) else "Kubeflow tells no reason."
        return EngineState(Phase.FAILED, "StepFailed", _short(str(told or why)), steps)
    known = failed.reason if failed.reason in ("OutOfMemory", "Unschedulable", "ImagePullFailed") else "StepFailed"
    code = "" if failed.exit_code is None or known != "StepFailed" else f" with exit code {failed.exit_code}"
    why = "" if failed.reason in (known, "") else f" ({failed.reason})"
    return EngineState(Phase.FAILED, known, f"Step {failed.name} failed{code}{why}: {failed.message}", steps)


def _under_way(steps: tuple[Step, ...], row: Obj | None, workflow: Obj | None) -> EngineState:
    """Tell since when something waits: a pod that has a reason to, or the whole run before anything runs.

    A row of which no Workflow was ever reported may have none: then it waits since it was made.
    """
    began = any(s.start_time or s.state is not Phase.PENDING for s in steps)
    phase = Phase.RUNNING if began else Phase.PENDING
    waiting = [node for node in _pods(workflow, ()) if node.phase is Phase.PENDING]
    stuck = min((node for node in waiting if node.reason), key=lambda node: node.started or "", default=None)
    if stuck is not None:
        return EngineState(phase, stuck.reason, stuck.message, steps, waiting_since=stuck.started)
    if began:
        return EngineState(phase, steps=steps)
    since = min((node.started for node in waiting if node.started), default=None)
    made = _map(_map(workflow).get("metadata")).get("creationTimestamp") or (row or {}).get("created_at")
    return EngineState(phase, steps=steps, waiting_since=since or made)


# ---- the steps ----


def _steps(tasks: Sequence[tuple[str, ...]], workflow: Obj | None, ended: bool) -> Iterator[Step]:
    pods = list(_pods(workflow, tasks))
    wrappers = dict(_wrappers(workflow, tasks))
    paths = list(tasks) or list(dict.fromkeys(node.path for node in pods if node.path))
    for path in paths:
        mine = [node for node in pods if node.path == path]
        yield _step("/".join(path)[:NAME_LIMIT], mine, wrappers.get(path), ended)


def _step(name: str, pods: Sequence[Node], wrapper: Phase | None, ended: bool) -> Step:
    executors = [node for node in pods if not node.driver]
    if executors:
        return _told(name, executors)
    drivers = [node for node in pods if node.driver and node.phase is not Phase.SUCCEEDED]
    if drivers:  # it has not decided yet, or could not
        node = _worst(drivers)
        phase = Phase.FAILED if node.phase is Phase.FAILED else Phase.PENDING
        return Step(name, phase, node.reason, node.message, node.exit_code)
    if wrapper is Phase.SUCCEEDED or ended:
        decided = max((node.finished for node in pods if node.finished), default=None)
        return Step(name, Phase.SUCCEEDED, CACHED if pods else SKIPPED, completion_time=decided)
    return Step(name, Phase.PENDING)


def _told(name: str, executors: Sequence[Node]) -> Step:
    node = _worst(executors)
    running = node.phase in (Phase.RUNNING, Phase.SUCCEEDED, Phase.FAILED)
    start = min((n.started for n in executors if n.started), default=None) if running else None
    end = max((n.finished for n in executors if n.finished), default=None)
    done = node.phase in (Phase.SUCCEEDED, Phase.FAILED)
    return Step(name, node.phase, node.reason, node.message, node.exit_code, start, end if done else None)


def _worst(pods: Sequence[Node]) -> Node:
    return min(pods, key=lambda node: WORST.index(node.phase))


def _limited(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Keep as many steps as a status takes, the failed and the running ones first, in their order."""
    told = list(steps)
    if len(told) <= STEPS_LIMIT:
        return tuple(told)
    ranked = sorted(range(len(told)), key=lambda i: (WORST.index(told[i].state), i))[:STEPS_LIMIT]
    return tuple(told[i] for i in sorted(ranked))


# ---- the nodes ----


def _pods(workflow: Obj | None, tasks: Sequence[tuple[str, ...]]) -> Iterator[Node]:
    """Yield the pods; of one that was tried again only the last try."""
    found = nodes(workflow)
    tries = {child for node in found.values() if node.get("type") == "Retry" for child in node.get("children") or ()}
    last = {(node.get("children") or [""])[-1] for node in found.values() if node.get("type") == "Retry"}
    for key, node in sorted(found.items(), key=lambda pair: (str(pair[1].get("startedAt") or ""), pair[0])):
        if node.get("type") == "Pod" and (key not in tries or key in last):
            yield _pod(node, _where(node, found), tasks, stopped=_is_shutting_down(workflow))


def _pod(node: Obj, names: tuple[str, ...], tasks: Sequence[tuple[str, ...]], *, stopped: bool) -> Node:
    """Read a pod. One that ended because its run was stopped has not failed: why it was stopped is known elsewhere."""
    own = str(node.get("displayName", "")).partition("(")[0]
    driver = own.endswith(DRIVER)
    path = (*names, own.removesuffix(DRIVER)) if driver else names
    phase = NODE_PHASES.get(str(node.get("phase")), Phase.PENDING)
    message = str(node.get("message") or "")
    if stopped and phase is Phase.FAILED and _STOPPED.search(message):
        phase, message = Phase.RUNNING if _map(node.get("outputs")) else Phase.PENDING, ""
    code = str(_map(node.get("outputs")).get("exitCode") or "") or "".join(_EXIT.findall(message)[-1:])
    reason = _reason(phase, message)
    return Node(
        _task_of(path, tasks),
        driver,
        phase,
        reason,
        _short(message) if reason else "",
        int(code) if code.isdigit() and phase in (Phase.SUCCEEDED, Phase.FAILED) else None,
        node.get("startedAt") or None,
        node.get("finishedAt") or None,
    )


def _where(node: Obj, found: Mapping[str, Obj]) -> tuple[str, ...]:
    """Return the names of the templates around a node, outermost first."""
    names: list[str] = []
    seen: set[str] = set()
    key = str(node.get("boundaryID") or "")
    while key in found and key not in seen:
        seen.add(key)
        names.append(str(found[key].get("displayName", "")).partition("(")[0])
        key = str(found[key].get("boundaryID") or "")
    return tuple(reversed(names))


def _task_of(names: tuple[str, ...], tasks: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Find the task in the names around a pod, among which are the root's and a loop's own."""
    fitting = [task for task in tasks if names and task[-1] in names[-2:] and _is_within(task, names)]
    if tasks:
        return max(fitting, key=len, default=())
    inner = [name for name in names[1:] if name not in ("root", "executor", "")]
    return tuple(inner[-1:])


def _is_within(task: tuple[str, ...], names: tuple[str, ...]) -> bool:
    rest = iter(names)
    return all(part in rest for part in task)


def _wrappers(workflow: Obj | None, tasks: Sequence[tuple[str, ...]]) -> Iterator[tuple[tuple[str, ...], Phase]]:
    """Yield what the template around a task's executor tells: the only trace of one that has none."""
    found = nodes(workflow)
    for node in found.values():
        if node.get("type") in ("DAG", "Skipped", "Steps"):
            names = (*_where(node, found), str(node.get("displayName", "")).partition("(")[0])
            task = _task_of(names, tasks)
            if task and task[-1] == names[-1]:
                yield task, NODE_PHASES.get(str(node.get("phase")), Phase.PENDING)


def _reason(phase: Phase, message: str) -> str:
    """Return one word for what Argo tells in a sentence; it puts the kubelet's or the scheduler's own into it."""
    if phase is Phase.PENDING:
        if message.startswith("Unschedulable"):
            return "Unschedulable"
        if _IMAGE.search(message):
            return "ImagePullFailed"
        return "" if message in ("", "PodInitializing", "ContainerCreating") else "Pending"
    if phase is not Phase.FAILED:
        return ""
    for pattern, word in (
        (_MEMORY, "OutOfMemory"),
        (_IMAGE, "ImagePullFailed"),
        (_EVICTED, "Evicted"),
        (_LOST, "NodeLost"),
    ):
        if pattern.search(message):
            return word
    return "StepFailed"


def _short(message: str) -> str:
    text = " ".join(message.split())
    return text if len(text) <= MESSAGE_LIMIT else "…" + text[-(MESSAGE_LIMIT - 1) :]


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
