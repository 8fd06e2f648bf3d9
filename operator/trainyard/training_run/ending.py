"""How a run is brought to its end, and its object let go. Pure; used by `decide`.

Order: outcome into metadata, engine quiet, outcome into status; on deletion the finalizer last.
"""

from datetime import datetime

from trainyard import naming
from trainyard.reconciling.plan import Action, Note, Plan, Release
from trainyard.systems.engine.port import Phase
from trainyard.training_run import lineage, outcome, reasons, status
from trainyard.training_run.outcome import Outcome
from trainyard.training_run.state import Observed, StopEngine

SOON_SECONDS = 2.0  # something of ours is about to change
AGAIN_SECONDS = 15.0  # somebody else has to change something
QUIET = (Phase.ABSENT, Phase.SUCCEEDED, Phase.FAILED)


def is_deleting(seen: Observed) -> bool:
    """Whether the object is being deleted."""
    return seen.meta.deletion_timestamp is not None


def is_identified(seen: Observed) -> bool:
    """Whether the run carries an engine identity: from then on something of it may run."""
    return naming.ANNOTATION_ENGINE_ID in seen.meta.annotations


def is_quiet(seen: Observed) -> bool:
    """Whether nothing of the run can hold an accelerator: nothing was started, or the engine says so."""
    return not is_identified(seen) or (seen.engine is not None and seen.engine.phase in QUIET)


def end(seen: Observed, now: datetime, ends: Outcome, first: tuple[Action, ...] = ()) -> Plan:
    """Keep the outcome; tell it once the engine is quiet, stop the engine before. `first` goes before all.

    Where somebody left no room for it, status alone keeps it: an end that cannot be written would have no end.
    """
    written = outcome.write(ends)
    keep = (written,) if outcome.read(seen.meta) != ends and outcome.fits(written, seen.meta) else ()
    if not is_quiet(seen):
        after = AGAIN_SECONDS if seen.engine is None else SOON_SECONDS
        return Plan((*keep, *stop(seen)), status.stopping(seen, now, ends), revisit_after=after)
    normal = ends.succeeded or ends.reason == reasons.CANCELLED
    note = Note(ends.reason, reasons.sentence(ends.reason, ends.message), "ended", "Normal" if normal else "Warning")
    owed = lineage.owed(seen, status.stamp(now)) if seen.before.attempts else ()
    return Plan(
        (*first, *keep),
        status.ended(seen, now, ends),
        (*owed, *lineage.finished(seen, ends)),
        (note,),
        SOON_SECONDS if is_deleting(seen) else None,
    )


def stop(seen: Observed) -> tuple[Action, ...]:
    """Return the action that stops the engine; none where it does not answer."""
    if seen.engine is None or seen.request is None:
        return ()
    return (StopEngine(seen.kind, seen.request),)


def release(seen: Observed) -> Plan:
    """Let the deleted object go."""
    left = tuple(f for f in seen.meta.finalizers if f != naming.FINALIZER)
    return Plan((Release(finalizers=left),))


def abandon(seen: Observed, now: datetime, reason: str) -> Plan:
    """Let the deleted object go, and say what is left on the engine."""
    left = f"{seen.kind or 'engine'} run {seen.request.id if seen.request else ''}".strip()
    note = Note(reason, f"Not cleaned up: {left}.", "released", "Warning")
    return Plan(release(seen).actions, records=(lineage.abandoned(seen, status.stamp(now), left),), notes=(note,))
