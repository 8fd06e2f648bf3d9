"""Sequential metrics: their verdicts, how alpha is shared, and what status says."""

import math
from typing import Any

import pytest

from tests.unit.rollout.making import NOW
from tests.unit.rollout.making_blocks import BAD, FINE, STABLE, blocks, metric, ratio
from trainyard.resources.rollout import Analysis, AnalysisMetric, MetricStatus
from trainyard.rollout import analysis, comparing
from trainyard.rollout.blocks import Blocks
from trainyard.rollout.comparing import Compared, Question
from trainyard.rollout.state import Measurement
from trainyard.systems.prometheus.port import Answer, Sample


def spec(*metrics: AnalysisMetric, **fields: Any) -> Analysis:
    return Analysis(interval_seconds=30, metrics=metrics or (metric(),), **fields)


def compared(found: Blocks | None, made: AnalysisMetric | None = None, stretches: int = 1, **fields: Any) -> Compared:
    one = made or metric()
    told = comparing.compared(spec(one, **fields), {one.name: found} if found else {}, stretches)
    return told[one.name]


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (blocks(BAD, STABLE, 40), ("Fail", "WorseThanMargin")),
        (blocks(FINE, STABLE, 120), ("Pass", "")),
        (blocks(((3, 100), (2, 100), (4, 100)), STABLE, 40), ("Inconclusive", "NotDecided")),  # on the margin
        (blocks(BAD, STABLE, 10), ("Inconclusive", "TooFewBlocks")),
        (None, ("Inconclusive", "TooFewBlocks")),
        (blocks(((0, 2),), STABLE, 40), ("Inconclusive", "TooFewRequests")),
        (blocks(((0, 0),), STABLE, 40), ("Inconclusive", "TooFewRequests")),
        (blocks(FINE, ((0, 0),), 40), ("NoData", "NoStableData")),
        (blocks(FINE, STABLE, 40, seen=None), ("NoData", "NoSeries")),
        (blocks(FINE, STABLE, 40, seen=400.0 - 60.0), ("Pass", "")),
        (blocks(FINE, STABLE, 40, seen=400.0 - 60.1), ("NoData", "StaleSample")),
        (blocks(FINE, STABLE, 120, is_present=False), ("NoData", "StaleSample")),
        (Blocks(failure="cannot be reached"), ("NoData", "ProviderError")),
        (Blocks(unusable="a histogram"), ("Inconclusive", "NotCounters")),
    ],
)
def test_verdicts(found: Blocks | None, wanted: tuple[str, str]) -> None:
    told = compared(found)
    assert (told.verdict, told.reason) == wanted
    assert told.message or told.verdict == "Pass"


def test_without_a_least_number_no_request_is_no_data() -> None:
    told = compared(blocks(((0, 0),), STABLE, 40), min_requests=0)
    assert (told.verdict, told.reason) == ("NoData", "NotANumber")


def test_the_margin_is_what_the_bounds_are_held_against() -> None:
    failed, passed = compared(blocks(BAD, STABLE, 40)), compared(blocks(FINE, STABLE, 120))
    assert failed.lower > 0.01
    assert passed.upper < 0.01
    assert compared(blocks(BAD, STABLE, 40), metric(margin="0.2")).verdict == "Pass"


def test_which_direction_hurts() -> None:
    fewer = blocks(((5, 100), (6, 100), (4, 100)), ((100, 1000), (105, 1000), (95, 1000)), 60)
    assert compared(fewer, ratio()).verdict == "Fail"
    assert compared(fewer, ratio(ratio={"better": "Lower"})).verdict == "Pass"
    assert compared(fewer, metric(builtin="SlowShare", slowerThanSeconds="0.1")).verdict == "Pass"


SLOW = {"builtin": "SlowShare", "slowerThanSeconds": "0.5"}
NONE, SOME, MANY = ((0, 100),), ((40, 100), (50, 100)), ((400, 1000), (500, 1000))


