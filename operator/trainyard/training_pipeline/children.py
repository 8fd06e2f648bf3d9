"""What a pipeline creates: its revisions and its runs, named by what they are. Pure."""

from collections.abc import Mapping
from typing import Any

from trainyard import naming
from trainyard.resources.pipeline_revision import state_of
from trainyard.resources.training_pipeline import TrainingPipeline
from trainyard.training_pipeline import inputs

CHANGE = "Change"


def revision_name(pipeline: TrainingPipeline) -> str:
    """Name the revision of the present state."""
    return naming.pipeline_revision(pipeline.metadata.name, state_of(pipeline.spec))


def run_name(pipeline: TrainingPipeline) -> str:
    """Name the run of the present inputs."""
    return naming.run_name(pipeline.metadata.name, CHANGE, "", inputs.digest(pipeline.spec))


def revision(pipeline: TrainingPipeline) -> dict[str, Any]:
    """Return the ControllerRevision of the present state."""
    meta = _metadata(pipeline, revision_name(pipeline), {})
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": meta,
        "revision": pipeline.metadata.generation,
        "data": state_of(pipeline.spec),
    }


def run_by_change(pipeline: TrainingPipeline) -> dict[str, Any]:
    """Return the TrainingRun of the present inputs; the digest also stands where a backup keeps it."""
    digest = inputs.digest(pipeline.spec)
    labels = {naming.LABEL_MODEL: pipeline.spec.model, naming.LABEL_TRIGGER: CHANGE}
    meta = _metadata(pipeline, run_name(pipeline), labels)
    return {
        "apiVersion": naming.API_VERSION,
        "kind": "TrainingRun",
        "metadata": {**meta, "annotations": {naming.ANNOTATION_INPUTS_DIGEST: digest}},
        "spec": {
            "pipeline": pipeline.metadata.name,
            "revision": revision_name(pipeline),
            "trigger": {"type": CHANGE, "inputsDigest": digest},
        },
    }


def is_run_of(found: Mapping[str, Any], pipeline: TrainingPipeline) -> bool:
    """Whether a run that bears the name of the present inputs is what this pipeline would create."""
    spec = found.get("spec") or {}
    trigger = spec.get("trigger") or {}
    told = (spec.get("pipeline"), trigger.get("type"), trigger.get("inputsDigest"))
    return told == (pipeline.metadata.name, CHANGE, inputs.digest(pipeline.spec))


def _metadata(pipeline: TrainingPipeline, name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    owner = {
        "apiVersion": naming.API_VERSION,
        "kind": "TrainingPipeline",
        "name": pipeline.metadata.name,
        "uid": pipeline.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    return {
        "name": name,
        "namespace": pipeline.metadata.namespace,
        "labels": {**naming.MANAGED_BY, naming.LABEL_PIPELINE: pipeline.metadata.name, **labels},
        "ownerReferences": [owner],
    }
