"""Bring the objects and the route to what status means: what differs, in the order in which it may be written. Pure.

Objects first, but for weight that the canary loses; it gains some only once the pods that take it are ready and the
Gateway took the route as it is.
"""

from collections.abc import Mapping
from typing import Any

from trainyard import naming
from trainyard.reconciling.apply import needs_apply
from trainyard.reconciling.plan import Action, Note
from trainyard.resources.conditions import find
from trainyard.resources.rollout import RevisionStatus
from trainyard.rollout import answered, rendering, revisions, routing, shortcuts, sizing, weights
from trainyard.rollout.progress import CONTESTED_TIMES
from trainyard.rollout.shortcuts import Shortcuts
from trainyard.rollout.situation import Situation, available, is_complete
from trainyard.rollout.state import ApplyObject, Candidate, NameBackend, ShiftTraffic
from trainyard.systems.cluster.port import Obj

CONTESTED = "RouteContested"
ROLE_ANNOTATIONS = (
    naming.ANNOTATION_STABLE_REVISION,
    naming.ANNOTATION_CANARY_REVISION,
    naming.ANNOTATION_SHORTCUTS,
)


def differences(s: Situation) -> tuple[Action, ...]:
    """Return the writes that the situation's status asks for now, () where everything is as it should be."""
    shift = route_to_apply(s)
    if shift and s.canary and attainable_weight(s) < s.routed_weight:
        return (shift,)  # no object is needed for it, and to write one may be refused for ever
    objects = objects_to_apply(s)
    if objects:
        return objects
    return (shift,) if shift else ()


def looks_again(s: Situation, actions: tuple[Action, ...]) -> bool:
    """Whether to come again by ourselves after these writes: they may change nothing, and still teach us something."""
    applied = (a.manifest for a in actions if isinstance(a, ApplyObject | ShiftTraffic))
    return any(answered.may_stand_already(s.seen, manifest) for manifest in applied)


def objects_to_apply(s: Situation) -> tuple[Action, ...]:
    """Return what has to be applied of the revisions that have a role, and of those that are only kept."""
    roles = [(s.stable, s.sizes.stable)] if s.stable else []
    if s.canary:
        roles.append((s.canary, s.sizes.canary))
    applied = [action for revision, size in roles for action in _objects_of(s, revision, size)]
    return tuple(applied + _to_own_again(s))


def _objects_of(s: Situation, revision: RevisionStatus, size: int) -> list[Action]:
    data, made = _kept_or_made(s, revision)
    if data is None:
        return []
    key = revision.revision
    wanted = (
        (rendering.deployment(data["deployment"], s.rollout, size), s.seen.deployments.get(key)),
        (rendering.service(data["service"], s.rollout), s.seen.services.get(key)),
    )
    return [*made, *(ApplyObject(manifest) for manifest, live in wanted if _differs(s, manifest, live))]


def _differs(s: Situation, manifest: rendering.Rendered, live: Obj | None) -> bool:
    """Whether an object is not as rendered and answered, was added to, or has an owner that it must not have."""
    changed = needs_apply(answered.expected(s.seen, manifest), live) or answered.is_added_to(s.seen, manifest, live)
    return changed or _is_owned_wrongly(s, live)


def _is_owned_wrongly(s: Situation, live: Obj | None) -> bool:
    return bool((live or {}).get("metadata", {}).get("ownerReferences")) and not rendering.is_owner(s.rollout)


def _kept_or_made(s: Situation, revision: RevisionStatus) -> tuple[Mapping[str, Any] | None, list[Action]]:
    """Return a revision's stored objects; where they are not stored yet, render and store them, if that can be done."""
    kept = s.seen.stored.get(revision.revision)
    if kept is not None:
        return {"deployment": kept.deployment, "service": kept.service}, []
    candidate = _source(s, revision)
    if candidate is None:
        return None, []
    number = 1 + max((revisions.number(kept) for kept in s.seen.stored.values()), default=0)
    manifest = rendering.revision_object(s.rollout, revision, candidate, s.seen.config, number)
    return manifest["data"], [ApplyObject(manifest)]


def _source(s: Situation, revision: RevisionStatus) -> Candidate | None:
    """Return the version that becomes this very revision by the spec of now; None where it would become another."""
    return next((v for v in s.seen.versions if revisions.revision_of(v, s.serving).revision == revision.revision), None)


def unknown(s: Situation) -> RevisionStatus | None:
    """Return a revision with a role of which nothing is kept, nor can be rendered: what runs of it is left as it is."""
    roles = () if s.is_deleting else tuple(revision for revision in (s.stable, s.canary) if revision)
    return next((r for r in roles if r.revision not in s.seen.stored and _source(s, r) is None), None)


