"""Built-in metrics of every source: PromQL, whose series they read, what a source lacks, and parts of an answer."""

from dataclasses import replace
from typing import Any

import promql_parser
import pytest

from tests.unit.rollout.making import NOW
from trainyard.resources.rollout import Analysis, AnalysisMetric
from trainyard.rollout import queries, questions, sources
from trainyard.rollout.queries import COUNT, DRIFT, Form, counted_window, le_matcher
from trainyard.rollout.sources import LACKS, LATENCIES, ON_PODS, SOURCES, Subject
from trainyard.systems.bundle import Config
from trainyard.systems.prometheus.port import Answer, Sample

CHURN = Subject("team", "churn", ("0123456789", "abcdef0123"))
OTHER = Subject("other", "churn", ("0123456789", "1111111111"))
METRICS = ("ErrorRate", "Requests", COUNT, *LATENCIES, *ON_PODS, DRIFT)
ASKED = [(s, m) for s in SOURCES for m in METRICS if (s, "latency" if m in LATENCIES else m) not in LACKS]
CONFIG = Config("courier", {}, "models", "", custom_queries=True)
SEQUENTIAL: dict[str, object] = {"max": None, "margin": "0.01", "sequential": {}}


def form(source: str, metric: str) -> Form:
    return Form(source, metric, 20, "0.25" if metric == "SlowShare" else "")


def metric(**fields: object) -> AnalysisMetric:
    return AnalysisMetric.model_validate({"name": "m", "max": "0.5"} | fields)


def problem(source: str, fields: dict[str, object], config: Config = CONFIG) -> tuple[str, str] | None:
    return questions.problem(Analysis.model_validate({"source": source, "metrics": [metric(**fields)]}), config)


@pytest.mark.parametrize(("source", "name"), ASKED)
def test_every_query_is_promql_for_all_who_share_it(source: str, name: str) -> None:
    text = form(source, name).text([CHURN, OTHER])
    promql_parser.parse(text)
    assert "[20s]" in text
    for subject in (CHURN, OTHER):
        assert all(r in text for r in subject.revisions)
        assert subject.namespace in text


@pytest.mark.parametrize(("source", "name"), ASKED)
def test_everybody_gets_the_own_part_only(source: str, name: str) -> None:
    asked = form(source, name)
    by = ("namespace", "rollout") if name == DRIFT else asked.naming.by
    told = []
    for number, subject in enumerate((CHURN, OTHER)):
        for r in subject.revisions[: 1 if name == DRIFT else 2]:
            key = (subject.namespace, subject.rollout) if name == DRIFT else asked.naming.key(subject, r)
            told.append(Sample(dict(zip(by, key, strict=True)), NOW.timestamp(), float(number)))
    found = asked.indexed(Answer(samples=tuple(told)))
    for number, subject in enumerate((CHURN, OTHER)):
        part = asked.part(found, subject)
        assert [s.labels for s in part] == [{"revision": r} for r in subject.revisions[: len(part)]]
        assert {s.value for s in part} == {float(number)}
    assert asked.part(found, Subject("team", "another", CHURN.revisions)) == ()
    assert asked.part(asked.indexed(Answer(failure="away")), CHURN) == ()


