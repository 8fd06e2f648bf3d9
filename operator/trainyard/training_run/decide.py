"""What to do about a TrainingRun now: rules in order, the first answer wins. Pure and total.

Nothing is started before the identity stands in metadata and the intent in status; nothing is ended before the
outcome stands in metadata, the engine is quiet and its accelerators are free.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from trainyard import naming
from trainyard.reconciling.plan import Note, PatchMetadata, Plan, WriteStatus
from trainyard.reconciling.status import difference
from trainyard.systems.engine.port import EngineState, Phase, RunRequest
from trainyard.training_run import data, deadlines, lineage, outcome, parameters, reasons, request, status
from trainyard.training_run.ending import (
    AGAIN_SECONDS,
    SOON_SECONDS,
    abandon,
    end,
    is_deleting,
    is_identified,
    is_quiet,
    release,
    stop,
)
from trainyard.training_run.outcome import Outcome
from trainyard.training_run.retrying import fail_for_now, try_again
from trainyard.training_run.state import CreateVersion, Observed, StartEngine

CLEANUP_SECONDS = 600.0  # api.md, cleanupDeadlineSeconds; of trying, whatever the clock says
ROWS_WAIT_SECONDS = 86_400.0  # deletion waits for the database for a day at most
PENDING_SECONDS = 10.0  # the events of a waiting pod are not watched
QUEUE_SECONDS = 5.0  # whether an older run has ended
DATA_SECONDS = 60.0  # data that is listed again
WAITING_REASONS = (reasons.UNSCHEDULABLE, reasons.IMAGE_PULL_FAILED)

Rule = Callable[[Observed, datetime], Plan | None]


def decide(seen: Observed, now: datetime) -> Plan:
    """Return the first rule's answer; `follow` always has one."""
    return next(plan for rule in RULES if (plan := rule(seen, now)) is not None)


# ---- deletion ----


def let_go(seen: Observed, _now: datetime) -> Plan | None:
    """Being deleted, and nothing of ours holds it."""
    return Plan() if is_deleting(seen) and naming.FINALIZER not in seen.meta.finalizers else None


def release_at_once(seen: Observed, now: datetime) -> Plan | None:
    """A person asked to skip the cleanup."""
    if not is_deleting(seen) or naming.ANNOTATION_SKIP_CLEANUP not in seen.meta.annotations:
        return None
    return release(seen) if is_quiet(seen) else abandon(seen, now, "CleanupSkipped")


def release_when_clean(seen: Observed, now: datetime) -> Plan | None:
    """The end is told, the engine holds nothing, and the database has the rows or had a day to take them."""
    clean = is_deleting(seen) and status.has_ended(seen) and is_quiet(seen)
    if not clean:
        return None
    waited = deadlines.since(seen.meta.deletion_timestamp, now) >= ROWS_WAIT_SECONDS
    return release(seen) if waited or not seen.before.unrecorded else Plan()


def release_after_deadline(seen: Observed, now: datetime) -> Plan | None:
    """The engine could not be made to let go in time."""
    late = is_deleting(seen) and seen.tried >= CLEANUP_SECONDS
    return abandon(seen, now, "CleanupAbandoned") if late and not is_quiet(seen) else None


# ---- what has ended ----


def rest(seen: Observed, now: datetime) -> Plan | None:
    """The status tells the end; a deletion still sees to it that the engine is quiet."""
    if not status.has_ended(seen):
        return None
    if is_deleting(seen) and seen.engine is not None:
        return Plan(stop(seen), status.restated(seen, now), revisit_after=SOON_SECONDS)
    return Plan(status=status.restated(seen, now))


def finish(seen: Observed, now: datetime) -> Plan | None:
    """The outcome stands in metadata: stop what still runs, then tell it. Never start anything."""
    kept = outcome.read(seen.meta)
    return None if kept is None else end(seen, now, kept)


def refuse_unreadable(seen: Observed, now: datetime) -> Plan | None:
    """The object is of another schema. It can still be deleted."""
    if seen.run is not None or is_deleting(seen):
        return None
    return Plan(status=status.refused(seen, now, reasons.UNREADABLE, seen.problem))


