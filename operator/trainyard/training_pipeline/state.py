"""What is observed of a TrainingPipeline, and what may be done about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from trainyard.reconciling.plan import Action, named
from trainyard.resources.base import ObjectMeta
from trainyard.resources.training_pipeline import TrainingPipeline, TrainingPipelineStatus
from trainyard.resources.training_run import TrainingRun
from trainyard.systems.cluster.port import MODEL_VERSION, TRAINING_RUN, Kind


@dataclass(frozen=True)
class Observed:
    """One pipeline and its surroundings. Absence and failure are values.

    pipeline: None where the object cannot be read, `problem` says why; before: its status, as far as it can be read.
    revision: the content of the ControllerRevision that bears the present state's name. runs: those of this
    pipeline. named: every run of the namespace, by name. due: the run that bears the name of the present inputs,
    whosoever it is. sources: names of runs that a ModelVersion came from. latest_version: the newest Ready
    ModelVersion of the model. package_digest: of the Kubeflow package, which `pipeline` has in place; package_reason
    and package_problem: why it has not. package_elsewhere: it can change without the pipeline. secrets: each Secret
    that an event trigger names, with the reason and the sentence of what is wrong with it.
    """

    meta: ObjectMeta
    before: TrainingPipelineStatus
    pipeline: TrainingPipeline | None = None
    problem: str = ""
    revision: Mapping[str, Any] | None = None
    runs: tuple[TrainingRun, ...] = ()
    named: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    due: Mapping[str, Any] | None = None
    sources: frozenset[str] = frozenset()
    latest_version: str | None = None
    package_digest: str | None = None
    package_reason: str = ""
    package_problem: str = ""
    package_elsewhere: bool = False
    secrets: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class CreateRevision(Action):
    """Keep a state of the pipeline."""

    revision: Mapping[str, Any]

    @property
    def about(self) -> str:
        """See `Action`."""
        return named(self.revision)


@dataclass(frozen=True)
class CreateRun(Action):
    """Create a run that is due."""

    run: Mapping[str, Any]

    @property
    def about(self) -> str:
        """See `Action`."""
        return named(self.run)


@dataclass(frozen=True)
class CancelRun(Action):
    """Cancel a run that another one replaces."""

    irrevocable: ClassVar[bool] = True
    hangs_on: ClassVar[frozenset[Kind] | None] = frozenset({TRAINING_RUN})

    name: str

    @property
    def about(self) -> str:
        """See `Action`."""
        return f"{TRAINING_RUN.kind} {self.name}"


@dataclass(frozen=True)
class DeleteRun(Action):
    """Remove a finished run beyond the history limits."""

    irrevocable: ClassVar[bool] = True
    hangs_on: ClassVar[frozenset[Kind] | None] = frozenset({TRAINING_RUN, MODEL_VERSION})

    name: str
    uid: str

    @property
    def about(self) -> str:
        """See `Action`."""
        return f"{TRAINING_RUN.kind} {self.name}"
