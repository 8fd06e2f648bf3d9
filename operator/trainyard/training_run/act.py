"""Intentions of a TrainingRun into calls: one branch each."""

from collections.abc import Mapping
from typing import Any

from trainyard.reconciling.plan import Action
from trainyard.systems.bundle import Systems
from trainyard.systems.cluster.port import MODEL_VERSION, TRAINING_RUN, AlreadyExists, Conflict, Obj, Ref, Unavailable
from trainyard.systems.engine.port import EngineError
from trainyard.training_run import lineage, reasons
from trainyard.training_run.state import CreateVersion, StartEngine, StopEngine


async def act(action: Action, obj: Obj, systems: Systems) -> Obj:
    """Carry out one action; the run's own newest state is returned. Raises ClusterError."""
    match action:
        case StartEngine():
            await _start(action, obj, systems)
        case StopEngine():
            await _stop(action, systems)
        case CreateVersion():
            await _create(action.version, systems)
        case _:
            raise TypeError(f"not an action of a TrainingRun: {action!r}")
    return obj


async def _start(action: StartEngine, obj: Obj, systems: Systems) -> None:
    """Start; where the engine refuses, say so in the status and let the cycle come again."""
    try:
        await systems.engines[action.kind].start(action.request)
    except EngineError as error:
        await _tell(obj, str(error), systems)
        raise Unavailable(str(error)) from error


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
    told = [dict(c) for c in obj.get("status", {}).get("conditions", ())]
    summary = next((c for c in told if c["type"] == "Succeeded"), None)
    if summary is None or (summary["reason"], summary["message"]) == (reasons.ENGINE_UNREACHABLE, message):
        return
    summary |= {"status": "Unknown", "reason": reasons.ENGINE_UNREACHABLE, "message": message}
    meta = obj["metadata"]
    ref = Ref(TRAINING_RUN, meta["namespace"], meta["name"])
    body = {"status": {"conditions": told}}
    await systems.cluster.patch(ref, body, status=True, resource_version=meta["resourceVersion"])
