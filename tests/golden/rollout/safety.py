"""What must hold of the route at every write, whatever the strategy and whoever else writes. Called by `world`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.golden.rollout.world import World


def check_route(w: World) -> None:
    """Weights sum to 100, the canary has no more than status says, and only what is ready is given more.

    What is named newly was kept as a revision by then, or nobody could say later what served.
    """
    shares, status = w.shares(), w.status()
    before = w.weights[-1] if w.weights else {}
    assert sum(shares.values()) == 100, shares
    canary = w.version_of((status.get("canary") or {}).get("revision", ""))
    first = not status.get("stable")
    if canary and not first:
        assert shares.get(canary, 0) <= max(status.get("weight", 0), before.get(canary, 0)), (shares, status)
    unkept = shares.keys() - before.keys() - w.kept()
    assert not unkept, f"{unkept} named by the route, with no revision that would say what it serves"
    given_up = [name for name, weight in before.items() if weight > shares.get(name, 0)]
    for name, weight in shares.items():
        assert first or not weight or not before or name in before, f"weight for {name}, which the gateway did not know"
        if weight > before.get(name, 0):
            better = [other for other in given_up if w.available(other)]
            assert w.available(name) > 0 or (before and not better), f"weight for {name} without ready pods"
    _check_beside(w)


def _check_beside(w: World) -> None:
    """Nothing leads beside the weights to pods that are not ready, and the other rules sum to 100 as well."""
    first = not w.status().get("stable")
    for rule in w.route()["spec"]["rules"]:
        assert sum(b["weight"] for b in rule["backendRefs"]) == 100, rule
        taken = [b["name"] for b in rule["backendRefs"] if b["weight"] and (rule["matches"][0].get("headers"))]
        copied = [f["requestMirror"]["backendRef"]["name"] for f in rule.get("filters", ())]
        for name in {*taken, *copied}:
            version = w.version_of(name.rpartition("-")[2])
            by_weight = version == w.stable()  # they come to stable anyway
            assert by_weight or w.available(version) > 0, f"requests for {version} without ready pods"
            assert not first, "a first version needs no way beside its weight"
