"""The HTTPRoute: weights behind the Rollout's hosts and path, and in front of them the ways beside. Pure."""

from collections.abc import Mapping
from typing import Any

from trainyard import naming
from trainyard.resources.rollout import Rollout, Traffic
from trainyard.rollout import shortcuts
from trainyard.rollout.rendering import PORT, Rendered, belonging
from trainyard.rollout.shortcuts import NONE, Shortcuts

Backends = list[tuple[str, int]]


def route(
    rollout: Rollout,
    backends: Backends,
    annotations: Mapping[str, str],
    ways: Shortcuts = NONE,
    *,
    left: bool = False,
) -> Rendered:
    """Render the HTTPRoute: these (revision, weight), stable first and the canary second where it has `ways`."""
    traffic = _traffic(rollout)
    tie = belonging(rollout, left)
    meta: Rendered = {
        "name": rollout.metadata.name,
        "namespace": rollout.metadata.namespace,
        "labels": {**naming.MANAGED_BY, naming.LABEL_ROLLOUT: rollout.metadata.name},
        **tie,
        "annotations": {**annotations, **tie.get("annotations", {})},
    }
    rules = _Rules(rollout, traffic, backends, ways)
    spec: Rendered = {
        "parentRefs": [_parent(p) for p in traffic.parent_refs],
        "hostnames": list(traffic.hostnames),  # also where there is none: then nobody else may put one there
        "rules": [*rules.by_header(), *rules.by_cookie(), rules.weighted()],
    }
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": meta, "spec": spec}


def annotations(stable: str, canary: str, step: int | None, ways: Shortcuts = NONE) -> dict[str, str]:
    """Return what the route says of the rollout, written together with the weights."""
    told = {
        naming.ANNOTATION_STABLE_REVISION: stable,
        naming.ANNOTATION_CANARY_REVISION: canary,
        naming.ANNOTATION_STEP: "" if step is None else str(step),
    }
    return told | ({naming.ANNOTATION_SHORTCUTS: ways.mark} if ways.mark else {})


class _Rules:
    """The rules of one route."""

    def __init__(self, rollout: Rollout, traffic: Traffic, backends: Backends, ways: Shortcuts) -> None:
        self.rollout, self.traffic, self.backends, self.ways = rollout, traffic, backends, ways

    def by_header(self) -> list[Rendered]:
        """Return a rule for each header route: all of it to the canary."""
        asked = ([shortcuts.header(m) for m in matches] for _, matches in self.ways.headers)
        return [self._rule(headers, [self._whole(self.backends[1][0])]) for headers in asked]

    def by_cookie(self) -> list[Rendered]:
        """Return the rules that keep users where their cookie says: the canary's, and stable's of this deal."""
        cookie = self.ways.cookie
        if cookie is None:
            return []
        kept = reversed(self.backends[:2])
        return [
            self._rule([shortcuts.carries_cookie(cookie, self._value(i))], [self._whole(revision)], i == 1)
            for (revision, _), i in zip(kept, (0, 1), strict=True)
        ]

    def _value(self, index: int) -> str:
        """Return the cookie's value of the canary (0) or of stable (1)."""
        (stable, _), (canary, weight) = self.backends[:2]
        return shortcuts.stable_cookie(stable, canary, weight) if index else canary

    def weighted(self) -> Rendered:
        """Return the rule with the weights."""
        return self._rule([], [self._backend(revision, weight) for revision, weight in self.backends], True)

    def _rule(self, headers: list[Rendered], backends: list[Rendered], mirrored: bool = False) -> Rendered:
        match: Rendered = {"path": {"type": "PathPrefix", "value": self.traffic.path}}
        rule: Rendered = {"matches": [match | ({"headers": headers} if headers else {})], "backendRefs": backends}
        if mirrored and self.ways.mirror:
            copies = self._backend(self.backends[1][0], 0)
            rule["filters"] = [shortcuts.mirror(copies, self.ways.mirror)]
        if self.traffic.timeouts.request_seconds:
            rule["timeouts"] = {"request": f"{self.traffic.timeouts.request_seconds}s"}
        return rule

    def _whole(self, revision: str) -> Rendered:
        return self._backend(revision, 100)

    def _backend(self, revision: str, weight: int) -> Rendered:
        name = naming.revision_object(self.rollout.metadata.name, revision)
        backend: Rendered = {"group": "", "kind": "Service", "name": name, "port": PORT, "weight": weight}
        cookie = self.ways.cookie
        roles = [r for r, _ in self.backends[:2]]
        if cookie is None or revision not in roles:
            return backend
        value = self._value(1 if revision == roles[0] else 0)
        return backend | {"filters": [shortcuts.set_cookie(cookie, value, self.traffic.path)]}


def _traffic(rollout: Rollout) -> Traffic:
    target = rollout.spec.target.kubernetes
    assert target is not None  # noqa: S101 - the union's only branch
    return target.traffic


def _parent(parent: Any) -> Rendered:
    group: Rendered = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": parent.name}
    if parent.namespace:
        group["namespace"] = parent.namespace
    if parent.section_name:
        group["sectionName"] = parent.section_name
    return group
