"""Taking a Rollout down: traffic to stable, then the canary, then all the rest; or stable is left to itself. Pure."""

from trainyard import naming
from trainyard.reconciling.apply import needs_apply
from trainyard.reconciling.plan import Action, Note, Plan, Release
from trainyard.resources.rollout import Ending, RevisionStatus
from trainyard.rollout import converging, history, recovery, rendering, routing
from trainyard.rollout.moves import Move, plan
from trainyard.rollout.situation import Situation
from trainyard.rollout.state import ApplyObject, Intend, Remember, Remove, ShiftTraffic
from trainyard.rollout.weights import annotation
from trainyard.systems.cluster.port import CONTROLLER_REVISION, DEPLOYMENT, HTTP_ROUTE, SERVICE, Kind, Obj, Ref

CLEANUP_DEADLINE_SECONDS = 600  # of trying: the clock and an operator that was away have no part in it
AGAIN_SECONDS = 2.0


def decide(s: Situation) -> Plan:
    """Return the next part of the deletion."""
    if naming.FINALIZER not in s.rollout.metadata.finalizers:
        return Plan()
    if s.rollout.metadata.annotations.get(naming.ANNOTATION_SKIP_CLEANUP) == "true":
        return _release(s, ())
    if s.seen.tried >= CLEANUP_DEADLINE_SECONDS:
        return _release(s, (_left_behind(s),))
    move = recovery.recovered(s) or _empty_canary(s) or _remove_canary(s)
    move = move or (_leave_stable(s) if s.spec.deletion_policy == "Orphan" else _remove_rest(s))
    return plan(s, move) if move else _release(s, ())


def _empty_canary(s: Situation) -> Move | None:
    """Give stable all traffic; without a ready stable that waits where stable is to stay, and is no use where not."""
    if s.canary is None or s.stable is None or not _is_route_ours(s):
        return None
    if s.routed_weight == 0 and not s.leads_beside:
        return None
    ending = Ending(outcome="RolledBack", message="the Rollout is deleted")
    meant = s.thinking_of(weight=0, ending=ending)
    shift = converging.route_to_apply(meant)
    if shift is None:
        return Move(meant.status, intent=Intend, again=AGAIN_SECONDS) if s.spec.deletion_policy == "Orphan" else None
    return Move(meant.status, (shift,), intent=Intend)


def _remove_canary(s: Situation) -> Move | None:
    """Take the emptied backends out of the route, then their objects."""
    stable = s.stable.revision if s.stable else None
    if any(weight for revision, weight in s.routed.items() if revision != stable):
        return None  # stable cannot take it: the route goes as it is
    if stable and _is_route_ours(s) and set(s.routed) - {stable}:
        manifest = _route_to(s, stable, left=False)
        return Move(s.status, (ShiftTraffic(manifest, _version(s)),), again=0.0)
    found = [
        _remove(kind, obj)
        for kind, objects in ((DEPLOYMENT, s.seen.deployments), (SERVICE, s.seen.services))
        for revision, obj in sorted(objects.items())
        if revision != stable and stable is not None
    ]
    return _removal(s, found)


def _remove_rest(s: Situation) -> Move | None:
    """Remove the route, then what it led to."""
    if _is_route_ours(s) and s.seen.route:
        return _removal(s, [_remove(HTTP_ROUTE, s.seen.route)])
    kept = {revision: stored.obj for revision, stored in s.seen.stored.items()}
    found = [
        _remove(kind, obj)
        for kind, objects in ((DEPLOYMENT, s.seen.deployments), (SERVICE, s.seen.services), (CONTROLLER_REVISION, kept))
        for _, obj in sorted(objects.items())
    ]
    return _removal(s, found)


def _leave_stable(s: Situation) -> Move | None:
    """Mark stable, its route and what is kept of revisions as left: a Rollout of this name can take them up."""
    if s.stable is None:
        return _remove_rest(s)
    kept = (rendering.stored_revision(k, s.rollout, left=True) for k in s.seen.stored.values())
    manifests = [*_stable_left(s, s.stable), *kept]
    found: list[Action] = [ApplyObject(m) for m in manifests if not _is_left(_live(s, m))]
    if _is_route_ours(s) and not _is_left(s.seen.route):
        found.append(ShiftTraffic(_route_to(s, s.stable.revision, left=True), _version(s)))
    return Move(s.status, tuple(found), again=0.0) if found else None


def _stable_left(s: Situation, stable: RevisionStatus) -> list[rendering.Rendered]:
    kept = s.seen.stored.get(stable.revision)
    if kept is None:
        return []
    return [
        rendering.deployment(kept.deployment, s.rollout, s.serving.replicas, left=True),
        rendering.service(kept.service, s.rollout, left=True),
    ]


def _live(s: Situation, manifest: rendering.Rendered) -> Obj | None:
    revision = manifest["metadata"]["labels"][naming.LABEL_REVISION]
    if manifest["kind"] == "ControllerRevision":
        return s.seen.stored[revision].obj
    objects = s.seen.deployments if manifest["kind"] == "Deployment" else s.seen.services
    return objects.get(revision)


def _is_left(obj: Obj | None) -> bool:
    """Whether an object is marked, and nobody's; one that somebody deleted is not made again here."""
    marked = bool(annotation(obj, naming.ANNOTATION_ORPHANED))
    return obj is None or (marked and not obj["metadata"].get("ownerReferences"))


def _is_route_ours(s: Situation) -> bool:
    return s.seen.route is not None and not needs_apply(
        {"metadata": {"labels": {**naming.MANAGED_BY, naming.LABEL_ROLLOUT: s.name}}}, s.seen.route
    )


def _route_to(s: Situation, stable: str, *, left: bool) -> rendering.Rendered:
    return routing.route(s.rollout, [(stable, 100)], routing.annotations(stable, "", None), left=left)


def _version(s: Situation) -> str | None:
    return str(s.seen.route["metadata"]["resourceVersion"]) if s.seen.route else None


def _remove(kind: Kind, obj: Obj) -> Remove:
    meta = obj["metadata"]
    return Remove(Ref(kind, meta["namespace"], meta["name"]), str(meta["uid"]))


def _removal(s: Situation, found: list[Remove]) -> Move | None:
    """Remove what is not on its way out yet, and come again until it is gone."""
    return Move(s.status, tuple(found), again=AGAIN_SECONDS) if found else None


def _release(s: Situation, notes: tuple[Note, ...]) -> Plan:
    """Let the object go."""
    others = tuple(f for f in s.rollout.metadata.finalizers if f != naming.FINALIZER)
    about = s.stable or s.canary
    rows = (history.row("Deleted", about, policy=s.spec.deletion_policy),) if about else ()
    actions = (Remember(None), Release(finalizers=others))
    return Plan(actions, records=history.records(s, rows), notes=notes)


def _left_behind(s: Situation) -> Note:
    names = [
        *(f"Deployment {s.name}-{r}" for r in sorted(s.seen.deployments)),
        *([f"HTTPRoute {s.name}"] if s.seen.route else []),
    ]
    return Note(
        "CleanupTimedOut", f"released after {CLEANUP_DEADLINE_SECONDS} s; left: {', '.join(names)}", "", "Warning"
    )
