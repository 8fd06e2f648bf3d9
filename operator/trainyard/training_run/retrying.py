"""What follows an attempt that failed: another one, from the checkpoint, once nothing of the failed one is left. Pure.

Order of writes, so that a crash between any two of them loses or doubles nothing: the failed attempt into status; its
Jobs away; after the wait, identity and number of the next attempt into metadata, in one write; its intent into status;
then the engine. Used by `decide`.
"""

from datetime import datetime, timedelta

from trainyard import naming
from trainyard.reconciling.plan import Note, PatchMetadata, Plan, WriteStatus
from trainyard.resources.training_run import AttemptStatus
from trainyard.systems.engine.port import EngineState, Phase
from trainyard.training_run import deadlines, reasons, request, status
from trainyard.training_run.ending import AGAIN_SECONDS, SOON_SECONDS, stop
from trainyard.training_run.state import Observed, StartEngine

# What another attempt may not meet. What never began (Unschedulable, ImagePullFailed) had pendingTimeoutSeconds; a
# failed upload has the publisher's own tries; the rest is final by its nature.
RETRIED = frozenset({reasons.STEP_FAILED, reasons.OUT_OF_MEMORY, reasons.EVICTED, reasons.NODE_LOST})
LONGEST_WAIT_SECONDS = 3600  # or backoffSeconds, where that is longer


def fail_for_now(seen: Observed, now: datetime) -> Plan | None:
    """A step failed, and the pipeline allows another attempt: keep what happened, free what it holds."""
    if seen.engine is None or seen.engine.phase is not Phase.FAILED or not _may_retry(seen, seen.engine, now):
        return None
    failed = _attempt(seen, seen.engine, now)
    told = status.retrying(seen, now, failed, status.stamp(now + timedelta(seconds=_wait(seen, failed.attempt))))
    message = f"Attempt {failed.attempt} failed ({failed.reason}): {failed.message}"
    note = Note(reasons.RETRYING, message, f"attempt-{failed.attempt}", "Warning")
    return Plan((WriteStatus(told), *stop(seen)), told, notes=(note,), revisit_after=SOON_SECONDS)


def try_again(seen: Observed, now: datetime) -> Plan | None:
    """An attempt has failed and the next one has no identity yet: wait for the old pods to go, then for its time."""
    if not request.is_between_attempts(seen.meta, seen.before):
        return None
    failed = seen.before.attempts[-1]
    told = status.retrying(seen, now, failed, seen.before.retry_time)
    if seen.engine is None or not (seen.engine.phase is Phase.ABSENT or seen.engine.released):
        return Plan(stop(seen), told, revisit_after=SOON_SECONDS)
    left = -deadlines.since(seen.before.retry_time, now)
    if left > 0:
        return Plan(status=told, revisit_after=left)
    if seen.source.state is None or seen.request is None:
        return Plan(
            status=status.refused(seen, now, seen.source.reason, seen.source.message), revisit_after=AGAIN_SECONDS
        )
    return _start(seen, now)


def _start(seen: Observed, now: datetime) -> Plan:
    assert seen.request is not None  # noqa: S101 - the caller has looked
    wanted = request.next_attempt(seen.request)
    intent = status.starting(seen, now, wanted)
    identity = {naming.ANNOTATION_ENGINE_ID: wanted.id, naming.ANNOTATION_ATTEMPT: str(wanted.attempt)}
    actions = (PatchMetadata(annotations=identity), WriteStatus(intent), StartEngine(seen.kind, wanted))
    return Plan(actions, intent, revisit_after=SOON_SECONDS)


def _may_retry(seen: Observed, engine: EngineState, now: datetime) -> bool:
    if seen.run is None or seen.run.spec.cancel or seen.source.state is None or seen.request is None:
        return False
    left = deadlines.running_left(seen, now)
    in_time = left is None or left > 0
    return in_time and engine.reason in RETRIED and seen.request.attempt <= seen.source.state.retry.limit


def _wait(seen: Observed, attempt: int) -> int:
    """Return the seconds before the next attempt: doubled for each one that failed, up to a limit."""
    assert seen.source.state is not None  # noqa: S101 - without it nothing is tried again
    first = seen.source.state.retry.backoff_seconds
    return min(first << (attempt - 1), max(first, LONGEST_WAIT_SECONDS))


def _attempt(seen: Observed, engine: EngineState, now: datetime) -> AttemptStatus:
    engine_id, attempt = request.identity(seen.meta, seen.before)
    return AttemptStatus(
        attempt=attempt,
        engine_id=engine_id,
        reason=engine.reason,
        message=status.shortened(engine.message),
        start_time=min((s.start_time for s in engine.steps if s.start_time), default=None),
        completion_time=status.failed_at(engine) or status.stamp(now),
    )
