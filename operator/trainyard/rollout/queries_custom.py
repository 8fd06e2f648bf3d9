"""Queries of one's own: placeholders filled in, and every selector held inside the Rollout's namespace. Pure.

A real parser does it, and what comes out is parsed and checked again. Used by `asking` (asks) and `admission` (checks).
"""

import re
from collections.abc import Callable, Mapping

import promql_parser as promql

from trainyard.rollout.sources import quoted

PLACEHOLDERS = ("rollout", "namespace", "revision", "version", "stableRevision", "window")
_SAMPLE = dict.fromkeys(PLACEHOLDERS, "a") | {"window": "60s"}
_PLACEHOLDER = re.compile(r"\$\(([^)]*)\)")
# The parser prints these unescaped, so a query that was taken apart and put together again would say something else.
_UNPRINTABLE = re.compile(r'["\\\x00-\x1f]')


class QueryRefused(ValueError):
    """A custom query that is not sent; `str()` is the sentence for its author."""


def custom(query: str, values: Mapping[str, str], namespace: str | None) -> str:
    """Fill in the placeholders and put the namespace on every selector (None: on none). Raises QueryRefused."""
    filled = _PLACEHOLDER.sub(lambda match: _filled(match.group(1), values), query)
    tree = _parsed(filled)
    promql.walk(tree, _refuse)
    if namespace is None:
        return filled
    enforced = str(promql.transform(tree, None, lambda node: _within(node, namespace)))
    _verify(_parsed(enforced), namespace)
    return enforced


def counter(query: str, values: Mapping[str, str], namespace: str | None) -> str:
    """Return one side of a ratio: a selector of counters, or sums of such. Raises QueryRefused.

    Sums and label matchers only, so that what a counter grew by can be taken series by series, where resets show.
    """
    text = custom(query, values, namespace)
    promql.walk(_parsed(text), _refuse_in_counter)
    return text


def grown(text: str, window: int) -> str:
    """Return by how much a side of a ratio (as `counter` gives it) grew over the window, all its series together."""
    return f"sum({promql.transform(_parsed(text), None, lambda node: _increase(node, window))})"


def raw(text: str) -> str:
    """Return the counters of a side of a ratio as they stand, without their name."""
    return f"sum without () ({text})"


def check(query: str) -> str:
    """Return why a custom query is refused, "" where it is fine."""
    return _refused(lambda: custom(query, _SAMPLE, "a"))


def check_counter(query: str) -> str:
    """Return why one side of a ratio is refused, "" where it is fine."""
    return _refused(lambda: counter(query, _SAMPLE, "a"))


def _refused(made: Callable[[], str]) -> str:
    try:
        made()
    except QueryRefused as refused:
        return str(refused)
    return ""


def _refuse_in_counter(node: promql.Expr) -> None:
    if isinstance(node, promql.VectorSelector):
        if node.offset is not None or node.at is not None:
            raise QueryRefused("a side of a ratio has no offset and no @: labelDelaySeconds says how late labels come")
    elif isinstance(node, promql.AggregateExpr):
        if str(node.op) != "sum":
            raise QueryRefused("a side of a ratio is a counter or a sum of counters")
    elif not isinstance(node, promql.ParenExpr) and not _is_sum_of_two(node):
        raise QueryRefused("a side of a ratio is a counter or a sum of counters, without a function, range or number")


def _is_sum_of_two(node: promql.Expr) -> bool:
    return isinstance(node, promql.BinaryExpr) and str(node.op) == "+"


def _increase(node: promql.Expr, window: int) -> promql.Expr | None:
    return promql.parse(f"increase({node}[{window}s])") if isinstance(node, promql.VectorSelector) else None


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