def cancel(seen: Observed, now: datetime) -> Plan | None:
    """A person cancels or deletes it. A run that ended in the same moment has ended as it did."""
    has_ended = _engine(seen).phase in (Phase.SUCCEEDED, Phase.FAILED) and not _is_between(seen)
    asked = seen.run is not None and seen.run.spec.cancel and not has_ended
    if not asked and not is_deleting(seen):
        return None
    by = seen.run.spec.cancelled_by if seen.run is not None else ""
    message = f"The run was cancelled by {by}." if by else ""
    return end(seen, now, Outcome(reason=reasons.CANCELLED, message=message, at=status.stamp(now)))


# ---- before the start ----


def wait_for_revision(seen: Observed, now: datetime) -> Plan | None:
    """The pipeline or its revision is not there, or cannot be read: heals by itself."""
    if not _unstarted(seen) or not seen.source.reason:
        return None
    soon = seen.source.reason == reasons.PIPELINE_NOT_SEEN
    return _refuse(seen, now, seen.source.reason, seen.source.message, SOON_SECONDS if soon else AGAIN_SECONDS)


def refuse_parameters(seen: Observed, now: datetime) -> Plan | None:
    """Parameters are checked before anything is started; a run is immutable, so this is its end."""
    if not _unstarted(seen) or seen.run is None or seen.source.state is None:
        return None
    problem = parameters.problem(parameters.declared(seen.source.state), seen.run.spec.parameters)
    wrong = Outcome(reason=reasons.INVALID_PARAMETERS, message=problem[: status.MESSAGE_LIMIT], at=status.stamp(now))
    return end(seen, now, wrong) if problem else None


def wait_for_engine_kind(seen: Observed, now: datetime) -> Plan | None:
    """The operator was started without this engine."""
    if seen.available or is_identified(seen):
        return None
    return _refuse(seen, now, reasons.ENGINE_NOT_AVAILABLE, "", AGAIN_SECONDS)


def wait_for_secrets(seen: Observed, now: datetime) -> Plan | None:
    """The training names a Secret that its owner did not open to pods: heals by a label."""
    if is_identified(seen) or not seen.unusable_secrets:
        return None
    names = ", ".join(seen.unusable_secrets)
    message = f"Not there, or not labelled trainyard.dev/usable-by-pods=true: Secret {names}."
    return _refuse(seen, now, reasons.SECRET_NOT_USABLE, message, AGAIN_SECONDS)


def wait_for_older(seen: Observed, now: datetime) -> Plan | None:
    """An event's run, under Forbid: one at a time, in the order in which they came."""
    if is_identified(seen) or not seen.ahead:
        return None
    return Plan(status=status.waiting(seen, now), revisit_after=QUEUE_SECONDS)


def wait_for_data(seen: Observed, now: datetime) -> Plan | None:
    """A dataset cannot be listed, is not there or is not the namespace's: nothing starts without its version."""
    if is_identified(seen) or not seen.data.reason:
        return None
    after = AGAIN_SECONDS if seen.data.reason == reasons.DATASET_UNAVAILABLE else DATA_SECONDS
    return _refuse(seen, now, seen.data.reason, seen.data.message, after)


def wait_for_engine(seen: Observed, now: datetime) -> Plan | None:
    """The engine does not answer: keep the intent, come again."""
    if not is_identified(seen) or seen.engine is not None:
        return None
    message = seen.engine_error or reasons.sentence(reasons.ENGINE_NOT_AVAILABLE)
    return Plan(status=status.unreachable(seen, now, message), revisit_after=AGAIN_SECONDS)


def start(seen: Observed, now: datetime) -> Plan | None:
    """Identity into metadata, intent into status, then the engine, which finds what it has started already."""
    if not _unstarted(seen) or seen.request is None or seen.source.state is None:
        return None
    intent = status.starting(seen, now, seen.request)
    return Plan(
        actions=(*_identify(seen, seen.request), *_intend(seen, intent), StartEngine(seen.kind, seen.request)),
        status=intent,
        notes=_warnings(seen.request),
        revisit_after=SOON_SECONDS,
    )


