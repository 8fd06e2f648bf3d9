"""What is wrong with a Rollout that the API server could not refuse: other objects show it, or the parser. Pure."""

from collections.abc import Iterable

from trainyard import naming
from trainyard.resources.rollout import AnalysisMetric
from trainyard.rollout import queries
from trainyard.rollout.analysis import COMPARED
from trainyard.rollout.rendering import server_image
from trainyard.rollout.situation import Situation, is_ours
from trainyard.rollout.state import Rival

Refusal = tuple[str, str]


def refusal(s: Situation) -> Refusal | None:
    """Return (reason, sentence) where the Rollout is not accepted; everything stays as it is then."""
    if s.spec.target.kubernetes is None or s.spec.strategy.canary is None:
        return ("Unsupported", "this operator knows target.kubernetes and strategy.canary only")
    if not server_image(s.serving, s.seen.config):
        return ("NoServerImage", f"no server image is configured for runtime {s.serving.runtime}; set serving.image")
    return _bad_metric(s) or _foreign_route(s) or _rival(s)


def _bad_metric(s: Situation) -> Refusal | None:
    metrics = s.analysis.metrics
    if len({m.name for m in metrics}) < len(metrics):
        return ("DuplicateMetric", "metric names must differ")
    found = (_metric_problem(metric, s.seen.config.custom_queries) for metric in metrics)
    return next((problem for problem in found if problem), None)


def _metric_problem(metric: AnalysisMetric, custom: bool) -> Refusal | None:
    if all(getattr(metric, name) is None for name in ("min", "max", *COMPARED)):
        return ("NoLimit", f"metric {metric.name} has no limit")
    if metric.query is None:
        return None
    if not custom:
        return ("CustomQueriesDisabled", f"metric {metric.name}: queries of one's own are off in this installation")
    problem = queries.check(metric.query)
    return ("InvalidQuery", f"metric {metric.name}: {problem}") if problem else None


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
    mine = (s.rollout.metadata.creation_timestamp or "", s.name)
    return (rival.created, rival.name) < mine


def has_finalizer(s: Situation) -> bool:
    """Whether the object is held until its outside is clean."""
    return naming.FINALIZER in s.rollout.metadata.finalizers
