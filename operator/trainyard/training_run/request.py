"""What the engine is asked for: made from the run, its revision and its identity, the same every time. Pure."""

import re
from dataclasses import replace
from typing import Any

from trainyard import naming
from trainyard.resources.base import ObjectMeta
from trainyard.resources.pipeline_revision import PipelineState
from trainyard.resources.training_run import StepStatus, TrainingRun, TrainingRunStatus
from trainyard.systems.engine.port import Owner, RunRequest
from trainyard.training_run.parameters import complete, declared

_ATTEMPT = re.compile("[1-9][0-9]?")


def identity(meta: ObjectMeta, status: TrainingRunStatus) -> tuple[str, int]:
    """Return (engine id, attempt). What the run carries in metadata counts, whatever its uid is now."""
    carried = meta.annotations.get(naming.ANNOTATION_ATTEMPT, "")
    attempt = int(carried) if _ATTEMPT.fullmatch(carried) else max(1, status.attempt)
    return meta.annotations.get(naming.ANNOTATION_ENGINE_ID) or naming.engine_id(meta.uid, attempt), attempt


def is_own_identity(meta: ObjectMeta, status: TrainingRunStatus) -> bool:
    """Whether the carried id was made for this very object, and not for the one it is a restored copy of."""
    engine_id, attempt = identity(meta, status)
    return engine_id == naming.engine_id(meta.uid, attempt)


def told_steps(meta: ObjectMeta, status: TrainingRunStatus) -> tuple[StepStatus, ...]:
    """Return the steps that the status tells of the present attempt; none where it still speaks of the one before."""
    return status.steps if max(1, status.attempt) == identity(meta, status)[1] else ()


def is_between_attempts(meta: ObjectMeta, status: TrainingRunStatus) -> bool:
    """Whether the present attempt is known to have failed, and the next one has no identity yet."""
    last = status.attempts[-1] if status.attempts else None
    return last is not None and (last.engine_id, last.attempt) == identity(meta, status)


def next_attempt(request: RunRequest) -> RunRequest:
    """Return the request of the attempt after this one; only its identity and where it publishes differ."""
    attempt = request.attempt + 1
    output = f"{request.output.removesuffix(f'{request.attempt}/')}{attempt}/"
    engine_id = naming.engine_id(request.owner.uid, attempt)
    return replace(request, id=engine_id, attempt=attempt, output=output, announced="", known=False)


def engine_of(state: PipelineState) -> tuple[str, dict[str, Any]]:
    """Return (branch, its content) of the engine union."""
    return next(iter(state.engine.to_wire().items()), ("", {}))


def by_identity(meta: ObjectMeta, status: TrainingRunStatus) -> RunRequest:
    """Return a request that is enough to find and to cancel a run, not to start one."""
    engine_id, attempt = identity(meta, status)
    return RunRequest(
        id=engine_id,
        namespace=meta.namespace,
        run=meta.name,
        attempt=attempt,
        owner=Owner(meta.name, meta.uid),
        pipeline="",
        model="",
        spec={},
        compute={},
        parameters={},
        datasets={},
        output="",
        announced=announced(meta, engine_id),
        known=bool(told_steps(meta, status)),
    )


def announced(meta: ObjectMeta, engine_id: str) -> str:
    """Return when this very attempt was announced, "" where it never was."""
    announced_id, _, at = meta.annotations.get(naming.ANNOTATION_ANNOUNCED, "").partition(" ")
    return at if announced_id == engine_id else ""


def whole(run: TrainingRun, state: PipelineState, bucket: str) -> RunRequest:
    """Return the request that starts the run."""
    found = by_identity(run.metadata, run.status)
    prefix = naming.artifact_prefix(bucket, found.namespace, state.model, found.run)
    return replace(
        found,
        pipeline=run.spec.pipeline,
        model=state.model,
        spec=engine_of(state)[1],
        compute=state.compute.to_wire(),
        parameters=complete(declared(state), run.spec.parameters),
        datasets={d.name: d.uri for d in state.data.datasets},
        output=f"{prefix}{found.attempt}/",
        timeout_seconds=state.timeout_seconds,
        retry_limit=state.retry.limit,
        title=found.run,
        description=run.spec.description,
        experiment=run.spec.experiment,
    )
