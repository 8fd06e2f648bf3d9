"""Carry out what was decided: one write an intention, no domain ifs. Called by `room`."""

from collections.abc import Mapping
from typing import Any

from trainyard import naming
from trainyard.reconciling.plan import Action
from trainyard.rollout.state import ApplyObject, MarkRevision, Remove, ShiftTraffic
from trainyard.systems.cluster.port import Cluster, Obj


async def act(action: Action, cluster: Cluster) -> Obj | None:
    """Write one intention and return the answer to an apply, None to anything else.

    Raises what the port raises, and TypeError for a stranger's intention.
    """
    match action:
        case ApplyObject(manifest):
            return await cluster.apply(manifest, naming.MANAGER_ROLLOUT)
        case ShiftTraffic(manifest, resource_version):
            return await cluster.apply(manifest, naming.MANAGER_ROLLOUT, resource_version=resource_version)
        case MarkRevision(ref, outcome):
            await cluster.patch(ref, _outcome(outcome))
        case Remove(ref, uid):
            await cluster.delete(ref, uid=uid)
        case _:
            raise TypeError(f"a Rollout has no intention {type(action).__name__}")
    return None


def _outcome(outcome: str) -> Mapping[str, Any]:
    return {"metadata": {"annotations": {naming.ANNOTATION_OUTCOME: outcome or None}}}
