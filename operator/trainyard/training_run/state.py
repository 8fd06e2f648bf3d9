"""What is observed of a TrainingRun, and what may be done about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from trainyard.reconciling.plan import Action, named
from trainyard.resources.base import ObjectMeta
from trainyard.resources.training_run import TrainingRun, TrainingRunStatus
from trainyard.systems.cluster.port import JOB, POD, WORKFLOW, Kind
from trainyard.systems.engine.port import EngineState, Outputs, RunRequest
from trainyard.training_run.data import Data
from trainyard.training_run.sources import Source


@dataclass(frozen=True)
class Observed:
    """One run and what it depends on. Absence and failure are values.

    run: None where the object cannot be read, `problem` says why; before: its status, as far as it can be read.
    kind: the engine's branch. request: None where the revision is missing and nothing was started.
    engine: None where nothing was started or the engine does not answer (`engine_error`).
    outputs: only read once the engine has succeeded; `outputs_error` where the store does not answer.
    version: the ModelVersion that bears the run's name, if there is one. ahead: the older run that it waits for, "".
    data: the versions of its datasets, as it carries them or, before the start, as they are now. changed_data: those
    that have changed since, where the engine itself does not tell what it read.
    tried: for how many seconds this process has tried to end a deleted run.
    """

    meta: ObjectMeta
    before: TrainingRunStatus
    run: TrainingRun | None = None
    problem: str = ""
    source: Source = field(default_factory=Source)
    unusable_secrets: tuple[str, ...] = ()
    kind: str = ""
    available: bool = True
    request: RunRequest | None = None
    engine: EngineState | None = None
    engine_error: str = ""
    outputs: Outputs | None = None
    outputs_error: str = ""
    version: Mapping[str, Any] | None = None
    ahead: str = ""
    data: Data = field(default_factory=Data)
    changed_data: tuple[str, ...] = ()
    tried: float = 0.0


@dataclass(frozen=True)
class StartEngine(Action):
    """Ask the engine to start the attempt, or to begin the part that is due."""

    kind: str
    request: RunRequest


@dataclass(frozen=True)
class StopEngine(Action):
    """Ask the engine to stop the attempt and free what it holds."""

    irrevocable: ClassVar[bool] = True  # hours of training that a stale store took for waiting or lost
    hangs_on: ClassVar[frozenset[Kind] | None] = frozenset({JOB, POD, WORKFLOW})

    kind: str
    request: RunRequest


@dataclass(frozen=True)
class CreateVersion(Action):
    """Create the ModelVersion of a succeeded run, or find it created."""

    version: Mapping[str, Any]

    @property
    def about(self) -> str:
        """See `Action`."""
        return named(self.version)
