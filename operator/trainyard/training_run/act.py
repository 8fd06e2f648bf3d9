"""Intentions of a TrainingRun into calls: one branch each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainyard import naming
from trainyard.reconciling.plan import Action
from trainyard.resources.foreign import part, parts
from trainyard.systems.bundle import Systems
from trainyard.systems.cluster.port import MODEL_VERSION, TRAINING_RUN, AlreadyExists, Conflict, Obj, Ref, Unavailable
from trainyard.systems.engine.port import EngineError, EngineRefused
from trainyard.training_run import lineage, outcome, reasons
from trainyard.training_run.outcome import Outcome
from trainyard.training_run.state import CreateVersion, StartEngine, StopEngine


async def act(action: Action, obj: Obj, systems: Systems) -> Obj:
    """Carry out one action; the run's own newest state is returned. Raises ClusterError."""
    match action:
        case StartEngine():
            return await _start(action, obj, systems)
        case StopEngine():
            await _stop(action, systems)
        case CreateVersion():
            await _create(action.version, systems)
        case _:
            raise TypeError(f"not an action of a TrainingRun: {action!r}")
    return obj


@dataclass
class _Run:
    """The run as it was written last: an engine's announcement is a write in the middle of an action."""

    obj: Obj
    engine_id: str
    systems: Systems

    async def announce(self, at: str) -> None:
        """Keep that a start is tried, or, with "", that it surely started nothing. Raises ClusterError.

        It carries the decided resourceVersion, so that a deposed leader never starts after its successor.
        """
        await self.annotate({naming.ANNOTATION_ANNOUNCED: f"{self.engine_id} {at}" if at else None})

    async def annotate(self, annotations: Mapping[str, str | None]) -> None:
        """Write annotations; None takes one away."""
        meta = self.obj["metadata"]
        ref = Ref(TRAINING_RUN, meta["namespace"], meta["name"])
        body = {"metadata": {"annotations": dict(annotations)}}
        self.obj = await self.systems.cluster.patch(ref, body, resource_version=meta["resourceVersion"])


async def _start(action: StartEngine, obj: Obj, systems: Systems) -> Obj:
    """Start; where the engine does not take it now, say so in the status and let the cycle come again.

    What it will never take is the run's end.
    """
    run = _Run(obj, action.request.id, systems)
    try:
        await systems.engines[action.kind].start(action.request, run.announce)
    except EngineRefused as error:
        ended = Outcome(reason=reasons.ENGINE_REFUSED, message=str(error), at=error.at)
        await run.annotate({**outcome.write(ended).annotations, naming.ANNOTATION_ANNOUNCED: None})
    except EngineError as error:
        await _tell(run.obj, str(error), systems)
        raise Unavailable(str(error)) from error
    return run.obj


async def _stop(action: StopEngine, systems: Systems) -> None:
    try:
        await systems.engines[action.kind].cancel(action.request)
    except EngineError as error:
        raise Unavailable(str(error)) from error


async def _create(version: Mapping[str, Any], systems: Systems) -> None:
    """Create the ModelVersion, or find the same one there. Conflict where it is another."""
    try:
        await systems.cluster.create(version)
    except AlreadyExists:
        meta = version["metadata"]
        found = await systems.cluster.get(Ref(MODEL_VERSION, meta["namespace"], meta["name"]), live=True)
        if found is None or not lineage.is_same(found, version):
            raise Conflict(f"ModelVersion {meta['name']} appeared meanwhile") from None


async def _tell(obj: Obj, message: str, systems: Systems) -> None:
    """Put the engine's refusal into the condition that a person looks at; once for the same sentence."""
    told = [dict(c) for c in parts(part(obj, "status"), "conditions")]
    summary = next((c for c in told if c.get("type") == "Succeeded"), None)
    if summary is None or (summary.get("reason"), summary.get("message")) == (reasons.ENGINE_UNREACHABLE, message):
        return
    summary |= {"status": "Unknown", "reason": reasons.ENGINE_UNREACHABLE, "message": message}
    meta = obj["metadata"]
    ref = Ref(TRAINING_RUN, meta["namespace"], meta["name"])
    body = {"status": {"conditions": told}}
    await systems.cluster.patch(ref, body, status=True, resource_version=meta["resourceVersion"])
