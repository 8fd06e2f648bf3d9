"""ModelVersion: one immutable model, where it came from, and whether it may serve."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints

from trainyard.resources.base import (
    Decimal,
    Digest,
    FolderUri,
    Model,
    Name,
    Resource,
    RowNumber,
    StatusModel,
    Timestamp,
    Uri,
    Word,
    map_by,
    ordered,
    rules,
)
from trainyard.resources.conditions import Conditions

FORMATS = Literal["SavedModel", "TFLite", "TFJS", "ONNX", "TorchScript", "XGBoost", "Sklearn", "Custom"]


class MetricRule(Model):
    """A metric of the manifest and its bounds, both inclusive."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("has(self.min) || has(self.max)", "a metric rule needs min or max"), ordered("min", "max")
        )
    )

    name: Word = Field(description="The metric's name in the manifest.")
    min: Decimal | None = Field(default=None, description="The least value that passes.")
    max: Decimal | None = Field(default=None, description="The greatest value that passes.")


class Evaluation(Model):
    """The gate before a model may serve."""

    metrics: Annotated[
        tuple[MetricRule, ...],
        Field(
            max_length=50,
            json_schema_extra=map_by("name"),
        ),
    ] = Field(default=(), description="Every rule must pass.")
    no_rules: Literal["Accept", "Reject"] = Field(
        default="Reject", description="What happens to a version when no rule is declared."
    )


class Artifact(Model):
    """The model's bytes."""

    uri: FolderUri = Field(
        description="The folder that holds manifest.json, with a / at the end; below s3://<bucket>/<namespace>/."
    )
    digest: Digest = Field(description="SHA-256 over the manifest's sorted (path, size, SHA-256) list.")
    format: FORMATS = Field(default="SavedModel", description="What the files are.")


class SourceDataset(Model):
    """A dataset the model was trained on."""

    name: Name = Field(description="Its name in the pipeline.")
    uri: Uri = Field(description="Where it was read.")
    digest: Digest = Field(description="The digest of its listing (key, size, ETag).")


class Source(Model):
    """Where the model came from."""

    run: Name | None = Field(default=None, description="The TrainingRun; none for an import.")
    datasets: Annotated[tuple[SourceDataset, ...], Field(max_length=32)] = Field(
        default=(), description="What it was trained on."
    )
    images: Annotated[tuple[Annotated[str, StringConstraints(max_length=512)], ...], Field(max_length=8)] = Field(
        default=(), description="The digests of the images that trained it."
    )


FIXED = ("model", "artifact", "metrics", "source", "evaluation", "createdAt")
_UNCHANGED = " && ".join(
    f"has(self.{f}) == has(oldSelf.{f}) && (!has(self.{f}) || self.{f} == oldSelf.{f})" for f in FIXED
)


class ModelVersionSpec(Model):
    """One model. Immutable, but for what people call it."""

    model_config = ConfigDict(
        json_schema_extra=rules((_UNCHANGED, "a ModelVersion is immutable but for its aliases: make another"))
    )

    model: Name = Field(description="The model it is a version of.")
    artifact: Artifact = Field(description="Its bytes.")
    metrics: dict[str, Decimal] = Field(
        default_factory=dict,
        description="What the training measured; informative, the gate reads the manifest.",
        json_schema_extra={"maxProperties": 100},
    )
    source: Source = Field(default_factory=Source, description="Where it came from.")
    evaluation: Evaluation = Field(default_factory=Evaluation, description="The gate it must pass.")
    created_at: Timestamp = Field(
        description="When it was made, in microseconds UTC; the newest version is the one with the greatest."
    )
    aliases: Annotated[tuple[Word, ...], Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"})] = (
        Field(
            default=(),
            description="Names that Rollouts follow; the newest Ready version of the model that lists one holds it.",
        )
    )


class RuleResult(StatusModel):
    """How one rule came out."""

    rule: Annotated[str, StringConstraints(max_length=256)] = Field(description="The rule, for example auc >= 0.90.")
    passed: bool = Field(description="Whether it passed.")
    value: Annotated[str, StringConstraints(max_length=64)] = Field(default="", description="What was measured.")
    message: Annotated[str, StringConstraints(max_length=512)] = Field(default="", description="Why it failed.")


class DecisionStatus(StatusModel):
    """The gate's decision; made once, frozen for good."""

    verdict: Literal["Accepted", "Rejected"] = Field(description="Whether the version may serve.")
    rules: Annotated[tuple[RuleResult, ...], Field(max_length=64)] = Field(default=(), description="Rule by rule.")
    at: Timestamp = Field(description="When it was decided.")


class Rejection(StatusModel):
    """A Rollout that rejected this version."""

    rollout: Name = Field(description="The Rollout.")
    revision: Annotated[str, StringConstraints(max_length=63)] = Field(description="Its revision.")
    reason: Annotated[str, StringConstraints(max_length=256)] = Field(description="Why.")


class ModelVersionStatus(StatusModel):
    """What the operator knows of a version."""

    observed_generation: int = Field(default=0, description="The generation of the spec that this speaks of.")
    conditions: Conditions = Field(
        default=(),
        description="Accepted, Verified, Evaluated, Ready, Rejected, Recorded, Reconciling, Stalled.",
    )
    decision: DecisionStatus | None = Field(default=None, description="The gate's decision.")
    served_by: Annotated[tuple[Name, ...], Field(max_length=50)] = Field(
        default=(), description="Rollouts that send it traffic."
    )
    holds: Annotated[tuple[Word, ...], Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"})] = (
        Field(default=(), description="The aliases that it holds; no two versions of a model show the same one.")
    )
    rejections: Annotated[tuple[Rejection, ...], Field(max_length=50)] = Field(
        default=(), description="Rollouts that rejected it."
    )
    sequence: RowNumber = Field(default=0, description="The number of the last row about its aliases.")
    unrecorded: Annotated[
        tuple[
            Annotated[dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})],
            ...,
        ],
        Field(max_length=50),
    ] = Field(default=(), description="Rows that wait for the metadata database.")


class ModelVersion(Resource):
    """A ModelVersion object."""

    spec: ModelVersionSpec
    status: ModelVersionStatus = Field(default_factory=ModelVersionStatus)
