"""Observed to conditions: every condition, every time. Pure."""

from datetime import datetime
from typing import Any

from trainyard.resources.conditions import Condition, condition, merge
from trainyard.training_pipeline import pruning, reasons
from trainyard.training_pipeline.state import Observed

ACTIVE_LIMIT = 100
MESSAGE_LIMIT = 2000
STUCK = frozenset(
    {
        reasons.INVALID_TRIGGER,
        reasons.NAME_CONFLICT,
        reasons.PARAMETER_WITHOUT_VALUE,
        reasons.REVISION_CONFLICT,
    }
)
UNDER_WAY = frozenset({reasons.REPLACING, reasons.WAITING_FOR_NAME})


def refused(seen: Observed, now: datetime, reason: str, message: str) -> dict[str, Any]:
    """Return the status of a pipeline that cannot be accepted."""
    conditions = (
        _told("Accepted", False, reason, message),
        _told("Ready", False, reason, message),
        condition("Reconciling", False, reason),
        _told("Stalled", True, reason, message),
        *triggers_ready(seen),
    )
    return _status(seen, now, conditions)


def standing(
    seen: Observed, now: datetime, reason: str, message: str = "", *, mistakes: str = "", **fields: Any
) -> dict[str, Any]:
    """Return the status of a pipeline that works: what it waits for, its runs, its newest version.

    mistakes: what is wrong with single triggers, while the others go on.
    """
    stuck = reason in STUCK
    accepted = (
        _told("Accepted", False, reasons.INVALID_TRIGGER, mistakes)
        if mistakes
        else _told("Accepted", True, reasons.ACCEPTED)
    )
    conditions = (
        accepted,
        _told("Ready", not stuck, reason, message),
        condition("Reconciling", reason in UNDER_WAY, reason),
        condition("Stalled", stuck, reason),
        *triggers_ready(seen),
    )
    return _status(seen, now, conditions, **_surroundings(seen), **fields)


def triggers_ready(seen: Observed) -> tuple[Condition, ...]:
    """Return whether the receiver can check proofs; nothing for a pipeline whose proofs need no Secret.

    The pipeline is Ready all the same: its other triggers work.
    """
    if not seen.secrets:
        return ()
    wrong = [problem for _, problem in sorted(seen.secrets.items()) if problem[0]]
    if not wrong:
        return (_told("TriggersReady", True, reasons.TRIGGERS_READY),)
    message = " ".join(message for _, message in wrong)
    surely = [reason for reason, _ in wrong if reason != reasons.SECRET_UNKNOWN]
    return (_told("TriggersReady", False if surely else None, [*surely, reasons.SECRET_UNKNOWN][0], message),)


def _surroundings(seen: Observed) -> dict[str, Any]:
    active = sorted(r.metadata.name for r in seen.runs if not pruning.has_ended(r))
    newest = max(seen.runs, key=pruning.age, default=None)
    return {
        "active_runs": tuple(active[:ACTIVE_LIMIT]),
        "last_run": newest.metadata.name if newest else None,
        "latest_version": seen.latest_version,
    }


def _status(seen: Observed, now: datetime, conditions: tuple[Condition, ...], **fields: Any) -> dict[str, Any]:
    generation = seen.meta.generation
    at = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    merged = merge(seen.before.conditions, conditions, generation, at)
    update = {"observed_generation": generation, "conditions": merged, "package_digest": seen.package_digest, **fields}
    return seen.before.model_copy(update=update).to_wire()


def _told(kind: str, status: bool | None, reason: str, message: str = "") -> Condition:
    return condition(kind, status, reason, reasons.sentence(reason, message)[:MESSAGE_LIMIT])
