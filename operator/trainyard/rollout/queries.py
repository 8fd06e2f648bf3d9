"""PromQL: built-in metrics of both revisions in one query each, and custom queries held inside their namespace.

Series carry namespace, rollout, revision, version and model by relabelling from pod labels (docs/contracts.md), so
no pod can claim to be another. Pure. Used by `observe` (asks) and `admission` (checks).
"""

import re
from collections.abc import Mapping

import promql_parser as promql

REQUESTS = "trainyard_server_requests_total"
DURATION = "trainyard_server_request_duration_seconds_bucket"
QUANTILES = {"LatencyP50": "0.5", "LatencyP95": "0.95", "LatencyP99": "0.99"}
PLACEHOLDERS = ("rollout", "namespace", "revision", "version", "stableRevision", "window")
_PLACEHOLDER = re.compile(r"\$\(([^)]*)\)")
# The parser prints these unescaped, so a query that was taken apart and put together again would say something else.
_UNPRINTABLE = re.compile(r'["\\\x00-\x1f]')


class QueryRefused(ValueError):
    """A custom query that is not sent; `str()` is the sentence for its author."""


def quoted(text: str) -> str:
    """Return a PromQL string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def selector(namespace: str, rollout: str, revisions: tuple[str, ...], more: str = "") -> str:
    """Return the label matchers of a rollout's revisions."""
    either = quoted("|".join(sorted(revisions)))
    return f"{{namespace={quoted(namespace)},rollout={quoted(rollout)},revision=~{either}{more}}}"


def requests_since(namespace: str, rollout: str, revisions: tuple[str, ...], seconds: int) -> str:
    """Count the requests of each revision in the last seconds."""
    labels = selector(namespace, rollout, revisions)
    return f"sum by (revision) (increase({REQUESTS}{labels}[{max(1, seconds)}s]))"


def builtin(name: str, namespace: str, rollout: str, revisions: tuple[str, ...], window: int) -> str:
    """Return the query of a built-in metric over a window in seconds, one series a revision."""
    labels = selector(namespace, rollout, revisions)
    if name in QUANTILES:
        buckets = f"sum by (revision, le) (rate({DURATION}{labels}[{window}s]))"
        return f"histogram_quantile({QUANTILES[name]}, {buckets})"
    total = f"sum by (revision) (rate({REQUESTS}{labels}[{window}s]))"
    if name == "Requests":
        return total
    failed = selector(namespace, rollout, revisions, ',code=~"5.."')
    errors = f"sum by (revision) (rate({REQUESTS}{failed}[{window}s]))"
    return f"({errors} or {total} * 0) / {total}"  # a revision without a failure has no 5xx series at all


def custom(query: str, values: Mapping[str, str], namespace: str) -> str:
    """Fill in the placeholders and put the namespace on every selector. Raises QueryRefused."""
    filled = _PLACEHOLDER.sub(lambda match: _filled(match.group(1), values), query)
    tree = _parsed(filled)
    promql.walk(tree, _refuse)
    enforced = str(promql.transform(tree, None, lambda node: _within(node, namespace)))
    _verify(_parsed(enforced), namespace)
    return enforced


def check(query: str) -> str:
    """Return why a custom query is refused, "" where it is fine."""
    sample = dict.fromkeys(PLACEHOLDERS, "a") | {"window": "60s"}
    try:
        custom(query, sample, "a")
    except QueryRefused as refused:
        return str(refused)
    return ""


def _filled(name: str, values: Mapping[str, str]) -> str:
    if name not in PLACEHOLDERS:
        raise QueryRefused(f"there is no placeholder $({name}); known are {', '.join(PLACEHOLDERS)}")
    return values[name] if name == "window" else quoted(values[name])


def _parsed(query: str) -> promql.Expr:
    try:
        return promql.parse(query)
    except ValueError as error:
        raise QueryRefused(f"not PromQL: {error}") from error


def _refuse(node: promql.Expr) -> None:
    """Refuse what cannot be held inside a namespace, or not be printed again as it was."""
    if isinstance(node, promql.VectorSelector):
        if node.matchers.or_matchers:
            raise QueryRefused("'or' between label matchers is not allowed")
        for matcher in node.matchers.matchers:
            _refuse_text(matcher.value)
    elif isinstance(node, promql.StringLiteral):
        _refuse_text(node.val)
    elif isinstance(node, promql.SubqueryExpr) and node.step is None:
        raise QueryRefused("give a subquery its step, for example [10m:30s]")
    elif isinstance(node, promql.Call) and node.func.name == "info":
        raise QueryRefused("info() is not allowed: it reads series without a selector")


def _refuse_text(text: str) -> None:
    if _UNPRINTABLE.search(text):
        raise QueryRefused('strings may hold no quotation mark ("), backslash or control character')


def _within(node: promql.Expr, namespace: str) -> promql.Expr | None:
    """Put the namespace on a selector; what it says beside its matchers (offset, @) stays."""
    if not isinstance(node, promql.VectorSelector):
        return None
    before = f"{node.name or ''}{node.matchers}"
    matcher = promql.Matcher(promql.MatchOp.Equal, "namespace", namespace)
    matchers = promql.Matchers([*node.matchers.matchers, matcher])
    return promql.parse(f"{node.name or ''}{matchers}{str(node)[len(before) :]}")


def _verify(tree: promql.Expr, namespace: str) -> None:
    """Check the finished text itself: every selector names the namespace."""

    def visit(node: promql.Expr) -> None:
        if isinstance(node, promql.VectorSelector) and not any(
            m.name == "namespace" and m.op == promql.MatchOp.Equal and m.value == namespace
            for m in node.matchers.matchers
        ):
            raise QueryRefused("a selector could not be held inside the namespace")

    promql.walk(tree, visit)
