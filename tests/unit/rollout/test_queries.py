"""Queries of one's own: what is asked, what is refused, and that none leaves its namespace."""

import time

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainyard.rollout import queries_custom as queries
from trainyard.rollout import sources

VALUES = {
    "rollout": "churn",
    "namespace": "team",
    "revision": "0123456789",
    "version": "v2",
    "stableRevision": "abcdef0123",
    "window": "20s",
}


def test_placeholders_become_quoted_strings() -> None:
    query = "sum(rate(clicks_total{revision=$(revision),v=$(version)}[$(window)])) or x{s=$(stableRevision)} offset 5m"
    assert queries.custom(query, VALUES, "team") == (
        'sum(rate(clicks_total{revision="0123456789",v="v2",namespace="team"}[20s])) or  '
        'x{s="abcdef0123",namespace="team"} offset 5m'
    )


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("$(pod)", "there is no placeholder $(pod)"),
        ("rate(x[5m]", "not PromQL"),
        ('x{a="$(rollout)"}', "not PromQL"),
        ('x{a="b" or c="d"}', "'or' between label matchers"),
        ("max_over_time(x[10m:])", "give a subquery its step"),
        ("info(x)", "info() is not allowed"),
        ('up{"quoted.label"="x"}', "label 'quoted.label': only names of letters, digits and _"),
        ('{"a b"="c"}', "label 'a b': only names"),
        ('sum by ("a.b") (x)', "label 'a.b': only names"),
        ('x * on ("a.b") y', "label 'a.b': only names"),
        ('x * on (a) group_left ("b}") y', "label 'b}': only names"),
        *(
            (query, "is in whole seconds")
            for query in (
                "rate(up[1500ms])",
                "up offset 1500ms",
                "up offset -1500ms",
                "up[500ms]",
                "rate(x[5m] offset 1m1ms)",
                "max_over_time(x[10m500ms:30s])",
                "max_over_time(x[10m:1500ms])",
                "max_over_time(x[10m:30s] offset 1ms)",
            )
        ),
        ("x @ -5", "@ takes no time before 1970"),
        ("x @ # now\n -5", "@ takes no time before 1970"),
        ("x[500000000y]", "longer than any"),
        ("x offset -500000000y", "longer than any"),
        ("x offset Inf", "the parser cannot read one of its numbers"),
        ("\ud800", "not PromQL"),
        ("a[9223372036854775300]", "not PromQL"),
        ("sum by ($(revision)) (a)", "only names of letters, digits and _"),
        (r'x{a="\"} or vector(1) #"}', "strings may hold no quotation mark"),
        (r'label_replace(x, "a", "\"", "b", "c")', "strings may hold no quotation mark"),
    ],
)
def test_refused_with_a_sentence(query: str, sentence: str) -> None:
    assert sentence in queries.check(query)


def test_an_interruption_is_none_of_the_parsers_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(promql_parser, "parse", interrupted)
    with pytest.raises(KeyboardInterrupt):
        queries.custom("x", VALUES, "team")


# What PromQL is made of, and what it is not: put together at random, some of it is a query.
WORDS = st.sampled_from([
    *"{}()[]=,+-*/^%@#:<>\n\r\0", *("'c'", '"a"', '"a b"', "`d`", '"x}"', '{"x y"="z"}', "a{b='c'}", "up", "\ud800"),
    *("5m", "1500ms", "1m", "1e9", "-1e15", "0x1", "NaN", "Inf", "9999999y", "500000000y", "9223372036854775807"),
    *("sum", "by", "without", "on", "ignoring", "group_left", "bool", "and", "unless", "offset", "rate", "topk"),
    *("fill", "abs"),
    *("start()", "time()", "label_replace", "info", "$(window)", "$(revision)", "$(x)", "=~", "!=", "or"),
])  # fmt: skip
HOLES = st.sampled_from([
    "a[%s]", "a offset %s", "a @ %s", "max_over_time(a[%s:%s])", "sum by (%s) (a)", "a{%s='b'}", "a{b=~'%s'}", "%s",
    "topk(%s, a)", "a + on (%s) b", "a * fill(%s) b", "a * on (a) group_left (%s) b", "{'%s'}", "{'%s'='b'}", "(%s)",
    "label_replace(a, '%s', 'b', 'c', 'd')", "max_over_time(a[5m:1m] @ %s offset %s)", "quantile(%s, a)", "-%s",
])  # fmt: skip
SOUP = st.lists(WORDS, max_size=12).map(" ".join)
FILLED = st.builds(lambda hole, *words: hole % words[: hole.count("%s")], HOLES, WORDS, WORDS)


