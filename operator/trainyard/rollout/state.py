"""What is observed of a Rollout, and what can be intended with it.

Made by `observe`, read by `decide` and everything it calls, and translated into writes by `act`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from trainyard.reconciling.plan import Action
from trainyard.resources.rollout import MetricStatus, Rollout
from trainyard.systems.bundle import Config
from trainyard.systems.cluster.port import Obj, Ref
from trainyard.systems.prometheus.port import Answer


@dataclass(frozen=True)
class Candidate:
    """A ModelVersion as a Rollout sees it. `why` says why it is not ready ("" where it is)."""

    name: str
    uri: str
    digest: str
    run: str | None
    created_at: str
    ready: bool
    why: str = ""

    @property
    def age_key(self) -> tuple[str, str]:
        """Order of versions: the newest is the greatest."""
        return (self.created_at, self.name)


@dataclass(frozen=True)
class Stored:
    """A revision as its ControllerRevision keeps it: what it serves, and its objects as they were rendered once."""

    revision: str
    version: str
    digest: str
    run: str | None
    created_at: str
    deployment: Obj
    service: Obj
    outcome: str
    obj: Obj


@dataclass(frozen=True)
class Rival:
    """Another Rollout of the namespace: who it is, since when, and which requests it claims."""

    name: str
    created: str
    hostnames: tuple[str, ...]
    path: str
    parents: tuple[tuple[str, str], ...]
    deleting: bool


@dataclass(frozen=True)
class Measurement:
    """The answers of one interval. `metrics`: name -> (the canary's answer, stable's)."""

    slot: int
    at: datetime
    requests: Answer
    metrics: Mapping[str, tuple[Answer, Answer]]


@dataclass(frozen=True)
class Progress:
    """What this process remembers between status writes; losing it costs at most a minute of a pause.

    key: the canary's revision, step and start, for which the rest counts. wall, seen: the clock and the monotonic
    clock (seconds) at the last visit that succeeded. flushed: monotonic time of the last flush. put_back:
    monotonic times at which somebody's edit of the route was put back.
    """

    key: str
    wall: datetime
    seen: float
    flushed: float
    counted: float = 0.0
    slot: int = -1
    metrics: tuple[MetricStatus, ...] = ()
    share: str | None = None
    far: bool = False
    fresh: bool = False
    passing: bool = False
    held_since: str | None = None
    put_back: tuple[float, ...] = ()


@dataclass(frozen=True)
class Observed:
    """Everything a decision about one Rollout needs; nothing in it raises.

    rollout is None where the object cannot be read; `problem` says why. deployments, services, stored and pods are
    keyed by revision. monotonic is the monotonic clock in seconds.
    """

    obj: Obj
    rollout: Rollout | None
    problem: str
    config: Config
    monotonic: float
    versions: tuple[Candidate, ...] = ()
    route: Obj | None = None
    deployments: Mapping[str, Obj] = field(default_factory=dict)
    services: Mapping[str, Obj] = field(default_factory=dict)
    stored: Mapping[str, Stored] = field(default_factory=dict)
    pods: Mapping[str, tuple[Obj, ...]] = field(default_factory=dict)
    rivals: tuple[Rival, ...] = ()
    progress: Progress | None = None
    measurement: Measurement | None = None


@dataclass(frozen=True)
class ApplyObject(Action):
    """Bring a ControllerRevision, Deployment or Service to its rendering."""

    manifest: Obj


@dataclass(frozen=True)
class ShiftTraffic(Action):
    """Bring the HTTPRoute to this rendering, if it is still as the decision saw it (None: not there)."""

    manifest: Obj
    resource_version: str | None


@dataclass(frozen=True)
class MarkRevision(Action):
    """Write a revision's outcome ("": none) on its ControllerRevision, so that it survives a lost status."""

    ref: Ref
    outcome: str


@dataclass(frozen=True)
class Remove(Action):
    """Delete one object of ours."""

    ref: Ref
    uid: str


@dataclass(frozen=True)
class Remember(Action):
    """Keep the progress in this process until the next visit (None: forget it). Writes nothing."""

    progress: Progress | None
