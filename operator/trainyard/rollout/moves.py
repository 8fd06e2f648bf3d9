"""From a rule's answer to a plan: conditions, row numbers, what is remembered, and when to come again. Pure.

A status whose progress numbers alone differ is written once a minute at most; everything else at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from trainyard import naming
from trainyard.reconciling.plan import Action, Note, Plan, WriteStatus
from trainyard.resources.base import MOST_ROWS
from trainyard.resources.conditions import find, merge
from trainyard.resources.rollout import MetricStatus, RolloutStatus
from trainyard.rollout import answered, converging, freeze, history, status, steps
from trainyard.rollout.admission import Refusal
from trainyard.rollout.pods import NO_CAPACITY
from trainyard.rollout.progress import is_measured, is_watched, next_measurement, step_key
from trainyard.rollout.situation import Situation
from trainyard.rollout.state import Progress, Remember, ShiftTraffic
from trainyard.rollout.times import since

FLUSH_SECONDS = 60.0
SOON_SECONDS = 0.0
CONTESTED_AGAIN_SECONDS = 60.0
NUMBERS = (
    "counted_seconds", "metrics", "observed_share", "held_since", "waiting_for", "last_interval", "unavailable_since",
    "passed",
)  # fmt: skip
# Written by the cycle alone.
FOREIGN = ("unrecorded", "conditions")


@dataclass(frozen=True)
class Move:
    """What a rule answers: the status meant, and what has to be written for it.

    intent: as which write the status goes first, before the actions; None where they may come without it. rows: data of
    decisions to record. again: seconds until the next visit, where the rule knows better than the situation.
    """

    status: RolloutStatus
    actions: tuple[Action, ...] = ()
    intent: type[WriteStatus] | None = None
    notes: tuple[Note, ...] = ()
    rows: tuple[Mapping[str, Any], ...] = ()
    refused: Refusal | None = None
    again: float | None = None


def plan(s: Situation, move: Move) -> Plan:
    """Return the plan of a move."""
    meant = replace(s, status=move.status)
    if step_key(meant.status) != s.progress.key:
        meant = replace(meant, progress=_fresh(s.progress, meant.status))
    wanted = _finished(s, meant, move)
    flushed = _flush(s, wanted)
    told = frozenset(answered.sentences(s.seen))
    progress = replace(meant.progress, put_back=_put_back(meant, move), told=told)
    if flushed != s.status:
        progress = replace(progress, flushed=s.seen.monotonic)
    wire = flushed.to_wire()
    first = (move.intent(wire),) if move.intent else ()
    return Plan(
        actions=(*first, *move.actions, Remember(progress)),
        status=wire,
        records=history.records(s, move.rows),
        notes=(*move.notes, *answered.notes(s.seen, s.progress.told)),
        revisit_after=_again(s, meant, move, flushed),
    )


def _fresh(before: Progress, meant: RolloutStatus) -> Progress:
    """Begin the numbers of another step; failures are counted on through the whole canary."""
    return replace(
        before,
        key=step_key(meant),
        counted=float(meant.counted_seconds),
        slot=-1,
        metrics=meant.metrics,
        share=None,
        far=False,
        fresh=False,
        passing=False,
        passed=meant.passed,
        decision=None,
        held_since=None,
    )


def _put_back(s: Situation, move: Move) -> tuple[float, ...]:
    drifted = any(note.reason == "RouteDrift" for note in move.notes)
    shifted = any(isinstance(action, ShiftTraffic) for action in move.actions)
    return (*s.progress.put_back, s.seen.monotonic) if drifted and shifted else s.progress.put_back


def _finished(s: Situation, meant: Situation, move: Move) -> RolloutStatus:
    """Return the status with everything that follows from it."""
    told = status.conditions(meant, move.refused)
    waits = status.waiting(meant)
    generation = s.rollout.metadata.generation
    return meant.status.model_copy(
        update={
            "observed_generation": generation,
            "conditions": merge(s.status.conditions, told, generation, s.at),
            "waiting_for": waits.sentence[:256] if waits else None,
            "frozen": s.frozen,
            "sequence": min(MOST_ROWS, meant.status.sequence + len(move.rows)),
            "replicas": meant.sizes.stable + meant.sizes.canary,
            "selector": scale_selector(s.name),
        }
    )


def scale_selector(name: str) -> str:
    """Return the selector of all pods of a Rollout, as an autoscaler reads it from the scale subresource."""
    labels = {**naming.MANAGED_BY, naming.LABEL_ROLLOUT: name}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _flush(s: Situation, wanted: RolloutStatus) -> RolloutStatus:
    """Hold back mere numbers until a minute has passed since they were written last."""
    if _telling(wanted) != _telling(s.status) or s.seen.monotonic - s.progress.flushed >= FLUSH_SECONDS:
        return wanted
    return s.status


def _telling(told: RolloutStatus) -> tuple[Any, ...]:
    """Return what of a status is no mere number; none are how often metrics failed, and whether a deadline runs."""
    rest = told.model_dump(exclude={*NUMBERS, *FOREIGN})
    conditions = tuple(c.model_dump(exclude={"last_transition_time"}) for c in told.conditions if c.type != "Recorded")
    return rest, conditions, _failures(told.metrics), told.unavailable_since is None


def _failures(metrics: tuple[MetricStatus, ...]) -> dict[str, int]:
    return {metric.name: metric.failures for metric in metrics if metric.failures}


def _again(s: Situation, meant: Situation, move: Move, written: RolloutStatus) -> float | None:
    """Return when to come again. What was just begun is followed at once; the rest has its time."""
    if move.again is not None:
        return move.again
    if move.intent or (_telling(written) != _telling(s.status) and written.canary != s.status.canary):
        return SOON_SECONDS
    if written.step_started_time != s.status.step_started_time or written.weight != s.status.weight:
        return SOON_SECONDS
    times = [*_deadlines(meant), *_ends_of_waiting(meant), *_pause_ends(meant)]
    return min((max(0.05, t) for t in times), default=None)


def _deadlines(s: Situation) -> list[float]:
    change = freeze.next_change(s.spec.freeze, s.now)
    times = [] if change is None else [change]
    if s.leftovers and s.takedown_in > 0:
        times.append(s.takedown_in)
    if converging.is_contested(s):
        times.append(CONTESTED_AGAIN_SECONDS)
    elif converging.is_fought_over(s):
        times.append(CONTESTED_AGAIN_SECONDS - (s.seen.monotonic - s.progress.put_back[-1]))
    return times


def _ends_of_waiting(s: Situation) -> list[float]:
    """Return when the canary is waited for no longer: it is too late, or it has been ready for long enough.

    Nobody else comes at a pause that waits for a person; what has run on there until then is the deadline.
    """
    if s.status.unavailable_since is None or s.spec.paused:
        return []
    if s.is_canary_ready:
        steady_in = status.steady_in(s)
        return [] if steady_in is None else [steady_in]
    left = s.serving.progress_deadline_seconds - since(s.status.unavailable_since, s.now)
    return [] if status.is_canary_overdue(s) else [left]


def _pause_ends(s: Situation) -> list[float]:
    """Return when the running step wants to be looked at."""
    watched = is_watched(s.rollout, s.status, s.seen.route)
    if s.canary is None or s.spec.paused or not (s.is_routed or watched):
        return []
    if watched or is_measured(s.rollout, s.status):
        scrape = s.seen.config.scrape_interval_seconds
        return [next_measurement(s.rollout, s.status, s.progress, s.now, scrape)]
    if not s.is_placed:
        return []
    seconds = steps.pause_seconds(s.steps, s.step)
    interval = float(s.analysis.interval_seconds)
    left = interval if seconds is None else seconds - s.progress.counted
    # A pause that is over and still stands is held by something else: that is looked at in the usual rhythm.
    return [] if seconds is None else [min(interval, left) if left > 0 else interval]


def paused_since(told: RolloutStatus) -> str | None:
    """Return since when `spec.paused` holds, as the last status tells; None where it did not."""
    paused = find(told.conditions, "Paused")
    requested = paused is not None and paused.status == "True" and paused.reason == "Requested"
    return paused.last_transition_time if paused and requested else None


def was_short(told: RolloutStatus) -> bool:
    """Whether the last status said that there is no room for the canary's pods."""
    available = find(told.conditions, "Available")
    return available is not None and available.reason == NO_CAPACITY


def was_stalled(told: RolloutStatus) -> bool:
    """Whether the last status said that something is in the way."""
    stalled = find(told.conditions, "Stalled")
    return stalled is not None and stalled.status == "True"
