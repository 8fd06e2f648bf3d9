"""What a decision about a TrainingRun needs: its revision, the Secrets it names, the engine's word, the outputs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from trainyard import naming
from trainyard.resources.base import ObjectMeta, first_wrong, status_of
from trainyard.resources.pipeline_revision import PipelineState
from trainyard.resources.training_run import TrainingRun, TrainingRunStatus
from trainyard.systems.bundle import Systems
from trainyard.systems.cluster.port import (
    CONTROLLER_REVISION,
    MODEL_VERSION,
    SECRET_METADATA,
    TRAINING_PIPELINE,
    TRAINING_RUN,
    Ref,
)
from trainyard.systems.engine.port import EngineError, Outputs, Phase
from trainyard.training_run import concurrency, data, ending, parameters, reasons, sources, status, usable
from trainyard.training_run import request as requests
from trainyard.training_run.sources import Source
from trainyard.training_run.state import Observed


async def observe(obj: Mapping[str, Any], systems: Systems) -> Observed:
    """Read what `decide` needs. A run that has ended costs no read at all."""
    seen = read(obj)
    if status.has_ended(seen) and seen.meta.deletion_timestamp is None:
        return seen
    if seen.run is not None:
        seen = await _with_source(seen, seen.run, systems)
    if naming.ANNOTATION_ENGINE_ID in seen.meta.annotations:
        seen = await _with_engine(seen, systems)
    elif seen.source.state is not None:
        seen = await _before_start(seen, seen.source.state, systems)
    ends = naming.ANNOTATION_OUTCOME in seen.meta.annotations
    if not ends and seen.engine is not None and seen.engine.phase is Phase.SUCCEEDED:
        seen = await _with_outputs(seen, systems)
    return seen


def read(obj: Mapping[str, Any]) -> Observed:
    """Read the object itself; one of another schema becomes an Observed that says why."""
    meta = ObjectMeta.model_validate(obj["metadata"])
    before = status_of(obj, TrainingRunStatus)
    try:
        run = TrainingRun.model_validate({"metadata": obj["metadata"], "spec": obj.get("spec") or {}})
    except ValidationError as error:
        return Observed(meta, before, problem=f"{first_wrong(error)}.")
    return Observed(meta, before, run.model_copy(update={"status": before}), data=data.kept(meta))


async def _with_source(seen: Observed, run: TrainingRun, systems: Systems) -> Observed:
    source = await _source(seen, run, systems)
    if source.state is None:
        return replace(seen, source=source)
    kind, _ = requests.engine_of(source.state)
    request = requests.whole(run, source.state, systems.config.bucket)
    return replace(seen, source=source, kind=kind, available=systems.offers(kind, seen.meta.namespace), request=request)


async def _source(seen: Observed, run: TrainingRun, systems: Systems) -> Source:
    namespace, pipeline = seen.meta.namespace, None
    if run.spec.revision is None and seen.before.revision is None:
        pipeline = await systems.cluster.get(Ref(TRAINING_PIPELINE, namespace, run.spec.pipeline))
    named = sources.revision_name(run.spec, seen.before, pipeline)
    if named.revision is None:
        return named
    found = await systems.cluster.get(Ref(CONTROLLER_REVISION, namespace, named.revision))
    return sources.read(run.spec.pipeline, named.revision, found)


async def _before_start(seen: Observed, state: PipelineState, systems: Systems) -> Observed:
    """Look at what a run that was not started may have to wait for."""
    ahead = "" if seen.run is None else await _ahead(seen.run, systems)
    seen = replace(seen, unusable_secrets=await _unusable(seen.meta.namespace, state, systems), ahead=ahead)
    if seen.request is None or not _would_start(seen, state):
        return seen
    return replace(seen, data=await data.looked_at(seen.request, systems.artifacts, systems.config))


def _would_start(seen: Observed, state: PipelineState) -> bool:
    """Whether only its data can still hold the run back: listing it may take seconds."""
    if seen.run is None or not seen.available or seen.unusable_secrets or seen.ahead:
        return False
    ends = seen.run.spec.cancel or ending.is_deleting(seen) or naming.ANNOTATION_OUTCOME in seen.meta.annotations
    return not (ends or parameters.problem(parameters.declared(state), seen.run.spec.parameters))


async def _ahead(run: TrainingRun, systems: Systems) -> str:
    """Return the run that this one waits for. That there is none is looked at live: what follows is not undone."""
    namespace = run.metadata.namespace
    if run.spec.trigger.type not in concurrency.WAITING_TYPES:
        return ""
    pipeline = await systems.cluster.get(Ref(TRAINING_PIPELINE, namespace, run.spec.pipeline))
    if not concurrency.may_wait(run, pipeline):
        return ""
    known = concurrency.ahead_of(run, await systems.cluster.list(TRAINING_RUN, namespace))
    return known or concurrency.ahead_of(run, await systems.cluster.list(TRAINING_RUN, namespace, live=True))


async def _unusable(namespace: str, state: PipelineState, systems: Systems) -> tuple[str, ...]:
    """Return the Secrets that the training names and that their owner did not open to pods."""
    if state.engine.kubeflow is not None:
        return await usable.unusable_of_package(namespace, state.engine.kubeflow.package.inline or "", systems)
    template = state.engine.job.template if state.engine.job else None
    env, volumes = (template.env, template.volumes) if template else ((), ())
    named = {e.secret_key_ref.name for e in env if e.secret_key_ref} | {v.secret.name for v in volumes if v.secret}
    names = sorted(named)
    return tuple([name for name in names if not await usable.is_usable(Ref(SECRET_METADATA, namespace, name), systems)])


async def _with_engine(seen: Observed, systems: Systems) -> Observed:
    """Ask the engine. Without a revision the identity is enough to find the run, and to cancel it."""
    kind = seen.kind or (seen.before.engine.kind if seen.before.engine else next(iter(systems.engines), ""))
    request = seen.request or requests.by_identity(seen.meta, seen.before)
    seen = replace(seen, kind=kind, available=systems.offers(kind, seen.meta.namespace), request=request)
    if not seen.available:
        return seen
    try:
        return replace(seen, engine=await systems.engines[kind].state(request))
    except EngineError as error:
        return replace(seen, engine_error=str(error))


async def _with_outputs(seen: Observed, systems: Systems) -> Observed:
    assert seen.request is not None  # noqa: S101 - an engine that answered was asked with one
    version = await systems.cluster.get(Ref(MODEL_VERSION, seen.meta.namespace, seen.meta.name), live=True)
    try:
        outputs = await systems.engines[seen.kind].outputs(seen.request)
    except EngineError as error:
        return replace(seen, version=version, outputs_error=str(error))
    seen = replace(seen, version=version, outputs=outputs)
    return seen if outputs is None or outputs.datasets else await _with_data_read(seen, outputs, systems)


async def _with_data_read(seen: Observed, outputs: Outputs, systems: Systems) -> Observed:
    """The engine does not know what the steps read: it is what was there at the start, if it still is."""
    if seen.request is None or seen.source.state is None or not seen.data.versions:
        return seen
    now = await data.looked_at(seen.request, systems.artifacts, systems.config)
    if now.reason == reasons.DATASET_UNAVAILABLE:
        return replace(seen, outputs=None, outputs_error=now.message)
    outputs = replace(outputs, datasets=tuple(d.to_wire() for d in seen.data.versions))
    return replace(seen, outputs=outputs, changed_data=data.changed(seen.data, now))
