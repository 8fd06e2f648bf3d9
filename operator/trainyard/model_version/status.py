"""What was found out, as conditions. Pure: all of them every time, and no message that changes by itself."""

from typing import Any

from trainyard.model_version import gate, reasons
from trainyard.model_version.moves import sequence_after
from trainyard.model_version.state import Finding, Observed, View
from trainyard.resources.conditions import Condition, condition, merge
from trainyard.resources.model_version import ModelVersionStatus


def status_of(observed: Observed, view: View, at: str) -> dict[str, Any]:
    """Return the whole status in its JSON form. The rows that wait are the cycle's business."""
    generation = observed.meta.generation
    return ModelVersionStatus(
        observed_generation=generation,
        conditions=merge(observed.status.conditions, conditions(view), generation, at),
        decision=view.decision,
        served_by=observed.serving.served_by,
        holds=view.holds,
        rejections=observed.serving.rejections,
        sequence=sequence_after(observed, view, at),
    ).to_wire()


def conditions(view: View) -> tuple[Condition, ...]:
    """Return every condition of a version; `Ready` is the summary."""
    ready = _ready(view)
    return (
        _said("Accepted", view.accepted),
        _said("Verified", view.verified),
        _evaluated(view),
        _rejected(view),
        ready,
        _echo("Reconciling", ready, "Unknown"),
        _echo("Stalled", ready, "False"),
    )


def _echo(kind: str, ready: Condition, status: str) -> Condition:
    """Return a condition that is true while `Ready` has this status, and tells why."""
    if ready.status == status:
        return condition(kind, True, ready.reason, ready.message)
    return condition(kind, False, reasons.SETTLED)


def _said(kind: str, finding: Finding) -> Condition:
    return condition(kind, finding.verified, finding.reason, finding.message)


def _evaluated(view: View) -> Condition:
    if view.decision is None:
        return condition("Evaluated", None, reasons.NOT_VERIFIED, "waits until the artifact is verified")
    return condition("Evaluated", True, view.decision.verdict)


def _rejected(view: View) -> Condition:
    if view.decision is None or view.decision.verdict == reasons.ACCEPTED:
        return condition("Rejected", False, reasons.ACCEPTED if view.decision else reasons.NOT_VERIFIED)
    return condition("Rejected", True, *gate.failure(view.decision))


def _ready(view: View) -> Condition:
    """The first answer wins: what is refused, what was rejected, what is not verified (any more), ready."""
    if not view.accepted.verified:
        return condition("Ready", False, view.accepted.reason, view.accepted.message)
    if view.decision and view.decision.verdict == reasons.REJECTED:
        return condition("Ready", False, reasons.REJECTED, gate.failure(view.decision)[1])
    if not view.verified.verified:
        return condition("Ready", view.verified.verified, view.verified.reason, view.verified.message)
    return condition("Ready", True, reasons.READY)
