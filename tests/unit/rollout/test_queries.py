"""PromQL: what is asked, what is refused, and that no custom query leaves its namespace."""

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainyard.rollout import queries

VALUES = {
    "rollout": "churn",
    "namespace": "team",
    "revision": "0123456789",
    "version": "v2",
    "stableRevision": "abcdef0123",
    "window": "20s",
}
BOTH = ("0123456789", "abcdef0123")


@pytest.mark.parametrize("name", ["ErrorRate", "LatencyP50", "LatencyP95", "LatencyP99", "Requests"])
def test_built_in_queries_are_promql_over_both_revisions(name: str) -> None:
    text = queries.builtin(name, "team", "churn", BOTH, 20)
    promql_parser.parse(text)
    assert 'namespace="team",rollout="churn",revision=~"0123456789|abcdef0123"' in text
    assert "[20s]" in text
    assert "by (revision" in text


def test_requests_since_the_step_began() -> None:
    text = queries.requests_since("team", "churn", BOTH, 0)
    assert text.endswith("[1s]))")
    assert "increase(" in text


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
        (r'x{a="\"} or vector(1) #"}', "strings may hold no quotation mark"),
        (r'label_replace(x, "a", "\"", "b", "c")', "strings may hold no quotation mark"),
    ],
)
def test_refused_with_a_sentence(query: str, sentence: str) -> None:
    assert sentence in queries.check(query)


def test_fine_queries_are_not_refused() -> None:
    assert queries.check("vector(1)") == ""
    assert queries.check("max_over_time(x[10m:30s])") == ""


def test_a_foreign_namespace_finds_nothing() -> None:
    text = queries.custom('x{namespace="kube-system"}', VALUES, "team")
    assert 'namespace="kube-system",namespace="team"' in text


def test_the_finished_text_is_checked_itself() -> None:
    with pytest.raises(queries.QueryRefused, match="held inside"):
        queries._verify(promql_parser.parse("x + y"), "team")


@given(st.text(min_size=0, max_size=30))
def test_any_text_as_a_label_value_stays_inside(text: str) -> None:
    query = f"x{{a={queries.quoted(text)}}}"
    try:
        made = queries.custom(query, VALUES, "team")
    except queries.QueryRefused:
        return
    tree = promql_parser.parse(made)
    assert isinstance(tree, promql_parser.VectorSelector)
    assert [m.value for m in tree.matchers.matchers if m.name == "namespace"] == ["team"]


def test_braces_in_a_name_are_literal_text() -> None:
    assert queries.quoted('"} or vector(1) #') == '"\\"} or vector(1) #"'
