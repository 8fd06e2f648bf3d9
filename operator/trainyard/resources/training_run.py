"""TrainingRun: one execution, and the audit record of it."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from trainyard.resources.base import Digest, Model, Name, Resource, StatusModel, Text, Timestamp, Uri, rules
from trainyard.resources.conditions import Conditions
from trainyard.resources.triggers import EventId, EventSource, Slot
from trainyard.resources.values import KeptMap, ParameterMap

_FIXED = "a TrainingRun is immutable but for cancel: create another"
_SAME = rules(("self == oldSelf", _FIXED))


class Trigger(Model):
    """Why the run exists."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.type != 'Change' || has(self.inputsDigest)",
                "a trigger of type Change needs inputsDigest",
            ),
            (
                "self.type != 'Schedule' || (has(self.slot) && has(self.name) && self.name != '')",
                "a trigger of type Schedule needs name and slot",
            ),
            (
                "self.type != 'Event' || (has(self.eventSource) && has(self.eventId) && self.?name.orValue('') != '')",
                "a trigger of type Event needs name, eventSource and eventId",
            ),
        )
    )

    type: Literal["OneOff", "Schedule", "Event", "Change"] = Field(
        default="OneOff", description="By a person, a schedule, an event, or changed inputs."
    )
    name: Annotated[str, StringConstraints(max_length=63)] = Field(
        default="", description="The trigger's name, or who asked."
    )
    inputs_digest: Digest | None = Field(default=None, description="The inputs that changed (type Change).")
    slot: Slot | None = Field(default=None, description="The minute it is for, in UTC (type Schedule).")
    event_source: EventSource | None = Field(default=None, description="The event's source (type Event).")
    event_id: EventId | None = Field(default=None, description="The event's id (type Event).")
    event_time: Timestamp | None = Field(default=None, description="When it happened, as it says (type Event).")