@given(st.one_of(st.text(max_size=40), SOUP, FILLED))
def test_any_text_is_refused_or_stays_inside_and_is_what_it_was(query: str) -> None:
    refused, refused_as_counter = queries.check(query), queries.check_counter(query)
    assert not refused or refused_as_counter
    if refused:
        return
    made = promql_parser.parse(queries.custom(query, VALUES, "team"))
    nodes = [list(queries._nodes(tree)) for tree in (promql_parser.parse(queries._filled(query, VALUES)), made)]
    assert shown(nodes[0]) == shown(nodes[1])
    for node in nodes[1]:
        if isinstance(node, promql_parser.VectorSelector):
            assert [m.value for m in node.matchers.matchers][-1] == "team"


def shown(nodes: list[promql_parser.Expr]) -> list[tuple[str, ...]]:
    """Return what each node is, but for its matchers."""
    told = ("range", "step", "offset", "op", "val")
    return [(type(node).__name__, *(str(getattr(node, one, "")) for one in told)) for node in nodes]


def test_fine_queries_are_not_refused() -> None:
    assert queries.check("vector(1)") == ""
    assert queries.check("max_over_time(x[10m:30s])") == ""
    assert queries.check("rate(x[2000ms] @ 1.5) > 1e-9") == ""


def test_a_query_may_be_no_longer_than_the_parser_is_quick() -> None:
    """Nested, each of these took seconds in every visit, and all other Rollouts waited."""
    deep = [*("+".join("a" * n) for n in (65, 66)), *(f"{'abs(' * n}a{')' * n}" for n in (64, 65))]
    assert [bool(queries.check(query)) for query in deep] == [False, True, False, True]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("+".join("a" * 2000), "1999 operators, calls and brackets are too many"),
        ("abs(" * 800, "800 operators, calls"),
        ("(" * 4096, "4096 operators, calls"),
        ("-" * 4000 + "a", "4000 operators, calls"),
        ("a" + "[1m:1s]" * 500, "500 operators, calls"),
        (" Or ".join("a" * 500), "499 operators, calls"),
        ("#'\r" + "+".join("a" * 2000) + "#'", "1999 operators, calls"),
        ("a{b=~`" + ".{9}" * 800 + "`}", "over 1500 letters"),
        ("a{b=~'((.{1,1000}){1,1000}){2}'}", "over 1500 letters"),
        ("a{b='" + "c" * 1501 + "'}", "over 1500 letters"),
        ("a{b=~'" + "[^a]" * 300 + "\\\\pL'}", "backslash"),
    ],
)
def test_what_would_keep_the_parser_busy_does_not_reach_it(
    query: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(promql_parser, "parse", asked.append)
    assert sentence in queries.check(query)
    assert sentence in queries.check_counter(query)
    assert not asked


def test_long_names_do_not_make_a_query_too_long() -> None:
    """Once it is taken it is asked, whatever the revision and the namespace are called."""
    query = f"a{{b=$(version),c='{'d' * 1490}'}}"
    assert queries.check(query) == ""
    assert len(queries.custom(query, {**VALUES, "version": "v" * 63}, "n" * 63)) > 1600


def nested(count: int) -> str:
    return "a" if count == 1 else f"({nested(count // 2)} + {nested(count - count // 2)})"


@pytest.mark.parametrize(
    "query",
    [
        "+".join("a" * 65), "^".join("a" * 65), nested(21), "topk(1," * 64 + "a" + ")" * 64, "(" * 64 + "a" + ")" * 64,
        "label_replace(" * 64 + "a" + ",'b','c','d','e')" * 64,
        "+".join(['a{bbbbbbbbbb="ccccccccccccccccccccc"}'] * 65),
        "max_over_time(" * 32 + "a" + "[1m:1s])" * 32, "a{" + ",".join(['b=~"....."'] * 300) + "}",
        "a{b=~'" + "." * 1500 + "'}", "sum by (" + ",".join("b" * 2000) + ") (a)", "sum by (" + "b" * 4000 + ") (a)",
    ],
)  # fmt: skip
def test_what_is_taken_is_checked_quickly(query: str) -> None:
    """In some 20 ms of a quiet CPU; the bound is wide, for it is a busy one that tests run on."""
    queries.check.cache_clear()
    began = time.thread_time()
    assert queries.check(query) == ""
    assert time.thread_time() - began < 0.2


def test_a_query_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every visit of every Rollout wants the answer."""
    assert queries.check("seen_before > 1") == ""
    assert "rate" not in queries.check_counter("seen_before")
    monkeypatch.setattr(promql_parser, "parse", None)
    assert queries.check("seen_before > 1") == ""
    assert queries.check_counter("seen_before") == ""


def test_a_foreign_namespace_finds_nothing() -> None:
    text = queries.custom('x{namespace="kube-system"}', VALUES, "team")
    assert 'namespace="kube-system",namespace="team"' in text


@pytest.mark.parametrize(
    "query",
    [
        '{__name__=~".+",namespace=~".*"}',
        '{"x",a="b"} @ 5',
        'x{"namespace"="o"} offset -1h',
        "max_over_time((x @ 5)[10m:30s] @ start() offset 1m)",
        'a{} * on (pod) group_left (owner) label_replace(b{}, "namespace", "other", "pod", "(.*)")',
        'a unless on () b{c=~"d.+"} or ignoring (e) f',
        "sum by (namespace) (rate(x[$(window)] @ end())) > bool absent(y{r=$(revision)})",
        "x # $(rollout)\n + y",
        "count_values('v', -x) ^ 2 atan2 topk(1, y{a=`b`})",
    ],
)
def test_no_form_of_a_selector_leaves_the_namespace(query: str) -> None:
    seen: list[str] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            seen.append([m.value for m in node.matchers.matchers if m.name == "namespace"][-1])

    promql_parser.walk(promql_parser.parse(queries.custom(query, VALUES, "team")), visit)
    assert set(seen) == {"team"}


def test_the_finished_text_is_checked_itself() -> None:
    with pytest.raises(queries.QueryRefused, match="held inside"):
        queries._verify(promql_parser.parse("x + y"), "team")


@given(st.text(min_size=0, max_size=30))
def test_any_text_as_a_label_value_stays_inside(text: str) -> None:
    query = f"x{{a={sources.quoted(text)}}}"
    try:
        made = queries.custom(query, VALUES, "team")
    except queries.QueryRefused:
        return
    tree = promql_parser.parse(made)
    assert isinstance(tree, promql_parser.VectorSelector)
    assert [m.value for m in tree.matchers.matchers if m.name == "namespace"] == ["team"]


def test_without_enforcement_a_query_is_asked_as_it_stands() -> None:
    assert queries.custom("x{a=$(rollout)}", VALUES, None) == 'x{a="churn"}'


def test_a_side_of_a_ratio_grows_series_by_series() -> None:
    text = queries.counter("sum(good_total{revision=$(revision)}) + (other_total)", VALUES, "team")
    assert queries.grown(text, 30) == (
        'sum(sum(increase(good_total{revision="0123456789",namespace="team"}[30s]))'
        ' + (increase(other_total{namespace="team"}[30s])))'
    )


@pytest.mark.parametrize("query", ["rate(x[5m])", "x[5m]", "x * 2", "x - y", "1", "-x", "max(x)", "x > 1", "vector(1)"])
def test_a_side_of_a_ratio_is_a_sum_of_counters(query: str) -> None:
    assert "a counter or a sum of counters" in queries.check_counter(query)


@pytest.mark.parametrize("query", ["x offset 5m", "x @ 5"])
def test_a_side_of_a_ratio_has_no_time_of_its_own(query: str) -> None:
    assert "no offset and no @" in queries.check_counter(query)


@pytest.mark.parametrize("query", ["x", "sum(x)", "sum by (a) (x{b='c'})", "(x + y)"])
def test_sums_of_counters_are_fine(query: str) -> None:
    assert queries.check_counter(query) == ""


def test_braces_in_a_name_are_literal_text() -> None:
    assert sources.quoted('"} or vector(1) #') == '"\\"} or vector(1) #"'
