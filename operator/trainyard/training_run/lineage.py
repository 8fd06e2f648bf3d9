"""The ModelVersion that a succeeded run makes, and the rows that the database keeps of a run. Pure."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from trainyard import naming
from trainyard.reconciling.plan import Record
from trainyard.resources.model_version import Artifact, ModelVersionSpec, Source, SourceDataset
from trainyard.resources.pipeline_revision import PipelineState
from trainyard.resources.training_run import ArtifactStatus, OutputsStatus, TrainingRun
from trainyard.systems.engine.port import Outputs
from trainyard.training_run.outcome import Outcome
from trainyard.training_run.state import Observed

STARTED, FINISHED, PUBLISHED, ABANDONED = 1, 2, 3, 4  # sequence numbers of a run's rows
METRICS_LIMIT = 100


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
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Unfit(f"What was published cannot be a ModelVersion: {where}: {first['msg']}.") from error
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


def started(seen: Observed, at: str) -> Record:
    """Return the row of a run's start."""
    return _record(seen, STARTED, "run", at, {"event": "Started", **_subject(seen)})


def finished(seen: Observed, outcome: Outcome) -> tuple[Record, ...]:
    """Return the rows of a run's end: the run, and what it published."""
    data = {
        "event": "Finished",
        "reason": outcome.reason,
        "message": outcome.message,
        "startTime": seen.before.start_time,
        "completionTime": outcome.at,
        "modelVersion": outcome.model_version,
        **_subject(seen),
    }
    rows = [_record(seen, FINISHED, "run", outcome.at, data)]
    if outcome.outputs is not None and outcome.outputs.artifact is not None:
        artifact = {**outcome.outputs.artifact.to_wire(), "metrics": outcome.outputs.metrics, "run": seen.meta.name}
        rows.append(_record(seen, PUBLISHED, "artifact", outcome.at, artifact))
    return tuple(rows)


def abandoned(seen: Observed, at: str, left: str) -> Record:
    """Return the row that says what a deletion left behind."""
    return _record(seen, ABANDONED, "decision", at, {"event": "CleanupAbandoned", "left": left})


def _subject(seen: Observed) -> dict[str, Any]:
    """Return what was run, by whom asked, with what."""
    subject: dict[str, Any] = {"revision": seen.source.revision, "attempt": seen.before.attempt}
    if seen.run is not None:
        spec = seen.run.spec
        subject |= {"pipeline": spec.pipeline, "trigger": spec.trigger.to_wire(), "experiment": spec.experiment}
    if seen.request is not None:
        subject |= {
            "engineId": seen.request.id,
            "model": seen.request.model,
            "parameters": dict(seen.request.parameters),
            "datasets": dict(seen.request.datasets),
        }
    return subject


def _record(seen: Observed, sequence: int, kind: Any, at: str, data: Mapping[str, Any]) -> Record:
    return Record(seen.meta.uid, sequence, kind, at, seen.meta.namespace, seen.meta.name, data)


def _metrics(outputs: Outputs) -> dict[str, str]:
    return dict(sorted(outputs.metrics.items())[:METRICS_LIMIT])


def _in_microseconds(stamp: str) -> str:
    """Widen an RFC 3339 time to microseconds: kubelets tell whole seconds."""
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    return f"{whole}.{fraction[:6].ljust(6, '0')}Z"


def _identity(version: Mapping[str, Any]) -> tuple[Any, ...]:
    spec = version.get("spec", {})
    artifact = spec.get("artifact", {})
    return spec.get("source", {}).get("run"), artifact.get("uri"), artifact.get("digest")
