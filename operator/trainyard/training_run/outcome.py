"""How a run ended, as it stands in the run's metadata: written before status, so that it survives a lost one.

A run that carries an outcome is history and is never started (api.md). Pure.
"""

import json

from pydantic import ValidationError

from trainyard import naming
from trainyard.reconciling.plan import PatchMetadata
from trainyard.resources.base import Digest, Model, Name, ObjectMeta, Timestamp
from trainyard.resources.training_run import DatasetStatus, OutputsStatus
from trainyard.training_run import reasons

ANNOTATIONS_BYTES = 256 * 1024  # TotalAnnotationSizeLimitB of Kubernetes


class Outcome(Model):
    """The end of a run: the reason, its sentence, what went in and what it left. `at` is when it ended."""

    reason: str
    message: str = ""
    at: Timestamp
    outputs: OutputsStatus | None = None
    model_version: Name | None = None
    datasets: tuple[DatasetStatus, ...] = ()
    images: tuple[Digest, ...] = ()

    @property
    def succeeded(self) -> bool:
        """Whether a model came out of it."""
        return self.reason == reasons.SUCCEEDED


def fits(written: PatchMetadata, meta: ObjectMeta) -> bool:
    """Whether there is room for it: the API server bounds all annotations of an object together."""
    told = {**meta.annotations, **written.annotations}
    return sum(len(key.encode()) + len(value.encode()) for key, value in told.items()) <= ANNOTATIONS_BYTES


def write(outcome: Outcome) -> PatchMetadata:
    """Return the write that keeps the outcome."""
    return PatchMetadata(annotations={naming.ANNOTATION_OUTCOME: naming.canonical(outcome.to_wire())})


def read(meta: ObjectMeta) -> Outcome | None:
    """Return the kept outcome; one that cannot be read still ends the run, without telling how."""
    text = meta.annotations.get(naming.ANNOTATION_OUTCOME)
    if text is None:
        return None
    try:
        return Outcome.model_validate(json.loads(text))
    except (ValidationError, ValueError, RecursionError):
        message = f"The annotation {naming.ANNOTATION_OUTCOME} cannot be read; the run counts as ended."
        return Outcome(reason=reasons.STEP_FAILED, message=message, at=meta.creation_timestamp or "")
