"""Verdicts: from Prometheus' answers to Pass, Fail, Inconclusive or NoData (rollout.md, Verdicts). Pure.

Only Fail counts towards an abort; nothing but Pass promotes; everything else holds.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from trainyard.resources.rollout import Analysis, AnalysisMetric, MetricStatus
from trainyard.rollout.state import Measurement
from trainyard.systems.prometheus.port import Answer, Sample

Verdict = Literal["Pass", "Fail", "Inconclusive", "NoData"]
SCRAPES_IN_WINDOW = 4
FUTURE_SECONDS = 1.0  # two clocks are never quite equal
COMPARED = ("max_increase", "max_increase_percent", "max_decrease", "max_decrease_percent")


@dataclass(frozen=True)
class Reading:
    """One number, or why there is none."""

    value: float | None
    verdict: Verdict = "Pass"
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class Bound:
    """A limit that a value has to keep, with the words that name it."""

    limit: float
    upper: bool
    words: str

    def broken_by(self, value: float) -> bool:
        """Whether the value is outside; the limit itself is inside."""
        return value > self.limit if self.upper else value < self.limit


def window_seconds(analysis: Analysis, scrape_seconds: int) -> int:
    """Return the window: at least four scrape intervals."""
    least = SCRAPES_IN_WINDOW * scrape_seconds
    return max(analysis.window_seconds or least, least)


def slot_at(moment: datetime, started: datetime, interval: int) -> int:
    """Return the number of the interval since the step's start: each is measured once."""
    return math.floor((moment - started).total_seconds() / interval)


def first_slot(analysis: Analysis, scrape_seconds: int) -> int:
    """Return the first interval whose whole window lies after the step's start and the warm-up."""
    early = window_seconds(analysis, scrape_seconds) + analysis.warm_up_seconds
    return math.ceil(early / analysis.interval_seconds)


def instant(started: datetime, slot: int, interval: int) -> datetime:
    """Return when an interval is measured: the same instant whoever asks, and however often."""
    return started + timedelta(seconds=slot * interval)


def read(answer: Answer, query: str, revision: str | None, now: datetime, interval: int) -> Reading:
    """Take the one number out of an answer; `revision` picks it where the query serves several."""
    if answer.failure:
        return Reading(None, "NoData", "ProviderError", f"Prometheus: {answer.failure}")
    if answer.unusable or answer.samples is None:
        return Reading(None, "Inconclusive", "NotOneNumber", answer.unusable or "query returns no vector")
    series = [s for s in answer.samples if revision is None or s.labels.get("revision") == revision]
    if not series:
        return Reading(None, "NoData", "NoSeries", f"nothing is returned by {query[:200]}")
    if len(series) > 1:
        message = f"query returns {len(series)} series, wants one"
        return Reading(None, "Inconclusive", "SeveralSeries", message)
    return _read_sample(series[0], now, interval)


def _read_sample(sample: Sample, now: datetime, interval: int) -> Reading:
    age = now.timestamp() - sample.time
    if age > 2 * interval:
        return Reading(None, "NoData", "StaleSample", "the sample is older than two intervals")
    if age < -FUTURE_SECONDS:
        return Reading(None, "NoData", "FutureSample", "the sample is from the future")
    if math.isnan(sample.value):
        return Reading(None, "NoData", "NotANumber", "the value is NaN: no requests in the window")
    return Reading(sample.value)


def judge(metric: AnalysisMetric, canary: Reading, stable: Reading) -> Reading:
    """Compare the canary's number with every limit of the metric."""
    if canary.value is None:
        return canary
    bounds = absolute_bounds(metric)
    if _breach(canary.value, bounds):
        return _failed(canary.value, bounds)
    if any(getattr(metric, name) is not None for name in COMPARED):
        if stable.value is None or math.isinf(stable.value):
            return Reading(canary.value, "NoData", "NoStableData", f"stable: {stable.message or 'infinite'}")
        bounds = (*bounds, *compared_bounds(metric, stable.value))
        if _breach(canary.value, bounds):
            return _failed(canary.value, bounds)
    if math.isinf(canary.value):
        return Reading(canary.value, "NoData", "Infinite", "the value is infinite, and no limit is on that side")
    return Reading(canary.value)


def absolute_bounds(metric: AnalysisMetric) -> tuple[Bound, ...]:
    """Return the limits that stand by themselves."""
    found = []
    if metric.max is not None:
        found.append(Bound(float(metric.max), True, f"above max {metric.max}"))
    if metric.min is not None:
        found.append(Bound(float(metric.min), False, f"below min {metric.min}"))
    return tuple(found)


