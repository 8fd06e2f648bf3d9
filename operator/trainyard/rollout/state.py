"""What is observed of a Rollout, and what can be intended with it.

Made by `observe`, read by `decide` and everything it calls, and translated into writes by `act`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from trainyard.reconciling.plan import Action, WriteStatus, named
from trainyard.resources.aliases import age_key
from trainyard.resources.rollout import MetricStatus, Rollout
from trainyard.rollout.blocks import Blocks
from trainyard.rollout.experiment import Verdict
from trainyard.rollout.gateway import Offer
from trainyard.systems.bundle import Config
from trainyard.systems.cluster.port import CONTROLLER_REVISION, DEPLOYMENT, HTTP_ROUTE, SERVICE, Kind, Obj, Ref
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
    aliases: frozenset[str] = frozenset()

    @property
    def age_key(self) -> tuple[datetime, str]:
        """Order of versions: the newest is the greatest."""
        return age_key(self.created_at, self.name)


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
    """Another Rollout of the namespace: who it is, since when, whether it serves, and which requests it claims."""

    name: str
    created: str
    serves: bool
    hostnames: tuple[str, ...]
    path: str
    parents: tuple[tuple[str, str], ...]
    deleting: bool


@dataclass(frozen=True)
class Measurement:
    """The answers of one interval. `metrics`: name -> (the canary's answer, stable's).

    labels: name of a ratio with minLabels -> the canary's total since the step began, None where it is not known.
    blocks: name of a sequential metric -> what both revisions did since; left out where no block has passed yet.
    """

    slot: int
    at: datetime
    requests: Answer
    metrics: Mapping[str, tuple[Answer, Answer]]
    labels: Mapping[str, float | None] = field(default_factory=dict)
    blocks: Mapping[str, Blocks] = field(default_factory=dict)


@dataclass(frozen=True)
class Altered:
    """What was applied, and what the API server made of it where that is something else: a webhook's work."""

    manifest: Obj
    live: Obj


@dataclass(frozen=True)
class Progress:
    """What this process remembers between status writes; losing it costs at most a minute of a pause.

    key: the canary's revision, step and start, for which the rest counts. wall, seen: the clock and the monotonic
    clock (seconds) at the last visit that succeeded. flushed: monotonic time of the last flush. put_back:
    monotonic times at which somebody's edit of the route was put back. decision: what the running experiment said last.
    looked_at: monotonic time at which this process itself measured last: what status tells of a hold may be old.
    paused: whether `spec.paused` held at the last visit.
    told: what was said already of answers that were not what was applied.
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
    passed: int = 0
    held_since: str | None = None
    put_back: tuple[float, ...] = ()
    decision: Verdict | None = None
    looked_at: float | None = None
    paused: bool = False
    told: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Observed:
    """Everything a decision about one Rollout needs; nothing in it raises.

    rollout is None where the object cannot be read; `problem` says why. deployments, services, stored and pods are
    keyed by revision. monotonic is the monotonic clock in seconds. tried: for how many seconds this process has tried
    to take a deleted one down. answers: (kind, name) -> what this process remembers of its last apply, where the answer
    was not what was applied.
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
    offers: tuple[Offer, ...] = ()
    progress: Progress | None = None
    measurement: Measurement | None = None
    tried: float = 0.0
    answers: Mapping[tuple[str, str], Altered] = field(default_factory=dict)


# The pods that take traffic, and where it goes.
TRAFFIC = frozenset({DEPLOYMENT, HTTP_ROUTE})


@dataclass(frozen=True)
class Intend(WriteStatus):
    """Write the status that a change of weight begins with: what follows goes by it, whatever is seen then."""

    irrevocable: ClassVar[bool] = True
    hangs_on: ClassVar[frozenset[Kind] | None] = TRAFFIC
    by_name: ClassVar[bool] = True


@dataclass(frozen=True)
class ApplyObject(Action):
    """Bring a ControllerRevision, Deployment or Service to its rendering."""

    at_once: ClassVar[bool] = True  # they need each other only once the route names the revision, after all of them
    manifest: Obj

    @property
    def about(self) -> str:
        """See `Action`."""
        return named(self.manifest)


@dataclass(frozen=True)
class ShiftTraffic(Action):
    """Bring the HTTPRoute to this rendering, if it is still as the decision saw it (None: not there)."""

    irrevocable: ClassVar[bool] = True  # requests that were sent astray are not put back
    hangs_on: ClassVar[frozenset[Kind] | None] = TRAFFIC
    by_name: ClassVar[bool] = True
    manifest: Obj
    resource_version: str | None

    @property
    def about(self) -> str:
        """See `Action`."""
        return named(self.manifest)


@dataclass(frozen=True)
class NameBackend(ShiftTraffic):
    """Add a backend of weight 0 to the route. No request goes elsewhere by it, so what the stores say will do."""

    irrevocable: ClassVar[bool] = False


@dataclass(frozen=True)
class MarkRevision(Action):
    """Write a revision's outcome ("": none) on its ControllerRevision, so that it survives a lost status."""

    ref: Ref
    outcome: str

    @property
    def about(self) -> str:
        """See `Action`."""
        return f"{self.ref.kind.kind} {self.ref.name}"


@dataclass(frozen=True)
class Remove(Action):
    """Delete one object of ours."""

    irrevocable: ClassVar[bool] = True
    hangs_on: ClassVar[frozenset[Kind] | None] = TRAFFIC | {SERVICE, CONTROLLER_REVISION}
    ref: Ref
    uid: str

    @property
    def about(self) -> str:
        """See `Action`."""
        return f"{self.ref.kind.kind} {self.ref.name}"


@dataclass(frozen=True)
class Remember(Action):
    """Keep the progress in this process until the next visit (None: forget it). Writes nothing."""

    inward: ClassVar[bool] = True
    progress: Progress | None
