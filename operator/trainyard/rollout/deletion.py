"""Taking a Rollout down: traffic to stable, then the canary, then all the rest; or stable is left to itself. Pure."""

from trainyard import naming
from trainyard.reconciling.apply import needs_apply
from trainyard.reconciling.plan import Action, Note, PatchMetadata, Plan
from trainyard.resources.rollout import Ending, RevisionStatus
from trainyard.rollout import converging, history, recovery, rendering
from trainyard.rollout.moves import Move, plan
from trainyard.rollout.situation import Situation
from trainyard.rollout.state import ApplyObject, Remember, Remove, ShiftTraffic
from trainyard.rollout.times import since
from trainyard.systems.cluster.port import CONTROLLER_REVISION, DEPLOYMENT, HTTP_ROUTE, SERVICE, Kind, Obj, Ref

CLEANUP_DEADLINE_SECONDS = 600
AGAIN_SECONDS = 2.0


def decide(s: Situation) -> Plan:
    """Return the next part of the deletion."""
    if naming.FINALIZER not in s.rollout.metadata.finalizers:
        return Plan()
    if naming.ANNOTATION_SKIP_CLEANUP in s.rollout.metadata.annotations:
        return _release(s, ())
    if since(s.rollout.metadata.deletion_timestamp, s.now) >= CLEANUP_DEADLINE_SECONDS:
        return _release(s, (_left_behind(s),))
    move = recovery.recovered(s) or _empty_canary(s) or _remove_canary(s)
    move = move or (_leave_stable(s) if s.spec.deletion_policy == "Orphan" else _remove_rest(s))
    return plan(s, move) if move else _release(s, ())


def _empty_canary(s: Situation) -> Move | None:
    """Give stable all traffic; without a ready stable that waits where stable is to stay, and is no use where not."""
    if s.canary is None or s.routed_weight == 0 or s.stable is None or not _is_route_ours(s):
        return None
    ending = Ending(outcome="RolledBack", message="the Rollout is deleted")
    meant = s.thinking_of(weight=0, ending=ending)
    shift = converging.route_to_apply(meant)
    if shift is None:
        return Move(meant.status, intent=True, again=AGAIN_SECONDS) if s.spec.deletion_policy == "Orphan" else None
    return Move(meant.status, (shift,), intent=True)


def _remove_canary(s: Situation) -> Move | None:
    """Take the emptied backends out of the route, then their objects."""
    stable = s.stable.revision if s.stable else None
    if stable and _is_route_ours(s) and set(s.routed) - {stable}:
        manifest = _route_to(s, stable, owned=True)
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
    """Drop the owner of stable and its route, and mark them, so that a Rollout of this name can take them up."""
    if s.stable is None:
        return _remove_rest(s)
    manifests = [*_ownerless(s, s.stable), *(rendering.stored_revision(k, None) for k in s.seen.stored.values())]
    found: list[Action] = [ApplyObject(m) for m in manifests if _is_owned(_live(s, m), s)]
    if _is_route_ours(s) and _is_owned(s.seen.route, s):
        found.append(ShiftTraffic(_route_to(s, s.stable.revision, owned=False), _version(s)))
    return Move(s.status, tuple(found), again=0.0) if found else None


def _ownerless(s: Situation, stable: RevisionStatus) -> list[rendering.Rendered]:
    kept = s.seen.stored.get(stable.revision)
    if kept is None:
        return []
    return [
        rendering.deployment(kept.deployment, s.rollout, s.serving.replicas, owned=False),
        rendering.service(kept.service, s.rollout, owned=False),
    ]


def _live(s: Situation, manifest: rendering.Rendered) -> Obj | None:
    revision = manifest["metadata"]["labels"][naming.LABEL_REVISION]
    if manifest["kind"] == "ControllerRevision":
        return s.seen.stored[revision].obj
    objects = s.seen.deployments if manifest["kind"] == "Deployment" else s.seen.services
    return objects.get(revision)


def _is_owned(obj: Obj | None, s: Situation) -> bool:
    """Whether the object still goes when the Rollout goes."""
    owners = (obj or {}).get("metadata", {}).get("ownerReferences") or ()
    return any(o.get("uid") == s.rollout.metadata.uid for o in owners)


def _is_route_ours(s: Situation) -> bool:
    return s.seen.route is not None and not needs_apply(
        {"metadata": {"labels": {**naming.MANAGED_BY, naming.LABEL_ROLLOUT: s.name}}}, s.seen.route
    )


def _route_to(s: Situation, stable: str, *, owned: bool) -> rendering.Rendered:
    annotations = rendering.route_annotations(stable, "", None)
    return rendering.route(s.rollout, [(stable, 100)], annotations, owned=owned)


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
    actions = (Remember(None), PatchMetadata(finalizers=others))
    return Plan(actions, records=history.records(s, rows), notes=notes)


def _left_behind(s: Situation) -> Note:
    names = [
        *(f"Deployment {s.name}-{r}" for r in sorted(s.seen.deployments)),
        *([f"HTTPRoute {s.name}"] if s.seen.route else []),
    ]
    return Note(
        "CleanupTimedOut", f"released after {CLEANUP_DEADLINE_SECONDS} s; left: {', '.join(names)}", "", "Warning"
    )
