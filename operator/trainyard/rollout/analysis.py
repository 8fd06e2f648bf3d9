"""Verdicts: from Prometheus' answers to Pass, Fail, Inconclusive or NoData (rollout.md, Verdicts). Pure.

Only Fail counts towards an abort; nothing but Pass promotes; everything else holds.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

from trainyard.resources.rollout import Analysis, AnalysisMetric, MetricStatus
from trainyard.resources.rollout_strategy import Experiment
from trainyard.rollout import comparing
from trainyard.rollout import experiment as experiments
from trainyard.rollout.blocks import Blocks
from trainyard.rollout.comparing import Compared
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
    return math.floor((moment - instant(started, 0, interval)).total_seconds() / interval)


def first_slot(analysis: Analysis, scrape_seconds: int, started: datetime) -> int:
    """Return the first interval whose whole window lies after the step's start and the warm-up."""
    early = timedelta(seconds=window_seconds(analysis, scrape_seconds) + analysis.warm_up_seconds)
    since_zero = (started + early - instant(started, 0, analysis.interval_seconds)).total_seconds()
    return math.ceil(since_zero / analysis.interval_seconds)


def instant(started: datetime, slot: int, interval: int) -> datetime:
    """Return when an interval is measured: on a grid of all Rollouts with this interval, so that they share queries.

    Interval 0 lies at the step's start or up to one interval before it.
    """
    zero = math.floor(started.timestamp() / interval) * interval
    return datetime.fromtimestamp(zero + slot * interval, UTC)


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
        base = _base(canary.value, stable)
        if isinstance(base, Reading):
            return base
        bounds = (*bounds, *compared_bounds(metric, base))
        if _breach(canary.value, bounds):
            return _failed(canary.value, bounds)
    if math.isinf(canary.value):
        return Reading(canary.value, "NoData", "Infinite", "the value is infinite, and no limit is on that side")
    return Reading(canary.value)


def _base(value: float, stable: Reading) -> float | Reading:
    """Return stable's number, or why it has none; value: the canary's."""
    if stable.verdict == "Inconclusive":
        return Reading(value, "Inconclusive", stable.reason, f"stable: {stable.message}")
    if stable.value is None or math.isinf(stable.value):
        return Reading(value, "NoData", "NoStableData", f"stable: {stable.message or 'infinite'}")
    return stable.value


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
        (metric.max_increase, True, False, f"above {base} by more than {metric.max_increase}"),
        (metric.max_increase_percent, True, True, f"above {base} by more than {metric.max_increase_percent} %"),
        (metric.max_decrease, False, False, f"below {base} by more than {metric.max_decrease}"),
        (metric.max_decrease_percent, False, True, f"below {base} by more than {metric.max_decrease_percent} %"),
    )
    return tuple(
        Bound(_moved(stable, room, is_percent, upper), upper, words)
        for room, upper, is_percent, words in rooms
        if room is not None
    )


def _moved(stable: float, room: str, is_percent: bool, upper: bool) -> float:
    """Return the limit, reckoned as it is written: 0.1 above 0.7 is 0.8, and 0.8 is still inside."""
    base, step = Decimal(repr(stable)), Decimal(room)
    step = abs(base) * step / 100 if is_percent else step
    return float(base + step if upper else base - step)


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
    *,
    stretches: int = 1,
    experiment: Experiment | None = None,
) -> tuple[MetricStatus, ...]:
    """Judge every metric of one interval, and count its failures on top of those before.

    stretches: among so many steps the sequential metrics share their alpha. experiment: the one that runs; its own
    metric is told here and decided there.
    """
    count = requests(measurement.requests, canary)
    failures = {metric.name: metric.failures for metric in before}
    sequential = _sequential(analysis, measurement, stretches, experiment)
    found = []
    for metric in analysis.metrics:
        told = sequential.get(metric.name)
        if told is not None:
            found.append(_compared(metric, told, measurement.blocks.get(metric.name), failures))
        else:
            reading = _verdict(analysis, metric, measurement, canary, stable, count, now)
            found.append(_status(metric, reading, count, failures))
    return tuple(found)


def _sequential(
    analysis: Analysis, measurement: Measurement, stretches: int, experiment: Experiment | None
) -> dict[str, Compared]:
    """Compare what is compared by blocks; the metric that decides an experiment by the experiment's own question."""
    decides = next((m for m in analysis.metrics if experiment and m.name == experiment.decide_on), None)
    guards = analysis.model_copy(update={"metrics": tuple(m for m in analysis.metrics if m is not decides)})
    found = comparing.compared(guards, measurement.blocks, stretches)
    if experiment and decides:
        found[decides.name] = experiments.told(experiment, analysis, decides, measurement.blocks.get(decides.name))
    return found


def _compared(
    metric: AnalysisMetric, told: Compared, blocks: Blocks | None, failures: Mapping[str, int]
) -> MetricStatus:
    estimate = told.estimate
    return MetricStatus(
        name=metric.name,
        verdict=told.verdict,
        reason=told.reason,
        message=_with_warnings(told.message, blocks.warnings if blocks else ())[:512],
        value=number(estimate.values[0]) if estimate else "",
        samples=int(estimate.canary) if estimate else 0,
        failures=failures.get(metric.name, 0) + (told.verdict == "Fail"),
        lower=number(told.lower) if math.isfinite(told.lower) else "",
        upper=number(told.upper) if math.isfinite(told.upper) else "",
        needs=told.needs,
        needs_seconds=told.needs_seconds,
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
    answers = measurement.metrics.get(metric.name)
    if answers is None:  # ended before a sample
        return Reading(None, "Inconclusive", "NotMeasured", "this interval ended before the metric was measured")
    builtin = metric.builtin is not None
    query = metric.builtin or metric.query or ""
    one = read(answers[0], query, canary if builtin else None, now, analysis.interval_seconds)
    other = read(answers[1], query, stable if builtin else None, now, analysis.interval_seconds)
    verdict = _too_few(analysis, metric, measurement, one, count) or judge(metric, one, other)
    return replace(verdict, message=_with_warnings(verdict.message, answers[0].warnings))


def _too_few(
    analysis: Analysis, metric: AnalysisMetric, measurement: Measurement, one: Reading, count: float | None
) -> Reading | None:
    """Return why a metric does not count yet: too few requests, or labels, since the step began."""
    least, unit = comparing.enough(analysis, metric)
    had = measurement.labels.get(metric.name) if metric.min_labels is not None else count
    if one.reason in ("ProviderError", "NotOneNumber"):
        return None
    if had is None:
        return (
            Reading(None, "NoData", "ProviderError", f"the {unit} since the step began are unknown") if least else None
        )
    if had >= least:
        return None
    return Reading(one.value, "Inconclusive", f"TooFew{unit.capitalize()}", f"fewer than {least} {unit}")


def _with_warnings(message: str, warnings: Iterable[str]) -> str:
    return "; ".join((message, *warnings)).strip("; ")


def _status(metric: AnalysisMetric, reading: Reading, count: float | None, failures: Mapping[str, int]) -> MetricStatus:
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
            return f"{metric.name} was {metric.value}, {metric.message} ({_evidence(metric, limit)})"
    return ""


def _evidence(metric: MetricStatus, limit: int) -> str:
    if metric.reason == comparing.WORSE:
        return f"{metric.samples} requests; the harm is at least {metric.lower}"
    return f"{metric.samples} requests; failed {metric.failures} times, failureLimit {limit}"
