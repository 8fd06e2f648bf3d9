"""How long a run may still take, or wait. Seconds; None where no clock ticks. Pure."""

from datetime import UTC, datetime

from trainyard.training_run.state import Observed


def since(moment: str | None, now: datetime) -> float:
    """Return the seconds since an RFC 3339 time; 0 where it is missing or cannot be read."""
    try:
        then = datetime.fromisoformat(moment or "")
    except ValueError:
        return 0.0
    return (now - (then if then.tzinfo else then.replace(tzinfo=UTC))).total_seconds()


def running_left(seen: Observed, now: datetime) -> float | None:
    """Return how long it may still run, counted from its first container: no queue and no missing node counts."""
    began = min((s.start_time for s in seen.engine.steps if s.start_time), default=None) if seen.engine else None
    if began is None or seen.source.state is None:
        return None
    return seen.source.state.timeout_seconds - since(began, now)


def waiting_left(seen: Observed, now: datetime) -> float | None:
    """Return how long its present pod may still wait for a node or an image."""
    waiting = seen.engine.waiting_since if seen.engine else None
    if waiting is None or seen.source.state is None:
        return None
    return seen.source.state.pending_timeout_seconds - since(waiting, now)
