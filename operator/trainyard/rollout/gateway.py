"""What a Gateway offers: its GatewayClass lists the features that its controller has, where the controller says so.

A feature that a strategy needs and the class does not list is refused before anything moves. Used by `observe` (reads)
and `admission` (asks). An installation for single namespaces may not read GatewayClasses: then nothing is known, and
the route's own `Accepted` is what tells.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from trainyard.resources.rollout import RolloutSpec
from trainyard.rollout import strategies
from trainyard.systems.cluster.port import GATEWAY_CLASS, Cluster, Forbidden, Obj, Ref

MIRROR = "HTTPRouteRequestMirror"
MIRROR_PERCENT = "HTTPRouteRequestPercentageMirror"
RESPONSE_HEADERS = "HTTPRouteResponseHeaderModification"
TIMEOUT = "HTTPRouteRequestTimeout"
# Whoever does not know it takes no notice of it, and copies everything: this one has to be listed.
MUST_BE_LISTED = frozenset({MIRROR_PERCENT})
KNOWN_SECONDS = 60.0


@dataclass(frozen=True)
class Offer:
    """A Gateway's features as its class lists them; None where that cannot be read, empty where it lists none."""

    gateway: str
    gateway_class: str
    features: frozenset[str] | None


@dataclass
class Gateways:
    """What Gateways offer, read once a minute at most."""

    _kept: dict[Ref, tuple[float, Offer]] = field(default_factory=dict)

    async def offers(self, cluster: Cluster, gateways: Iterable[Ref], monotonic: float) -> tuple[Offer, ...]:
        """Return the offer of each Gateway. monotonic: the clock in seconds."""
        return tuple([await self._offer(cluster, gateway, monotonic) for gateway in gateways])

    async def _offer(self, cluster: Cluster, gateway: Ref, monotonic: float) -> Offer:
        known = self._kept.get(gateway)
        if known is None or monotonic - known[0] >= KNOWN_SECONDS:
            known = (monotonic, await _read(cluster, gateway))
            self._kept[gateway] = known
        return known[1]


async def _read(cluster: Cluster, gateway: Ref) -> Offer:
    found = await _get(cluster, gateway)
    name = str((found or {}).get("spec", {}).get("gatewayClassName", ""))
    listed = await _get(cluster, Ref(GATEWAY_CLASS, "", name)) if name else None
    features = None if listed is None else _features(listed)
    return Offer(f"{gateway.namespace}/{gateway.name}", name, features)


async def _get(cluster: Cluster, ref: Ref) -> Obj | None:
    try:
        return await cluster.get(ref)
    except Forbidden:
        return None


def _features(gateway_class: Obj) -> frozenset[str]:
    """Return the features of a class; the Gateway API has written them as words and as objects with a name."""
    told = gateway_class.get("status", {}).get("supportedFeatures") or ()
    return frozenset(str(f.get("name")) if isinstance(f, dict) else str(f) for f in told)


def needed(spec: RolloutSpec) -> tuple[str, ...]:
    """Return the features beyond the core ones that a Rollout needs."""
    rungs = strategies.ladder(spec.strategy)
    mirrors = [rung.mirror for rung in rungs if rung.mirror]
    timeouts = spec.target.kubernetes.traffic.timeouts if spec.target.kubernetes else None
    asked = (
        (MIRROR, bool(mirrors)),
        (MIRROR_PERCENT, any(percent < 100 for percent in mirrors)),
        (RESPONSE_HEADERS, strategies.cookie(spec.strategy) is not None),
        (TIMEOUT, timeouts is not None and timeouts.request_seconds is not None),
    )
    return tuple(feature for feature, is_asked in asked if is_asked)


def lacking(features: Iterable[str], offers: Iterable[Offer]) -> str:
    """Return the sentence about the first feature that a Gateway does not offer, "" where none is missing."""
    wanted = tuple(features)
    for offer in offers:
        for feature in wanted:
            if offer.features is not None and not _offers(offer.features, feature):
                return f"Gateway {offer.gateway}: its class {offer.gateway_class} does not list {feature}"
    return ""


def _offers(listed: frozenset[str], feature: str) -> bool:
    """Whether a class has a feature. Controllers that list nothing at all are given the benefit of the doubt."""
    return feature in listed or (not listed and feature not in MUST_BE_LISTED)