@pytest.mark.parametrize(
    ("source", "fields", "reason"),
    [
        ("EnvoyGateway", {"builtin": "LatencyP95"}, "SourceLacksMetric"),
        ("EnvoyGateway", {"builtin": "SlowShare", "slowerThanSeconds": "0.25"}, "SourceLacksMetric"),
        ("KServe", {"builtin": "ErrorRate"}, "SourceLacksMetric"),
        ("KServe", {"builtin": "PredictionDrift"}, "SourceLacksMetric"),
        ("ModelServer", {"builtin": "SlowShare", "slowerThanSeconds": "0.26"}, "NoSuchBucket"),
        ("Contour", {"builtin": "SlowShare", "slowerThanSeconds": "0.2"}, "NoSuchBucket"),
        ("KServe", {"builtin": "SlowShare", "slowerThanSeconds": "0.3", **SEQUENTIAL}, "NoSuchBucket"),
        ("ModelServer", {"builtin": "PredictionDrift", "max": None, "maxIncrease": "0.1"}, "InvalidLimit"),
        ("ModelServer", {"builtin": "PredictionDrift", "maxIncrease": "0.1"}, "InvalidLimit"),
        ("ModelServer", {"builtin": "PredictionDrift", "maxIncreasePercent": "10"}, "InvalidLimit"),
        ("Contour", {"builtin": "PredictionDrift", "maxDecrease": "0"}, "InvalidLimit"),
        ("ModelServer", {"builtin": "PredictionDrift", "maxDecreasePercent": "10"}, "InvalidLimit"),
        ("ModelServer", {"builtin": "LatencyP99", "max": "45"}, "InvalidLimit"),
        ("ModelServer", {"builtin": "LatencyP50", "max": "30.0"}, "InvalidLimit"),  # limits are inclusive
        ("ModelServer", {"builtin": "LatencyP99", "max": "1", "maxIncrease": "30"}, "InvalidLimit"),
        ("KServe", {"builtin": "LatencyP95", "max": "10"}, "InvalidLimit"),
        ("Contour", {"builtin": "LatencyP95", "max": "3600"}, "InvalidLimit"),
        ("ModelServer", {"builtin": "CPU", "max": None}, "NoLimit"),
        ("ModelServer", {"query": "sum("}, "InvalidQuery"),
        ("ModelServer", {"ratio": {"good": "rate(x[5m])", "total": "y"}}, "InvalidQuery"),
        ("ModelServer", {"ratio": {"good": "x", "total": "y * 2"}}, "InvalidQuery"),
        ("EnvoyGateway", {"builtin": "ErrorRate", **SEQUENTIAL}, "SourceLacksMetric"),
    ],
)
def test_what_cannot_be_asked_is_refused(source: str, fields: dict[str, object], reason: str) -> None:
    found = problem(source, fields)
    assert found is not None
    assert found[0] == reason
    assert found[1].startswith("metric m")


@pytest.mark.parametrize(
    ("source", "fields"),
    [
        ("ModelServer", {"builtin": "SlowShare", "slowerThanSeconds": "0.250"}),
        ("Traefik", {"builtin": "SlowShare", "slowerThanSeconds": "0.3"}),
        ("ModelServer", {"builtin": "LatencyP99", "max": "29.9", "maxIncreasePercent": "50"}),
        ("Contour", {"builtin": "LatencyP99", "max": "60"}),
        ("Traefik", {"builtin": "LatencyP99", "max": "5"}),  # its buckets are settings
        ("ModelServer", {"builtin": "CPU", "max": "45", "maxIncrease": "30"}),
        ("KServe", {"builtin": "CPU"}),
        ("EnvoyGateway", {"builtin": "PredictionDrift", "min": "0"}),
        ("Istio", {"builtin": "ErrorRate", **SEQUENTIAL}),
        ("Traefik", {"builtin": "SlowShare", "slowerThanSeconds": "0.5", **SEQUENTIAL}),  # its buckets are settings
        ("ModelServer", {"query": "vector(1)"}),
        ("ModelServer", {"ratio": {"good": "sum(x)", "total": "y"}}),
    ],
)
def test_what_can_be_asked_is_not(source: str, fields: dict[str, object]) -> None:
    assert problem(source, fields) is None


def test_a_limit_above_the_last_bucket_says_where_that_ends() -> None:
    found = problem("ModelServer", {"builtin": "LatencyP99", "max": "45"})
    assert found is not None
    assert found[1] == (
        "metric m: max 45 can never be exceeded: ModelServer tells no latency above 30 s, where its last bucket ends"
    )


def test_queries_of_ones_own_can_be_off_and_names_differ() -> None:
    off = Config("courier", {}, "models", "", custom_queries=False)
    found = problem("ModelServer", {"query": "vector(1)"}, off)
    assert found is not None
    assert found[0] == "CustomQueriesDisabled"
    assert problem("ModelServer", {"builtin": "CPU"}, off) is None
    twice = Analysis.model_validate({"metrics": [metric(builtin="CPU"), metric(builtin="Memory")]})
    assert questions.problem(twice, CONFIG) == ("DuplicateMetric", "metric names must differ")


RATIO = {"builtin": None, "max": None, "min": "0.5", "ratio": {"good": "a_total", "total": "b_total"}}
BLOCKS: dict[str, object] = {"builtin": "ErrorRate", "max": None, "margin": "0.1", "sequential": {}}  # 24 blocks of 8 s


