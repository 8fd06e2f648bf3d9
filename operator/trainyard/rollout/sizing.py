"""How many pods stable and the canary have, where accelerators are short. Pure.

`maxExtraAccelerators` bounds what a canary takes on top of stable's. Beyond it stable gives way, pod by pod, as its
weight goes over: never below what the weight that it still has needs.
"""

from dataclasses import dataclass
from math import ceil

from trainyard.resources.rollout import Serving, Strategy
from trainyard.systems.cluster.port import Obj


@dataclass(frozen=True)
class Sizes:
    """Pods to ask for now. short: why the canary can't grow any further, "" where nothing is in its way."""

    stable: int
    canary: int
    short: str = ""


@dataclass(frozen=True)
class Demand:
    """What is asked for: replicas in all, the canary pods that the step wants, and the weights.

    routed: the canary's share on the route now. meant: the one to come.
    """

    replicas: int
    wanted: int
    routed: int
    meant: int


def sizes(strategy: Strategy, serving: Serving, demand: Demand, stable: Obj | None, growing: bool) -> Sizes:
    """Return the pods to ask for now. growing: False on the way back, where stable comes first."""
    extra = extra_pods(strategy, serving)
    if extra is None:
        return Sizes(demand.replicas, demand.wanted)
    kept = carried_by(demand.routed, demand.replicas, demand.wanted)
    if not growing:
        return Sizes(demand.replicas, kept)
    needed = stable_needs(demand.replicas, min(demand.routed, demand.meant))
    given = max(needed, demand.replicas - max(0, demand.wanted - extra))
    present = max(given, pods(stable))
    canary = max(kept, min(demand.wanted, extra + demand.replicas - present))
    return Sizes(given, canary, _short(demand, given, canary) if present == given else "")


def extra_pods(strategy: Strategy, serving: Serving) -> int | None:
    """Return how many canary pods there may be on top of stable's; None where nothing bounds them."""
    limit = strategy.canary.max_extra_accelerators if strategy.canary else None
    accelerator = serving.compute.accelerator
    return None if limit is None or accelerator is None or not accelerator.count else limit // accelerator.count


def stable_needs(replicas: int, weight: int) -> int:
    """Return the stable pods for the rest of the traffic. A weight is a whole percent: a third is 33."""
    return max(1, ceil(replicas * (99 - weight) / 100)) if weight else replicas


def attainable(demand: Demand, canary: int) -> int:
    """Return the weight that so many canary pods carry, on the way to the one that is meant."""
    if canary >= demand.wanted:
        return demand.meant
    return min(demand.meant, 100 * canary // demand.replicas)


def carried_by(weight: int, replicas: int, wanted: int) -> int:
    """Return the least canary pods for a weight that is on the route."""
    return min(wanted, ceil(replicas * weight / 100))


def pods(deployment: Obj | None) -> int:
    """Return the pods that a Deployment has, leaving ones too."""
    return int((deployment or {}).get("status", {}).get("replicas", 0) or 0)


def _short(demand: Demand, stable: int, canary: int) -> str:
    """Say what is in the way where neither the weight nor stable can move on."""
    if canary >= demand.wanted or attainable(demand, canary) > demand.routed:
        return ""
    there = f"maxExtraAccelerators leaves room for {canary} of the {demand.wanted} canary pods"
    return f"{there} while stable needs its {stable}"
