"""What is told of a version: rows for the metadata database, and events. Pure. Used by `decide`."""

from typing import Any

from trainyard.model_version import gate, moves, reasons
from trainyard.model_version.state import Finding, Observed, View
from trainyard.reconciling.plan import Note, Record
from trainyard.resources.conditions import find
from trainyard.resources.model_version import DecisionStatus, ModelVersionSpec

SEQUENCE_VERSION = 1
SEQUENCE_DECISION = 2


def records(observed: Observed, view: View, at: str) -> tuple[Record, ...]:
    """Return rows for what is new: the version when it is first seen, its decision when it is made, moved aliases."""
    spec = observed.spec
    if spec is None:
        return ()
    rows: list[Record] = []
    if find(observed.status.conditions, "Accepted") is None:
        rows.append(
            Record(
                observed.meta.uid,
                SEQUENCE_VERSION,
                "version",
                spec.created_at,
                observed.meta.namespace,
                observed.meta.name,
                _version(spec),
            )
        )
    if view.decision and observed.status.decision is None:
        rows.append(
            Record(
                observed.meta.uid,
                SEQUENCE_DECISION,
                "decision",
                view.decision.at,
                observed.meta.namespace,
                observed.meta.name,
                _decision(spec, view.decision),
            )
        )
    return (*rows, *moves.rows(observed, view, at))


def notes(observed: Observed, view: View, at: str) -> tuple[Note, ...]:
    """Return events: a verdict when it is given, what is wrong with an artifact when that changes, moves of aliases."""
    told = (_verdict(observed, view), _broken(observed, view), *moves.notes(observed, view, at))
    return tuple(note for note in told if note)


def _verdict(observed: Observed, view: View) -> Note | None:
    if view.decision is None or observed.status.decision is not None:
        return None
    if view.decision.verdict == reasons.ACCEPTED:
        return Note(reasons.ACCEPTED, "verified, and every rule of the gate passed", view.decision.at)
    return Note(reasons.REJECTED, gate.failure(view.decision)[1], view.decision.at, "Warning")


def _broken(observed: Observed, view: View) -> Note | None:
    found: Finding = view.verified if view.accepted.verified else view.accepted
    before = find(observed.status.conditions, "Verified" if view.accepted.verified else "Accepted")
    if found.verified is not False or (before and (before.status, before.reason) == ("False", found.reason)):
        return None
    since = before.last_transition_time if before else ""
    return Note(found.reason, found.message, since, "Warning")


def _version(spec: ModelVersionSpec) -> dict[str, Any]:
    return {
        "model": spec.model,
        "run": spec.source.run,
        "uri": spec.artifact.uri,
        "digest": spec.artifact.digest,
        "format": spec.artifact.format,
        "metrics": dict(spec.metrics),
        "datasets": [d.to_wire() for d in spec.source.datasets],
        "images": list(spec.source.images),
    }


def _decision(spec: ModelVersionSpec, decision: DecisionStatus) -> dict[str, Any]:
    return {
        "event": "Evaluated",
        "model": spec.model,
        "verdict": decision.verdict,
        "by": "trainyard",
        "rules": [rule.to_wire() for rule in decision.rules],
    }
