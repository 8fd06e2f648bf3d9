"""Intentions of a TrainingPipeline into calls: one branch each."""

from trainyard.reconciling.plan import Action
from trainyard.systems.bundle import Systems
from trainyard.systems.cluster.port import TRAINING_RUN, AlreadyExists, Invalid, NotFound, Obj, Ref
from trainyard.training_pipeline.state import CancelRun, CreateRevision, CreateRun, DeleteRun


async def act(action: Action, obj: Obj, systems: Systems) -> Obj:
    """Carry out one action; the pipeline itself is never written here. Raises ClusterError.

    That a run exists already is an error: the next cycle looks whose it is. That a revision does is none, for its
    name is its content.
    """
    namespace = obj["metadata"]["namespace"]
    match action:
        case CreateRevision():
            await _create_revision(action, systems)
        case CreateRun():
            await systems.cluster.create(action.run)
        case CancelRun():
            await _cancel(Ref(TRAINING_RUN, namespace, action.name), obj["metadata"]["name"], systems)
        case DeleteRun():
            await systems.cluster.delete(Ref(TRAINING_RUN, namespace, action.name), uid=action.uid)
        case _:
            raise TypeError(f"not an action of a TrainingPipeline: {action!r}")
    return obj


async def _create_revision(action: CreateRevision, systems: Systems) -> None:
    try:
        await systems.cluster.create(action.revision)
    except AlreadyExists:
        return


async def _cancel(run: Ref, pipeline: str, systems: Systems) -> None:
    """Cancel in the pipeline's own name; a run that somebody has cancelled meanwhile stays theirs."""
    by = f"TrainingPipeline {pipeline} (concurrency Replace)"
    try:
        await systems.cluster.patch(run, {"spec": {"cancel": True, "cancelledBy": by}})
    except (Invalid, NotFound):
        return
