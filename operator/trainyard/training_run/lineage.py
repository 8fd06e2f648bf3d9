"""The ModelVersion that a succeeded run makes, and the rows that the database keeps of a run. Pure."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from trainyard import naming
from trainyard.reconciling.plan import Record
from trainyard.resources.base import first_wrong
from trainyard.resources.foreign import part
from trainyard.resources.model_version import Artifact, ModelVersionSpec, Source, SourceDataset
from trainyard.resources.pipeline_revision import PipelineState
from trainyard.resources.training_run import ArtifactStatus, AttemptStatus, DatasetStatus, OutputsStatus, TrainingRun
from trainyard.systems.engine.port import Outputs
from trainyard.training_run import reasons, request
from trainyard.training_run.outcome import Outcome
from trainyard.training_run.state import Observed

STARTED, FINISHED, PUBLISHED, ABANDONED = 1, 2, 3, 4  # sequence numbers of a run's rows
ATTEMPT = 100  # the failure of attempt n is row 100 + n
METRICS_LIMIT, IMAGES_LIMIT, DATASETS_LIMIT = 100, 100, 32
DIGEST = re.compile("sha256:[0-9a-f]{64}")


class Unfit(ValueError):
    """What was published cannot be a ModelVersion; `str()` is the sentence."""


def outputs_status(outputs: Outputs) -> OutputsStatus:
    """Return what the run's status says of its outputs."""
    artifact = ArtifactStatus(
        uri=outputs.uri, digest=outputs.digest, format=outputs.format, size_bytes=outputs.size_bytes
    )
    return OutputsStatus(artifact=artifact, metrics=_metrics(outputs))


def version_of(run: TrainingRun, state: PipelineState, outputs: Outputs) -> dict[str, Any]:
    """Return the ModelVersion of a run: named as the run, owned by nobody. Raises Unfit."""
    try:
        spec = ModelVersionSpec(
            model=state.model,
            artifact=Artifact.model_validate({"uri": outputs.uri, "digest": outputs.digest, "format": outputs.format}),
            metrics=_metrics(outputs),
            source=Source(
                run=run.metadata.name,
                datasets=tuple(SourceDataset.model_validate(dict(d)) for d in outputs.datasets),
                images=outputs.image_digests[:8],
            ),
            evaluation=state.evaluation,
            created_at=_in_microseconds(outputs.completed_at or run.status.start_time or ""),
        )
    except ValidationError as error:
        raise Unfit(f"What was published cannot be a ModelVersion: {first_wrong(error)}.") from error
    labels = {
        **naming.MANAGED_BY,
        naming.LABEL_MODEL: state.model,
        naming.LABEL_RUN: run.metadata.name,
        naming.LABEL_PIPELINE: run.spec.pipeline,
    }
    meta = {"name": run.metadata.name, "namespace": run.metadata.namespace, "labels": labels}
    return {"apiVersion": naming.API_VERSION, "kind": "ModelVersion", "metadata": meta, "spec": spec.to_wire()}


def is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two ModelVersions are the same model of the same run."""
    return _identity(one) == _identity(other)


def provenance(seen: Observed, outcome: Outcome | None = None) -> dict[str, Any]:
    """Return the status' fields that tell who asked for the run, why, and what went in, as far as it is known."""
    known: dict[str, Any] = {}
    kubeflow = seen.source.state.engine.kubeflow if seen.source.state is not None else None
    if seen.run is not None:
        spec = seen.run.spec
        known |= {"requested_by": spec.requested_by, "description": spec.description}
        known["experiment"] = seen.before.experiment or spec.experiment or (kubeflow.experiment if kubeflow else "")
    if kubeflow is not None:  # the revision keeps the package as its canonical text
        known["package_digest"] = "sha256:" + hashlib.sha256((kubeflow.package.inline or "").encode()).hexdigest()
    if seen.data.versions:
        known["datasets"] = seen.data.versions
    if outcome is not None and outcome.reason == reasons.CANCELLED and seen.run is not None:
        known["cancelled_by"] = seen.run.spec.cancelled_by
    if outcome is not None and outcome.succeeded:
        known |= {"datasets": outcome.datasets, "images": outcome.images}
    return known


def images_of(outputs: Outputs) -> tuple[str, ...]:
    """Return the digests of the images that ran; an image ID without a digest is left out."""
    return tuple(image for image in outputs.image_digests if DIGEST.fullmatch(image))[:IMAGES_LIMIT]


def datasets_of(outputs: Outputs) -> tuple[DatasetStatus, ...]:
    """Return what the run was trained on, with versions. What cannot be read is left out."""
    found: list[DatasetStatus] = []
    for dataset in outputs.datasets[:DATASETS_LIMIT]:
        with suppress(ValidationError):
            found.append(DatasetStatus.model_validate(dict(dataset)))
    return tuple(found)


