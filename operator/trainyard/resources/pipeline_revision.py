"""What a ControllerRevision of a TrainingPipeline keeps: each state of it that a run can see.

TrainingPipelines write it, TrainingRuns read it; immutable, and named by its own content.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from trainyard import naming
from trainyard.resources.base import Name, StatusModel
from trainyard.resources.model_version import Evaluation
from trainyard.resources.pods import Compute
from trainyard.resources.training_pipeline import Data, Engine, Parameter, Retry, TrainingPipelineSpec


class PipelineState(StatusModel):
    """The kept state. One that a newer operator wrote may carry more fields."""

    model: Name
    engine: Engine
    parameters: Annotated[tuple[Parameter, ...], Field(max_length=100)] = ()
    data: Data = Field(default_factory=Data)
    compute: Compute = Field(default_factory=Compute)
    evaluation: Evaluation = Field(default_factory=Evaluation)
    timeout_seconds: int
    pending_timeout_seconds: int
    retry: Retry = Field(default_factory=Retry)


def state_of(spec: TrainingPipelineSpec) -> dict[str, Any]:
    """Return the state of a spec in its JSON form; what the revision's name is the hash of."""
    return PipelineState(
        model=spec.model,
        engine=spec.engine,
        parameters=spec.parameters,
        data=spec.data,
        compute=spec.compute,
        evaluation=spec.evaluation,
        timeout_seconds=spec.timeout_seconds,
        pending_timeout_seconds=spec.pending_timeout_seconds,
        retry=spec.retry,
    ).to_wire()


def is_named_by_content(pipeline: str, name: str, state: Mapping[str, Any]) -> bool:
    """Whether a revision's content is what its name says: nobody put another one in its place."""
    return naming.pipeline_revision(pipeline, state) == name
