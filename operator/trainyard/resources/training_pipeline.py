"""TrainingPipeline: how and when a model is trained."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

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
from trainyard.resources.triggers import EventTriggerStatus, ScheduleStatus, Triggers
from trainyard.resources.values import AnyJson, ParameterMap


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
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"] = Field(
        default="ReadWriteOnce", description="ReadWriteMany where workers run on several nodes."
    )


class JobEngine(Model):
    """Training as pods of a batch/v1 Job. The pod allow-list is `template`; the rest is forced."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.workers == 1 || !has(self.volume) || self.volume.accessMode != 'ReadWriteOncePod'",
                "several workers share the run's volume: it cannot be ReadWriteOncePod",
            ),
        )
    )

    template: Container = Field(description="The training container (docs/contracts.md tells what it finds).")
    volume: Volume = Field(default_factory=Volume, description="The run's volume.")
    workers: int = Field(default=1, ge=1, le=64, description="How many pods train together.")
    framework: Literal["None", "TensorFlow", "PyTorch"] = Field(
        default="None", description="Whose words tell the workers of each other: TF_CONFIG, or MASTER_ADDR and PET_*."
    )
    checkpoint: Volume | None = Field(
        default=None, description="A claim of its own for checkpoints; on the run's volume where left out."
    )


class ConfigMapKey(Model):
    """A key of a ConfigMap in the same namespace."""

    name: ObjectName = Field(description="The ConfigMap's name.")
    key: Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)] = Field(
        default="pipeline.yaml", description="The key in it."
    )


class Package(Model):
    """A compiled Kubeflow pipeline (IR YAML of KFP v2, with its platforms document): exactly one source."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one("configMap", "artifact", "inline")))

    config_map: ConfigMapKey | None = Field(default=None, description="Read from a ConfigMap; its changes count.")
    artifact: Uri | None = Field(default=None, description="Read from the object store, below the namespace's prefix.")
    inline: Annotated[str, StringConstraints(min_length=1, max_length=524_288)] | None = Field(
        default=None, description="The package itself."
    )


class TaskOutput(Model):
    """One output of one task."""

    task: Word = Field(description="The task's name in the package.")
    artifact: Word = Field(description="The output's name.")


class KubeflowEngine(Model):
    """A run on a Kubeflow Pipelines server that the operator's configuration names."""

    package: Package = Field(description="The compiled pipeline.")
    experiment: Annotated[str, StringConstraints(max_length=128)] = Field(
        default="", description="The experiment, created where it does not exist; the pipeline's name where empty."
    )
    caching: bool = Field(default=True, description="Whether steps may be answered from Kubeflow's cache.")
    model_output: TaskOutput | None = Field(
        default=None, description="The output that is the model; without it a run makes no ModelVersion."
    )
    metrics_output: TaskOutput | None = Field(
        default=None, description="The output that is a JSON report of metrics, for the gate."
    )
    format: Literal["SavedModel", "TFLite", "TFJS", "ONNX", "TorchScript", "XGBoost", "Sklearn", "Custom"] = Field(
        default="SavedModel", description="The model's format."
    )


class Engine(Model):
    """What runs the training: exactly one."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one("job", "kubeflow")))

    job: JobEngine | None = Field(default=None, description="Training pods.")
    kubeflow: KubeflowEngine | None = Field(default=None, description="A Kubeflow Pipelines run.")


class Parameter(Model):
    """One typed parameter of the training."""

    name: Word = Field(description="Its name.")
    type: Literal["String", "Integer", "Double", "Boolean", "List", "Struct"] = Field(description="Its type.")
    default: AnyJson = Field(default=None, description="Its value where a run gives none; without it a run must.")
    description: Text = Field(default="", description="A sentence for people.")

    @property
    def required(self) -> bool:
        """Whether a run has to give it."""
        return self.default is None


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


class Retry(Model):
    """How often a failed training is tried again, from its checkpoint."""

    limit: int = Field(default=0, ge=0, le=98, description="Attempts after the first.")
    backoff_seconds: Annotated[int, Field(ge=0, le=86_400)] = Field(
        default=30, description="The wait before the second attempt; doubled before each further one."
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
    starting_deadline_seconds: Annotated[int, Field(ge=1, le=31_536_000)] = Field(
        default=3_600, description="A scheduled run that could not start for this long after its slot is missed."
    )
    retry: Retry = Field(default_factory=Retry, description="What follows a failed attempt.")
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
    package_digest: Digest | None = Field(default=None, description="The resolved Kubeflow package.")
    schedules: Annotated[tuple[ScheduleStatus, ...], Field(max_length=32)] = Field(
        default=(), description="Where each schedule stands."
    )
    events: Annotated[tuple[EventTriggerStatus, ...], Field(max_length=32)] = Field(
        default=(), description="Which events each event trigger has handled."
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
    "AnyJson",
    "Condition",
    "Data",
    "Dataset",
    "Engine",
    "History",
    "JobEngine",
    "KubeflowEngine",
    "Package",
    "Parameter",
    "ParameterMap",
    "Retry",
    "Seconds",
    "ShortName",
    "TaskOutput",
    "TrainingPipeline",
    "TrainingPipelineSpec",
    "TrainingPipelineStatus",
    "Triggers",
    "Volume",
]
