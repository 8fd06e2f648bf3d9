"""Which finished runs may go. Pure.

Kept whatever the limits say: a run that a ModelVersion came from, with it what an alias needs; runs that keep a
trigger's watermark (`watermarks`); and a run whose rows the database has not taken yet, for a day.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from trainyard.resources.conditions import find
from trainyard.resources.training_pipeline import History
from trainyard.resources.training_run import TrainingRun
from trainyard.training_pipeline.moments import instant

ROWS_WAIT_SECONDS = 86_400.0
AT_ONCE = 20  # deletions in one cycle


def has_ended(run: TrainingRun) -> bool:
    """Whether the run's status tells its end."""
    told = find(run.status.conditions, "Succeeded")
    return told is not None and told.status != "Unknown"


def has_succeeded(run: TrainingRun) -> bool:
    """Whether it ended with a model."""
    told = find(run.status.conditions, "Succeeded")
    return told is not None and told.status == "True"


def age(run: TrainingRun) -> tuple[str, str]:
    """Return what runs are ordered by, oldest first."""
    return run.metadata.creation_timestamp or "", run.metadata.name


def superfluous(
    runs: Sequence[TrainingRun], history: History, kept: Collection[str], now: datetime
) -> tuple[TrainingRun, ...]:
    """Return the finished runs beyond the limits, oldest first; `kept` are names that stay."""
    ended = [r for r in runs if has_ended(r) and r.metadata.deletion_timestamp is None]
    newest = sorted(ended, key=age, reverse=True)
    good = [r for r in newest if has_succeeded(r)][history.succeeded :]
    bad = [r for r in newest if not has_succeeded(r)][history.failed :]
    may_go = [r for r in (*good, *bad) if r.metadata.name not in kept and not _waits_for_rows(r, now)]
    return tuple(sorted(may_go, key=age)[:AT_ONCE])


def _waits_for_rows(run: TrainingRun, now: datetime) -> bool:
    return bool(run.status.unrecorded) and _since(run.status.completion_time, now) < ROWS_WAIT_SECONDS


def _since(told: str | None, now: datetime) -> float:
    then = instant(told)
    return ROWS_WAIT_SECONDS if then is None else (now - then).total_seconds()