def _to_own_again(s: Situation) -> list[Action]:
    """Return the kept revisions whose owner is not as it should be: its uid changed, or they were left behind."""
    manifests = (rendering.stored_revision(kept, s.rollout) for kept in s.seen.stored.values())
    return [ApplyObject(m) for m in manifests if _is_left_behind(s, m)]


def _is_left_behind(s: Situation, manifest: rendering.Rendered) -> bool:
    live = s.seen.stored[manifest["metadata"]["labels"][naming.LABEL_REVISION]].obj
    meta = answered.expected(s.seen, manifest)["metadata"]
    return needs_apply({"metadata": meta}, live) or _is_owned_wrongly(s, live)


def route_to_apply(s: Situation) -> ShiftTraffic | None:
    """Return the change of the route that is due and allowed now."""
    manifest = route(s)
    live = s.seen.route
    if manifest is None or not _differs(s, manifest, live) or is_contested(s) or _leaves_the_living(s, manifest):
        return None
    shift = NameBackend if _only_names(s) else ShiftTraffic
    return shift(manifest, live["metadata"]["resourceVersion"] if live else None)


def _leaves_the_living(s: Situation, manifest: rendering.Rendered) -> bool:
    """Whether requests would go from ready pods to a stable without any: wherever they are, they wait for it there."""
    if s.stable is None or s.alive(s.stable):
        return False
    asked = weights.routed(manifest, s.name)
    losing = [revision for revision, weight in s.routed.items() if weight > asked.get(revision, 0)]
    gains = asked.get(s.stable.revision, 0) > s.routed.get(s.stable.revision, 0)
    return gains and any(available(s.seen.deployments.get(revision)) for revision in losing)


def _only_names(s: Situation) -> bool:
    """Whether the route would change by the canary's name alone: stable has everything, before and after."""
    if s.canary is None or s.stable is None or s.is_canary_named or s.is_own_edit:
        return False
    return s.routed.get(s.stable.revision) == 100


def route(s: Situation, *, with_emptied: bool = False) -> rendering.Rendered | None:
    """Render the route as it may be now; None where nothing can take traffic yet.

    with_emptied: keep former backends at weight 0 even when their time is over.
    """
    if s.stable is None:
        return _first_route(s)
    if s.seen.route is None and not (s.alive(s.stable) or s.alive(s.canary)):
        return None
    weight = attainable_weight(s)
    with_canary = s.canary is not None and (s.canary.revision in s.routed or weight > 0 or _may_be_named(s))
    backends = [(s.stable.revision, 100 - weight)]
    if s.canary and with_canary:
        backends.append((s.canary.revision, weight))
    canary = s.canary.revision if s.canary and with_canary else ""
    ways = _beside(s, weight) if canary else shortcuts.NONE
    told = routing.annotations(s.stable.revision, canary, _step_told(s, weight, ways) if canary else None, ways)
    return routing.route(s.rollout, backends + _emptied(s, with_emptied), told, ways)


def _may_be_named(s: Situation) -> bool:
    """Whether the route may name the canary, at weight 0 at first: see `Situation.is_canary_named`.

    Not before a pod is ready: some gateways refuse a route to a Service without endpoints. Nor before every Gateway
    knows the route as it stands: what was never named there can be taken down while they are away.
    """
    exists = s.canary is not None and s.canary.revision in s.seen.services
    is_held = s.is_weight_held or not s.alive(s.canary) or not s.is_route_answered
    return exists and not s.is_going_back and not (is_held and not s.is_canary_named)


def _step_told(s: Situation, weight: int, ways: Shortcuts) -> int | None:
    """Return the step that the route names: the one that set what stands there. A pause after it writes nothing."""
    as_it_stands = weights.annotation(s.seen.route, naming.ANNOTATION_SHORTCUTS) == ways.mark
    if s.canary and as_it_stands and s.routed.get(s.canary.revision) == weight:
        return weights.step_of(s.seen.route)
    return s.status.step


def _beside(s: Situation, weight: int) -> Shortcuts:
    """Return what leads to the canary beside its weight: nothing to pods that are not ready.

    On the way back it goes with the weight, which waits for a stable that can take it.
    """
    is_back = s.is_going_back and s.alive(s.stable)
    if s.canary is None or is_back or not s.alive(s.canary):
        return shortcuts.NONE
    stands = bool(weights.annotation(s.seen.route, naming.ANNOTATION_SHORTCUTS))
    is_known = s.is_canary_named and (s.is_route_accepted or s.seen.route is None)
    if not stands and (s.is_weight_held or not (is_known and s.is_canary_ready)):
        return shortcuts.NONE
    return s.beside(weight)