@pytest.mark.parametrize(
    ("fields", "held", "spec", "decides", "fits"),
    [
        (RATIO | {"label_delay_seconds": 60}, 90, {}, "", True),  # one interval later it is seen
        (RATIO | {"label_delay_seconds": 61}, 90, {}, "", False),
        (RATIO | {"label_delay_seconds": 61}, 90, {}, "m", True),  # an experiment waits for what decides it
        (RATIO | {"label_delay_seconds": 61, "sequential": {}, "margin": "0.1", "min": None}, 90, {}, "", False),
        (BLOCKS, 221, {"onNoData": "Abort"}, "", False),
        (BLOCKS, 222, {"onNoData": "Abort"}, "", True),
        (BLOCKS, 221, {"onNoData": "Abort"}, "m", True),
        (BLOCKS, 60, {"onNoData": "Hold"}, "", True),  # held and told, and then it passes
        ({"builtin": "CPU"}, 30, {"onNoData": "Abort"}, "", True),
    ],
)
def test_what_cannot_pass_in_time_is_refused(
    fields: dict[str, Any], held: int, spec: dict[str, Any], decides: str, fits: bool
) -> None:
    made = Analysis.model_validate({"maxHoldSeconds": held, "metrics": [metric(**fields)]} | spec)
    found = questions.problem(made, replace(CONFIG, scrape_interval_seconds=2), decides)
    assert (found is None) is fits
    assert found is None or (found[0] == "HoldTooShort" and f"maxHoldSeconds is {held}" in found[1])


def test_queries_of_ones_own_are_no_matter_of_sources() -> None:
    assert sources.problem("ModelServer", metric(query="x")) is None


@pytest.mark.parametrize(
    ("seconds", "unit", "matcher"),
    [
        ("0.25", 1, 'le=~"0[.]25"'), ("1", 1, 'le=~"1([.]0)?"'), ("1.0", 1, 'le=~"1([.]0)?"'),
        ("0.25", 1000, 'le=~"250([.]0)?"'), ("0.0005", 1000, 'le=~"0[.]5"'), ("300", 1000, 'le=~"300000([.]0)?"'),
        ("3600", 1000, 'le=~"3600000([.]0)?|3[.]6e[+]06"'), ("1000", 1000, 'le=~"1000000([.]0)?|1e[+]06"'),
    ],
)  # fmt: skip
def test_a_bound_is_matched_as_go_and_as_python_write_it(seconds: str, unit: int, matcher: str) -> None:
    assert le_matcher(seconds, unit) == matcher


def test_counted_windows_are_few_and_never_longer_than_the_step() -> None:
    for seconds in range(1, 100_000):
        assert seconds * 7 / 8 <= counted_window(seconds) <= seconds
    assert counted_window(0.5) == 1
    assert len({counted_window(s) for s in range(1, 86_400)}) < 120


def test_the_servers_bounds_are_the_tables() -> None:
    from images.server.modelserver import metrics as server

    assert tuple(map(float, sources.SERVER_BOUNDS)) == server.BUCKETS
    assert queries.PREDICTIONS == server.PREDICTIONS


@pytest.mark.parametrize("source", [s for s in SOURCES if s != "KServe"])
def test_counters_are_promql_and_cut_by_process(source: str) -> None:
    asked = form(source, "ErrorRate")
    for text in asked.counters([CHURN, OTHER]):
        promql_parser.parse(text)
        assert "instance)" in text


def test_slow_requests_are_all_without_the_fast() -> None:
    part, total = form("ModelServer", "SlowShare").counters([CHURN])
    assert part.startswith(f"{total} - ")


@pytest.mark.parametrize(("source", "name"), [a for a in ASKED if a[0] == "ModelServer" or a[1] == "ErrorRate"])
def test_labels_that_are_wanted_stand_on_every_selector_of_the_source(source: str, name: str) -> None:
    asked = form(source, name)
    text = Form(asked.source, asked.metric, asked.window, asked.slower_than, 'job="envoy"').text([CHURN])
    missing: list[str] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector) and node.name != "up":
            found = {m.name: m.value for m in node.matchers.matchers}
            missing.extend([] if found.get("job") == "envoy" else [str(node)])

    promql_parser.walk(promql_parser.parse(text), visit)
    assert missing == []
