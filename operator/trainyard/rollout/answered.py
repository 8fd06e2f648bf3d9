"""What the API server made of what was applied: a mutating webhook may want a field otherwise than we render it. Pure.

What it answered to an apply is how it wants the object; to apply the same again would get the same answer, for ever.
So the answer counts instead of the manifest, as long as the manifest is the same. Memory of this process only: after a
restart it is applied once more. Called by `converging` and `moves`; filled by `room`.
"""

from collections.abc import Mapping

from trainyard.reconciling.apply import as_answered, differing, needs_apply, says_more
from trainyard.reconciling.plan import Note
from trainyard.rollout.state import Altered, Observed
from trainyard.systems.cluster.port import Obj

NAMED_FIELDS = 3  # an Event is no place for all of them
# Fields of a spec that nobody else may add to, by kind: requests may go elsewhere by what is added there.
OWN_ALONE: Mapping[str, tuple[str, ...]] = {"HTTPRoute": ("parentRefs", "hostnames", "rules"), "Service": ("selector",)}


def key(obj: Obj) -> tuple[str, str]:
    """Name an object of a Rollout."""
    return obj["kind"], obj["metadata"]["name"]


def of_apply(manifest: Obj, answer: Obj) -> Altered | None:
    """Return what is to be remembered of an apply, None where the answer says just what was applied."""
    found = Altered(manifest, answer)
    return found if _fields(found) else None


def expected(seen: Observed, manifest: Obj) -> Obj:
    """Return what the live object is to say of what the manifest renders."""
    told = _answer(seen, manifest)
    return as_answered(manifest, told.live) if told else manifest


def is_added_to(seen: Observed, manifest: Obj, live: Obj | None) -> bool:
    """Whether somebody added to what is rendered where nobody may."""
    told = _answer(seen, manifest)
    return says_more(_alone(manifest, told.live if told else manifest), (live or {}).get("spec", {}))


def may_stand_already(seen: Observed, manifest: Obj) -> bool:
    """Whether an apply may be answered with what stands there already: of that no watch would tell.

    So is it after a restart. It happens once: then the answer is known, or the object is as rendered.
    """
    live = _live(seen, manifest)
    if live is None or _answer(seen, manifest):
        return False
    return needs_apply(manifest, live) or is_added_to(seen, manifest, live)


def _live(seen: Observed, manifest: Obj) -> Obj | None:
    objects = (*seen.deployments.values(), *seen.services.values(), seen.route)
    return next((obj for obj in objects if obj and key(obj) == key(manifest)), None)


def _answer(seen: Observed, manifest: Obj) -> Altered | None:
    told = seen.answers.get(key(manifest)) if seen.answers else None
    return told if told and told.manifest == manifest else None


def _alone(manifest: Obj, said: Obj) -> Obj:
    """Return what is said in the rendered fields that nobody else may add to."""
    fields = (f for f in OWN_ALONE.get(manifest["kind"], ()) if f in manifest["spec"])
    return {field: said.get("spec", {}).get(field) for field in fields}


def living(seen: Observed, answers: Mapping[tuple[str, str], Altered]) -> dict[tuple[str, str], Altered]:
    """Return the answers about objects that are still there."""
    kept = (stored.obj for stored in seen.stored.values())
    there = {key(obj) for obj in (*seen.deployments.values(), *seen.services.values(), *kept, seen.route) if obj}
    return {name: answer for name, answer in answers.items() if name in there}


def sentences(seen: Observed) -> tuple[str, ...]:
    """Return for each object what the API server changed of it; fields only, for a value may be a secret."""
    return tuple(_sentence(name, _fields(answer)) for name, answer in sorted(seen.answers.items()))


def notes(seen: Observed, told: frozenset[str]) -> tuple[Note, ...]:
    """Return an event for each of these that was not told yet."""
    return tuple(Note("ChangedOnApply", sentence, "") for sentence in sentences(seen) if sentence not in told)


def _sentence(name: tuple[str, str], fields: tuple[str, ...]) -> str:
    more = len(fields) - NAMED_FIELDS
    rest = f" and {more} more" if more > 0 else ""
    return (
        f"the API server changed {', '.join(fields[:NAMED_FIELDS])}{rest} of {' '.join(name)} as it was applied "
        "(a webhook?); it is left so"
    )


def _fields(answer: Altered) -> tuple[str, ...]:
    changed = differing(answer.manifest, answer.live)
    alone, said = (_alone(answer.manifest, one) for one in (answer.manifest, answer.live))
    added = differing({"spec": {k: v for k, v in said.items() if v is not None}}, {"spec": alone}) if alone else ()
    return tuple(dict.fromkeys((*changed, *added)))