@pytest.mark.parametrize(
    ("made", "parts", "wanted", "words"),
    [
        (ratio(), (False, False), ("NoData", "NoSeries"), "neither revision ever had a series of clicks_total"),
        (ratio(ratio={"better": "Lower"}), (False, False), ("NoData", "NoSeries"), "neither revision ever had a"),
        (metric(**SLOW), (False, False), ("NoData", "NoSeries"), "a series of the bucket that ends at 0.5 s"),
        (metric(**SLOW), (False, True), ("NoData", "NoSeries"), "the canary, unlike stable, has no series of the"),
        (metric(**SLOW), (True, False), ("NoData", "NoStableData"), "stable, unlike the canary, has no series of the"),
        # Absence as 0 would be the best there is for the canary.
        (ratio(ratio={"better": "Lower"}), (False, True), ("NoData", "NoSeries"), "the canary, unlike stable, has no"),
        (ratio(), (True, False), ("NoData", "NoStableData"), "stable, unlike the canary, has no series of clicks"),
        # Absence as 0 is the worst there is for it.
        (ratio(), (False, True), ("Fail", "WorseThanMargin"), "worse than stable"),
        (ratio(ratio={"better": "Lower"}), (True, False), ("Fail", "WorseThanMargin"), "worse than stable"),
        # Nobody failed yet.
        (metric(), (False, False), ("Pass", ""), ""),
        (metric(), (False, True), ("Pass", ""), ""),
        (metric(), (True, False), ("Fail", "WorseThanMargin"), "worse than stable"),
    ],
)
def test_a_part_that_never_existed_never_passes(
    made: AnalysisMetric, parts: tuple[bool, bool], wanted: tuple[str, str], words: str
) -> None:
    canary, stable = SOME if parts[0] else NONE, MANY if parts[1] else ((0, 1000),)
    told = compared(blocks(canary, stable, 120, parts=parts), made)
    assert (told.verdict, told.reason) == wanted
    assert words in told.message


def test_before_there_is_any_request_nobody_misses_a_part() -> None:
    assert compared(blocks(((0, 0),), STABLE, 40, parts=(False, False)), ratio()).reason == "TooFewRequests"


def test_means_have_no_binomial_variance() -> None:
    revenue = blocks(((500, 100), (520, 100)), ((5000, 1000), (5200, 1000)), 40)
    told = compared(revenue, ratio(margin="0.5"))
    assert told.verdict == "Pass"
    assert told.estimate is not None
    assert told.estimate.values == pytest.approx((5.1, 5.1))


def test_a_mean_says_the_same_in_any_unit() -> None:
    """Seconds below 1 are no share of requests; in milliseconds nobody would take them for one."""
    took = ((10.1, 100), (9.9, 100), (10.2, 100), (9.8, 100))
    seconds = compared(blocks(took, took, 40), ratio(margin="0.005", ratio={"better": "Lower"}))
    in_thousands = [(1000 * part, total) for part, total in took]
    milliseconds = compared(blocks(in_thousands, in_thousands, 40), ratio(margin="5", ratio={"better": "Lower"}))
    assert (seconds.verdict, milliseconds.verdict) == ("Pass", "Pass")
    assert 1000 * seconds.upper == pytest.approx(milliseconds.upper)


def test_labels_count_instead_of_requests() -> None:
    late = ratio(minLabels=5000, labelDelaySeconds=60)
    told = compared(blocks(FINE, STABLE, 40), late)
    assert (told.verdict, told.reason, told.message) == ("Inconclusive", "TooFewLabels", "fewer than 5000 labels")
    assert compared(blocks(((0, 0),), STABLE, 40), late).reason == "TooFewLabels"
    assert compared(blocks(FINE, STABLE, 40), ratio(minLabels=4000)).reason != "TooFewLabels"


def test_alpha_is_shared_among_metrics_and_stretches() -> None:
    found = blocks(BAD, STABLE, 60)
    alone, on_a_ladder = compared(found), compared(found, stretches=4)
    assert on_a_ladder.lower < alone.lower
    assert on_a_ladder.upper == alone.upper  # to pass is asked of all: it needs no sharing
    others = [metric(name=f"m{n}") for n in range(3)]
    fine = blocks(FINE, STABLE, 60)
    told = comparing.compared(spec(metric(), *others), {"errors": fine}, 1)
    assert told["errors"].lower == pytest.approx(compared(fine, stretches=4).lower)


