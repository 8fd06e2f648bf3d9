"""The verdict table of the design, each row a test; and the limits, the counts and the window."""

import math
from datetime import timedelta
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


# The design's table, a row a name.
TABLE = {
    "inside the limits": (answer(0.4), metric(), ("Pass", "")),
    "on max": (answer(0.5), metric(), ("Pass", "")),
    "on min": (answer(0.5), metric(max=None, min="0.5"), ("Pass", "")),
    "on both": (answer(0.5), metric(min="0.5"), ("Pass", "")),
    "just above max": (answer(0.500001), metric(), ("Fail", "LimitBroken")),
    "below min": (answer(0.4), metric(max=None, min="0.5"), ("Fail", "LimitBroken")),
    "NaN with max": (answer(math.nan), metric(), ("NoData", "NotANumber")),
    "NaN with min": (answer(math.nan), metric(max=None, min="0"), ("NoData", "NotANumber")),
    "NaN compared": (answer(math.nan), metric(max=None, max_increase="1"), ("NoData", "NotANumber")),
    "+Inf above max": (answer(math.inf), metric(), ("Fail", "LimitBroken")),
    "+Inf without max": (answer(math.inf), metric(max=None, min="0"), ("NoData", "Infinite")),
    "+Inf compared": (answer(math.inf), metric(max=None, max_increase="1"), ("Fail", "LimitBroken")),
    "-Inf below min": (answer(-math.inf), metric(min="0"), ("Fail", "LimitBroken")),
    "-Inf without min": (answer(-math.inf), metric(), ("NoData", "Infinite")),
    "empty vector": (answer(), metric(), ("NoData", "NoSeries")),
    "three equal series": (answer(0.1, 0.1, 0.1), metric(), ("Inconclusive", "SeveralSeries")),
    "two series, the first fails": (answer(0.9, 0.1), metric(), ("Inconclusive", "SeveralSeries")),
    "two series, one is NaN": (answer(0.1, math.nan), metric(), ("Inconclusive", "SeveralSeries")),
    "string": (Answer(unusable="a string"), metric(), ("Inconclusive", "NotOneNumber")),
    "range matrix": (Answer(unusable="a range matrix"), metric(), ("Inconclusive", "NotOneNumber")),
    "no vector": (Answer(), metric(), ("Inconclusive", "NotOneNumber")),
    "two intervals old": (answer(0.1, age=2 * INTERVAL), metric(), ("Pass", "")),
    "older than two intervals": (answer(0.1, age=2 * INTERVAL + 1), metric(), ("NoData", "StaleSample")),
    "from the future": (answer(0.1, age=-5), metric(), ("NoData", "FutureSample")),
    "provider fails": (Answer(failure="connection refused"), metric(), ("NoData", "ProviderError")),
}


@pytest.mark.parametrize(("told", "made", "wanted"), TABLE.values(), ids=TABLE)
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


@pytest.mark.parametrize(
    ("limit", "stable", "on"),
    [
        ({"max_increase": "0.1"}, 0.7, 0.8),  # as floats 0.7 + 0.1 is less than 0.8
        ({"max_increase_percent": "10"}, 0.07, 0.077),
        ({"max_decrease": "0.1"}, 0.3, 0.2),
        ({"max_decrease_percent": "10"}, 0.7, 0.63),
        ({"max_increase_percent": "10"}, -1.0, -0.9),
        ({"max_increase_percent": "10"}, 0.0, 0.0),
    ],
)
def test_a_limit_against_stable_is_inclusive_to_the_last_digit(limit: dict[str, str], stable: float, on: float) -> None:
    made, upper = metric(max=None, **limit), "max_increase" in next(iter(limit))
    assert verdict(answer(on), made, Reading(stable))[0] == "Pass"
    beyond = math.nextafter(on, math.inf if upper else -math.inf)
    assert verdict(answer(beyond), made, Reading(stable))[0] == "Fail"


@pytest.mark.parametrize("stable", [Reading(None, "NoData", "NotANumber"), Reading(math.inf)])
def test_without_stables_number_nothing_is_compared(stable: Reading) -> None:
    made = metric(max_increase="0.1")
    assert verdict(answer(0.1), made, stable) == ("NoData", "NoStableData")
    assert verdict(answer(0.6), made, stable)[0] == "Fail"  # its own limit speaks for itself


