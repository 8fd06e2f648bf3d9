"""What is wrong with a Rollout that the API server could not refuse: other objects show it, or the parser. Pure."""

from collections.abc import Iterable

from trainyard import naming
from trainyard.rollout import freeze, gateway, questions, steps
from trainyard.rollout.progress import measurable_at
from trainyard.rollout.rendering import server_image
from trainyard.rollout.shortcuts import MAX_HEADER_ROUTES
from trainyard.rollout.situation import Situation, is_ours
from trainyard.rollout.state import Rival

Refusal = tuple[str, str]
# Where the route is somebody else's, would take somebody's requests, or cannot be rendered.
HANDS_OFF = frozenset({"Unsupported", "RouteConflict", "HostPathConflict"})


def refusal(s: Situation) -> Refusal | None:
    """Return (reason, sentence) where the Rollout is not accepted; everything stays as it is then."""
    strategy = s.spec.strategy
    if s.spec.target.kubernetes is None or not (strategy.canary or strategy.blue_green or strategy.experiment):
        return ("Unsupported", "this operator knows target.kubernetes, and strategies canary, blueGreen, experiment")
    if not server_image(s.serving, s.seen.config):
        return ("NoServerImage", f"no server image is configured for runtime {s.serving.runtime}; set serving.image")
    unreadable = freeze.problem(s.spec.freeze)
    if unreadable:
        return ("InvalidFreeze", unreadable)
    decides = strategy.experiment.decide_on if strategy.experiment else ""
    measured = questions.problem(s.analysis, s.seen.config, decides) or _nothing_to_measure(s) or _margin_of_a_share(s)
    return measured or _foreign_route(s) or _rival(s) or _beyond_gateway(s)


def _beyond_gateway(s: Situation) -> Refusal | None:
    """Refuse what the route could not hold, or the Gateway would not do."""
    if _most_header_routes(s) > MAX_HEADER_ROUTES:
        return ("TooManyHeaderRoutes", f"at most {MAX_HEADER_ROUTES} header routes may stand at a time")
    missing = gateway.lacking(gateway.needed(s.spec), s.seen.offers)
    return ("GatewayLacksFeature", missing) if missing else None


def _most_header_routes(s: Situation) -> int:
    """Return how many header routes stand at a time, counted only where they could be too many."""
    setting = [number for number, rung in enumerate(s.steps) if rung.header]
    if len(setting) <= MAX_HEADER_ROUTES:
        return len(setting)
    return max(len(steps.headers_at(s.steps, number)) for number in setting)


def _nothing_to_measure(s: Situation) -> Refusal | None:
    """Refuse an analysis step that nothing would ever pass."""
    for number, rung in enumerate(s.steps):
        if rung.analysis is None or measurable_at(s.analysis, rung, steps.weight_at(s.steps, number)):
            continue
        why = "there is no metric to measure"
        if measurable_at(s.analysis, rung, 0):
            why = "with all traffic on the canary none compares with stable; it needs a metric with min or max alone"
        return ("NothingToMeasure", f"step {number} waits for measurements, and {why}")
    return None


def _margin_of_a_share(s: Situation) -> Refusal | None:
    """Refuse an experiment that its margin decides: two shares are never further apart than 1.

    A rule of the API server would refuse every later edit of such an object, an abort among them.
    """
    experiment = s.spec.strategy.experiment
    if experiment is None or float(experiment.margin) < 1:
        return None
    if not any(metric.name == experiment.decide_on and metric.builtin for metric in s.analysis.metrics):
        return None
    sentence = f"experiment.margin {experiment.margin} is no distance between shares: write 1 percent as 0.01"
    return ("InvalidLimit", sentence)


def _foreign_route(s: Situation) -> Refusal | None:
    if s.seen.route is None or is_ours(s.seen.route, s.rollout):
        return None
    return ("RouteConflict", f"HTTPRoute {s.name} belongs to somebody else and stays untouched")


def _rival(s: Situation) -> Refusal | None:
    earlier = [r for r in s.seen.rivals if _claims_the_same(r, s) and _is_earlier(r, s) and not r.deleting]
    if not earlier:
        return None
    return ("HostPathConflict", f"Rollout {earlier[0].name} has this host and path already")


def _claims_the_same(rival: Rival, s: Situation) -> bool:
    namespace = s.rollout.metadata.namespace
    parents = {(p.namespace or namespace, p.name) for p in s.traffic.parent_refs}
    return (
        rival.path.rstrip("/") == s.traffic.path.rstrip("/")
        and bool(parents & set(rival.parents))
        and _hosts_meet(rival.hostnames, s.traffic.hostnames)
    )


def _hosts_meet(one: Iterable[str], other: Iterable[str]) -> bool:
    """Whether two lists of host names share one; the empty list is every host without a name of its own."""
    return (set(one) or {""}) & (set(other) or {""}) != set()


def _is_earlier(rival: Rival, s: Situation) -> bool:
    """Whether a rival comes before this Rollout. Of those made in the same second, one that serves already."""
    mine = (s.rollout.metadata.creation_timestamp or "", s.stable is None, s.name)
    return (rival.created, not rival.serves, rival.name) < mine


def has_finalizer(s: Situation) -> bool:
    """Whether the object is held until its outside is clean."""
    return naming.FINALIZER in s.rollout.metadata.finalizers