def with_changed_data(seen: Observed, message: str) -> str:
    """Return a run's last sentence, and which data its version is not sure for."""
    if not seen.changed_data:
        return message
    names = ", ".join(seen.changed_data)
    return f"{message} While it ran, this data changed: {names}; the version told is that of the start."


def started(seen: Observed, at: str) -> Record:
    """Return the row of a run's start."""
    return _record(seen, STARTED, "run", at, {"event": "Started", **_subject(seen)})


def attempt_failed(seen: Observed, failed: AttemptStatus, at: str) -> Record:
    """Return the row of an attempt that failed; another one follows, or the run's end."""
    data = {**_asked(seen), "event": "AttemptFailed", **failed.to_wire()}
    return _record(seen, ATTEMPT + failed.attempt, "run", failed.completion_time or at, data)


def owed(seen: Observed, at: str) -> tuple[Record, ...]:
    """Return the row that is surely written only once the steps of the attempt after it stand in status.

    The run's start, or the failure of the attempt before: offered again until then, taken once.
    """
    between = request.is_between_attempts(seen.meta, seen.before)
    if request.told_steps(seen.meta, seen.before) and not between:
        return ()
    last = seen.before.attempts[-1] if seen.before.attempts else None
    return (started(seen, seen.before.start_time or at) if last is None else attempt_failed(seen, last, at),)


def finished(seen: Observed, outcome: Outcome) -> tuple[Record, ...]:
    """Return the rows of a run's end: the run, and what it published."""
    data = {
        **_subject(seen, outcome),
        "event": "Finished",
        "reason": outcome.reason,
        "message": outcome.message,
        "startTime": seen.before.start_time,
        "completionTime": outcome.at,
        "modelVersion": outcome.model_version,
    }
    if by := provenance(seen, outcome).get("cancelled_by"):
        data["cancelledBy"] = by
    rows = [_record(seen, FINISHED, "run", outcome.at, data)]
    if outcome.outputs is not None and outcome.outputs.artifact is not None:
        artifact = {**outcome.outputs.artifact.to_wire(), "metrics": outcome.outputs.metrics, "run": seen.meta.name}
        rows.append(_record(seen, PUBLISHED, "artifact", outcome.at, artifact))
    return tuple(rows)


def abandoned(seen: Observed, at: str, left: str) -> Record:
    """Return the row that says what a deletion left behind."""
    return _record(seen, ABANDONED, "decision", at, {"event": "CleanupAbandoned", "left": left})


def _subject(seen: Observed, outcome: Outcome | None = None) -> dict[str, Any]:
    """Return what was run, on which engine, with what: the request where there is one, else what the status tells."""
    before = seen.before
    told = before.model_copy(update=provenance(seen, outcome))
    subject = {
        **_asked(seen),
        "revision": seen.source.revision or before.revision,
        "attempt": before.attempt,
        "engine": seen.kind or (before.engine.kind if before.engine else None),
        "engineId": before.engine.id if before.engine else None,
        "packageDigest": told.package_digest,
        "parameters": before.parameters,
        "datasets": [dataset.to_wire() for dataset in told.datasets],
        "images": list(told.images),
    }
    if seen.request is None:
        return subject
    return subject | {
        "engineId": seen.request.id,
        "model": seen.request.model,
        "parameters": dict(seen.request.parameters),
        "datasets": _with_versions(seen.request.datasets, subject["datasets"]),
    }


def _asked(seen: Observed) -> dict[str, Any]:
    """Return who asked for the run, and why."""
    if seen.run is None:
        return {}
    spec, told = seen.run.spec, seen.before.model_copy(update=provenance(seen))
    return {
        "pipeline": spec.pipeline,
        "trigger": spec.trigger.to_wire(),
        "requestedBy": spec.requested_by,
        "experiment": told.experiment,
        "description": spec.description,
    }


def _with_versions(wanted: Mapping[str, str], read: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the datasets that were read, and those that were only asked for, without a digest."""
    names = {dataset["name"] for dataset in read}
    return [*read, *({"name": name, "uri": uri} for name, uri in wanted.items() if name not in names)]


def _record(seen: Observed, sequence: int, kind: Any, at: str, data: Mapping[str, Any]) -> Record:
    return Record(seen.meta.uid, sequence, kind, at, seen.meta.namespace, seen.meta.name, data)


def _metrics(outputs: Outputs) -> dict[str, str]:
    return dict(sorted(outputs.metrics.items())[:METRICS_LIMIT])


def _in_microseconds(stamp: str) -> str:
    """Widen an RFC 3339 time to microseconds: kubelets tell whole seconds."""
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    return f"{whole}.{fraction[:6].ljust(6, '0')}Z"


def _identity(version: Mapping[str, Any]) -> tuple[Any, ...]:
    artifact = part(version, "spec", "artifact")
    return part(version, "spec", "source").get("run"), artifact.get("uri"), artifact.get("digest")
