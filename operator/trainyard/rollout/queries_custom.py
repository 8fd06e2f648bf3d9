"""Queries of one's own: placeholders filled in, and every selector held inside the Rollout's namespace. Pure.

A real parser does it, and what comes out is parsed and checked again. Used by `asking` (asks) and `admission` (checks).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

import promql_parser as promql

from trainyard.rollout.sources import quoted

PLACEHOLDERS = ("rollout", "namespace", "revision", "version", "stableRevision", "window")
# As names may be: what stands where only a label can is refused for all of them, not for those that are no label.
_SAMPLE = dict.fromkeys(PLACEHOLDERS, "0-a") | {"window": "60s"}
_PLACEHOLDER = re.compile(r"\$\(([^)]*)\)")
# The parser prints these unescaped, so a query that was taken apart and put together again would say something else.
_UNPRINTABLE = re.compile(r'["\\\x00-\x1f]')
# What is counted before the parser sees a text. Its time grows with the square of how deep operators, calls and
# brackets lie in each other, and it recurses; it compiles regular expressions, whose repetitions multiply.
MOST_PARTS = 64
MOST_LETTERS = 1500
_LITERAL = re.compile(r"""(?P<string>"[^"]*"|'[^']*'|`[^`]*`)|#[^\r\n]*""")
_MATCHERS = re.compile(r"\{[^{}]*\}")
_PART = re.compile(r"[-+*/%^(\[<>=!]=?|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)
_BEFORE_1970 = re.compile(r"@\s*-")
_REPEATED = re.compile(r"\{\s*([0-9]+)(?:\s*,\s*([0-9]+))?")
# A string, or a selector up to its matchers' end, as the library prints them (strings hold no quotation mark).
_SELECTOR = re.compile(
    r'(?P<string>"[^"]*")|(?<![A-Za-z0-9_:])(?P<name>[A-Za-z0-9_:]*)\{(?P<matchers>(?:"[^"]*"|[^"}])*)\}'
)
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CHECKED = 1024  # texts whose answer is remembered


UNPRINTABLE = 'strings may hold no quotation mark ("), backslash or control character'


class QueryRefused(ValueError):
    """A custom query that is not sent; `str()` is the sentence for its author."""


def custom(query: str, values: Mapping[str, str], namespace: str | None) -> str:
    """Fill in the placeholders and put the namespace on every selector (None: on none). Raises QueryRefused."""
    _refuse_unread(_filled(query, _SAMPLE))  # however long the names of this Rollout are
    filled = _filled(query, values)
    tree = _parsed(filled)
    for node in _nodes(tree):
        _refuse(node)
    if namespace is None:
        return filled
    enforced = _rewritten(tree, lambda name, matchers: _within(name, matchers, quoted(namespace)))
    _verify(_parsed(enforced), namespace)
    return enforced


def counter(query: str, values: Mapping[str, str], namespace: str | None) -> str:
    """Return one side of a ratio: a selector of counters, or sums of such. Raises QueryRefused.

    Sums and label matchers only, so that what a counter grew by can be taken series by series, where resets show.
    """
    text = custom(query, values, namespace)
    for node in _nodes(_parsed(text)):
        _refuse_in_counter(node)
    return text


def grown(text: str, window: int) -> str:
    """Return by how much a side of a ratio (as `counter` gives it) grew over the window, all its series together."""
    return f"sum({_rewritten(_parsed(text), lambda name, matchers: f'increase({name}{{{matchers}}}[{window}s])')})"


def raw(text: str) -> str:
    """Return the counters of a side of a ratio as they stand, without their name."""
    return f"sum without () ({text})"


@lru_cache(_CHECKED)  # every visit of every Rollout asks anew
def check(query: str) -> str:
    """Return why a custom query is refused, "" where it is fine."""
    return _refused(lambda: custom(query, _SAMPLE, "a"))


@lru_cache(_CHECKED)
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


def _filled(query: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: _value(match.group(1), values), query)


def _value(name: str, values: Mapping[str, str]) -> str:
    if name not in PLACEHOLDERS:
        raise QueryRefused(f"there is no placeholder $({name}); known are {', '.join(PLACEHOLDERS)}")
    return values[name] if name == "window" else quoted(values[name])


def _parsed(query: str) -> promql.Expr:
    try:
        return promql.parse(query)
    except (ValueError, ArithmeticError) as error:  # `a[9223372036854775300]`: its number fits no duration of Python's
        raise QueryRefused(f"not PromQL: {error}") from error
    except BaseException as error:  # `offset Inf`: a panic of the library, whose class cannot be imported
        if type(error).__module__ != "pyo3_runtime":
            raise
        raise QueryRefused("not PromQL: the parser cannot read one of its numbers") from error


def _refuse_unread(query: str) -> None:
    """Refuse what would keep the parser busy, and what it loses.

    Every pattern here takes a time that grows with the text alone.
    """
    if "\\" in query:
        raise QueryRefused(UNPRINTABLE)
    strings = [m["string"][1:-1] for m in _LITERAL.finditer(query) if m["string"]]
    for string in strings:
        _refuse_text(string)
    if sum(_letters(string) for string in strings) > MOST_LETTERS:
        raise QueryRefused(f"its strings have over {MOST_LETTERS} letters (a repetition such as {{5}} multiplies them)")
    bare = _LITERAL.sub(" ", query)
    if _BEFORE_1970.search(bare):  # printed as 0
        raise QueryRefused("@ takes no time before 1970")
    parts = len(_PART.findall(_MATCHERS.sub("", bare)))
    if parts > MOST_PARTS:
        raise QueryRefused(f"{parts} operators, calls and brackets are too many, allowed are {MOST_PARTS}")


def _letters(string: str) -> int:
    """Return a string's length as a regular expression, which repetitions within each other multiply."""
    length = len(string)
    for times in _REPEATED.findall(string):
        length *= max(1, *(int(count[:9]) for count in times if count))
    return length


def _nodes(tree: promql.Expr) -> Iterator[promql.Expr]:
    """Yield every node. The library's own walk takes the cube of the depth: it copies what lies below each node."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += _below(node)


def _below(node: promql.Expr) -> list[promql.Expr]:
    match node:
        case promql.BinaryExpr():
            return [node.lhs, node.rhs]
        case promql.UnaryExpr() | promql.ParenExpr() | promql.SubqueryExpr():
            return [node.expr]
        case promql.Call():
            return node.args
        case promql.AggregateExpr():
            return [node.expr] if node.param is None else [node.param, node.expr]
        case promql.MatrixSelector():
            return [node.vector_selector]
    return []


def _refuse(node: promql.Expr) -> None:
    """Refuse what cannot be held inside a namespace, or not be printed again as it was."""
    _refuse_durations(node)
    if isinstance(node, promql.VectorSelector):
        if node.matchers.or_matchers:
            raise QueryRefused("'or' between label matchers is not allowed")
        for matcher in node.matchers.matchers:
            _refuse_label(matcher.name)
            _refuse_text(matcher.value)
    elif isinstance(node, promql.StringLiteral):
        _refuse_text(node.val)
    elif isinstance(node, promql.SubqueryExpr) and node.step is None:
        raise QueryRefused("give a subquery its step, for example [10m:30s]")
    elif isinstance(node, promql.Call) and node.func.name == "info":
        raise QueryRefused("info() is not allowed: it reads series without a selector")
    elif isinstance(node, promql.AggregateExpr | promql.BinaryExpr) and node.modifier is not None:
        for label in _labels(node.modifier):
            _refuse_label(label)


def _refuse_durations(node: promql.Expr) -> None:
    """The library prints whole seconds."""
    try:
        durations = [getattr(node, name, None) for name in ("range", "step", "offset")]
    except (OverflowError, ValueError) as error:
        raise QueryRefused("a duration is longer than any that was recorded") from error
    if any(one is not None and one.microseconds for one in durations):
        raise QueryRefused("a range, step or offset is in whole seconds, 1500ms for example cannot be kept")


def _labels(modifier: promql.AggModifier | promql.BinModifier) -> list[str]:
    """Return the labels that are grouped by, or matched on."""
    if isinstance(modifier, promql.AggModifier):
        return modifier.labels
    return [*(modifier.matching.labels if modifier.matching else ()), *(modifier.group_labels or ())]


def _refuse_label(name: str) -> None:
    """The library prints names without the quotation marks that others than these need."""
    if not _LABEL.fullmatch(name):
        raise QueryRefused(f"label {name!r}: only names of letters, digits and _ can be asked for")


def _refuse_text(text: str) -> None:
    if _UNPRINTABLE.search(text):
        raise QueryRefused(UNPRINTABLE)


def _rewritten(tree: promql.Expr, selector: Callable[[str, str], str]) -> str:
    """Print a tree with its selectors written anew, from their names and matchers; offset, range and @ stay behind.

    The library prints braces around the matchers of every selector, and nowhere else outside strings. Its own
    transform takes the cube of the depth. What comes out is parsed and checked.
    """
    return _SELECTOR.sub(lambda m: m[0] if m["string"] else selector(m["name"], m["matchers"]), str(tree))


def _within(name: str, matchers: str, namespace: str) -> str:
    return f"{name}{{{matchers}{',' if matchers else ''}namespace={namespace}}}"


def _verify(tree: promql.Expr, namespace: str) -> None:
    """Check the finished text itself: every selector names the namespace."""
    for node in _nodes(tree):
        if isinstance(node, promql.VectorSelector) and not any(
            m.name == "namespace" and m.op == promql.MatchOp.Equal and m.value == namespace
            for m in node.matchers.matchers
        ):
            raise QueryRefused("a selector could not be held inside the namespace")
