"""Time and measurements of the running step: what this visit adds to what the process remembers. Pure.

A pause counts only time between visits that succeeded, each stretch capped at two intervals, and with metrics only
while they were fresh. So neither a jumping clock nor an outage promotes anything.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from math import inf

from trainyard import naming
from trainyard.resources.rollout import Analysis, AnalysisMetric, MetricStatus, Rollout, RolloutStatus
from trainyard.resources.rollout_strategy import Experiment
from trainyard.rollout import (
    analysis,
    comparing,
    experiment,
    freeze,
    queries,
    revisions,
    shortcuts,
    steps,
    strategies,
    weights,
)
from trainyard.rollout.experiment import Verdict
from trainyard.rollout.situation import is_complete
from trainyard.rollout.state import Measurement, Observed, Progress
from trainyard.rollout.times import parse, stamp
from trainyard.systems.cluster.port import Obj

CONTESTED_TIMES = 10
CONTESTED_SECONDS = 60.0


def step_key(status: RolloutStatus) -> str:
    """Name the stretch that numbers count for: one canary, one step, one start."""
    revision = status.canary.revision if status.canary else ""
    return f"{revision}/{status.step}/{status.step_started_time}"


def remembered(status: RolloutStatus, seen: Observed, now: datetime) -> Progress:
    """Return what is known of the running step: from memory, else from status."""
    before, key = seen.progress, step_key(status)
    if before is not None and before.key == key:
        return before
    return Progress(
        key=key,
        wall=now,
        seen=seen.monotonic,
        flushed=before.flushed if before else seen.monotonic,
        counted=float(status.counted_seconds),
        slot=-1 if status.last_interval is None else status.last_interval,
        metrics=status.metrics,
        share=status.observed_share,
        passed=status.passed,
        held_since=status.held_since,
        put_back=before.put_back if before else (),
        told=before.told if before else frozenset(),
    )


def advanced(rollout: Rollout, status: RolloutStatus, seen: Observed, now: datetime) -> Progress:
    """Return the progress with this visit's time and measurement."""
    before = remembered(status, seen, now)
    measured = _aged(_measured(before, rollout, status, seen, now), rollout, seen.monotonic, now)
    counts = before.fresh and measured.fresh if is_measured(rollout, status) else _is_ready(rollout, status, seen)
    passed = min(seen.monotonic - before.seen, 2.0 * rollout.spec.analysis.interval_seconds)
    return replace(
        measured,
        wall=now,
        seen=seen.monotonic,
        counted=before.counted + (min(passed, _moving(rollout, before)) if counts else 0.0),
        paused=rollout.spec.paused,
        held_since=None if rollout.spec.paused else measured.held_since,
        put_back=tuple(t for t in before.put_back if t > seen.monotonic - CONTESTED_SECONDS),
    )


def _aged(measured: Progress, rollout: Rollout, monotonic: float, now: datetime) -> Progress:
    """Let a measurement count for two intervals at most: an edit of the analysis may put off the next one."""
    last, interval = measured.looked_at, rollout.spec.analysis.interval_seconds
    if not measured.fresh or last is None or monotonic - last <= 2.0 * interval:
        return measured
    return replace(measured, fresh=False, passing=False, held_since=measured.held_since or stamp(now))


def _moving(rollout: Rollout, before: Progress) -> float:
    """Return how many seconds since the last visit count for a pause at most: none that were held by somebody."""
    if before.paused or rollout.spec.paused or freeze.holding(rollout.spec.freeze, before.wall):
        return 0.0
    change = freeze.next_change(rollout.spec.freeze, before.wall)
    return inf if change is None else change


def _is_ready(rollout: Rollout, status: RolloutStatus, seen: Observed) -> bool:
    """Whether the canary's pods are ready; time counts by them where nothing is measured and a pause has an end."""
    if status.canary is None:
        return False
    if steps.pause_seconds(strategies.ladder(rollout.spec.strategy), status.step or 0) is None:
        return False
    return is_complete(seen.deployments.get(status.canary.revision), 1)


