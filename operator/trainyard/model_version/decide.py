"""What follows from what was observed of a ModelVersion. Pure and total. Called by the cycle, through `room`.

The gate decides once: a decision in status is never made again, whatever the store shows later.
"""

from dataclasses import replace
from datetime import datetime

from trainyard import naming
from trainyard.model_version import gate, reasons
from trainyard.model_version.records import notes, records
from trainyard.model_version.state import Finding, Observed, View
from trainyard.model_version.status import status_of
from trainyard.model_version.verification import verify
from trainyard.reconciling.plan import Note, PatchMetadata, Plan, Release
from trainyard.resources import aliases
from trainyard.resources.base import ObjectMeta
from trainyard.resources.conditions import is_true
from trainyard.resources.model_version import DecisionStatus, ModelVersionSpec

STORE_AWAY_SECONDS = 15.0  # until the store is asked again
UNVERIFIED_SECONDS = 60.0  # until a missing object is looked for again
HELD_SECONDS = 10.0  # until a deleted version that serves is looked at again


def decide(observed: Observed, now: datetime) -> Plan:
    """Return what to do about one version now."""
    if observed.meta.deletion_timestamp:
        return _release(observed)
    at = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    view = view_of(observed, at)
    view = replace(view, holds=_held(observed, view))
    status = status_of(observed, view, at)
    return Plan(
        actions=_finalizer(observed),
        status=status,
        records=records(observed, view, at),
        notes=notes(observed, view, at),
        revisit_after=_revisit(view),
    )


def view_of(observed: Observed, at: str) -> View:
    """Find out what the version is; `at` stamps a decision that is made now."""
    accepted = _accepted(observed)
    if observed.spec is None or not accepted.verified:
        return View(accepted, accepted, observed.status.decision)
    verified = verify(observed.spec, observed.evidence, verified_before=is_true(observed.status.conditions, "Verified"))
    return View(accepted, verified, observed.status.decision or _judge(observed, observed.spec, verified, at))


def _held(observed: Observed, view: View) -> tuple[str, ...]:
    """Return the aliases that the version may show as held."""
    if observed.spec is None or not observed.spec.aliases:
        return ()
    spec, shown = observed.spec, frozenset(observed.status.holds)
    mine = aliases.Claim(observed.meta.name, spec.created_at, view.is_ready, frozenset(spec.aliases), shown)
    return aliases.holds(mine, observed.claims)


def _judge(observed: Observed, spec: ModelVersionSpec, verified: Finding, at: str) -> DecisionStatus | None:
    if not verified.verified or observed.evidence.manifest is None:
        return None
    return gate.judge(spec.evaluation, observed.evidence.manifest.metrics, at)


def _accepted(observed: Observed) -> Finding:
    if observed.spec is None:
        return Finding(False, reasons.INVALID_SPEC, observed.problem)
    if observed.misplaced:
        return Finding(False, reasons.OUTSIDE_NAMESPACE, observed.misplaced)
    return Finding(True, reasons.VALID)


def _revisit(view: View) -> float | None:
    if view.verified.verified is None:
        return STORE_AWAY_SECONDS
    return UNVERIFIED_SECONDS if view.accepted.verified and not view.verified.verified else None


def _finalizer(observed: Observed) -> tuple[PatchMetadata, ...]:
    """A version that serves is held by our finalizer, one that does not is free to go."""
    meta, held = observed.meta, naming.FINALIZER in observed.meta.finalizers
    if held == bool(observed.serving.served_by):
        return ()
    return (PatchMetadata(finalizers=_others(meta) if held else (*meta.finalizers, naming.FINALIZER)),)


def _release(observed: Observed) -> Plan:
    """Let a deleted version go once no Rollout serves it, or at once where a person says so. Its aliases go first."""
    meta, served_by = observed.meta, observed.serving.served_by
    status = observed.status.model_copy(update={"holds": ()}).to_wire() if observed.status.holds else None
    if naming.FINALIZER not in meta.finalizers:
        return Plan(status=status)
    if not served_by or meta.annotations.get(naming.ANNOTATION_SKIP_CLEANUP) == "true":
        return Plan(actions=(Release(finalizers=_others(meta)),), status=status)
    message = f"served by Rollout {', '.join(served_by)}: it goes once they serve another version"
    note = Note(reasons.STILL_SERVING, message, meta.deletion_timestamp or "", "Warning")
    return Plan(status=status, notes=(note,), revisit_after=HELD_SECONDS)


def _others(meta: ObjectMeta) -> tuple[str, ...]:
    return tuple(f for f in meta.finalizers if f != naming.FINALIZER)
