"""Which revision of its pipeline a run is of: resolved once, from what the API server has. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from trainyard.resources.base import first_wrong
from trainyard.resources.foreign import condition_status, part
from trainyard.resources.pipeline_revision import PipelineState, is_named_by_content
from trainyard.resources.training_run import TrainingRunSpec, TrainingRunStatus
from trainyard.training_run import reasons


@dataclass(frozen=True)
class Source:
    """The revision's name and content, or why there is none (`reason`, `message`)."""

    revision: str | None = None
    state: PipelineState | None = None
    reason: str = ""
    message: str = ""


def revision_name(spec: TrainingRunSpec, status: TrainingRunStatus, pipeline: Mapping[str, Any] | None) -> Source:
    """Name the revision: the one asked for, the one resolved before, or the pipeline's present one."""
    named = spec.revision or status.revision
    if named is not None:
        return Source(named)
    if pipeline is None:
        return Source(reason=reasons.PIPELINE_NOT_FOUND)
    told, accepted = part(pipeline, "status"), condition_status(pipeline, "Accepted")
    if told.get("observedGeneration") != pipeline["metadata"].get("generation") or accepted == "Unknown":
        return Source(reason=reasons.PIPELINE_NOT_SEEN)
    if accepted != "True":
        return Source(reason=reasons.PIPELINE_NOT_ACCEPTED)
    return Source(str(told["revision"])) if told.get("revision") else Source(reason=reasons.PIPELINE_NOT_SEEN)


def read(pipeline: str, revision: str, found: Mapping[str, Any] | None) -> Source:
    """Read a revision's content. One that is not what its name says counts as unreadable."""
    if found is None:
        return Source(revision, reason=reasons.REVISION_NOT_FOUND)
    state = found.get("data") or {}
    if not is_named_by_content(pipeline, revision, state):
        message = "The revision's content is not what its name says, or it is of another pipeline."
        return Source(revision, reason=reasons.REVISION_UNREADABLE, message=message)
    try:
        return Source(revision, PipelineState.model_validate(state))
    except ValidationError as error:
        message = f"This operator cannot read the revision: {first_wrong(error)}."
        return Source(revision, reason=reasons.REVISION_UNREADABLE, message=message)