# ---- on the engine ----


def lost(seen: Observed, now: datetime) -> Plan | None:
    """The engine had it and does not any more, or had it in another life: said, not started again."""
    engine = _engine(seen)
    if engine.phase is not Phase.ABSENT and engine.reason != reasons.STOPPING:
        return None
    message = "What ran it was deleted by somebody else; create another run."
    if not request.is_own_identity(seen.meta, seen.before):
        message = "It was restored from a backup that was taken while it ran; create another run."
    return end(seen, now, Outcome(reason=reasons.STEP_FAILED, message=message, at=status.stamp(now)))


def fail(seen: Observed, now: datetime) -> Plan | None:
    """A step failed, for the reason that the engine knows."""
    engine = _engine(seen)
    if engine.phase is not Phase.FAILED:
        return None
    why = engine.reason or reasons.STEP_FAILED
    ended = Outcome(reason=why, message=engine.message, at=status.failed_at(engine) or status.stamp(now))
    return end(seen, now, ended)


def wait_for_store(seen: Observed, now: datetime) -> Plan | None:
    """The model is published and the store does not answer: the outputs are read later."""
    if not seen.outputs_error:
        return None
    return Plan(status=status.unreachable(seen, now, seen.outputs_error), revisit_after=AGAIN_SECONDS)


def succeed_without_model(seen: Observed, now: datetime) -> Plan | None:
    """All steps are done, and the pipeline names none of their outputs as a model."""
    if seen.outputs is None or seen.outputs.uri:
        return None
    at = seen.outputs.completed_at or status.stamp(now)
    images = lineage.images_of(seen.outputs)
    message = lineage.with_changed_data(seen, "All steps are done; the run makes no model.")
    datasets = lineage.datasets_of(seen.outputs)
    done = Outcome(reason=reasons.SUCCEEDED, message=message, at=at, datasets=datasets, images=images)
    return end(seen, now, done)


def succeed(seen: Observed, now: datetime) -> Plan | None:
    """Published: the ModelVersion first, then the outcome, then the status."""
    if _engine(seen).phase is not Phase.SUCCEEDED:
        return None
    if seen.outputs is None:
        return _publish_failed(seen, now, "There is no manifest.json that can be read where the model belongs.")
    if seen.run is None or seen.source.state is None:
        return _publish_failed(seen, now, "The pipeline's revision is gone, and with it the gate of the model.")
    try:
        version = lineage.version_of(seen.run, seen.source.state, seen.outputs)
    except lineage.Unfit as error:
        return _publish_failed(seen, now, str(error))
    if seen.version is not None and not lineage.is_same(seen.version, version):
        return _publish_failed(seen, now, "A ModelVersion of the run's name exists and is of something else.")
    done = Outcome(
        reason=reasons.SUCCEEDED,
        message=lineage.with_changed_data(seen, reasons.sentence(reasons.SUCCEEDED)) if seen.changed_data else "",
        at=seen.outputs.completed_at or status.stamp(now),
        outputs=lineage.outputs_status(seen.outputs),
        model_version=seen.meta.name,
        datasets=lineage.datasets_of(seen.outputs),
        images=lineage.images_of(seen.outputs),
    )
    return end(seen, now, done, () if seen.version is not None else (CreateVersion(version),))


def time_out(seen: Observed, now: datetime) -> Plan | None:
    """It runs for longer than it may. Time in a queue or without a node does not count."""
    left = deadlines.running_left(seen, now)
    if left is None or left > 0:
        return None
    return end(seen, now, Outcome(reason=reasons.TIMED_OUT, at=status.stamp(now)))


def give_up_waiting(seen: Observed, now: datetime) -> Plan | None:
    """No node or no image for too long: ended with that reason."""
    left = deadlines.waiting_left(seen, now)
    if left is None or left > 0:
        return None
    engine = _engine(seen)
    message = status.first_message(seen, engine.reason) or engine.message
    if engine.reason in WAITING_REASONS:
        return end(seen, now, Outcome(reason=engine.reason, message=message, at=status.stamp(now)))
    why = f" ({engine.reason})" if engine.reason else ""
    message = f"It could not begin{why}: {message or 'no reason is known'}"
    return end(seen, now, Outcome(reason=reasons.STEP_FAILED, message=message, at=status.stamp(now)))


