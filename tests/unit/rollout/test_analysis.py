"""The verdict table of the design, each row a test; and the limits, the counts and the window."""

import math
from typing import Any

import pytest

from tests.unit.rollout.making import NOW
from trainyard.resources.rollout import Analysis, AnalysisMetric, MetricStatus
from trainyard.rollout import analysis
from trainyard.rollout.analysis import Reading, judge, read
from trainyard.rollout.state import Measurement
from trainyard.systems.prometheus.port import Answer, Sample

INTERVAL = 30
STABLE = Reading(0.1)


def answer(*values: float, age: float = 0.0, **labels: str) -> Answer:
    samples = tuple(Sample({**labels, "n": str(i)}, NOW.timestamp() - age, v) for i, v in enumerate(values))
    return Answer(samples=samples)


def metric(**fields: Any) -> AnalysisMetric:
    return AnalysisMetric(**({"name": "m", "builtin": "ErrorRate", "max": "0.5"} | fields))


def verdict(told: Answer, made: AnalysisMetric | None = None, stable: Reading = STABLE) -> tuple[str, str]:
    reading = judge(made or metric(), read(told, "query", None, NOW, INTERVAL), stable)
    return reading.verdict, reading.reason


@pytest.mark.parametrize(
    ("told", "made", "wanted"),
    [
        (answer(0.4), metric(), ("Pass", "")),
        (answer(0.5), metric(), ("Pass", "")),  # limits are inclusive
        (answer(0.5), metric(max=None, min="0.5"), ("Pass", "")),
        (answer(0.500001), metric(), ("Fail", "LimitBroken")),
        (answer(0.4), metric(max=None, min="0.5"), ("Fail", "LimitBroken")),
        (answer(math.nan), metric(), ("NoData", "NotANumber")),
        (answer(math.inf), metric(), ("Fail", "LimitBroken")),
        (answer(-math.inf), metric(), ("NoData", "Infinite")),
        (answer(-math.inf), metric(min="0"), ("Fail", "LimitBroken")),
        (answer(math.inf), metric(max=None, min="0"), ("NoData", "Infinite")),
        (answer(), metric(), ("NoData", "NoSeries")),
        (answer(0.1, 0.1, 0.1), metric(), ("Inconclusive", "SeveralSeries")),
        (Answer(unusable="a string"), metric(), ("Inconclusive", "NotOneNumber")),
        (Answer(unusable="a range matrix"), metric(), ("Inconclusive", "NotOneNumber")),
        (Answer(), metric(), ("Inconclusive", "NotOneNumber")),
        (answer(0.1, age=2 * INTERVAL), metric(), ("Pass", "")),
        (answer(0.1, age=2 * INTERVAL + 1), metric(), ("NoData", "StaleSample")),
        (answer(0.1, age=-5), metric(), ("NoData", "FutureSample")),
        (Answer(failure="connection refused"), metric(), ("NoData", "ProviderError")),
    ],
)
def test_verdict_table(told: Answer, made: AnalysisMetric, wanted: tuple[str, str]) -> None:
    assert verdict(told, made) == wanted


def test_several_series_and_no_series_say_so() -> None:
    assert read(answer(1, 2, 3), "q", None, NOW, INTERVAL).message == "query returns 3 series, wants one"
    assert read(answer(), "sum(x)", None, NOW, INTERVAL).message == "nothing is returned by sum(x)"


def test_a_shared_query_is_read_by_revision() -> None:
    both = Answer(samples=(*(answer(0.1, revision="a").samples or ()), *(answer(0.9, revision="b").samples or ())))
    assert read(both, "q", "b", NOW, INTERVAL).value == 0.9
    assert read(both, "q", "c", NOW, INTERVAL).verdict == "NoData"