def _first_route(s: Situation) -> rendering.Rendered | None:
    """Render the route of the first version: all of it, once its pods are ready."""
    if s.canary is None or not s.is_canary_ready or (s.is_weight_held and s.seen.route is None):
        return None
    return routing.route(s.rollout, [(s.canary.revision, 100)], routing.annotations(s.canary.revision, "", None))


def _emptied(s: Situation, always: bool) -> list[tuple[str, int]]:
    """Return former backends that stay at weight 0 until their pods go: requests may end there, or still come."""
    roles = {r.revision for r in (s.stable, s.canary) if r}
    waiting = always or s.keeps_emptied
    return [(r, 0) for r in s.routed if waiting and r not in roles and r in s.seen.services]


def attainable_weight(s: Situation) -> int:
    """Return the weight that the canary may have in the route now, on the way to the one that is meant."""
    meant, live = s.status.weight, s.routed_weight
    if s.canary is None:
        return 0
    if s.is_weight_held:
        partly = live if sizing.extra_pods(s.spec.strategy, s.serving) is not None else 0
        meant = min(meant, max(s.status.routed_weight or 0, partly))
    confirmed = s.status.routed_weight or 0
    if confirmed < meant <= live and not s.is_canary_ready and s.alive(s.stable):
        return max(confirmed, _carried(s, meant))  # whoever wrote more did not ask whether the pods are there
    if meant <= live:
        return meant if meant == live or s.alive(s.stable) else live
    if not s.is_canary_named or (s.seen.route is not None and not s.is_route_accepted):
        return live
    return meant if s.is_canary_ready else max(live, _partly(s, meant))


def _carried(s: Situation, meant: int) -> int:
    """Return the weight on the way up that stands by right while accelerators are short: what ready pods carry.

    It was written when they were all that were asked for; more are asked for since, as stable gives way.
    """
    if s.canary is None or sizing.extra_pods(s.spec.strategy, s.serving) is None:
        return 0
    return min(meant, sizing.attainable(s.demand, available(s.seen.deployments.get(s.canary.revision))))


def _partly(s: Situation, meant: int) -> int:
    """Return the weight that the canary carries while accelerators are short: it grows as stable gives way."""
    deployment = s.seen.deployments.get(s.canary.revision) if s.canary else None
    bounded = sizing.extra_pods(s.spec.strategy, s.serving) is not None and 0 < s.sizes.canary < s.canary_size
    return (
        min(meant, sizing.attainable(s.demand, s.sizes.canary))
        if bounded and is_complete(deployment, s.sizes.canary)
        else 0
    )


def is_contested(s: Situation) -> bool:
    """Whether somebody edits the route again and again: then it is said, and not fought over."""
    return len(s.progress.put_back) >= CONTESTED_TIMES and is_drifted(s)


def is_fought_over(s: Situation) -> bool:
    """Whether that is to be said: from then on until nothing had to be put back for as long as such edits count."""
    told = find(s.status.conditions, "Stalled")
    was_said = told is not None and told.reason == CONTESTED
    return is_contested(s) or (was_said and bool(s.progress.put_back))


def is_drifted(s: Situation) -> bool:
    """Whether somebody else changed the route: it names our revisions, no change of ours is due, and it differs."""
    manifest, live = route(s, with_emptied=True), s.seen.route
    is_ours_due = s.canary is not None and s.status.routed_weight != s.status.weight
    if manifest is None or live is None or s.is_own_edit or is_ours_due:
        return False
    if not weights.annotation(live, naming.ANNOTATION_STABLE_REVISION):
        return True  # every route of ours says so: somebody wrote it without
    told = manifest["metadata"]["annotations"]
    same_roles = all(weights.annotation(live, name) == told.get(name, "") for name in ROLE_ANNOTATIONS)
    spec = answered.expected(s.seen, manifest)["spec"]
    return same_roles and (needs_apply({"spec": spec}, live) or answered.is_added_to(s.seen, manifest, live))


def notes(s: Situation, actions: tuple[Action, ...]) -> tuple[Note, ...]:
    """Return the events about a route that somebody edited or deleted."""
    if not any(isinstance(a, ShiftTraffic) for a in actions):
        return ()
    live = s.seen.route
    if live is None and s.stable is not None and not s.is_own_edit:
        return (Note("RouteMissing", f"HTTPRoute {s.name} was deleted and is made again", s.at, "Warning"),)
    if live is not None and is_drifted(s):
        version = str(live["metadata"]["resourceVersion"])
        return (Note("RouteDrift", f"somebody edited HTTPRoute {s.name}; it is put back", version, "Warning"),)
    return ()