def follow(seen: Observed, now: datetime) -> Plan:
    """It goes on: tell how far, and begin the part that is due."""
    engine = _engine(seen)
    due = engine.due and seen.request is not None and seen.source.state is not None
    return Plan(
        actions=(StartEngine(seen.kind, seen.request),) if due and seen.request is not None else (),
        status=status.following(seen, now, engine),
        records=lineage.owed(seen, status.stamp(now)),
        revisit_after=SOON_SECONDS if due else _next_look(seen, now, engine),
    )


RULES: tuple[Rule, ...] = (
    let_go,
    release_at_once,
    release_when_clean,
    release_after_deadline,
    rest,
    finish,
    refuse_unreadable,
    cancel,
    wait_for_revision,
    refuse_parameters,
    wait_for_engine_kind,
    wait_for_secrets,
    wait_for_older,
    wait_for_data,
    wait_for_engine,
    try_again,
    start,
    lost,
    fail_for_now,
    fail,
    wait_for_store,
    succeed_without_model,
    succeed,
    time_out,
    give_up_waiting,
    follow,
)


# ---- what the rules are made of ----


def _engine(seen: Observed) -> EngineState:
    return seen.engine or EngineState(Phase.ABSENT)


def _unstarted(seen: Observed) -> bool:
    """Whether nothing was started yet: the engine knows nothing, and never did as far as anyone can tell."""
    if not is_identified(seen):
        return True
    absent = seen.engine is not None and seen.engine.phase is Phase.ABSENT
    told = request.told_steps(seen.meta, seen.before) or _is_between(seen)
    return absent and not told and request.is_own_identity(seen.meta, seen.before)


def _is_between(seen: Observed) -> bool:
    return request.is_between_attempts(seen.meta, seen.before)


def _next_look(seen: Observed, now: datetime, engine: EngineState) -> float:
    """Return when a clock runs out; sooner while a pod waits, for its events are not watched."""
    limits = (deadlines.running_left(seen, now), deadlines.waiting_left(seen, now))
    waits = [PENDING_SECONDS] if engine.waiting_since else []
    waits += [engine.look_again] if engine.look_again is not None else []
    return max(1.0, min([*(left for left in limits if left is not None), *waits], default=AGAIN_SECONDS))


def _refuse(seen: Observed, now: datetime, reason: str, message: str, after: float) -> Plan:
    return Plan(status=status.refused(seen, now, reason, message), revisit_after=after)


def _publish_failed(seen: Observed, now: datetime, message: str) -> Plan:
    return end(seen, now, Outcome(reason=reasons.PUBLISH_FAILED, message=message, at=status.stamp(now)))


def _warnings(wanted: RunRequest) -> tuple[Note, ...]:
    """Several workers that nobody starts together: told once."""
    alone = int(wanted.spec.get("workers", 1)) == 1 or wanted.compute.get("queue")
    told = reasons.sentence(reasons.NO_GANG_SCHEDULING)
    return () if alone else (Note(reasons.NO_GANG_SCHEDULING, told, "start", "Warning"),)


def _identify(seen: Observed, wanted: RunRequest) -> tuple[PatchMetadata, ...]:
    """Finalizer, identity, attempt and the data's versions in one write, once."""
    if is_identified(seen) and naming.FINALIZER in seen.meta.finalizers:
        return ()
    others = tuple(f for f in seen.meta.finalizers if f != naming.FINALIZER)
    identity = {naming.ANNOTATION_ENGINE_ID: wanted.id, naming.ANNOTATION_ATTEMPT: str(wanted.attempt)}
    return (PatchMetadata((*others, naming.FINALIZER), {**identity, **data.written(seen.data)}),)


def _intend(seen: Observed, intent: Mapping[str, Any]) -> tuple[WriteStatus, ...]:
    return (WriteStatus(intent),) if difference(seen.before.to_wire(), intent) else ()