@pytest.mark.parametrize(
    ("limit", "value", "wanted"),
    [
        ({"max_increase": "0.1"}, 0.19, "Pass"),
        ({"max_increase": "0.1"}, 0.21, "Fail"),
        ({"max_increase_percent": "20"}, 0.12, "Pass"),
        ({"max_increase_percent": "20"}, 0.13, "Fail"),
        ({"max_decrease": "0.05"}, 0.06, "Pass"),
        ({"max_decrease": "0.05"}, 0.04, "Fail"),
        ({"max_decrease_percent": "50"}, 0.06, "Pass"),
        ({"max_decrease_percent": "50"}, 0.04, "Fail"),
    ],
)
def test_against_stable(limit: dict[str, str], value: float, wanted: str) -> None:
    assert verdict(answer(value), metric(max=None, **limit))[0] == wanted


@pytest.mark.parametrize("stable", [Reading(None, "NoData", "NotANumber"), Reading(math.inf)])
def test_without_stables_number_nothing_is_compared(stable: Reading) -> None:
    made = metric(max_increase="0.1")
    assert verdict(answer(0.1), made, stable) == ("NoData", "NoStableData")
    assert verdict(answer(0.6), made, stable)[0] == "Fail"  # its own limit speaks for itself


def measurement(told: Answer, requests: Answer | float = 500.0, stable: Answer | None = None) -> Measurement:
    counted = requests if isinstance(requests, Answer) else answer(requests, revision="c")
    return Measurement(1, NOW, counted, {"m": (told, stable or told)})


def judged(made: Measurement, before: tuple[MetricStatus, ...] = (), **fields: Any) -> MetricStatus:
    spec = Analysis(interval_seconds=INTERVAL, metrics=(metric(**fields),))
    return analysis.measured(spec, made, "c", "s", before, NOW)[0]


def test_a_measurement_keeps_value_samples_and_count() -> None:
    failed = judged(measurement(answer(0.75, revision="c")))
    assert (failed.verdict, failed.value, failed.samples, failed.failures) == ("Fail", "0.75", 500, 1)
    again = judged(measurement(answer(0.75, revision="c")), (failed,))
    assert again.failures == 2
    assert judged(measurement(answer(0.1, revision="c")), (again,)).failures == 2


def test_too_few_requests_are_inconclusive_with_the_count() -> None:
    told = judged(measurement(answer(0.9, revision="c"), 99.0))
    assert (told.verdict, told.reason, told.samples, told.failures) == ("Inconclusive", "TooFewRequests", 99, 0)
    assert judged(measurement(answer(0.9, revision="c"), 100.0)).verdict == "Fail"


def test_an_unknown_count_is_no_data() -> None:
    told = judged(measurement(answer(0.1, revision="c"), Answer(failure="HTTP 503")))
    assert (told.verdict, told.reason) == ("NoData", "ProviderError")


def test_a_metric_that_was_not_asked_is_no_data() -> None:
    assert judged(Measurement(1, NOW, answer(500.0, revision="c"), {})).verdict == "NoData"


def test_custom_queries_are_read_whole_and_warnings_kept() -> None:
    told = Answer(samples=answer(2.0).samples, warnings=("a block is missing",))
    status = judged(measurement(told), builtin=None, query="x", max="3")
    assert (status.verdict, status.message) == ("Pass", "a block is missing")


def test_over_the_limit_names_metric_value_limit_and_samples() -> None:
    spec = Analysis(metrics=(metric(name="errors", failure_limit=2), metric(name="slow")))
    bad = MetricStatus(name="errors", verdict="Fail", value="0.6", message="above max 0.5", samples=412, failures=3)
    fine = MetricStatus(name="slow", verdict="Pass", value="0.1")
    sentence = "errors was 0.6, above max 0.5 (412 requests; failed 3 times, failureLimit 2)"
    assert analysis.over_limit(spec, (fine, bad)) == sentence
    assert not analysis.over_limit(spec, (bad.model_copy(update={"failures": 2}),))
    assert not analysis.over_limit(spec, (bad.model_copy(update={"name": "gone"}),))


def test_window_and_first_interval() -> None:
    assert analysis.window_seconds(Analysis(), 15) == 60
    assert analysis.window_seconds(Analysis(window_seconds=10), 2) == 10
    assert analysis.window_seconds(Analysis(window_seconds=3), 2) == 8
    assert analysis.first_slot(Analysis(interval_seconds=10, warm_up_seconds=5), 2) == 2
    assert analysis.first_slot(Analysis(interval_seconds=8), 2) == 1
