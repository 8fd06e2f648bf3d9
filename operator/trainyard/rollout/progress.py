"""Time and measurements of the running step: what this visit adds to what the process remembers. Pure.

A pause counts only time between visits that succeeded, each stretch capped at two intervals, and with metrics only
while they were fresh. So neither a jumping clock nor an outage promotes anything.
"""

from dataclasses import replace
from datetime import datetime

from trainyard.resources.rollout import Rollout, RolloutStatus
from trainyard.rollout import analysis, steps, weights
from trainyard.rollout.situation import is_complete
from trainyard.rollout.state import Measurement, Observed, Progress
from trainyard.rollout.times import parse, stamp

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
        held_since=status.held_since,
        put_back=before.put_back if before else (),
    )


def advanced(rollout: Rollout, status: RolloutStatus, seen: Observed, now: datetime) -> Progress:
    """Return the progress with this visit's time and measurement."""
    before = remembered(status, seen, now)
    measured = _measured(before, rollout, status, seen, now)
    counts = before.fresh and measured.fresh if rollout.spec.analysis.metrics else _is_ready(rollout, status, seen)
    passed = min(seen.monotonic - before.seen, 2.0 * rollout.spec.analysis.interval_seconds)
    return replace(
        measured,
        wall=now,
        seen=seen.monotonic,
        counted=before.counted + (passed if counts and not rollout.spec.paused else 0.0),
        put_back=tuple(t for t in before.put_back if t > seen.monotonic - CONTESTED_SECONDS),
    )


def _is_ready(rollout: Rollout, status: RolloutStatus, seen: Observed) -> bool:
    """Whether the canary's pods are ready; time counts by them where nothing is measured and a pause has an end."""
    canary = rollout.spec.strategy.canary
    if status.canary is None or canary is None or steps.pause_seconds(canary.steps, status.step or 0) is None:
        return False
    return is_complete(seen.deployments.get(status.canary.revision), 1)


def _measured(before: Progress, rollout: Rollout, status: RolloutStatus, seen: Observed, now: datetime) -> Progress:
    measurement, canary = seen.measurement, status.canary
    if measurement is None or canary is None or measurement.slot <= before.slot:
        return before
    spec = rollout.spec.analysis
    stable = status.stable.revision if status.stable else None
    metrics = analysis.measured(spec, measurement, canary.revision, stable, before.metrics, now)
    share, far = _share(status, measurement, spec.min_requests)
    fresh = not far and all(m.verdict in ("Pass", "Fail") for m in metrics)
    return replace(
        before,
        slot=measurement.slot,
        metrics=metrics,
        share=share,
        far=far,
        fresh=fresh,
        passing=fresh and all(m.verdict == "Pass" for m in metrics),
        held_since=None if fresh else before.held_since or stamp(now),
    )


def _share(status: RolloutStatus, measurement: Measurement, enough: int) -> tuple[str | None, bool]:
    """Return the canary's share of requests in percent, and whether it is far from its weight."""
    canary, stable = status.canary, status.stable
    if canary is None or stable is None:
        return None, False
    ours = analysis.requests(measurement.requests, canary.revision)
    theirs = analysis.requests(measurement.requests, stable.revision)
    total = (ours or 0.0) + (theirs or 0.0)
    if ours is None or total < 1:
        return None, False
    far = total >= max(enough, 100) and weights.is_far(status.weight, ours, total)
    return f"{100 * ours / total:.1f}", far


def due(rollout: Rollout, status: RolloutStatus, before: Progress | None, monotonic: float, scrape: int) -> int | None:
    """Return the interval to measure now, None where there is none.

    The time is that of the last visit plus what the monotonic clock says since: observing knows no other.
    """
    started = parse(status.step_started_time)
    if before is None or before.key != step_key(status) or started is None or not is_measured(rollout, status):
        return None
    spec = rollout.spec.analysis
    now = before.wall.timestamp() + monotonic - before.seen
    slot = int((now - started.timestamp()) // spec.interval_seconds)
    return slot if slot > before.slot and slot >= analysis.first_slot(spec, scrape) else None


def is_measured(rollout: Rollout, status: RolloutStatus) -> bool:
    """Whether a canary serves beside stable, and there is something to measure."""
    both = status.canary is not None and status.stable is not None
    serves = status.weight > 0 and status.weight == status.routed_weight
    return both and serves and status.ending is None and bool(rollout.spec.analysis.metrics) and not rollout.spec.paused


def next_measurement(rollout: Rollout, status: RolloutStatus, before: Progress, now: datetime, scrape: int) -> float:
    """Return the seconds until the next interval can be measured."""
    started, spec = parse(status.step_started_time) or now, rollout.spec.analysis
    slot = max(
        before.slot + 1, analysis.first_slot(spec, scrape), analysis.slot_at(now, started, spec.interval_seconds)
    )
    moment = analysis.instant(started, slot, spec.interval_seconds)
    return max(0.05, (moment - now).total_seconds() + 0.01)
