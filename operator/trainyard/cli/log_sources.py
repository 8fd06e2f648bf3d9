"""Where a run's log lines are: the pods of its Jobs, or those of its Workflow in Kubeflow. Used by `logs`."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from trainyard import naming
from trainyard.cli.connection import Connection
from trainyard.cli.objects import Obj, at
from trainyard.cli.problem import USAGE, Problem
from trainyard.systems.cluster.port import POD

ROLES = {"train": 0, "publish": 1}
INDEX = "batch.kubernetes.io/job-completion-index"
WORKFLOW_RUN = "pipeline/runid"
WORKFLOW_NODE = "workflows.argoproj.io/node-name"
DRIVER = "-driver"  # pods of Kubeflow's own that prepare a task
WORKFLOW_SIDECARS = frozenset({"wait", "init", "kfp-launcher"})


class Choice(NamedTuple):
    """Which of a run's pods: a step by name, an attempt by number or the one before the newest.

    kubeflow_namespace: where the Workflows of a single-tenant Kubeflow are.
    """

    step: str | None = None
    attempt: int | None = None
    previous: bool = False
    kubeflow_namespace: str = "kubeflow"


class Source(NamedTuple):
    """One container. `begun`: it has written, or is about to. prefix: what its lines carry where several write."""

    step: str
    prefix: str
    namespace: str
    pod: str
    container: str
    uid: str
    begun: bool

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from every other container."""
        return self.uid, self.container


def attempt_of(run: Obj, choice: Choice) -> int:
    """Return the attempt that is meant. Raises Problem where the run has no such one."""
    newest = int(at(run, "status.attempt", 0)) or 1
    wanted = newest - 1 if choice.previous else choice.attempt or newest
    if not 1 <= wanted <= newest:
        name = at(run, "metadata.name")
        had = f"it is at attempt {newest}" if newest > 1 else "it has had one attempt only"
        what = "earlier attempt" if choice.previous else f"attempt {wanted}"
        raise Problem(f"TrainingRun {name} has no {what}: {had}.", USAGE)
    return wanted


async def sources(connection: Connection, run: Obj, choice: Choice) -> list[Source]:
    """Return the containers that are meant, in the order that they work in."""
    found = await _jobs(connection, run, choice)
    if at(run, "status.engine.kind") == "kubeflow":  # what publishes its model is a Job
        found = [*await _workflow(connection, run, choice), *found]
    return [source for source in found if _is_meant(source, choice.step)]


def _is_meant(source: Source, step: str | None) -> bool:
    """Whether a step is asked for; `train` means every worker and nested/train, `train-0` also the only worker."""
    if step is None:
        return True
    name = source.step
    return step in (name, name.rpartition("-")[0], f"{name}-0", name.rpartition("/")[2])


# ---- Jobs ----


async def _jobs(connection: Connection, run: Obj, choice: Choice) -> list[Source]:
    labels = {naming.LABEL_RUN: at(run, "metadata.name"), naming.LABEL_ATTEMPT: str(attempt_of(run, choice))}
    pods = sorted(await connection.cluster.list(POD, connection.namespace, labels), key=_place)
    several = any(_index(pod) > 0 for pod in pods) or any(s["name"] == "train-1" for s in at(run, "status.steps", ()))
    return [source for pod in pods for source in _containers(pod, several=several)]


def _place(pod: Obj) -> tuple[int, int, str]:
    return ROLES.get(_role(pod), len(ROLES)), _index(pod), at(pod, "metadata.creationTimestamp")


def _role(pod: Obj) -> str:
    return str(at(pod, "metadata.labels", {}).get(naming.LABEL_ROLE, ""))


def _index(pod: Obj) -> int:
    meta = at(pod, "metadata", {})
    told = at(meta, "labels", {}).get(INDEX) or at(meta, "annotations", {}).get(INDEX) or "0"
    return int(told)


def _containers(pod: Obj, *, several: bool) -> list[Source]:
    suffix = f"-{_index(pod)}" if several and _role(pod) == "train" else ""
    named = [c["name"] for c in (*at(pod, "spec.initContainers", ()), *at(pod, "spec.containers", ()))]
    return [_source(pod, name, f"{name}{suffix}", alone=not suffix and name == "train") for name in named]


# ---- Workflows ----


async def _workflow(connection: Connection, run: Obj, choice: Choice) -> list[Source]:
    """Find the pods by the label that Kubeflow gives them: in the run's namespace, else in Kubeflow's own."""
    labels = {WORKFLOW_RUN: _engine_id(run, attempt_of(run, choice))}
    pods: Sequence[Obj] = await connection.cluster.list(POD, connection.namespace, labels)
    if not pods:
        pods = await connection.cluster.list(POD, choice.kubeflow_namespace, labels)
    named = [(task(pod), pod) for pod in pods]
    shown = [(step, pod) for step, pod in named if not step.endswith(DRIVER) or step == choice.step]
    shown.sort(key=lambda one: (at(one[1], "metadata.creationTimestamp"), one[0]))
    return [_source(pod, name, step) for step, pod in shown for name in _workers(pod)]


def _engine_id(run: Obj, attempt: int) -> str:
    ended: Mapping[int, str] = {a["attempt"]: a["engineId"] for a in at(run, "status.attempts", ())}
    return str(ended.get(attempt) or at(run, "status.engine.id"))


def task(pod: Obj) -> str:
    """Return the task of a Workflow's pod: of `wf-x.root.train.executor`, train; of a nested one, nested/train."""
    node = str(at(pod, "metadata.annotations", {}).get(WORKFLOW_NODE, at(pod, "metadata.name")))
    parts = [part.partition("(")[0] for part in node.split(".")]
    inner = [part for part in parts[1:] if part not in ("root", "executor")]
    return "/".join(inner) or parts[-1]


def _workers(pod: Obj) -> list[str]:
    names = [c["name"] for c in at(pod, "spec.containers", ())]
    return [name for name in names if name not in WORKFLOW_SIDECARS]


# ---- both ----


def _source(pod: Obj, container: str, step: str, *, alone: bool = False) -> Source:
    meta = at(pod, "metadata", {})
    told = (*at(pod, "status.initContainerStatuses", ()), *at(pod, "status.containerStatuses", ()))
    begun = any(
        c["name"] == container and ("running" in c.get("state", {}) or "terminated" in c.get("state", {})) for c in told
    )
    return Source(step, "" if alone else step, meta["namespace"], meta["name"], container, meta["uid"], begun)
