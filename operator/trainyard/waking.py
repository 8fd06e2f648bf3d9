"""Which keys a change wakes: the object's own, its owner's, and those that decide by looking at it. Pure.

Nothing is decided here: a key that is woken for nothing runs one cycle that changes nothing. Called by `running`
for every change that the mirror sees. What it reads comes from outside, so nothing of its shape is taken for sure.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from trainyard import naming
from trainyard.resources.foreign import part, parts
from trainyard.systems.cluster.port import (
    KINDS,
    MODEL_VERSION,
    ROLLOUT,
    TRAINING_PIPELINE,
    TRAINING_RUN,
    WORKFLOW,
    Kind,
    Obj,
    Ref,
)

OURS = frozenset({TRAINING_PIPELINE, TRAINING_RUN, MODEL_VERSION, ROLLOUT})
LABELS: Mapping[str, Kind] = {
    naming.LABEL_PIPELINE: TRAINING_PIPELINE,
    naming.LABEL_RUN: TRAINING_RUN,
    naming.LABEL_ROLLOUT: ROLLOUT,
}
ECHO_SECONDS = 0.25
LABEL_KUBEFLOW_RUN = "pipeline/runid"  # Kubeflow's own

# Lists a kind's objects in a namespace ("" for all) that say this in their fields, from the store.
Lookup = Callable[[Kind, str, Mapping[str, str]], Iterable[Obj]]


def woken_by(kind: Kind, before: Obj | None, now: Obj | None, lookup: Lookup) -> set[Ref]:
    """Return the keys to visit after a change; `before` or `now` is None where the object came or went."""
    obj = now or before
    if obj is None:
        return set()
    namespace = str(obj["metadata"]["namespace"])
    if kind == WORKFLOW:
        return set(_running(obj, lookup))
    if kind not in OURS:
        return {ref for one in (before, now) if one for ref in _owners(one, namespace)}
    own = Ref(kind, namespace, str(obj["metadata"]["name"]))
    return {own, *_interested(own, before, now, lookup)}


def after(kind: Kind, key: Ref) -> float:
    """Return the seconds until a key is visited that a change of this kind woke.

    A version only says who serves it: it comes after what the Rollout still has to do, and once for several changes.
    """
    return ECHO_SECONDS if kind == ROLLOUT and key.kind == MODEL_VERSION else 0.0


def _running(workflow: Obj, lookup: Lookup) -> Iterable[Ref]:
    """The run that a Workflow is of: in a single-tenant Kubeflow they live in different namespaces."""
    engine_id = (workflow["metadata"].get("labels") or {}).get(LABEL_KUBEFLOW_RUN)
    for run in lookup(TRAINING_RUN, "", {}):
        meta = run["metadata"]
        if engine_id and (meta.get("annotations") or {}).get(naming.ANNOTATION_ENGINE_ID) == engine_id:
            yield Ref(TRAINING_RUN, str(meta["namespace"]), str(meta["name"]))


def _owners(child: Obj, namespace: str) -> Iterable[Ref]:
    """The objects of ours that a child belongs to, by owner reference or by label (pods belong to a Job)."""
    meta = child["metadata"]
    for owner in meta.get("ownerReferences") or ():
        kind = KINDS.get((owner.get("apiVersion", ""), owner.get("kind", "")))
        if kind in OURS and kind is not None:
            yield Ref(kind, namespace, str(owner.get("name")))
    for label, name in (meta.get("labels") or {}).items():
        if label in LABELS:
            yield Ref(LABELS[label], namespace, str(name))


def _interested(own: Ref, before: Obj | None, now: Obj | None, lookup: Lookup) -> Iterable[Ref]:
    spec = part(now or before, "spec")
    if own.kind == MODEL_VERSION:
        model = spec.get("model")
        yield from _those(ROLLOUT, own.namespace, lookup, "model", model)
        yield from _those(TRAINING_PIPELINE, own.namespace, lookup, "model", model)
        yield from _named(TRAINING_RUN, own.namespace, part(spec, "source").get("run"))
        yield from _sharing_an_alias(own, before, now, lookup)
    elif own.kind == TRAINING_RUN:
        yield from _named(TRAINING_PIPELINE, own.namespace, spec.get("pipeline"))
    elif own.kind == ROLLOUT:
        for version in _changed_roles(before, now):
            yield from _named(MODEL_VERSION, own.namespace, version)
    elif _generation(before) != _generation(now):
        yield from _those(TRAINING_RUN, own.namespace, lookup, "pipeline", own.name)


def _those(kind: Kind, namespace: str, lookup: Lookup, field: str, value: Any) -> Iterable[Ref]:
    """The objects of a kind whose spec says this."""
    if isinstance(value, str) and value:
        for obj in lookup(kind, namespace, {f"spec.{field}": value}):
            yield Ref(kind, namespace, str(obj["metadata"]["name"]))


def _sharing_an_alias(own: Ref, before: Obj | None, now: Obj | None, lookup: Lookup) -> Iterable[Ref]:
    """The versions of the model that list an alias which this one lists or listed: one of them holds it."""
    names, model = _aliases(before) | _aliases(now), part(now or before, "spec").get("model")
    for obj in lookup(MODEL_VERSION, own.namespace, {"spec.model": str(model)}) if names else ():
        if names & _aliases(obj):
            yield Ref(MODEL_VERSION, own.namespace, str(obj["metadata"]["name"]))


def _aliases(version: Obj | None) -> set[Any]:
    listed = part(version, "spec").get("aliases")
    return {alias for alias in listed if isinstance(alias, str)} if isinstance(listed, list | tuple) else set()


def _named(kind: Kind, namespace: str, name: Any) -> Iterable[Ref]:
    if isinstance(name, str) and name:
        yield Ref(kind, namespace, name)


def _changed_roles(before: Obj | None, now: Obj | None) -> set[Any]:
    """The versions whose part in a Rollout changed: weights move often, and concern no version."""
    return {version for version, _ in _roles(before) ^ _roles(now)}


def _roles(rollout: Obj | None) -> set[tuple[Any, str]]:
    """(version, what the Rollout does or did with it)."""
    status = part(rollout, "status")
    roles = {(part(rollout, "spec", "version").get("name"), "wanted")}
    roles |= {(part(status, role).get("version"), role) for role in ("stable", "canary")}
    ended = {(e.get("version"), f"{e.get('revision')} {e.get('outcome')}") for e in parts(status, "history")}
    return roles | ended


def _generation(obj: Obj | None) -> Any:
    return None if obj is None else obj["metadata"].get("generation")
