"""A Rollout without status (restored from a backup, or made anew over an orphan): what its objects still tell. Pure.

The route says which revisions it serves and at which step; the ControllerRevisions what they are and which were
rejected. Nothing moves: what is found is what is meant. Only a rejected revision that still has traffic was on its
way back, and goes on with that.
"""

from trainyard import naming
from trainyard.reconciling.plan import Note
from trainyard.resources.rollout import Ending, RevisionStatus
from trainyard.rollout import revisions, steps, weights
from trainyard.rollout.moves import Move
from trainyard.rollout.situation import Situation
from trainyard.rollout.times import stamp_up


def recovered(s: Situation) -> Move | None:
    """Return the status that the route and the kept revisions tell; None where they tell none."""
    stable = _told(s, naming.ANNOTATION_STABLE_REVISION)
    if s.stable or s.canary or stable is None:
        return None
    rejected = tuple(sorted(r for r, kept in s.seen.stored.items() if kept.outcome in revisions.REJECTED))
    canary = _told(s, naming.ANNOTATION_CANARY_REVISION)
    found: dict[str, object] = {
        "stable": stable,
        "rejected": rejected,
        "weightless_since": s.at,
        # Rows are numbered on from beyond all that may have been written.
        "sequence": int(s.now.timestamp()),
        # What was asked for before may have been done before.
        "handled_action": s.spec.action.id if s.spec.action else None,
    }
    if canary is not None and canary != stable:
        found |= _going_back(s, canary) if canary.revision in rejected else _running(s, canary)
    note = Note("Recovered", f"status was lost; revision {stable.revision} goes on serving", s.at)
    return Move(s.status.model_copy(update=found), notes=(note,), again=0.0)


def _going_back(s: Situation, canary: RevisionStatus) -> dict[str, object]:
    """Return a canary on its way back, {} where it is at its end: stable may not be ready for the traffic yet."""
    running = _running(s, canary)
    if not running["routed_weight"]:
        return {}
    ending = Ending(outcome="Aborted", message="rejected before status was lost")
    return running | {"weight": 0, "ending": ending}


def _running(s: Situation, canary: RevisionStatus) -> dict[str, object]:
    weight = weights.routed(s.seen.route, s.name).get(canary.revision, 0)
    return {
        "canary": canary,
        "weight": weight,
        "routed_weight": weight,
        "step": min(weights.step_of(s.seen.route) or 0, len(s.steps)),
        "steps_digest": steps.ladder_digest(s.steps),
        "ladder": steps.ladder(s.steps),
        "step_started_time": stamp_up(s.now),
        "canary_started_time": s.at,
        "unavailable_since": s.at,
    }


def _told(s: Situation, annotation: str) -> RevisionStatus | None:
    """Return the revision that the route names, from its ControllerRevision, else from the versions that exist."""
    named = weights.annotation(s.seen.route, annotation)
    kept = s.seen.stored.get(named)
    if kept is not None:
        return revisions.status_of(kept)
    made = (revisions.revision_of(candidate, s.serving) for candidate in s.seen.versions)
    return next((revision for revision in made if revision.revision == named), None)
