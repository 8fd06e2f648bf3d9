"""What runs a training: one port for every engine (Jobs now; Kubeflow and Vertex AI later).

`start` is idempotent by the run's identity: called again after a crash it finds what it started.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class Phase(StrEnum):
    """Where an engine run is."""

    ABSENT = "Absent"  # the engine knows nothing of this identity
    PENDING = "Pending"  # known, nothing runs yet
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True)
class Owner:
    """The TrainingRun that children belong to."""

    name: str
    uid: str


@dataclass(frozen=True)
class RunRequest:
    """Everything an engine needs to start one attempt; nothing is looked up later.

    id: the engine identity (UUID). spec: the engine's own branch of the pipeline revision. compute: placement.
    parameters: checked and complete, by name. datasets: name to URI. output: the URI below which the attempt's
    artifact is published. retry_limit: how often the pipeline tries again what fails.
    announced: when (RFC 3339) an engine last said that it is about to start it, "" for never. known: the engine has
    shown this attempt before. title, description, experiment: what people call it.
    """

    id: str
    namespace: str
    run: str
    attempt: int
    owner: Owner
    pipeline: str
    model: str
    spec: Mapping[str, Any]
    compute: Mapping[str, Any]
    parameters: Mapping[str, Any]
    datasets: Mapping[str, str]
    output: str
    timeout_seconds: int | None = None
    retry_limit: int = 0
    announced: str = ""
    known: bool = False
    title: str = ""
    description: str = ""
    experiment: str = ""


@dataclass(frozen=True)
class Step:
    """One step of a run as the engine tells it (for a Job: train, publish). Times are RFC 3339."""

    name: str
    state: Phase
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    start_time: str | None = None
    completion_time: str | None = None


@dataclass(frozen=True)
class EngineState:
    """What the engine says of one run. `reason` is one of TrainingRun's reasons where it failed or waits.

    due: a further part can begin; `start`, called again, begins it. waiting_since: since when (RFC 3339) a part
    waits for a node or its image; None where nothing waits, or where it waits in a queue on purpose.
    released: it holds nothing any more, though the engine remembers it. look_again: seconds until it should be
    asked again, None where every change of it is watched.
    """

    phase: Phase
    reason: str = ""
    message: str = ""
    steps: tuple[Step, ...] = ()
    url: str = ""
    due: bool = False
    waiting_since: str | None = None
    released: bool = False
    look_again: float | None = None


@dataclass(frozen=True)
class Outputs:
    """What a succeeded run left: the published artifact and the metrics in its manifest (decimal strings).

    datasets: what it was trained on, each with name, uri and digest. completed_at: RFC 3339, when it was published.
    A run that makes no model has an empty uri.
    """

    uri: str
    digest: str
    format: str
    size_bytes: int
    metrics: Mapping[str, str] = field(default_factory=dict)
    image_digests: tuple[str, ...] = ()
    datasets: tuple[Mapping[str, str], ...] = ()
    completed_at: str | None = None


class EngineError(Exception):
    """The engine cannot be reached or refuses; the caller keeps its intent and comes again."""


class EngineRefused(Exception):
    """The engine will never take this; `str()` is the sentence, `at` (RFC 3339) is when it said so."""

    def __init__(self, message: str, at: str) -> None:
        super().__init__(message)
        self.at = at


# Keeps, before a start that cannot be repeated at will, that it is tried and when (RFC 3339).
Announce = Callable[[str], Awaitable[None]]


async def unannounced(_at: str) -> None:
    """Keep nothing: for engines whose start can be repeated, and for parts of a run that can."""


class Engine(Protocol):
    """Four verbs over one engine; identified by RunRequest.id, addressed by (namespace, run, attempt)."""

    async def start(self, request: RunRequest, announce: Announce = unannounced) -> None:
        """Start the attempt, or find it started, and begin a part that is due. Raises EngineError, EngineRefused.

        `announce` is awaited before a start that must not be repeated; what it raises passes.
        """
        ...

    async def state(self, request: RunRequest) -> EngineState:
        """Return where it is; Phase.ABSENT where the engine does not know it."""
        ...

    async def cancel(self, request: RunRequest) -> bool:
        """Stop it and free its accelerators; True once nothing of it runs any more. Idempotent."""
        ...

    async def outputs(self, request: RunRequest) -> Outputs | None:
        """Return what a succeeded run published, None where the manifest is missing or malformed."""
        ...