class TrainingRunSpec(Model):
    """What is run. Immutable, but for `cancel`, which can only become true, and who set it."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            *(
                (f"has(self.{f}) == has(oldSelf.{f})", f"{f}: {_FIXED}")
                for f in ("revision", "description", "experiment", "parameters", "requestedBy")
            ),
            ("self.cancel || !oldSelf.cancel", "cancel cannot be taken back: create another TrainingRun"),
            (
                "self.cancel || !has(self.cancelledBy) || self.cancelledBy == ''",
                "cancelledBy is set together with cancel",
            ),
            (
                "!oldSelf.cancel || (has(self.cancelledBy) ? self.cancelledBy : '') == "
                "(has(oldSelf.cancelledBy) ? oldSelf.cancelledBy : '')",
                "cancelledBy is set together with cancel, and stays",
            ),
        )
    )

    pipeline: Name = Field(description="The TrainingPipeline.", json_schema_extra=_SAME)
    revision: Name | None = Field(
        default=None,
        description="The pipeline's ControllerRevision to run; the present one where left out.",
        json_schema_extra=_SAME,
    )
    trigger: Trigger = Field(default_factory=Trigger, description="Why the run exists.", json_schema_extra=_SAME)
    parameters: ParameterMap = Field(
        default_factory=dict, description="Values for the pipeline's parameters.", json_schema_extra=_SAME
    )
    description: Text = Field(default="", description="A sentence for people.", json_schema_extra=_SAME)
    experiment: Annotated[str, StringConstraints(max_length=63)] = Field(
        default="", description="A word that groups runs.", json_schema_extra=_SAME
    )
    requested_by: Annotated[str, StringConstraints(max_length=256)] = Field(
        default="", description="The person or service that asked, as it says.", json_schema_extra=_SAME
    )
    cancel: bool = Field(default=False, description="Stop the run and free what it holds. One-way.")
    cancelled_by: Annotated[str, StringConstraints(max_length=256)] = Field(
        default="", description="The person or service that cancelled it, as it says; set together with cancel."
    )


class EngineRun(StatusModel):
    """Where the engine runs it."""

    kind: Literal["job", "kubeflow"] = Field(description="The engine's branch.")
    id: Annotated[str, StringConstraints(max_length=64)] = Field(description="The identity it was started under.")
    url: Annotated[str, StringConstraints(max_length=1024)] = Field(default="", description="Where a person looks.")


class StepStatus(StatusModel):
    """One step of the run, as the engine tells it."""

    name: Annotated[str, StringConstraints(max_length=63)] = Field(
        description="train (train-0 … where several workers train), publish, or a task of the package."
    )
    state: Literal["Pending", "Running", "Succeeded", "Failed"] = Field(description="Where it is.")
    reason: Annotated[str, StringConstraints(max_length=63)] = Field(default="", description="One word to act on.")
    message: Annotated[str, StringConstraints(max_length=1024)] = Field(
        default="", description="In the runtime's own words."
    )
    exit_code: int | None = Field(default=None, description="The container's exit code.")
    start_time: Timestamp | None = Field(default=None, description="When it started.")
    completion_time: Timestamp | None = Field(default=None, description="When it ended.")


class DatasetStatus(StatusModel):
    """What the run was trained on."""

    name: Annotated[str, StringConstraints(max_length=63)] = Field(description="The dataset's name.")
    uri: Uri = Field(description="Where it was read.")
    digest: Digest = Field(description="The digest of its listing: its version.")


class AttemptStatus(StatusModel):
    """An attempt that has ended."""

    attempt: int = Field(description="Its number, from 1.")
    engine_id: Annotated[str, StringConstraints(max_length=64)] = Field(description="Its identity on the engine.")
    reason: Annotated[str, StringConstraints(max_length=63)] = Field(description="Why it failed.")
    message: Annotated[str, StringConstraints(max_length=1024)] = Field(
        default="", description="In the runtime's own words."
    )
    start_time: Timestamp | None = Field(default=None, description="When its first container began.")
    completion_time: Timestamp | None = Field(default=None, description="When it ended.")


class ArtifactStatus(StatusModel):
    """What was published."""

    uri: Uri = Field(description="The folder of its manifest.json.")
    digest: Digest = Field(description="The digest of its files.")
    format: Annotated[str, StringConstraints(max_length=32)] = Field(description="SavedModel or another word.")
    size_bytes: int = Field(description="All files together, in bytes.")


class OutputsStatus(StatusModel):
    """What the run left."""

    artifact: ArtifactStatus | None = Field(default=None, description="The published model.")
    metrics: dict[str, Annotated[str, StringConstraints(max_length=32)]] = Field(
        default_factory=dict,
        description="Metrics as decimal strings.",
        json_schema_extra={"maxProperties": 100},
    )
    reports: dict[str, Uri] = Field(
        default_factory=dict, description="Reports by name.", json_schema_extra={"maxProperties": 100}
    )


class TrainingRunStatus(StatusModel):
    """What the operator knows of a run."""

    observed_generation: int = Field(default=0, description="The generation of the spec that this speaks of.")
    conditions: Conditions = Field(
        default=(),
        description="Accepted, Started, Succeeded (its reason is the outcome), Recorded, Reconciling, Stalled.",
    )
    revision: Name | None = Field(default=None, description="The pipeline's revision that is run.")
    attempt: int = Field(default=0, description="Which attempt; 0 before the first.")
    engine: EngineRun | None = Field(default=None, description="Where the engine runs it.")
    parameters: KeptMap = Field(default_factory=dict, description="All parameters as they were passed.")
    package_digest: Digest | None = Field(default=None, description="The Kubeflow package that is run.")
    requested_by: Annotated[str, StringConstraints(max_length=256)] = Field(
        default="", description="The person or service that asked, as it says."
    )
    cancelled_by: Annotated[str, StringConstraints(max_length=256)] = Field(
        default="", description="The person or service that cancelled it, as it says; empty where it was not cancelled."
    )
    experiment: Annotated[str, StringConstraints(max_length=128)] = Field(
        default="", description="A word that groups runs."
    )
    description: Text = Field(default="", description="A sentence for people.")
    datasets: Annotated[tuple[DatasetStatus, ...], Field(max_length=32)] = Field(
        default=(), description="What it was trained on, with versions."
    )
    images: Annotated[tuple[Digest, ...], Field(max_length=100)] = Field(
        default=(), description="The digests of the images that ran."
    )
    attempts: Annotated[tuple[AttemptStatus, ...], Field(max_length=20)] = Field(
        default=(), description="Attempts that failed, the newest last."
    )
    retry_time: Timestamp | None = Field(default=None, description="When the next attempt starts.")
    start_time: Timestamp | None = Field(default=None, description="When the engine was asked to start.")
    completion_time: Timestamp | None = Field(default=None, description="When it ended.")
    steps: Annotated[tuple[StepStatus, ...], Field(max_length=100)] = Field(default=(), description="Its steps.")
    outputs: OutputsStatus | None = Field(default=None, description="What it left.")
    model_version: Name | None = Field(default=None, description="The ModelVersion made from it.")
    unrecorded: Annotated[tuple[KeptMap, ...], Field(max_length=50)] = Field(
        default=(), description="Rows that wait for the metadata database."
    )


class TrainingRun(Resource):
    """A TrainingRun object."""

    spec: TrainingRunSpec
    status: TrainingRunStatus = Field(default_factory=TrainingRunStatus)