def compared_bounds(metric: AnalysisMetric, stable: float) -> tuple[Bound, ...]:
    """Return the limits that depend on stable's number over the same window."""
    base = f"stable's {number(stable)}"
    rooms = (
        (metric.max_increase, True, 1.0, f"above {base} by more than {metric.max_increase}"),
        (metric.max_increase_percent, True, None, f"above {base} by more than {metric.max_increase_percent} %"),
        (metric.max_decrease, False, 1.0, f"below {base} by more than {metric.max_decrease}"),
        (metric.max_decrease_percent, False, None, f"below {base} by more than {metric.max_decrease_percent} %"),
    )
    return tuple(
        Bound(_moved(stable, float(room), unit, upper), upper, words)
        for room, upper, unit, words in rooms
        if room is not None
    )


def _moved(stable: float, room: float, unit: float | None, upper: bool) -> float:
    step = room if unit is not None else abs(stable) * room / 100
    return stable + step if upper else stable - step


def _breach(value: float, bounds: Iterable[Bound]) -> Bound | None:
    return next((bound for bound in bounds if bound.broken_by(value)), None)


def _failed(value: float, bounds: Iterable[Bound]) -> Reading:
    breach = _breach(value, bounds)
    return Reading(value, "Fail", "LimitBroken", breach.words if breach else "")


def number(value: float) -> str:
    """Write a number as status has it."""
    return f"{value:.6g}"


def requests(answer: Answer, revision: str) -> float | None:
    """Return the requests of a revision since the step began; None where nobody knows."""
    if answer.failure or answer.samples is None:
        return None
    values = [s.value for s in answer.samples if s.labels.get("revision") == revision]
    return sum(v for v in values if math.isfinite(v))


def measured(
    analysis: Analysis,
    measurement: Measurement,
    canary: str,
    stable: str | None,
    before: tuple[MetricStatus, ...],
    now: datetime,
) -> tuple[MetricStatus, ...]:
    """Judge every metric of one interval, and count its failures on top of those before."""
    count = requests(measurement.requests, canary)
    failures = {metric.name: metric.failures for metric in before}
    return tuple(
        _status(metric, _verdict(analysis, metric, measurement, canary, stable, count, now), count, failures)
        for metric in analysis.metrics
    )


def _verdict(
    analysis: Analysis,
    metric: AnalysisMetric,
    measurement: Measurement,
    canary: str,
    stable: str | None,
    count: float | None,
    now: datetime,
) -> Reading:
    ours, theirs = measurement.metrics.get(metric.name, (Answer(failure="not asked"), Answer(failure="not asked")))
    builtin = metric.builtin is not None
    query = metric.builtin or metric.query or ""
    one = read(ours, query, canary if builtin else None, now, analysis.interval_seconds)
    other = read(theirs, query, stable if builtin else None, now, analysis.interval_seconds)
    if count is not None and count < analysis.min_requests and one.reason != "ProviderError":
        return Reading(one.value, "Inconclusive", "TooFewRequests", f"fewer than {analysis.min_requests} requests")
    if count is None and analysis.min_requests:
        return Reading(None, "NoData", "ProviderError", "the requests since the step began are unknown")
    verdict = judge(metric, one, other)
    return replace(verdict, message="; ".join((verdict.message, *ours.warnings)).strip("; "))


def _status(metric: AnalysisMetric, reading: Reading, count: float | None, failures: dict[str, int]) -> MetricStatus:
    return MetricStatus(
        name=metric.name,
        verdict=reading.verdict,
        reason=reading.reason,
        message=reading.message[:512],
        value="" if reading.value is None else number(reading.value),
        samples=int(count or 0),
        failures=failures.get(metric.name, 0) + (reading.verdict == "Fail"),
    )


def over_limit(analysis: Analysis, metrics: Iterable[MetricStatus]) -> str:
    """Return the sentence that names the first metric that failed too often, "" where none did."""
    limits = {metric.name: metric.failure_limit for metric in analysis.metrics}
    for metric in metrics:
        limit = limits.get(metric.name)
        if limit is not None and metric.failures > limit and metric.verdict == "Fail":
            return (
                f"{metric.name} was {metric.value}, {metric.message} ({metric.samples} requests; "
                f"failed {metric.failures} times, failureLimit {limit})"
            )
    return ""
