"""A Rollout that cannot be read: it says so, keeps what serves, and can be deleted. Pure. Called by `decide`."""

from datetime import datetime

from pydantic import ValidationError

from trainyard import naming
from trainyard.reconciling.plan import PatchMetadata, Plan
from trainyard.resources.conditions import Condition, condition, merge
from trainyard.resources.rollout import RolloutStatus
from trainyard.rollout.state import Observed
from trainyard.rollout.times import stamp


def plan(observed: Observed, now: datetime) -> Plan:
    """Say what is wrong with an object that cannot be read, and touch nothing else of it; deleted, it may go."""
    meta, told = observed.obj["metadata"], observed.obj.get("status")
    told = told if isinstance(told, dict) else {}
    if "deletionTimestamp" in meta:
        held = meta.get("finalizers") or ()  # what it owns goes with it
        return Plan((PatchMetadata(finalizers=tuple(f for f in held if f != naming.FINALIZER)),))
    generation = int(observed.obj["metadata"].get("generation", 1))
    refused = (
        condition("Accepted", False, "Invalid", observed.problem),
        condition("Ready", False, "Invalid", observed.problem),
        condition("Stalled", True, "Invalid", observed.problem),
    )
    conditions = [c.to_wire() for c in merge(_known(told), refused, generation, stamp(now))]
    return Plan(status={**told, "conditions": conditions, "observedGeneration": generation})


def _known(told: object) -> tuple[Condition, ...]:
    """Return the conditions that stand there, () where they cannot be read."""
    try:
        return RolloutStatus.model_validate(
            {"conditions": told["conditions"]} if isinstance(told, dict) else {}
        ).conditions
    except (KeyError, ValidationError):
        return ()
