"""TrainingPipeline: how and when a model is trained."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from trainyard.resources.base import (
    Digest,
    Model,
    Name,
    ObjectName,
    Quantity,
    Resource,
    Seconds,
    ShortName,
    StatusModel,
    Text,
    Uri,
    Word,
    exactly_one,
    map_by,
    rules,
)
from trainyard.resources.conditions import Condition, Conditions
from trainyard.resources.model_version import Evaluation
from trainyard.resources.pods import Compute, Container

AnyJson = Annotated[Any, Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})]
ParameterMap = Annotated[
    dict[str, Any],
    Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True, "maxProperties": 100}),
]


class Volume(Model):
    """The PersistentVolumeClaim that a run's pods share."""

    size: Quantity = Field(
        default="1Gi",
        description="Its size; data, checkpoints and the model lie on it.",
        json_schema_extra=rules(("quantity(string(self)).isGreaterThan(quantity('0'))", "a volume needs a size")),
    )
    storage_class_name: ObjectName | None = Field(
        default=None, description="The StorageClass; the cluster's default where left out."
    )


class JobEngine(Model):
    """Training as pods of a batch/v1 Job. The pod allow-list is `template`; the rest is forced."""

    template: Container = Field(description="The training container (docs/contracts.md tells what it finds).")
    volume: Volume = Field(default_factory=Volume, description="The run's volume.")


class Engine(Model):
    """What runs the training: exactly one."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one("job")))

    job: JobEngine | None = Field(default=None, description="Training pods.")


class Parameter(Model):
    """One typed parameter of the training."""

    name: Word = Field(description="Its name.")
    type: Literal["String", "Integer", "Double", "Boolean", "List", "Struct"] = Field(description="Its type.")
    default: AnyJson = Field(default=None, description="Its value where a run gives none; without it a run must.")
    description: Text = Field(default="", description="A sentence for people.")


class Dataset(Model):
    """Data that the training reads."""

    name: Name = Field(description="Its name; the training finds it in a folder of that name.")
    uri: Uri = Field(description="An s3:// prefix (ends with /) or object.")


class Data(Model):
    """The data of a pipeline."""

    datasets: Annotated[
        tuple[Dataset, ...],
        Field(
            max_length=32,
            json_schema_extra=map_by("name"),
        ),
    ] = Field(default=(), description="What is fetched before the training starts.")


class Triggers(Model):
    """When runs start by themselves."""

    on_change: bool = Field(
        default=False, description="Start a run when engine, parameters or data URIs change, and at first."
    )


class History(Model):
    """How many finished runs are kept. Runs that a ModelVersion came from are kept beyond."""

    succeeded: int = Field(default=10, ge=1, le=1000, description="Succeeded runs.")
    failed: int = Field(default=10, ge=1, le=1000, description="Failed and cancelled runs.")


class TrainingPipelineSpec(Model):
    """How and when a model is trained."""

    model: Name = Field(description="The model that its runs produce.")
    engine: Engine = Field(description="What runs the training; exactly one branch.")
    parameters: Annotated[
        tuple[Parameter, ...],
        Field(
            max_length=100,
            json_schema_extra=map_by("name"),
        ),
    ] = Field(default=(), description="Typed parameters with defaults.")
    data: Data = Field(default_factory=Data, description="Datasets.")
    compute: Compute = Field(default_factory=Compute, description="Accelerator and placement of the training pods.")
    triggers: Triggers = Field(default_factory=Triggers, description="When runs start by themselves.")
    evaluation: Evaluation = Field(
        default_factory=Evaluation, description="The gate that each ModelVersion of this pipeline must pass."
    )
    concurrency: Literal["Allow", "Forbid", "Replace"] = Field(
        default="Forbid",
        description="When a run is due while another is active: start it too, wait, or cancel the other first.",
    )
    timeout_seconds: Annotated[int, Field(ge=1, le=31_536_000)] = Field(
        default=86_400, description="A run that takes longer ends with TimedOut."
    )
    pending_timeout_seconds: Annotated[int, Field(ge=1, le=31_536_000)] = Field(
        default=1_800,
        description="A run whose pods cannot start (no node, no image) for this long ends with the reason.",
    )
    history: History = Field(default_factory=History, description="Finished runs that are kept.")
    suspend: bool = Field(default=False, description="Start no run by trigger while true.")


class TrainingPipelineStatus(StatusModel):
    """What the operator knows of a pipeline."""

    observed_generation: int = Field(default=0, description="The generation of the spec that this speaks of.")
    conditions: Conditions = Field(default=(), description="Accepted, Ready, Reconciling, Stalled.")
    revision: Name | None = Field(default=None, description="The ControllerRevision of the present spec.")
    last_inputs_digest: Digest | None = Field(
        default=None, description="The inputs for which the last run by change was made."
    )
    active_runs: Annotated[tuple[Name, ...], Field(max_length=100)] = Field(
        default=(), description="Runs that have not ended."
    )
    last_run: Name | None = Field(default=None, description="The newest run.")
    latest_version: Name | None = Field(default=None, description="The newest Ready ModelVersion.")


class TrainingPipeline(Resource):
    """A TrainingPipeline object."""

    spec: TrainingPipelineSpec
    status: TrainingPipelineStatus = Field(default_factory=TrainingPipelineStatus)


__all__ = [
    "Condition",
    "Data",
    "Dataset",
    "Engine",
    "History",
    "JobEngine",
    "Parameter",
    "Seconds",
    "ShortName",
    "TrainingPipeline",
    "TrainingPipelineSpec",
    "TrainingPipelineStatus",
    "Triggers",
    "Volume",
]