def _measured(before: Progress, rollout: Rollout, status: RolloutStatus, seen: Observed, now: datetime) -> Progress:
    measurement, canary = seen.measurement, status.canary
    if measurement is None or canary is None or measurement.slot <= last_slot(before, measurement.slot):
        return before
    due, rung = analysis_now(rollout, status, seen.route), _rung(rollout, status)
    stable = status.stable.revision if status.stable else None
    running = rung.experiment if rung else None
    metrics = analysis.measured(
        due,
        measurement,
        canary.revision,
        stable,
        before.metrics,
        now,
        stretches=_stretches(rollout),
        experiment=running,
    )
    share, far = _share(rollout, status, seen.route, measurement)
    decides = running.decide_on if running else ""
    fresh = not far and all(m.verdict in ("Pass", "Fail") or (m.name == decides and _is_told(m)) for m in metrics)
    passing = fresh and all(m.verdict == "Pass" or m.name == decides for m in metrics)
    return replace(
        before,
        looked_at=seen.monotonic,
        slot=measurement.slot,
        metrics=_with_others(rollout.spec.analysis, before.metrics, metrics),
        share=share,
        far=far,
        fresh=fresh,
        passing=passing,
        decision=_decision(running, due, measurement, status),
        passed=before.passed + (passing and rung is not None and rung.analysis is not None),
        held_since=None if fresh else before.held_since or stamp(now),
    )


def _stretches(rollout: Rollout) -> int:
    """Return how often the ladder begins to count anew: so many share the alpha of its sequential metrics."""
    rungs = strategies.ladder(rollout.spec.strategy)
    weighed = [steps.weight_at(rungs, index) for index in range(len(rungs))]
    return comparing.stretches(weighed, [rung.lasts for rung in rungs])


def _decision(
    running: Experiment | None, due: Analysis, measurement: Measurement, status: RolloutStatus
) -> Verdict | None:
    """Return what the running experiment says, None where none runs or its metric is not there."""
    metric = next((m for m in due.metrics if running and m.name == running.decide_on), None)
    started = parse(status.step_started_time)
    if running is None or metric is None or started is None:
        return None
    seconds = (measurement.at - started).total_seconds()
    return experiment.decide(running, due, metric, measurement.blocks.get(metric.name), seconds)


def _is_told(metric: MetricStatus) -> bool:
    """Whether there was anything to learn: an experiment goes on while its metric is undecided, not without data."""
    return metric.verdict != "NoData"


def _with_others(
    asked: Analysis, before: tuple[MetricStatus, ...], now: tuple[MetricStatus, ...]
) -> tuple[MetricStatus, ...]:
    """Return the measurements with the last ones of metrics that are not due now: their failures count on.

    Those that the spec has no more are forgotten, or edits in flight would fill the status.
    """
    others = {m.name for m in asked.metrics} - {m.name for m in now}
    return (*now, *(m for m in before if m.name in others))


def _share(
    rollout: Rollout, status: RolloutStatus, route: Obj | None, measurement: Measurement
) -> tuple[str | None, bool]:
    """Return the canary's share of requests in percent, and whether it is far from its weight.

    Headers, copies and cookies bring requests that no weight explains: then the share is told and not judged.
    """
    canary, stable = status.canary, status.stable
    if canary is None or stable is None:
        return None, False
    ours = analysis.requests(measurement.requests, canary.revision)
    theirs = analysis.requests(measurement.requests, stable.revision)
    total = (ours or 0.0) + (theirs or 0.0)
    if ours is None or total < 1:
        return None, False
    enough = total >= max(rollout.spec.analysis.min_requests, 100)
    judged = enough and is_measured(rollout, status) and not _beside(rollout, status, route)
    far = judged and weights.is_far(status.weight, ours, total)
    return f"{100 * ours / total:.1f}", far


def due(
    rollout: Rollout, status: RolloutStatus, route: Obj | None, before: Progress | None, monotonic: float, scrape: int
) -> int | None:
    """Return the interval to measure now, None where there is none.

    The time is that of the last visit plus what the monotonic clock says since: observing knows no other.
    """
    started = parse(status.step_started_time)
    looked_at = is_looked_at(rollout, status, route)
    if before is None or before.key != step_key(status) or started is None or not looked_at:
        return None
    spec = analysis_now(rollout, status, route)
    now = before.wall + timedelta(seconds=monotonic - before.seen)
    slot = analysis.slot_at(now, started, spec.interval_seconds)
    return slot if slot == next_slot(spec, started, before, now, scrape) else None


def last_slot(before: Progress, current: int) -> int:
    """Return the last interval that was measured, given the current one.

    One that lies in the future was numbered when intervals were shorter: then the current one has not been measured.
    """
    return before.slot if before.slot <= current + 1 else current - 1


def next_slot(spec: Analysis, started: datetime, before: Progress, now: datetime, scrape: int) -> int:
    """Return the interval that is measured next, the current one where it has not been."""
    current = analysis.slot_at(now, started, spec.interval_seconds)
    return max(last_slot(before, current) + 1, analysis.first_slot(spec, scrape, started), current)