@pytest.mark.parametrize(
    ("theirs", "reason", "message"),
    [
        (answer(1, 2, 3), "SeveralSeries", "stable: query returns 3 series, wants one"),
        (Answer(unusable="a string"), "NotOneNumber", "stable: a string"),
    ],
)
def test_stable_without_one_number_is_inconclusive_as_the_canary_is(theirs: Answer, reason: str, message: str) -> None:
    made, stable = metric(max_increase="0.1"), read(theirs, "query", None, NOW, INTERVAL)
    told = judge(made, Reading(0.1), stable)
    assert (told.verdict, told.reason, told.message) == ("Inconclusive", reason, message)
    assert judge(made, Reading(0.6), stable).verdict == "Fail"  # its own limit speaks for itself
    assert judge(metric(), Reading(0.1), stable).verdict == "Pass"  # and nobody asks stable


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


def test_an_interval_that_ended_before_a_sample_is_no_success() -> None:
    told = judged(Measurement(1, NOW, answer(500.0, revision="c"), {}))
    assert (told.verdict, told.reason, told.value) == ("Inconclusive", "NotMeasured", "")


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
    assert analysis.first_slot(Analysis(interval_seconds=10, warm_up_seconds=5), 2, NOW) == 2
    assert analysis.first_slot(Analysis(interval_seconds=8), 2, NOW) == 1


@pytest.mark.parametrize("interval", [1, 7, 30, 3600])
@pytest.mark.parametrize("late", [0.0, 0.4, 13.0, 29.999])
def test_instants_lie_on_one_grid_and_windows_after_the_step(interval: int, late: float) -> None:
    started, spec = NOW + timedelta(seconds=late), Analysis(interval_seconds=interval, warm_up_seconds=3)
    first = analysis.instant(started, analysis.first_slot(spec, 2, started), interval)
    assert first.timestamp() % interval == 0
    begun = first - timedelta(seconds=analysis.window_seconds(spec, 2) + 3)
    assert started <= begun < started + timedelta(seconds=interval)
    assert analysis.slot_at(first, started, interval) == analysis.first_slot(spec, 2, started)


def labelled(had: float | None, told: Answer | None = None, **fields: Any) -> MetricStatus:
    made = metric(
        builtin=None,
        ratio={"good": "right_total", "total": "labels_total"},
        min_labels=200,
        **({"max": "0.5"} | fields),
    )
    told = told or answer(0.9)
    few = answer(3.0, revision="c")  # requests do not matter where labels count
    measurement = Measurement(1, NOW, few, {"m": (told, told)}, labels={"m": had})
    return analysis.measured(Analysis(interval_seconds=INTERVAL, metrics=(made,)), measurement, "c", "s", (), NOW)[0]


def test_labels_count_instead_of_requests() -> None:
    few = labelled(199.0)
    assert (few.verdict, few.reason, few.message) == ("Inconclusive", "TooFewLabels", "fewer than 200 labels")
    assert labelled(200.0).verdict == "Fail"
    unknown = labelled(None)
    assert (unknown.verdict, unknown.reason) == ("NoData", "ProviderError")
    early = labelled(None, Answer(unusable="labels of this step are whole from 60 s later on"))
    assert (early.verdict, early.message) == ("Inconclusive", "labels of this step are whole from 60 s later on")
    assert labelled(None, Answer(failure="away")).message == "Prometheus: away"


def test_no_least_number_asks_for_no_count() -> None:
    spec = Analysis(interval_seconds=INTERVAL, min_requests=0, metrics=(metric(),))
    told = measurement(answer(0.1, revision="c"), Answer(failure="away"))
    assert analysis.measured(spec, told, "c", "s", (), NOW)[0].verdict == "Pass"


@pytest.mark.parametrize("told", [answer(0.9, revision="c"), answer(math.nan, revision="c"), answer(revision="c")])
def test_warnings_are_kept_with_every_verdict(told: Answer) -> None:
    warned = Answer(samples=told.samples, warnings=("a block is missing",))
    assert judged(measurement(warned)).message.endswith("a block is missing")
    assert judged(measurement(warned, 3.0)).message == "fewer than 100 requests; a block is missing"


def test_good_bad_good_bad_counts_exactly() -> None:
    """Eight intervals around max 0.5, two of them on it, counted by hand: 0 1 1 2 2 2 3 3."""
    before: tuple[MetricStatus, ...] = ()
    counts = []
    for value in (0.4, 0.6, 0.5, 0.51, 0.1, math.nan, 0.500001, 0.5):
        before = (judged(measurement(answer(value, revision="c")), before),)
        counts.append(before[0].failures)
    assert counts == [0, 1, 1, 2, 2, 2, 3, 3]
    spec = Analysis(metrics=(metric(failure_limit=2),))
    assert not analysis.over_limit(spec, before)  # the last one passed
    assert analysis.over_limit(spec, (judged(measurement(answer(0.6, revision="c")), before),))
