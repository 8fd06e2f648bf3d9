"""How long a run may still take, or wait. Seconds; None where no clock ticks. Pure."""

from datetime import UTC, datetime

from trainyard.training_run.state import Observed


def since(moment: str | None, now: datetime) -> float:
    """Return the seconds since an RFC 3339 time; 0 where it is missing or cannot be read."""
    then = _read(moment)
    return 0.0 if then is None else (now - then).total_seconds()


def running_left(seen: Observed, now: datetime) -> float | None:
    """Return how long it may still run, counted from each attempt's first container.

    No queue, no missing node and no wait between attempts counts.
    """
    began = min((s.start_time for s in seen.engine.steps if s.start_time), default=None) if seen.engine else None
    if began is None or seen.source.state is None:
        return None
    return seen.source.state.timeout_seconds - spent(seen) - since(began, now)


def spent(seen: Observed) -> float:
    """Return the seconds that the attempts before this one ran."""
    ended = ((a.start_time, _read(a.completion_time)) for a in seen.before.attempts)
    return sum(max(0.0, since(began, end)) for began, end in ended if end is not None)


def waiting_left(seen: Observed, now: datetime) -> float | None:
    """Return how long its present pod may still wait for a node or an image."""
    waiting = seen.engine.waiting_since if seen.engine else None
    if waiting is None or seen.source.state is None:
        return None
    return seen.source.state.pending_timeout_seconds - since(waiting, now)


def _read(moment: str | None) -> datetime | None:
    try:
        then = datetime.fromisoformat(moment or "")
    except ValueError:
        return None
    return then if then.tzinfo else then.replace(tzinfo=UTC)
