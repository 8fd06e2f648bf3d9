"""What the cluster shows while the demo runs: the route's weights and the Rollout's status, polled by a thread."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

GROUP, VERSION = "trainyard.dev", "v1alpha1"
EVERY_SECONDS = 0.5
SETTLED_SECONDS = 14.0  # a window of ten seconds, and what scrapes and discovery take
CANARY = f"{GROUP}/canary-revision"
Obj = Mapping[str, Any]


@dataclass(frozen=True)
class Moment:
    """The route and the Rollout at one time (monotonic seconds). weight: the canary's, as the route has it."""

    at: float
    stable: str
    canary: str
    weight: int
    weights: tuple[int, ...]


class Api:
    """Reads of our kinds and of HTTPRoutes, from the namespace of the demo."""

    def __init__(self, kubeconfig: str | None, namespace: str) -> None:
        self._objects = client.CustomObjectsApi(config.new_client_from_config(kubeconfig))  # type: ignore[no-untyped-call] # no types there
        self._namespace = namespace

    def get(self, plural: str, name: str, group: str = GROUP, version: str = VERSION) -> Obj | None:
        """Return an object, None where it is not there or the API server does not answer just now."""
        try:
            found: Any = self._objects.get_namespaced_custom_object(
                group, version, self._namespace, plural, name, _request_timeout=5
            )
        except (ApiException, HTTPError):
            return None
        return dict(found)

    def list(self, plural: str) -> list[Obj]:
        """Return the objects of a kind of ours."""
        try:
            found: Any = self._objects.list_namespaced_custom_object(
                GROUP, VERSION, self._namespace, plural, _request_timeout=5
            )
        except (ApiException, HTTPError):
            return []
        return list(found["items"])

    def route(self, name: str) -> Obj | None:
        """Return the HTTPRoute of a Rollout."""
        return self.get("httproutes", name, "gateway.networking.k8s.io", "v1")


def condition(obj: Obj | None, kind: str) -> Obj:
    """Return a condition, empty where it is not there."""
    conditions = (obj or {}).get("status", {}).get("conditions", ())
    return next((c for c in conditions if c["type"] == kind), {})


def moment(rollout: Obj, route: Obj | None, at: float) -> Moment:
    """Read what matters from a Rollout and its route."""
    status = rollout.get("status", {})
    backends = [ref for rule in (route or {}).get("spec", {}).get("rules", ()) for ref in rule.get("backendRefs", ())]
    revision = (route or {}).get("metadata", {}).get("annotations", {}).get(CANARY, "")
    of_canary = [b.get("weight", 1) for b in backends if revision and b["name"].endswith(f"-{revision}")]
    return Moment(
        at=at,
        stable=status.get("stable", {}).get("version", ""),
        canary=status.get("canary", {}).get("version", ""),
        weight=sum(of_canary),
        weights=tuple(b.get("weight", 1) for b in backends),
    )


@dataclass
class Observer:
    """Keeps every change of weight or of role, and the newest Rollout, until stopped.

    share tells how much of the last seconds' traffic a version answered, in percent; `shares` keeps the last reading
    for each weight (of a canary), taken once the weight has been there long enough.
    """

    api: Api
    rollout: str
    share: Callable[[str], float | None]
    moments: list[Moment] = field(default_factory=list)
    newest: Obj = field(default_factory=dict)
    shares: dict[tuple[str, int], float] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._poll, name="observer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End. Harmless if it never began."""
        self._stop.set()
        if self._thread:
            self._thread.join(10)

    def note(self, seen: Moment) -> None:
        """Keep a moment if roles or weights differ from the one before."""
        if not self.moments or _key(self.moments[-1]) != _key(seen):
            self.moments.append(seen)
        elif seen.canary and seen.weight and seen.at - self.moments[-1].at > SETTLED_SECONDS:
            share = self.share(seen.canary)
            if share is not None:
                self.shares[seen.canary, seen.weight] = round(share, 1)

    def shares_of(self, version: str) -> dict[int, float]:
        """Return what was seen of a canary's traffic, by its weight, in percent."""
        return {weight: share for (name, weight), share in self.shares.items() if name == version}

    def weights_of(self, version: str) -> list[int]:
        """Return the weights above 0 that a canary had in the route, in order."""
        seen: list[int] = []
        for m in self.moments:
            if m.canary == version and m.weight and seen[-1:] != [m.weight]:
                seen.append(m.weight)
        return seen

    def _poll(self) -> None:
        while not self._stop.wait(EVERY_SECONDS):
            # The route first: a weight that is read after its Rollout would belong to the next canary.
            route = self.api.route(self.rollout)
            rollout = self.api.get("rollouts", self.rollout)
            if rollout is not None:
                self.newest = rollout
                self.note(moment(rollout, route, time.monotonic()))


def _key(seen: Moment) -> tuple[Any, ...]:
    return seen.stable, seen.canary, seen.weight, seen.weights
