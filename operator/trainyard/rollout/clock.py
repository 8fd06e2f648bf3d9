"""A wall clock that was set while the process ran. Pure; called by `decide` before it looks at anything else.

Status keeps moments, and durations follow from them: how long pods are waited for, how long no data holds, how long
an experiment runs. Set forward by an hour the clock would end all of them at once, set back it would stop every
measurement for an hour. What the monotonic clock says since the last visit tells by how much it was set, and the
moments are moved by as much.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from trainyard.resources.rollout import RolloutStatus
from trainyard.rollout.progress import step_key
from trainyard.rollout.state import Observed, Progress
from trainyard.rollout.times import parse, stamp

JUMP_SECONDS = 60.0  # a visit's own requests may take so long between its looks at the two clocks
MOMENTS = ("step_started_time", "weightless_since", "unavailable_since", "held_since")


def on_one_clock(seen: Observed, now: datetime) -> Observed:
    """Return what was observed with its moments as this clock would have told them.

    A measurement was made by the clock of before; it is left out, and the next one is due as ever.
    """
    jump = _jump(seen.progress, seen.monotonic, now)
    if seen.rollout is None or seen.progress is None or abs(jump) < JUMP_SECONDS:
        return seen
    by = timedelta(seconds=round(jump))
    status = seen.rollout.status
    moved = status.model_copy(update={name: _moved(getattr(status, name), by) for name in MOMENTS})
    rollout = seen.rollout.model_copy(update={"status": moved})
    return replace(seen, rollout=rollout, progress=_remembered(seen.progress, status, moved, by), measurement=None)


def _jump(before: Progress | None, monotonic: float, now: datetime) -> float:
    """Return by how many seconds the wall clock went ahead of the monotonic one since the last visit."""
    return (now - before.wall).total_seconds() - (monotonic - before.seen) if before else 0.0


def _remembered(before: Progress, status: RolloutStatus, moved: RolloutStatus, by: timedelta) -> Progress:
    key = step_key(moved) if before.key == step_key(status) else before.key
    return replace(before, key=key, wall=before.wall + by, held_since=_moved(before.held_since, by))


def _moved(text: str | None, by: timedelta) -> str | None:
    moment = parse(text)
    return stamp(moment + by) if moment else text