def is_looked_at(rollout: Rollout, status: RolloutStatus, route: Obj | None) -> bool:
    """Whether Prometheus is asked about the canary: for its step, or only for its limits."""
    return is_measured(rollout, status) or is_watched(rollout, status, route)


def is_watched(rollout: Rollout, status: RolloutStatus, route: Obj | None) -> bool:
    """Whether a canary serves with the weight of before, or with a part of the first, while more is on its way.

    Then limits are looked at, so that it goes back where it breaks them; no step and no pause counts it.
    """
    rises = status.stable is not None and (status.routed_weight or 0) < status.weight
    if not rises or not _carried(rollout, status, route) or _is_unasked(rollout, status) or rollout.spec.paused:
        return False
    return bool(analysis_now(rollout, status, route).metrics)


def _is_unasked(rollout: Rollout, status: RolloutStatus) -> bool:
    """Whether nobody wants to know: it goes back, a person sent it up, or it was stable lately (`rollbackWindow`)."""
    ending, canary = status.ending, status.canary
    if ending is None or canary is None:
        return canary is None
    lately = revisions.stable_lately(status, rollout.spec.rollback_window)
    return ending.outcome != "Promoted" or canary.revision in lately


def _carried(rollout: Rollout, status: RolloutStatus, route: Obj | None) -> int:
    """Return the canary's share while more is on its way: what was read back last, or more as the route stands now."""
    live = weights.routed(route, rollout.metadata.name)
    return max(status.routed_weight or 0, live.get(status.canary.revision, 0) if status.canary else 0)


def is_measured(rollout: Rollout, status: RolloutStatus) -> bool:
    """Whether a canary serves beside stable, and there is something to measure. Without weight only a step asks."""
    both = status.canary is not None and status.stable is not None
    if not both or status.weight != status.routed_weight or status.ending is not None or rollout.spec.paused:
        return False
    if not rollout.spec.analysis.metrics:
        return False
    rung = _rung(rollout, status)
    asked = rung is not None and (rung.analysis is not None or rung.experiment is not None)
    return (status.weight > 0 or asked) and bool(analysis_now(rollout, status, None).metrics)


def analysis_now(rollout: Rollout, status: RolloutStatus, route: Obj | None) -> Analysis:
    """Return the analysis with the metrics that are measured in the running step.

    Those in the background, those that an analysis step names, the one that decides an experiment. With all traffic on
    the canary there is no stable to compare with. While weight is on its way, those with limits alone: what is tested
    in blocks begins anew with the weight.
    """
    settled = status.weight == (status.routed_weight or 0)
    carried = status.weight if settled else _carried(rollout, status, route)
    measurable = measurable_at(rollout.spec.analysis, _rung(rollout, status), carried)
    due = tuple(m for m in measurable if settled or m.sequential is None)
    return rollout.spec.analysis.model_copy(update={"metrics": due})


def measurable_at(spec: Analysis, rung: strategies.Rung | None, weight: int) -> tuple[AnalysisMetric, ...]:
    """Return the metrics that a step wants and that can be measured while the canary carries so much."""
    named = {*rung.analysis.metrics} if rung and rung.analysis else set()
    named |= {rung.experiment.decide_on} if rung and rung.experiment else set()
    chosen = (m for m in spec.metrics if m.background or m.name in named)
    return tuple(m for m in chosen if weight < 100 or not compares(m))


def compares(metric: AnalysisMetric) -> bool:
    """Whether a metric needs stable's numbers as well."""
    if metric.builtin == queries.DRIFT:
        return True
    return metric.sequential is not None or any(getattr(metric, name) is not None for name in analysis.COMPARED)


def _rung(rollout: Rollout, status: RolloutStatus) -> strategies.Rung | None:
    return steps.rung(strategies.ladder(rollout.spec.strategy), status.step or 0)


def _beside(rollout: Rollout, status: RolloutStatus, route: Obj | None) -> bool:
    """Whether requests come to the canary beside its weight: by what its step says, or by what stands all the same."""
    strategy = rollout.spec.strategy
    if weights.annotation(route, naming.ANNOTATION_SHORTCUTS):
        return True
    return shortcuts.at_step(strategy, strategies.ladder(strategy), status.step or 0, status.weight).mark != ""


def next_measurement(rollout: Rollout, status: RolloutStatus, before: Progress, now: datetime, scrape: int) -> float:
    """Return the seconds until the next interval can be measured; which metrics are due then does not matter."""
    started, spec = parse(status.step_started_time) or now, rollout.spec.analysis
    slot = next_slot(spec, started, before, now, scrape)
    moment = analysis.instant(started, slot, spec.interval_seconds)
    return max(0.05, (moment - now).total_seconds() + 0.01)