def test_what_has_failed_leaves_its_share_to_the_rest() -> None:
    # So near its margin that half the alpha does not do.
    edge = blocks(((4, 100), (3, 100), (5, 100)), STABLE, 40)
    close = metric(name="close", margin=f"{compared(edge).lower * 0.9999:.9f}")
    second = comparing.compared(spec(close, metric(name="calm")), {"close": edge, "calm": blocks(FINE, STABLE, 40)}, 1)
    assert second["close"].verdict == "Inconclusive"
    both = comparing.compared(spec(close, metric(name="bad")), {"close": edge, "bad": blocks(BAD, STABLE, 40)}, 1)
    assert (both["close"].verdict, both["bad"].verdict) == ("Fail", "Fail")


def test_what_it_still_needs() -> None:
    told = compared(blocks(FINE, STABLE, 40), metric(margin="0.006"))
    assert told.verdict == "Inconclusive"
    assert told.needs
    assert told.needs_seconds
    assert told.needs / 100 == pytest.approx(told.needs_seconds / 10, rel=0.01)  # 100 requests in 10 seconds
    decided = compared(blocks(FINE, STABLE, 42 + math.ceil(told.needs_seconds / 10)), metric(margin="0.006"))
    assert decided.verdict == "Pass"
    never = comparing.asked(spec(), metric(), blocks(STABLE, STABLE, 40), Question(0.0, 0.05, 0.05))
    assert (never.needs, never.needs_seconds) == (None, None)  # 2 % against 2 %: never by no margin
    worse = compared(blocks(((5, 100), (3, 100)), STABLE, 30), stretches=20)
    assert worse.needs


@pytest.mark.parametrize(
    ("weights", "lasting", "wanted"),
    [
        ([], [], 1),
        ([10, 10, 50, 50, 100], [False, True, False, True, False], 2),  # setWeight and pause, twice
        ([10, 50, 100], [False, False, False], 2),
        ([10, 10, 10], [False, True, True], 2),
        ([0, 0, 100], [False, True, False], 1),  # a mirror: no weight, but measured
        ([0, 100], [False, True], 1),
    ],
)
def test_stretches_of_a_ladder(weights: list[int], lasting: list[bool], wanted: int) -> None:
    assert comparing.stretches(weights, lasting) == wanted


# ---- as status tells it ----


def status(found: Blocks | None, before: tuple[MetricStatus, ...] = (), **fields: Any) -> MetricStatus:
    requests = Answer(samples=(Sample({"revision": "c"}, NOW.timestamp(), 4000.0),))
    measurement = Measurement(1, NOW, requests, {}, blocks={"errors": found} if found else {})
    return analysis.measured(spec(**fields), measurement, "c", "s", before, NOW)[0]


def test_status_tells_bounds_and_needs() -> None:
    told = status(blocks(FINE, STABLE, 27, warnings=("a block is missing",)))
    assert (told.verdict, told.value, told.samples, told.failures) == ("Inconclusive", "0.02", 2700, 0)
    assert float(told.lower) < 0 < float(told.upper)
    assert told.needs
    assert told.needs_seconds
    assert told.message.endswith("; a block is missing")


def test_status_without_bounds_is_empty() -> None:
    told = status(None)
    assert (told.value, told.lower, told.upper, told.needs, told.samples) == ("", "", "", None, 0)


def test_messages_hold_no_number_that_moves() -> None:
    one, two = status(blocks(FINE, STABLE, 25)), status(blocks(FINE, STABLE, 27))
    assert one.message == two.message
    assert one.upper != two.upper


def test_one_failure_aborts_at_once_and_says_by_how_much() -> None:
    failed = status(blocks(BAD, STABLE, 39))
    assert failed.failures == 1
    sentence = analysis.over_limit(spec(), (failed,))
    assert sentence.startswith("errors was 0.1, worse than stable by more than margin 0.01 (3900 requests; the harm is")
    assert failed.lower in sentence
    assert not analysis.over_limit(spec(), (status(blocks(FINE, STABLE, 120)),))
