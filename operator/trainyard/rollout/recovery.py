"""A Rollout without status (restored from a backup, or made anew over an orphan): what its objects still tell. Pure.

The route says which revisions it serves and at which step; the ControllerRevisions what they are and which were
rejected. Nothing moves: what is found is what is meant. Only a rejected revision that still has traffic was on its
way back, and goes on with that. Without a route it is the pods that tell what served.
"""

from trainyard import naming
from trainyard.reconciling.plan import Note
from trainyard.resources.rollout import Ending, RevisionStatus
from trainyard.rollout import revisions, steps, weights
from trainyard.rollout.moves import Move
from trainyard.rollout.situation import Situation, available
from trainyard.rollout.state import Stored
from trainyard.rollout.times import stamp_up


def recovered(s: Situation) -> Move | None:
    """Return the status that the route and the kept revisions tell; None where they tell none."""
    if s.stable or s.canary:
        return None
    stable = _told(s, naming.ANNOTATION_STABLE_REVISION) or _by_pods(s)
    if stable is None:
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


def _by_pods(s: Situation) -> RevisionStatus | None:
    """Return what served by its pods, where the route is lost as well: of what was not rejected the revision with most.

    Of as many, the one kept longest: a canary is younger than stable. What else is wanted climbs its steps then.
    """
    left = [kept for r, kept in s.seen.stored.items() if kept.outcome not in revisions.REJECTED and _stands(s, r)]
    first = min(left, key=lambda kept: (*_fewer_pods(s, kept), _age(kept)), default=None)
    return revisions.status_of(first) if first else None


def _stands(s: Situation, revision: str) -> bool:
    """Whether a revision has a Deployment that nobody deletes."""
    deployment = s.seen.deployments.get(revision)
    return deployment is not None and "deletionTimestamp" not in deployment["metadata"]


def _fewer_pods(s: Situation, kept: Stored) -> tuple[int, int]:
    deployment = s.seen.deployments[kept.revision]
    return -available(deployment), -int(deployment.get("spec", {}).get("replicas", 1))


def _age(kept: Stored) -> tuple[int, str, str]:
    return revisions.number(kept), str(kept.obj["metadata"].get("creationTimestamp", "")), kept.revision


def _told(s: Situation, annotation: str) -> RevisionStatus | None:
    """Return the revision that the route names, from its ControllerRevision, else from the versions that exist."""
    named = weights.annotation(s.seen.route, annotation)
    kept = s.seen.stored.get(named)
    if kept is not None:
        return revisions.status_of(kept)
    made = (revisions.revision_of(candidate, s.serving) for candidate in s.seen.versions)
    return next((revision for revision in made if revision.revision == named), None)
