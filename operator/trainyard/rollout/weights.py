"""Weights: what the route says, how many pods a weight needs, and whether traffic follows it. Pure."""

from collections.abc import Mapping
from math import ceil, sqrt
from typing import Any

from trainyard import naming
from trainyard.resources.rollout import ParentRef, RolloutSpec
from trainyard.rollout.shortcuts import is_shortcut
from trainyard.systems.cluster.port import Obj

LONGEST_STEP = 4  # digits


def routed(route: Obj | None, rollout: str) -> dict[str, int]:
    """Return revision -> share in percent as the route's weighted rule has it, 0 included, in the route's order."""
    found: dict[str, int] = {}
    for backend in _backends(route):
        name = str(backend.get("name", ""))
        if name.startswith(f"{rollout}-"):
            found[name.removeprefix(f"{rollout}-")] = int(backend.get("weight", 1))
    total = sum(found.values())
    return {revision: round(100 * weight / total) if total else 0 for revision, weight in found.items()}


def _backends(route: Obj | None) -> list[Mapping[str, Any]]:
    rules = (route or {}).get("spec", {}).get("rules") or ()
    return [backend for rule in rules if not is_shortcut(rule) for backend in rule.get("backendRefs") or ()]


def canary_size(spec: RolloutSpec, replicas: int, weight: int) -> int:
    """Return how many canary pods carry a weight: all of them before the last step, else at least one."""
    wanted = spec.strategy.canary.replicas if spec.strategy.canary else None
    if weight >= 100:
        return replicas
    if wanted and wanted.count is not None:
        return wanted.count
    percent = wanted.percent if wanted and wanted.percent is not None else weight
    return max(1, ceil(percent * replicas / 100))


def is_far(weight: int, canary: float, total: float) -> bool:
    """Whether the seen share is far from the weight: more than half of it off, and more than chance explains.

    Half of the smaller revision's weight, so that of one percent nothing at all is far too. With all or nothing of the
    traffic there is no chance, but the requests that were under way at the switch.
    """
    expected = weight / 100
    chance = 4 * sqrt(expected * (1 - expected) / total)
    room = max(min(expected, 1 - expected) / 2, chance) if 0 < weight < 100 else 0.1
    return abs(canary / total - expected) > room


def is_accepted(route: Obj, parents: tuple[ParentRef, ...], namespace: str) -> bool:
    """Whether every Gateway took the route as it is now, with all its references."""
    states = [_state(route, parent, namespace) for parent in parents]
    return all(state.get("Accepted") == state.get("ResolvedRefs") == "True" for state in states)


def is_refused(route: Obj, parents: tuple[ParentRef, ...], namespace: str) -> bool:
    """Whether a Gateway says no to the route as it is now; that it says nothing yet is no refusal."""
    states = [_state(route, parent, namespace) for parent in parents]
    return any("False" in (state.get("Accepted"), state.get("ResolvedRefs")) for state in states)


def is_answered(route: Obj, parents: tuple[ParentRef, ...], namespace: str) -> bool:
    """Whether every Gateway has said yes or no to the route as it is now."""
    return all("Accepted" in _state(route, parent, namespace) for parent in parents)


def _state(route: Obj, parent: ParentRef, namespace: str) -> dict[str, str]:
    """Return what one Gateway says of the route's present generation: condition -> status."""
    generation = int(route["metadata"].get("generation", 0))
    told = route.get("status", {}).get("parents") or ()
    conditions = [c for t in told if _speaks_of(t, parent, namespace) for c in t.get("conditions") or ()]
    current = (c for c in conditions if int(c.get("observedGeneration", 0)) >= generation)
    return {str(c.get("type")): str(c.get("status")) for c in current}


def _speaks_of(told: Mapping[str, Any], parent: ParentRef, namespace: str) -> bool:
    ref = told.get("parentRef", {})
    told_of = (ref.get("name"), ref.get("namespace") or namespace, ref.get("sectionName"))
    return bool(told_of == (parent.name, parent.namespace or namespace, parent.section_name))


def step_of(route: Obj | None) -> int | None:
    """Return the step that the route's annotation names."""
    text = annotation(route, naming.ANNOTATION_STEP)
    is_number = text.isascii() and text.isdigit() and len(text) <= LONGEST_STEP  # anybody can write there
    return int(text) if is_number else None


def annotation(obj: Obj | None, name: str) -> str:
    """Return an annotation's value, "" where it is not there."""
    return str(((obj or {}).get("metadata", {}).get("annotations") or {}).get(name, ""))
