"""What a pipeline creates: its revisions and its runs, named by what they are. Pure."""

from collections.abc import Mapping
from typing import Any

from trainyard import naming
from trainyard.resources.pipeline_revision import state_of
from trainyard.resources.training_pipeline import TrainingPipeline
from trainyard.resources.triggers import Schedule
from trainyard.training_pipeline import inputs

CHANGE = "Change"
SCHEDULE = "Schedule"


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
    trigger = {"type": CHANGE, "inputsDigest": digest}
    return _run(pipeline, run_name(pipeline), trigger, {naming.ANNOTATION_INPUTS_DIGEST: digest})


def run_by_schedule(pipeline: TrainingPipeline, schedule: Schedule, slot: str) -> dict[str, Any]:
    """Return the TrainingRun of a schedule's slot; it carries the slot, which is a watermark."""
    trigger = {"type": SCHEDULE, "name": schedule.name, "slot": slot}
    name = naming.run_name(pipeline.metadata.name, SCHEDULE, schedule.name, slot)
    run = _run(pipeline, name, trigger, {naming.ANNOTATION_SLOT: slot})
    return {**run, "spec": {**run["spec"], "parameters": schedule.parameters}} if schedule.parameters else run


def _run(
    pipeline: TrainingPipeline, name: str, trigger: Mapping[str, str], annotations: Mapping[str, str]
) -> dict[str, Any]:
    labels = {naming.LABEL_MODEL: pipeline.spec.model, naming.LABEL_TRIGGER: trigger["type"]}
    return {
        "apiVersion": naming.API_VERSION,
        "kind": "TrainingRun",
        "metadata": {**_metadata(pipeline, name, labels), "annotations": dict(annotations)},
        "spec": {
            "pipeline": pipeline.metadata.name,
            "revision": revision_name(pipeline),
            "trigger": dict(trigger),
        },
    }


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
