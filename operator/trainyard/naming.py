"""Every name, label, annotation and idempotency key of Trainyard is made here and nowhere else.

Names are derived, never random: the same inputs give the same name, so a crash between two writes repeats a
create that the API server refuses, instead of making a second object.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any

GROUP = "trainyard.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

FINALIZER = f"{GROUP}/cleanup"
MANAGED_BY = {"app.kubernetes.io/managed-by": "trainyard"}

LABEL_PIPELINE = f"{GROUP}/pipeline"
LABEL_RUN = f"{GROUP}/run"
LABEL_ATTEMPT = f"{GROUP}/attempt"
LABEL_ROLE = f"{GROUP}/role"  # train | publish | serve
LABEL_MODEL = f"{GROUP}/model"
LABEL_VERSION = f"{GROUP}/version"
LABEL_ROLLOUT = f"{GROUP}/rollout"
LABEL_REVISION = f"{GROUP}/revision"
LABEL_TRIGGER = f"{GROUP}/trigger"
LABEL_USABLE_BY_TRIGGERS = f"{GROUP}/usable-by-triggers"

ANNOTATION_ENGINE_ID = f"{GROUP}/engine-id"
ANNOTATION_ATTEMPT = f"{GROUP}/attempt"
ANNOTATION_ANNOUNCED = f"{GROUP}/announced"  # "<engine id> <time>": a start that must not be repeated at will
ANNOTATION_DATASETS = f"{GROUP}/datasets"  # a run's datasets with versions, JSON
ANNOTATION_SLOT = f"{GROUP}/slot"
ANNOTATION_OUTCOME = f"{GROUP}/outcome"
ANNOTATION_SKIP_CLEANUP = f"{GROUP}/skip-cleanup"
ANNOTATION_INPUTS_DIGEST = f"{GROUP}/inputs-digest"
ANNOTATION_STABLE_REVISION = f"{GROUP}/stable-revision"
ANNOTATION_CANARY_REVISION = f"{GROUP}/canary-revision"
ANNOTATION_STEP = f"{GROUP}/step"
ANNOTATION_SHORTCUTS = f"{GROUP}/shortcuts"  # names what a route has beside its weights
ANNOTATION_ORPHANED = f"{GROUP}/orphaned"

# One server-side-apply field manager per kind of ours.
MANAGER_PIPELINE = "trainyard-trainingpipeline"
MANAGER_RUN = "trainyard-trainingrun"
MANAGER_VERSION = "trainyard-modelversion"
MANAGER_ROLLOUT = "trainyard-rollout"
MANAGER_CLI = "trainyard-cli"

# Secrets of fixed names per namespace, supplied by the platform or by the chart (training.md, Storage).
SECRET_DATA = "trainyard-data"  # noqa: S105 - the name of a Secret, not its content
SECRET_PUBLISHER = "trainyard-publisher"  # noqa: S105 - as above
SECRET_READER = "trainyard-reader"  # noqa: S105 - as above

DATA_PREFIX = "data"  # of the bucket: data that every namespace may train on

_ENGINE_NAMESPACE = uuid.UUID("6f1c1f0e-6f0b-5b0e-9a0f-7472616e7964")


def canonical(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces. Equal values give equal texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any) -> str:
    """Return `sha256:<64 hex>` over the canonical JSON of a value."""
    return "sha256:" + hashlib.sha256(canonical(value).encode()).hexdigest()


def hash10(value: Any) -> str:
    """Return the first ten hex digits of the value's digest: the suffix of every derived name."""
    return digest(value).removeprefix("sha256:")[:10]


def pipeline_revision(pipeline: str, state: Mapping[str, Any]) -> str:
    """Name the immutable ControllerRevision that keeps a state of a pipeline."""
    return f"{pipeline}-{hash10(state)}"


def run_name(pipeline: str, trigger_type: str, trigger_name: str, key: str) -> str:
    """Name the run of one trigger: one trigger key makes one run, however often it is asked for."""
    return f"{pipeline}-{hash10([pipeline, trigger_type, trigger_name, key])}"


def event_key(source: str, event_id: str) -> str:
    """Return what an event is known by: the key of its run's name, hashed again for the pipeline's status."""
    return canonical([source, event_id])


def event_hash(source: str, event_id: str) -> str:
    """Return what an event is known by in its pipeline's `status.events[].handled`."""
    return hash10(event_key(source, event_id))


def engine_id(run_uid: str, attempt: int) -> str:
    """Return the identity (UUIDv5) under which an engine runs one attempt of a TrainingRun."""
    return str(uuid.uuid5(_ENGINE_NAMESPACE, f"{run_uid}/{attempt}"))


def attempt_name(run: str, attempt: int) -> str:
    """Name the Job and the headless Service of one attempt (1 to 99)."""
    return f"{run}-{attempt}"


def publisher_name(run: str, attempt: int) -> str:
    """Name the Job that publishes what an attempt wrote."""
    return f"{run}-{attempt}-pub"


def checkpoint_name(run: str) -> str:
    """Name the PersistentVolumeClaim of a run's checkpoints, where they have one of their own."""
    return f"{run}-ckpt"


def volume_name(run: str) -> str:
    """Name the PersistentVolumeClaim that a run's pods share."""
    return run


def artifact_prefix(bucket: str, namespace: str, model: str, version: str) -> str:
    """Return the URI below which every publish attempt of a version writes; it ends with a slash."""
    return f"s3://{bucket}/{namespace}/{model}/{version}/"


def rollout_revision(version: str, artifact_digest: str, serving: Mapping[str, Any]) -> str:
    """Return the revision hash of what a Rollout serves; `serving` comes without replicas and autoscaling."""
    return hash10([version, artifact_digest, serving])


def revision_object(rollout: str, revision: str) -> str:
    """Name the Deployment, Service and ControllerRevision of a rollout's revision, and its label's value."""
    return f"{rollout}-{revision}"


def event_name(uid: str, reason: str, message: str, transition: str) -> str:
    """Name a Kubernetes Event by what it reports, so that a repeated cycle posts it once."""
    return f"trainyard-{hash10([uid, reason, message, transition])}"
